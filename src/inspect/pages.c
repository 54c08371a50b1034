/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/pages.c - the page tables of a process, as runs of equal pages.
 *
 * PAGEMAP_SCAN (Linux 6.7) returns runs; before it, pagemap is 8 bytes a page, of which no bit says "huge" or "zero
 * page", so those states are then never set and quire_pages_known() says so.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"

#include "sys/file.h"
#include "sys/probe.h"
#include "sys/proc.h"

enum {
	REGIONS = 512,  /* 12 KiB; a call costs less than 1 % of walking the pages of so many runs */
	ENTRIES = 2048, /* 16 KiB of the old interface: 8 MiB of addresses */
};

struct quire_pages {
	int fd;
	bool scans;    /* the new interface */
	uint64_t at;   /* handed out so far */
	uint64_t seen; /* looked at so far */
	uint64_t end;
	size_t used;
	size_t taken;
	struct quire_run pending;
	struct quire_run runs[ENTRIES]; /* pieces of [at, seen) that are not empty */
	union {
		struct page_region regions[REGIONS];
		uint64_t entries[ENTRIES];
	} raw;
};

#define SCANNED (PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_FILE | PAGE_IS_PFNZERO | PAGE_IS_HUGE)

static uint32_t state_of_scan(uint64_t categories)
{
	uint32_t state = 0;

	state |= (categories & PAGE_IS_PRESENT) != 0 ? QUIRE_PAGE_PRESENT : 0U;
	state |= (categories & PAGE_IS_SWAPPED) != 0 ? QUIRE_PAGE_SWAPPED : 0U;
	state |= (categories & PAGE_IS_FILE) != 0 ? QUIRE_PAGE_FILE : 0U;
	state |= (categories & PAGE_IS_PFNZERO) != 0 ? QUIRE_PAGE_ZERO : 0U;
	state |= (categories & PAGE_IS_HUGE) != 0 ? QUIRE_PAGE_HUGE : 0U;
	return state;
}

/* Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 62 swapped, 61 file or shared anonymous. */
static uint32_t state_of_entry(uint64_t entry)
{
	uint32_t state = 0;

	state |= entry >> 63 != 0 ? QUIRE_PAGE_PRESENT : 0U;
	state |= (entry >> 62 & 1) != 0 ? QUIRE_PAGE_SWAPPED : 0U;
	state |= state != 0 && (entry >> 61 & 1) != 0 ? QUIRE_PAGE_FILE : 0U;
	return state;
}

static void add(struct quire_pages *pages, uint64_t page, uint64_t count, uint32_t state)
{
	if (state == 0)
		return;
	assert(pages->used < ENTRIES);
	pages->runs[pages->used++] = (struct quire_run){ .page = page, .pages = count, .state = state };
}

static int scan(struct quire_pages *pages)
{
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = pages->seen << PAGE_SHIFT,
		.end = pages->end << PAGE_SHIFT,
		.vec = (uintptr_t)pages->raw.regions,
		.vec_len = REGIONS,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = SCANNED,
	};
	int n = sys_pagemap_scan(pages->fd, &scan);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		const struct page_region *region = &pages->raw.regions[i];

		add(pages, region->start >> PAGE_SHIFT, (region->end - region->start) >> PAGE_SHIFT,
			state_of_scan(region->categories));
	}
	/* A process that ends meanwhile has no pages any more. */
	pages->seen = n == 0 || scan.walk_end >> PAGE_SHIFT <= pages->seen ? pages->end
									   : scan.walk_end >> PAGE_SHIFT;
	return 0;
}

static int read_entries(struct quire_pages *pages)
{
	size_t wanted = (size_t)min_u64(ENTRIES, pages->end - pages->seen);
	ssize_t n = sys_pread(
		pages->fd, pages->raw.entries, wanted * sizeof(uint64_t), pages->seen * sizeof(uint64_t));

	if (n < 0)
		return (int)n;
	for (size_t i = 0; i < (size_t)n / sizeof(uint64_t); i++)
		add(pages, pages->seen + i, 1, state_of_entry(pages->raw.entries[i]));
	pages->seen = n == 0 ? pages->end : pages->seen + (size_t)n / sizeof(uint64_t);
	return 0;
}

