/* SPDX-License-Identifier: Apache-2.0 */
/* sys/pagemap.h - which pages of our own were written: userfaultfd's asynchronous write-protection, and /proc/self/pagemap. */
#ifndef SYS_PAGEMAP_H
#define SYS_PAGEMAP_H

#include <stddef.h>
#include <stdint.h>

struct page_region;

/* Stores to [start, end) are noted from now on. -EINVAL: not this kind of memory, or not this kernel. */
int sys_track_writes(int uffd, uintptr_t start, uintptr_t end);
int sys_untrack_writes(int uffd, uintptr_t start, uintptr_t end);

/* Which pages sys_written_pages() looks for. */
enum written_how {
	/* Written, there, and no page of the file. Needs no arming: a private copy is a page that was written once. The kernel
	 * looks at each page's kind: 8 to 22 ns a page. */
	WRITTEN_PRIVATE,
	/* Written and nothing else: the kernel has a fast path for it (1.5 ns a page). But a page that nobody has touched
	 * counts as written, so all of the range has to be armed before, once. */
	WRITTEN_ARMED,
	/* As WRITTEN_ARMED, and asking changes nothing: they count as written still. */
	WRITTEN_KEPT,
};

/*
 * Pages of [start, end) written since they were last asked for, as up to `room` ranges; but for WRITTEN_KEPT they count as
 * unwritten from then on, page by page at the moment each is looked at. Returns the number of ranges; *next: where to go on (end: all was seen).
 */
long sys_written_pages(int pagemap, const uintptr_t range[2], enum written_how how,
	struct page_region *ranges, size_t room, uintptr_t *next);

/* One 64-bit word a page (Documentation/admin-guide/mm/pagemap.rst). Returns the number of words. */
long sys_pagemap_words(int pagemap, uintptr_t start, uint64_t *words, size_t count);

#endif
