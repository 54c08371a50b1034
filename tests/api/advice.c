/* SPDX-License-Identifier: Apache-2.0 */
/* Each advice and each way to flush, by its effect. Fork advice is in api/flags.c. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/vma.h"
#include "sys/uapi.h"

enum { HUGE = 2 << 20 };

static struct quire_map *anon(size_t pages)
{
	struct quire_map *map;

	EXPECT_IS(quire_map_anon(NULL, pages * PAGE, &map), 0);
	return map;
}

static struct quire_map *file(int fd)
{
	struct quire_map *map;

	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), 0);
	return map;
}

static void access_patterns_replace_each_other(void **state)
{
	struct quire_map *map = anon(8);

	(void)state;
	EXPECT_IS(quire_map_advise(map, 2 * PAGE, PAGE, QUIRE_RANDOM), 0);
	EXPECT(vma_flag(at(map, 2), "rr"));
	EXPECT(!vma_flag(at(map, 3), "rr"));
	EXPECT_IS(vma_count(at(map, 0), 8 * PAGE), 3);
	EXPECT_IS(quire_map_advise(map, 2 * PAGE, PAGE, QUIRE_SEQUENTIAL), 0);
	EXPECT(vma_flag(at(map, 2), "sr"));
	EXPECT(!vma_flag(at(map, 2), "rr"));
	EXPECT_IS(quire_map_advise(map, 2 * PAGE, PAGE, QUIRE_NORMAL), 0);
	EXPECT(!vma_flag(at(map, 2), "sr"));
	gone(map);
}

static void an_advice_at_opening_holds_for_all_of_it(void **state)
{
	struct quire_map *map;

	(void)state;
	EXPECT_IS(
		quire_map(NULL, QUIRE_OPTIONS(map, .length = 4 * PAGE, .advice = QUIRE_SEQUENTIAL), &map), 0);
	EXPECT(vma_flag(at(map, 3), "sr"));
	gone(map);
}

static void dump_advice_is_marked_and_unmarked(void **state)
{
	struct quire_map *map = anon(4);

	(void)state;
	EXPECT_IS(quire_map_advise(map, 0, PAGE, QUIRE_DONTDUMP), 0);
	EXPECT(vma_flag(at(map, 0), "dd"));
	EXPECT(!vma_flag(at(map, 1), "dd"));
	EXPECT_IS(quire_map_advise(map, 0, PAGE, QUIRE_DODUMP), 0);
	EXPECT(!vma_flag(at(map, 0), "dd"));
	gone(map);
}

static void willneed_starts_reading(void **state)
{
	int fd = file_of(64 * PAGE);
	struct quire_map *map = file(fd);
	bool there = false;

	(void)state;
	EXPECT_IS(fsync(fd), 0);
	EXPECT_IS(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	if (page_resident(at(map, 40)))
		skip(); /* a filesystem that keeps its pages */
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_WILLNEED), 0);
	for (int i = 0; i < 60000 && !there; i++) {
		there = page_resident(at(map, 40));
		(void)usleep(1000);
	}
	EXPECT(there);
	gone(map);
	EXPECT_IS(close(fd), 0);
}

static void dontneed_drops_private_content(void **state)
{
	struct quire_map *map = anon(4);
	int fd = file_of(2 * PAGE);
	struct quire_map *copy;

	(void)state;
	memset(at(map, 0), 'x', 4 * PAGE);
	EXPECT_IS(quire_map_advise(map, PAGE, 2 * PAGE, QUIRE_DONTNEED), 0);
	EXPECT(!page_resident(at(map, 1)));
	EXPECT_IS(*at(map, 0), 'x');
	EXPECT_IS(*at(map, 1), 0);
	EXPECT_IS(*at(map, 3), 'x');
	gone(map);
	EXPECT_IS(
		quire_map_fd(NULL, fd,
			QUIRE_OPTIONS(map, .sharing = QUIRE_PRIVATE, .protection = QUIRE_READ | QUIRE_WRITE),
			&copy),
		0);
	*at(copy, 0) = 'x';
	EXPECT_IS(quire_map_advise(copy, 0, PAGE, QUIRE_DONTNEED), 0);
	EXPECT_IS(*at(copy, 0), 'a');
	gone(copy);
	EXPECT_IS(close(fd), 0);
}

