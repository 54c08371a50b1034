/* SPDX-License-Identifier: Apache-2.0 */
/* What a handle knows of its mapping, as figures and as a line of words. */
#include "support/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/vma.h"

static struct quire_map_stat stat_of(struct quire_map *map)
{
	struct quire_map_stat stat = { .size = sizeof(stat) };

	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.size, sizeof(stat));
	return stat;
}

static void every_field_says_what_is_so_body(void *argument)
{
	char path[64];
	int fd = named_file_of(5000, path);
	struct quire_map *map = NULL;
	struct quire_map_stat stat;

	(void)argument;
	EXPECT_IS(quire_map_file(NULL, path, QUIRE_READ | QUIRE_WRITE, &map), 0);
	EXPECT_IS(unlink(path), 0);
	stat = stat_of(map);
	EXPECT_IS(stat.kind, QUIRE_FILE);
	EXPECT_IS(stat.sharing, QUIRE_SHARED);
	EXPECT_IS(stat.protection, QUIRE_READ | QUIRE_WRITE);
	EXPECT_IS(stat.guard, QUIRE_GUARD_ZEROS);
	EXPECT_IS(strcmp(stat.engine, "native"), 0);
	EXPECT_IS(strcmp(stat.name, path), 0);
	EXPECT(stat.address == quire_map_address(map));
	EXPECT_IS(stat.length, 5000);
	EXPECT_IS(stat.reserved_bytes, 8192);
	EXPECT_IS(stat.offset, 0);
	EXPECT_IS(stat.object_bytes, 5000);
	EXPECT_IS(stat.zero_tail_bytes, 3192);
	EXPECT_IS(stat.page_bytes, 4096);
	EXPECT_IS(stat.transparent, 0);
	EXPECT_IS(stat.segments, 1);
	EXPECT_IS(stat.resident_bytes, 8192);
	EXPECT_IS(stat.faults, 0);
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(*(volatile char *)quire_map_address(map), 0);
	stat = stat_of(map);
	EXPECT_IS(stat.faults, 1);
	EXPECT_IS(stat.object_bytes, 0);
	EXPECT_IS(stat.zero_tail_bytes, 0);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(every_field_says_what_is_so)

static void a_caller_of_an_older_version_gets_what_it_knows(void **state)
{
	struct quire_map_stat stat;
	struct quire_map *map;

	(void)state;
	memset(&stat, 0xee, sizeof(stat));
	stat.size = offsetof(struct quire_map_stat, engine);
	EXPECT_IS(quire_map_anon(NULL, PAGE, &map), 0);
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.kind, QUIRE_ANON);
	EXPECT_IS((unsigned char)*(char *)&stat.engine, 0xee);
	stat.size = 3;
	EXPECT_IS(quire_map_stat(map, &stat), -EINVAL);
	EXPECT_IS(quire_map_stat(map, NULL), -EINVAL);
	EXPECT_IS(quire_unmap(map), 0);
}

static void a_description_is_cut_as_snprintf_cuts(void **state)
{
	struct quire_map *map;
	char text[400];
	char small[10];
	int length;

	(void)state;
	EXPECT_IS(quire_map_shared(NULL, "words", (size_t)8 << 20, &map), 0);
	length = quire_map_describe(map, text, sizeof(text));
	EXPECT_IS(length, strlen(text));
	EXPECT(strstr(text, "8.0 MiB of memfd words"));
	EXPECT(strstr(text, "read+write"));
	EXPECT(strstr(text, "0 of 2048 pages resident"));
	EXPECT(strstr(text, "no errors"));
	EXPECT_IS(quire_map_describe(map, small, sizeof(small)), length);
	EXPECT_IS(strlen(small), 9);
	EXPECT_IS(quire_map_describe(map, NULL, 0), length);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(quire_reserve(NULL, (size_t)1 << 40, &map), 0);
	EXPECT(quire_map_describe(map, text, sizeof(text)) > 0);
	EXPECT(strstr(text, "1.0 TiB of reserved addresses"));
	EXPECT_IS(quire_unmap(map), 0);
}

static void errors_are_described_in_words_body(void *argument)
{
	char path[64];
	int fd = named_file_of(2 * PAGE, path);
	struct quire_map *map;
	char text[400];

	(void)argument;
	EXPECT_IS(quire_map_file(NULL, path, QUIRE_READ, &map), 0);
	EXPECT_IS(unlink(path), 0);
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(*(volatile char *)quire_map_address(map), 0);
	EXPECT(quire_map_describe(map, text, sizeof(text)) > 0);
	EXPECT(strstr(text, "1 pages could not be served"));
	EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
	EXPECT(strstr(quire_error_text(), path));
	EXPECT(strstr(quire_error_text(), "offset 0"));
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(errors_are_described_in_words)

static void residency_of_others_files_is_not_guessed_body(void *argument)
{
	struct quire_map *map = NULL;
	uint64_t resident = 77;
	char text[400];

	(void)argument;
	if (geteuid() == 0) /* root is told everything */
		EXPECT_IS(setresuid(65534, 65534, 65534), 0);
	if (quire_map_file(NULL, "/etc/passwd", QUIRE_READ, &map) < 0)
		child_skips("no file here belongs to somebody else");
	EXPECT_IS(quire_map_residency(map, 0, QUIRE_TO_END, NULL, &resident), -EACCES);
	EXPECT_IS(resident, 77);
	EXPECT_IS(stat_of(map).resident_bytes, UINT64_MAX);
	EXPECT(quire_map_describe(map, text, sizeof(text)) > 0);
	EXPECT(strstr(text, "not told"));
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(residency_of_others_files_is_not_guessed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_says_what_is_so),
		cmocka_unit_test(a_caller_of_an_older_version_gets_what_it_knows),
		cmocka_unit_test(a_description_is_cut_as_snprintf_cuts),
		cmocka_unit_test(errors_are_described_in_words),
		cmocka_unit_test(residency_of_others_files_is_not_guessed),
	};

	return RUN(tests);
}
