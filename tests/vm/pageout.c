/* SPDX-License-Identifier: Apache-2.0 */
/* Eviction, write-back, epochs, and what happens when they fail. */
#include "support/run.h"

#include <errno.h>
#include <unistd.h>

#include "vm/fault.h"
#include "vm/pageout.h"
#include "vm/world.h"

enum { R = PMAP_READ, RW = PMAP_READ | PMAP_WRITE };

static struct world w;
static struct source file;
static uintptr_t va;

static void begin(const struct world_config *config, uint64_t pages)
{
	world_init(&w, config);
	source_init(&file, pages * PAGE);
	va = world_map(&w, 0, pages, &file.object, 0, RW, PMAP_SHARED);
}

static void finish(void)
{
	world_end(&w, &file);
}

static void a_file_larger_than_the_pool_is_used_within_its_bound(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 200);
	for (size_t round = 0; round < 3; round++)
		for (size_t i = 0; i < 200; i++) {
			assert_int_equal(world_load(&w, va + i * PAGE + 1), source_byte(i * PAGE + 1));
			assert_int_equal(world_store(&w, va + i * PAGE, (unsigned char)(i + round)), 0);
			assert_true(w.pool.in_use <= 16);
		}
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), (unsigned char)(i + 2));
	finish();
}

static void private_memory_larger_than_the_pool_goes_to_swap(void **state)
{
	uintptr_t mine;

	(void)state;
	begin(&(struct world_config){ .frames = 16, .swap_pages = 256 }, 1);
	mine = world_map(&w, 10, 200, NULL, 0, RW, 0);
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(world_store(&w, mine + i * PAGE, (unsigned char)i), 0);
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(world_load(&w, mine + i * PAGE), (unsigned char)i);
	finish();
}

/* The bound of memory and swap together is an error for who stores more, and for nobody else: what is in swap comes back, in
 * exchange for what goes there. */
static void what_is_in_a_full_swap_comes_back(void **state)
{
	uintptr_t mine;
	size_t stored = 0;

	(void)state;
	begin(&(struct world_config){ .frames = 16, .swap_pages = 16 }, 1);
	mine = world_map(&w, 10, 100, NULL, 0, RW, 0);
	while (stored < 100 && world_store(&w, mine + stored * PAGE, (unsigned char)(stored + 1)) == 0)
		stored++;
	assert_in_range(stored, 28, 32);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < stored; i++)
			assert_int_equal(world_load(&w, mine + i * PAGE), i + 1);
	assert_int_equal(world_store(&w, mine + 99 * PAGE, 7), -ENOMEM);
	assert_int_equal(as_unmap(&w.as, mine, mine + 4 * PAGE), 0);
	assert_int_equal(world_store(&w, mine + 99 * PAGE, 7), 0);
	finish();
}

static void a_flush_that_is_begun_is_finished_by_who_looks_after_the_pool(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 8);
	assert_int_equal(world_store(&w, va + 3 * PAGE, 77), 0);
	assert_int_equal(world_store(&w, va + 7 * PAGE, 78), 0);
	assert_int_equal(object_flush(&file.object, 0, 8, FLUSH_START), 0);
	assert_int_not_equal(file.bytes[3 * PAGE], 77);
	assert_int_equal(pageout_balance(&w.pool), 0);
	assert_int_equal(file.bytes[3 * PAGE], 77);
	assert_int_equal(file.bytes[7 * PAGE], 78);
	/* What was put is not put again, and what fails is told. */
	assert_int_equal(world_counted(&w, TALLY_PUT), 2);
	assert_int_equal(object_flush(&file.object, 0, 8, FLUSH_PUT), 0);
	assert_int_equal(world_counted(&w, TALLY_PUT), 2);
	finish();
}

static void without_swap_private_memory_is_refused_beyond_the_bound(void **state)
{
	uintptr_t mine;

	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 1);
	mine = world_map(&w, 10, 32, NULL, 0, RW, 0);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(world_store(&w, mine + i * PAGE, 5), 0);
	assert_int_equal(world_store(&w, mine + 16 * PAGE, 5), -ENOMEM);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(world_load(&w, mine + i * PAGE), 5);
	finish();
}

