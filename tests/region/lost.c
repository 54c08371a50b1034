/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a region is cut while it is mapped: an error and never a signal, and no zero that nobody stored is committed. */
#include "support/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/scratch.h"

enum { PAGE = 4096, PAGES = 64, LAST = (PAGES - 1) * PAGE };

static struct quire_region *open_region(uint32_t flags)
{
	struct quire_region *region = NULL;
	int r = quire_region_open(NULL, scratch_path("r"),
		QUIRE_OPTIONS(region, .flags = flags,
			.length = (flags & QUIRE_REGION_CREATE) != 0 ? PAGES * PAGE : 0,
			.reserve_bytes = 1 << 20),
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

/* The file loses `pages` pages at its end, and gets them back as zeros with 0. */
static void cut(unsigned int pages)
{
	static off_t whole;
	struct stat s;

	assert_int_equal(stat(scratch_path("r"), &s), 0);
	whole = pages > 0 ? s.st_size : whole;
	assert_int_equal(truncate(scratch_path("r"), whole - (off_t)pages * PAGE), 0);
}

static void fill(struct quire_region *region)
{
	memset(bytes_of(region), 'a', PAGES * PAGE);
	assert_int_equal(quire_region_commit(region, NULL), 0);
}

static void is_failed(struct quire_region *region)
{
	assert_int_equal(quire_region_commit(region, NULL), -EIO);
	assert_non_null(strstr(quire_error_text(), "lost"));
	assert_int_equal(quire_region_abort(region), -EIO);
	assert_int_equal(quire_region_touch(region, bytes_of(region), 1), -EIO);
	assert_int_equal(quire_map_repair(quire_region_map(region)), -EBUSY);
}

static void a_load_reads_zero_and_the_region_is_failed(void **state)
{
	struct quire_region *region = open_region(QUIRE_REGION_CREATE);

	(void)state;
	fill(region);
	assert_int_equal(quire_region_close(region), 0);
	region = open_region(0);
	cut(8);
	assert_int_equal(bytes_of(region)[LAST], 0);
	assert_int_equal(bytes_of(region)[0], 'a'); /* its neighbours stay */
	assert_true(quire_map_error(quire_region_map(region), NULL) < 0);
	is_failed(region);
	assert_int_equal(quire_region_close(region), 0);
	cut(0);
	region = open_region(0);
	assert_int_equal(
		quire_region_check(region, NULL), -EBADMSG); /* eight pages are zeros now, and it says so */
	assert_int_equal(quire_region_close(region), 0);
}

static void a_file_that_was_cut_is_not_made_longer_with_zeros(void **state)
{
	struct quire_region *region = open_region(QUIRE_REGION_CREATE);

	(void)state;
	fill(region);
	assert_int_equal(quire_region_close(region), 0);
	cut(1);
	for (uint32_t flags = 0; flags <= QUIRE_REGION_READ_ONLY; flags += QUIRE_REGION_READ_ONLY) {
		assert_int_equal(quire_region_open(NULL, scratch_path("r"),
					 QUIRE_OPTIONS(region, .flags = flags), &region),
			-ENODATA);
		assert_non_null(strstr(quire_error_text(), "truncated"));
	}
}

/* A private copy dies with the file's page: it is the commit that touches it first. */
static void a_commit_does_not_log_zeros_that_nobody_stored(void **state)
{
	struct quire_region *region = open_region(QUIRE_REGION_CREATE | QUIRE_REGION_HINTED);

	(void)state;
	bytes_of(region)[0] = 'b';
	assert_int_equal(quire_region_touch(region, bytes_of(region), 1), 0);
	bytes_of(region)[LAST] = 'b';
	assert_int_equal(quire_region_touch(region, bytes_of(region) + LAST, 1), 0);
	cut(8);
	assert_int_equal(quire_region_commit(region, NULL), -EIO);
	is_failed(region);
	assert_int_equal(quire_region_close(region), 0);
	cut(0);
	region = open_region(0);
	assert_int_equal(bytes_of(region)[0], 0); /* nothing of it is there */
	assert_int_equal(bytes_of(region)[LAST], 0);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	assert_int_equal(quire_region_close(region), 0);
}

static void a_reader_gets_an_error(void **state)
{
	struct quire_region *writer = open_region(QUIRE_REGION_CREATE), *reader;

	(void)state;
	fill(writer);
	assert_int_equal(quire_region_close(writer), 0);
	reader = open_region(QUIRE_REGION_READ_ONLY);
	cut(8);
	assert_int_equal(bytes_of(reader)[LAST], 0);
	assert_int_equal(bytes_of(reader)[0], 'a');
	assert_true(quire_map_error(quire_region_map(reader), NULL) < 0);
	assert_int_equal(quire_region_refresh(reader, NULL), -EIO);
	assert_non_null(strstr(quire_error_text(), "lost"));
	assert_int_equal(quire_region_close(reader), 0);
}

static void what_was_grown_is_guarded_too(void **state)
{
	struct quire_region *region = open_region(QUIRE_REGION_CREATE);

	(void)state;
	assert_int_equal(quire_region_resize(region, (size_t)2 * PAGES * PAGE), 0);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	cut(8);
	assert_int_equal(bytes_of(region)[(2 * PAGES - 1) * PAGE], 0);
	is_failed(region);
	assert_int_equal(quire_region_close(region), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_file_that_was_cut_is_not_made_longer_with_zeros, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_load_reads_zero_and_the_region_is_failed, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			a_commit_does_not_log_zeros_that_nobody_stored, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(a_reader_gets_an_error, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
			what_was_grown_is_guarded_too, scratch_setup, scratch_teardown),
	};

	return RUN(tests);
}
