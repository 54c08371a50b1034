/* SPDX-License-Identifier: Apache-2.0 */
/* One writer, readers in the same and in other processes: N1, N2 of pagefile/pins.h, R4 of region/region.h. */
#include "support/run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/scratch.h"

enum { PAGE = 4096, PAGES = 32, RING = 160 << 10 };

static struct quire_region *writer(void)
{
	struct quire_region *region = NULL;

	assert_int_equal(quire_region_open(NULL, scratch_path("r"),
				 QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE, .length = PAGES * PAGE,
					 .reserve_bytes = 1 << 20, .journal_bytes = RING),
				 &region),
		0);
	return region;
}

static int reader(struct quire_region **region)
{
	return quire_region_open(NULL, scratch_path("r"),
		QUIRE_OPTIONS(region, .flags = QUIRE_REGION_READ_ONLY, .private_bytes = 4 * PAGE), region);
}

static unsigned char *bytes_of(struct quire_region *region)
{
	return quire_map_address(quire_region_map(region));
}

/* Epoch n is n in five places of the region, one of them always the same. */
static void store(struct quire_region *region, uint64_t n)
{
	memcpy(bytes_of(region), &n, sizeof(n));
	for (unsigned int i = 0; i < 4; i++)
		memcpy(bytes_of(region) + (1 + (n * 5 + i * 7) % (PAGES - 1)) * PAGE, &n, sizeof(n));
}

static void commit(struct quire_region *region, uint64_t n)
{
	store(region, n);
	assert_int_equal(quire_region_commit(region, NULL), 0);
}

/* Is this exactly the state after some commit? Returns its number, or -1. */
static int64_t state_of(struct quire_region *region)
{
	uint64_t expected[PAGES] = { 0 };
	uint64_t n;

	memcpy(&n, bytes_of(region), sizeof(n));
	for (uint64_t k = n < 200 ? 1 : n - 200; k <= n; k++) {
		expected[0] = k;
		for (unsigned int i = 0; i < 4; i++)
			expected[1 + (k * 5 + i * 7) % (PAGES - 1)] = k;
	}
	for (unsigned int i = 0; i < PAGES; i++)
		if (memcmp(bytes_of(region) + i * PAGE, &expected[i], sizeof(expected[i])) != 0)
			return -1;
	return (int64_t)n;
}

/* ---- a writer that comes and goes between a reader's look and its pin ---- */

static uint64_t commit_between; /* not 0: what it commits */

int __real_sys_lock_take(int fd, uint64_t start, uint64_t length, bool exclusive);
int __wrap_sys_lock_take(int fd, uint64_t start, uint64_t length, bool exclusive);

int __wrap_sys_lock_take(int fd, uint64_t start, uint64_t length, bool exclusive)
{
	uint64_t n = commit_between;

	if (!exclusive && n != 0) {
		struct quire_region *w;

		commit_between = 0;
		w = writer();
		commit(w, n);
		assert_int_equal(quire_region_close(w), 0); /* and it is home */
	}
	return __real_sys_lock_take(fd, start, length, exclusive);
}

/* When a reader has read the headers so many times, or so many pages of the ring, a writer comes, uses all of it again and goes. */
static unsigned int go_round;
static unsigned int go_round_in_ring;
static uint64_t committed; /* by it, from 2 on */

ssize_t __real_sys_pread(int fd, void *buffer, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread(int fd, void *buffer, size_t length, uint64_t offset);

ssize_t __wrap_sys_pread(int fd, void *buffer, size_t length, uint64_t offset)
{
	ssize_t r = __real_sys_pread(fd, buffer, length, offset);
	bool headers = go_round > 0 && offset == 0 && length == 2 * PAGE;
	bool ring = go_round_in_ring > 0 && offset >= 2 * PAGE;

	if ((headers && --go_round == 0) || (ring && --go_round_in_ring == 0)) {
		struct quire_region *w = writer();

		committed = 1;
		for (int error = 0; error == 0 && committed < 29;) {
			store(w, committed + 1);
			error = quire_region_commit(w, NULL);
			assert_true(
				error == 0 || error == -EAGAIN); /* the reader has pinned: the ring is full */
			committed += error == 0;
		}
		assert_int_equal(quire_region_close(w), 0);
	}
	return r;
}

static void a_ring_that_went_round_under_a_reader_is_no_damage(void **state)
{
	struct quire_region *w = writer(), *r = NULL;

	(void)state;
	commit(w, 1);
	assert_int_equal(quire_region_close(w), 0);
	go_round = 2; /* the first is to see that the journal is one */
	assert_int_equal(reader(&r), 0);
	assert_int_equal(go_round, 0);
	assert_int_equal(state_of(r), 29);
	assert_int_equal(quire_region_close(r), 0);
}

/* What it has found is overwritten at every one of its reads, in turn: while it searches, and while it copies. */
static void images_overwritten_under_a_reader_are_no_damage(void **state)
{
	unsigned int turns = 0;
	bool came;

	(void)state;
	do {
		struct quire_region *r = NULL;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			commit(writer(), 1);
			(void)raise(SIGKILL); /* what it committed is in the journal alone */
		}
		assert_int_equal(waitpid(child, NULL, 0), child);
		committed = 1;
		go_round_in_ring = ++turns;
		assert_int_equal(reader(&r), 0);
		came = go_round_in_ring == 0;
		go_round_in_ring = 0;
		assert_true(state_of(r) == 1 || state_of(r) == (int64_t)committed);
		assert_int_equal(quire_region_close(r), 0);
		assert_int_equal(unlink(scratch_path("r")), 0);
	} while (came);
	assert_true(turns > 4); /* it did copy */
}

