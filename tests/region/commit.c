/* SPDX-License-Identifier: Apache-2.0 */
/* One writer: what was committed is there after a kill, what was not is gone. R1 to R8 of region/region.h by their effects. */
#include "support/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/scratch.h"

enum { PAGE = 4096, PAGES = 64 };

static struct quire_region *open_with(const char *name, uint32_t flags, size_t journal_bytes)
{
	struct quire_region *region = NULL;
	int r = quire_region_open(NULL, scratch_path(name),
		QUIRE_OPTIONS(region, .flags = flags | QUIRE_REGION_CREATE, .length = PAGES * PAGE,
			.reserve_bytes = 1 << 20, .journal_bytes = journal_bytes, .private_bytes = PAGE),
		&region);

	if (r < 0)
		print_message("# %s\n", quire_error_text());
	assert_int_equal(r, 0);
	return region;
}

static unsigned char *bytes_of(struct quire_region *region)
{
	return quire_map_address(quire_region_map(region));
}

static void commit(struct quire_region *region)
{
	int r = quire_region_commit(region, NULL);

	if (r < 0)
		print_message("# %s\n", quire_error_text());
	assert_int_equal(r, 0);
}

static struct quire_region_stat stat_of(struct quire_region *region)
{
	struct quire_region_stat stat = { .size = sizeof(stat) };

	assert_int_equal(quire_region_stat(region, &stat), 0);
	return stat;
}

static void assert_sound(struct quire_region *region)
{
	int r = quire_region_check(region, NULL);

	if (r < 0)
		print_message("# %s\n", quire_error_text());
	assert_int_equal(r, 0);
}

static void a_committed_store_survives_close_and_open(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);
	uint64_t epoch;

	(void)state;
	memcpy(bytes_of(region) + 100, "kept", 5);
	assert_int_equal(quire_region_commit(region, &epoch), 0);
	assert_int_equal(epoch, 1);
	memcpy(bytes_of(region) + 100, "lost", 5);
	assert_int_equal(quire_region_close(region), 0);

	region = open_with("a", 0, 0);
	assert_string_equal((char *)bytes_of(region) + 100, "kept");
	assert_int_equal(stat_of(region).epoch, 1);
	assert_sound(region);
	assert_int_equal(quire_region_close(region), 0);
}

static void a_commit_without_stores_keeps_its_number(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);
	uint64_t epoch;

	(void)state;
	bytes_of(region)[0] = 1;
	assert_int_equal(quire_region_commit(region, &epoch), 0);
	assert_int_equal(quire_region_commit(region, &epoch), 0);
	assert_int_equal(epoch, 1);
	assert_int_equal(stat_of(region).pages_logged, 1);
	assert_int_equal(quire_region_close(region), 0);
}

/* The dirty set is that of the epoch, not of all epochs so far. */
static void each_commit_logs_its_own_pages_only(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);

	(void)state;
	for (unsigned int round = 0; round < 8; round++) {
		uint64_t before = stat_of(region).pages_logged;

		for (unsigned int i = 0; i <= round; i++)
			bytes_of(region)[(i * 7 % PAGES) * PAGE + round] = (unsigned char)(round + 1);
		commit(region);
		assert_int_equal(stat_of(region).pages_logged - before, round + 1);
	}
	assert_int_equal(quire_region_close(region), 0);
}

