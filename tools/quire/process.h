/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - process numbers on the command line. */
#ifndef QUIRE_TOOL_PROCESS_H
#define QUIRE_TOOL_PROCESS_H

#include <quire/quire.h>

#include "screen.h"

/* The number, or 0 when the text is none. */
int process_number(const char *text);

/* That a process has no memory to be shown, and why. */
void say_no_mappings(struct screen *screen, const struct quire_process *process);

#endif