static void the_budget_goes_down_and_up_again(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 64, .frames_max = 128 }, 100);
	for (size_t i = 0; i < 60; i++)
		assert_int_equal(world_store(&w, va + i * PAGE, 9), 0);
	assert_int_equal(pool_resize(&w.pool, 16 * PAGE), 0);
	assert_true(pool_over(&w.pool) > 0);
	(void)pageout_balance(&w.pool);
	assert_int_equal(pool_over(&w.pool), 0);
	for (size_t i = 0; i < 60; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), 9);
	assert_true(w.pool.in_use <= 16);
	assert_int_equal(pool_resize(&w.pool, 128 * PAGE), 0);
	for (size_t i = 0; i < 100; i++)
		assert_true(world_load(&w, va + i * PAGE) >= 0);
	assert_true(w.pool.in_use > 64);
	assert_int_equal(pool_resize(&w.pool, 129 * PAGE), -EINVAL);
	finish();
}

static void one_epoch_is_whole_before_the_next_begins(void **state)
{
	unsigned int syncs = 0;

	(void)state;
	begin(&(struct world_config){ .frames = 8 }, 64);
	file.object.epochs = true;
	for (size_t round = 0; round < 4; round++)
		for (size_t i = 0; i < 40; i++)
			assert_int_equal(world_store(&w, va + i * PAGE, (unsigned char)(round + 1)), 0);
	assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_SYNC), 0);
	/* Each run of puts ends with a sync: no page leaves outside of an epoch. */
	for (unsigned int i = 1; i < file.log_count; i++) {
		if (file.log[i].kind == IO_SYNC)
			syncs++;
		if (file.log[i - 1].kind == IO_PUT)
			assert_int_not_equal(file.log[i].kind, IO_GET);
	}
	assert_true(syncs > 4);
	assert_int_equal(file.log[file.log_count - 1].kind, IO_SYNC);
	pool_lock(&w.pool);
	assert_int_equal(file.object.epoch, syncs);
	pool_unlock(&w.pool);
	finish();
}

static void a_failed_write_is_sticky_and_loses_nothing(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 8);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(world_store(&w, va + i * PAGE, 33), 0);
	file.fail_at = file.calls + 1;
	file.fail_for = 100;
	assert_int_equal(object_flush(&file.object, 2, UINT64_MAX, FLUSH_SYNC), -EIO);
	assert_int_equal(file.object.put_failed_at, 2 * PAGE);
	assert_int_equal(file.object.put_failed_bytes, 6 * PAGE);
	assert_int_equal(pageout_evict(&w.pool, 16), 0); /* frames stay */
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), 33);
	file.fail_at = 0;
	assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_SYNC), -EIO); /* still told */
	assert_int_equal(object_mend(&file.object), 0);
	assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_SYNC), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(file.bytes[i * PAGE], 33);
	finish();
}

static void what_fails_again_is_told_again_and_a_failed_sync_for_good(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 8);
	assert_int_equal(world_store(&w, va, 33), 0);
	file.fail_at = file.calls + 1;
	file.fail_for = 2;
	assert_int_equal(object_flush(&file.object, 0, 8, FLUSH_PUT), -EIO);
	assert_int_equal(object_mend(&file.object), -EIO);
	assert_int_equal(
		object_flush(&file.object, 4, 8, FLUSH_PUT), -EIO); /* of another range, which is clean */
	assert_int_equal(object_mend(&file.object), 0);
	assert_int_equal(file.bytes[0], 33);
	assert_int_equal(object_flush(&file.object, 0, 8, FLUSH_SYNC), 0);

	file.fail_at = file.calls + 1; /* nothing to put: the sync */
	file.fail_for = 1;
	assert_int_equal(object_flush(&file.object, 0, 8, FLUSH_SYNC), -EIO);
	assert_int_equal(object_mend(&file.object), -EIO);
	assert_int_equal(object_flush(&file.object, 0, 8, FLUSH_SYNC), -EIO);
	finish();
}

