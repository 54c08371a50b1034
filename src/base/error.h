/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/error.h - the sentence that goes with an error code.
 *
 * Errors travel as -errno; the sentence is left in thread-local memory by whoever knows the file, the figure and the
 * remedy: usually the place that first met the error. error_text() is what quire_error_text() returns.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

#define ERROR_TEXT_BYTES 512

/* Leaves a sentence and returns `error`, so that `return error_set(-EINVAL, "...")` reads as one step. Cold: the compiler
 * moves what leads here out of the way of what succeeds. */
int error_set(int error, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/* The same, when nobody nearer to the cause has said anything about this call: see error_clear(). */
int error_default(int error, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/* Called by api at entry where error_default() is used below. Does not change what error_text() shows. */
void error_clear(void);

const char *error_text(void);

/* For want of memory or of descriptors: says nothing about what the kernel can do, and may be gone the next moment. */
bool error_is_want(int error);

#endif
