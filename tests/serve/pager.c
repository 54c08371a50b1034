/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pager on the real kernel: a mapping far larger than its pool, used by several threads through plain pointers,
 * compared with a plain array; and a hammer of stores against eviction and write-back that counts lost ones.
 */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <quire/quire.h>

enum { PAGE = 4096, FILE_PAGES = 1024, POOL_BYTES = 64 * PAGE, THREADS = 3 };

static uint64_t seed;

static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static unsigned int turns(unsigned int all)
{
	return getenv("QUIRE_HUNT") != NULL ? all * 80 : getenv("QUIRE_TEST_QUICK") != NULL ? all / 20 : all;
}

/* Of each of three threads, under two deliveries: ten million stores in a hunt. */
static unsigned int hammer_turns(void)
{
	return getenv("QUIRE_HUNT") != NULL ? 1700000 : turns(6000);
}

static int scratch_file(char *path)
{
	static const char pattern[] = "/var/tmp/quire-pager-XXXXXX";
	static const char zeros[PAGE];
	int fd;

	memcpy(path, pattern, sizeof(pattern));
	fd = mkstemp(path);
	assert_true(fd >= 0);
	for (int i = 0; i < FILE_PAGES; i++)
		assert_int_equal(write(fd, zeros, PAGE), PAGE);
	return fd;
}

static struct quire_pool *open_pool(uint32_t delivery, const char *swap)
{
	struct quire_pool *pool;
	int r = quire_pool_open(
		QUIRE_OPTIONS(pool, .cache_bytes = POOL_BYTES, .delivery = delivery,
			.syscalls_only_pinned = delivery == QUIRE_DELIVERY_INLINE, .swap_path = swap),
		&pool);

	if (r < 0)
		fail_msg("%s", quire_error_text());
	return pool;
}

static struct quire_map *open_map(struct quire_pool *pool, const char *path, uint32_t sharing)
{
	struct quire_map *map;
	int r = quire_map(NULL,
		QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
			.sharing = sharing, .protection = QUIRE_READ | QUIRE_WRITE),
		&map);

	if (r < 0)
		fail_msg("%s", quire_error_text());
	return map;
}

static void within_bound(struct quire_pool *pool)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };

	assert_int_equal(quire_pool_stats(pool, &stats), 0);
	assert_true(stats.used_bytes <= POOL_BYTES);
	assert_true(stats.evicted > 0);
}

/* ---- loads and stores against an array ---- */

struct worker {
	pthread_t thread;
	unsigned char *paged;
	unsigned char *plain;
	unsigned int number;
	unsigned int turns;
	unsigned int wrong;
};

/* Each thread owns the bytes of its number modulo THREADS, so the array needs no lock. */
static void *mix(void *user)
{
	struct worker *w = user;
	uint64_t state = seed + w->number;

	for (unsigned int i = 0; i < w->turns; i++) {
		size_t at = next(&state) % ((size_t)FILE_PAGES * PAGE / THREADS) * THREADS + w->number;

		if (at >= (size_t)FILE_PAGES * PAGE)
			continue;
		if (next(&state) % 2 == 0)
			w->paged[at] = w->plain[at] = (unsigned char)next(&state);
		else
			w->wrong += w->paged[at] != w->plain[at];
	}
	return NULL;
}

static unsigned int run_mix(unsigned char *paged, unsigned char *plain, unsigned int count)
{
	struct worker workers[THREADS];
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .paged = paged, .plain = plain, .number = i, .turns = count };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, mix, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		wrong += workers[i].wrong;
	}
	return wrong;
}

static void a_shared_file_larger_than_its_pool(uint32_t delivery)
{
	unsigned char *plain = calloc(FILE_PAGES, PAGE);
	unsigned char *back = malloc((size_t)FILE_PAGES * PAGE);
	char path[64];
	int fd = scratch_file(path);
	struct quire_pool *pool = open_pool(delivery, NULL);
	struct quire_map *map = open_map(pool, path, QUIRE_SHARED);

	assert_int_equal(run_mix(quire_map_address(map), plain, turns(6000)), 0);
	assert_memory_equal(quire_map_address(map), plain, (size_t)FILE_PAGES * PAGE);
	within_bound(pool);
	assert_int_equal(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), 0);
	assert_int_equal(pread(fd, back, (size_t)FILE_PAGES * PAGE, 0), FILE_PAGES * PAGE);
	assert_memory_equal(back, plain, (size_t)FILE_PAGES * PAGE);
	assert_int_equal(quire_unmap(map), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	close(fd);
	unlink(path);
	free(plain);
	free(back);
}

