/* SPDX-License-Identifier: Apache-2.0 */
/* The fault table of vm/fault.h, row by row, without a system call. */
#include "support/run.h"

#include <errno.h>

#include "front/front.h"
#include "vm/fault.h"
#include "vm/pageout.h"
#include "vm/world.h"

enum { R = PMAP_READ, RW = PMAP_READ | PMAP_WRITE };

static struct world w;
static struct source file;

static int setup(void **state)
{
	(void)state;
	world_init(&w, &(struct world_config){ .frames = 32, .swap_pages = 64 });
	source_init(&file, 16 * PAGE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_end(&w, &file);
	return 0;
}

static uint64_t counted(enum tally_figure what)
{
	return world_counted(&w, what);
}

static void a_load_outside_every_segment_is_a_fault(void **state)
{
	(void)state;
	assert_int_equal(world_load(&w, WORLD_BASE), -EFAULT);
	assert_int_equal(world_store(&w, WORLD_BASE, 1), -EFAULT);
}

static void protection_is_asked_before_the_object(void **state)
{
	uintptr_t none = world_map(&w, 0, 1, &file.object, 0, 0, 0);
	uintptr_t read = world_map(&w, 2, 1, &file.object, 0, R, 0);

	(void)state;
	assert_int_equal(world_load(&w, none), -EACCES);
	assert_int_equal(world_store(&w, read, 1), -EACCES);
	assert_int_equal(file.calls, 0);
}

static void a_load_of_a_shared_page_shows_the_object(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 3, R, PMAP_SHARED);

	(void)state;
	assert_int_equal(world_load(&w, va + PAGE + 5), source_byte(4 * PAGE + 5));
	assert_int_equal(world_load(&w, va + PAGE + 6), source_byte(4 * PAGE + 6));
	assert_int_equal(file.calls, 1);
	assert_int_equal(counted(TALLY_FAULTS), 1);
}

static void a_store_to_a_shared_page_is_seen_by_every_shared_mapping(void **state)
{
	uintptr_t a = world_map(&w, 0, 2, &file.object, 0, RW, PMAP_SHARED);
	uintptr_t b = world_map(&w, 8, 2, &file.object, 1, R, PMAP_SHARED);

	(void)state;
	assert_int_equal(world_load(&w, b), source_byte(PAGE));
	assert_int_equal(world_store(&w, a + PAGE, 77), 0);
	assert_int_equal(world_load(&w, b), 77);
	assert_int_equal(counted(TALLY_COPIES), 0);
}

static void a_load_of_a_private_page_shows_the_object_until_the_first_store(void **state)
{
	uintptr_t mine = world_map(&w, 0, 2, &file.object, 0, RW, 0);
	uintptr_t all = world_map(&w, 8, 2, &file.object, 0, RW, PMAP_SHARED);

	(void)state;
	assert_int_equal(world_load(&w, mine), source_byte(0));
	assert_int_equal(world_store(&w, all, 50), 0);
	assert_int_equal(world_load(&w, mine), 50);
	assert_int_equal(world_store(&w, mine + 1, 51), 0);
	assert_int_equal(counted(TALLY_COPIES), 1);
	assert_int_equal(world_store(&w, all, 52), 0);
	assert_int_equal(world_load(&w, mine), 50);
	assert_int_equal(world_load(&w, mine + 1), 51);
	assert_int_equal(world_load(&w, all + 1), source_byte(1));
}

static void a_store_to_a_private_page_that_is_nowhere_fetches_and_copies(void **state)
{
	uintptr_t mine = world_map(&w, 0, 2, &file.object, 0, RW, 0);

	(void)state;
	assert_int_equal(world_store(&w, mine + PAGE, 9), 0);
	assert_int_equal(world_load(&w, mine + PAGE + 1), source_byte(PAGE + 1));
	assert_int_equal(counted(TALLY_COPIES), 1);
	assert_int_equal(file.bytes[PAGE], source_byte(PAGE));
}

static void anonymous_memory_begins_as_zeros(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, NULL, 0, RW, 0);

	(void)state;
	assert_int_equal(world_load(&w, va + 9), 0);
	assert_int_equal(world_store(&w, va + PAGE, 3), 0);
	assert_int_equal(world_load(&w, va + PAGE), 3);
	assert_int_equal(counted(TALLY_ZEROS), 2);
	assert_int_equal(counted(TALLY_COPIES), 0);
}

