/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <quire/inspect.h>

#include "inspect/ground.h"
#include "support/run.h"
#include "sys/probe.h"

#define PAGES UINT64_C(3000)

static uint64_t count_ready(int fd)
{
	unsigned char *truth = ground_truth(fd, PAGES);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		sum += truth[i];
	free(truth);
	return sum;
}

static void touching_brings_every_page(void **state)
{
	int fd = ground_file(PAGES);
	uint64_t brought = 1;

	(void)state;
	ground_drop(fd, 0, PAGES);
	assert_int_equal(count_ready(fd), 0);
	assert_int_equal(quire_presence_touch(fd, 0, QUIRE_UNKNOWN, 0, &brought), 0);
	assert_int_equal(count_ready(fd), PAGES);
	if (!sys_probe(PROBE_CACHESTAT).masked)
		assert_int_equal(brought, PAGES << PAGE_SHIFT);
	close(fd);
}

static void touching_what_is_missing_leaves_the_rest(void **state)
{
	int fd = ground_file(PAGES);
	uint64_t brought = 1, before;

	(void)state;
	if (sys_probe(PROBE_CACHESTAT).masked) {
		close(fd);
		return;
	}
	ground_drop(fd, 1000, 1000);
	before = ground_count(fd);
	assert_int_equal(quire_presence_touch(fd, 0, QUIRE_UNKNOWN, QUIRE_TOUCH_MISSING, &brought), 0);
	assert_int_equal(brought, (PAGES - before) << PAGE_SHIFT);
	assert_int_equal(count_ready(fd), PAGES);
	assert_int_equal(quire_presence_touch(fd, 0, QUIRE_UNKNOWN, QUIRE_TOUCH_MISSING, &brought), 0);
	assert_int_equal(brought, 0);
	close(fd);
}

static void a_part_is_touched_alone(void **state)
{
	int fd = ground_file(PAGES);

	(void)state;
	ground_drop(fd, 0, PAGES);
	assert_int_equal(count_ready(fd), 0);
	assert_int_equal(quire_presence_touch(fd, 100 << PAGE_SHIFT, 10 << PAGE_SHIFT, 0, NULL), 0);
	/* A read-ahead around a fault would come as far as the disk is set to, 2048 pages somewhere, and later. */
	assert_int_equal(count_ready(fd), 10);
	assert_int_equal(quire_presence_touch(fd, PAGES << PAGE_SHIFT, 1, 0, NULL), 0);
	assert_int_equal(quire_presence_touch(fd, 0, 1, 1U << 7, NULL), -EINVAL);
	assert_int_equal(quire_presence_touch(-1, 0, 1, 0, NULL), -EBADF);
	close(fd);
}

static void evicting_counts_what_went_and_what_stayed(void **state)
{
	struct quire_eviction eviction = { .size = sizeof(eviction) };
	int fd = ground_file(PAGES);

	(void)state;
	assert_int_equal(quire_presence_evict(fd, 0, QUIRE_UNKNOWN, 1, &eviction), 0);
	assert_int_equal(count_ready(fd), 0);
	if (sys_probe(PROBE_CACHESTAT).masked) {
		assert_int_equal(eviction.gone, QUIRE_UNKNOWN);
	} else {
		assert_int_equal(eviction.wanted, PAGES);
		assert_int_equal(eviction.gone, PAGES);
		assert_int_equal(eviction.kept + eviction.kept_dirty, 0);
	}
	close(fd);
}

static void mapped_pages_are_kept_and_counted(void **state)
{
	struct quire_eviction eviction = { .size = sizeof(eviction) };
	int fd = ground_file(PAGES);
	char *at;
	volatile char byte;

	(void)state;
	assert_int_equal(fdatasync(fd), 0);
	at = mmap(NULL, PAGES << PAGE_SHIFT, PROT_READ, MAP_SHARED, fd, 0);
	for (uint64_t i = 0; i < PAGES; i++)
		byte = at[i << PAGE_SHIFT];
	(void)byte;
	assert_int_equal(quire_presence_evict(fd, 0, QUIRE_UNKNOWN, 0, &eviction), 0);
	assert_int_equal(count_ready(fd), PAGES);
	if (!sys_probe(PROBE_CACHESTAT).masked) {
		assert_int_equal(eviction.gone, 0);
		assert_int_equal(eviction.kept, PAGES);
	}
	assert_int_equal(munmap(at, PAGES << PAGE_SHIFT), 0);
	eviction.size = 0;
	assert_int_equal(quire_presence_evict(fd, 0, QUIRE_UNKNOWN, 0, &eviction), -EINVAL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(touching_brings_every_page),
		cmocka_unit_test(touching_what_is_missing_leaves_the_rest),
		cmocka_unit_test(a_part_is_touched_alone),
		cmocka_unit_test(evicting_counts_what_went_and_what_stayed),
		cmocka_unit_test(mapped_pages_are_kept_and_counted),
	};

	return RUN(tests);
}
