/* SPDX-License-Identifier: Apache-2.0 */
/* bounded-cache.c - a file eight times the size of its cache, used through a plain pointer, every page verified. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <quire/quire.h>

enum { MIB = 1 << 20, FILE_BYTES = 8 * MIB, CACHE_BYTES = MIB };

#define MUST(call)                                                   \
	do {                                                         \
		if ((call) < 0) {                                    \
			fprintf(stderr, "%s\n", quire_error_text()); \
			return 1;                                    \
		}                                                    \
	} while (0)

static int make_file(char *path)
{
	unsigned int page[1024];
	int fd = mkstemp(path);

	for (unsigned int i = 0; fd >= 0 && i < FILE_BYTES / 4; i++) {
		page[i % 1024] = i * 2654435761U;
		if (i % 1024 == 1023 && write(fd, page, sizeof(page)) != sizeof(page))
			return -1;
	}
	return fd < 0 ? -1 : close(fd);
}

int main(void)
{
	char path[] = "/tmp/bounded-cache-XXXXXX";
	struct quire_pool_stats stats = { .size = sizeof(stats) };
	struct quire_range next = { FILE_BYTES / 2, 64 * 1024 };
	struct quire_object *file, *verified;
	struct quire_pool *pool;
	struct quire_map *map;
	size_t wrong = 0;

	if (make_file(path) < 0)
		return 1;
	MUST(quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = CACHE_BYTES), &pool));
	MUST(quire_object_file(path, 0, &file));
	MUST(quire_object_checksum(file, NULL, &verified)); /* owns `file` now */
	unlink(path);
	MUST(quire_map(NULL,
		QUIRE_OPTIONS(map, .object = verified, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
			.protection = QUIRE_READ),
		&map));

	const unsigned int *words = quire_map_address(map);
	for (size_t i = 0; i < FILE_BYTES / sizeof(*words); i++)
		wrong += words[i] != (unsigned int)i * 2654435761U;

	MUST((int)quire_map_prefetch(map, &next, 1)); /* on its way while we do something else */
	MUST(quire_map_pin(map, next.offset, next.length, QUIRE_READ)); /* and now it stays */
	wrong += words[next.offset / sizeof(*words)] != (unsigned int)(next.offset / 4) * 2654435761U;
	MUST(quire_map_unpin(map, next.offset, next.length));

	MUST(quire_pool_stats(pool, &stats));
	printf("%zu wrong words; %llu KiB in use, bound %llu KiB, %llu pages read, %llu evicted (%s)\n",
		wrong, (unsigned long long)stats.used_bytes >> 10,
		(unsigned long long)stats.cache_bytes >> 10, (unsigned long long)stats.fills,
		(unsigned long long)stats.evicted, stats.why);
	MUST(quire_pool_resize(pool, CACHE_BYTES / 4));
	MUST(quire_unmap(map));
	quire_object_close(verified);
	MUST(quire_pool_close(pool));
	return wrong != 0 || stats.used_bytes > CACHE_BYTES || stats.evicted == 0;
}
