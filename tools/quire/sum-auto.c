/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum-auto.c - looks at the page cache first, and takes the way that is fastest for what it sees.
 *
 * Bytes in order: a part that is in the cache is read through it; a part that is not is fetched past it with many reads
 * in flight. Random blocks: through the pointers when they are cached, with many reads in flight when they are not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sum.h"

/* Looked at one by one, because a file may be half cached; large, so that looking costs nothing beside reading. */
static const uint64_t window_bytes = 64 << 20;

/* Where a quarter is cached, reading through the cache wins: a cached page costs a sixth of one from a fast disk, and
 * the device is kept nearly as busy by read-ahead. */
static const double warm_from = 0.25;

static bool is_warm(const struct sum *sum, uint64_t first, uint64_t end)
{
	double cached = sum_residency(sum, first, end);

	return cached < 0 || cached >= warm_from;
}

static uint64_t window_end(uint64_t first, uint64_t end)
{
	return end - first < window_bytes ? end : first + window_bytes;
}

/* The end of the run of windows that are as warm as the first. */
static uint64_t run_end(const struct sum *sum, uint64_t first, uint64_t end, bool warm)
{
	uint64_t at = window_end(first, end);

	while (at < end && is_warm(sum, at, window_end(at, end)) == warm)
		at = window_end(at, end);
	return at;
}

/* Many in flight; where a sandbox forbids io_uring, one at a time; where the filesystem forbids that, the cache. */
static int cold_stream(struct sum *sum, uint64_t first, uint64_t end)
{
	static const struct sum_method *const ways[] = { &sum_by_uring, &sum_by_direct, &sum_by_read };
	uint64_t summed = sum->digest.bytes;
	int r = 0;

	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		r = ways[i]->stream(sum, first, end);
		if (r == 0 || sum->digest.bytes != summed)
			break;
	}
	return r;
}

static void explain(struct sum *sum, uint64_t cold_bytes)
{
	uint64_t bytes = sum->digest.bytes;

	if (cold_bytes == 0)
		snprintf(sum->why, sizeof(sum->why), "it is in the page cache: read through it");
	else if (cold_bytes == bytes)
		snprintf(sum->why, sizeof(sum->why),
			"it is not in the page cache: many reads in flight, past it");
	else
		snprintf(sum->why, sizeof(sum->why),
			"%s of it were read through the page cache, the other %s with many reads in flight, past it",
			text_bytes(bytes - cold_bytes).s, text_bytes(cold_bytes).s);
}

static int auto_stream(struct sum *sum, uint64_t first, uint64_t end)
{
	uint64_t cold_bytes = 0;
	int r = 0;

	if (!sum->has_size) {
		snprintf(sum->why, sizeof(sum->why), "it has no size: it can only be read");
		return sum_by_read.stream(sum, first, end);
	}
	for (uint64_t at = first, next; r == 0 && at < end; at = next) {
		bool warm = is_warm(sum, at, window_end(at, end));

		next = run_end(sum, at, end, warm);
		r = warm ? sum_by_read.stream(sum, at, next) : cold_stream(sum, at, next);
		cold_bytes += warm ? 0 : next - at;
	}
	explain(sum, cold_bytes);
	return r;
}

static int auto_blocks(struct sum *sum)
{
	int r;

	if (is_warm(sum, 0, sum->size)) {
		snprintf(sum->why, sizeof(sum->why), "it is in the page cache: pointers need no system call");
		return sum_by_mmap.blocks(sum);
	}
	snprintf(sum->why, sizeof(sum->why), "it is not in the page cache: many reads in flight");
	r = sum_by_uring.blocks(sum);
	if (r != 0 && sum->digest.bytes == 0)
		r = sum_by_read.blocks(sum);
	return r;
}

const struct sum_method sum_by_auto = {
	.name = "auto",
	.what = "looks at the page cache and chooses",
	.pipes = true,
	.stream = auto_stream,
	.blocks = auto_blocks,
};
