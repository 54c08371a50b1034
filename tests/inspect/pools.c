/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool counts: that it adds up, that another process reads the same, and that a liar is not believed. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "base/tally.h"

enum { PAGE = 4096, FILE_PAGES = 512, POOL_PAGES = 64 };

static void make_file(char *path, char byte)
{
	static const char pattern[] = "/var/tmp/quire-pools-XXXXXX";
	char page[PAGE];
	int fd;

	memset(page, byte, sizeof(page));
	memcpy(path, pattern, sizeof(pattern));
	fd = mkstemp(path);
	assert_true(fd >= 0);
	for (int i = 0; i < FILE_PAGES; i++)
		assert_int_equal(write(fd, page, PAGE), PAGE);
	close(fd);
}

static struct quire_pool *open_pool(const char *publish)
{
	struct quire_pool *pool;

	if (quire_pool_open(
		    QUIRE_OPTIONS(pool, .cache_bytes = POOL_PAGES * PAGE, .publish = publish), &pool) < 0)
		fail_msg("%s", quire_error_text());
	return pool;
}

static struct quire_map *open_map(struct quire_pool *pool, const char *path)
{
	struct quire_map *map;

	if (quire_map(NULL,
		    QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
			    .sharing = QUIRE_SHARED, .protection = QUIRE_READ | QUIRE_WRITE),
		    &map) < 0)
		fail_msg("%s", quire_error_text());
	return map;
}

static unsigned int read_all(struct quire_map *map)
{
	const volatile char *bytes = quire_map_address(map);
	unsigned int sum = 0;

	for (size_t i = 0; i < FILE_PAGES; i++)
		sum += (unsigned char)bytes[i * PAGE];
	return sum;
}

static struct quire_map_stats stats_of(struct quire_map *map)
{
	struct quire_map_stats stats = { .size = sizeof(stats) };
	struct quire_map_stats before = { .size = 0 };

	/* A handler wakes who waits and then writes down how long it took; evictions go on for a moment. */
	while (memcmp(&stats, &before, sizeof(stats)) != 0 || stats.fault_time.count != stats.faults) {
		before = stats;
		(void)usleep(20000);
		assert_int_equal(quire_map_stats(map, &stats), 0);
	}
	return stats;
}

static struct quire_pool_stats whole(struct quire_pool *pool)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };

	assert_int_equal(quire_pool_stats(pool, &stats), 0);
	return stats;
}

