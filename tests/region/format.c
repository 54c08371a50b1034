/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library writes is what docs/format.md says: tools/format/read_region.py, written from that page alone, reads it;
 * and single flipped bits are reported, by either.
 */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/scratch.h"

enum { PAGE = 4096, PAGES = 40 };

static struct quire_region *open_journal(uint32_t flags, size_t journal)
{
	struct quire_region *region = NULL;
	size_t length = (flags & QUIRE_REGION_HEAP) != 0 ? 0 : PAGES * PAGE;

	assert_int_equal(quire_region_open(NULL, scratch_path("x"),
				 QUIRE_OPTIONS(region, .flags = flags | QUIRE_REGION_CREATE, .length = length,
					 .reserve_bytes = 4 << 20, .journal_bytes = journal),
				 &region),
		0);
	return region;
}

static struct quire_region *open_region(uint32_t flags)
{
	return open_journal(flags, (flags & QUIRE_REGION_NO_THREAD) != 0 ? 512 << 10 : 128 << 10);
}

/* Exit status of the independent reader; the bytes it read go to "out". */
static int read_independently(void)
{
	char command[1024];

	(void)snprintf(command, sizeof(command),
		"python3 %s/tools/format/read_region.py --json --out %s %s > %s 2>&1",
		getenv("QUIRE_SOURCE") == NULL ? "." : getenv("QUIRE_SOURCE"), scratch_path("out"),
		scratch_path("x"), scratch_path("said"));
	return system(command); /* NOLINT(cert-env33-c): an interpreter has no library */
}

static void assert_read(struct quire_region *region)
{
	size_t length = quire_map_length(quire_region_map(region));
	unsigned char *read_bytes = malloc(length + 1);
	FILE *file;

	assert_int_equal(read_independently(), 0);
	file = fopen(scratch_path("out"), "rbe");
	assert_non_null(file);
	assert_int_equal(fread(read_bytes, 1, length + 1, file), length);
	assert_memory_equal(read_bytes, quire_map_address(quire_region_map(region)), length);
	(void)fclose(file);
	free(read_bytes);
}

/* Commits of so many pages each, and so of records one page longer. */
static void commits_of(struct quire_region *region, unsigned int pages, unsigned int from, unsigned int to)
{
	unsigned char *bytes = quire_map_address(quire_region_map(region));

	for (unsigned int n = from; n <= to; n++) {
		for (unsigned int i = 0; i < pages; i++)
			memset(bytes + (n * 7 + i * 5) % PAGES * PAGE + n % 50, (int)(n + i), 3000);
		assert_int_equal(quire_region_commit(region, NULL), 0);
	}
}

static void commits(struct quire_region *region, unsigned int from, unsigned int to)
{
	commits_of(region, 6, from, to);
}

static void the_independent_reader_reads_what_lies_in_journal_and_file(void **state)
{
	struct quire_region *region = open_region(0);

	(void)state;
	assert_read(region);
	for (unsigned int n = 1; n < 60; n += 9) { /* the ring goes round */
		commits(region, n, n + 8);
		assert_read(region);
	}
	assert_int_equal(quire_region_resize(region, 2 * PAGES * PAGE), 0);
	commits(region, 60, 61);
	assert_read(region);
	assert_int_equal(quire_region_close(region), 0);
	region = open_region(0);
	assert_read(region);
	assert_int_equal(quire_region_close(region), 0);
}

static void it_reads_what_a_killed_writer_left(void **state)
{
	struct quire_region *region;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		region = open_region(0);
		commits(region, 1, 23);
		memset(quire_map_address(quire_region_map(region)), 1, 50000);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(read_independently(), 0);
	region = open_region(0);
	assert_read(region);
	assert_int_equal(quire_region_close(region), 0);
}

static void it_walks_the_heap(void **state)
{
	struct quire_region *region = open_region(QUIRE_REGION_HEAP);
	void *memory[40];

	(void)state;
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(quire_region_alloc(region, 1 + i * 55, &memory[i]), 0);
	for (unsigned int i = 0; i < 40; i += 3)
		assert_int_equal(quire_region_free(region, memory[i]), 0);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	assert_read(region);
	assert_int_equal(quire_region_close(region), 0);
}

static void flip(const char *path, uint64_t bit)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
	byte ^= (unsigned char)(1U << bit % 8);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
	assert_int_equal(close(fd), 0);
}

/* Opens read-only and checks: 1 when damage was reported, by the open or by the check. */
static int damage_reported(void)
{
	struct quire_region *region;
	int r = quire_region_open(
		NULL, scratch_path("x"), QUIRE_OPTIONS(region, .flags = QUIRE_REGION_READ_ONLY), &region);

	if (r < 0)
		return 1;
	r = quire_region_check(region, NULL);
	(void)quire_region_close(region);
	return r < 0;
}

