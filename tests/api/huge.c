/* SPDX-License-Identifier: Apache-2.0 */
/* Huge pages: from the pool, or what the caller takes instead. Sets nr_hugepages and puts it back. */
#include "support/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/vma.h"

enum { HUGE = 2 << 20 };

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define THP "/sys/kernel/mm/transparent_hugepage/enabled"

static char *bytes_of(struct quire_map *map)
{
	return quire_map_address(map);
}

static struct quire_map *huge(uint32_t kind, size_t length, uint32_t otherwise)
{
	struct quire_map *map = NULL;

	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(
				  map, .kind = kind, .length = length, .page_bytes = HUGE, .huge = otherwise),
			  &map),
		0);
	return map;
}

static struct quire_map_stat stat_of(struct quire_map *map)
{
	struct quire_map_stat stat = { .size = sizeof(stat) };

	EXPECT_IS(quire_map_stat(map, &stat), 0);
	return stat;
}

static void pool(long long pages)
{
	if (!number_write(POOL, pages) || number_in(POOL) != pages)
		child_skips("the pool of huge pages cannot be set by this user");
}

static void the_pool_serves_huge_pages_body(void *argument)
{
	static const uint32_t kinds[] = { QUIRE_ANON, QUIRE_MEMFD };

	(void)argument;
	pool(4);
	for (size_t i = 0; i < 2; i++) {
		struct quire_map *map = huge(kinds[i], HUGE + 1, QUIRE_HUGE_OR_FAIL);
		struct vma vma;

		EXPECT(vma_at(bytes_of(map), &vma));
		EXPECT_IS(vma.page_kib, 2048);
		EXPECT(vma_flag(bytes_of(map), "ht"));
		EXPECT_IS(stat_of(map).page_bytes, HUGE);
		EXPECT_IS(stat_of(map).transparent, 0);
		EXPECT_IS(quire_map_length(map), HUGE + 1);
		bytes_of(map)[HUGE] = 'x';
		EXPECT_IS(quire_map_protect(map, 4096, 4096, QUIRE_READ),
			-EINVAL); /* not a huge page's boundary */
		EXPECT_IS(quire_map_protect(map, HUGE, 1, QUIRE_READ), 0);
		EXPECT(vma_permits(bytes_of(map) + HUGE, i == 0 ? "r--p" : "r--s"));
		EXPECT_IS(quire_map_unmap(map, HUGE, 1), 0);
		EXPECT_IS(quire_unmap(map), 0);
	}
}

static void huge_memory_grows_in_huge_pages_body(void *argument)
{
	struct quire_map *map = NULL;

	(void)argument;
	pool(4);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = HUGE, .page_bytes = HUGE,
				  .reserve_bytes = 4 * HUGE),
			  &map),
		0);
	EXPECT_IS(quire_map_resize(map, 3 * HUGE, 0), 0);
	bytes_of(map)[3 * HUGE - 1] = 'x';
	EXPECT(vma_flag(bytes_of(map) + 2 * HUGE, "ht"));
	EXPECT_IS(quire_unmap(map), 0);
}

static void an_empty_pool_is_refused_with_its_figures_body(void *argument)
{
	static const uint32_t kinds[] = { QUIRE_ANON, QUIRE_MEMFD };
	struct quire_map *map = NULL;

	(void)argument;
	pool(1);
	for (size_t i = 0; i < 2; i++) {
		EXPECT_IS(
			quire_map(NULL,
				QUIRE_OPTIONS(map, .kind = kinds[i], .length = 3 * HUGE, .page_bytes = HUGE),
				&map),
			-ENOMEM);
		EXPECT(strstr(quire_error_text(), "3 huge pages of 2048 KiB"));
		EXPECT(strstr(quire_error_text(), "1 free of 1"));
		EXPECT(strstr(quire_error_text(), "nr_hugepages"));
	}
}

static void an_empty_pool_falls_back_as_allowed_body(void *argument)
{
	static const uint32_t kinds[] = { QUIRE_ANON, QUIRE_MEMFD };

	(void)argument;
	pool(0);
	for (size_t i = 0; i < 2; i++) {
		struct quire_map *map = huge(kinds[i], 2 * HUGE, QUIRE_HUGE_OR_SMALL);

		EXPECT_IS(stat_of(map).page_bytes, PAGE);
		EXPECT(!vma_flag(bytes_of(map), "ht"));
		memset(bytes_of(map), 'x', 2 * HUGE);
		EXPECT_IS(quire_unmap(map), 0);
	}
}

