/* SPDX-License-Identifier: Apache-2.0 */
/* Pages a file through a published pool, says its own figures of the mapping, and waits until its input ends. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

static int say(struct quire_map *map)
{
	struct quire_map_stats s = { .size = sizeof(s) };
	struct quire_map_stats before = { .size = 0 };

	/* A handler wakes who waits and then writes down how long it took; evictions go on for a moment. */
	while (memcmp(&s, &before, sizeof(s)) != 0 || s.fault_time.count != s.faults) {
		before = s;
		(void)usleep(20000);
		if (quire_map_stats(map, &s) < 0)
			return 1;
	}
	printf("{\"mapped_bytes\": %" PRIu64 ", \"resident_bytes\": %" PRIu64 ", \"faults\": %" PRIu64
	       ", \"fills\": %" PRIu64 ", \"ahead\": %" PRIu64 ", \"ahead_used\": %" PRIu64
	       ", \"evicted\": %" PRIu64 ", \"put\": %" PRIu64 ", \"p50_ns\": %" PRIu64
	       ", \"max_ns\": %" PRIu64 "}\n",
		s.mapped_bytes, s.resident_bytes, s.faults, s.fills, s.ahead, s.ahead_used, s.evicted, s.put,
		s.fault_time.p50_ns, s.fault_time.max_ns);
	return fflush(stdout);
}

int main(int argc, char **argv)
{
	struct quire_pool *pool;
	struct quire_map *map;
	volatile char *bytes;
	int r;

	if (argc != 2 ||
		quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = 1 << 20, .publish = "maker"), &pool) < 0 ||
		quire_map(NULL,
			QUIRE_OPTIONS(map, .path = argv[1], .engine = QUIRE_ENGINE_PAGED, .pool = pool,
				.sharing = QUIRE_SHARED, .protection = QUIRE_READ | QUIRE_WRITE),
			&map) < 0) {
		fprintf(stderr, "%s\n", quire_error_text());
		return 1;
	}
	bytes = quire_map_address(map);
	for (size_t at = 0; at < quire_map_length(map); at += 4096)
		bytes[at]++;
	if (quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC) < 0)
		return 1;
	r = say(map);
	while (r == 0 && getchar() != EOF)
		continue;
	quire_unmap(map);
	return quire_pool_close(pool) < 0 ? 1 : r;
}