static void advice_that_destroys_wants_whole_pages(void **state)
{
	static const unsigned int destroyers[] = { QUIRE_DONTNEED, QUIRE_FREE };
	struct quire_map *map;

	(void)state;
	EXPECT_IS(quire_map_anon(NULL, 3 * PAGE + 100, &map), 0);
	memset(at(map, 0), 'x', 3 * PAGE + 100);
	for (size_t i = 0; i < 2; i++) {
		EXPECT_IS(quire_map_advise(map, 0, 100, destroyers[i]), -EINVAL);
		EXPECT_IS(quire_map_advise(map, 100, PAGE, destroyers[i]), -EINVAL);
		EXPECT_IS(quire_map_advise(map, PAGE, PAGE + 1, destroyers[i]), -EINVAL);
		for (size_t page = 0; page < 4; page++)
			EXPECT_IS(*at(map, page), 'x');
	}
	EXPECT_IS(quire_map_advise(map, 0, 100, QUIRE_REMOVE), -EINVAL);
	EXPECT_IS(
		quire_map_advise(map, 3 * PAGE, 100, QUIRE_DONTNEED), 0); /* its last page is whole enough */
	EXPECT_IS(*at(map, 3), 0);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_DONTNEED), 0);
	EXPECT_IS(*at(map, 0), 0);
	gone(map);
}

static void free_is_for_private_anonymous_memory(void **state)
{
	struct quire_map *map = anon(256);
	struct quire_map *shared;
	FILE *smaps;
	char line[256];
	long lazy = 0;

	(void)state;
	memset(at(map, 0), 'x', 256 * PAGE);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_FREE), 0);
	smaps = fopen("/proc/self/smaps_rollup", "re");
	while (smaps && fgets(line, sizeof(line), smaps))
		if (strncmp(line, "LazyFree:", 9) == 0)
			lazy = strtol(line + 9, NULL, 10);
	EXPECT(smaps && fclose(smaps) == 0);
	EXPECT(lazy > 0);
	gone(map);
	EXPECT_IS(quire_map_shared(NULL, NULL, PAGE, &shared), 0);
	EXPECT_IS(quire_map_advise(shared, 0, QUIRE_TO_END, QUIRE_FREE), -EINVAL);
	gone(shared);
}

/* Kernel mappings of a neighbour may be one with ours: what counts is the difference. */
static void cold_pages_count_as_untouched_and_stay(void **state)
{
	struct quire_map *map = anon(16);
	struct vma before;
	struct vma after;
	uint64_t resident;

	(void)state;
	/* A kernel that samples accesses (DAMON) may take the mark away between the store and our look: then once more. */
	for (int tries = 0; tries < 100; tries++) {
		memset(at(map, 0), 'x', 16 * PAGE);
		EXPECT(vma_at(at(map, 0), &before));
		EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_COLD), 0);
		EXPECT(vma_at(at(map, 0), &after));
		if (before.referenced_kib >= after.referenced_kib + 64)
			break;
	}
	EXPECT(before.referenced_kib >= after.referenced_kib + 64);
	EXPECT_IS(quire_map_residency(map, 0, QUIRE_TO_END, NULL, &resident), 16);
	EXPECT_IS(resident, 16);
	EXPECT_IS(*at(map, 15), 'x');
	gone(map);
}

static void pageout_writes_out_and_drops(void **state)
{
	int fd = file_of(16 * PAGE);
	struct quire_map *map = file(fd);
	uint64_t before, after;

	(void)state;
	EXPECT_IS(fsync(fd), 0);
	for (size_t i = 0; i < 16; i++)
		EXPECT(*(volatile char *)at(map, i) != 0);
	EXPECT_IS(quire_map_residency(map, 0, QUIRE_TO_END, NULL, &before), 16);
	EXPECT_IS(before, 16);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_COLD), 0);
	EXPECT_IS(quire_map_residency(map, 0, QUIRE_TO_END, NULL, &after), 16);
	EXPECT_IS(after, 16); /* cold stays for now */
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_PAGEOUT), 0);
	EXPECT_IS(quire_map_residency(map, 0, QUIRE_TO_END, NULL, &after), 16);
	EXPECT(after < before);
	EXPECT_IS(*at(map, 15), 'p');
	gone(map);
	EXPECT_IS(close(fd), 0);
}

static struct quire_map *huge_aligned(void)
{
	struct quire_map *probe, *map;
	uintptr_t address;

	EXPECT_IS(quire_reserve(NULL, 4 * HUGE, &probe), 0);
	address = ((uintptr_t)quire_map_address(probe) + HUGE - 1) & ~(uintptr_t)(HUGE - 1);
	EXPECT_IS(quire_unmap(probe), 0);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .length = 2 * HUGE, .placement = QUIRE_PLACE_EXACT,
				  .address = (void *)address),
			  &map),
		0);
	return map;
}