static void transparent_pages_stand_in_aligned_body(void *argument)
{
	struct quire_map *map;
	struct vma vma;
	char *odd;

	(void)argument;
	pool(0);
	/* Of a length for which the kernel itself would not align. */
	map = huge(QUIRE_ANON, 2 * HUGE + PAGE, QUIRE_HUGE_OR_TRANSPARENT);
	EXPECT_IS(stat_of(map).transparent, 1);
	EXPECT_IS((uintptr_t)bytes_of(map) % HUGE, 0);
	EXPECT(vma_flag(bytes_of(map), "hg"));
	*bytes_of(map) = 'x';
	EXPECT(vma_at(bytes_of(map), &vma));
	EXPECT(vma.huge_kib > 0);
	odd = bytes_of(map) + PAGE;
	EXPECT_IS(quire_unmap(map), 0);
	/* Who names an address gets that one. */
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = PAGE, .page_bytes = HUGE,
				  .huge = QUIRE_HUGE_OR_TRANSPARENT, .placement = QUIRE_PLACE_EXACT,
				  .address = odd),
			  &map),
		0);
	EXPECT(bytes_of(map) == odd);
	EXPECT_IS(quire_unmap(map), 0);
}

static void without_transparent_pages_only_small_ones_are_taken_body(void *argument)
{
	struct quire_map *map = NULL;
	FILE *file;

	(void)argument;
	pool(0);
	file = fopen(THP, "we");
	if (!file || fprintf(file, "never\n") < 0 || fclose(file) != 0)
		child_skips("transparent huge pages cannot be switched by this user");
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(
				  map, .length = HUGE, .page_bytes = HUGE, .huge = QUIRE_HUGE_OR_TRANSPARENT),
			  &map),
		-EOPNOTSUPP);
	EXPECT(strstr(quire_error_text(), "transparent_hugepage"));
	map = huge(QUIRE_ANON, HUGE, QUIRE_HUGE_OR_SMALL);
	EXPECT_IS(stat_of(map).transparent, 0);
	EXPECT_IS(quire_unmap(map), 0);
}

/* Whatever the child does, the machine is as before. */
static void with_settings_kept(void (*body)(void *))
{
	long long pages = number_in(POOL);
	char setting[128] = "";
	const char *now;
	FILE *file = fopen(THP, "re");
	int status;

	if (pages < 0 || !file || !fgets(setting, sizeof(setting), file))
		skip();
	EXPECT_IS(fclose(file), 0);
	status = child_status(body, NULL);
	(void)number_write(POOL, pages);
	now = strchr(setting, '[');
	file = now ? fopen(THP, "we") : NULL;
	if (file) {
		(void)fprintf(file, "%.*s\n", (int)strcspn(now + 1, "]"), now + 1);
		(void)fclose(file);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	EXPECT_IS(status, 0);
}

#define SETTINGS_CASE(name)                      \
	static void name(void **state)           \
	{                                        \
		(void)state;                     \
		with_settings_kept(name##_body); \
	}

SETTINGS_CASE(the_pool_serves_huge_pages)
SETTINGS_CASE(huge_memory_grows_in_huge_pages)
SETTINGS_CASE(an_empty_pool_is_refused_with_its_figures)
SETTINGS_CASE(an_empty_pool_falls_back_as_allowed)
SETTINGS_CASE(transparent_pages_stand_in_aligned)
SETTINGS_CASE(without_transparent_pages_only_small_ones_are_taken)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pool_serves_huge_pages),
		cmocka_unit_test(huge_memory_grows_in_huge_pages),
		cmocka_unit_test(an_empty_pool_is_refused_with_its_figures),
		cmocka_unit_test(an_empty_pool_falls_back_as_allowed),
		cmocka_unit_test(transparent_pages_stand_in_aligned),
		cmocka_unit_test(without_transparent_pages_only_small_ones_are_taken),
	};

	return RUN(tests);
}
