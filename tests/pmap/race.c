/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads on dead pages. The usual cure - map fresh memory over the page in the handler - loses the store of the faster of two
 * threads: 28 of 40,000 (docs/architecture.md). Here none may be lost, whatever happens to the file meanwhile.
 */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include <quire/guard.h>
#include <quire/quire.h>

#include "api/handle.h"
#include "support/child.h"
#include "support/files.h"

enum { READERS = 4 };

static char *base;
static size_t page_count;
static int cut_fd = -1;          /* cut in front of the threads; -1: the pages are dead already */
static atomic_size_t arrived[2]; /* pages each thread is ready for: the barrier */

/* Both threads leave for page i at the same moment. */
static void meet(unsigned int self, size_t i)
{
	atomic_store(&arrived[self], i + 1);
	for (unsigned int spins = 0; atomic_load(&arrived[1 - self]) < i + 1; spins++)
		if (spins % 1024 == 1023)
			(void)sched_yield();
}

static void *store_to_each(void *argument)
{
	unsigned int self = argument != NULL;

	for (size_t turn = 0; turn < page_count; turn++) {
		size_t i = page_count - 1 - turn;

		/* One page more is dead: a patch of its own. */
		if (self == 0 && cut_fd >= 0)
			EXPECT_IS(ftruncate(cut_fd, (off_t)i * PAGE), 0);
		meet(self, turn);
		*(volatile char *)(base + i * PAGE + self) = (char)(1 + i % 100);
	}
	return NULL;
}

static size_t lost_stores(void)
{
	pthread_t thread;
	size_t lost = 0;

	atomic_store(&arrived[0], 0);
	atomic_store(&arrived[1], 0);
	EXPECT_IS(pthread_create(&thread, NULL, store_to_each, (void *)(uintptr_t)1), 0);
	(void)store_to_each(NULL);
	EXPECT_IS(pthread_join(thread, NULL), 0);
	for (size_t i = 0; i < page_count; i++) {
		lost += base[i * PAGE] != (char)(1 + i % 100);
		lost += base[i * PAGE + 1] != (char)(1 + i % 100);
	}
	return lost;
}

static void two_threads_lose_no_store_on_dead_pages_body(void *argument)
{
	long wanted = count_of(5000, 100000, 10000000);
	struct quire_map *map;
	int fd = memfd_create("race", MFD_CLOEXEC);

	(void)argument;
	page_count = 1000;
	cut_fd = fd;
	for (long done = 0; done < wanted; done += (long)page_count) {
		EXPECT_IS(ftruncate(fd, (off_t)page_count * PAGE), 0);
		EXPECT_IS(quire_map_fd(NULL, fd,
				  QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS,
					  .protection = QUIRE_READ | QUIRE_WRITE),
				  &map),
			0);
		base = quire_map_address(map);
		EXPECT_IS(lost_stores(), 0);
		EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
		EXPECT_IS(quire_unmap(map), 0);
	}
	EXPECT_IS(close(fd), 0);
}
CHILD_CASE(two_threads_lose_no_store_on_dead_pages)

/* Pages that fail one by one: a full tmpfs. Each is claimed and patched alone. */
static void two_threads_lose_no_store_on_lone_dead_pages_body(void *argument)
{
	char path[64], name[128];
	struct quire_map *map;
	int fd;

	(void)argument;
	small_filesystem("tmpfs", 1 << 20, path);
	(void)snprintf(name, sizeof(name), "%s/sparse", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	page_count = (size_t)count_of(
		1000, 10000, 20000); /* two kernel mappings each at worst: below max_map_count */
	EXPECT_IS(ftruncate(fd, (off_t)page_count * PAGE), 0);
	fill_filesystem(path);
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(
				  map, .guard = QUIRE_GUARD_ZEROS, .protection = QUIRE_READ | QUIRE_WRITE),
			  &map),
		0);
	base = quire_map_address(map);
	EXPECT_IS(lost_stores(), 0);
	EXPECT_IS(quire_map_error(map, NULL), -ENOSPC);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(two_threads_lose_no_store_on_lone_dead_pages)

/* The same without luck: the second thread decides while the first one patches, goes on and stores. */
static atomic_int deciding; /* threads that reached the callback */
static atomic_bool first_stored;
static atomic_bool gave_up;

static bool wait_for(bool (*come)(void))
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 60000; i++) {
		if (come())
			return true;
		(void)nanosleep(&pause, NULL);
	}
	atomic_store(&gave_up, true);
	return false;
}

static bool both_decide(void)
{
	return atomic_load(&deciding) == 2;
}

static bool first_has_stored(void)
{
	return atomic_load(&first_stored);
}

static int meet_and_take_turns(const struct quire_fault *fault, void *user)
{
	(void)fault;
	(void)user;
	if (atomic_fetch_add(&deciding, 1) == 0)
		(void)wait_for(both_decide);
	else
		(void)wait_for(first_has_stored);
	return QUIRE_FAULT_ZEROS;
}

static void *store_one(void *argument)
{
	*(volatile char *)(base + (argument != NULL)) = 'x';
	atomic_store(&first_stored, true);
	return NULL;
}

