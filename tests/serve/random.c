/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random loads, stores, maps, unmaps and advice by several threads on the real kernel, byte by byte against plain arrays; in
 * pools of 16 frames, with everything evicted at every fault, and with ten thousand mappings.
 */
#include "support/run.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"

enum { THREADS = 4, FRAMES = 16, PAGES = 96, MANY_HUNT = 10000 };

static const uint32_t deliveries[] = { QUIRE_DELIVERY_THREAD, QUIRE_DELIVERY_INLINE };

static unsigned long seed;

static uint32_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static struct quire_pool *open_pool(uint32_t delivery, bool hostile, uint32_t unit_bytes)
{
	struct quire_pool *pool;
	char swap[64];
	int r;

	(void)snprintf(swap, sizeof(swap), "/var/tmp/quire-random-%d", (int)getpid());
	r = quire_pool_open(
		QUIRE_OPTIONS(pool, .cache_bytes = FRAMES * PAGE, .delivery = delivery,
			.syscalls_only_pinned = delivery == QUIRE_DELIVERY_INLINE, .swap_path = swap,
			.swap_bytes = (size_t)64 << 20, .hostile = hostile, .unit_bytes = unit_bytes),
		&pool);
	if (r < 0)
		fail_msg("%s", quire_error_text());
	return pool;
}

static struct quire_map *open_map(
	struct quire_pool *pool, struct quire_object *object, uint32_t sharing, size_t pages)
{
	struct quire_map *map;
	int r = quire_map(NULL,
		QUIRE_OPTIONS(map, .object = object, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
			.sharing = sharing, .length = pages * PAGE, .protection = QUIRE_READ | QUIRE_WRITE),
		&map);

	if (r < 0)
		fail_msg("%s", quire_error_text());
	return map;
}

/* ---- many threads ---- */

/* life: one thread of a program; it stores to its own byte in each page, so that the arrays need no lock */
struct life {
	pthread_t thread;
	struct quire_pool *pool;
	struct quire_object *object;
	struct quire_map *shared; /* lives as long as the test, and is everybody's */
	long turns;
	unsigned int number;
	unsigned int wrong;
	unsigned char file[PAGES];
	uint64_t stamps[PAGES]; /* of memory that it gives back */
};

static void use(struct life *l, volatile unsigned char *bytes, unsigned char *shadow, uint64_t *state)
{
	size_t page = next(state) % PAGES;
	volatile unsigned char *at = bytes + page * PAGE + l->number;

	if (next(state) % 2 == 0)
		*at = shadow[page] = (unsigned char)next(state);
	else
		l->wrong += *at != shadow[page];
}

/* A mapping of its own beside the one that lasts: another view of the same pages, or a private copy of them. */
static void short_life(struct life *l, uint64_t *state)
{
	bool shared = next(state) % 2 == 0;
	struct quire_map *map = open_map(l->pool, l->object, shared ? QUIRE_SHARED : QUIRE_PRIVATE, PAGES);
	unsigned char copy[PAGES];

	memcpy(copy, l->file, sizeof(copy));
	for (int i = 0; i < 40; i++)
		use(l, quire_map_address(map), shared ? l->file : copy, state);
	if (next(state) % 4 == 0)
		l->wrong += quire_map_advise(map, 0, 8 * PAGE, QUIRE_PAGEOUT) < 0;
	if (next(state) % 4 == 0)
		l->wrong += quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC) < 0;
	l->wrong += quire_unmap(map) < 0;
}

static void *live(void *user)
{
	struct life *l = user;
	uint64_t state = seed + l->number;

	for (long i = 0; i < l->turns; i++) {
		use(l, quire_map_address(l->shared), l->file, &state);
		if (next(&state) % 64 == 0)
			short_life(l, &state);
	}
	return NULL;
}

static void a_life(uint32_t delivery, bool hostile, uint32_t unit_bytes, long turns)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };
	struct life lives[THREADS];
	struct quire_object *object;
	struct quire_map *shared;
	struct quire_pool *pool = open_pool(delivery, hostile, unit_bytes);
	char path[64];
	int fd = named_file_of((size_t)PAGES * PAGE, path);
	unsigned char byte;

	assert_int_equal(quire_object_file(path, 1, &object), 0);
	shared = open_map(pool, object, QUIRE_SHARED, PAGES);
	for (unsigned int n = 0; n < THREADS; n++) {
		lives[n] = (struct life){
			.pool = pool, .object = object, .shared = shared, .number = n, .turns = turns
		};
		for (size_t i = 0; i < PAGES; i++)
			lives[n].file[i] = (unsigned char)('a' + i % 26);
		assert_int_equal(pthread_create(&lives[n].thread, NULL, live, &lives[n]), 0);
	}
	for (unsigned int n = 0; n < THREADS; n++) {
		pthread_join(lives[n].thread, NULL);
		assert_int_equal(lives[n].wrong, 0);
	}
	assert_int_equal(quire_map_flush(shared, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), 0);
	for (unsigned int n = 0; n < THREADS; n++)
		for (size_t i = 0; i < PAGES; i++) {
			assert_int_equal(pread(fd, &byte, 1, (off_t)(i * PAGE + n)), 1);
			assert_int_equal(byte, lives[n].file[i]);
		}
	assert_int_equal(quire_unmap(shared), 0);
	quire_object_close(object);
	assert_int_equal(quire_pool_stats(pool, &stats), 0);
	assert_int_equal(stats.used_bytes, 0); /* no frame stays behind */
	assert_int_equal(quire_pool_close(pool), 0);
	close(fd);
	unlink(path);
}