static void every_flipped_bit_of_a_live_page_is_reported(void **state)
{
	unsigned int flips = getenv("QUIRE_TEST_QUICK") != NULL ? 100 : 400;
	struct quire_region *region = open_region(0);
	uint64_t data = 2 << 20; /* data_offset with so small a reserve */
	uint32_t seed = 4;

	(void)state;
	print_message("# seed %u\n", seed);
	commits(region, 1, 30);
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(damage_reported(), 0);
	for (unsigned int i = 0; i < flips; i++) {
		uint64_t bit;

		seed = seed * 1664525U + 1013904223U;
		bit = (data * 8) + (seed >> 4) % ((PAGES + 1) * PAGE * 8);
		if (i % 10 == 0)
			bit = (seed >> 4) % (PAGE * 8); /* the superblock */
		flip(scratch_path("x"), bit);
		assert_int_equal(damage_reported(), 1);
		if (i % 100 == 0)
			assert_int_not_equal(read_independently(), 0);
		flip(scratch_path("x"), bit);
	}
	assert_int_equal(damage_reported(), 0);
}

static void two_damaged_headers_are_reported(void **state)
{
	struct quire_region *region = open_region(0);

	(void)state;
	commits(region, 1, 30);
	assert_int_equal(quire_region_close(region), 0);
	region = open_region(0);
	commits(region, 31, 31);
	assert_int_equal(quire_region_close(region), 0);
	flip(scratch_path("x.journal"), 100);
	flip(scratch_path("x.journal"), PAGE * 8 + 100);
	assert_int_equal(damage_reported(), 1);
	flip(scratch_path("x.journal"), 100);
	flip(scratch_path("x.journal"), PAGE * 8 + 100);
	assert_int_equal(damage_reported(), 0);
}

/* ---- rot in the journal ---- */

enum { RECORDS = 9 };

/* RECORDS commits that are in the journal only, by a writer that was killed, and where they lie. */
static void killed_writer(struct quire_region_record *records)
{
	struct quire_region *region = NULL;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		region = open_region(QUIRE_REGION_NO_THREAD); /* nothing goes home */
		commits(region, 1, RECORDS);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(quire_region_open(NULL, scratch_path("x"),
				 QUIRE_OPTIONS(region, .flags = QUIRE_REGION_READ_ONLY), &region),
		0);
	for (unsigned int i = 0; i < RECORDS; i++) {
		records[i].size = sizeof(records[i]);
		assert_int_equal(quire_region_record(region, i, &records[i]), 1);
	}
	assert_int_equal(quire_region_close(region), 0);
}

/* The epoch it opens at, or what the open says. */
static int epoch_found(uint32_t flags)
{
	struct quire_region *region = NULL;
	struct quire_region_stat stat = { .size = sizeof(stat) };
	int r = quire_region_open(NULL, scratch_path("x"), QUIRE_OPTIONS(region, .flags = flags), &region);

	if (r < 0)
		return r;
	assert_int_equal(quire_region_stat(region, &stat), 0);
	assert_int_equal(quire_region_close(region), 0);
	return (int)stat.epoch;
}

static void assert_says(const struct quire_region_record *record)
{
	char epoch[40], offset[40];

	(void)snprintf(epoch, sizeof(epoch), "epoch %llu at", (unsigned long long)record->epoch);
	(void)snprintf(offset, sizeof(offset), "offset %llu is damaged", (unsigned long long)record->offset);
	assert_non_null(strstr(quire_error_text(), "x.journal: "));
	assert_non_null(strstr(quire_error_text(), epoch));
	assert_non_null(strstr(quire_error_text(), offset));
}

/* A record that was committed is missed, by readers, by writers, and by the independent reader; the newest cannot be. */
static void assert_missed(const struct quire_region_record *record, uint64_t bit, bool ask_all)
{
	bool newest = record->epoch == RECORDS;

	flip(scratch_path("x.journal"), bit);
	assert_int_equal(epoch_found(QUIRE_REGION_READ_ONLY), newest ? RECORDS - 1 : -EBADMSG);
	if (!newest) {
		assert_says(record);
		assert_int_equal(epoch_found(0), -EBADMSG);
		assert_says(record);
		assert_int_equal(
			epoch_found(QUIRE_REGION_READ_ONLY | QUIRE_REGION_LAST_WHOLE), record->epoch - 1);
	}
	if (ask_all)
		assert_int_equal(read_independently() == 0, newest);
	flip(scratch_path("x.journal"), bit);
}

static void every_flipped_bit_of_a_committed_record_is_missed(void **state)
{
	unsigned int flips = getenv("QUIRE_TEST_QUICK") != NULL ? 5 : 15;
	unsigned int step = getenv("QUIRE_HUNT") != NULL ? 1 : 101 / flips;
	struct quire_region_record records[RECORDS];
	uint32_t seed = 7;

	(void)state;
	print_message("# seed %u\n", seed);
	killed_writer(records);
	for (unsigned int i = 0; i < RECORDS; i++) {
		uint64_t first = records[i].offset * 8;

		for (uint64_t bit = i % step; bit < 64 * 8; bit += step) /* the fixed part of its head */
			assert_missed(&records[i], first + bit, false);
		for (unsigned int n = 0; n < flips; n++) {
			seed = seed * 1664525U + 1013904223U;
			assert_missed(&records[i], first + (seed >> 4) % (records[i].bytes * 8), n == 0);
		}
	}
	assert_int_equal(epoch_found(0), RECORDS);
}