static void a_page_beyond_the_end_is_refused_and_the_last_ones_rest_is_zero(void **state)
{
	uintptr_t va;

	(void)state;
	file.object.bytes = PAGE + 100;
	va = world_map(&w, 0, 4, &file.object, 0, R, PMAP_SHARED);
	assert_int_equal(world_load(&w, va + PAGE + 99), source_byte(PAGE + 99));
	assert_int_equal(world_load(&w, va + PAGE + 100), 0);
	assert_int_equal(world_load(&w, va + 2 * PAGE), -ENXIO);
}

static void a_failed_fill_is_told_once_and_tried_again(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 0, R, PMAP_SHARED);

	(void)state;
	file.fail_at = 1;
	assert_int_equal(world_load(&w, va), -EIO);
	assert_int_equal(world_load(&w, va), source_byte(0));
}

static void evicted_pages_come_back_with_their_bytes(void **state)
{
	uintptr_t all = world_map(&w, 0, 4, &file.object, 0, RW, PMAP_SHARED);
	uintptr_t mine = world_map(&w, 8, 4, NULL, 0, RW, 0);

	(void)state;
	assert_int_equal(world_store(&w, all, 60), 0);
	assert_int_equal(world_load(&w, all + PAGE), source_byte(PAGE));
	assert_int_equal(world_store(&w, mine, 61), 0);
	assert_int_equal(pageout_evict(&w.pool, 16), 3);
	assert_int_equal(w.pool.in_use, 0);
	assert_false(fake_present(&w.fake, all));
	assert_int_equal(file.bytes[0], 60);
	assert_int_equal(world_load(&w, all), 60);
	assert_int_equal(world_load(&w, mine), 61);
	assert_int_equal(world_load(&w, all + PAGE), source_byte(PAGE));
}

static void a_pinned_page_stays_where_it_is(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 0, RW, PMAP_SHARED);

	(void)state;
	assert_int_equal(fault_handle(&w.as, va, R, FAULT_PIN | FAULT_ALLOCATE), 0);
	assert_int_equal(pageout_evict(&w.pool, 16), 0);
	assert_true(fake_present(&w.fake, va));
	fault_unpin(&w.as, va);
	assert_int_equal(pageout_evict(&w.pool, 16), 1);
}

static void prefetch_is_a_fault_nobody_waits_for(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 0, R, PMAP_SHARED);

	(void)state;
	file.slow = true;
	assert_int_equal(fault_handle(&w.as, va, R, FAULT_AHEAD | FAULT_NOWAIT), FAULT_UNDERWAY);
	assert_int_equal(fault_handle(&w.as, va + PAGE, R, FAULT_NOWAIT), FAULT_UNDERWAY);
	assert_int_equal(file.calls, 0);
	assert_int_equal(file.object.ops->reap(&file.object, 1), 2);
	assert_false(fake_present(&w.fake, va));       /* only in memory */
	assert_true(fake_present(&w.fake, va + PAGE)); /* entered by the completion */
	assert_int_equal(world_load(&w, va), source_byte(0));
	assert_int_equal(file.calls, 2);
}

/* Faults of other threads on the same page, while the first is still starting the transfer. */
static void others_ask(struct source *source)
{
	(void)source;
	for (int i = 0; i < IO_ASKS_MAX; i++)
		assert_int_equal(fault_handle(&w.as, WORLD_BASE + PAGE, R, FAULT_NOWAIT), FAULT_UNDERWAY);
	assert_int_equal(fault_handle(&w.as, WORLD_BASE + PAGE, R, FAULT_NOWAIT), -EAGAIN);
}

static void who_starts_a_transfer_may_find_that_no_more_can_ask_for_it(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 0, R, PMAP_SHARED);

	(void)state;
	file.slow = true;
	file.meanwhile = others_ask;
	assert_int_equal(fault_handle(&w.as, va + PAGE, R, FAULT_NOWAIT), -EAGAIN);
	assert_false(fake_present(&w.fake, va + PAGE));
	assert_int_equal(file.object.ops->reap(&file.object, 1), 1);
	assert_true(fake_present(&w.fake, va + PAGE));
	assert_int_equal(fault_handle(&w.as, va + PAGE, R, FAULT_NOWAIT), 0);
}