/* A disk that takes no more writes: what is clean goes as before, and nothing is lost. */
static void what_cannot_be_written_does_not_keep_the_others(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 512 }, 1000);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), source_byte(i * PAGE));
	file.fail_at = file.calls + 1;
	file.fail_for = UINT32_MAX;
	file.only_puts = true;
	for (size_t i = 300; i < 500; i++)
		assert_int_equal(world_store(&w, va + i * PAGE, 33), 0);
	for (size_t i = 500; i < 1000; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), source_byte(i * PAGE));
	for (size_t i = 300; i < 500; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), 33);
	/* It recovers: they go again when nothing else can. */
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(world_store(&w, va + i * PAGE, 34), 0);
	file.fail_at = 0;
	for (size_t i = 500; i < 1000; i++)
		assert_int_equal(world_store(&w, va + i * PAGE, 35), 0);
	assert_int_equal(object_mend(&file.object), 0);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(file.bytes[i * PAGE], i < 300 ? 34 : i < 500 ? 33 : 35);
	finish();
}

static void expect_present(size_t from, size_t to)
{
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(fake_present(&w.fake, va + i * PAGE), i >= from && i < to);
}

/* One fault shows all of a unit, one eviction takes all of it; what was stored is a matter of each page. */
static void a_unit_comes_and_goes_together(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 64, .unit_pages = 8 }, 64);
	assert_int_equal(as_mark(&w.as, va, va + 64 * PAGE, PMAP_RANDOM, 0), 0);
	assert_int_equal(world_load(&w, va + 16 * PAGE), source_byte(16 * PAGE));
	expect_present(16, 24);
	assert_int_equal(world_store(&w, va + 18 * PAGE, 'x'), 0);
	assert_int_equal(pageout_evict(&w.pool, 1), 8);
	expect_present(0, 0);
	assert_int_equal(world_counted(&w, TALLY_PUT), 1);
	assert_int_equal(file.bytes[18 * PAGE], 'x');

	/* From its middle: what lies before comes apart, and is shown by the next fault of a neighbour. */
	assert_int_equal(world_load(&w, va + 35 * PAGE), source_byte(35 * PAGE));
	assert_int_equal(world_load(&w, va + 32 * PAGE), source_byte(32 * PAGE));
	expect_present(32, 40);
	assert_int_equal(world_counted(&w, TALLY_FILLS), 16);
	finish();
}

static void a_store_into_a_unit_makes_one_page_dirty(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 64, .unit_pages = 8 }, 64);
	assert_int_equal(as_mark(&w.as, va, va + 64 * PAGE, PMAP_RANDOM, 0), 0);
	assert_int_equal(world_store(&w, va + 3 * PAGE, 'x'), 0);
	assert_int_equal(world_load(&w, va), source_byte(0));
	assert_int_equal(world_store(&w, va + 5 * PAGE, 'y'), 0);
	assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_PUT), 0);
	assert_int_equal(world_counted(&w, TALLY_PUT), 2);
	assert_int_equal(file.bytes[3 * PAGE], 'x');
	assert_int_equal(file.bytes[5 * PAGE], 'y');
	finish();
}

static void a_private_copy_in_a_unit_stays_its_own(void **state)
{
	uintptr_t mine;

	(void)state;
	begin(&(struct world_config){ .frames = 64, .unit_pages = 8 }, 64);
	mine = world_map(&w, 100, 16, &file.object, 0, RW, 0);
	assert_int_equal(world_store(&w, mine + 2 * PAGE, 'p'), 0);
	assert_int_equal(world_load(&w, va + PAGE), source_byte(PAGE));
	assert_int_equal(world_load(&w, mine + 4 * PAGE), source_byte(4 * PAGE));
	assert_int_equal(world_load(&w, mine + 2 * PAGE), 'p');
	assert_int_equal(world_load(&w, va + 2 * PAGE), source_byte(2 * PAGE));
	assert_int_equal(world_store(&w, mine + 4 * PAGE, 'q'), 0);
	assert_int_equal(world_load(&w, va + 4 * PAGE), source_byte(4 * PAGE));
	finish();
}

static void fail_next(unsigned int op, int error)
{
	w.fake.fail_at[op] = w.fake.calls[op] + 1;
	w.fake.fail_with = error;
}