static void a_private_one_goes_to_swap(uint32_t delivery)
{
	unsigned char *plain = calloc(FILE_PAGES, PAGE);
	char path[64];
	char swap[80];
	unsigned char byte;
	int fd = scratch_file(path);
	struct quire_pool *pool;
	struct quire_map *map;

	(void)snprintf(swap, sizeof(swap), "%s.swap", path);
	pool = open_pool(delivery, swap);
	map = open_map(pool, path, QUIRE_PRIVATE);
	assert_int_equal(run_mix(quire_map_address(map), plain, turns(3000)), 0);
	assert_memory_equal(quire_map_address(map), plain, (size_t)FILE_PAGES * PAGE);
	within_bound(pool);
	for (int i = 0; i < FILE_PAGES; i++) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)i * PAGE), 1);
		assert_int_equal(byte, 0);
	}
	assert_int_equal(quire_unmap(map), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	close(fd);
	unlink(path);
	free(plain);
}

static void a_shared_file_larger_than_its_pool_answered_by_threads(void **state)
{
	(void)state;
	a_shared_file_larger_than_its_pool(QUIRE_DELIVERY_THREAD);
}

static void a_shared_file_larger_than_its_pool_answered_inline(void **state)
{
	(void)state;
	a_shared_file_larger_than_its_pool(QUIRE_DELIVERY_INLINE);
}

static void private_pages_larger_than_the_pool_go_to_swap_and_not_to_the_file(void **state)
{
	(void)state;
	a_private_one_goes_to_swap(QUIRE_DELIVERY_THREAD);
	a_private_one_goes_to_swap(QUIRE_DELIVERY_INLINE);
}

/* ---- what nobody can write is read again rather than kept ---- */

static void *look(void *user)
{
	struct worker *w = user;
	uint64_t state = seed + w->number;

	for (unsigned int i = 0; i < w->turns; i++) {
		size_t at = next(&state) % ((size_t)FILE_PAGES * PAGE);

		w->wrong += *(volatile unsigned char *)(w->paged + at) !=
			(unsigned char)(at / PAGE + at % PAGE);
	}
	return NULL;
}

/* Takes what is shown away while others look: their pages' bytes are gone, and have to be had again. */
static void take_away(struct quire_map *map, unsigned int count)
{
	uint64_t state = seed;
	unsigned char byte;

	for (unsigned int i = 0; i < count; i++) {
		size_t at = next(&state) % (FILE_PAGES - 8) * PAGE;

		assert_int_equal(quire_map_advise(map, at, 8 * PAGE, QUIRE_DONTNEED), 0);
		assert_int_equal(quire_map_try_read(map, at, &byte, 1), 0);
		assert_int_equal(byte, (unsigned char)(at / PAGE));
	}
}

static void a_file_that_is_only_read(uint32_t delivery)
{
	struct worker workers[THREADS];
	unsigned char page[PAGE];
	char path[64];
	int fd = scratch_file(path);
	struct quire_pool *pool = open_pool(delivery, NULL);
	struct quire_map *map;

	for (int i = 0; i < FILE_PAGES; i++) {
		for (int j = 0; j < PAGE; j++)
			page[j] = (unsigned char)(i + j);
		assert_int_equal(pwrite(fd, page, PAGE, (off_t)i * PAGE), PAGE);
	}
	assert_int_equal(quire_map(NULL,
				 QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
					 .sharing = QUIRE_SHARED, .protection = QUIRE_READ),
				 &map),
		0);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.paged = quire_map_address(map), .number = i, .turns = turns(6000)
		};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, look, &workers[i]), 0);
	}
	take_away(map, turns(600));
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].wrong, 0);
	}
	within_bound(pool);
	assert_int_equal(quire_map_protect(map, 0, QUIRE_TO_END, QUIRE_READ | QUIRE_WRITE), -EACCES);
	assert_int_equal(quire_unmap(map), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	close(fd);
	unlink(path);
}

static void a_file_that_is_only_read_through_any_door(void **state)
{
	(void)state;
	a_file_that_is_only_read(QUIRE_DELIVERY_INLINE);
	a_file_that_is_only_read(QUIRE_DELIVERY_THREAD);
}

/* ---- the hammer ---- */

/* Adds one to a counter of its own on random pages; nobody else writes there. A lost store is a counter that is short. */
static void *hammer(void *user)
{
	struct worker *w = user;
	uint64_t state = seed ^ w->number;
	uint32_t *mine = calloc(FILE_PAGES, sizeof(*mine));

	for (unsigned int i = 0; i < w->turns; i++) {
		size_t page = next(&state) % FILE_PAGES;
		volatile uint32_t *counter = (volatile uint32_t *)(void *)(w->paged + page * PAGE) +
			w->number;

		*counter = *counter + 1;
		mine[page]++;
	}
	for (size_t page = 0; page < FILE_PAGES; page++)
		w->wrong += mine[page] - ((volatile uint32_t *)(void *)(w->paged + page * PAGE))[w->number];
	free(mine);
	return NULL;
}

