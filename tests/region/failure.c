/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The N-th write or flush fails, for every N: the region is FAILED and says so from every call, and after reopening it is
 * what was last acknowledged - nothing of the failed epoch, nothing less than was promised.
 *
 * The calls are counted where the library makes them: the linker puts these functions in their place (--wrap).
 */
#include "support/run.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/scratch.h"

enum { PAGE = 4096, PAGES = 48, RING = 64 << 10 };

/* What is to fail: after so many calls, with this error; 0 calls: nothing. */
static struct {
	unsigned int countdown;
	int error;
	size_t part; /* of a write: so many bytes are written all the same */
} writes, flushes, allocations;

static uint64_t full_from; /* not 0: a write there, up to where a region's pages lie, finds the disk full */

static uint64_t blocks_end; /* not 0: no file gets blocks behind this */

enum { KILLED = 9 };

static uint64_t life_bytes; /* not 0: who has written so much is gone */

static bool due(unsigned int *countdown)
{
	return *countdown > 0 && --*countdown == 0;
}

ssize_t __real_sys_pwrite(int fd, const void *buffer, size_t length, uint64_t offset);
ssize_t __wrap_sys_pwrite(int fd, const void *buffer, size_t length, uint64_t offset);
int __real_sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length);
int __wrap_sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length);
int __real_sys_fdatasync(int fd);
int __wrap_sys_fdatasync(int fd);

ssize_t __wrap_sys_pwrite(int fd, const void *buffer, size_t length, uint64_t offset)
{
	if (life_bytes != 0) {
		if (life_bytes <= length)
			_exit(KILLED);
		life_bytes -= length;
	}
	if (full_from != 0 && offset < 1 << 20 && offset + length > full_from)
		return offset >= full_from ? -ENOSPC
					   : __real_sys_pwrite(fd, buffer, full_from - offset, offset);
	if (!due(&writes.countdown))
		return __real_sys_pwrite(fd, buffer, length, offset);
	if (writes.part > 0 && length > writes.part)
		(void)__real_sys_pwrite(fd, buffer, writes.part, offset);
	return writes.error;
}

/* As ext4 does it: what there is, is taken first. */
int __wrap_sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length)
{
	if (blocks_end == 0 || offset + length <= blocks_end)
		return __real_sys_fallocate(fd, mode, offset, length);
	if (offset < blocks_end)
		(void)__real_sys_fallocate(fd, mode, offset, blocks_end - offset);
	return -ENOSPC;
}

int __wrap_sys_fdatasync(int fd)
{
	int r = __real_sys_fdatasync(fd);

	return due(&flushes.countdown) ? flushes.error : r;
}

static struct quire_region *open_with(size_t journal_bytes)
{
	struct quire_region *region = NULL;
	int r = quire_region_open(NULL, scratch_path("f"),
		QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE | QUIRE_REGION_NO_THREAD,
			.length = PAGES * PAGE, .reserve_bytes = 1 << 20, .journal_bytes = journal_bytes,
			.private_bytes = PAGE),
		&region);

	if (r < 0)
		print_message("# %s\n", quire_error_text());
	assert_int_equal(r, 0);
	return region;
}

static struct quire_region *open_region(void)
{
	return open_with(RING);
}

static unsigned char *bytes_of(struct quire_region *region)
{
	return quire_map_address(quire_region_map(region));
}

static void store(struct quire_region *region, uint64_t n)
{
	for (unsigned int i = 0; i < 4; i++)
		memcpy(bytes_of(region) + (n * 5 + i * 7) % PAGES * PAGE, &n, sizeof(n));
}

static void assert_state(struct quire_region *region, uint64_t commits)
{
	uint64_t expected[PAGES] = { 0 };

	for (uint64_t n = 1; n <= commits; n++)
		for (unsigned int i = 0; i < 4; i++)
			expected[(n * 5 + i * 7) % PAGES] = n;
	for (unsigned int i = 0; i < PAGES; i++)
		assert_memory_equal(bytes_of(region) + i * PAGE, &expected[i], sizeof(expected[i]));
}

static void assert_failed(struct quire_region *region)
{
	struct quire_region_stat stat = { .size = sizeof(stat) };

	assert_int_equal(quire_region_commit(region, NULL), -EIO);
	assert_non_null(strstr(quire_error_text(), "FAILED"));
	assert_int_equal(quire_region_abort(region), -EIO);
	assert_int_equal(quire_region_enter(region), -EIO);
	assert_int_equal(quire_region_resize(region, PAGES * PAGE), -EIO);
	assert_int_equal(quire_region_stat(region, &stat), 0);
	assert_true(stat.failed < 0);
}

/* Commits until one fails or `commits` were done; returns how many were acknowledged. */
static uint64_t work(struct quire_region *region, uint64_t from, uint64_t commits)
{
	for (uint64_t n = from + 1; n <= from + commits; n++) {
		int r;

		store(region, n);
		r = quire_region_commit(region, NULL);
		if (r == 0)
			continue;
		assert_int_equal(r, -EIO);
		assert_failed(region);
		return n - 1;
	}
	return from + commits;
}

