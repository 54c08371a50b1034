/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/keep.c - bringing a file's pages in and throwing them out, and looking whether it happened.
 *
 * In: reading ahead (fadvise, readahead) only starts reading, and cachestat counts a page before its bytes are there,
 * so who polls it ends at half time. Populating a mapping waits for every page and reports what cannot be read.
 * Out: fadvise drops neither mapped nor dirty pages and returns 0 all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <sys/mman.h>

#include "base/align.h"
#include "base/error.h"
#include "inspect/look.h"
#include "inspect/presence.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/proc.h"

/*
 * Faults read ahead around themselves as far as the disk is set to: 128 KiB here, 8 MiB there. Of less than this, more
 * would come than was asked for; more than this pays for the large folios that read-ahead makes (0.01 s instead of
 * 0.16 s to map 1 GiB of them later).
 */
#define EXACT_PAGES (UINT64_C(16) << 20 >> PAGE_SHIFT)
#define ASK_PAGES (UINT64_C(128) << 10 >> PAGE_SHIFT) /* the kernel's default limit of what one hint brings */

/* How often pages that were thrown out while others came in are fetched again before we call memory short. */
#define TRIES 3

/* Populating says "fault" for everything; a read of that page says what it is. */
static int explain_fault(int fd, uint64_t first, uint64_t pages)
{
	char byte;

	for (uint64_t page = first; page < first + pages; page++) {
		ssize_t n = sys_pread(fd, &byte, 1, page << PAGE_SHIFT);

		if (n < 0)
			return error_set((int)n, "the page at offset %llu cannot be read",
				(unsigned long long)page << PAGE_SHIFT);
		if (n == 0)
			return error_set(-ENODATA, "the file was cut to less than %llu bytes",
				(unsigned long long)page << PAGE_SHIFT);
	}
	return -EAGAIN;
}

static void start_reading(int fd, uint64_t page, uint64_t pages)
{
	for (uint64_t done = 0; done < pages; done += ASK_PAGES) /* a hint may be refused: faults read, too */
		(void)sys_fadvise(fd, (page + done) << PAGE_SHIFT,
			min_u64(ASK_PAGES, pages - done) << PAGE_SHIFT, POSIX_FADV_WILLNEED);
}

static int populate(int fd, uint64_t page, uint64_t pages)
{
	uintptr_t at;
	/* A probe mapping: its faults bring the pages in, and tell what cannot be brought. */
	int r = sys_mmap(0, pages << PAGE_SHIFT, PROT_READ, MAP_SHARED, fd, page << PAGE_SHIFT, &at);

	if (r < 0)
		return r;
	if (pages < EXACT_PAGES)
		start_reading(fd, page, pages);
	do /* on the probe mapping */
		r = sys_madvise(at, pages << PAGE_SHIFT, MADV_POPULATE_READ);
	while (r == -EINTR || r == -EAGAIN);
	(void)sys_munmap(at, pages << PAGE_SHIFT); /* a probe mapping of our own can be unmapped */
	return r == -EFAULT ? explain_fault(fd, page, pages) : r;
}

/* Only what is not cached, run by run. */
static int populate_missing(int fd, const struct page_range *range)
{
	struct quire_runs *runs;
	struct quire_run run;
	int r = quire_runs_open(fd, range->first << PAGE_SHIFT, range->pages << PAGE_SHIFT, 0, &runs);

	if (r < 0)
		return populate(fd, range->first, range->pages);
	while ((r = quire_runs_next(runs, &run)) == 1) {
		r = (run.state & QUIRE_PAGE_CACHED) != 0 ? 0 : populate(fd, run.page, run.pages);
		if (r < 0)
			break;
	}
	quire_runs_close(runs);
	return r;
}

/* Waits until every page is there with its bytes. */
static int bring(const struct look *look, const struct page_range *range, bool missing_only)
{
	for (int i = 0; i < TRIES; i++) {
		int64_t ready;
		int r = missing_only && i == 0 ? populate_missing(look->fd, range)
					       : populate(look->fd, range->first, range->pages);

		if (r < 0 && r != -EAGAIN)
			return r;
		ready = look_ready(look, range->first, range->pages);
		if (ready < 0 || (uint64_t)ready == range->pages)
			return ready < 0 ? (int)ready : 0;
	}
	return error_set(-EAGAIN, "pages were thrown out as fast as they came in: memory is short");
}