static int look_further(struct quire_pages *pages)
{
	int r;

	pages->used = pages->taken = 0;
	r = pages->scans ? scan(pages) : -ENOTTY;
	if (r == -ENOTTY || r == -EINVAL) { /* this kernel has no PAGEMAP_SCAN */
		pages->scans = false;
		r = read_entries(pages);
	}
	return r;
}

/* The next piece, an empty one where nothing is; 0 at the end. */
static int next_piece(struct quire_pages *pages, struct quire_run *piece)
{
	uint64_t next;

	while (pages->taken == pages->used && pages->at == pages->seen && pages->seen < pages->end) {
		int r = look_further(pages);

		if (r < 0)
			return r;
	}
	if (pages->at == pages->end)
		return 0;

	next = pages->taken < pages->used ? pages->runs[pages->taken].page : pages->seen;
	if (next > pages->at)
		*piece = (struct quire_run){ .page = pages->at, .pages = next - pages->at };
	else
		*piece = pages->runs[pages->taken++];
	pages->at = piece->page + piece->pages;
	return 1;
}

int quire_pages_next(struct quire_pages *pages, struct quire_run *run)
{
	struct quire_run piece = { .pages = 0 };
	int r;

	if (pages == NULL || run == NULL)
		return error_set(-EINVAL, "quire_pages_next: no handle");

	for (;;) {
		r = next_piece(pages, &piece);
		if (r < 0)
			return error_set(r, "the kernel stopped telling about this process");
		if (r == 1 && pages->pending.pages != 0 && pages->pending.state == piece.state) {
			pages->pending.pages += piece.pages;
			continue;
		}
		if (r == 0 || pages->pending.pages != 0)
			break;
		pages->pending = piece;
	}
	if (pages->pending.pages == 0)
		return 0;
	*run = pages->pending;
	pages->pending = r == 1 ? piece : (struct quire_run){ .pages = 0 };
	return 1;
}

unsigned int quire_pages_known(const struct quire_pages *pages)
{
	unsigned int always = QUIRE_PAGE_PRESENT | QUIRE_PAGE_SWAPPED | QUIRE_PAGE_FILE;

	if (pages == NULL)
		return 0;
	return pages->scans ? always | QUIRE_PAGE_ZERO | QUIRE_PAGE_HUGE : always;
}

int quire_pages_open(int pid, uint64_t address, uint64_t length, struct quire_pages **pages)
{
	struct pm_scan_arg nothing = { .size = sizeof(nothing) };
	struct quire_pages *new;
	char path[40];
	int fd;

	if (pages == NULL || pid < 0 || length > UINT64_MAX - address)
		return error_set(-EINVAL, "quire_pages_open: no such range");
	if (pid == 0)
		(void)snprintf(path, sizeof(path), "/proc/self/pagemap");
	else
		(void)snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = sys_open(path, O_RDONLY, 0);
	if (fd < 0)
		return error_set(fd == -ENOENT ? -ESRCH : fd,
			fd == -EACCES || fd == -EPERM
				? "the kernel does not show the pages of process %d to this user"
				: "there is no process %d",
			pid);

	new = malloc(sizeof(*new));
	if (new == NULL) {
		sys_close(fd);
		return error_set(-ENOMEM, "no memory for the pages of a process");
	}
	new->fd = fd;
	new->scans = sys_pagemap_scan(fd, &nothing) != -ENOTTY && !sys_probe(PROBE_PAGEMAP_SCAN).masked;
	new->at = new->seen = address >> PAGE_SHIFT;
	new->end = length == 0 ? new->at : ((address + length - 1) >> PAGE_SHIFT) + 1;
	new->used = new->taken = 0;
	new->pending = (struct quire_run){ .pages = 0 };
	*pages = new;
	return 0;
}

void quire_pages_close(struct quire_pages *pages)
{
	if (pages == NULL)
		return;
	sys_close(pages->fd);
	free(pages);
}