/* The commits behind the damage do not come back when new ones come to lie before them. */
static void what_was_given_up_stays_away(void **state)
{
	struct quire_region_record records[RECORDS];
	struct quire_region *region = NULL;
	uint64_t epoch;

	(void)state;
	killed_writer(records);
	flip(scratch_path("x.journal"), records[4].offset * 8 + 99);
	assert_int_equal(quire_region_open(NULL, scratch_path("x"),
				 QUIRE_OPTIONS(region, .flags = QUIRE_REGION_LAST_WHOLE), &region),
		0);
	/* The same pages as before, so that old records end where new ones do. */
	for (unsigned int n = 5; n <= 7; n++) {
		unsigned char *bytes = quire_map_address(quire_region_map(region));

		for (unsigned int i = 0; i < 6; i++)
			memset(bytes + (n * 7 + i * 5) % PAGES * PAGE, 77, 100);
		assert_int_equal(quire_region_commit(region, &epoch), 0);
		assert_int_equal(epoch, n);
		assert_int_equal(epoch_found(QUIRE_REGION_READ_ONLY), n);
		assert_read(region);
	}
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(epoch_found(0), 7);
	assert_int_equal(damage_reported(), 0);
}

/* Of the region that a killed writer left at this epoch: how many of the two headers, damaged alone, make it be refused. */
static unsigned int headers_missed(unsigned int last)
{
	struct quire_region *region = NULL;
	unsigned int missed = 0;

	assert_int_equal(epoch_found(QUIRE_REGION_READ_ONLY), last);
	for (uint64_t header = 0; header < 2; header++) {
		uint64_t bit = header * PAGE * 8 + 300;

		flip(scratch_path("x.journal"), bit);
		if (epoch_found(QUIRE_REGION_READ_ONLY) != (int)last) {
			missed++;
			assert_int_equal(epoch_found(0), -EBADMSG);
			assert_non_null(strstr(quire_error_text(), "header"));
			assert_int_equal(
				quire_region_open(NULL, scratch_path("x"),
					QUIRE_OPTIONS(region, .flags = QUIRE_REGION_LAST_WHOLE), &region),
				-EBADMSG);
			assert_int_not_equal(read_independently(), 0);
		}
		flip(scratch_path("x.journal"), bit);
	}
	assert_int_equal(epoch_found(0), last);
	return missed;
}

/* Makes a region whose ring is born with so many bytes, and kills its writer, who may use `limit`, after `last` commits. */
static void kill_after(uint32_t flags, size_t born, size_t limit, unsigned int pages, unsigned int last)
{
	struct quire_region *region = open_journal(flags, born);
	int status;
	pid_t pid;

	assert_int_equal(quire_region_close(region), 0);
	pid = fork();
	if (pid == 0) {
		region = open_journal(flags, limit);
		commits_of(region, pages, 1, last);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

/* The older header leads to a place that the ring has passed: nothing there is what was committed last. */
static void a_damaged_header_that_counted_is_missed(void **state)
{
	(void)state;
	/* The ring goes round more than once. When the worker has just moved the tail, the older header leads there, too. */
	kill_after(0, 128 << 10, 128 << 10, 6, 40);
	assert_in_range(headers_missed(40), 0, 1);
}

/* Of the record that reaches into the tail of the older header, the head stands where that would have it, too. */
static void a_damaged_header_is_missed_when_one_record_has_passed_it(void **state)
{
	(void)state;
	kill_after(QUIRE_REGION_NO_THREAD, 512 << 10, 512 << 10, 6, 19);
	assert_int_equal(headers_missed(19), 1);
}

/* The older header knows a ring of 16 pages. The first record that is not wholly in it goes over its end or begins there. */
static void a_damaged_header_is_missed_when_the_ring_has_grown(void **state)
{
	(void)state;
	for (unsigned int pages = 6; pages <= 7; pages++)
		for (unsigned int last = 3; last <= 4; last++) {
			kill_after(QUIRE_REGION_NO_THREAD, 16 * PAGE, 1 << 20, pages, last);
			assert_int_equal(headers_missed(last), 1);
			assert_int_equal(unlink(scratch_path("x")), 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_independent_reader_reads_what_lies_in_journal_and_file,
			scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			it_reads_what_a_killed_writer_left, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(it_walks_the_heap, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			every_flipped_bit_of_a_live_page_is_reported, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			two_damaged_headers_are_reported, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			every_flipped_bit_of_a_committed_record_is_missed, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			what_was_given_up_stays_away, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_damaged_header_that_counted_is_missed, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(a_damaged_header_is_missed_when_one_record_has_passed_it,
			scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_damaged_header_is_missed_when_the_ring_has_grown, scratch_setup, scratch_teardown),
	};

	return RUN(tests);
}