static void what_could_not_be_hidden_goes_with_its_addresses(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 8);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(world_store(&w, va + i * PAGE, 'x'), 0);
	fail_next(FAKE_REMOVE, -EFAULT);
	assert_int_equal(as_unmap(&w.as, va, va + 8 * PAGE), 0);
	pool_lock(&w.pool);
	for (uint32_t i = 0; i < w.pool.fresh; i++)
		assert_int_equal(w.pool.pages[i].maps, MAPPED_NOWHERE);
	pool_unlock(&w.pool);
	assert_int_equal(pageout_evict(&w.pool, 8), 8);
	assert_int_equal(file.bytes[7 * PAGE], 'x');
	finish();
}

/* Else no frame goes while one cannot: faults are refused though nearly all could be evicted. */
static void one_page_that_stays_does_not_keep_the_others(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 8);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(world_store(&w, va + i * PAGE, 'x'), 0);
	fail_next(FAKE_REMOVE, -EFAULT); /* of all of them at once */
	assert_int_equal(pageout_evict(&w.pool, 8), 8);
	assert_int_equal(file.bytes[3 * PAGE], 'x');
	finish();
}

static void only_what_was_written_is_put(void **state)
{
	uint64_t puts = 0;

	(void)state;
	begin(&(struct world_config){ .frames = 64 }, 32);
	for (size_t i = 0; i < 32; i++)
		assert_true(world_load(&w, va + i * PAGE) >= 0);
	assert_int_equal(world_store(&w, va + 3 * PAGE, 1), 0);
	assert_int_equal(world_store(&w, va + 4 * PAGE, 1), 0);
	assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_PUT), 0);
	for (unsigned int i = 0; i < file.log_count; i++)
		puts += file.log[i].kind == IO_PUT ? file.log[i].count : 0;
	assert_int_equal(puts, 2);
	assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_PUT), 0);
	assert_int_equal(world_counted(&w, TALLY_PUT), 2);
	finish();
}

/* Where its bytes lie another page may stand a moment later: whoever reads into them has to be through. */
static void what_is_cut_waits_for_who_fills_it(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 8);
	file.slow = true;
	assert_int_equal(fault_handle(&w.as, va, R, FAULT_NOWAIT), FAULT_UNDERWAY);
	assert_non_null(file.queue);
	object_drop(&file.object, 0, 1, true);
	assert_null(file.queue);
	assert_false(object_has_page(&file.object, 0));
	file.bytes[0] = 99;
	assert_int_equal(world_load(&w, va), 99);
	finish();
}

static void unmap_first(struct source *swap)
{
	(void)swap;
	assert_int_equal(as_unmap(&w.as, WORLD_BASE + 10 * PAGE, WORLD_BASE + 11 * PAGE), 0);
}

/* Its place is nobody's then: with sixteen of them, a store finds none a moment later. */
static void what_is_unmapped_on_its_way_to_swap_leaves_its_place(void **state)
{
	uintptr_t mine;

	(void)state;
	begin(&(struct world_config){ .frames = 16, .swap_pages = 16 }, 1);
	for (int round = 0; round < 20; round++) {
		mine = world_map(&w, 10, 1, NULL, 0, RW, 0);
		assert_int_equal(world_store(&w, mine, 'x'), 0);
		w.swap.meanwhile = unmap_first;
		assert_int_equal(pageout_evict(&w.pool, 16), 1);
		assert_null(w.swap.meanwhile);
	}
	finish();
}

/* More is read ahead than transfers can be in flight, and then the program does something else: whoever needs one collects. */
static void transfers_that_nobody_waits_for_are_collected_by_who_needs_one(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 512, .swap_pages = 16 }, 400);
	file.slow = true;
	for (size_t i = 0; i < 2 * POOL_IOS; i += 2)
		(void)fault_ahead(&w.as, va + i * PAGE, va + (i + 1) * PAGE);
	pool_lock(&w.pool);
	assert_int_equal(w.pool.io_fresh, POOL_IOS);
	assert_null(w.pool.ios);
	pool_unlock(&w.pool);
	(void)alarm(60); /* without it this would wait for ever */
	assert_int_equal(world_load(&w, va + 399 * PAGE), source_byte(399 * PAGE));
	for (size_t i = 0; i < 2 * POOL_IOS; i += 2)
		(void)fault_ahead(&w.as, va + (i + 1) * PAGE, va + (i + 2) * PAGE);
	assert_int_equal(world_store(&w, va + 399 * PAGE, 7), 0);
	assert_int_equal(object_flush(&file.object, 0, 400, FLUSH_PUT), 0);
	assert_int_equal(file.bytes[399 * PAGE], 7);
	(void)alarm(0);
	file.slow = false;
	finish();
}