/* Kills a child with SIGKILL between steps; what it committed is in the shared pipe as acknowledged. */
static void child_commits_until_killed(int acknowledge, unsigned int after)
{
	struct quire_region *region = open_with("k", 0, 128 << 10);

	for (uint64_t n = stat_of(region).epoch + 1;; n++) {
		for (unsigned int i = 0; i < 5; i++)
			memcpy(bytes_of(region) + ((n * 13 + i * 11) % PAGES) * PAGE + i * 16, &n, sizeof(n));
		memcpy(bytes_of(region) + 8, &n, sizeof(n));
		if (after-- == 0)
			(void)raise(SIGKILL);
		if (quire_region_commit(region, NULL) != 0)
			_exit(1);
		if (write(acknowledge, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

/* What the pages hold after n commits, by a model in ordinary memory. */
static void assert_model(struct quire_region *region, uint64_t commits)
{
	static unsigned char model[PAGES * PAGE];

	memset(model, 0, sizeof(model));
	for (uint64_t n = 1; n <= commits; n++) {
		for (unsigned int i = 0; i < 5; i++)
			memcpy(model + ((n * 13 + i * 11) % PAGES) * PAGE + i * 16, &n, sizeof(n));
		memcpy(model + 8, &n, sizeof(n));
	}
	assert_memory_equal(bytes_of(region), model, sizeof(model));
}

static void a_killed_writer_leaves_the_last_commit(void **state)
{
	unsigned int rounds = getenv("QUIRE_TEST_QUICK") != NULL ? 4 : 20;
	uint64_t acknowledged = 0;

	(void)state;
	for (unsigned int round = 0; round < rounds; round++) {
		struct quire_region *region;
		int pipes[2];
		int status;
		pid_t pid;

		assert_int_equal(pipe(pipes), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			child_commits_until_killed(pipes[1], round * 3);
		assert_int_equal(close(pipes[1]), 0);
		while (read(pipes[0], &acknowledged, sizeof(acknowledged)) == sizeof(acknowledged))
			;
		assert_int_equal(close(pipes[0]), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGKILL);

		region = open_with("k", 0, 128 << 10);
		assert_int_equal(stat_of(region).epoch, acknowledged);
		assert_model(region, acknowledged);
		assert_sound(region);
		assert_int_equal(quire_region_close(region), 0);
	}
	assert_true(acknowledged > rounds);
}

static void the_ring_is_used_again_and_again(void **state)
{
	struct quire_region *region = open_with("a", QUIRE_REGION_NO_THREAD, 64 << 10);

	(void)state;
	for (unsigned int n = 1; n <= 300; n++) {
		for (unsigned int i = 0; i < 5; i++)
			bytes_of(region)[((n * 13 + i * 11) % PAGES) * PAGE + i] = (unsigned char)n;
		commit(region);
		assert_true(stat_of(region).journal_used_bytes <= 64 << 10);
	}
	assert_true(stat_of(region).checkpoints > 20);
	assert_sound(region);
	assert_int_equal(quire_region_close(region), 0);
}

static void an_abort_undoes_stores_wherever_their_pages_lie(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);

	(void)state;
	bytes_of(region)[0 * PAGE] = 1; /* will be home */
	commit(region);
	assert_int_equal(quire_region_close(region), 0);
	region = open_with("a", 0, 0);
	bytes_of(region)[1 * PAGE] = 2; /* in the journal */
	commit(region);
	bytes_of(region)[0 * PAGE] = 9;
	bytes_of(region)[1 * PAGE] = 9;
	bytes_of(region)[2 * PAGE] = 9; /* never committed */
	assert_int_equal(quire_region_abort(region), 0);
	assert_int_equal(bytes_of(region)[0 * PAGE], 1);
	assert_int_equal(bytes_of(region)[1 * PAGE], 2);
	assert_int_equal(bytes_of(region)[2 * PAGE], 0);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	assert_int_equal(stat_of(region).epoch, 2); /* nothing is dirty */
	bytes_of(region)[1 * PAGE] = 3;
	commit(region);
	assert_int_equal(stat_of(region).pages_logged, 2);
	assert_int_equal(quire_region_close(region), 0);
	region = open_with("a", 0, 0);
	assert_int_equal(bytes_of(region)[1 * PAGE], 3);
	assert_int_equal(quire_region_close(region), 0);
}

static void a_region_grows_in_place_and_abort_takes_it_back(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);
	unsigned char *before = bytes_of(region);

	(void)state;
	assert_int_equal(quire_region_resize(region, 2 * PAGES * PAGE), 0);
	assert_ptr_equal(bytes_of(region), before);
	bytes_of(region)[2 * PAGES * PAGE - 1] = 7;
	assert_int_equal(quire_region_abort(region), 0);
	assert_int_equal(quire_map_length(quire_region_map(region)), PAGES * PAGE);
	assert_int_equal(quire_region_resize(region, 2 * PAGES * PAGE), 0);
	assert_int_equal(bytes_of(region)[2 * PAGES * PAGE - 1], 0);
	bytes_of(region)[2 * PAGES * PAGE - 1] = 8;
	commit(region);
	assert_int_equal(quire_region_resize(region, (1 << 20) + PAGE), -ENOMEM);
	assert_int_equal(quire_region_resize(region, PAGE), -EINVAL);
	assert_int_equal(quire_region_close(region), 0);
	region = open_with("a", 0, 0);
	assert_int_equal(quire_map_length(quire_region_map(region)), 2 * PAGES * PAGE);
	assert_int_equal(bytes_of(region)[2 * PAGES * PAGE - 1], 8);
	assert_sound(region);
	assert_int_equal(quire_region_close(region), 0);
}

static void a_second_writer_is_refused_by_name(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);
	struct quire_region *second = NULL;
	char pid[16];

	(void)state;
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(quire_region_open(NULL, scratch_path("a"), NULL, &second), -EBUSY);
	assert_non_null(strstr(quire_error_text(), pid));
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(quire_region_open(NULL, scratch_path("a"), NULL, &second), 0);
	assert_int_equal(quire_region_close(second), 0);
}

/* Two writers would mix their commits: the lock file is only a name. */
static void a_second_writer_is_refused_when_the_lock_file_is_gone(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);
	struct quire_region *second = NULL;
	char pid[16];

	(void)state;
	assert_int_equal(unlink(scratch_path("a.lock")), 0);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(quire_region_open(NULL, scratch_path("a"), NULL, &second), -EBUSY);
	assert_non_null(strstr(quire_error_text(), pid));
	bytes_of(region)[0] = 1;
	commit(region);
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(quire_region_open(NULL, scratch_path("a"), NULL, &second), 0);
	assert_int_equal(bytes_of(second)[0], 1);
	assert_int_equal(quire_region_close(second), 0);
}

static void too_large_a_commit_is_refused_and_nothing_is_lost(void **state)
{
	struct quire_region *region = open_with("a", 0, 64 << 10);

	(void)state;
	for (unsigned int i = 0; i < PAGES; i++)
		bytes_of(region)[i * PAGE] = 5;
	assert_int_equal(quire_region_commit(region, NULL), -EFBIG);
	assert_int_equal(quire_region_commit(region, NULL), -EFBIG);
	assert_int_equal(bytes_of(region)[(PAGES - 1) * PAGE], 5);
	assert_int_equal(quire_region_abort(region), 0);
	assert_int_equal(bytes_of(region)[(PAGES - 1) * PAGE], 0);
	bytes_of(region)[0] = 6;
	commit(region);
	assert_int_equal(quire_region_close(region), 0);
}

static void hinted_commits_take_what_was_announced(void **state)
{
	struct quire_region *region = open_with("a", QUIRE_REGION_HINTED, 0);

	(void)state;
	bytes_of(region)[3 * PAGE] = 1;
	assert_int_equal(quire_region_touch(region, bytes_of(region) + 3 * PAGE, 1), 0);
	assert_int_equal(quire_region_touch(region, bytes_of(region) + 20 * PAGE, 20 * PAGE), 0);
	bytes_of(region)[30 * PAGE] = 1;
	commit(region);
	assert_int_equal(stat_of(region).pages_logged, 2); /* a long hint is narrowed */
	assert_int_equal(quire_region_touch(region, bytes_of(region) + PAGES * PAGE, 1), -EINVAL);
	bytes_of(region)[3 * PAGE] = 2;
	assert_int_equal(quire_region_touch(region, bytes_of(region) + 3 * PAGE, 1), 0);
	assert_int_equal(quire_region_abort(region), 0);
	assert_int_equal(bytes_of(region)[3 * PAGE], 1);
	assert_int_equal(quire_region_close(region), 0);
}

static void the_mapping_ends_with_the_region(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);
	struct quire_map *map = quire_region_map(region);
	struct quire_map_stat stat = { .size = sizeof(stat) };

	(void)state;
	assert_int_equal(quire_unmap(map), -EBUSY);
	assert_int_equal(quire_map_resize(map, PAGE, 0), -EBUSY);
	assert_int_equal(quire_map_move(map, (void *)0x10000000), -EBUSY);
	assert_int_equal(quire_map_advise(map, 0, PAGE, QUIRE_DONTNEED), -EBUSY);
	assert_int_equal(quire_map_unmap(map, 0, PAGE), -EBUSY);
	assert_int_equal(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_WILLNEED), 0);
	assert_int_equal(quire_map_stat(map, &stat), 0);
	assert_int_equal(stat.length, PAGES * PAGE);
	assert_int_equal(quire_region_close(region), 0);
}

