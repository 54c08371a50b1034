/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap/copy.h - a memcpy whose faults come back as an error.
 *
 * The exception-table form: the handler sees that the faulting instruction lies between trap_copy_begin and
 * trap_copy_end and continues in trap_copy_failed, which returns the error. Nothing is published or saved beforehand, so
 * it costs nothing until it fails, nests, and may be used in signal handlers.
 *
 * quire_copy_out and quire_copy_in themselves stand in copy.S, not in api: a second jump would cost 15 % at 64 bytes
 * (measured: 1.18 of memcpy, 1.02 without).
 */
#ifndef TRAP_COPY_H
#define TRAP_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* 0, or the negative errno the handler chose. The buffers do not overlap. */
typedef int trap_copy_fn(void *destination, const void *source, size_t length);

trap_copy_fn trap_copy_avx;
trap_copy_fn trap_copy_sse;

/* Set once the handler is in place on a processor with AVX-512; else quire_copy_* go on to trap_copy_other. */
extern atomic_bool trap_copy_fast;
extern _Atomic(trap_copy_fn *) trap_copy_other;

extern const char trap_copy_begin[];
extern const char trap_copy_end[];

/* Where the handler lets the thread go on, in place of the rest of the copy: returns the error to its caller. */
int trap_copy_failed(int error, const void *near);

#endif
