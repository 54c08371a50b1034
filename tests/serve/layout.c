/* SPDX-License-Identifier: Apache-2.0 */
/* Paged mappings on the real kernel whose layout changes: what was stored stays what it was, wherever it is shown. */
#include "support/run.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/files.h"

enum { POOL_PAGES = 16, PAGES = 64 };

static const uint32_t deliveries[] = { QUIRE_DELIVERY_THREAD, QUIRE_DELIVERY_INLINE };

static struct quire_pool *open_pool_of(uint32_t delivery, size_t pages)
{
	struct quire_pool *pool;
	char swap[64];
	int r;

	(void)snprintf(swap, sizeof(swap), "/var/tmp/quire-layout-%d", (int)getpid());
	r = quire_pool_open(
		QUIRE_OPTIONS(pool, .cache_bytes = pages * PAGE, .delivery = delivery,
			.syscalls_only_pinned = delivery == QUIRE_DELIVERY_INLINE, .swap_path = swap),
		&pool);
	if (r < 0)
		fail_msg("%s", quire_error_text());
	return pool;
}

static struct quire_pool *open_pool(uint32_t delivery)
{
	return open_pool_of(delivery, POOL_PAGES);
}

static struct quire_map *open_map(struct quire_pool *pool, const char *path, uint32_t sharing, size_t pages)
{
	struct quire_map *map;
	int r = quire_map(NULL,
		QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
			.sharing = sharing, .length = pages * PAGE, .protection = QUIRE_READ | QUIRE_WRITE),
		&map);

	if (r < 0)
		fail_msg("%s", quire_error_text());
	return map;
}

static void store_all(struct quire_map *map, size_t from, size_t to, unsigned char mark)
{
	volatile unsigned char *bytes = quire_map_address(map);

	for (size_t i = from; i < to; i++)
		bytes[i * PAGE + i] = (unsigned char)(mark + i);
}

static void check_all(struct quire_map *map, size_t from, size_t to, unsigned char mark)
{
	const volatile unsigned char *bytes = quire_map_address(map);

	for (size_t i = from; i < to; i++)
		assert_int_equal(bytes[i * PAGE + i], (unsigned char)(mark + i));
}

static void a_mapping_that_grows_elsewhere_shows_the_same_bytes(void **state)
{
	static const uint32_t sharings[] = { QUIRE_SHARED, QUIRE_PRIVATE };

	(void)state;
	for (int i = 0; i < 4; i++) {
		char path[64];
		int fd = named_file_of((size_t)4 * PAGES * PAGE, path);
		struct quire_pool *pool = open_pool(deliveries[i % 2]);
		struct quire_map *map = open_map(pool, path, sharings[i / 2], PAGES);

		store_all(map, 0, PAGES, 1);
		assert_int_equal(quire_map_resize(map, (size_t)2 * PAGES * PAGE, QUIRE_MAY_MOVE), 0);
		check_all(map, 0, PAGES, 1);
		store_all(map, PAGES, (size_t)2 * PAGES, 7);
		assert_int_equal(quire_map_resize(map, (size_t)3 * PAGES * PAGE, QUIRE_MAY_MOVE), 0);
		check_all(map, 0, PAGES, 1);
		check_all(map, PAGES, (size_t)2 * PAGES, 7);
		/* What came along last is the file's, at the file's offset. */
		assert_int_equal(((const char *)quire_map_address(map))[(size_t)2 * PAGES * PAGE],
			'a' + 2 * PAGES % 26);
		assert_int_equal(quire_map_move(map, NULL), 0);
		check_all(map, 0, PAGES, 1);
		assert_int_equal(quire_map_resize(map, (size_t)PAGES / 2 * PAGE, 0), 0);
		check_all(map, 0, PAGES / 2, 1);
		assert_int_equal(quire_unmap(map), 0);
		assert_int_equal(quire_pool_close(pool), 0);
		close(fd);
		unlink(path);
	}
}

/* The kernel places mappings side by side, and an eviction takes neighbours out in one go. */
static void neighbours_of_private_memory_go_to_swap_together(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++) {
		struct quire_pool *pool = open_pool(deliveries[d]);
		struct quire_map *maps[PAGES];

		for (int i = 0; i < PAGES; i++)
			maps[i] = open_map(pool, NULL, QUIRE_PRIVATE, 1 + (size_t)i % 3);
		for (int round = 0; round < 2; round++) {
			for (int i = 0; i < PAGES; i++)
				store_all(maps[i], 0, 1 + (size_t)i % 3, (unsigned char)(i + round));
			for (int i = 0; i < PAGES; i++)
				check_all(maps[i], 0, 1 + (size_t)i % 3, (unsigned char)(i + round));
		}
		for (int i = 0; i < PAGES; i++)
			assert_int_equal(quire_unmap(maps[i]), 0);
		assert_int_equal(quire_pool_close(pool), 0);
	}
}

