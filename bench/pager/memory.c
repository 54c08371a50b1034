/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the books cost in memory: all that the process gained, less the frames themselves. Once with every frame in use,
 * once with many more pages touched than there are frames, once with a mapping nobody touches.
 */
#include <malloc.h>

#include "common.h"

static const uint64_t frames_bytes = 64 * MIB;
static const uint64_t touched_bytes = (uint64_t)1024 * MIB;
static const uint64_t untouched_bytes = (uint64_t)1 << 40;

static int get(void *user, uint64_t offset, void *memory, size_t length)
{
	(void)user;
	fill_words(memory, offset / 8, length / 8);
	return 0;
}

/* Maps and touches; returns what was gained beyond the frames that are in use. */
static int64_t gain(struct paged *paged, uint64_t cache, uint64_t length, uint64_t touched)
{
	struct quire_object *object;
	int64_t before;

	(void)malloc_trim(0);
	before = memory_of_process();
	paged_pool(paged, cache, 0, QUIRE_DELIVERY_INLINE);
	must(quire_object_open(
		QUIRE_OPTIONS(object, .get = get, .length = length, .signal_safe = 1), &object));
	must(quire_map(NULL,
		QUIRE_OPTIONS(map, .object = object, .engine = QUIRE_ENGINE_PAGED, .pool = paged->pool,
			.sharing = QUIRE_SHARED, .protection = QUIRE_READ, .advice = QUIRE_SEQUENTIAL),
		&paged->map));
	quire_object_close(object);
	paged->bytes = quire_map_address(paged->map);
	for (uint64_t at = 0; at < touched; at += PAGE)
		bench_must(*(volatile uint64_t *)(void *)(paged->bytes + at) == word_of(at / 8),
			"a page was wrong");
	return memory_of_process() - before - (int64_t)paged_stats(paged).used_bytes;
}

int main(void)
{
	uint64_t frames;
	struct paged paged;
	int64_t bytes;

	bytes = gain(&paged, MIB, MIB / 2, MIB / 2); /* code and stacks are there from now on */
	paged_close(&paged);
	bytes = gain(&paged, MIB, MIB / 2, MIB / 2);
	paged_close(&paged);
	bench_figure("pager.memory.pool", (double)bytes, "bytes"); /* of a pool with next to no frames */

	int64_t empty = gain(&paged, frames_bytes, frames_bytes, 0);
	paged_close(&paged);
	bytes = gain(&paged, frames_bytes, frames_bytes, frames_bytes * 15 / 16);
	frames = paged_stats(&paged).used_bytes / PAGE;
	paged_close(&paged);
	/* Frames beyond those in use have a record too; it is empty, and counted here to those that are. */
	bench_goal("pager.memory.frame", (double)bytes / (double)frames, NULL);
	bench_figure("pager.memory.frame.empty", (double)empty / (double)(frames_bytes / PAGE), "bytes");

	bytes = gain(&paged, MIB, touched_bytes, touched_bytes);
	paged_close(&paged);
	bench_goal("pager.memory.touched", (double)bytes / (double)(touched_bytes / PAGE), NULL);

	bytes = gain(&paged, MIB, untouched_bytes, 0);
	paged_close(&paged);
	bytes -= gain(&paged, MIB, MIB / 2, 0);
	paged_close(&paged);
	bench_goal("pager.memory.untouched", bytes < 0 ? 0 : (double)bytes / (double)(untouched_bytes / PAGE),
		NULL);
	return 0;
}