struct flusher {
	struct quire_map *map;
	atomic_bool stop;
};

static void *flush(void *user)
{
	struct flusher *f = user;

	while (!atomic_load(&f->stop))
		(void)quire_map_flush(f->map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC);
	return NULL;
}

static void no_store_is_lost_between_eviction_and_write_back(void **state)
{
	static const uint32_t deliveries[] = { QUIRE_DELIVERY_THREAD, QUIRE_DELIVERY_INLINE };

	(void)state;
	for (int d = 0; d < 2; d++) {
		char path[64];
		int fd = scratch_file(path);
		struct quire_pool *pool = open_pool(deliveries[d], NULL);
		struct flusher flusher = { .map = open_map(pool, path, QUIRE_SHARED) };
		struct worker workers[THREADS];
		pthread_t thread;
		unsigned int lost = 0;

		assert_int_equal(pthread_create(&thread, NULL, flush, &flusher), 0);
		for (unsigned int i = 0; i < THREADS; i++) {
			workers[i] = (struct worker){
				.paged = quire_map_address(flusher.map), .number = i, .turns = hammer_turns()
			};
			assert_int_equal(pthread_create(&workers[i].thread, NULL, hammer, &workers[i]), 0);
		}
		for (unsigned int i = 0; i < THREADS; i++) {
			pthread_join(workers[i].thread, NULL);
			lost += workers[i].wrong;
		}
		atomic_store(&flusher.stop, true);
		pthread_join(thread, NULL);
		assert_int_equal(lost, 0);
		assert_int_equal(quire_unmap(flusher.map), 0);
		assert_int_equal(quire_pool_close(pool), 0);
		close(fd);
		unlink(path);
	}
}

/* ---- errors ---- */

static void a_changed_page_is_an_error_and_its_neighbours_are_not(void **state)
{
	struct quire_fault fault = { .size = sizeof(fault) };
	char path[64];
	int fd = scratch_file(path);
	struct quire_pool *pool = open_pool(QUIRE_DELIVERY_THREAD, NULL);
	struct quire_object *file;
	struct quire_object *checked;
	struct quire_map *map;
	const volatile char *bytes;
	int sum = 0;

	(void)state;
	assert_int_equal(quire_object_file(path, 0, &file), 0);
	assert_int_equal(quire_object_checksum(file, NULL, &checked), 0);
	assert_int_equal(quire_map(NULL,
				 QUIRE_OPTIONS(map, .object = checked, .engine = QUIRE_ENGINE_AUTO,
					 .pool = pool, .protection = QUIRE_READ, .guard = QUIRE_GUARD_ZEROS),
				 &map),
		0);
	bytes = quire_map_address(map);
	for (int i = 0; i < FILE_PAGES; i++)
		sum += bytes[(size_t)i * PAGE];
	assert_int_equal(sum, 0);
	assert_int_equal(pwrite(fd, "x", 1, 7 * PAGE), 1);
	assert_int_equal(quire_map_try_read(map, 7 * PAGE, &sum, 1), -EBADMSG);
	assert_int_equal(bytes[7 * PAGE], 0); /* the stand-in, not the changed byte */
	assert_int_equal(quire_map_error(map, &fault), -EBADMSG);
	assert_int_equal(fault.cause, QUIRE_CAUSE_CHECKSUM);
	assert_int_equal(bytes[6 * PAGE] + bytes[8 * PAGE], 0);
	assert_int_equal(pwrite(fd, "", 1, 7 * PAGE), 1);
	assert_int_equal(quire_map_repair(map), 0);
	assert_int_equal(quire_map_try_read(map, 7 * PAGE, &sum, 1), 0);
	assert_int_equal(quire_map_error(map, NULL), 0);
	assert_int_equal(quire_unmap(map), 0);
	quire_object_close(checked);
	assert_int_equal(quire_pool_close(pool), 0);
	close(fd);
	unlink(path);
}

/* ---- a source that is slow ---- */

static atomic_bool begun;
static atomic_bool let_go;

static int get_slowly(void *user, uint64_t offset, void *memory, size_t length)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	(void)user;
	atomic_store(&begun, true);
	while (offset == 0 && !atomic_load(&let_go))
		(void)nanosleep(&nap, NULL);
	memset(memory, 's', length);
	return 0;
}