/* Prefetched, and then nobody wants it: the disk writes into the frames as long as it likes. */
static void what_is_on_its_way_from_swap_ends_before_the_pool_does(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		struct quire_pool *pool = open_pool_of(deliveries[i % 2], 2 * POOL_PAGES);
		struct quire_map *map = open_map(pool, NULL, QUIRE_PRIVATE, PAGES);
		struct quire_pool_stats stats = { .size = sizeof(stats) };

		store_all(map, 0, PAGES, 3);
		assert_int_equal(quire_pool_resize(pool, POOL_PAGES * PAGE), 0);
		assert_int_equal(quire_pool_resize(pool, (size_t)2 * POOL_PAGES * PAGE), 0);
		assert_true(quire_map_prefetch(map,
				    &(struct quire_range){ .offset = 0, .length = PAGES * PAGE }, 1) > 0);
		assert_int_equal(quire_pool_stats(pool, &stats), 0);
		assert_true(stats.fills > 0);
		assert_int_equal(quire_unmap(map), 0);
		assert_int_equal(quire_pool_close(pool), 0);
	}
}

/* Opened by name each time. Two caches of one file would each write back whole pages, and lose what the other had in them. */
static void mappings_of_one_file_are_of_one_content(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++) {
		char path[64];
		int fd = named_file_of((size_t)PAGES * PAGE, path);
		struct quire_pool *pool = open_pool(deliveries[d]);
		struct quire_map *one = open_map(pool, path, QUIRE_SHARED, PAGES);
		struct quire_map *two = open_map(pool, path, QUIRE_SHARED, PAGES);
		struct quire_map *copy = open_map(pool, path, QUIRE_PRIVATE, PAGES);
		struct quire_object *object;
		struct quire_map *other;
		char bytes[2];

		for (int i = 0; i < PAGES; i++) {
			((volatile char *)quire_map_address(one))[i * PAGE] = '1';
			((volatile char *)quire_map_address(two))[i * PAGE + 1] = '2';
			assert_int_equal(((volatile char *)quire_map_address(two))[i * PAGE], '1');
			assert_int_equal(((volatile char *)quire_map_address(copy))[i * PAGE + 1], '2');
			((volatile char *)quire_map_address(copy))[i * PAGE] = '3';
		}
		assert_int_equal(quire_object_file(path, 1, &object), 0);
		assert_int_equal(quire_map(NULL,
					 QUIRE_OPTIONS(map, .object = object, .engine = QUIRE_ENGINE_PAGED,
						 .pool = pool, .sharing = QUIRE_SHARED,
						 .protection = QUIRE_READ | QUIRE_WRITE),
					 &other),
			-EBUSY);
		quire_object_close(object);
		assert_int_equal(quire_unmap(one), 0);
		assert_int_equal(quire_unmap(copy), 0);
		assert_int_equal(quire_unmap(two), 0);
		for (int i = 0; i < PAGES; i++) {
			assert_int_equal(pread(fd, bytes, 2, (off_t)i * PAGE), 2);
			assert_memory_equal(bytes, "12", 2);
		}
		assert_int_equal(quire_pool_close(pool), 0);
		close(fd);
		unlink(path);
	}
}

/* What is only read is entered without a place where a store of others could be seen. */
static void a_file_that_is_read_is_not_written_through_the_same_pool(void **state)
{
	char path[64];
	int fd = named_file_of((size_t)PAGES * PAGE, path);
	struct quire_pool *pool = open_pool(QUIRE_DELIVERY_THREAD);
	struct quire_map *map;
	struct quire_map *other;

	(void)state;
	assert_int_equal(quire_map(NULL,
				 QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
					 .sharing = QUIRE_SHARED, .protection = QUIRE_READ),
				 &map),
		0);
	assert_int_equal(quire_map(NULL,
				 QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
					 .sharing = QUIRE_SHARED, .protection = QUIRE_READ | QUIRE_WRITE),
				 &other),
		-EBUSY);
	assert_non_null(strstr(quire_error_text(), "for reading only"));
	assert_int_equal(((volatile char *)quire_map_address(map))[PAGE], 'b');
	assert_int_equal(quire_unmap(map), 0);
	other = open_map(pool, path, QUIRE_SHARED, PAGES);
	assert_int_equal(quire_map(NULL,
				 QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
					 .sharing = QUIRE_SHARED, .protection = QUIRE_READ),
				 &map),
		0);
	((volatile char *)quire_map_address(other))[PAGE] = 'X';
	assert_int_equal(((volatile char *)quire_map_address(map))[PAGE], 'X');
	assert_int_equal(quire_unmap(map), 0);
	assert_int_equal(quire_unmap(other), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	close(fd);
	unlink(path);
}

