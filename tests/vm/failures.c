/* SPDX-License-Identifier: Apache-2.0 */
/* Every call of the engine and of the object fails once, at every place where it is made: nothing leaks, nothing that was
 * acknowledged is lost, and the next try does well. */
#include "support/run.h"

#include <errno.h>
#include <stdio.h>

#include "front/front.h"
#include "support/child.h"
#include "vm/pageout.h"
#include "vm/world.h"

enum { R = PMAP_READ, RW = PMAP_READ | PMAP_WRITE, FILE_LENGTH = 16, STEPS = 60 };

static struct world w;
static struct source file;

/* Each of the first calls, then thinner; in a hunt each. */
static uint64_t thin;

/* What the program believes is in its memory: only stores that were acknowledged. */
static unsigned char shadow[FILE_LENGTH];
static bool shown[FILE_LENGTH];

static int map_at(size_t at, size_t pages, struct object *object, uint32_t flags)
{
	struct map_request request = {
		.how = PMAP_REPLACE,
		.range = { .start = WORLD_BASE + at * PAGE,
			.end = WORLD_BASE + (at + pages) * PAGE,
			.prot = RW,
			.flags = flags },
		.object = object,
	};
	uintptr_t start;

	return as_map(&w.as, &request, &start);
}

static void store(size_t page, unsigned char byte)
{
	int r = world_store(&w, WORLD_BASE + page * PAGE, byte);

	if (r == 0)
		shadow[page] = byte;
}

static void check_bytes(void)
{
	for (size_t i = 0; i < FILE_LENGTH; i++) {
		int byte;

		if (!shown[i])
			continue;
		/* The one failure may strike this load. */
		byte = world_load(&w, WORLD_BASE + i * PAGE);
		if (byte < 0)
			byte = world_load(&w, WORLD_BASE + i * PAGE);
		assert_int_equal(byte, shadow[i]);
	}
}

/* A program of every kind of call; each may fail. */
static void live(void)
{
	if (map_at(0, FILE_LENGTH, &file.object, PMAP_SHARED) < 0)
		assert_int_equal(map_at(0, FILE_LENGTH, &file.object, PMAP_SHARED), 0);
	for (size_t i = 0; i < FILE_LENGTH; i++) {
		shadow[i] = source_byte(i * PAGE);
		shown[i] = true;
	}
	(void)map_at(20, 8, NULL, 0);
	(void)map_at(30, 8, &file.object, 0);
	for (size_t i = 0; i < STEPS; i++) {
		store(i * 7 % FILE_LENGTH, (unsigned char)i);
		(void)world_store(&w, WORLD_BASE + (20 + i % 8) * PAGE, 1);
		(void)world_store(&w, WORLD_BASE + (30 + i % 8) * PAGE, 1);
		if (i % 9 == 0)
			(void)object_flush(&file.object, 0, UINT64_MAX, FLUSH_SYNC);
		if (i % 13 == 0)
			(void)pageout_evict(&w.pool, 8);
		if (i % 17 == 0)
			(void)as_protect(&w.as, WORLD_BASE + 31 * PAGE, WORLD_BASE + 33 * PAGE, R);
		if (i == 40)
			(void)as_unmap(&w.as, WORLD_BASE + 32 * PAGE, WORLD_BASE + 35 * PAGE);
		check_bytes();
		world_check(&w);
	}
}

static void give_back(void)
{
	struct seg seg;

	while (as_find(&w.as, 0, &seg))
		if (as_unmap(&w.as, seg.range.start, seg.range.end) < 0)
			assert_int_equal(as_unmap(&w.as, seg.range.start, seg.range.end), 0);
	if (object_flush(&file.object, 0, UINT64_MAX, FLUSH_SYNC) < 0)
		(void)object_mend(&file.object);
	assert_int_equal(
		object_flush(&file.object, 0, UINT64_MAX, FLUSH_SYNC), atomic_load(&file.object.sync_error));
	for (size_t i = 0; i < FILE_LENGTH; i++)
		assert_int_equal(file.bytes[i * PAGE], shadow[i]); /* no acknowledged store is lost */
	object_unref(&file.object);
	source_done(&file);
	assert_int_equal(w.pool.in_use, 0);
	world_done(&w);
}

static void begin(void)
{
	world_init(&w, &(struct world_config){ .frames = 12, .swap_pages = 64 });
	source_init(&file, FILE_LENGTH * PAGE);
}

static void each_call_of_the_engine_fails_at_each_place(void **state)
{
	static const char *const names[FAKE_OPS] = { "attach", "stage", "enter", "protect", "remove",
		"harvest", "poison", "detach" };

	(void)state;
	for (int op = 0; op < FAKE_OPS; op++) {
		uint64_t n = 1;
		uint64_t calls;

		/* Poison is not called here. */
		if (op == FAKE_POISON)
			continue;
		do {
			begin();
			w.fake.fail_at[op] = n;
			live();
			calls = w.fake.calls[op];
			give_back();
			n += 1 + n / thin;
		} while (n <= calls);
		(void)printf("# %s: %llu calls\n", names[op], (unsigned long long)calls);
	}
}

static void each_transfer_fails(void **state)
{
	uint64_t n = 1;
	uint64_t calls;

	(void)state;
	do {
		begin();
		file.fail_at = n;
		live();
		calls = file.calls;
		give_back();
		n += 1 + n / thin;
	} while (n <= calls);
	(void)printf("# %llu transfers\n", (unsigned long long)calls);
}

static void each_transfer_to_swap_fails(void **state)
{
	uint64_t n = 1;
	uint64_t calls;

	(void)state;
	do {
		begin();
		w.swap.fail_at = n;
		live();
		calls = w.swap.calls;
		give_back();
		n += 1 + n / thin;
	} while (n <= calls);
	(void)printf("# %llu transfers\n", (unsigned long long)calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_of_the_engine_fails_at_each_place),
		cmocka_unit_test(each_transfer_fails),
		cmocka_unit_test(each_transfer_to_swap_fails),
	};

	thin = (uint64_t)count_of(16, 64, 1000000);
	return RUN(tests);
}