static void *load_one(void *user)
{
	const volatile char *byte = user;

	return *byte == 's' ? user : NULL;
}

/* Who waits for its turn is answered by the handlers, however long it takes: a second is enough for the keeper to see that
 * none is left, where none is. What it refuses comes as a signal, in which a load is answered all the same; but a system
 * call would end with EFAULT. */
static void a_fault_behind_a_slow_one_waits_for_it(void **state)
{
	const struct timespec longer = { .tv_sec = 1, .tv_nsec = 500000000 };
	struct quire_pool_stats stats = { .size = sizeof(stats) };
	struct quire_object *object;
	struct quire_pool *pool;
	struct quire_map *map;
	pthread_t threads[2];

	(void)state;
	atomic_store(&begun, false);
	atomic_store(&let_go, false);
	assert_int_equal(quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = POOL_BYTES,
						 .delivery = QUIRE_DELIVERY_THREAD, .handlers = 1),
				 &pool),
		0);
	assert_int_equal(
		quire_object_open(QUIRE_OPTIONS(object, .get = get_slowly, .length = 4 * PAGE), &object), 0);
	assert_int_equal(quire_map(NULL,
				 QUIRE_OPTIONS(map, .object = object, .engine = QUIRE_ENGINE_PAGED,
					 .pool = pool, .sharing = QUIRE_SHARED, .protection = QUIRE_READ,
					 .guard = QUIRE_GUARD_ZEROS, .advice = QUIRE_RANDOM),
				 &map),
		0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, load_one,
					 (char *)quire_map_address(map) + i * PAGE),
			0);
		while (!atomic_load(&begun)) /* the first is the slow one */
			(void)sched_yield();
	}
	(void)nanosleep(&longer, NULL);
	atomic_store(&let_go, true);
	for (size_t i = 0; i < 2; i++) {
		void *right;

		assert_int_equal(pthread_join(threads[i], &right), 0);
		assert_non_null(right);
	}
	assert_int_equal(quire_map_error(map, NULL), 0);
	assert_int_equal(quire_pool_stats(pool, &stats), 0);
	assert_int_equal(stats.by_signal, 0);
	assert_int_equal(quire_unmap(map), 0);
	quire_object_close(object);
	assert_int_equal(quire_pool_close(pool), 0);
}

static void a_smaller_bound_is_kept_at_once_and_pins_are_respected(void **state)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };
	char path[64];
	int fd = scratch_file(path);
	struct quire_pool *pool = open_pool(QUIRE_DELIVERY_THREAD, NULL);
	struct quire_map *map = open_map(pool, path, QUIRE_SHARED);
	int before;
	int after;

	(void)state;
	before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(quire_map_pin(map, 0, 8 * PAGE, QUIRE_READ | QUIRE_WRITE), 0);
	assert_int_equal(quire_pool_resize(pool, 16 * PAGE), 0);
	assert_int_equal(quire_pool_stats(pool, &stats), 0);
	assert_in_range(stats.used_bytes, 8 * PAGE, 16 * PAGE);
	/* What is pinned may be handed to any system call. */
	assert_int_equal(pwrite(fd, quire_map_address(map), 8 * PAGE, 64 * PAGE), 8 * PAGE);
	assert_int_equal(quire_map_pin(map, 0, 32 * PAGE, QUIRE_READ), -ENOMEM);
	assert_int_equal(quire_map_unpin(map, 0, 8 * PAGE), 0);
	assert_int_equal(quire_pool_resize(pool, POOL_BYTES), 0);
	assert_int_equal(quire_unmap(map), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(after <= before + 1); /* nothing of the pool was left open */
	close(after);
	close(before);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shared_file_larger_than_its_pool_answered_by_threads),
		cmocka_unit_test(a_shared_file_larger_than_its_pool_answered_inline),
		cmocka_unit_test(private_pages_larger_than_the_pool_go_to_swap_and_not_to_the_file),
		cmocka_unit_test(a_file_that_is_only_read_through_any_door),
		cmocka_unit_test(no_store_is_lost_between_eviction_and_write_back),
		cmocka_unit_test(a_changed_page_is_an_error_and_its_neighbours_are_not),
		cmocka_unit_test(a_fault_behind_a_slow_one_waits_for_it),
		cmocka_unit_test(a_smaller_bound_is_kept_at_once_and_pins_are_respected),
	};
	const char *wanted = getenv("QUIRE_SEED");

	seed = wanted != NULL ? strtoull(wanted, NULL, 0) : (uint64_t)time(NULL);
	(void)fprintf(stderr, "# QUIRE_SEED=%" PRIu64 "\n", seed);
	return RUN(tests);
}
