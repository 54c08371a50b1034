/* SPDX-License-Identifier: Apache-2.0 */
/*
 * count.h - lines, words and bytes, as wc counts them.
 *
 * Lines are newlines. Words are runs of anything but white space; but wc before coreutils 9.4 looks at printable
 * characters alone (in the C locale: 0x21 to 0x7e), and neither begins nor ends a word at any other byte. Which of the
 * two the machine's wc does is asked of it.
 */
#ifndef QUIRE_TOOL_COUNT_H
#define QUIRE_TOOL_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counts {
	uint64_t lines;
	uint64_t words;
	uint64_t bytes;
	bool printable_only; /* in: the older rule */
	bool in_word;        /* between two calls */
};

/* The next bytes. */
void counts_add(struct counts *counts, const void *bytes, size_t length);

/* What the machine's wc says of a file, in the C locale, and whether it follows the older rule; 0 or a negative
 * errno. -ENOENT: there is no wc. */
int counts_by_wc(const char *path, struct counts *counts);
int wc_is_printable_only(bool *printable_only);

#endif