static void a_stable_address_is_kept_or_refused(void **state)
{
	struct quire_region *region;
	struct quire_map *blocker;
	void *address;

	(void)state;
	assert_int_equal(quire_reserve(NULL, 1 << 30, &blocker), 0);
	address = (char *)quire_map_address(blocker) +
		(512 << 20); /* free a moment later: new mappings take the top of the gap */
	assert_int_equal(quire_unmap(blocker), 0);
	assert_int_equal(quire_region_open(NULL, scratch_path("s"),
				 QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE, .length = PAGE,
					 .reserve_bytes = 1 << 20, .address = address),
				 &region),
		0);
	assert_ptr_equal(bytes_of(region), address);
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(quire_region_open(NULL, scratch_path("s"), NULL, &region), 0);
	assert_ptr_equal(bytes_of(region), address);
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(quire_map(NULL,
				 QUIRE_OPTIONS(map, .length = PAGE, .address = address,
					 .placement = QUIRE_PLACE_EXACT),
				 &blocker),
		0);
	assert_int_equal(quire_region_open(NULL, scratch_path("s"), NULL, &region), -EEXIST);
	assert_int_equal(quire_region_open(NULL, scratch_path("s"),
				 QUIRE_OPTIONS(region, .flags = QUIRE_REGION_ANYWHERE), &region),
		0);
	assert_ptr_not_equal(bytes_of(region), address);
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(quire_unmap(blocker), 0);
}

