/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/presence.c - how much of a file is in memory. */
#include <errno.h>
#include <quire/inspect.h>
#include <stddef.h>

#include "base/align.h"
#include "base/error.h"

#include "inspect/look.h"
#include "inspect/presence.h"

static const char *why_not_opened(int error)
{
	switch (error) {
	case -ENOENT: return "there is no such file";
	case -EACCES:
	case -EPERM: return "this user may not read it";
	case -ENOTDIR: return "a part of its path is no directory";
	case -ELOOP: return "its symbolic links lead in a circle";
	case -ENAMETOOLONG: return "the name is longer than a name can be";
	case -EMFILE:
	case -ENFILE: return "too many files are open";
	default: return "the filesystem refused";
	}
}

int quire_presence_open(int directory, const char *path, int *fd)
{
	int r;

	if (path == NULL || fd == NULL)
		return error_set(-EINVAL, "a path and a place for the descriptor are needed");

	error_clear();
	r = look_open(directory, path, fd);
	if (r < 0)
		return error_default(r, "%s cannot be opened: %s", path, why_not_opened(r));
	return 0;
}

struct page_range look_range(const struct look *look, uint64_t offset, uint64_t length)
{
	struct page_range range = { .first = offset >> PAGE_SHIFT };
	uint64_t end = look->bytes;

	if (length <= look->bytes && offset <= look->bytes - length)
		end = offset + length;
	range.pages = (end >> PAGE_SHIFT) + ((end & (PAGE_BYTES - 1)) != 0);
	range.pages = range.pages > range.first ? range.pages - range.first : 0;
	return range;
}

static void know_nothing(struct quire_presence *presence)
{
	presence->cached = presence->ready = QUIRE_UNKNOWN;
	presence->dirty = presence->writing = QUIRE_UNKNOWN;
	presence->evicted = presence->evicted_recently = QUIRE_UNKNOWN;
}

/* Whoever asks about nothing gets zeros, whatever he may know. */
static void know_all_is_zero(struct quire_presence *presence)
{
	presence->cached = presence->ready = 0;
	presence->dirty = presence->writing = 0;
	presence->evicted = presence->evicted_recently = 0;
}

/* Huge pages are never dirty, written, dropped or read in: what the file holds is there. */
static void know_huge(
	const struct look *look, const struct page_range *range, struct quire_presence *presence)
{
	know_all_is_zero(presence);
	if (range->first != 0 || range->pages << PAGE_SHIFT < look->bytes)
		presence->cached = presence->ready = QUIRE_UNKNOWN;
	else
		presence->cached = presence->ready = min_u64(look->held_pages, range->pages);
	if (presence->cached == QUIRE_UNKNOWN)
		presence->why = "hugetlbfs tells how much a file holds, but not where";
}

static int know_counts(
	const struct look *look, const struct page_range *range, struct quire_presence *presence)
{
	struct sys_cachestat counts;
	int r = look_counts(look, range->first, range->pages, &counts);

	if (r < 0)
		return r;
	presence->moving |= presence->cached != QUIRE_UNKNOWN && presence->cached != counts.cached;
	presence->cached = counts.cached;
	presence->dirty = counts.dirty;
	presence->writing = counts.writeback;
	presence->evicted = counts.evicted;
	presence->evicted_recently = counts.recently_evicted;
	return 0;
}

/* What is ready is cached; so the cache is counted before and after, and the difference is no news when it moved. */
static int know_ready(
	const struct look *look, const struct page_range *range, struct quire_presence *presence)
{
	int64_t ready = look_ready(look, range->first, range->pages);
	int r = 0;

	if (ready < 0)
		return (int)ready;
	if (look->counts)
		r = know_counts(look, range, presence);
	if (look->counts && (uint64_t)ready > presence->cached) {
		presence->moving = 1;
		ready = (int64_t)presence->cached;
	}
	presence->ready = (uint64_t)ready;
	return r;
}

int presence_of(const struct look *look, const struct page_range *range, unsigned int flags,
	struct quire_presence *presence)
{
	int r = 0;

	presence->backing = look->backing;
	presence->moving = 0;
	presence->file_bytes = look->bytes;
	presence->pages = range->pages;
	presence->why = look->why;
	know_nothing(presence);

	if (range->pages == 0) {
		know_all_is_zero(presence);
		presence->why = "";
		return 0;
	}
	if (look->backing == QUIRE_BACKING_HUGETLBFS) {
		know_huge(look, range, presence);
		return 0;
	}

	if (look->counts)
		r = know_counts(look, range, presence);
	/* Where the kernel cannot count, what is ready is all that can be known of the cache. */
	if (r == 0 && look->bits && ((flags & QUIRE_PRESENCE_READY) != 0 || !look->counts))
		r = know_ready(look, range, presence);
	if (r == 0 && look->counts && !look->bits && (flags & QUIRE_PRESENCE_READY) != 0 &&
		presence->cached == 0)
		presence->ready = 0;
	if (presence->ready == QUIRE_UNKNOWN && (flags & QUIRE_PRESENCE_READY) != 0 && *presence->why == '\0')
		presence->why = "asking which pages are ready would change the file's access time";
	return r;
}

int presence_quick(int fd, const struct stat *stat, uint32_t backing, bool quiet, bool counts,
	struct quire_presence *presence)
{
	struct look look;
	struct page_range range;
	bool plain = counts && backing != QUIRE_BACKING_OVERLAY && backing != QUIRE_BACKING_HUGETLBFS &&
		backing != QUIRE_BACKING_DAX && stat->st_size > 0;

	if (plain) {
		look = (struct look){
			.fd = fd,
			.backing = backing,
			.bytes = (uint64_t)stat->st_size,
			.counts = true,
			.why = "",
		};
		range = look_range(&look, 0, QUIRE_UNKNOWN);
		if (presence_of(&look, &range, 0, presence) == 0)
			return 0;
	}
	look_know(fd, stat, backing, quiet, &look);
	range = look_range(&look, 0, QUIRE_UNKNOWN);
	return presence_of(&look, &range, 0, presence);
}

int quire_presence_read(
	int fd, uint64_t offset, uint64_t length, unsigned int flags, struct quire_presence *presence)
{
	struct quire_presence found;
	struct page_range range;
	struct look look;
	int r;

	if (presence == NULL || presence->size < sizeof(*presence))
		return error_set(-EINVAL, "quire_presence_read: presence.size is not set");
	if ((flags & ~(unsigned int)QUIRE_PRESENCE_READY) != 0)
		return error_set(-EINVAL, "quire_presence_read: unknown flags %#x", flags);

	error_clear();
	r = look_at(fd, &look);
	if (r == 0) {
		range = look_range(&look, offset, length);
		found.size = presence->size;
		r = presence_of(&look, &range, flags, &found);
	}
	if (r < 0)
		return error_default(r, "the descriptor cannot be looked at");
	*presence = found;
	return 0;
}
