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

/*
 * Private pages of [start, end) written since they were last asked for, as up to `room` ranges; with rearm they count as
 * unwritten from then on, page by page at the moment each is looked at. Returns the number of ranges; *next: where to go on
 * (end: all was seen).
 */
long sys_written_pages(int pagemap, uintptr_t start, uintptr_t end, int rearm, struct page_region *ranges,
	size_t room, uintptr_t *next);

/* One 64-bit word a page (Documentation/admin-guide/mm/pagemap.rst). Returns the number of words. */
long sys_pagemap_words(int pagemap, uintptr_t start, uint64_t *words, size_t count);

#endif
