/* SPDX-License-Identifier: Apache-2.0 */
/* sum-mmap.c - through the pointers of a guarded mapping. */
#include <errno.h>
#include <string.h>

#include <quire/quire.h>

#include "progress.h"
#include "sum.h"

/* A window at a time: a file may be larger than memory, or than the addresses this process may use. 4 MiB between two
 * looks at the clock. */
static const uint64_t window_bytes = 256 << 20, step_bytes = 4 << 20;

static int fail_map(struct sum *sum, int error)
{
	return sum_fail(sum, error, "%s: %s", text_name(sum->path).s, quire_error_text());
}

static int window_open(struct sum *sum, uint64_t first, uint64_t length, struct quire_map **map)
{
	int r = quire_map_fd(NULL, sum->fd,
		QUIRE_OPTIONS(map, .protection = QUIRE_READ, .sharing = QUIRE_SHARED,
			.guard = QUIRE_GUARD_ZEROS, .flags = sum->populate ? QUIRE_POPULATE_READ : 0,
			.offset = first, .length = length, .advice = sum->advice),
		map);

	return r < 0 ? fail_map(sum, r) : 0;
}

/* Where pages were missing, zeros were summed: the mapping remembers. */
static int window_check(struct sum *sum, struct quire_map *map)
{
	struct quire_fault fault = { .size = sizeof(fault) };
	int r = quire_map_error(map, &fault);

	if (r == -ENODATA)
		return sum_fail_cut(sum, fault.offset);
	return r < 0 ? fail_map(sum, r) : 0;
}

static int window_sum(struct sum *sum, uint64_t first, uint64_t length)
{
	struct quire_map *map;
	const char *bytes;
	int r = window_open(sum, first, length, &map);

	if (r < 0)
		return r;
	bytes = quire_map_address(map);
	for (uint64_t at = 0; at < length; at += step_bytes) {
		digest_stream(&sum->digest, bytes + at, length - at < step_bytes ? length - at : step_bytes);
		progress_at(first + at);
	}
	r = window_check(sum, map);
	quire_unmap(map);
	return r;
}

static int mmap_stream(struct sum *sum, uint64_t first, uint64_t end)
{
	int r = 0;

	for (uint64_t at = first; r == 0 && at < end; at += window_bytes)
		r = window_sum(sum, at, end - at < window_bytes ? end - at : window_bytes);
	return r;
}

static int mmap_blocks(struct sum *sum)
{
	struct quire_map *map;
	const char *bytes;
	int r = window_open(sum, 0, sum->size, &map);

	if (r < 0)
		return r;
	bytes = quire_map_address(map);
	for (uint64_t i = 0; i < sum->random; i++) {
		uint64_t block = sum_random_block(sum, i);

		digest_block(&sum->digest, block, bytes + block * SUM_BLOCK, sum_block_length(sum, block));
		progress_at(sum->digest.bytes);
	}
	r = window_check(sum, map);
	quire_unmap(map);
	return r;
}

const struct sum_method sum_by_mmap = {
	.name = "mmap",
	.what = "pointers of a guarded mapping",
	.stream = mmap_stream,
	.blocks = mmap_blocks,
};
