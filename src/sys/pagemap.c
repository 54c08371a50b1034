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

long sys_written_pages(int pagemap, const uintptr_t range[2], enum written_how how,
	struct page_region *ranges, size_t room, uintptr_t *next)
{
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = how == WRITTEN_KEPT ? 0 : PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = range[0],
		.end = range[1],
		.vec = (uintptr_t)ranges,
		.vec_len = room,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	long n;

	if (how == WRITTEN_PRIVATE) {
		scan.category_mask |= PAGE_IS_FILE;
		scan.category_inverted = PAGE_IS_FILE;
		scan.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
	}
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
