/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/pagemap.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "sys/file.h"
#include "sys/uapi.h"

enum { PAGE_SHIFT_OF_KERNEL = 12 };

int sys_track_writes(int uffd, uintptr_t start, uintptr_t end)
{
	struct uffdio_register range = {
		.range = { .start = start, .len = end - start },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &range) < 0 ? -errno : 0;
}

int sys_untrack_writes(int uffd, uintptr_t start, uintptr_t end)
{
	struct uffdio_range range = { .start = start, .len = end - start };

	return ioctl(uffd, UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

long sys_written_pages(int pagemap, uintptr_t start, uintptr_t end, int rearm, struct page_region *ranges,
	size_t room, uintptr_t *next)
{
	/* A private copy is there and no page of the file, so that "written and not of the file" needs no arming
	 * beforehand: a page that was only read stays a page of the file. "There" has to be asked for: the kernel calls a
	 * page that nobody has touched written, too. */
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = rearm ? PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC : 0,
		.start = start,
		.end = end,
		.vec = (uintptr_t)ranges,
		.vec_len = room,
		.category_inverted = PAGE_IS_FILE,
		.category_mask = PAGE_IS_FILE | PAGE_IS_WRITTEN,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_WRITTEN,
	};
	long n;

	do
		n = ioctl(pagemap, PAGEMAP_SCAN, &scan);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*next = (uintptr_t)scan.walk_end;
	return n;
}

long sys_pagemap_words(int pagemap, uintptr_t start, uint64_t *words, size_t count)
{
	ssize_t n = sys_pread(
		pagemap, words, count * sizeof(*words), (start >> PAGE_SHIFT_OF_KERNEL) * sizeof(*words));

	return n < 0 ? (long)n : n / (long)sizeof(*words);
}
