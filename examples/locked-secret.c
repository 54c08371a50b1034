/* SPDX-License-Identifier: Apache-2.0 */
/* A key that is never swapped, never dumped, never inherited - and, where the kernel can, seen by nobody else. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

/* What /proc/self/status says of locked memory, in KiB. */
static long locked_kib(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];
	long kib = -1;

	assert(status != NULL);
	while (kib < 0 && fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	fclose(status);
	return kib;
}

int main(void)
{
	long before = locked_kib();
	struct quire_map *map;
	int status, r;

	assert(quire_map(NULL,
		       QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = 8192,
			       .flags = QUIRE_LOCKED | QUIRE_NO_DUMP, .fork = QUIRE_FORK_WIPE),
		       &map) == 0);
	memcpy(quire_map_address(map), "the key", 8);
	assert(locked_kib() == before + 8);
	fflush(stdout);
	if (fork() == 0)
		_exit(*(char *)quire_map_address(map) == 0 ? 0 : 1); /* the child sees zeros */
	assert(wait(&status) > 0 && status == 0);

	assert(quire_map_unlock(map, 4096, 4096) == 0 && locked_kib() == before + 4);
	assert(quire_map_lock(map, 4096, 4096, QUIRE_LOCK_ON_FAULT) == 0 && locked_kib() == before + 8);
	assert(strcmp(quire_map_address(map), "the key") == 0);
	explicit_bzero(quire_map_address(map), 8);
	assert(quire_unmap(map) == 0 && locked_kib() == before);
	printf("locked, not dumped, wiped in children\n");

	/* Not even the kernel's own view of memory shows this one. */
	r = quire_map(NULL, QUIRE_OPTIONS(map, .kind = QUIRE_SECRET, .length = 4096), &map);
	if (r < 0) {
		printf("no secret memory here: %s\n", quire_error_text());
		return r == -EOPNOTSUPP ? 0 : 1;
	}
	memcpy(quire_map_address(map), "the key", 8);
	printf("and a page that is gone from the kernel's map\n");
	return quire_unmap(map);
}