static uint64_t huge_kib(struct quire_map *map)
{
	struct vma vma;

	EXPECT(vma_at(at(map, 0), &vma));
	return vma.huge_kib;
}

static void transparent_huge_pages_come_and_stay_away_as_advised(void **state)
{
	struct quire_map *map = huge_aligned();

	(void)state;
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_HUGEPAGE), 0);
	EXPECT(vma_flag(at(map, 0), "hg"));
	*at(map, 0) = 'x';
	EXPECT(huge_kib(map) > 0);
	gone(map);
	map = huge_aligned();
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_NOHUGEPAGE), 0);
	EXPECT(vma_flag(at(map, 0), "nh"));
	memset(at(map, 0), 'x', 2 * HUGE);
	EXPECT_IS(huge_kib(map), 0);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_HUGEPAGE), 0);
	EXPECT(!vma_flag(at(map, 0), "nh"));
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_COLLAPSE), 0);
	EXPECT(huge_kib(map) > 0);
	EXPECT_IS(*at(map, 1), 'x');
	gone(map);
}

static void populate_makes_present_and_reports_what_is_dead(void **state)
{
	struct quire_map *map = anon(8);
	int fd = file_of(4 * PAGE);

	(void)state;
	EXPECT_IS(quire_map_advise(map, 0, 4 * PAGE, QUIRE_POPULATE), 0);
	EXPECT_IS(quire_map_advise(map, 4 * PAGE, PAGE, QUIRE_POPULATE_FOR_WRITE), 0);
	EXPECT(page_resident(at(map, 4)));
	EXPECT(!page_resident(at(map, 6)));
	gone(map);
	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .length = 8 * PAGE), &map), 0);
	EXPECT_IS(quire_map_advise(map, 0, 4 * PAGE, QUIRE_POPULATE), 0);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_POPULATE), -EFAULT);
	EXPECT(strstr(quire_error_text(), "16384")); /* the first byte that is not there */
	EXPECT_IS(quire_map_advise(map, 0, PAGE, QUIRE_POPULATE_FOR_WRITE), -EINVAL); /* read-only */
	gone(map);
	EXPECT_IS(close(fd), 0);
}

static void remove_makes_a_hole_in_the_file(void **state)
{
	int fd = file_of(16 * PAGE);
	struct quire_map *map = file(fd);
	struct stat before, after;
	char byte;

	(void)state;
	EXPECT_IS(fsync(fd), 0);
	EXPECT_IS(fstat(fd, &before), 0);
	EXPECT_IS(quire_map_advise(map, 4 * PAGE, 8 * PAGE, QUIRE_REMOVE), 0);
	EXPECT_IS(fstat(fd, &after), 0);
	EXPECT(after.st_blocks < before.st_blocks);
	EXPECT_IS(*at(map, 3), 'd');
	EXPECT_IS(*at(map, 4), 0);
	EXPECT_IS(pread(fd, &byte, 1, 5 * PAGE), 1);
	EXPECT_IS(byte, 0);
	gone(map);
	EXPECT_IS(close(fd), 0);
	map = anon(1);
	EXPECT_IS(quire_map_advise(map, 0, PAGE, QUIRE_REMOVE), -EINVAL);
	EXPECT_IS(quire_map_advise(map, 0, PAGE, 20), -EINVAL);
	gone(map);
}

/* ---- flushing ---- */

static struct sys_cachestat cache_of(int fd)
{
	struct sys_cachestat_range range = { .off = 0, .len = 0 };
	struct sys_cachestat stat = { 0 };

	if (syscall(SYS_cachestat, fd, &range, &stat, 0) < 0)
		skip();
	return stat;
}

static void flushing_asynchronously_starts_the_write_back(void **state)
{
	enum { PAGES = 256 };
	int fd = file_of(PAGES * PAGE);
	struct quire_map *map = file(fd);
	uint64_t left = PAGES;

	(void)state;
	EXPECT_IS(fsync(fd), 0);
	memset(at(map, 0), 'x', PAGES * PAGE);
	(void)cache_of(fd); /* skips where the kernel cannot be asked */
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_ASYNC), 0);
	for (int i = 0; i < 20000 && left > 0; i++) {
		left = cache_of(fd).dirty;
		(void)usleep(1000);
	}
	EXPECT_IS(left, 0); /* the kernel by itself would have waited 30 s */
	gone(map);
	EXPECT_IS(close(fd), 0);
}

