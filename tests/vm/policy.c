/* SPDX-License-Identifier: Apache-2.0 */
/* Eviction policies over synthetic traces: no frames, no pmap, only who goes next. There is no pool whose lock could be taken,
 * and one thread: tests say that they hold it. */
#include "support/run.h"

#include <stdio.h>
#include <string.h>

#include "vm/check.h"
#include "vm/policy.h"

enum { CACHE = 128, KEYS = 100000 };

/* A cache of CACHE pages under a policy, counted. */
struct cache {
	struct policy policy;
	struct page pages[CACHE];
	uint32_t used;
	uint32_t where[KEYS]; /* frame + 1 */
	uint64_t hits;
	uint64_t misses;
};

static struct cache cache;
static const char owner;

static void begin(enum policy_kind kind)
{
	memset(&cache, 0, sizeof(cache));
	assert_int_equal(policy_init(&cache.policy, kind, cache.pages, CACHE), 0);
	for (uint32_t i = 0; i < CACHE; i++)
		cache.pages[i].id.frame = i;
}

static bool anybody(void *user, struct page *page)
{
	(void)user;
	(void)page;
	return true;
}

static void touch(uint32_t key) must_hold(lock_pool)
{
	struct page *page;

	if (cache.where[key] != 0) {
		cache.hits++;
		policy_seen(&cache.policy, &cache.pages[cache.where[key] - 1]);
		return;
	}
	cache.misses++;
	if (cache.used < CACHE) {
		page = &cache.pages[cache.used++];
	} else {
		page = policy_victim(&cache.policy, anybody, NULL);
		assert_non_null(page);
		policy_gone(&cache.policy, page);
		cache.where[page->id.index] = 0;
	}
	page->id.owner = &owner;
	page->id.index = key;
	page->state = PAGE_CLEAN;
	page->next = page->prev = NO_FRAME;
	cache.where[key] = page->id.frame + 1;
	policy_insert(&cache.policy, page);
}

/* A hot set of half the cache, read again and again, while a scan of everything else runs past it. */
static uint64_t hot_hits_under_a_scan(enum policy_kind kind) must_hold(lock_pool)
{
	uint64_t before;
	uint64_t hot = 0;

	begin(kind);
	for (int round = 0; round < 8; round++)
		for (uint32_t key = 0; key < CACHE / 2; key++)
			touch(key);
	for (uint32_t scan = 1000; scan < 20000; scan++) {
		touch(scan);
		if (scan % 4 != 0)
			continue;
		before = cache.hits;
		touch((scan / 4) % (CACHE / 2));
		hot += cache.hits - before;
	}
	policy_check(&cache.policy);
	policy_done(&cache.policy);
	return hot;
}

static void a_scan_does_not_push_out_the_hot_set(void **state) must_hold(lock_pool)
{
	uint64_t asked = 19000 / 4;
	uint64_t fifo = hot_hits_under_a_scan(POLICY_S3FIFO);
	uint64_t clock = hot_hits_under_a_scan(POLICY_CLOCK);

	(void)state;
	(void)printf("# hot reads that hit under a scan: S3-FIFO %llu, clock %llu of %llu\n",
		(unsigned long long)fifo, (unsigned long long)clock, (unsigned long long)asked);
	assert_true(fifo * 100 >= asked * 95);
	assert_true(fifo > 2 * clock);
}

static void who_returns_from_the_ghosts_goes_to_the_main_queue(void **state) must_hold(lock_pool)
{
	(void)state;
	begin(POLICY_S3FIFO);
	touch(7);
	for (uint32_t key = 100; key < 100 + CACHE; key++)
		touch(key);
	assert_int_equal(cache.where[7], 0);
	touch(7);
	assert_int_equal(cache.pages[cache.where[7] - 1].queue, QUEUE_MAIN);
	policy_done(&cache.policy);
}

static bool nobody(void *user, struct page *page)
{
	(void)page;
	++*(uint64_t *)user;
	return false;
}

static void when_nobody_may_go_the_search_ends(void **state) must_hold(lock_pool)
{
	uint64_t looks = 0;

	(void)state;
	begin(POLICY_S3FIFO);
	for (uint32_t key = 0; key < CACHE; key++)
		touch(key);
	assert_null(policy_victim(&cache.policy, nobody, &looks));
	assert_true(looks >= CACHE);
	assert_true(looks <= 8 * CACHE);
	policy_check(&cache.policy);
	policy_done(&cache.policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scan_does_not_push_out_the_hot_set),
		cmocka_unit_test(who_returns_from_the_ghosts_goes_to_the_main_queue),
		cmocka_unit_test(when_nobody_may_go_the_search_ends),
	};

	return RUN(tests);
}
