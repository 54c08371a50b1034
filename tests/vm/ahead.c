/* SPDX-License-Identifier: Apache-2.0 */
/* Read-ahead: a pattern in the misses is seen, what it says will be wanted is fetched, and nothing else is. */
#include "support/run.h"

#include <string.h>

#include "base/align.h"
#include "vm/pageout.h"
#include "vm/world.h"

enum { R = PMAP_READ, PAGES = 1000 };

static struct world w;
static struct source file;

static int setup(void **state)
{
	(void)state;
	world_init(&w, &(struct world_config){ .frames = 128, .pages = 2 * PAGES });
	source_init(&file, PAGES * PAGE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_end(&w, &file);
	return 0;
}

/* Faults that had to wait for the object. */
static uint64_t waited(void)
{
	return world_counted(&w, TALLY_FAULTS) - world_counted(&w, TALLY_MINOR) -
		world_counted(&w, TALLY_AHEAD_USED);
}

static unsigned int read_every(uintptr_t va, int64_t first, int64_t stride, unsigned int count)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < count; i++, first += stride)
		wrong += world_load(&w, va + (uintptr_t)first * PAGE) != source_byte((uint64_t)first * PAGE);
	return wrong;
}

/* Pages are few, so most go before they are needed again: what is counted are fetches that nobody waited for. */
static void a_stride_is_seen_and_its_pages_are_there(void **state)
{
	static const int64_t strides[] = { 33, 7, 1, -1, -12 };

	(void)state;
	for (size_t i = 0; i < sizeof(strides) / sizeof(strides[0]); i++) {
		unsigned int count = strides[i] == 33 ? 30 : 80;
		uint64_t before = waited();
		uint64_t wasted = world_counted(&w, TALLY_AHEAD_WASTED);
		uintptr_t va = world_map(&w, 0, 1000, &file.object, 0, R, PMAP_SHARED);

		assert_int_equal(read_every(va, strides[i] > 0 ? 5 : 990, strides[i], count), 0);
		/* The first three are needed to see it; the windows double from four on. */
		assert_true(waited() - before <= 3 + count / 5);
		assert_true(world_counted(&w, TALLY_AHEAD_WASTED) - wasted <= 4);
		assert_int_equal(as_unmap(&w.as, va, va + 1000 * PAGE), 0);
		object_drop(&file.object, 0, 1000, true);
		memset(&file.object.ahead, 0, sizeof(file.object.ahead));
	}
	assert_true(world_counted(&w, TALLY_AHEAD_USED) > 150);
}

static void no_pattern_is_no_reason_to_read_ahead(void **state)
{
	uintptr_t va = world_map(&w, 0, 1000, &file.object, 0, R, PMAP_SHARED);
	uintptr_t random = world_map(&w, 1000, 1000, &file.object, 0, R, PMAP_SHARED | PMAP_RANDOM);
	uint64_t at = 1;

	(void)state;
	for (int i = 0; i < 200; i++) {
		at = (at * 1103515245 + 12345) % 1000;
		assert_int_equal(read_every(va, (int64_t)at, 1, 1), 0);
	}
	assert_true(world_counted(&w, TALLY_AHEAD) <= 8);
	at = world_counted(&w, TALLY_AHEAD);
	assert_int_equal(read_every(random, 0, 3, 60), 0);
	assert_int_equal(world_counted(&w, TALLY_AHEAD), at);
}

/* ---- a stream ---- */

/* A pool in which a window may have 128 pages, and an object that answers only when it is asked for what has come. */
static int setup_stream(void **state)
{
	(void)state;
	world_init(&w, &(struct world_config){ .frames = 4096, .pages = PAGES });
	source_init(&file, PAGES * PAGE);
	file.slow = true;
	return 0;
}

static struct source files[3];

static int setup_streams(void **state)
{
	(void)state;
	world_init(&w, &(struct world_config){ .frames = 2048, .pages = PAGES });
	for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
		source_init(&files[i], PAGES * PAGE);
		files[i].slow = true;
	}
	return 0;
}

static int teardown_streams(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_COUNT(files); i++) {
		object_unref(&files[i].object);
		source_done(&files[i]);
	}
	world_end(&w, &files[0]);
	return 0;
}

static void who_reads_a_stream_finds_the_next_pages_on_their_way(void **state)
{
	uintptr_t va = world_map(&w, 0, PAGES, &file.object, 0, R, PMAP_SHARED);

	(void)state;
	assert_int_equal(read_every(va, 0, 1, PAGES), 0);
	/* The first three, by which it is seen, and the end of the window that they ask for. */
	assert_true(waited() <= 4);
	assert_int_equal(world_counted(&w, TALLY_FILLS), PAGES);
}

static void a_stream_that_ends_has_two_windows_too_many(void **state)
{
	uintptr_t va = world_map(&w, 0, PAGES, &file.object, 0, R, PMAP_SHARED);

	(void)state;
	assert_int_equal(read_every(va, 0, 1, PAGES / 2), 0);
	assert_in_range(world_counted(&w, TALLY_FILLS), PAGES / 2 + 32, PAGES / 2 + 2 * 128);
}

/* What can be had again is entered with its transfer: the marks alone fault. */
static void a_window_is_entered_at_once(void **state)
{
	uintptr_t va = world_map(&w, 0, PAGES, &file.object, 0, R, PMAP_SHARED);
	struct page *page;
	char *memory;

	(void)state;
	file.object.again = true;
	assert_int_equal(read_every(va, 0, 1, PAGES), 0);
	assert_true(world_counted(&w, TALLY_FAULTS) < PAGES / 20);
	/* And is as good as any other: found by who looks for it, evicted when its turn comes. */
	assert_int_equal(object_get_page(&file.object, PAGES - 1, &page, &memory), 0);
	object_put_page(&file.object, page, false);
	assert_int_equal(pageout_range(&file.object, 0, PAGES), PAGES);
	assert_int_equal(read_every(va, 17, 1, 1), 0);
}

/* Three files, one after the other, through a pool that holds two of them: a stream takes what is free, and only a fault
 * that finds nothing free evicts. */
static void a_stream_evicts_nothing_while_frames_are_free(void **state)
{
	uint64_t evicted = 0;
	uint64_t waits = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		uintptr_t va = world_map(&w, 0, PAGES, &files[i].object, 0, R, PMAP_SHARED);

		for (int64_t page = 0; page < PAGES; page++) {
			assert_int_equal(read_every(va, page, 1, 1), 0);
			if (world_counted(&w, TALLY_WAITS) == waits)
				assert_int_equal(world_counted(&w, TALLY_EVICTED), evicted);
			waits = world_counted(&w, TALLY_WAITS);
			evicted = world_counted(&w, TALLY_EVICTED);
		}
		assert_int_equal(as_unmap(&w.as, va, va + PAGES * PAGE), 0);
	}
	assert_true(evicted > 0); /* the third has found them full */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			who_reads_a_stream_finds_the_next_pages_on_their_way, setup_stream, teardown),
		cmocka_unit_test_setup_teardown(
			a_stream_that_ends_has_two_windows_too_many, setup_stream, teardown),
		cmocka_unit_test_setup_teardown(a_window_is_entered_at_once, setup_stream, teardown),
		cmocka_unit_test_setup_teardown(
			a_stream_evicts_nothing_while_frames_are_free, setup_streams, teardown_streams),
		cmocka_unit_test_setup_teardown(a_stride_is_seen_and_its_pages_are_there, setup, teardown),
		cmocka_unit_test_setup_teardown(no_pattern_is_no_reason_to_read_ahead, setup, teardown),
	};

	return RUN(tests);
}