static void what_cannot_be_locked_whole_is_not_locked(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++) {
		struct quire_pool *pool = open_pool(deliveries[d]);
		struct quire_map *map = open_map(pool, NULL, QUIRE_PRIVATE, PAGES);

		store_all(map, 0, PAGES, 3);
		assert_int_equal(quire_map_lock(map, 0, (size_t)POOL_PAGES / 2 * PAGE, 0), 0);
		check_all(map, 0, PAGES, 3);
		assert_int_equal(quire_map_lock(map, 0, (size_t)2 * POOL_PAGES * PAGE, 0), -ENOMEM);
		assert_non_null(strstr(quire_error_text(), "no room"));
		check_all(map, 0, PAGES, 3); /* all frames would be locked */
		assert_int_equal(quire_unmap(map), 0);
		assert_int_equal(quire_pool_close(pool), 0);
	}
}

static void a_swap_file_takes_nobodys_place(void **state)
{
	struct quire_pool *pool;
	char path[64];
	int fd = named_file_of(PAGE, path);

	(void)state;
	assert_int_equal(
		quire_pool_open(
			QUIRE_OPTIONS(pool, .cache_bytes = POOL_PAGES * PAGE, .swap_path = path), &pool),
		-EEXIST);
	assert_non_null(strstr(quire_error_text(), "exists already"));
	assert_int_equal(lseek(fd, 0, SEEK_END), PAGE);
	assert_int_equal(unlink(path), 0); /* it was there still */
	close(fd);
}

static void private_memory_that_may_be_read_only_goes_to_swap_too(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++) {
		struct quire_pool *pool = open_pool(deliveries[d]);
		struct quire_map *map = open_map(pool, NULL, QUIRE_PRIVATE, PAGES);

		store_all(map, 0, POOL_PAGES / 2, 3);
		assert_int_equal(quire_map_protect(map, 0, (size_t)POOL_PAGES / 2 * PAGE, QUIRE_READ), 0);
		store_all(map, POOL_PAGES / 2, PAGES, 3); /* the first ones have to go */
		check_all(map, 0, PAGES, 3);
		assert_int_equal(
			quire_map_protect(map, 0, (size_t)PAGES * PAGE, QUIRE_READ | QUIRE_WRITE), 0);
		store_all(map, 0, PAGES, 9);
		check_all(map, 0, PAGES, 9);
		assert_int_equal(quire_unmap(map), 0);
		assert_int_equal(quire_pool_close(pool), 0);
	}
}

/* Faults of a walk through a file that nothing reads ahead. */
static uint64_t faults_of_a_walk(uint32_t delivery, uint32_t unit_bytes)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };
	struct quire_pool *pool;
	struct quire_map *map;
	char path[64];
	int fd = named_file_of((size_t)PAGES * PAGE, path);

	assert_int_equal(quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = 2 * PAGES * PAGE,
						 .delivery = delivery, .unit_bytes = unit_bytes,
						 .syscalls_only_pinned = delivery == QUIRE_DELIVERY_INLINE),
				 &pool),
		0);
	map = open_map(pool, path, QUIRE_SHARED, PAGES);
	assert_int_equal(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_RANDOM), 0);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(
			((const volatile unsigned char *)quire_map_address(map))[i * PAGE], 'a' + i % 26);
	assert_int_equal(quire_pool_stats(pool, &stats), 0);
	assert_int_equal(quire_unmap(map), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	close(fd);
	unlink(path);
	return stats.faults;
}

static void a_unit_is_one_fault(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++) {
		/* The kernel may tell of a fault once more while it is answered. */
		assert_in_range(faults_of_a_walk(deliveries[d], 0), PAGES, PAGES + 4);
		assert_in_range(faults_of_a_walk(deliveries[d], 4 * PAGE), PAGES / 4, PAGES / 4 + 4);
		assert_in_range(faults_of_a_walk(deliveries[d], 16 * PAGE), PAGES / 16, PAGES / 16 + 4);
	}
}

static void a_unit_is_a_power_of_two_up_to_64_kib(void **state)
{
	static const uint32_t wrong[] = { 1, 2048, 12288, 131072 };
	struct quire_pool *pool;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(
			quire_pool_open(
				QUIRE_OPTIONS(pool, .cache_bytes = 1 << 20, .unit_bytes = wrong[i]), &pool),
			-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_that_grows_elsewhere_shows_the_same_bytes),
		cmocka_unit_test(neighbours_of_private_memory_go_to_swap_together),
		cmocka_unit_test(a_unit_is_one_fault),
		cmocka_unit_test(a_unit_is_a_power_of_two_up_to_64_kib),
		cmocka_unit_test(what_is_on_its_way_from_swap_ends_before_the_pool_does),
		cmocka_unit_test(mappings_of_one_file_are_of_one_content),
		cmocka_unit_test(a_file_that_is_read_is_not_written_through_the_same_pool),
		cmocka_unit_test(what_cannot_be_locked_whole_is_not_locked),
		cmocka_unit_test(a_swap_file_takes_nobodys_place),
		cmocka_unit_test(private_memory_that_may_be_read_only_goes_to_swap_too),
	};

	return RUN(tests);
}
