/* SPDX-License-Identifier: Apache-2.0 */
/* Several threads: changes between enter and exit are in one commit; commits are merged; a fork child has no part. */
#include "support/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/scratch.h"

enum { PAGE = 4096, THREADS = 4, TIMES_MAX = 100, RING = 128 << 10 };

static struct quire_region *region;
static unsigned int rounds;
static pthread_barrier_t together;

static int begin(void **state)
{
	(void)state;
	rounds = getenv("QUIRE_TEST_QUICK") != NULL ? 50 : 500;
	if (scratch_make() == NULL)
		return 1;
	return quire_region_open(NULL, scratch_path("t"),
		QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE, .length = 64 * PAGE,
			.reserve_bytes = 1 << 20, .journal_bytes = RING, .private_bytes = 8 * PAGE),
		&region);
}

static int end(void **state)
{
	(void)state;
	(void)quire_region_close(region);
	scratch_remove();
	return 0;
}

static void *ask_where(void *stop)
{
	char *start = quire_map_address(quire_region_map(region));
	size_t before = 0;

	while (!atomic_load((atomic_bool *)stop)) {
		size_t now = quire_map_length(quire_region_map(region));

		if (now < before)
			return "shorter";
		before = now;
		if (quire_region_pointer(region, quire_region_offset(region, start + now - 1)) !=
			start + now - 1)
			return "elsewhere";
	}
	return NULL;
}

static void places_may_be_asked_for_while_it_grows(void **state)
{
	atomic_bool stop = false;
	pthread_t thread;
	void *wrong;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, ask_where, &stop), 0);
	for (size_t pages = 65; pages < 250; pages += 4)
		assert_int_equal(quire_region_resize(region, pages * PAGE), 0);
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(thread, &wrong), 0);
	assert_null(wrong);
	assert_int_equal(quire_map_length(quire_region_map(region)), 249 * PAGE);
}

/* Each thread counts in a page of its own and in one that all share: the sum is always equal. */
static void *count(void *arg)
{
	uint64_t *all = quire_map_address(quire_region_map(region));
	uint64_t *own = all + (1 + (uintptr_t)arg) * 8 * PAGE / sizeof(*all);

	(void)pthread_barrier_wait(&together);
	for (unsigned int i = 0; i < rounds; i++) {
		if (quire_region_enter(region) < 0)
			return "enter";
		(void)__atomic_fetch_add(all, 1, __ATOMIC_RELAXED);
		(*own)++;
		own[PAGE / sizeof(*own)]++;
		if (quire_region_exit(region) < 0)
			return "exit";
		if (quire_region_commit(region, NULL) < 0)
			return "commit";
	}
	return NULL;
}

static void count_together(void)
{
	pthread_t threads[THREADS];

	assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, (void *)i), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	assert_int_equal(pthread_barrier_destroy(&together), 0);
}

static void commits_of_several_threads_are_merged_and_whole(void **state)
{
	struct quire_region_stat stat = { .size = sizeof(stat) };
	unsigned int times = 0;
	uint64_t sum = 0;
	uint64_t *all;

	(void)state;
	/* Two must be waiting while a third commits: a busy machine may run one after the other, but not for ever. */
	do {
		count_together();
		times++;
		assert_int_equal(quire_region_stat(region, &stat), 0);
	} while (stat.merged == 0 && times < TIMES_MAX);
	assert_true(stat.merged > 0);
	assert_true(stat.commits + stat.merged <= (uint64_t)THREADS * rounds * times);
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(quire_region_open(NULL, scratch_path("t"), NULL, &region), 0);
	all = quire_map_address(quire_region_map(region));
	for (unsigned int i = 0; i < THREADS; i++) {
		uint64_t *own = all + (1 + i) * 8 * PAGE / sizeof(*all);

		assert_int_equal(own[0], own[PAGE / sizeof(*own)]);
		sum += own[0];
	}
	assert_int_equal(all[0], sum);
	assert_int_equal(sum, THREADS * rounds * times);
	assert_int_equal(quire_region_check(region, NULL), 0);
}

/* Stores that keep to no rule, on pages of their own, while others commit and old copies are dropped: none may be lost,
 * because their page is never home and clean at once. */
static atomic_int stop;