static void a_reader_is_not_overtaken_before_it_pins(void **state)
{
	struct quire_region *w = writer(), *r = NULL;

	(void)state;
	commit(w, 1);
	assert_int_equal(quire_region_close(w), 0);
	for (uint64_t n = 2; n < 5; n++) {
		struct quire_region_stat stat = { .size = sizeof(stat) };

		commit_between = n;
		assert_int_equal(reader(&r), 0);
		assert_int_equal(commit_between, 0);
		assert_int_equal(quire_region_stat(r, &stat), 0);
		assert_int_equal(stat.epoch, n);
		assert_int_equal(state_of(r), n);
		assert_int_equal(quire_region_close(r), 0);
	}
}

static void a_reader_sees_the_last_commit_and_refreshes(void **state)
{
	struct quire_region *w = writer();
	struct quire_region *r;
	uint64_t epoch;

	(void)state;
	commit(w, 1);
	store(w, 2);
	assert_int_equal(reader(&r), 0);
	assert_int_equal(state_of(r), 1);
	assert_int_equal(quire_region_commit(w, NULL), 0);
	assert_int_equal(state_of(r), 1);
	assert_int_equal(quire_region_refresh(r, &epoch), 0);
	assert_int_equal(epoch, 2);
	assert_int_equal(state_of(r), 2);
	assert_int_equal(quire_region_commit(r, NULL), -EROFS);
	assert_int_equal(quire_region_abort(r), -EROFS);
	assert_int_equal(quire_region_refresh(w, NULL), -EINVAL);
	assert_int_equal(quire_region_close(r), 0);
	assert_int_equal(quire_region_close(w), 0);
}

/* R4: and then EAGAIN, by name, until it refreshes. */
static void a_pinned_epoch_stays_whole_until_the_journal_is_full(void **state)
{
	struct quire_region *w = writer();
	struct quire_region *r;
	char pid[16];
	uint64_t n;
	int e = 0;

	(void)state;
	(void)snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	for (n = 1; n <= 7; n++)
		commit(w, n);
	assert_int_equal(reader(&r), 0);
	for (; e == 0; n++) {
		store(w, n);
		e = quire_region_commit(w, NULL);
		assert_int_equal(state_of(r), 7);
		assert_true(n < 100);
	}
	assert_int_equal(e, -EAGAIN);
	assert_non_null(strstr(quire_error_text(), pid));
	assert_int_equal(quire_region_refresh(r, NULL), 0);
	assert_int_equal(state_of(r), (int64_t)n - 2);
	assert_int_equal(quire_region_commit(w, NULL), 0); /* what was refused is still there */
	assert_int_equal(quire_region_refresh(r, NULL), 0);
	assert_int_equal(state_of(r), (int64_t)n - 1);
	for (; n < 60; n++) {
		commit(w, n);
		assert_int_equal(quire_region_refresh(r, NULL), 0);
		assert_int_equal(state_of(r), (int64_t)n);
	}
	assert_int_equal(quire_region_close(r), 0);
	assert_int_equal(quire_region_close(w), 0);
}

static void a_reader_needs_no_writer_and_outlives_one(void **state)
{
	struct quire_region *w = writer();
	struct quire_region *r;
	struct quire_region_stat stat = { .size = sizeof(stat) };

	(void)state;
	commit(w, 1);
	assert_int_equal(quire_region_close(w), 0);
	assert_int_equal(reader(&r), 0);
	assert_int_equal(state_of(r), 1);
	w = writer();
	assert_int_equal(quire_region_stat(r, &stat), 0);
	assert_int_equal(stat.writer, getpid());
	for (uint64_t n = 2; n < 6; n++)
		commit(w, n);
	assert_int_equal(state_of(r), 1);
	assert_int_equal(quire_region_close(w), 0);
	assert_int_equal(state_of(r), 1);
	w = writer(); /* opens over what the reader forbids to bring home */
	assert_int_equal(state_of(w), 5);
	commit(w, 6);
	assert_int_equal(quire_region_refresh(r, NULL), 0);
	assert_int_equal(state_of(r), 6);
	assert_int_equal(quire_region_stat(w, &stat), 0);
	assert_int_equal(stat.readers, 1);
	assert_int_equal(stat.oldest_pinned, 6);
	assert_int_equal(quire_region_close(r), 0);
	assert_int_equal(quire_region_close(w), 0);
}