/* The file is cut to nothing when `cut` says so. */
static void expect_both_stores(int fd, bool cut)
{
	struct quire_map *map = NULL;
	pthread_t thread;

	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_CALLBACK, .on_fault = meet_and_take_turns,
				  .protection = QUIRE_READ | QUIRE_WRITE),
			  &map),
		0);
	base = (char *)quire_map_address(map) + PAGE;
	if (cut)
		EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(pthread_create(&thread, NULL, store_one, (void *)(uintptr_t)1), 0);
	(void)store_one(NULL);
	EXPECT_IS(pthread_join(thread, NULL), 0);
	EXPECT(!atomic_load(&gave_up));
	EXPECT_IS(base[0], 'x');
	EXPECT_IS(base[1], 'x');
	EXPECT_IS(quire_unmap(map), 0);
}

static void a_store_made_while_another_thread_decides_is_kept_body(void *argument)
{
	(void)argument;
	expect_both_stores(file_of(2 * PAGE), true);
}
CHILD_CASE(a_store_made_while_another_thread_decides_is_kept)

static void a_store_to_a_lone_page_is_kept_likewise_body(void *argument)
{
	char path[64], name[128];
	int fd;

	(void)argument;
	small_filesystem("tmpfs", 1 << 20, path);
	(void)snprintf(name, sizeof(name), "%s/sparse", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(fd >= 0);
	EXPECT_IS(ftruncate(fd, 4 * PAGE), 0);
	fill_filesystem(path);
	expect_both_stores(fd, false);
}
CHILD_CASE(a_store_to_a_lone_page_is_kept_likewise)

/* A guard that follows its mapping in place waits for nobody who decides: it never leaves the table. */
static atomic_bool followed;

static bool has_followed(void)
{
	return atomic_load(&followed);
}

static int wait_for_the_follower(const struct quire_fault *fault, void *user)
{
	(void)fault;
	(void)user;
	atomic_fetch_add(&deciding, 1);
	(void)wait_for(has_followed);
	return QUIRE_FAULT_ZEROS;
}

static bool one_decides(void)
{
	return atomic_load(&deciding) == 1;
}

static void a_guard_follows_in_place_without_leaving_body(void *argument)
{
	int fd = file_of(2 * PAGE);
	struct quire_map *map = NULL;
	pthread_t thread;

	(void)argument;
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_CALLBACK, .on_fault = wait_for_the_follower,
				  .protection = QUIRE_READ | QUIRE_WRITE),
			  &map),
		0);
	base = (char *)quire_map_address(map) + PAGE;
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(pthread_create(&thread, NULL, store_one, NULL), 0);
	EXPECT(wait_for(one_decides));
	EXPECT_IS(guard_follow(&map->guard, map->start, map->end), 0);
	atomic_store(&followed, true);
	EXPECT_IS(pthread_join(thread, NULL), 0);
	EXPECT(!atomic_load(&gave_up));
	EXPECT_IS(base[0], 'x');
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_guard_follows_in_place_without_leaving)

/* ---- another process cuts and regrows the file ---- */

static atomic_bool stop;
static atomic_ulong wrong;
static struct quire_map *watched;

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 10,000 times a second: 50 us cut, 50 us whole. */
static void cut_and_regrow(int fd)
{
	static char page[PAGE];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(page, 'a', sizeof(page));
	for (;;) {
		const struct timespec pause = { .tv_nsec = 20000 };

		if (ftruncate(fd, 4 * PAGE) < 0 || ftruncate(fd, 64 * PAGE) < 0)
			_exit(1);
		(void)nanosleep(&pause, NULL);
	}
}

/* The first four pages are never cut: always 'a'. The others read as 'a' or 0, never anything else, and never kill. */
static void *read_all_the_time(void *argument)
{
	char copy[200];
	unsigned int random = (unsigned int)(uintptr_t)argument * 7919 + 1;

	while (!atomic_load(&stop)) {
		size_t page;
		char byte;
		int r;

		random = random * 1664525 + 1013904223;
		page = random >> 16 & 63;
		byte = *(volatile char *)(base + page * PAGE + 17);
		if (byte != 'a' && (byte != 0 || page < 4))
			atomic_fetch_add(&wrong, 1);
		r = quire_copy_out(copy, base + page * PAGE, sizeof(copy));
		if (r != 0 && (r != -ENODATA || page < 4))
			atomic_fetch_add(&wrong, 1);
	}
	return NULL;
}