/* Nothing was evicted or served meanwhile: the figures of both moments are one. */
static bool same(const struct quire_pool_stats *a, const struct quire_pool_stats *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void check_latency(const struct quire_latency *latency)
{
	uint64_t count = 0;

	for (int i = 0; i < QUIRE_LATENCY_BUCKETS; i++)
		count += latency->buckets[i];
	assert_int_equal(latency->count, count);
	assert_true(count > 0);
	assert_true(latency->p50_ns > 0);
	assert_true(latency->p50_ns <= latency->p99_ns);
	assert_true(latency->p99_ns <= latency->max_ns);
}

static void each_mapping_has_its_own_figures_and_they_add_up(void **state)
{
	char one[64];
	char two[64];
	struct quire_pool *pool = open_pool(NULL);
	struct quire_map *first;
	struct quire_map *second;
	struct quire_map_stats a;
	struct quire_map_stats b;
	struct quire_pool_stats all;
	struct quire_pool_stats after;

	(void)state;
	make_file(one, 1);
	make_file(two, 2);
	first = open_map(pool, one);
	second = open_map(pool, two);
	assert_int_equal(read_all(first), FILE_PAGES);
	assert_int_equal(read_all(second), 2 * FILE_PAGES);
	assert_int_equal(quire_map_try_read(first, 0, &(char){ 0 }, 1), 0);
	((volatile char *)quire_map_address(second))[7 * PAGE] = 3;

	do {
		all = whole(pool);
		a = stats_of(first);
		b = stats_of(second);
		after = whole(pool);
	} while (!same(&all, &after));
	assert_int_equal(a.mapped_bytes, FILE_PAGES * PAGE);
	assert_in_range(a.fills, FILE_PAGES, FILE_PAGES + 64);
	assert_int_equal(a.faults, a.by_thread + a.by_signal + a.by_pin);
	assert_int_equal(a.by_pin, 1);
	assert_int_equal(b.by_pin, 0);
	assert_int_equal(a.dirty_bytes, 0);
	assert_int_equal(b.dirty_bytes, PAGE); /* the kernel alone knew of that store */
	assert_true(a.ahead > 0);
	assert_true(a.ahead_used + a.ahead_wasted <= a.ahead);
	assert_int_equal(a.faults + b.faults, all.faults);
	assert_int_equal(a.evicted + b.evicted, all.evicted);
	assert_int_equal(a.resident_bytes + b.resident_bytes, all.used_bytes);
	assert_true(all.used_bytes <= POOL_PAGES * PAGE);
	check_latency(&a.fault_time);
	check_latency(&a.fill_time);
	check_latency(&all.evict_time);
	assert_int_equal(a.fault_time.count, a.faults);

	/* A closed mapping's past stays in the pool's, its place is used again, and its pages go with its file. */
	assert_int_equal(quire_unmap(first), 0);
	after = whole(pool);
	assert_int_equal(after.faults, all.faults);
	assert_int_equal(after.fault_time.count, all.fault_time.count);
	assert_int_equal(after.used_bytes, stats_of(second).resident_bytes);
	first = open_map(pool, one);
	assert_int_equal(stats_of(first).faults, 0);
	assert_int_equal(quire_unmap(first), 0);
	assert_int_equal(quire_unmap(second), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	unlink(one);
	unlink(two);
}

static void a_write_back_is_counted_for_its_mapping(void **state)
{
	char path[64];
	struct quire_pool *pool = open_pool(NULL);
	struct quire_map *map;
	struct quire_map_stats stats;

	(void)state;
	make_file(path, 1);
	map = open_map(pool, path);
	for (int i = 0; i < 10; i++)
		((volatile char *)quire_map_address(map))[i * PAGE] = 9;
	assert_int_equal(stats_of(map).dirty_bytes, 10 * PAGE);
	assert_int_equal(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC), 0);
	stats = stats_of(map);
	assert_int_equal(stats.put, 10);
	assert_int_equal(stats.dirty_bytes, 0);
	check_latency(&stats.put_time);
	assert_int_equal(quire_unmap(map), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	unlink(path);
}

/* ---- read by another process ---- */

struct seen {
	struct quire_pool_stats pool;
	struct quire_map_stats maps[2];
	char pool_name[64];
	char map_name[64];
	int pools;
	int maps_seen;
	int last;
};

static void look(int pid, struct seen *seen)
{
	struct quire_pool_stats pool = { .size = sizeof(pool) };
	struct quire_map_stats map = { .size = sizeof(map) };
	struct quire_pools *pools;
	const char *name;

	if (quire_pools_open(pid, &pools) < 0)
		return;
	while ((seen->last = quire_pools_next(pools, &name, &pool)) == 1) {
		seen->pools++;
		seen->pool = pool;
		seen->pool.why = NULL;
		(void)snprintf(seen->pool_name, sizeof(seen->pool_name), "%s", name);
		while (quire_pools_next_map(pools, &name, &map) == 1) {
			(void)snprintf(seen->map_name, sizeof(seen->map_name), "%s", name);
			seen->maps[seen->maps_seen++ % 2] = map;
		}
	}
	quire_pools_close(pools);
}

/* Looks at this process, or at itself, from a child. */
static struct seen from_a_child(bool at_itself)
{
	struct seen seen = { .pools = 0 };
	int parent = getpid();
	int ends[2];
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		look(at_itself ? getpid() : parent, &seen);
		_exit(write(ends[1], &seen, sizeof(seen)) == (ssize_t)sizeof(seen) ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &seen, sizeof(seen)), sizeof(seen));
	close(ends[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	return seen;
}

static void another_process_reads_the_same_figures(void **state)
{
	char path[64];
	struct quire_pool *hidden = open_pool(NULL);
	struct quire_pool *pool = open_pool("test \x1b[31m");
	struct quire_map *map;
	struct quire_map_stats ours;
	struct quire_pool_stats all;
	struct quire_pool_stats after;
	struct seen seen;
	int status;

	(void)state;
	make_file(path, 1);
	map = open_map(pool, path);
	assert_int_equal(read_all(map), FILE_PAGES);
	do {
		all = whole(pool);
		ours = stats_of(map);
		seen = from_a_child(false);
		after = whole(pool);
	} while (!same(&all, &after));
	assert_int_equal(seen.pools, 1); /* the other one is not published */
	assert_int_equal(seen.maps_seen, 1);
	assert_int_equal(seen.last, 0);
	assert_string_equal(seen.pool_name, "test \x1b[31m");
	assert_string_equal(seen.map_name, path);
	assert_int_equal(seen.maps[0].dirty_bytes, QUIRE_UNKNOWN);
	seen.maps[0].dirty_bytes = ours.dirty_bytes;
	assert_memory_equal(&seen.maps[0], &ours, sizeof(ours));
	all.why = NULL;
	assert_memory_equal(&seen.pool, &all, sizeof(all));
	assert_true(seen.pool.faults > 0);
	/* A child has the descriptor too, but not the pool. */
	if (fork() == 0)
		_exit(quire_map_stats(map, &ours) == -ECHILD && quire_pool_stats(pool, &all) == -ECHILD ? 0
													: 1);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	assert_int_equal(from_a_child(true).pools, 0);
	assert_int_equal(quire_unmap(map), 0);
	assert_int_equal(quire_pool_close(pool), 0);
	assert_int_equal(quire_pool_close(hidden), 0);
	assert_int_equal(from_a_child(false).pools, 0);
	unlink(path);
}

static void a_reader_can_neither_write_nor_cut_the_figures(void **state)
{
	struct quire_pool *pool = open_pool("sealed");
	char link[64];
	char target[64];
	int found = -1;

	(void)state;
	for (int fd = 0; fd < 256 && found < 0; fd++) {
		ssize_t n;

		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n > 0 && strncmp(target, "/memfd:" LEDGER_FILE, strlen("/memfd:" LEDGER_FILE)) == 0)
			found = open(link, O_RDWR | O_CLOEXEC);
	}
	assert_true(found >= 0);
	assert_true(pwrite(found, "x", 1, 0) < 0);
	assert_true(ftruncate(found, 0) < 0);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, found, 0), MAP_FAILED);
	close(found);
	assert_int_equal(quire_pool_close(pool), 0);
}

