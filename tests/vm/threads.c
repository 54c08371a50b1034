/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several threads on the fake engine: programs that load and store, one that evicts, one that flushes, one that maps, protects
 * and unmaps beside them. What a program stored it finds again, and the object has it at the end.
 */
#include "support/run.h"

#include <pthread.h>
#include <stdatomic.h>

#include "support/child.h"
#include "vm/pageout.h"
#include "vm/world.h"

enum { PROGRAMS = 4, FILE_LENGTH = 48, ANON_LENGTH = 16, ANON_AT = 100, BUSY_AT = 400 };

static struct world w;
static struct source file;
static atomic_bool stop;
static unsigned long seed;
static long turns;

static uint32_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* program: one thread, its own byte in each page of the file and its own private memory; what it believes is in them */
struct program {
	pthread_t thread;
	unsigned int number;
	unsigned char file[FILE_LENGTH];
	unsigned char anon[ANON_LENGTH];
};

static struct program programs[PROGRAMS];

static void use(uintptr_t va, unsigned char *shadow, uint64_t *state)
{
	unsigned char byte = (unsigned char)next(state);

	if (next(state) % 2 == 0) {
		assert_int_equal(world_store(&w, va, byte), 0);
		*shadow = byte;
	} else {
		assert_int_equal(world_load(&w, va), *shadow);
	}
}

static void *program_run(void *user)
{
	struct program *p = user;
	uint64_t state = seed + p->number;

	for (long i = 0; i < turns; i++) {
		size_t page = next(&state) % FILE_LENGTH;
		size_t own = next(&state) % ANON_LENGTH;

		use(WORLD_BASE + page * PAGE + p->number, &p->file[page], &state);
		use(WORLD_BASE + (ANON_AT + p->number * ANON_LENGTH + own) * PAGE, &p->anon[own], &state);
	}
	return NULL;
}

static void *evict_run(void *user)
{
	while (!atomic_load(&stop)) {
		(void)pageout_evict(&w.pool, 8);
		(void)pool_refill(&w.pool);
	}
	return user;
}

static void *flush_run(void *user)
{
	while (!atomic_load(&stop))
		assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_SYNC), 0);
	return user;
}

/* The list of segments changes all the time, and the same pages are shown at a second place. */
static void *layout_run(void *user)
{
	uintptr_t start = WORLD_BASE + BUSY_AT * PAGE;
	uintptr_t end = start + FILE_LENGTH * PAGE;

	while (!atomic_load(&stop)) {
		(void)world_map(&w, BUSY_AT, FILE_LENGTH, &file.object, 0, PMAP_READ, PMAP_SHARED);
		for (uintptr_t va = start; va < end; va += 3 * PAGE)
			assert_true(world_load(&w, va + PROGRAMS) >= 0);
		assert_int_equal(as_protect(&w.as, start + PAGE, start + 2 * PAGE, 0), 0);
		assert_int_equal(as_unmap(&w.as, start + 5 * PAGE, start + 9 * PAGE), 0);
		assert_int_equal(as_unmap(&w.as, start, end), 0);
	}
	return user;
}

static void begin(bool hostile)
{
	world_init(&w, &(struct world_config){ .frames = 24, .swap_pages = 256, .hostile = hostile });
	source_init(&file, FILE_LENGTH * PAGE);
	(void)world_map(&w, 0, FILE_LENGTH, &file.object, 0, PMAP_READ | PMAP_WRITE, PMAP_SHARED);
	for (unsigned int n = 0; n < PROGRAMS; n++) {
		programs[n] = (struct program){ .number = n };
		for (size_t i = 0; i < FILE_LENGTH; i++)
			programs[n].file[i] = source_byte(i * PAGE + n);
		(void)world_map(
			&w, ANON_AT + n * ANON_LENGTH, ANON_LENGTH, NULL, 0, PMAP_READ | PMAP_WRITE, 0);
	}
}

static void check_and_finish(void)
{
	world_check(&w);
	assert_int_equal(object_flush(&file.object, 0, UINT64_MAX, FLUSH_SYNC), 0);
	for (unsigned int n = 0; n < PROGRAMS; n++) {
		for (size_t i = 0; i < FILE_LENGTH; i++)
			assert_int_equal(file.bytes[i * PAGE + n], programs[n].file[i]);
		for (size_t i = 0; i < ANON_LENGTH; i++)
			assert_int_equal(world_load(&w, WORLD_BASE + (ANON_AT + n * ANON_LENGTH + i) * PAGE),
				programs[n].anon[i]);
	}
	world_end(&w, &file);
}

static void run(bool hostile)
{
	static void *(*const others[])(void *) = { evict_run, flush_run, layout_run };
	pthread_t threads[3];

	begin(hostile);
	atomic_store(&stop, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, others[i], NULL), 0);
	for (unsigned int n = 0; n < PROGRAMS; n++)
		assert_int_equal(pthread_create(&programs[n].thread, NULL, program_run, &programs[n]), 0);
	for (unsigned int n = 0; n < PROGRAMS; n++)
		pthread_join(programs[n].thread, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	check_and_finish();
}

static void many_threads_find_what_they_stored(void **state)
{
	(void)state;
	run(false);
}

static void also_when_all_is_evicted_at_every_fault(void **state)
{
	(void)state;
	turns /= 4;
	run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_threads_find_what_they_stored),
		cmocka_unit_test(also_when_all_is_evicted_at_every_fault),
	};

	seed = seed_of("vm/threads");
	turns = count_of(500, 2000, 200000);
	return RUN(tests);
}
