/* SPDX-License-Identifier: Apache-2.0 */
/* What the memory of a process consists of, what of a mapping can be reached without a fault, and who shares a file. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

static uint64_t reachable(uint64_t start, uint64_t length)
{
	struct quire_pages *pages;
	struct quire_run run;
	uint64_t sum = 0;

	assert(quire_pages_open(0, start, length, &pages) == 0);
	assert((quire_pages_known(pages) & QUIRE_PAGE_PRESENT) != 0);
	while (quire_pages_next(pages, &run) == 1)
		sum += (run.state & QUIRE_PAGE_PRESENT) != 0 ? run.pages * 4096 : 0;
	quire_pages_close(pages);
	return sum;
}

static void show_sharers(const char *path)
{
	struct quire_mapper mapper = { .size = sizeof(mapper) };
	struct quire_mappers *mappers;
	int fd;

	assert(quire_presence_open(AT_FDCWD, path, &fd) == 0);
	assert(quire_mappers_open(fd, &mappers) == 0);
	while (quire_mappers_next(mappers, &mapper) == 1)
		printf("  %d %s maps %s\n", mapper.pid, mapper.name, path);
	printf("  and perhaps %" PRIu64 " processes of others\n", quire_mappers_hidden(mappers));
	quire_mappers_close(mappers);
	close(fd);
}

int main(int argc, char **argv)
{
	struct quire_process process = { .size = sizeof(process) };
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps;

	(void)argc;
	assert(quire_process_read(getpid(), QUIRE_PROCESS_SHARES, &process) == 0);
	printf("%s has %" PRIu64 " KiB in memory, %" PRIu64 " KiB its own\n", process.name,
		process.resident_bytes / 1024, process.anonymous_bytes / 1024);
	assert(quire_maps_open(0, 0, &maps) == 0);
	while (quire_maps_next(maps, &mapping) == 1)
		if (mapping.start < UINT64_C(1) << 47 && mapping.name[0] == '[')
			printf("  %-12s %6" PRIu64 " KiB, %6" PRIu64 " without a fault\n", mapping.name,
				(mapping.end - mapping.start) / 1024,
				reachable(mapping.start, mapping.end - mapping.start) / 1024);
	quire_maps_close(maps);
	show_sharers(argv[0]);
	return 0;
}