static void what_is_forgotten_waits_for_who_brings_it_from_swap(void **state)
{
	static const struct object_ops memory_ops = { .start = NULL };
	struct object memory;
	uintptr_t mine;

	(void)state;
	begin(&(struct world_config){ .frames = 16, .swap_pages = 16 }, 1);
	object_init(&memory, &memory_ops, CAN_READ | CAN_WRITE | CAN_MAP | CAN_SIGNAL);
	memory.bytes = 4 * PAGE;
	mine = world_map(&w, 10, 4, &memory, 0, RW, PMAP_SHARED);
	assert_int_equal(world_store(&w, mine + PAGE, 77), 0);
	assert_int_equal(pageout_evict(&w.pool, 16), 1);
	w.swap.slow = true;
	assert_int_equal(fault_handle(&w.as, mine + PAGE, R, FAULT_NOWAIT), FAULT_UNDERWAY);
	assert_non_null(w.swap.queue);
	object_drop(&memory, 1, 2, false);
	assert_null(w.swap.queue);
	w.swap.slow = false;
	assert_int_equal(world_load(&w, mine + PAGE), 0);
	assert_int_equal(as_unmap(&w.as, mine, mine + 4 * PAGE), 0);
	object_unref(&memory);
	finish();
}

static void a_locked_segment_keeps_its_pages(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 16 }, 12);
	for (size_t i = 0; i < 12; i++)
		assert_true(world_load(&w, va + i * PAGE) >= 0);
	assert_int_equal(as_mark(&w.as, va, va + 4 * PAGE, PMAP_LOCKED, 0), 0);
	assert_int_equal(pageout_evict(&w.pool, 16), 8);
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(fake_present(&w.fake, va + i * PAGE), i < 4);
	finish();
}

static void the_same_without_harvest(void **state)
{
	(void)state;
	begin(&(struct world_config){ .frames = 8, .no_harvest = true }, 64);
	for (size_t i = 0; i < 64; i++) {
		assert_int_equal(world_load(&w, va + i * PAGE + 1), source_byte(i * PAGE + 1));
		if (i % 3 == 0)
			assert_int_equal(world_store(&w, va + i * PAGE, 44), 0);
	}
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), i % 3 == 0 ? 44 : source_byte(i * PAGE));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_a_full_swap_comes_back),
		cmocka_unit_test(a_flush_that_is_begun_is_finished_by_who_looks_after_the_pool),
		cmocka_unit_test(a_file_larger_than_the_pool_is_used_within_its_bound),
		cmocka_unit_test(private_memory_larger_than_the_pool_goes_to_swap),
		cmocka_unit_test(without_swap_private_memory_is_refused_beyond_the_bound),
		cmocka_unit_test(the_budget_goes_down_and_up_again),
		cmocka_unit_test(one_epoch_is_whole_before_the_next_begins),
		cmocka_unit_test(a_failed_write_is_sticky_and_loses_nothing),
		cmocka_unit_test(what_fails_again_is_told_again_and_a_failed_sync_for_good),
		cmocka_unit_test(what_cannot_be_written_does_not_keep_the_others),
		cmocka_unit_test(a_unit_comes_and_goes_together),
		cmocka_unit_test(a_store_into_a_unit_makes_one_page_dirty),
		cmocka_unit_test(a_private_copy_in_a_unit_stays_its_own),
		cmocka_unit_test(what_could_not_be_hidden_goes_with_its_addresses),
		cmocka_unit_test(one_page_that_stays_does_not_keep_the_others),
		cmocka_unit_test(only_what_was_written_is_put),
		cmocka_unit_test(what_is_unmapped_on_its_way_to_swap_leaves_its_place),
		cmocka_unit_test(what_is_cut_waits_for_who_fills_it),
		cmocka_unit_test(transfers_that_nobody_waits_for_are_collected_by_who_needs_one),
		cmocka_unit_test(what_is_forgotten_waits_for_who_brings_it_from_swap),
		cmocka_unit_test(a_locked_segment_keeps_its_pages),
		cmocka_unit_test(the_same_without_harvest),
	};

	return RUN(tests);
}