static void a_flushed_range_is_clean(void **state)
{
	static const unsigned int ways[] = { QUIRE_FLUSH_SYNC, QUIRE_FLUSH_DURABLE };
	int fd = file_of(16 * PAGE);
	struct quire_map *map = file(fd);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		memset(at(map, 0), 'x', 16 * PAGE);
		EXPECT_IS(quire_map_flush(map, 3, 15 * PAGE, ways[i]), 0);
		EXPECT_IS(cache_of(fd).dirty, 0);
		EXPECT_IS(cache_of(fd).writeback, 0);
	}
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, 0), -EINVAL);
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, 4), -EINVAL);
	EXPECT_IS(quire_map_flush(map, 0, 17 * PAGE, QUIRE_FLUSH_SYNC), -EINVAL);
	gone(map);
	EXPECT_IS(close(fd), 0);
	map = anon(1);
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), 0);
	gone(map);
}

static void residency_is_told_page_by_page(void **state)
{
	struct quire_map *map = anon(9000);
	static unsigned char pages[9000];
	uint64_t resident;

	(void)state;
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_NOHUGEPAGE), 0);
	*at(map, 5) = *at(map, 4097) = *at(map, 8999) = 'x';
	EXPECT_IS(quire_map_residency(map, 0, QUIRE_TO_END, pages, &resident), 9000);
	EXPECT_IS(resident, 3);
	EXPECT(pages[5] & pages[4097] & pages[8999] & 1);
	EXPECT(!(pages[6] & 1));
	EXPECT_IS(quire_map_residency(map, 5 * PAGE + 7, 2, pages, NULL), 1);
	EXPECT_IS(pages[0] & 1, 1);
	EXPECT_IS(quire_map_residency(map, 0, 0, pages, &resident), 0);
	gone(map);
}

/* Counted in one call where that is possible, page by page where pages are asked for: the same number, also of a
 * part. */
static void residency_is_the_same_however_it_is_counted(void **state)
{
	enum { PAGES = 64 };
	char path[64];
	int fd = named_file_of(PAGES * PAGE, path);
	struct quire_map *map = NULL;
	unsigned char pages[PAGES + 2];
	uint64_t whole, each;

	(void)state;
	fill_pages(fd, PAGES * PAGE);
	for (size_t skew = 0; skew < 2; skew++) {
		map = MAKE(.path = path, .protection = QUIRE_READ | QUIRE_WRITE,
			.offset = 3 * PAGE + skew * 100);
		for (size_t offset = 0; offset < 40 * PAGE; offset += 7 * PAGE + 11) {
			EXPECT_IS(quire_map_residency(map, offset, 9 * PAGE, NULL, &whole),
				quire_map_residency(map, offset, 9 * PAGE, pages, &each));
			EXPECT_IS(whole, each);
		}
		gone(map);
	}
	/* A store to a private page makes a copy that is not the file's. */
	EXPECT_IS(ftruncate(fd, 0) | ftruncate(fd, PAGES * PAGE), 0);
	map = MAKE(.path = path, .protection = QUIRE_READ | QUIRE_WRITE, .sharing = QUIRE_PRIVATE);
	EXPECT_IS(quire_map_residency(map, 0, QUIRE_TO_END, NULL, &whole), PAGES);
	EXPECT_IS(whole, 0);
	*at(map, 9) = 'x';
	EXPECT_IS(quire_map_residency(map, 9 * PAGE, PAGE, NULL, &whole), 1);
	EXPECT_IS(whole, 1);
	gone(map);
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_patterns_replace_each_other),
		cmocka_unit_test(an_advice_at_opening_holds_for_all_of_it),
		cmocka_unit_test(dump_advice_is_marked_and_unmarked),
		cmocka_unit_test(willneed_starts_reading),
		cmocka_unit_test(dontneed_drops_private_content),
		cmocka_unit_test(advice_that_destroys_wants_whole_pages),
		cmocka_unit_test(free_is_for_private_anonymous_memory),
		cmocka_unit_test(cold_pages_count_as_untouched_and_stay),
		cmocka_unit_test(pageout_writes_out_and_drops),
		cmocka_unit_test(transparent_huge_pages_come_and_stay_away_as_advised),
		cmocka_unit_test(populate_makes_present_and_reports_what_is_dead),
		cmocka_unit_test(remove_makes_a_hole_in_the_file),
		cmocka_unit_test(flushing_asynchronously_starts_the_write_back),
		cmocka_unit_test(a_flushed_range_is_clean),
		cmocka_unit_test(residency_is_told_page_by_page),
		cmocka_unit_test(residency_is_the_same_however_it_is_counted),
	};

	return RUN(tests);
}
