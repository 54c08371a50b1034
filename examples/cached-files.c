/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a folder are in memory, and how much of the machine's page cache that is. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include <quire/quire.h>

int main(int argc, char **argv)
{
	struct quire_walk_entry entry = { .size = sizeof(entry) };
	struct quire_walk_tally tally = { .size = sizeof(tally) };
	struct quire_memory memory = { .size = sizeof(memory) };
	const char *path = argc > 1 ? argv[1] : "/usr/lib";
	uint64_t pages = 0, unknown = 0;
	struct quire_walk *walk;

	if (quire_walk_open(path, QUIRE_WALK_ONE_FILESYSTEM, &walk) < 0) {
		fprintf(stderr, "%s\n", quire_error_text());
		return 1;
	}
	while (quire_walk_next(walk, &entry) == 1) {
		if (entry.error != 0)
			continue;
		if (entry.presence.cached == QUIRE_UNKNOWN)
			unknown++;
		else
			pages += entry.presence.cached;
	}
	assert(quire_walk_tally(walk, &tally) == 0);
	quire_walk_close(walk);
	assert(quire_memory_read(&memory) == 0);
	printf("%" PRIu64 " files below %s hold %" PRIu64 " MiB of %" PRIu64 " MiB page cache", tally.files,
		path, pages * 4096 >> 20, memory.cached_bytes >> 20);
	if (unknown != 0)
		printf("; of %" PRIu64 " this user may not know", unknown);
	printf("\n");
	return 0;
}
