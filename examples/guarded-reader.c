/* SPDX-License-Identifier: Apache-2.0 */
/* A file is cut while it is mapped: an error with the offset instead of SIGBUS, and the bytes back after a repair. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <quire/quire.h>

enum { PAGES = 8, PAGE = 4096 };

static void fill(int fd)
{
	for (int i = 0; i < PAGES * PAGE; i++)
		assert(pwrite(fd, "x", 1, i) == 1);
}

static size_t count_x(const char *bytes, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += bytes[i] == 'x';
	return count;
}

int main(void)
{
	struct quire_fault fault = { .size = sizeof(fault) };
	char path[] = "/tmp/guarded-reader-XXXXXX";
	volatile size_t read_so_far = 0;
	int fd = mkstemp(path);
	struct quire *quire;
	struct quire_map *map;
	const char *bytes;

	assert(fd >= 0);
	fill(fd);

	/* Zeros in place of what is gone, and a handle that knows. */
	assert(quire_map_file(NULL, path, QUIRE_READ, &map) == 0 && quire_map_check(map) == 0);
	bytes = quire_map_address(map);
	assert(ftruncate(fd, 3 * PAGE) == 0);
	assert(count_x(bytes, PAGES * PAGE) == 3 * PAGE);
	assert(quire_map_error(map, &fault) == -ENODATA && fault.cause == QUIRE_CAUSE_TRUNCATED);
	printf("%s\n", quire_error_text());
	assert(fault.offset == 3 * PAGE);

	/* The file grows back: the same pointers show it. */
	fill(fd);
	assert(quire_map_repair(map) == 0 && quire_map_error(map, NULL) == 0);
	assert(count_x(bytes, PAGES * PAGE) == PAGES * PAGE);
	assert(quire_unmap(map) == 0);

	/* The other policy, for a whole address space: leave the block that reads. */
	assert(quire_open(QUIRE_OPTIONS(open, .guard = QUIRE_GUARD_TRY), &quire) == 0);
	assert(quire_map_file(quire, path, QUIRE_READ, &map) == 0);
	bytes = quire_map_address(map);
	assert(ftruncate(fd, 5 * PAGE) == 0);
	QUIRE_TRY(error)
	{
		for (size_t i = 0; i < PAGES * PAGE; i++, read_so_far = i)
			assert(bytes[i] == 'x');
	}
	QUIRE_CATCH(error)
	{
		(void)quire_map_error(map, &fault);
		printf("left after %zu bytes: %s\n", (size_t)read_so_far, quire_error_text());
	}
	assert(error == -ENODATA && read_so_far == 5 * PAGE);
	assert(quire_unmap(map) == 0 && quire_close(quire) == 0);
	return unlink(path);
}
