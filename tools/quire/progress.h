/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h - how far, how fast, how long still: on stderr, when something takes longer than a second.
 *
 * Only on a terminal, unless --progress asks for it; the line is erased at the end, and before anything else is
 * written to stderr. One at a time.
 */
#ifndef QUIRE_TOOL_PROGRESS_H
#define QUIRE_TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Decided once, from the command line: 1 always, -1 never, 0 on a terminal. */
void progress_choose(int when, bool unicode);

/* total: 0 when it is not known; bytes: amounts are bytes, else things */
void progress_begin(const char *what, uint64_t total, bool bytes);

/* Cheap: looks at the clock, and draws ten times a second at most. */
void progress_at(uint64_t done);

/* A few words behind the figures, from the next drawing on; copied. */
void progress_note(const char *note);

void progress_end(void);

/* Takes the line away; the next progress_at() draws it again. */
void progress_clear(void);

#endif
