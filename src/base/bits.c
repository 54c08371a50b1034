/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bits.h"

#include <assert.h>

enum { WORD_BITS = 64 };

uint32_t bits_take(struct bits *bits)
{
	uint32_t words = bits_words(bits->count);
	uint64_t from = UINT64_MAX << bits->next %
			WORD_BITS; /* of the first word; and at last all of it once more */

	for (uint32_t n = 0; n < words + (words > 0); n++, from = UINT64_MAX) {
		uint32_t word = (bits->next / WORD_BITS + n) % words;
		uint64_t candidates = ~bits->words[word] & from;
		uint64_t place;

		if (candidates == 0)
			continue;
		place = (uint64_t)word * WORD_BITS + (uint64_t)__builtin_ctzll(candidates);
		if (place >= bits->count)
			continue;
		bits->words[word] |= (uint64_t)1 << place % WORD_BITS;
		bits->next = (uint32_t)(place + 1) % bits->count;
		return (uint32_t)place;
	}
	return BITS_NONE;
}

void bits_give(struct bits *bits, uint32_t first, uint32_t count)
{
	for (; count > 0; first++, count--) {
		assert((bits->words[first / WORD_BITS] >> first % WORD_BITS & 1) == 1);
		bits->words[first / WORD_BITS] &= ~((uint64_t)1 << first % WORD_BITS);
	}
}
