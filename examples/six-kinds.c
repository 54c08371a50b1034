/* SPDX-License-Identifier: Apache-2.0 */
/* Six kinds of mapping behind one handle: open, use the pointer, ask the handle, give it back. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

static void show(const char *kind, struct quire_map *map)
{
	struct quire_map_stat stat = { .size = sizeof(stat) };
	uint64_t resident = 0;
	char text[200];

	assert(quire_map_describe(map, text, sizeof(text)) > 0);
	assert(quire_map_stat(map, &stat) == 0 && stat.address == quire_map_address(map));
	if (quire_map_residency(map, 0, QUIRE_TO_END, NULL, &resident) < 0)
		printf("%s\n", quire_error_text()); /* the kernel does not tell everybody */
	printf("%-18s %s\n", kind, text);
	assert(quire_unmap(map) == 0);
}

int main(void)
{
	const char hello[] = "a file of 15 bytes";
	char path[] = "/tmp/six-kinds-XXXXXX";
	int fd = mkstemp(path);
	struct quire_map *map;

	printf("Quire %s\n", quire_version());
	assert(fd >= 0 && write(fd, hello, 15) == 15);

	/* 1: anonymous, private */
	assert(quire_map_anon(NULL, 1 << 20, &map) == 0);
	memcpy(quire_map_address(map), "mine", 5);
	(void)quire_map_name(map, "example");                               /* not every kernel can */
	(void)quire_map_place(map, 0, QUIRE_TO_END, QUIRE_NUMA_DEFAULT, 0); /* on any memory node */
	assert(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_NORMAL) == 0);
	show("private memory", map);

	/* 2: anonymous, shared with children, and with whom it is sent to */
	assert(quire_map_shared(NULL, "example", 1 << 20, &map) == 0);
	show("shared memory", map);

	/* 3: a file, private: stores do not reach it */
	assert(quire_map(NULL,
		       QUIRE_OPTIONS(map, .path = path, .protection = QUIRE_READ | QUIRE_WRITE,
			       .sharing = QUIRE_PRIVATE),
		       &map) == 0);
	memcpy(quire_map_address(map), "A", 1);
	show("file, private", map);

	/* 4: a file, shared: its size need not be a multiple of the page size */
	assert(quire_map_file(NULL, path, QUIRE_READ, &map) == 0);
	assert(quire_map_length(map) == 15 && memcmp(quire_map_address(map), hello, 15) == 0);
	show("file, shared", map);

	/* 5: huge pages, or as near as this machine comes to them */
	assert(quire_map(NULL,
		       QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = 4 << 20, .page_bytes = 2 << 20,
			       .huge = QUIRE_HUGE_OR_SMALL),
		       &map) == 0);
	show("huge pages", map);

	/* 6: at an address of our choice; what stands there is never clobbered */
	assert(quire_map(NULL,
		       QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = 4096, .placement = QUIRE_PLACE_EXACT,
			       .address = (void *)0x100000000000),
		       &map) == 0);
	assert(quire_map_address(map) == (void *)0x100000000000);
	show("at an address", map);

	close(fd);
	return unlink(path);
}