int quire_presence_touch(int fd, uint64_t offset, uint64_t length, unsigned int flags, uint64_t *brought)
{
	struct sys_cachestat before = { .cached = 0 };
	struct page_range range;
	struct look look;
	int r;

	if ((flags & ~(unsigned int)QUIRE_TOUCH_MISSING) != 0)
		return error_set(-EINVAL, "quire_presence_touch: unknown flags %#x", flags);
	error_clear();
	r = look_at(fd, &look);
	if (r < 0)
		return error_default(r, "the descriptor cannot be looked at");
	range = look_range(&look, offset, length);
	if (range.pages == 0)
		goto nothing_to_do;

	if (!look.bits) {
		/* Mapping would set the access time, and nobody tells us when the pages are there. */
		r = sys_fadvise(
			fd, range.first << PAGE_SHIFT, range.pages << PAGE_SHIFT, POSIX_FADV_WILLNEED);
		if (r < 0)
			return error_default(r, "reading could not be started");
		if (brought != NULL)
			*brought = QUIRE_UNKNOWN;
		return 0;
	}

	if (look.counts)
		r = look_counts(&look, range.first, range.pages, &before);
	if (r == 0 && look.counts && (flags & QUIRE_TOUCH_MISSING) != 0 && before.cached == range.pages)
		goto nothing_to_do;
	if (r == 0)
		r = bring(&look, &range, (flags & QUIRE_TOUCH_MISSING) != 0);
	if (r < 0)
		return error_default(r,
			r == -ENODEV
				? "its filesystem does not let the file be mapped: it has no pages to bring in"
				: "the file cannot be brought into memory");
	if (brought != NULL)
		*brought = look.counts ? (range.pages - min_u64(before.cached, range.pages)) << PAGE_SHIFT
				       : QUIRE_UNKNOWN;
	return 0;

nothing_to_do:
	if (brought != NULL)
		*brought = 0;
	return 0;
}

static void count_kept(const struct sys_cachestat *before, const struct sys_cachestat *after,
	struct quire_eviction *eviction)
{
	eviction->wanted = before->cached;
	eviction->gone = before->cached - min_u64(before->cached, after->cached);
	eviction->kept_dirty = min_u64(after->dirty + after->writeback, after->cached);
	eviction->kept = after->cached - eviction->kept_dirty;
}

int quire_presence_evict(int fd, uint64_t offset, uint64_t length, int sync, struct quire_eviction *eviction)
{
	struct sys_cachestat before = { .cached = 0 }, after = { .cached = 0 };
	struct page_range range;
	struct look look;
	int r;

	if (eviction == NULL || eviction->size < sizeof(*eviction))
		return error_set(-EINVAL, "quire_presence_evict: eviction.size is not set");
	error_clear();
	r = look_at(fd, &look);
	if (r < 0)
		return error_default(r, "the descriptor cannot be looked at");

	eviction->wanted = eviction->gone = eviction->kept_dirty = eviction->kept = 0;
	range = look_range(&look, offset, length);
	if (range.pages == 0)
		return 0;
	if (look.counts)
		r = look_counts(&look, range.first, range.pages, &before);
	if (r == 0 && sync != 0)
		r = sys_fdatasync(fd);
	/* Length 0 is to the end, behind the last page of the file too: otherwise a part of it would stay. */
	if (r == 0)
		r = sys_fadvise(fd, offset,
			range.first + range.pages == (look.bytes + PAGE_BYTES - 1) >> PAGE_SHIFT ? 0 : length,
			POSIX_FADV_DONTNEED);
	if (r == 0 && look.counts)
		r = look_counts(&look, range.first, range.pages, &after);
	if (r < 0)
		return error_default(r, "the pages cannot be dropped");

	if (look.counts)
		count_kept(&before, &after, eviction);
	else
		eviction->wanted = eviction->gone = eviction->kept_dirty = eviction->kept = QUIRE_UNKNOWN;
	return 0;
}