/* Committed, it would make a region that nobody can open. */
static void a_store_before_the_first_byte_is_not_committed(void **state)
{
	struct quire_region *region = open_with("a", 0, 0);

	(void)state;
	bytes_of(region)[0] = 1;
	commit(region);
	memset(bytes_of(region) - 100 * 32, 0xff, 100);
	bytes_of(region)[0] = 2;
	commit(region); /* there nothing lies that matters */
	memset(bytes_of(region) - PAGE, 0xff, 100);
	bytes_of(region)[0] = 3;
	assert_int_equal(quire_region_commit(region, NULL), -EBADMSG);
	assert_int_equal(quire_region_abort(region), 0);
	assert_int_equal(bytes_of(region)[0], 2);
	bytes_of(region)[0] = 4;
	commit(region);
	assert_sound(region);
	assert_int_equal(quire_region_close(region), 0);
	region = open_with("a", 0, 0);
	assert_int_equal(bytes_of(region)[0], 4);
	assert_int_equal(quire_region_close(region), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_committed_store_survives_close_and_open, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_commit_without_stores_keeps_its_number, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			each_commit_logs_its_own_pages_only, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_killed_writer_leaves_the_last_commit, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			the_ring_is_used_again_and_again, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			an_abort_undoes_stores_wherever_their_pages_lie, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_region_grows_in_place_and_abort_takes_it_back, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_second_writer_is_refused_by_name, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(a_second_writer_is_refused_when_the_lock_file_is_gone,
			scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			too_large_a_commit_is_refused_and_nothing_is_lost, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			hinted_commits_take_what_was_announced, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			the_mapping_ends_with_the_region, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_stable_address_is_kept_or_refused, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_store_before_the_first_byte_is_not_committed, scratch_setup, scratch_teardown),
	};

	return RUN(tests);
}
