/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap/copy.h - a memcpy whose faults come back as an error.
 *
 * The exception-table form: the handler sees that the faulting instruction lies between trap_copy and trap_copy_end and
 * continues at trap_copy_failed, which returns the error. Nothing is published or saved beforehand, so it costs nothing
 * until it fails, nests, and may be used in signal handlers.
 */
#ifndef TRAP_COPY_H
#define TRAP_COPY_H

#include <stddef.h>

/* Returns 0, or the negative errno the handler chose. The buffers do not overlap. */
int trap_copy(void *destination, const void *source, size_t length);

extern const char trap_copy_failed[];
extern const char trap_copy_end[];

#endif
