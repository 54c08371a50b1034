/* SPDX-License-Identifier: Apache-2.0 */
/* A log in a file that starts empty and grows under a pointer that never moves. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quire/quire.h>

int main(void)
{
	char path[] = "/tmp/grow-in-place-XXXXXX";
	int fd = mkstemp(path);
	struct quire_map *map;
	struct stat st;
	size_t used = 0;
	char *log;

	assert(fd >= 0 && close(fd) == 0);
	/* 0 bytes now; addresses for 64 MiB are kept free behind them */
	assert(quire_map(NULL,
		       QUIRE_OPTIONS(map, .path = path, .protection = QUIRE_READ | QUIRE_WRITE,
			       .reserve_bytes = 64 << 20),
		       &map) == 0);
	log = quire_map_address(map);
	assert(quire_map_length(map) == 0);

	for (int i = 0; i < 100000; i++) {
		char line[32];
		size_t length = (size_t)snprintf(line, sizeof(line), "event %d\n", i);

		if (used + length > quire_map_length(map))
			/* blocks are allocated, so that a full disk is an error here and not a fault later */
			assert(quire_map_resize(map, used + (256 << 10), QUIRE_PREALLOCATE) == 0);
		memcpy(log + used, line, length);
		used += length;
	}
	assert(quire_map_address(map) == log);
	assert(memcmp(log, "event 0\n", 8) == 0 && memcmp(log + used - 12, "event 99999\n", 12) == 0);
	assert(quire_map_preallocate(map, 0, used) == 0);
	assert(quire_map_flush(map, 0, used, QUIRE_FLUSH_DURABLE) == 0);
	printf("%zu bytes of log at %p, where the first byte has always been\n", used, (void *)log);
	assert(stat(path, &st) == 0 && (size_t)st.st_size == quire_map_length(map));

	assert(quire_unmap(map) == 0);

	/* Without addresses kept behind it, a mapping may have to move to grow. */
	assert(quire_map_file(NULL, path, QUIRE_READ | QUIRE_WRITE, &map) == 0);
	assert(quire_map_resize(map, 256 << 20, QUIRE_MAY_MOVE) == 0);
	assert(quire_map_move(map, NULL) == 0);
	assert(memcmp(quire_map_address(map), "event 0\n", 8) == 0);
	assert(quire_unmap(map) == 0);
	return unlink(path);
}
