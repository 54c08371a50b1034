/* SPDX-License-Identifier: Apache-2.0 */
/* The table of ranges: more than a block of them, slots used again, ranges that overlap, ends that move, and all of it
 * while others change it, in threads and in signal handlers. */
#include "support/run.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "support/child.h"
#include "trap/table.h"
#include "trap/trap.h"

enum { RANGES = 1000 };

static struct trap_range ranges[RANGES];

static struct trap_range *find(uintptr_t va)
{
	struct table_at at = table_top(va);
	struct trap_range *range = table_find(va, &at);

	if (range)
		table_release(at.slot);
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

static void a_range_in_the_hole_of_another_is_found_before_it(void **state)
{
	struct trap_range outer = { .start = 1 << 20, .end = 2 << 20 };
	struct trap_range inner = { .start = (1 << 20) + 8192, .end = (1 << 20) + 12288 };
	struct table_at at = table_top(inner.start);

	(void)state;
	EXPECT_IS(table_add(&inner), 0);
	EXPECT_IS(table_add(&outer), 0);
	EXPECT(table_find(inner.start, &at) == &inner);
	table_release(at.slot);
	EXPECT(table_find(inner.start, &at) == &outer);
	table_release(at.slot);
	EXPECT(table_find(inner.start, &at) == NULL);
	EXPECT(find(inner.end) == &outer);
	EXPECT(find(outer.end - 1) == &outer);
	table_remove(&inner);
	EXPECT(find(inner.start) == &outer);
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

/* ---- against a list that is asked from end to end ---- */

enum { SOME = 300 };

/* Of all ranges that hold va, in the order of table_find, as many as there are. */
static void same_as_the_list(uintptr_t va, const bool *in)
{
	struct table_at at = table_top(va);
	bool seen[SOME] = { false };
	struct trap_range *range;

	do {
		struct trap_range *nearest = NULL;

		for (size_t i = 0; i < SOME; i++) {
			struct trap_range *one = &ranges[i];

			if (!in[i] || seen[i] || va < one->start || va >= one->end)
				continue;
			if (!nearest || one->start > nearest->start ||
				(one->start == nearest->start && one->slot > nearest->slot))
				nearest = one;
		}
		range = table_find(va, &at);
		EXPECT(range == nearest);
		if (range) {
			table_release(at.slot);
			seen[range - ranges] = true;
		}
	} while (range);
}

static void change(size_t i, bool *in, uintptr_t start, size_t bytes)
{
	if (!in[i]) {
		ranges[i] = (struct trap_range){ .start = start, .end = start + bytes };
		EXPECT_IS(table_add(&ranges[i]), 0);
		in[i] = true;
	} else if (bytes / 4096 % 2) {
		table_remove(&ranges[i]);
		in[i] = false;
	} else {
		table_stretch(&ranges[i], ranges[i].start + bytes);
	}
}

static void random_changes_agree_with_a_list(void **state)
{
	uint64_t random = seed_of("random_changes_agree_with_a_list") | 1;
	long turns = count_of(1000, 20000, 1000000);
	bool in[SOME] = { false };

	(void)state;
	for (long turn = 0; turn < turns; turn++) {
		random = random * 6364136223846793005U + 1442695040888963407U;
		/* Mostly small ones, and some that hold hundreds of others. */
		change((size_t)(random >> 33) % SOME, in, (1 + (random >> 40) % 1024) << 12,
			(1 + (random >> 50) % (turn % 16 == 0 ? 512 : 4)) << 12);
		same_as_the_list((1 + (random >> 20) % 1024) << 12, in);
	}
	for (size_t i = 0; i < SOME; i++)
		if (in[i])
			table_remove(&ranges[i]);
}

/* ---- many ranges, and readers while others come and go ---- */

enum { MANY = 10000, WRITERS = 2, MOVING = 16 };

static struct trap_range many[MANY];
static struct trap_range moving[WRITERS][MOVING];
static pthread_t writers[WRITERS];
static atomic_bool stop;
static atomic_ulong changes;
static atomic_ulong interruptions;

/* Every second megabyte stays; the writers' ranges come and go in between, and in and around those that stay. */
static uintptr_t many_start(size_t i)
{
	return (2 * i + 2) << 20;
}

static void *come_and_go(void *argument)
{
	struct trap_range *own = argument;
	uint64_t random = (uintptr_t)argument | 1;

	while (!atomic_load(&stop)) {
		for (size_t i = 0; i < MOVING; i++) {
			uintptr_t start;

			random = random * 6364136223846793005U + 1442695040888963407U;
			start = many_start((random >> 33) % MANY) + 8192 - (random >> 62) * 4096;
			own[i] = (struct trap_range){ .start = start,
				.end = start + ((random >> 20) % 4096 + 1) * 4096 };
			EXPECT_IS(table_add(&own[i]), 0);
			table_stretch(&own[i], own[i].end + 4096);
		}
		for (size_t i = 0; i < MOVING; i++)
			table_remove(&own[i]);
		atomic_fetch_add(&changes, MOVING);
	}
	return NULL;
}

/* Is the range that stays among those that hold its first byte? */
static bool stays(size_t i)
{
	struct table_at at = table_top(many_start(i));
	struct trap_range *range;

	while ((range = table_find(many_start(i), &at)) != NULL) {
		table_release(at.slot);
		if (range == &many[i])
			return true;
	}
	return false;
}

/* In the middle of a change, on the thread that makes it: it must neither wait for it nor miss what stays. */
static void interrupted(int number)
{
	static _Thread_local size_t next;

	(void)number;
	next = (next + 4001) % MANY;
	if (!stays(next))
		abort();
	atomic_fetch_add(&interruptions, 1);
}

static void nothing_that_stays_is_missed_body(void *unused)
{
	unsigned long rounds = (unsigned long)count_of(200, 100000, 3000000);
	struct sigaction action = { .sa_handler = interrupted };
	uint64_t random = seed_of("nothing_that_stays_is_missed") | 1;

	(void)unused;
	EXPECT_IS(sigaction(SIGUSR1, &action, NULL), 0);
	for (size_t i = MANY; i-- > 0;) { /* downwards, as the kernel places them */
		many[i] = (struct trap_range){ .start = many_start(i), .end = many_start(i) + 4096 };
		EXPECT_IS(table_add(&many[i]), 0);
	}
	for (size_t i = 0; i < WRITERS; i++)
		EXPECT_IS(pthread_create(&writers[i], NULL, come_and_go, moving[i]), 0);
	for (unsigned long round = 0; round < rounds || atomic_load(&changes) < MOVING; round++) {
		random = random * 6364136223846793005U + 1442695040888963407U;
		EXPECT(stays((random >> 33) % MANY));
		if (round % 16 == 0)
			EXPECT_IS(pthread_kill(writers[round / 16 % WRITERS], SIGUSR1), 0);
	}
	while (atomic_load(&interruptions) == 0)
		(void)sched_yield();
	atomic_store(&stop, true);
	for (size_t i = 0; i < WRITERS; i++)
		EXPECT_IS(pthread_join(writers[i], NULL), 0);
	(void)fprintf(stderr, "# %lu changes, %lu interruptions\n", atomic_load(&changes),
		atomic_load(&interruptions));
}
CHILD_CASE(nothing_that_stays_is_missed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_every_range_is_found),
		cmocka_unit_test(slots_are_used_again),
		cmocka_unit_test(a_range_in_the_hole_of_another_is_found_before_it),
		cmocka_unit_test(an_end_moves_without_a_gap),
		cmocka_unit_test(random_changes_agree_with_a_list),
		cmocka_unit_test(nothing_that_stays_is_missed),
	};

	return RUN(tests);
}
