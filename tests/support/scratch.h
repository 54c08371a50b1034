/* SPDX-License-Identifier: Apache-2.0 */
/* support/scratch.h - a directory of a test's own, in the working directory of the test (a real filesystem, not tmpfs). */
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

/* Valid until scratch_remove(). */
const char *scratch_make(void);

/* "directory/name", in one of eight buffers used in turn. */
const char *scratch_path(const char *name);

/* The directory and the files in it. */
void scratch_remove(void);

/* The same as cmocka's fixtures. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

#endif
