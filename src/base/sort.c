/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sort.h"

#include <assert.h>
#include <string.h>

/* Shell's sort: no recursion, so no stack either. */
void sort_in_place(void *items, size_t count, size_t item_bytes, bool (*before)(const void *a, const void *b))
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
