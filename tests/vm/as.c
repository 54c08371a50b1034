/* SPDX-License-Identifier: Apache-2.0 */
/* Segments split and merge: what a change has cut, its undoing makes whole. */
#include "support/run.h"

#include <errno.h>

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

static unsigned int segments(void)
{
	return as_count(&w.as, 0, UINTPTR_MAX);
}

static int protect(size_t at, size_t pages, unsigned int prot)
{
	return as_protect(&w.as, WORLD_BASE + at * PAGE, WORLD_BASE + (at + pages) * PAGE, prot);
}

/*	before   AAAAAAAAA
 *	protect  ....rrr..
 *	         AAAArrrAA      three
 *	restore  AAAAAAAAA      one
 */
static void a_protection_that_is_put_back_leaves_one_segment(void **state)
{
	uintptr_t va = world_map(&w, 0, 9, NULL, 0, RW, 0);
	struct seg seg;

	(void)state;
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(world_store(&w, va + i * PAGE, (unsigned char)(i + 1)), 0);
	assert_int_equal(protect(4, 3, R), 0);
	assert_int_equal(segments(), 3);
	assert_int_equal(world_store(&w, va + 5 * PAGE, 99), -EACCES);
	assert_int_equal(protect(4, 3, RW), 0);
	assert_int_equal(segments(), 1);
	assert_true(as_find(&w.as, va, &seg));
	assert_int_equal(seg.range.end - seg.range.start, 9 * PAGE);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), i + 1);
	assert_int_equal(world_store(&w, va + 5 * PAGE, 99), 0);
}

/*	before   AAArrrBBB      piece by piece, from one end and from the other
 */
static void pieces_are_made_one_from_either_side(void **state)
{
	(void)state;
	world_map(&w, 0, 9, NULL, 0, RW, 0);
	assert_int_equal(protect(3, 3, R), 0);
	assert_int_equal(protect(3, 1, RW), 0); /* grows what is below */
	assert_int_equal(segments(), 3);
	assert_int_equal(protect(5, 1, RW), 0); /* grows what is above */
	assert_int_equal(segments(), 3);
	assert_int_equal(protect(4, 1, RW), 0);
	assert_int_equal(segments(), 1);
}

static void a_protect_that_fails_leaves_the_list_as_it_was(void **state)
{
	uintptr_t va = world_map(&w, 0, 9, &file.object, 0, RW, PMAP_SHARED);

	(void)state;
	w.fake.fail_at[FAKE_PROTECT] = w.fake.calls[FAKE_PROTECT] + 1;
	assert_true(protect(3, 3, R) < 0);
	assert_int_equal(segments(), 1);
	assert_int_equal(world_store(&w, va + 4 * PAGE, 1), 0);
}

static void a_mark_that_is_taken_back_leaves_one_segment(void **state)
{
	uintptr_t va = world_map(&w, 0, 8, NULL, 0, RW, 0);

	(void)state;
	assert_int_equal(as_mark(&w.as, va + 2 * PAGE, va + 4 * PAGE, PMAP_RANDOM, 0), 0);
	assert_int_equal(segments(), 3);
	assert_int_equal(as_mark(&w.as, va + 2 * PAGE, va + 4 * PAGE, 0, PMAP_RANDOM), 0);
	assert_int_equal(segments(), 1);
}

/*	object   0123....            89AB
 *	map      AAAA       and, behind it, pages 4..7 of the same object with another protection, then with the same
 */
static void windows_that_go_on_in_the_object_become_one(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 0, RW, PMAP_SHARED);

	(void)state;
	world_map(&w, 4, 4, &file.object, 4, R, PMAP_SHARED);
	world_map(&w, 8, 4, &file.object, 12, RW, PMAP_SHARED);
	assert_int_equal(segments(), 3);
	assert_int_equal(protect(4, 4, RW), 0);
	assert_int_equal(segments(), 2); /* the third shows other pages */
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(world_load(&w, va + i * PAGE), source_byte(i * PAGE));
	assert_int_equal(world_load(&w, va + 8 * PAGE), source_byte(12 * PAGE));
}

static void private_pages_of_two_mappings_stay_apart(void **state)
{
	uintptr_t va = world_map(&w, 0, 4, &file.object, 0, RW, 0);

	(void)state;
	world_map(&w, 4, 4, &file.object, 4, R, 0);
	assert_int_equal(world_store(&w, va, 7), 0);
	assert_int_equal(protect(4, 4, RW), 0);
	assert_int_equal(segments(), 2);
	assert_int_equal(world_store(&w, va + 4 * PAGE, 8), 0);
	assert_int_equal(world_load(&w, va), 7);
	assert_int_equal(world_load(&w, va + 4 * PAGE), 8);
}

static void owners_stay_apart(void **state)
{
	static int owners[2];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct map_request request = {
			.how = PMAP_EXACT,
			.range = { .start = WORLD_BASE + i * PAGE,
				.end = WORLD_BASE + (i + 1) * PAGE,
				.offset = i * PAGE,
				.prot = RW,
				.flags = PMAP_SHARED,
				.owner = &owners[i] },
			.object = &file.object,
		};
		uintptr_t start;

		assert_int_equal(as_map(&w.as, &request, &start), 0);
	}
	assert_int_equal(protect(0, 2, R), 0);
	assert_int_equal(segments(), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_protection_that_is_put_back_leaves_one_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(pieces_are_made_one_from_either_side, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_protect_that_fails_leaves_the_list_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_mark_that_is_taken_back_leaves_one_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(windows_that_go_on_in_the_object_become_one, setup, teardown),
		cmocka_unit_test_setup_teardown(private_pages_of_two_mappings_stay_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(owners_stay_apart, setup, teardown),
	};

	return RUN(tests);
}