/* ---- lies ---- */

static int tell(const struct ledger *ledger, uint64_t bytes)
{
	int fd = memfd_create(LEDGER_FILE, MFD_CLOEXEC);
	struct seen seen;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	if (bytes >= sizeof(*ledger))
		assert_int_equal(pwrite(fd, ledger, sizeof(*ledger), 0), sizeof(*ledger));
	seen = from_a_child(false);
	close(fd);
	assert_int_equal(seen.pools, seen.last == 0);
	return seen.last;
}

static void a_liar_is_not_believed(void **state)
{
	const struct ledger honest = {
		.magic = LEDGER_MAGIC,
		.version = LEDGER_VERSION,
		.tally_bytes = sizeof(struct tally),
		.tallies_room = 4,
		.tallies_end = 2,
		.pid = (uint32_t)getpid(),
	};
	struct ledger lie;

	(void)state;
	assert_int_equal(tell(&honest, ledger_bytes(4)), 0);
	assert_int_equal(tell(&honest, ledger_bytes(1)), -EBADMSG);
	assert_int_equal(tell(&honest, 0), -EBADMSG);
	lie = honest;
	lie.magic++;
	assert_int_equal(tell(&lie, ledger_bytes(4)), -EBADMSG);
	lie = honest;
	lie.version++;
	assert_int_equal(tell(&lie, ledger_bytes(4)), -EBADMSG);
	lie = honest;
	lie.tally_bytes = 8;
	assert_int_equal(tell(&lie, ledger_bytes(4)), -EBADMSG);
	lie = honest;
	lie.tallies_end = UINT32_MAX;
	assert_int_equal(tell(&lie, ledger_bytes(4)), -EBADMSG);
	lie = honest;
	lie.tallies_room = UINT32_MAX;
	assert_int_equal(tell(&lie, ledger_bytes(4)), -EBADMSG);
	lie = honest;
	lie.turn = 1; /* stopped in the middle of a change */
	assert_int_equal(tell(&lie, ledger_bytes(4)), -EAGAIN);
	lie = honest;
	memset(lie.name, 'n', sizeof(lie.name));
	memset(lie.why, 'w', sizeof(lie.why));
	assert_int_equal(tell(&lie, ledger_bytes(4)), 0);
}

static void arguments_are_checked(void **state)
{
	struct quire_pools *pools;

	(void)state;
	assert_int_equal(quire_pools_open(0, &pools), -EINVAL);
	assert_int_equal(quire_pools_open(0x7fffffff, &pools), -ESRCH);
	assert_int_equal(quire_map_stats(NULL, NULL), -EINVAL);
	quire_pools_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mapping_has_its_own_figures_and_they_add_up),
		cmocka_unit_test(a_write_back_is_counted_for_its_mapping),
		cmocka_unit_test(another_process_reads_the_same_figures),
		cmocka_unit_test(a_reader_can_neither_write_nor_cut_the_figures),
		cmocka_unit_test(a_liar_is_not_believed),
		cmocka_unit_test(arguments_are_checked),
	};

	return RUN(tests);
}