static void reading_survives_a_file_that_is_cut_all_the_time_body(void *argument)
{
	double until = seconds() + (double)count_of(1, 3, 60);
	int fd = memfd_create("cut", MFD_CLOEXEC);
	pthread_t threads[READERS];
	pid_t cutter;
	long repaired = 0;

	(void)argument;
	for (size_t i = 0; i < 64; i++)
		EXPECT_IS(pwrite(fd, memset((char[PAGE]){ 0 }, 'a', PAGE), PAGE, (off_t)i * PAGE), PAGE);
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS, .protection = QUIRE_READ), &watched),
		0);
	base = quire_map_address(watched);
	cutter = fork();
	if (cutter == 0)
		cut_and_regrow(fd);
	for (size_t i = 0; i < READERS; i++)
		EXPECT_IS(pthread_create(&threads[i], NULL, read_all_the_time, (void *)i), 0);
	while (seconds() < until || repaired == 0) {
		repaired += quire_map_repair(watched) == 0;
		(void)usleep(100);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < READERS; i++)
		EXPECT_IS(pthread_join(threads[i], NULL), 0);
	EXPECT_IS(kill(cutter, SIGKILL), 0);
	EXPECT(waitpid(cutter, NULL, 0) == cutter);
	EXPECT_IS(atomic_load(&wrong), 0);
	EXPECT(repaired > 0);
	/* Whole again, everything comes back. */
	EXPECT_IS(ftruncate(fd, 64 * PAGE), 0);
	EXPECT_IS(quire_map_repair(watched), 0);
	EXPECT_IS(pwrite(fd, "z", 1, 63 * PAGE), 1);
	EXPECT_IS(base[63 * PAGE], 'z');
	EXPECT_IS(quire_unmap(watched), 0);
}
CHILD_CASE(reading_survives_a_file_that_is_cut_all_the_time)

/* ---- growing under readers ---- */

static void *read_the_first_pages(void *argument)
{
	(void)argument;
	while (!atomic_load(&stop))
		for (size_t page = 0; page < 8; page++)
			(void)*(volatile char *)(base + page * PAGE);
	return NULL;
}

/* A page dies and is repaired while the mapping grows and shrinks behind it: no moment without a guard. */
static void a_mapping_is_guarded_at_every_moment_of_its_growth_body(void *argument)
{
	double until = seconds() + (double)count_of(1, 2, 20);
	int fd = memfd_create("grow", MFD_CLOEXEC);
	pthread_t threads[2];
	long rounds = 0;

	(void)argument;
	EXPECT_IS(ftruncate(fd, 8 * PAGE), 0);
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS,
				  .protection = QUIRE_READ | QUIRE_WRITE, .reserve_bytes = 64 * PAGE),
			  &watched),
		0);
	base = quire_map_address(watched);
	for (size_t i = 0; i < 2; i++)
		EXPECT_IS(pthread_create(&threads[i], NULL, read_the_first_pages, NULL), 0);
	while (seconds() < until) {
		EXPECT_IS(ftruncate(fd, PAGE), 0);
		/* Refused while an error sticks; else it grows the file again. */
		(void)quire_map_resize(watched, (8 + (size_t)(rounds % 50)) * PAGE, 0);
		EXPECT_IS(ftruncate(fd, 64 * PAGE), 0);
		(void)quire_map_repair(watched);
		rounds++;
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < 2; i++)
		EXPECT_IS(pthread_join(threads[i], NULL), 0);
	EXPECT_IS(quire_map_repair(watched), 0);
	EXPECT_IS(pwrite(fd, "z", 1, 7 * PAGE), 1);
	EXPECT_IS(base[7 * PAGE], 'z');
	EXPECT_IS(quire_unmap(watched), 0);
}
CHILD_CASE(a_mapping_is_guarded_at_every_moment_of_its_growth)

/* ---- opening and closing guards while others fault ---- */

static void *open_and_close(void *argument)
{
	int fd = memfd_create("short", MFD_CLOEXEC);

	while (!atomic_load(&stop)) {
		struct quire_map *map = NULL;

		EXPECT_IS(ftruncate(fd, 4 * PAGE), 0);
		EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS), &map), 0);
		EXPECT_IS(ftruncate(fd, 0), 0);
		EXPECT_IS(*(volatile char *)quire_map_address(map), 0);
		EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
		EXPECT_IS(quire_unmap(map), 0);
	}
	EXPECT_IS(close(fd), 0);
	return argument;
}

static void guards_come_and_go_while_others_are_hit_body(void *argument)
{
	pthread_t threads[READERS];

	(void)argument;
	for (size_t i = 0; i < READERS; i++)
		EXPECT_IS(pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
	(void)usleep((unsigned int)count_of(300, 1000, 20000) * 1000);
	atomic_store(&stop, true);
	for (size_t i = 0; i < READERS; i++)
		EXPECT_IS(pthread_join(threads[i], NULL), 0);
}
CHILD_CASE(guards_come_and_go_while_others_are_hit)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_lose_no_store_on_dead_pages),
		cmocka_unit_test(two_threads_lose_no_store_on_lone_dead_pages),
		cmocka_unit_test(a_store_made_while_another_thread_decides_is_kept),
		cmocka_unit_test(a_store_to_a_lone_page_is_kept_likewise),
		cmocka_unit_test(a_guard_follows_in_place_without_leaving),
		cmocka_unit_test(reading_survives_a_file_that_is_cut_all_the_time),
		cmocka_unit_test(a_mapping_is_guarded_at_every_moment_of_its_growth),
		cmocka_unit_test(guards_come_and_go_while_others_are_hit),
	};

	return RUN(tests);
}
