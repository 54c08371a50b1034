/* SPDX-License-Identifier: Apache-2.0 */
/* tests/inspect/ground.h - files in known states of the cache, and the kernel's own word on each page. */
#ifndef TESTS_INSPECT_GROUND_H
#define TESTS_INSPECT_GROUND_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/align.h"

#define GROUND "/var/tmp" /* a disk: /tmp may be tmpfs, whose pages cannot be dropped */

/* A file without a name, of so many pages with bytes; open for reading and writing, without access times. */
static inline int ground_file(uint64_t pages)
{
	static char block[1 << 20];
	char name[] = GROUND "/quire-test-XXXXXX";
	int fd = mkostemp(name, O_NOATIME | O_CLOEXEC);
	uint64_t left = pages << PAGE_SHIFT;

	if (fd < 0)
		return fd;
	(void)unlink(name);
	memset(block, 'q', sizeof(block));
	while (left > 0) {
		ssize_t n = write(fd, block, left < sizeof(block) ? left : sizeof(block));

		if (n <= 0)
			abort();
		left -= (uint64_t)n;
	}
	return fd;
}

/* Drops pages that are clean; a large folio is dropped whole or not at all, so ask the kernel afterwards. */
static inline void ground_drop_clean(int fd, uint64_t page, uint64_t pages)
{
	(void)posix_fadvise(
		fd, (off_t)(page << PAGE_SHIFT), (off_t)(pages << PAGE_SHIFT), POSIX_FADV_DONTNEED);
}

/* The same of pages that were written: a flush of the device, so not for each page of many. */
static inline void ground_drop(int fd, uint64_t page, uint64_t pages)
{
	(void)fdatasync(fd);
	ground_drop_clean(fd, page, pages);
}

/* One byte a page, by one mincore over everything: slow, and right for the owner. To be freed. */
static inline unsigned char *ground_truth(int fd, uint64_t pages)
{
	unsigned char *bits = malloc(pages);
	void *at = mmap(NULL, pages << PAGE_SHIFT, PROT_READ, MAP_SHARED, fd, 0);

	if (bits == NULL || at == MAP_FAILED || mincore(at, pages << PAGE_SHIFT, bits) != 0)
		abort();
	(void)munmap(at, pages << PAGE_SHIFT);
	for (uint64_t i = 0; i < pages; i++)
		bits[i] &= 1;
	return bits;
}

/* cachestat's count of a file, around the library. */
static inline uint64_t ground_count(int fd)
{
	uint64_t range[2] = { 0, 0 }, counts[5] = { 0 };

	return syscall(451, fd, range, counts, 0) == 0 ? counts[0] : UINT64_MAX;
}

#endif
