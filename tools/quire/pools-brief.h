/* SPDX-License-Identifier: Apache-2.0 */
/* pools-brief.h - the page caches of our own that a process publishes, in a line each; quire pool tells all of them. */
#ifndef QUIRE_TOOL_POOLS_BRIEF_H
#define QUIRE_TOOL_POOLS_BRIEF_H

#include <stdbool.h>

#include "json.h"
#include "verbs.h"

/* What the kernel calls the frames of a pool: a file of 64 TiB of which only what is in memory exists. */
#define POOL_FRAMES "/memfd:quire-pages"

/* What each pool holds, and of what; nothing when there is none. */
void pools_say(struct screen *screen, int pid);

/* The same as "pools": [...], or null and why this user may not know. */
void pools_put(json_t *document, int pid);

/* Whether a pool pages something whose name contains this text. */
bool pools_have(int pid, const char *text);

#endif
