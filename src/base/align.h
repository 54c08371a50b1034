/* SPDX-License-Identifier: Apache-2.0 */
/* base/align.h - page arithmetic that cannot overflow unseen. */
#ifndef BASE_ALIGN_H
#define BASE_ALIGN_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* x86-64 has no other base page; sys_check_machine() refuses to start where this is not true. */
#define PAGE_SHIFT 12
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static inline uint64_t align_down(uint64_t n, uint64_t to)
{
	assert(is_power_of_two(to));
	return n & ~(to - 1);
}

/* The caller knows that n is not within `to` of the end of the number line. */
static inline uint64_t align_up(uint64_t n, uint64_t to)
{
	assert(is_power_of_two(to));
	assert(n <= UINT64_MAX - (to - 1));
	return (n + to - 1) & ~(to - 1);
}

static inline bool is_aligned(uint64_t n, uint64_t to)
{
	return align_down(n, to) == n;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* a + b, or false when it does not fit: for numbers that come from a caller, a file or a peer. */
static inline bool add_fits(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

#endif