static void a_fault_that_waits_sees_a_slow_transfer_through(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 0, RW, PMAP_SHARED);

	(void)state;
	file.slow = true;
	assert_int_equal(fault_handle(&w.as, va, R, FAULT_AHEAD | FAULT_NOWAIT), FAULT_UNDERWAY);
	assert_int_equal(world_load(&w, va), source_byte(0));
	assert_int_equal(world_load(&w, va + PAGE), source_byte(PAGE));
}

/* All frames are being filled, for nobody: there is nothing to evict yet, but there will be. */
static void a_store_waits_for_a_frame_while_all_are_being_filled(void **state)
{
	uintptr_t va = world_map(&w, 0, 8, &file.object, 0, RW, PMAP_SHARED);

	(void)state;
	assert_int_equal(pool_resize(&w.pool, 4 * PAGE), 0);
	file.slow = true;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			fault_handle(&w.as, va + i * PAGE, R, FAULT_AHEAD | FAULT_NOWAIT), FAULT_UNDERWAY);
	assert_int_equal(fault_handle(&w.as, va + 4 * PAGE, R, FAULT_AHEAD | FAULT_NOWAIT), -EAGAIN);
	assert_int_equal(file.calls, 0);
	assert_int_equal(world_store(&w, va + 5 * PAGE, 7), 0);
	assert_int_equal(world_load(&w, va + 5 * PAGE), 7);

	/* Where none will ever be free it stays an error. */
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(fault_handle(&w.as, va + i * PAGE, R, FAULT_PIN | FAULT_ALLOCATE), 0);
	assert_int_equal(world_store(&w, va + 6 * PAGE, 7), -ENOMEM);
	for (size_t i = 0; i < 4; i++)
		fault_unpin(&w.as, va + i * PAGE);
}

static void unmapping_remembers_what_was_written(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 0, RW, PMAP_SHARED);

	(void)state;
	assert_int_equal(world_store(&w, va, 88), 0);
	assert_int_equal(as_unmap(&w.as, va, va + 4 * PAGE), 0);
	assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_PUT), 0);
	assert_int_equal(file.bytes[0], 88);
}

static void a_cut_takes_private_copies_too(void **state)
{
	uintptr_t mine = world_map(&w, 0, 4, &file.object, 0, RW, 0);

	(void)state;
	assert_int_equal(world_store(&w, mine + 2 * PAGE, 9), 0);
	assert_int_equal(world_store(&w, mine + PAGE + 200, 8), 0);
	assert_int_equal(front_truncate(&file.object, PAGE + 100), 0);
	assert_int_equal(world_load(&w, mine + 2 * PAGE), -ENXIO);
	assert_int_equal(
		world_load(&w, mine + PAGE + 200), 8); /* the copy of the page with the end stays whole */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(a_load_outside_every_segment_is_a_fault),
		CASE(protection_is_asked_before_the_object),
		CASE(a_load_of_a_shared_page_shows_the_object),
		CASE(a_store_to_a_shared_page_is_seen_by_every_shared_mapping),
		CASE(a_load_of_a_private_page_shows_the_object_until_the_first_store),
		CASE(a_store_to_a_private_page_that_is_nowhere_fetches_and_copies),
		CASE(anonymous_memory_begins_as_zeros),
		CASE(a_page_beyond_the_end_is_refused_and_the_last_ones_rest_is_zero),
		CASE(a_failed_fill_is_told_once_and_tried_again),
		CASE(evicted_pages_come_back_with_their_bytes),
		CASE(a_pinned_page_stays_where_it_is),
		CASE(prefetch_is_a_fault_nobody_waits_for),
		CASE(who_starts_a_transfer_may_find_that_no_more_can_ask_for_it),
		CASE(a_fault_that_waits_sees_a_slow_transfer_through),
		CASE(a_store_waits_for_a_frame_while_all_are_being_filled),
		CASE(unmapping_remembers_what_was_written),
		CASE(a_cut_takes_private_copies_too),
	};

	return RUN(tests);
}
