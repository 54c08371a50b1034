/* SPDX-License-Identifier: Apache-2.0 */
/* pmap/limits.h - which limit a refused mapping met: the figure now, the limit, and how to raise it. */
#ifndef PMAP_LIMITS_H
#define PMAP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct pmap_range;

/* Would locking so many bytes more exceed RLIMIT_MEMLOCK? */
bool limits_locked_full(uint64_t length);

/* Leaves a sentence for the error the kernel gave, and returns the error. */
int limits_explain(int error, const struct pmap_range *range) __attribute__((cold));

#endif
