/* SPDX-License-Identifier: Apache-2.0 */
/* The table of ranges: more than a block of them, slots used again, ranges that overlap, ends that move. */
#include "support/run.h"

#include <limits.h>

#include "support/child.h"
#include "trap/table.h"
#include "trap/trap.h"

enum { RANGES = 1000 };

static struct trap_range ranges[RANGES];

static struct trap_range *find(uintptr_t va)
{
	unsigned int slot = 0;
	struct trap_range *range = table_find(va, &slot, UINT_MAX);

	if (range)
		table_release(slot);
	return range;
}

static void add_all(void)
{
	for (size_t i = 0; i < RANGES; i++) {
		ranges[i] = (struct trap_range){ .start = (i + 1) << 20, .end = ((i + 1) << 20) + 4096 };
		EXPECT_IS(table_add(&ranges[i]), 0);
	}
}

static void remove_all(void)
{
	for (size_t i = 0; i < RANGES; i++)
		table_remove(&ranges[i]);
}

static void every_byte_of_every_range_is_found(void **state)
{
	(void)state;
	add_all();
	for (size_t i = 0; i < RANGES; i++) {
		EXPECT(find(ranges[i].start) == &ranges[i]);
		EXPECT(find(ranges[i].end - 1) == &ranges[i]);
		EXPECT(find(ranges[i].end) == NULL);
		EXPECT(find(ranges[i].start - 1) == NULL);
	}
	remove_all();
	for (size_t i = 0; i < RANGES; i++)
		EXPECT(find(ranges[i].start) == NULL);
}

static void slots_are_used_again(void **state)
{
	unsigned int highest = 0;

	(void)state;
	for (int round = 0; round < 5; round++) {
		add_all();
		for (size_t i = 0; i < RANGES; i++)
			highest = ranges[i].slot > highest ? ranges[i].slot : highest;
		remove_all();
	}
	EXPECT_IS(highest, RANGES - 1);
	add_all();
	table_remove(&ranges[500]);
	EXPECT(find(ranges[500].start) == NULL);
	EXPECT_IS(table_add(&ranges[500]), 0);
	EXPECT_IS(ranges[500].slot, 500);
	remove_all();
}

static void a_range_in_the_hole_of_another_is_found_after_it(void **state)
{
	struct trap_range outer = { .start = 1 << 20, .end = 2 << 20 };
	struct trap_range inner = { .start = (1 << 20) + 8192, .end = (1 << 20) + 12288 };
	unsigned int slot = 0;

	(void)state;
	EXPECT_IS(table_add(&outer), 0);
	EXPECT_IS(table_add(&inner), 0);
	EXPECT(table_find(inner.start, &slot, UINT_MAX) == &outer);
	table_release(slot);
	slot++;
	EXPECT(table_find(inner.start, &slot, UINT_MAX) == &inner);
	table_release(slot);
	slot = 0;
	EXPECT(table_find(inner.start, &slot, 0) == NULL);
	table_remove(&inner);
	table_remove(&outer);
}

static void an_end_moves_without_a_gap(void **state)
{
	struct trap_range range = { .start = 1 << 20, .end = (1 << 20) + 4096 };

	(void)state;
	EXPECT_IS(table_add(&range), 0);
	table_stretch(&range, (1 << 20) + 8192);
	EXPECT(find((1 << 20) + 8191) == &range);
	table_stretch(&range, (1 << 20) + 4096);
	EXPECT(find((1 << 20) + 4096) == NULL);
	EXPECT(find(1 << 20) == &range);
	table_remove(&range);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_every_range_is_found),
		cmocka_unit_test(slots_are_used_again),
		cmocka_unit_test(a_range_in_the_hole_of_another_is_found_after_it),
		cmocka_unit_test(an_end_moves_without_a_gap),
	};

	return RUN(tests);
}
