/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum-paged.c - through the pointers of a mapping whose pages lie in a pool with a bound.
 *
 * Where nothing may fault (no userfaultfd: the pool says so) the same bytes are asked for by quire_map_try_read().
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quire/quire.h>

#include "progress.h"
#include "resident.h"
#include "sum.h"

/* Between two looks at the clock and at what is resident. */
static const uint64_t step_bytes = 4 << 20;

/* Blocks asked for before they are needed: what keeps a disk busy. */
enum { AHEAD_BLOCKS = 64, LOOK_BLOCKS = 4096 };

struct paged {
	struct quire_pool *pool;
	struct quire_map *map;
	const char *bytes; /* NULL: pinned only */
	uint64_t before;
	char block[SUM_BLOCK];
};

static int fail_map(struct sum *sum, int error)
{
	return sum_fail(sum, error, "%s: %s", text_name(sum->path).s, quire_error_text());
}

static int open_map(struct sum *sum, struct paged *p, uint64_t first, uint64_t length)
{
	return quire_map_fd(NULL, sum->fd,
		QUIRE_OPTIONS(map, .engine = QUIRE_ENGINE_PAGED, .pool = p->pool, .protection = QUIRE_READ,
			.sharing = QUIRE_SHARED, .guard = QUIRE_GUARD_ZEROS, .offset = first,
			.length = length,
			.advice = sum->random != 0            ? QUIRE_RANDOM
				: sum->advice == QUIRE_NORMAL ? QUIRE_SEQUENTIAL
							      : sum->advice),
		&p->map);
}

static int paged_open(struct sum *sum, struct paged *p, uint64_t first, uint64_t length)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };
	int r = quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = sum->cache_bytes, .publish = "sum",
					.syscalls_only_pinned = 1), /* a digest makes none */
		&p->pool);

	if (r < 0)
		return fail_map(sum, r);
	r = open_map(sum, p, first, length);
	if (r < 0) {
		quire_pool_close(p->pool);
		return fail_map(sum, r);
	}
	(void)quire_pool_stats(p->pool, &stats);
	p->bytes = stats.delivery == QUIRE_DELIVERY_PIN ? NULL : quire_map_address(p->map);
	snprintf(sum->why, sizeof(sum->why), "%s", stats.why);
	p->before = resident_now(); /* with the pool's own bookkeeping, and no page yet */
	return 0;
}

/* Where pages were missing, zeros were summed: the mapping remembers. */
static int paged_check(struct sum *sum, struct paged *p)
{
	struct quire_fault fault = { .size = sizeof(fault) };
	int r = quire_map_error(p->map, &fault);

	if (r == -ENODATA)
		return sum_fail_cut(sum, fault.offset);
	return r < 0 ? fail_map(sum, r) : 0;
}

static int paged_close(struct sum *sum, struct paged *p, int r)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };

	(void)quire_pool_stats(p->pool, &stats);
	sum->paged = true;
	sum->faults += stats.faults;
	sum->waits += stats.waits;
	(void)resident_beyond(p->before, &sum->resident_max);
	if (r == 0)
		r = paged_check(sum, p);
	quire_unmap(p->map);
	quire_pool_close(p->pool);
	return r;
}

/* `length` bytes at an offset of the mapping, by pointer or in p->block; *at says where. */
static int reach(struct sum *sum, struct paged *p, uint64_t offset, size_t length, const char **at)
{
	int r;

	if (p->bytes != NULL) {
		*at = p->bytes + offset;
		return 0;
	}
	*at = p->block;
	r = quire_map_try_read(p->map, offset, p->block, length);
	if (r == -ENODATA)
		return sum_fail_cut(sum, offset);
	return r < 0 ? fail_map(sum, r) : 0;
}

static int stream_step(struct sum *sum, struct paged *p, uint64_t offset, uint64_t end)
{
	uint64_t piece = p->bytes != NULL ? end - offset : SUM_BLOCK;

	for (uint64_t at = offset; at < end; at += piece) {
		size_t length = end - at < piece ? end - at : piece;
		const char *bytes;
		int r = reach(sum, p, at, length, &bytes);

		if (r < 0)
			return r;
		digest_stream(&sum->digest, bytes, length);
	}
	return 0;
}

static int paged_stream(struct sum *sum, uint64_t first, uint64_t end)
{
	struct paged p;
	int r;

	if (first >= end)
		return 0;
	r = paged_open(sum, &p, first, end - first);
	if (r < 0)
		return r;
	for (uint64_t at = 0; r == 0 && at < end - first; at += step_bytes) {
		r = stream_step(sum, &p, at, end - first - at < step_bytes ? end - first : at + step_bytes);
		(void)resident_beyond(p.before, &sum->resident_max);
		progress_at(first + at);
	}
	return paged_close(sum, &p, r);
}

/* A block that nobody waits for yet. */
static void prefetch(struct sum *sum, struct paged *p, uint64_t i)
{
	uint64_t block = sum_random_block(sum, i);
	const struct quire_range range = { block * SUM_BLOCK, sum_block_length(sum, block) };

	(void)quire_map_prefetch(p->map, &range, 1); /* what cannot begin now is fetched when it is touched */
}

static int paged_blocks(struct sum *sum)
{
	struct paged p;
	int r = paged_open(sum, &p, 0, sum->size);

	if (r < 0)
		return r;
	for (uint64_t i = 0; i < AHEAD_BLOCKS && i < sum->random; i++)
		prefetch(sum, &p, i);
	for (uint64_t i = 0; r == 0 && i < sum->random; i++) {
		uint64_t block = sum_random_block(sum, i);
		size_t length = sum_block_length(sum, block);
		const char *bytes;

		if (i + AHEAD_BLOCKS < sum->random)
			prefetch(sum, &p, i + AHEAD_BLOCKS);
		r = reach(sum, &p, block * SUM_BLOCK, length, &bytes);
		if (r == 0)
			digest_block(&sum->digest, block, bytes, length);
		if (i % LOOK_BLOCKS == 0)
			(void)resident_beyond(p.before, &sum->resident_max);
		progress_at(sum->digest.bytes);
	}
	return paged_close(sum, &p, r);
}

const struct sum_method sum_by_paged = {
	.name = "paged",
	.what = "pointers of a mapping that Quire pages itself, in bounded memory",
	.stream = paged_stream,
	.blocks = paged_blocks,
};
