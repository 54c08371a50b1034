/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch.h - a temporary directory that goes away again, also when the program is interrupted.
 *
 * One at a time. Files in it have short fixed names, so that a signal handler can remove them without allocating.
 */
#ifndef QUIRE_TOOL_SCRATCH_H
#define QUIRE_TOOL_SCRATCH_H

#include <stdbool.h>

/* Makes $TMPDIR/quire-XXXXXX and catches SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGPIPE; 0 or a negative errno. */
int scratch_open(void);

const char *scratch_directory(void);

/* The path of a file in it, to be removed at the end; valid until scratch_close(). NULL: too many, or too long. */
const char *scratch_path(const char *name);

/* Removes the files and the directory, unless they are to be kept. */
void scratch_close(bool keep);

#endif
