/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/track.h"

#include <errno.h>
#include <fcntl.h>

#include "base/align.h"
#include "base/error.h"
#include "sys/file.h"
#include "sys/pagemap.h"
#include "sys/probe.h"
#include "sys/uapi.h"
#include "sys/userfaultfd.h"

enum { RANGES_AT_ONCE = 128, WORDS_AT_ONCE = 512 };

#define WORD_OF_FILE ((uint64_t)1 << 61)
#define WORD_SWAPPED ((uint64_t)1 << 62)
#define WORD_PRESENT ((uint64_t)1 << 63)

int track_open(struct track *track, bool whole)
{
	uint64_t features;

	track->uffd = -1;
	track->whole = whole;
	track->exact = false;
	track->pagemap = sys_open("/proc/self/pagemap", O_RDONLY, 0);
	if (track->pagemap < 0)
		return error_set(
			track->pagemap, "/proc/self/pagemap cannot be opened: written pages cannot be found");
	if (!sys_has(PROBE_UFFD_WP_ASYNC) || !sys_has(PROBE_PAGEMAP_SCAN))
		return 0;

	/* User faults only: the kernel lifts the protection by itself for either, and this one needs no privilege. */
	track->uffd = sys_userfaultfd(true, UFFD_FEATURE_WP_ASYNC, &features);
	track->exact = track->uffd >= 0;
	return 0;
}

void track_close(struct track *track)
{
	if (track->uffd > 0)
		sys_close(track->uffd);
	if (track->pagemap > 0)
		sys_close(track->pagemap);
	track->uffd = track->pagemap = -1;
}

const char *track_name(const struct track *track)
{
	return track->exact ? "wp-async" : "pagemap";
}

/* What found could not take is written as before: the next harvest reports it. */
static int put_back(const struct track *track, const struct page_region *ranges, long count, int error)
{
	int r = 0;

	for (long i = 0; r == 0 && i < count; i++)
		r = sys_uffd_write_protect(
			track->uffd, ranges[i].start, ranges[i].end - ranges[i].start, false);
	return r < 0 ? -EIO : error;
}

static int harvest_written(
	const struct track *track, const struct pmap_span *span, track_found_fn *found, void *user)
{
	struct page_region ranges[RANGES_AT_ONCE];
	uintptr_t at[2] = { span->start, span->end };

	while (at[0] < at[1]) {
		long n = sys_written_pages(track->pagemap, at, track->whole ? WRITTEN_ARMED : WRITTEN_PRIVATE,
			ranges, ARRAY_COUNT(ranges), &at[0]);

		if (n < 0)
			return n == -ENOMEM ? -EIO : (int)n; /* what was armed before that is not known */
		for (long i = 0; i < n; i++) {
			const struct pmap_span pages = { ranges[i].start, ranges[i].end };
			int r = found(user, &pages);

			if (r < 0)
				return put_back(track, ranges + i, n - i, r);
		}
	}
	return 0;
}

static int found_unarmed(void *user, const struct pmap_span *pages)
{
	(void)user;
	(void)pages;
	return 0;
}

int track_arm(struct track *track, const struct pmap_span *span)
{
	int r;

	if (!track->exact)
		return 0;
	r = sys_track_writes(track->uffd, span->start, span->end);
	if (r == 0 && track->whole)
		r = harvest_written(track, span, found_unarmed, NULL);
	return r;
}

static int harvest_private(
	const struct track *track, const struct pmap_span *span, track_found_fn *found, void *user)
{
	uint64_t words[WORDS_AT_ONCE];
	uintptr_t at = span->start;

	while (at < span->end) {
		size_t want = min_u64(ARRAY_COUNT(words), (span->end - at) >> PAGE_SHIFT);
		long n = sys_pagemap_words(track->pagemap, at, words, want);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		for (long i = 0; i < n; i++, at += PAGE_BYTES) {
			const struct pmap_span page = { at, at + PAGE_BYTES };
			int r = 0;

			if ((words[i] & (WORD_PRESENT | WORD_SWAPPED)) != 0 && (words[i] & WORD_OF_FILE) == 0)
				r = found(user, &page);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int track_harvest(struct track *track, const struct pmap_span *span, track_found_fn *found, void *user)
{
	return track->exact ? harvest_written(track, span, found, user)
			    : harvest_private(track, span, found, user);
}