static void maps_and_unmaps_under_load_leave_nothing_behind(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++)
		a_life(deliveries[d], false, 0, count_of(200, 1000, 150000));
}

static void the_same_when_all_is_evicted_at_every_fault(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++)
		a_life(deliveries[d], true, 0, count_of(50, 200, 30000));
}

static void the_same_in_units_of_several_pages(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++) {
		a_life(deliveries[d], false, 4 * PAGE, count_of(200, 1000, 100000));
		a_life(deliveries[d], true, 16 * PAGE, count_of(50, 200, 20000));
	}
}

/* ---- memory is given back while all else goes on ---- */

/* Beside the others, a thread whose pages are its own: what it gave back is zeros, also when it was on its way to swap or from
 * there at that moment. */
static void *live_and_let_go(void *user)
{
	struct life *l = user;
	volatile uint64_t *words = quire_map_address(l->shared);
	uint64_t state = seed + l->number;

	for (long i = 0; i < l->turns; i++) {
		size_t page = next(&state) % (PAGES / THREADS) * THREADS + l->number;
		volatile uint64_t *at = words + page * (PAGE / sizeof(uint64_t));
		size_t last = PAGE / sizeof(uint64_t) - 1;

		l->wrong += at[0] != l->stamps[page] || at[last] != l->stamps[page];
		if (next(&state) % 4 == 0) {
			l->wrong += quire_map_advise(l->shared, page * PAGE, PAGE, QUIRE_REMOVE) < 0;
			l->stamps[page] = 0;
			l->wrong += at[0] != 0 || at[last] != 0;
		} else {
			at[0] = at[last] = l->stamps[page] = (uint64_t)i + 1;
		}
	}
	return NULL;
}

static void what_is_given_back_stays_away(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct quire_pool *pool = open_pool(deliveries[i % 2], i >= 2, 0);
		struct quire_map *shared = open_map(pool, NULL, QUIRE_SHARED, PAGES);
		struct life lives[THREADS];

		for (unsigned int n = 0; n < THREADS; n++) {
			lives[n] = (struct life){ .shared = shared,
				.number = n,
				.turns = i < 2 ? count_of(200, 3000, 300000) : count_of(50, 500, 30000) };
			assert_int_equal(
				pthread_create(&lives[n].thread, NULL, live_and_let_go, &lives[n]), 0);
		}
		for (unsigned int n = 0; n < THREADS; n++) {
			pthread_join(lives[n].thread, NULL);
			assert_int_equal(lives[n].wrong, 0);
		}
		assert_int_equal(quire_unmap(shared), 0);
		assert_int_equal(quire_pool_close(pool), 0);
	}
}

/* ---- many mappings ---- */

static void as_many_mappings_as_one_likes(void **state)
{
	long count = count_of(200, 1000, MANY_HUNT);
	struct quire_map **maps = calloc((size_t)count, sizeof(struct quire_map *));

	(void)state;
	assert_non_null(maps);
	for (int d = 0; d < 2; d++) {
		struct quire_pool *pool = open_pool(deliveries[d], false, 0);

		for (long i = 0; i < count; i++) {
			maps[i] = open_map(pool, NULL, QUIRE_PRIVATE, 1);
			*(volatile long *)quire_map_address(maps[i]) = i + d;
		}
		for (long i = count - 1; i >= 0; i--)
			assert_int_equal(*(volatile long *)quire_map_address(maps[i]), i + d);
		for (long i = 0; i < count; i++)
			assert_int_equal(quire_unmap(maps[i * 7 % count]), 0);
		assert_int_equal(quire_pool_close(pool), 0);
	}
	free(maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_and_unmaps_under_load_leave_nothing_behind),
		cmocka_unit_test(the_same_when_all_is_evicted_at_every_fault),
		cmocka_unit_test(the_same_in_units_of_several_pages),
		cmocka_unit_test(what_is_given_back_stays_away),
		cmocka_unit_test(as_many_mappings_as_one_likes),
	};

	seed = seed_of("serve/random");
	return RUN(tests);
}
