/* SPDX-License-Identifier: Apache-2.0 */
/* base/sort.h - sorting without memory: qsort() may allocate, which a signal handler must not. */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { SORT_ITEM_MAX = 64 };

/* Items of at most SORT_ITEM_MAX bytes. Not stable; n^1.3 for the few hundred items of a batch. Shell's sort: no recursion, so
 * no stack either. Inline, so that a size and an order that the compiler knows cost no calls. */
static inline void sort_in_place(
	void *items, size_t count, size_t item_bytes, bool (*before)(const void *a, const void *b))
{
	char *base = items;
	char item[SORT_ITEM_MAX];

	assert(item_bytes <= SORT_ITEM_MAX);
	for (size_t gap = count / 2; gap > 0; gap /= 2)
		for (size_t i = gap; i < count; i++) {
			size_t j = i;

			memcpy(item, base + i * item_bytes, item_bytes);
			for (; j >= gap && before(item, base + (j - gap) * item_bytes); j -= gap)
				memcpy(base + j * item_bytes, base + (j - gap) * item_bytes, item_bytes);
			memcpy(base + j * item_bytes, item, item_bytes);
		}
}

#endif
