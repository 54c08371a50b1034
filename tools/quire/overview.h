/* SPDX-License-Identifier: Apache-2.0 */
/* overview.h - what a newcomer sees who types the command alone, or a verb that does not exist. */
#ifndef QUIRE_TOOL_OVERVIEW_H
#define QUIRE_TOOL_OVERVIEW_H

#include "verbs.h"

void overview(struct screen *screen);
enum status unknown_verb(const char *name);

#endif
