/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked at any time is asked by a second thread while the first changes the mapping: under ThreadSanitizer. */
#include "support/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/scratch.h"

enum { ROUNDS = 200, ASKED_LEAST = 20, PAGES_MAX = 64 };

/* asker: the thread that asks */
struct asker {
	struct quire_map *map;
	struct quire_pool *pool; /* NULL: it is not paged */
	size_t length_max;
	atomic_uint asked;
	atomic_bool stop;
	int failed; /* the first error of a call that cannot fail */
	pthread_t thread;
};

static void note(struct asker *asker, int r)
{
	if (r < 0 && asker->failed == 0)
		asker->failed = r;
}

static void *ask(void *user)
{
	struct asker *asker = user;

	while (!atomic_load(&asker->stop)) {
		struct quire_map_stat map = { .size = sizeof(map) };
		struct quire_map_stats counted = { .size = sizeof(counted) };
		struct quire_pool_stats pool = { .size = sizeof(pool) };
		char line[256];

		note(asker, quire_map_stat(asker->map, &map));
		note(asker, quire_map_describe(asker->map, line, sizeof(line)));
		note(asker, quire_map_length(asker->map) <= asker->length_max ? 0 : -EOVERFLOW);
		if (asker->pool != NULL) {
			note(asker, quire_map_stats(asker->map, &counted));
			note(asker, quire_pool_stats(asker->pool, &pool));
		}
		atomic_fetch_add(&asker->asked, 1);
	}
	return NULL;
}

static void begin(struct asker *asker)
{
	EXPECT_IS(pthread_create(&asker->thread, NULL, ask, asker), 0);
}

static void end(struct asker *asker)
{
	atomic_store(&asker->stop, true);
	EXPECT_IS(pthread_join(asker->thread, NULL), 0);
	EXPECT_IS(asker->failed, 0);
}

static bool goes_on(const struct asker *asker, unsigned int round)
{
	return round < ROUNDS || atomic_load(&asker->asked) < ASKED_LEAST;
}

static void of_a_mapping_that_grows_and_shrinks(void **state)
{
	struct asker asker = { .length_max = PAGES_MAX * PAGE };

	(void)state;
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(
				  map, .kind = QUIRE_ANON, .length = PAGE, .reserve_bytes = PAGES_MAX * PAGE),
			  &asker.map),
		0);
	begin(&asker);
	for (unsigned int round = 0; goes_on(&asker, round); round++)
		EXPECT_IS(quire_map_resize(asker.map, (1 + round % PAGES_MAX) * PAGE, 0), 0);
	end(&asker);
	EXPECT_IS(quire_unmap(asker.map), 0);
}

static void of_a_pool_that_is_used_and_resized(void **state)
{
	struct asker asker = { .length_max = PAGES_MAX * PAGE };
	char *byte;

	(void)state;
	EXPECT_IS(
		quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = 32 * PAGE, .delivery = QUIRE_DELIVERY_PIN,
					.cache_bytes_max = 48 * PAGE, .swap_path = scratch_path("swap")),
			&asker.pool),
		0);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .engine = QUIRE_ENGINE_PAGED,
				  .pool = asker.pool, .length = PAGES_MAX * PAGE),
			  &asker.map),
		0);
	begin(&asker);
	byte = quire_map_address(asker.map);
	for (unsigned int round = 0; goes_on(&asker, round); round++) {
		size_t offset = round % PAGES_MAX * PAGE;

		EXPECT_IS(quire_map_pin(asker.map, offset, PAGE, QUIRE_READ | QUIRE_WRITE), 0);
		byte[offset]++;
		EXPECT_IS(quire_map_unpin(asker.map, offset, PAGE), 0);
		if (round % 16 == 0)
			EXPECT_IS(quire_pool_resize(asker.pool, (24 + round % 24) * PAGE), 0);
	}
	end(&asker);
	EXPECT_IS(quire_unmap(asker.map), 0);
	EXPECT_IS(quire_pool_close(asker.pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_a_mapping_that_grows_and_shrinks),
		cmocka_unit_test_setup_teardown(
			of_a_pool_that_is_used_and_resized, scratch_setup, scratch_teardown),
	};

	return RUN(tests);
}
