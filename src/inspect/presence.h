/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/presence.h - the figures of one file, for the other parts of inspect. */
#ifndef INSPECT_PRESENCE_H
#define INSPECT_PRESENCE_H

#include <stdint.h>

#include "inspect/look.h"

struct quire_presence;

/* Pages of a file: [first, first + pages). */
struct page_range {
	uint64_t first;
	uint64_t pages;
};

/* The pages that a range of bytes touches, none behind the end of the file. */
struct page_range look_range(const struct look *look, uint64_t offset, uint64_t length);

/* Fills all of presence but its size. */
int presence_of(const struct look *look, const struct page_range *range, unsigned int flags,
	struct quire_presence *presence);

/* The same for a whole file of a known filesystem, in one system call where that is possible: for long walks. counts: this
 * kernel has cachestat. */
int presence_quick(int fd, const struct stat *stat, uint32_t backing, bool quiet, bool counts,
	struct quire_presence *presence);

#endif
