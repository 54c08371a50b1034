/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <quire/inspect.h>

#include "inspect/ground.h"
#include "support/run.h"
#include "sys/probe.h"
#include "sys/proc.h"

#define PAGES 40000U /* one whole window of 32768 and a part of one */

/* The map as one byte a page; checks that runs follow each other and that no two neighbours are alike. */
static unsigned char *map_of(int fd, uint64_t pages, unsigned int states)
{
	unsigned char *map = calloc(1, pages);
	struct quire_runs *runs;
	struct quire_run run;
	uint64_t at = 0;
	uint32_t last = UINT32_MAX;
	int r;

	assert_int_equal(quire_runs_open(fd, 0, QUIRE_UNKNOWN, states, &runs), 0);
	while ((r = quire_runs_next(runs, &run)) == 1) {
		assert_int_equal(run.page, at);
		assert_true(run.pages > 0);
		assert_int_not_equal(run.state, last);
		assert_true(at + run.pages <= pages);
		memset(map + at, (int)run.state, run.pages);
		at += run.pages;
		last = run.state;
	}
	assert_int_equal(r, 0);
	assert_int_equal(at, pages);
	quire_runs_close(runs);
	return map;
}

static void check_against_mincore(int fd, uint64_t pages)
{
	unsigned char *map = map_of(fd, pages, 0);
	unsigned char *truth = ground_truth(fd, pages);

	for (uint64_t i = 0; i < pages; i++)
		if ((map[i] & QUIRE_PAGE_CACHED) != truth[i])
			fail_msg("page %lu: map says %d, mincore %d", (unsigned long)i, map[i] & 1, truth[i]);
	free(map);
	free(truth);
}

static void full_cold_and_half_files_are_mapped_exactly(void **state)
{
	int fd = ground_file(PAGES);

	(void)state;
	check_against_mincore(fd, PAGES);
	ground_drop(fd, PAGES / 2, PAGES / 2);
	check_against_mincore(fd, PAGES);
	ground_drop(fd, 0, PAGES);
	check_against_mincore(fd, PAGES);
	close(fd);
}

/* With order-0 folios a page can be dropped alone: written one by one, they are. */
static void scattered_holes_are_mapped_exactly(void **state)
{
	static const unsigned int one_in[] = { 2, 3, 10, 100, 1000, 5000 };
	static char page[4096];
	uint64_t seed = 42;

	(void)state;
	for (size_t k = 0; k < ARRAY_COUNT(one_in); k++) {
		int fd = ground_file(0);

		for (unsigned int i = 0; i < PAGES; i++)
			assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)i * 4096), 4096);
		assert_int_equal(fdatasync(fd), 0);
		for (unsigned int i = 0; i < PAGES; i++) {
			seed = seed * 6364136223846793005U + 1442695040888963407U;
			if ((seed >> 33) % one_in[k] == 0)
				ground_drop_clean(fd, i, 1);
		}
		check_against_mincore(fd, PAGES);
		close(fd);
	}
}

static void dirty_pages_are_found_one_by_one(void **state)
{
	static const unsigned int dirty[] = { 0, 1, 511, 512, 32767, 32768, PAGES - 1 };
	struct sys_cachestat counts = { .dirty = 0 };
	int fd = ground_file(0);
	unsigned char *map = NULL;
	size_t found = 0;
	static char page[4096];

	(void)state;
	if (sys_probe(PROBE_CACHESTAT)
			.masked) { /* mincore alone does not see it, so it is refused, not guessed */
		struct quire_runs *runs;

		assert_int_equal(pwrite(fd, page, 1, 0), 1);
		assert_int_equal(quire_runs_open(fd, 0, QUIRE_UNKNOWN, QUIRE_PAGE_DIRTY, &runs), -EOPNOTSUPP);
		close(fd);
		return;
	}
	for (unsigned int i = 0; i < PAGES; i++)
		assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)i * 4096), 4096);
	assert_int_equal(fsync(fd), 0);
	/* Somebody else's sync writes them back while we look; no page becomes dirty by itself, so when all of them still are
	 * behind our look, they were during it. */
	for (int tries = 0; counts.dirty != ARRAY_COUNT(dirty); tries++) {
		assert_true(tries < 100);
		free(map);
		for (size_t i = 0; i < ARRAY_COUNT(dirty); i++)
			assert_int_equal(pwrite(fd, "x", 1, (off_t)dirty[i] * 4096), 1);
		map = map_of(fd, PAGES, QUIRE_PAGE_DIRTY | QUIRE_PAGE_WRITING);
		assert_int_equal(sys_cachestat(fd, 0, PAGES * UINT64_C(4096), &counts), 0);
	}
	for (unsigned int i = 0; i < PAGES; i++) {
		bool wanted = found < ARRAY_COUNT(dirty) && dirty[found] == i;

		if (((map[i] & (QUIRE_PAGE_DIRTY | QUIRE_PAGE_WRITING)) != 0) != wanted)
			fail_msg("page %u: %d, wanted %d", i, map[i], wanted);
		if ((map[i] & QUIRE_PAGE_CACHED) == 0 &&
			counts.cached == PAGES) /* else the kernel has dropped some */
			fail_msg("page %u is cached, and the map says %d", i, map[i]);
		found += wanted;
	}
	assert_int_equal(found, ARRAY_COUNT(dirty));
	free(map);
	close(fd);
}