/* One life after another in the same file; in each the next call fails. */
static void each_fails_once(unsigned int *countdown, unsigned int lives)
{
	uint64_t done = 0;
	unsigned int failures = 0;

	for (unsigned int nth = 1; nth <= lives; nth++) {
		struct quire_region *region = open_region();
		uint64_t before = done;

		assert_state(region, done);
		*countdown = nth;
		done = work(region, done, 10);
		failures += done < before + 10;
		*countdown = 0;
		(void)quire_region_close(region);
		region = open_region();
		assert_state(region, done);
		assert_int_equal(quire_region_check(region, NULL), 0);
		assert_int_equal(quire_region_close(region), 0);
	}
	assert_true(failures > lives / 4);
}

static int begin(void **state)
{
	(void)state;
	memset(&writes, 0, sizeof(writes));
	memset(&flushes, 0, sizeof(flushes));
	memset(&allocations, 0, sizeof(allocations));
	full_from = 0;
	return scratch_make() == NULL;
}

static int end(void **state)
{
	(void)state;
	scratch_remove();
	return 0;
}

static void each_write_may_fail(void **state)
{
	(void)state;
	writes.error = -EIO;
	each_fails_once(&writes.countdown, 60);
}

static void each_write_may_be_cut_short_by_a_full_disk(void **state)
{
	(void)state;
	writes.error = -ENOSPC;
	writes.part = 512;
	each_fails_once(&writes.countdown, 60);
}

static void each_flush_may_fail_once_and_then_succeed(void **state)
{
	(void)state;
	flushes.error = -EIO;
	each_fails_once(&flushes.countdown, 20);
}

static void a_region_whose_file_cannot_be_created_is_not_there(void **state)
{
	struct quire_region *region = NULL;

	(void)state;
	writes.error = -ENOSPC;
	for (unsigned int nth = 1; nth < 5; nth++) {
		writes.countdown = nth;
		if (quire_region_open(NULL, scratch_path("n"),
			    QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE, .length = PAGE,
				    .reserve_bytes = 1 << 20, .journal_bytes = RING),
			    &region) == 0) {
			assert_int_equal(quire_region_close(region), 0);
			break;
		}
		writes.countdown = 0;
		assert_int_equal(quire_region_open(NULL, scratch_path("n"), NULL, &region), -ENOENT);
		assert_int_equal(access(scratch_path("n.journal"), F_OK), -1);
	}
}

/* A journal that cannot grow is emptied instead, and gives back what it got of the last blocks. */
static void a_full_disk_costs_no_commit(void **state)
{
	enum { JOURNAL_RING_AT = 8192, COMMITS = 40 };
	struct quire_region *region = open_region();
	struct quire_region_stat stat = { .size = sizeof(stat) };
	struct stat journal;

	(void)state;
	assert_int_equal(quire_region_close(region), 0);
	region = open_with(4 * RING);
	full_from = JOURNAL_RING_AT + RING + PAGE;
	assert_int_equal(work(region, 0, COMMITS), COMMITS);
	assert_int_equal(quire_region_stat(region, &stat), 0);
	assert_int_equal(stat.journal_bytes, RING);
	assert_int_equal(lstat(scratch_path("f.journal"), &journal), 0);
	assert_int_equal(journal.st_size, JOURNAL_RING_AT + RING);
	full_from = 0;
	assert_int_equal(work(region, COMMITS, COMMITS), 2 * COMMITS);
	assert_int_equal(quire_region_stat(region, &stat), 0);
	assert_int_equal(stat.journal_bytes, 4 * RING);
	assert_state(region, 2 * COMMITS);
	assert_int_equal(quire_region_close(region), 0);
}

/* The heap takes more than it needs while there is enough, and what it needs when there is not. */
static void a_heap_fills_the_disk_to_the_last_block(void **state)
{
	enum { DATA_AT = 2 << 20, ROOM = 300, MORE = 3 };
	struct quire_region *region = NULL;
	struct quire_region_stat before = { .size = sizeof(before) };
	struct stat file;
	void *memory = NULL;

	(void)state;
	assert_int_equal(quire_region_open(NULL, scratch_path("h"),
				 QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE | QUIRE_REGION_HEAP,
					 .reserve_bytes = 8 << 20),
				 &region),
		0);
	blocks_end = DATA_AT + ROOM * PAGE;
	for (unsigned int i = 1; i < ROOM; i++) /* and page 0 */
		assert_int_equal(quire_region_alloc(region, 4000, &memory), 0);
	assert_int_equal(quire_region_alloc(region, (MORE - 1) * PAGE, &memory), -ENOSPC);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	assert_int_equal(quire_region_stat(region, &before), 0);
	assert_int_equal(before.heap_objects, ROOM - 1);
	blocks_end += (MORE - 1) * PAGE; /* not enough yet, and none of it is kept */
	assert_int_equal(quire_region_alloc(region, MORE * PAGE, &memory), -ENOSPC);
	assert_int_equal(stat(scratch_path("h"), &file), 0);
	assert_int_equal(file.st_size, DATA_AT + ROOM * PAGE);
	blocks_end = 0;
	assert_int_equal(quire_region_alloc(region, MORE * PAGE, &memory), 0);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	assert_int_equal(quire_region_check(region, NULL), 0);
	assert_int_equal(quire_region_close(region), 0);
}