/* The race is the point, and ThreadSanitizer would be right to report it. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RUDE 0
#endif
#endif
#ifndef RUDE
#define RUDE 1
#endif

static void *store_without_asking(void *arg)
{
	uint64_t *word = quire_map_address(quire_region_map(region));
	uint64_t n = 0;

	(void)arg;
	word += 60 * PAGE / sizeof(*word);
	while (RUDE && !atomic_load(&stop)) {
		__atomic_store_n(word, ++n, __ATOMIC_RELAXED);
		if (__atomic_load_n(word, __ATOMIC_RELAXED) != n)
			return "lost";
	}
	return NULL;
}

static void a_store_beside_a_commit_is_not_lost(void **state)
{
	unsigned char *bytes;
	pthread_t thread;
	void *wrong;

	(void)state;
	atomic_store(&stop, 0);
	assert_int_equal(quire_region_close(region), 0); /* room for all copies: nothing is dropped */
	assert_int_equal(quire_region_open(NULL, scratch_path("t"), NULL, &region), 0);
	bytes = quire_map_address(quire_region_map(region));
	assert_int_equal(pthread_create(&thread, NULL, store_without_asking, NULL), 0);
	for (unsigned int i = 0; i < rounds; i++) {
		bytes[i % 60 * PAGE]++;
		assert_int_equal(quire_region_commit(region, NULL), 0);
	}
	atomic_store(&stop, 1);
	assert_int_equal(pthread_join(thread, &wrong), 0);
	assert_null(wrong);
	assert_int_equal(quire_region_commit(region, NULL), 0);
}

/* The worker helps to search a window this long: each page is found once, by one of the two. */
static void what_two_search_is_found_once(void **state)
{
	enum { LONG = 400 << 20, STEP = 61 * PAGE, COMMITS = 6 };
	unsigned char *bytes;

	(void)state;
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(
		quire_region_open(NULL, scratch_path("long"),
			QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE, .length = LONG), &region),
		0);
	bytes = quire_map_address(quire_region_map(region));
	for (unsigned int i = 1; i <= COMMITS; i++) {
		struct quire_region_stat stat = { .size = sizeof(stat) };
		uint64_t before, pages = 0;

		assert_int_equal(quire_region_stat(region, &stat), 0);
		before = stat.pages_logged;
		for (size_t at = i * PAGE; at < LONG; at += STEP, pages++)
			bytes[at] = (unsigned char)i;
		assert_int_equal(quire_region_commit(region, NULL), 0);
		assert_int_equal(quire_region_stat(region, &stat), 0);
		assert_int_equal(stat.pages_logged - before, pages);
	}
	assert_int_equal(quire_region_close(region), 0);
	assert_int_equal(quire_region_open(NULL, scratch_path("long"), NULL, &region), 0);
	bytes = quire_map_address(quire_region_map(region));
	for (unsigned int i = 1; i <= COMMITS; i++)
		for (size_t at = i * PAGE; at < LONG; at += STEP)
			assert_int_equal(bytes[at], i);
}

static void who_is_inside_cannot_commit(void **state)
{
	(void)state;
	assert_int_equal(quire_region_enter(region), 0);
	assert_int_equal(quire_region_enter(region), 0);
	assert_int_equal(quire_region_commit(region, NULL), -EDEADLK);
	assert_int_equal(quire_region_abort(region), -EDEADLK);
	assert_int_equal(quire_region_exit(region), 0);
	assert_int_equal(quire_region_exit(region), 0);
	assert_int_equal(quire_region_exit(region), -EINVAL);
	assert_int_equal(quire_region_commit(region, NULL), 0);
}

static void a_fork_child_has_no_part(void **state)
{
	struct quire_region *reader = NULL;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(quire_region_open(NULL, scratch_path("t"),
				 QUIRE_OPTIONS(region, .flags = QUIRE_REGION_READ_ONLY), &reader),
		0);
	pid = fork();
	if (pid == 0) {
		struct quire_region_stat stat = { .size = sizeof(stat) };
		bool fine = quire_region_commit(region, NULL) == -EPERM &&
			quire_region_abort(region) == -EPERM && quire_region_check(region, NULL) == -EPERM &&
			quire_region_stat(region, &stat) == -EPERM;

		fine = fine && quire_region_stat(reader, &stat) == 0 &&
			quire_region_refresh(reader, NULL) ==
				-EPERM; /* it would give the parent's epoch free */
		fine = fine && quire_region_close(region) == 0 && quire_region_close(reader) == 0;
		_exit(fine ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	assert_int_equal(quire_region_refresh(reader, NULL), 0);
	assert_int_equal(quire_region_close(reader), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commits_of_several_threads_are_merged_and_whole, begin, end),
		cmocka_unit_test_setup_teardown(a_store_beside_a_commit_is_not_lost, begin, end),
		cmocka_unit_test_setup_teardown(what_two_search_is_found_once, begin, end),
		cmocka_unit_test_setup_teardown(who_is_inside_cannot_commit, begin, end),
		cmocka_unit_test_setup_teardown(places_may_be_asked_for_while_it_grows, begin, end),
		cmocka_unit_test_setup_teardown(a_fork_child_has_no_part, begin, end),
	};

	return RUN(tests);
}
