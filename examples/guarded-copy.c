/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that return an errno: also out of mappings that Quire did not make. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

int main(void)
{
	char path[] = "/tmp/guarded-copy-XXXXXX", buffer[8192];
	int fd = mkstemp(path);
	struct quire_map *map;
	char *bytes;

	assert(fd >= 0 && ftruncate(fd, 8192) == 0);
	assert(quire_map(NULL,
		       QUIRE_OPTIONS(map, .path = path, .protection = QUIRE_READ | QUIRE_WRITE,
			       .guard = QUIRE_GUARD_ZEROS),
		       &map) == 0);
	bytes = quire_map_address(map);

	assert(quire_copy_in(bytes, "first page", 11) == 0);
	assert(quire_copy_out(buffer, bytes, 8192) == 0 && strcmp(buffer, "first page") == 0);

	assert(ftruncate(fd, 4096) == 0);
	assert(quire_copy_out(buffer, bytes, 4096) == 0);
	assert(quire_copy_out(buffer, bytes, 8192) == -ENODATA);
	printf("reading behind the end: %s\n", quire_error_text());
	assert(quire_copy_in(bytes + 4096, "second page", 12) == -ENODATA);
	printf("writing behind the end: %s\n", quire_error_text());

	assert(ftruncate(fd, 8192) == 0);
	assert(quire_copy_in(bytes + 4096, "second page", 12) == 0);
	assert(pread(fd, buffer, 12, 4096) == 12 && strcmp(buffer, "second page") == 0);
	assert(quire_unmap(map) == 0);
	close(fd);
	return unlink(path);
}