static void what_is_cached_and_still_is_ready(void **state)
{
	int fd = ground_file(PAGES);
	unsigned char *map, *truth;

	(void)state;
	ground_drop(fd, 1000, 20000);
	map = map_of(fd, PAGES, QUIRE_PAGE_READY);
	truth = ground_truth(fd, PAGES);
	for (unsigned int i = 0; i < PAGES; i++)
		assert_int_equal((map[i] & QUIRE_PAGE_READY) != 0, truth[i] != 0);
	free(map);
	free(truth);
	close(fd);
}

/* 1 TiB with one cached page far inside: no more than some hundred system calls, so no more than some ms. */
static void a_sparse_terabyte_costs_what_is_cached(void **state)
{
	const uint64_t pages = UINT64_C(1) << 28;
	int fd = ground_file(0);
	struct quire_runs *runs;
	struct quire_run run[4];
	char byte;

	(void)state;
	if (sys_probe(PROBE_CACHESTAT).masked) {
		close(fd); /* mincore needs 2 s for it */
		return;
	}
	assert_int_equal(ftruncate(fd, (off_t)(pages << PAGE_SHIFT)), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)0x8123456000), 1);

	assert_int_equal(quire_runs_open(fd, 0, QUIRE_UNKNOWN, 0, &runs), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(quire_runs_next(runs, &run[i]), 1);
	assert_int_equal(quire_runs_next(runs, &run[3]), 0);
	assert_int_equal(run[0].state, 0);
	assert_int_equal(run[1].state, QUIRE_PAGE_CACHED);
	assert_int_equal(run[1].pages, ground_count(fd));
	assert_in_range(0x8123456, run[1].page, run[1].page + run[1].pages - 1);
	assert_int_equal(run[2].page + run[2].pages, pages);
	quire_runs_close(runs);
	close(fd);
}

static void an_empty_file_has_no_runs(void **state)
{
	int fd = ground_file(0);
	struct quire_runs *runs;
	struct quire_run run;

	(void)state;
	assert_int_equal(quire_runs_open(fd, 0, QUIRE_UNKNOWN, 0, &runs), 0);
	assert_int_equal(quire_runs_next(runs, &run), 0);
	assert_int_equal(quire_runs_next(runs, &run), 0);
	quire_runs_close(runs);
	quire_runs_close(NULL);
	close(fd);
}

static void a_part_of_a_file_is_widened_to_pages(void **state)
{
	int fd = ground_file(100);
	struct quire_runs *runs;
	struct quire_run run;

	(void)state;
	assert_int_equal(quire_runs_open(fd, 4095, 2, 0, &runs), 0);
	assert_int_equal(quire_runs_next(runs, &run), 1);
	assert_int_equal(run.page, 0);
	assert_int_equal(run.pages, 2);
	assert_int_equal(quire_runs_next(runs, &run), 0);
	quire_runs_close(runs);
	close(fd);
}

static void unknown_states_are_refused(void **state)
{
	int fd = ground_file(1);
	struct quire_runs *runs = NULL;

	(void)state;
	assert_int_equal(quire_runs_open(fd, 0, QUIRE_UNKNOWN, 1U << 7, &runs), -EINVAL);
	assert_null(runs);
	assert_int_equal(quire_runs_open(-1, 0, QUIRE_UNKNOWN, 0, &runs), -EBADF);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_cold_and_half_files_are_mapped_exactly),
		cmocka_unit_test(scattered_holes_are_mapped_exactly),
		cmocka_unit_test(dirty_pages_are_found_one_by_one),
		cmocka_unit_test(what_is_cached_and_still_is_ready),
		cmocka_unit_test(a_sparse_terabyte_costs_what_is_cached),
		cmocka_unit_test(an_empty_file_has_no_runs),
		cmocka_unit_test(a_part_of_a_file_is_widened_to_pages),
		cmocka_unit_test(unknown_states_are_refused),
	};

	return RUN(tests);
}
