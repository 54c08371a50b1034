/* SPDX-License-Identifier: Apache-2.0 */
/*
 * published-pool.c - a page cache that shows its figures: to this program by a call, to every other process of this user
 * through /proc (as `quire pool PID` does). Here the program plays both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

enum { FILE_BYTES = 4 << 20, CACHE_BYTES = 1 << 20 };

static void must(int r)
{
	if (r < 0) {
		fprintf(stderr, "%s\n", quire_error_text());
		exit(1);
	}
}

int main(void)
{
	struct quire_map_stats ours = { .size = sizeof(ours) };
	struct quire_map_stats theirs = { .size = sizeof(theirs) };
	struct quire_pool_stats whole = { .size = sizeof(whole) };
	char path[] = "/tmp/published-pool-XXXXXX";
	struct quire_pools *pools;
	struct quire_pool *pool;
	struct quire_map *map;
	const char *name;
	unsigned int sum = 0;
	int fd = mkstemp(path);

	if (fd < 0 || ftruncate(fd, FILE_BYTES) != 0)
		return 1;
	close(fd);
	must(quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = CACHE_BYTES, .publish = "demo"), &pool));
	must(quire_map(NULL,
		QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
			.protection = QUIRE_READ | QUIRE_WRITE, .sharing = QUIRE_SHARED),
		&map));
	unlink(path);

	char *bytes = quire_map_address(map);
	for (size_t at = 0; at < FILE_BYTES; at += 4096)
		sum += (unsigned char)bytes[at];
	bytes[0] = 1;

	must(quire_map_stats(map, &ours));
	must(quire_pools_open(getpid(), &pools));
	while (quire_pools_next(pools, &name, &whole) == 1)
		while (quire_pools_next_map(pools, &name, &theirs) == 1)
			printf("%s: %llu faults, half of them within %llu ns; %llu of %llu pages read ahead were used; "
			       "%llu KiB resident\n",
				name, (unsigned long long)theirs.faults,
				(unsigned long long)theirs.fault_time.p50_ns,
				(unsigned long long)theirs.ahead_used, (unsigned long long)theirs.ahead,
				(unsigned long long)theirs.resident_bytes >> 10);
	quire_pools_close(pools);
	printf("and %llu bytes are newer than the file, which only we can ask\n",
		(unsigned long long)ours.dirty_bytes);
	must(quire_unmap(map));
	must(quire_pool_close(pool));
	return sum != 0 || ours.faults != theirs.faults || ours.dirty_bytes != 4096 ||
		whole.used_bytes > CACHE_BYTES;
}
