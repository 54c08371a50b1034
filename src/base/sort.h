/* SPDX-License-Identifier: Apache-2.0 */
/* base/sort.h - sorting without memory: qsort() may allocate, which a signal handler must not. */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stdbool.h>
#include <stddef.h>

enum { SORT_ITEM_MAX = 64 };

/* Items of at most SORT_ITEM_MAX bytes. Not stable; n^1.3 for the few hundred items of a batch. */
void sort_in_place(
	void *items, size_t count, size_t item_bytes, bool (*before)(const void *a, const void *b));

#endif
