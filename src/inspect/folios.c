/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/folios.c - in what pieces a file's cached pages lie in memory, and on which nodes.
 *
 *	page of the file -> frame number        pagemap of a mapping of our own      root
 *	frame number     -> first or later part kpageflags, 8 bytes a frame          root
 *	page of the file -> node                move_pages that moves nothing        who may map it unseen
 *
 * A page must be in our page tables for the first and the third, so the stretches that are ready are mapped and
 * populated, a step at a time. MADV_RANDOM keeps read-ahead away should a page vanish just now; MADV_SEQUENTIAL before
 * the end makes the kernel forget that we used the pages (page-types in the kernel's tree does the same).
 */
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/align.h"
#include "base/error.h"
#include "inspect/look.h"
#include "inspect/presence.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/pagemap.h"
#include "sys/proc.h"

enum {
	STEP_PAGES = 4096,         /* 16 MiB: the calls are then below 1 % of populating */
	FOLIO_PAGES_LARGEST = 512, /* of the page cache: a huge page */
	NODES_A_CALL = 512,
};

/* Documentation/admin-guide/mm/pagemap.rst */
#define FRAME_OF(word) ((word) & ((UINT64_C(1) << 55) - 1))
#define FLAG_HEAD (UINT64_C(1) << 15)
#define FLAG_TAIL (UINT64_C(1) << 16)

/* A look at the placement of one file. */
struct placing {
	int fd;
	int pagemap; /* -1: frames are not told, or not asked for any more */
	int flags;   /* /proc/kpageflags */
	bool nodes;  /* ask for the node of each page */
	struct quire_folios *result;
	uint64_t words[STEP_PAGES];
	uint64_t frame_flags[STEP_PAGES + 2 * FOLIO_PAGES_LARGEST + 1];
};

static void fill(uint64_t *figures, size_t count, uint64_t value)
{
	for (size_t i = 0; i < count; i++)
		figures[i] = value;
}

static void refuse_folios(struct quire_folios *result, const char *why)
{
	fill(result->folio_pages, QUIRE_FOLIO_ORDERS, QUIRE_UNKNOWN);
	result->folios_why = why;
}

static void refuse_nodes(struct quire_folios *result, const char *why)
{
	fill(result->node_pages, QUIRE_FOLIO_NODES, QUIRE_UNKNOWN);
	result->nodes_why = why;
}

static void stop_folios(struct placing *p, const char *why)
{
	refuse_folios(p->result, why);
	if (p->pagemap >= 0)
		sys_close(p->pagemap);
	if (p->flags >= 0)
		sys_close(p->flags);
	p->pagemap = p->flags = -1;
}

/* Flags of the frames [low, high); those that do not exist have none. */
static int read_flags(struct placing *p, uint64_t low, uint64_t high)
{
	size_t bytes = (size_t)(high - low) * sizeof(uint64_t);
	ssize_t n;

	memset(p->frame_flags, 0, bytes);
	n = sys_pread(p->flags, p->frame_flags, bytes, low * sizeof(uint64_t));
	return n < 0 ? (int)n : 0;
}

static unsigned int order_of(uint64_t pages)
{
	unsigned int order = 0;

	while (order + 1 < QUIRE_FOLIO_ORDERS && UINT64_C(2) << order <= pages)
		order++;
	return order;
}

/* Neighbours in the file that are neighbours in memory: [first, end). The folios at both ends may reach further. */
static int count_folios(struct placing *p, uint64_t first, uint64_t end)
{
	uint64_t low = first, high = end + 1, next;
	int r = read_flags(p, low, high);

	if (r < 0)
		return r;
	if ((p->frame_flags[0] & FLAG_TAIL) != 0)
		low = align_down(first, FOLIO_PAGES_LARGEST);
	if ((p->frame_flags[end - first] & FLAG_TAIL) != 0)
		high = align_up(end, FOLIO_PAGES_LARGEST) + 1;
	if (low != first || high != end + 1)
		r = read_flags(p, low, high);
	if (r < 0)
		return r;

	for (uint64_t at = low; at < end; at = next) {
		next = at + 1;
		while (next < high && (p->frame_flags[next - low] & FLAG_TAIL) != 0)
			next++;
		if (next > first)
			p->result->folio_pages[order_of(next - at)] += min_u64(next, end) -
				(at < first ? first : at);
	}
	return 0;
}

static void place_frames(struct placing *p, uintptr_t at, size_t pages)
{
	long n = sys_pagemap_words(p->pagemap, at, p->words, pages);
	size_t next;
	int r = 0;

	if (n < 0 || (size_t)n != pages || FRAME_OF(p->words[0]) == 0) {
		stop_folios(p, "only root is told where in memory a page lies");
		return;
	}
	for (size_t i = 0; r == 0 && i < pages; i = next) {
		next = i + 1;
		while (next < pages && FRAME_OF(p->words[next]) == FRAME_OF(p->words[next - 1]) + 1)
			next++;
		if (FRAME_OF(p->words[i]) != 0) /* it was thrown out meanwhile */
			r = count_folios(p, FRAME_OF(p->words[i]), FRAME_OF(p->words[i]) + (next - i));
	}
	if (r < 0)
		stop_folios(p, "/proc/kpageflags cannot be read");
}

static void place_nodes(struct placing *p, uintptr_t at, size_t pages)
{
	uintptr_t where[NODES_A_CALL];
	int node[NODES_A_CALL];

	for (size_t done = 0; p->nodes && done < pages; done += NODES_A_CALL) {
		size_t n = (size_t)min_u64(pages - done, NODES_A_CALL);

		for (size_t i = 0; i < n; i++)
			where[i] = at + ((done + i) << PAGE_SHIFT);
		if (sys_page_nodes(0, n, where, node) < 0) {
			refuse_nodes(p->result, "the kernel does not tell the node of a page");
			p->nodes = false;
			return;
		}
		for (size_t i = 0; i < n; i++)
			if (node[i] >= 0)
				p->result->node_pages[min_u64((uint64_t)node[i], QUIRE_FOLIO_NODES - 1)]++;
	}
}

static int place_step(struct placing *p, uint64_t page, size_t pages)
{
	size_t bytes = pages << PAGE_SHIFT;
	uintptr_t at;
	/* A probe mapping. */
	int r = sys_mmap(0, bytes, PROT_READ, MAP_SHARED, p->fd, page << PAGE_SHIFT, &at);

	if (r < 0)
		return r;
	(void)sys_madvise(at, bytes, MADV_RANDOM);      /* of the probe mapping; a hint may be refused */
	r = sys_madvise(at, bytes, MADV_POPULATE_READ); /* of the probe mapping */
	if (r == 0) {
		p->result->pages += pages;
		if (p->pagemap >= 0)
			place_frames(p, at, pages);
		place_nodes(p, at, pages);
	}
	(void)sys_madvise(at, bytes, MADV_SEQUENTIAL); /* of the probe mapping; see above */
	(void)sys_munmap(at, bytes);                   /* a probe mapping of our own can be unmapped */
	return r == -ENOMEM ? r : 0;                   /* cut meanwhile: those pages are not there */
}

/* "0" or "0-3": is there a second node? A kernel without NUMA has no such file, and one node. */
static bool one_node(void)
{
	char text[64];

	return sys_read_small("/sys/devices/system/node/online", text, sizeof(text)) < 0 ||
		strcmp(text, "0\n") == 0 || strcmp(text, "0") == 0;
}

static void open_sources(struct placing *p)
{
	p->nodes = !one_node();
	p->flags = -1;
	p->pagemap = sys_open("/proc/self/pagemap", O_RDONLY, 0);
	if (p->pagemap >= 0)
		p->flags = sys_open("/proc/kpageflags", O_RDONLY, 0);
	if (p->flags < 0)
		stop_folios(p, "only root is told where in memory a page lies");
}

static int place_run(struct placing *p, const struct quire_run *run)
{
	for (uint64_t done = 0; done < run->pages; done += STEP_PAGES) {
		uint64_t n = min_u64(run->pages - done, STEP_PAGES);
		int r = 0;

		if (p->pagemap >= 0 || p->nodes)
			r = place_step(p, run->page + done, (size_t)n);
		else /* only their number is asked for */
			p->result->pages += n;
		if (r < 0)
			return r;
	}
	return 0;
}

static int place_runs(struct placing *p, const struct page_range *range)
{
	struct quire_runs *runs;
	struct quire_run run;
	int r = quire_runs_open(
		p->fd, range->first << PAGE_SHIFT, range->pages << PAGE_SHIFT, QUIRE_PAGE_READY, &runs);

	if (r < 0)
		return r;
	while ((r = quire_runs_next(runs, &run)) == 1) {
		r = (run.state & QUIRE_PAGE_READY) != 0 ? place_run(p, &run) : 0;
		if (r < 0)
			break;
	}
	quire_runs_close(runs);
	return r;
}

static int place(int fd, const struct page_range *range, struct quire_folios *result)
{
	struct placing *p = malloc(sizeof(*p));
	bool one;
	int r;

	if (p == NULL)
		return -ENOMEM;
	p->fd = fd;
	p->result = result;
	open_sources(p);
	one = !p->nodes;
	r = place_runs(p, range);
	if (one)
		result->node_pages[0] = result->pages;
	if (p->pagemap >= 0) {
		sys_close(p->pagemap);
		sys_close(p->flags);
	}
	free(p);
	return r;
}

int quire_folios_read(int fd, uint64_t offset, uint64_t length, struct quire_folios *folios)
{
	struct quire_folios found = { .folios_why = "", .nodes_why = "" };
	struct page_range range;
	struct look look;
	int r;

	if (folios == NULL || folios->size < sizeof(*folios))
		return error_set(-EINVAL, "quire_folios_read: folios.size is not set");
	error_clear();
	r = look_at(fd, &look);
	if (r < 0)
		return error_default(r, "the descriptor cannot be looked at");
	range = look_range(&look, offset, length);
	if (range.pages != 0 && !look.bits) {
		const char *why = look.why[0] != '\0' ? look.why
						      : "asking would change the file's access time";

		if (look.backing == QUIRE_BACKING_HUGETLBFS)
			why = "hugetlbfs has pages of its own";
		refuse_folios(&found, why);
		refuse_nodes(&found, why);
		found.pages = QUIRE_UNKNOWN;
	} else if (range.pages != 0) {
		r = place(fd, &range, &found);
	}
	if (r < 0)
		return error_default(r, "no memory for a look at the file's pages");
	found.size = folios->size;
	*folios = found;
	return 0;
}
