/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/bits.h - places of which each is free or taken, a bit each: of swap, of memory for transfers. They are handed out in
 * order, round and round, so that what is asked for together lies together. Whoever uses it locks it.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdint.h>

#define BITS_NONE UINT32_MAX

struct bits {
	uint64_t *words; /* bits_words(count) of them, zero: all are free */
	uint32_t count;
	uint32_t next;
};

static inline uint32_t bits_words(uint32_t count)
{
	return count / 64 + (count % 64 != 0);
}

/* The next free place, BITS_NONE when there is none. */
uint32_t bits_take(struct bits *bits);

/* Gives places [first, first + count) back. */
void bits_give(struct bits *bits, uint32_t first, uint32_t count);

#endif