static void read_until_killed(void)
{
	for (;;) {
		struct quire_region *r;

		if (reader(&r) < 0)
			_exit(2);
		for (unsigned int i = 0; i < 20; i++) {
			if (state_of(r) < 0)
				_exit(3);
			if (quire_region_refresh(r, NULL) < 0) {
				(void)dprintf(2, "# refresh: %s\n", quire_error_text());
				_exit(4);
			}
		}
		(void)quire_region_close(r);
	}
}

/* Readers in other processes open, refresh, close and are killed while a writer wraps its ring. */
static void readers_come_go_and_die_while_the_writer_goes_on(void **state)
{
	enum { READERS = 3 };
	uint64_t commits = getenv("QUIRE_TEST_QUICK") != NULL ? 150 : 1500;
	struct quire_region *w = writer();
	pid_t pids[READERS] = { 0 };

	(void)state;
	commit(w, 1);
	for (uint64_t n = 2; n <= commits; n++) {
		unsigned int i = (unsigned int)(n % READERS);
		int r;

		store(w, n);
		while ((r = quire_region_commit(w, NULL)) == -EAGAIN)
			(void)usleep(1000);
		assert_int_equal(r, 0);
		if (n % 25 != 0)
			continue;
		if (pids[i] > 0) {
			int status;

			(void)kill(pids[i], SIGKILL);
			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			if (WIFEXITED(status))
				print_message("# reader ended with %d\n", WEXITSTATUS(status));
			assert_true(WIFSIGNALED(status));
		}
		pids[i] = fork();
		if (pids[i] == 0)
			read_until_killed();
	}
	for (unsigned int i = 0; i < READERS; i++)
		if (pids[i] > 0) {
			(void)kill(pids[i], SIGKILL);
			(void)waitpid(pids[i], NULL, 0);
		}
	assert_int_equal(quire_region_check(w, NULL), 0);
	assert_int_equal(quire_region_close(w), 0);
}

static void growth_reaches_readers_at_refresh(void **state)
{
	struct quire_region *w = writer();
	struct quire_region *r;

	(void)state;
	commit(w, 1);
	assert_int_equal(reader(&r), 0);
	assert_int_equal(quire_region_resize(w, 2 * PAGES * PAGE), 0);
	bytes_of(w)[2 * PAGES * PAGE - 1] = 42;
	commit(w, 2);
	assert_int_equal(quire_map_length(quire_region_map(r)), PAGES * PAGE);
	assert_int_equal(quire_region_refresh(r, NULL), 0);
	assert_int_equal(quire_map_length(quire_region_map(r)), 2 * PAGES * PAGE);
	assert_int_equal(bytes_of(r)[2 * PAGES * PAGE - 1], 42);
	assert_int_equal(quire_region_close(r), 0);
	assert_int_equal(quire_region_close(w), 0);
}

/* watcher: a thread that asks for the figures of a reader again and again */
struct watcher {
	struct quire_region *region;
	_Atomic bool stop;
	_Atomic unsigned int asked;
	bool went_back; /* an epoch older than the one before was reported */
	int error;
};

static void *watch(void *argument)
{
	struct watcher *w = argument;
	uint64_t epoch = 0;

	while (!atomic_load(&w->stop)) {
		struct quire_region_stat stat = { .size = sizeof(stat) };
		struct quire_region_record record = { .size = sizeof(record) };

		if (quire_region_stat(w->region, &stat) < 0)
			w->error = -EIO;
		w->went_back = w->went_back || stat.epoch < epoch;
		epoch = stat.epoch;
		(void)quire_region_record(w->region, 0, &record); /* perhaps there is none */
		atomic_fetch_add(&w->asked, 1);
	}
	return NULL;
}

/* The list of records is made anew at every look. */
static void figures_may_be_asked_for_while_a_reader_refreshes(void **state)
{
	struct quire_region *w = writer();
	struct watcher watcher = { 0 };
	pthread_t thread;

	(void)state;
	commit(w, 1);
	assert_int_equal(reader(&watcher.region), 0);
	assert_int_equal(pthread_create(&thread, NULL, watch, &watcher), 0);
	for (uint64_t n = 2; n < 200 || atomic_load(&watcher.asked) < 100; n++) {
		commit(w, n);
		assert_int_equal(quire_region_refresh(watcher.region, NULL), 0);
	}
	atomic_store(&watcher.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(watcher.error, 0);
	assert_false(watcher.went_back);
	assert_int_equal(quire_region_close(watcher.region), 0);
	assert_int_equal(quire_region_close(w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_ring_that_went_round_under_a_reader_is_no_damage, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			images_overwritten_under_a_reader_are_no_damage, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_reader_is_not_overtaken_before_it_pins, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_reader_sees_the_last_commit_and_refreshes, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(a_pinned_epoch_stays_whole_until_the_journal_is_full,
			scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_reader_needs_no_writer_and_outlives_one, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			readers_come_go_and_die_while_the_writer_goes_on, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			growth_reaches_readers_at_refresh, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			figures_may_be_asked_for_while_a_reader_refreshes, scratch_setup, scratch_teardown),
	};

	return RUN(tests);
}