enum { WIDE_COMMITS = 16, WIDE_PAGES = 128 }; /* of each commit, and none of them twice: 8 MiB */

static void write_wide_body(void *argument)
{
	struct quire_region *region = NULL;

	(void)argument;
	EXPECT_IS(quire_region_open(NULL, scratch_path("w"),
			  QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE | QUIRE_REGION_NO_THREAD,
				  .length = WIDE_COMMITS * WIDE_PAGES * PAGE, .reserve_bytes = 64 << 20,
				  .journal_bytes = 32 << 20),
			  &region),
		0);
	for (size_t n = 0; n < WIDE_COMMITS; n++) {
		for (size_t i = n * WIDE_PAGES; i < (n + 1) * WIDE_PAGES; i++)
			bytes_of(region)[i * PAGE] = (unsigned char)(i + 1);
		EXPECT_IS(quire_region_commit(region, NULL), 0);
	}
	_exit(KILLED); /* all of it lies in the journal */
}

static void recover_wide_body(void *argument)
{
	struct quire_region *region = NULL;

	life_bytes = *(const uint64_t *)argument;
	EXPECT_IS(quire_region_open(NULL, scratch_path("w"), NULL, &region), 0);
	life_bytes = 0;
	for (size_t i = 0; i < WIDE_COMMITS * WIDE_PAGES; i++)
		EXPECT_IS(bytes_of(region)[i * PAGE], (unsigned char)(i + 1));
	EXPECT_IS(quire_region_close(region), 0);
}

/* No life is long enough to bring home what the journal holds, or to write it once more. */
static void a_recovery_that_is_killed_again_and_again_gets_on(void **state)
{
	uint64_t life = 3 << 20;
	unsigned int lives = 0;
	int status;

	(void)state;
	assert_int_equal(WEXITSTATUS(child_status(write_wide_body, NULL)), KILLED);
	do
		status = child_status(recover_wide_body, &life);
	while (WIFEXITED(status) && WEXITSTATUS(status) == KILLED && ++lives < 2 * WIDE_COMMITS);
	print_message("# %u lives of %llu bytes\n", lives + 1, (unsigned long long)life);
	assert_int_equal(status, 0);
	assert_true(lives > 0);
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
	return due(&allocations.countdown) ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return due(&allocations.countdown) ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	return due(&allocations.countdown) ? NULL : __real_realloc(memory, bytes);
}

enum { FAR_PAGES = 4096, FAR_STEP = 97 }; /* notes and the dirty list grow in every commit */

static void assert_far(struct quire_region *region, unsigned char mark)
{
	for (size_t page = 0; page < FAR_PAGES; page++)
		assert_int_equal(bytes_of(region)[page * PAGE], page % FAR_STEP == 0 ? mark : 0);
}

/* Without memory for the notes of what was written, a commit is refused, and the next one finds all of it again. */
static void a_commit_without_memory_loses_nothing(void **state)
{
	struct quire_region *region = NULL;
	unsigned int refused = 0;
	int r = -ENOMEM;

	(void)state;
	for (unsigned int nth = 1; r < 0; nth++) {
		assert_int_equal(
			quire_region_open(NULL, scratch_path("m"),
				QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE | QUIRE_REGION_NO_THREAD,
					.length = FAR_PAGES * PAGE, .reserve_bytes = 32 << 20),
				&region),
			0);
		for (size_t page = 0; page < FAR_PAGES; page += FAR_STEP)
			bytes_of(region)[page * PAGE] = (unsigned char)nth;
		allocations.countdown = nth;
		r = quire_region_commit(region, NULL);
		allocations.countdown = 0;
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			refused++;
			assert_int_equal(quire_region_commit(region, NULL), 0);
		}
		assert_int_equal(quire_region_close(region), 0);
		assert_int_equal(quire_region_open(NULL, scratch_path("m"), NULL, &region), 0);
		assert_far(region, (unsigned char)nth);
		assert_int_equal(quire_region_close(region), 0);
	}
	assert_true(refused > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_write_may_fail, begin, end),
		cmocka_unit_test_setup_teardown(each_write_may_be_cut_short_by_a_full_disk, begin, end),
		cmocka_unit_test_setup_teardown(each_flush_may_fail_once_and_then_succeed, begin, end),
		cmocka_unit_test_setup_teardown(
			a_region_whose_file_cannot_be_created_is_not_there, begin, end),
		cmocka_unit_test_setup_teardown(a_full_disk_costs_no_commit, begin, end),
		cmocka_unit_test_setup_teardown(a_heap_fills_the_disk_to_the_last_block, begin, end),
		cmocka_unit_test_setup_teardown(a_commit_without_memory_loses_nothing, begin, end),
		cmocka_unit_test_setup_teardown(
			a_recovery_that_is_killed_again_and_again_gets_on, begin, end),
	};

	return RUN(tests);
}
