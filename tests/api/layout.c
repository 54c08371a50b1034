/* SPDX-License-Identifier: Apache-2.0 */
/* Where a mapping stands, and how it is cut, split, merged, grown, shrunk and moved. Strangers: api/neighbours.c. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/vma.h"

/* Addresses that were free a moment ago. */
static char *free_place(size_t pages)
{
	struct quire_map *map;
	char *place;

	EXPECT_IS(quire_reserve(NULL, pages * PAGE, &map), 0);
	place = quire_map_address(map);
	gone(map);
	return place;
}

static void an_exact_place_is_never_clobbered(void **state)
{
	char *place = free_place(16);
	struct quire_map *map = MAKE(.length = 4 * PAGE, .placement = QUIRE_PLACE_EXACT, .address = place);
	struct quire_map *other = NULL;

	(void)state;
	EXPECT(quire_map_address(map) == place);
	*at(map, 0) = 'x';
	EXPECT_IS(
		quire_map(NULL,
			QUIRE_OPTIONS(map, .length = PAGE, .placement = QUIRE_PLACE_EXACT, .address = place),
			&other),
		-EEXIST);
	EXPECT(strstr(quire_error_text(), "mapped already"));
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .length = 5 * PAGE, .placement = QUIRE_PLACE_EXACT,
				  .address = place - PAGE),
			  &other),
		-EEXIST);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .length = PAGE, .reserve_bytes = 8 * PAGE,
				  .placement = QUIRE_PLACE_EXACT, .address = place),
			  &other),
		-EEXIST);
	EXPECT_IS(*at(map, 0), 'x');
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(
				  map, .length = PAGE, .placement = QUIRE_PLACE_EXACT, .address = place + 1),
			  &other),
		-EINVAL);
	gone(map);
}

static void a_hint_is_taken_when_it_is_free(void **state)
{
	char *place = free_place(16);
	struct quire_map *map = MAKE(.length = PAGE, .placement = QUIRE_PLACE_HINT, .address = place);
	struct quire_map *other = MAKE(.length = PAGE, .placement = QUIRE_PLACE_HINT, .address = place);

	(void)state;
	EXPECT(quire_map_address(map) == place);
	EXPECT(quire_map_address(other) != place);
	gone(other);
	gone(map);
}

static void what_stands_in_a_reservation_stands_where_it_was_put(void **state)
{
	struct quire_map *host, *first, *second = NULL;
	int fd = file_of(2 * PAGE);

	(void)state;
	EXPECT_IS(quire_reserve(NULL, 16 * PAGE, &host), 0);
	EXPECT_IS(
		quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .inside = host, .inside_offset = 4 * PAGE), &first),
		0);
	EXPECT(quire_map_address(first) == at(host, 4));
	EXPECT_IS(*at(host, 5), 'b');
	EXPECT(vma_permits(at(host, 6), "---p"));
	EXPECT_IS(
		quire_map(NULL, QUIRE_OPTIONS(map, .length = PAGE, .inside = host, .inside_offset = 5 * PAGE),
			&second),
		-EEXIST);
	EXPECT(strstr(quire_error_text(), "QUIRE_REPLACE"));
	EXPECT_IS(*at(host, 5), 'b');
	second = MAKE(.length = PAGE, .inside = host, .inside_offset = 5 * PAGE, .flags = QUIRE_REPLACE);
	EXPECT_IS(*at(host, 5), 0);
	EXPECT_IS(*at(host, 4), 'a');
	EXPECT_IS(quire_unmap(host), -EBUSY);
	EXPECT_IS(quire_map_resize(second, 2 * PAGE, QUIRE_MAY_MOVE), -ENOMEM);
	EXPECT_IS(quire_map_move(second, NULL), -EBUSY);
	gone(second);
	gone(first);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .length = 2 * PAGE, .inside = host, .inside_offset = 15 * PAGE),
			  &second),
		-EINVAL);
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .length = PAGE, .inside = host, .inside_offset = 100),
			  &second),
		-EINVAL);
	EXPECT_IS(
		quire_map(NULL, QUIRE_OPTIONS(map, .length = PAGE, .inside = host, .reserve_bytes = 2 * PAGE),
			&second),
		-EINVAL);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .length = PAGE, .inside = host, .placement = QUIRE_PLACE_HINT),
			  &second),
		-EINVAL);
	first = MAKE(.length = PAGE);
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .length = PAGE, .inside = first), &second), -EINVAL);
	gone(first);
	EXPECT_IS(vma_count(at(host, 0), 16 * PAGE), 1);
	gone(host);
	EXPECT_IS(close(fd), 0);
}

static void protecting_a_part_splits_and_merges(void **state)
{
	struct quire_map *map = MAKE(.length = 8 * PAGE);
	struct quire_map_stat stat = { .size = sizeof(stat) };

	(void)state;
	EXPECT_IS(quire_map_protect(map, 2 * PAGE, 3 * PAGE - 5, QUIRE_READ), 0);
	EXPECT_IS(vma_count(at(map, 0), 8 * PAGE), 3);
	EXPECT(vma_permits(at(map, 1), "rw-p"));
	EXPECT(vma_permits(at(map, 2), "r--p"));
	EXPECT(vma_permits(at(map, 4), "r--p"));
	EXPECT(vma_permits(at(map, 5), "rw-p"));
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.segments, 3);
	EXPECT_IS(quire_map_protect(map, 0, QUIRE_TO_END, QUIRE_READ | QUIRE_WRITE), 0);
	EXPECT_IS(vma_count(at(map, 0), 8 * PAGE), 1);
	EXPECT_IS(quire_map_protect(map, 0, PAGE, QUIRE_NO_ACCESS), 0);
	EXPECT(vma_permits(at(map, 0), "---p"));
	EXPECT_IS(quire_map_protect(map, 1, PAGE, QUIRE_READ), -EINVAL);
	EXPECT_IS(quire_map_protect(map, 0, 0, QUIRE_READ), -EINVAL);
	EXPECT_IS(quire_map_protect(map, 0, PAGE, 0), -EINVAL);
	EXPECT_IS(quire_map_protect(map, 0, 9 * PAGE, QUIRE_READ), -EINVAL);
	gone(map);
}

static void protecting_over_a_hole_changes_nothing(void **state)
{
	struct quire_map *map = MAKE(.length = 8 * PAGE);

	(void)state;
	EXPECT_IS(quire_map_unmap(map, 3 * PAGE, PAGE), 0);
	EXPECT(!vma_at(at(map, 3), &(struct vma){ 0 }));
	EXPECT_IS(quire_map_protect(map, 0, QUIRE_TO_END, QUIRE_READ), -ENOMEM);
	EXPECT(vma_permits(at(map, 0), "rw-p"));
	EXPECT_IS(quire_map_protect(map, 4 * PAGE, QUIRE_TO_END, QUIRE_READ), 0);
	EXPECT_IS(quire_map_unmap(map, 1, PAGE), -EINVAL);
	EXPECT_IS(quire_map_unmap(map, 0, 0), -EINVAL);
	EXPECT_IS(quire_map_unmap(map, 0, 100), 0); /* rounded up to its page */
	EXPECT(!vma_at(at(map, 0), &(struct vma){ 0 }));
	EXPECT(vma_at(at(map, 1), &(struct vma){ 0 }));
	gone(map);
}

static void growth_within_reserve_keeps_every_pointer(void **state)
{
	struct quire_map *map = MAKE(.length = PAGE, .reserve_bytes = 64 * PAGE);
	char *first = at(map, 0);
	struct quire_map_stat stat = { .size = sizeof(stat) };

	(void)state;
	*first = 'x';
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.reserved_bytes, 64 * PAGE);
	EXPECT(vma_permits(first + PAGE, "---p"));
	EXPECT_IS(quire_map_resize(map, 64 * PAGE, 0), 0);
	EXPECT(at(map, 0) == first);
	first[64 * PAGE - 1] = 'y';
	EXPECT_IS(*first, 'x');
	EXPECT_IS(quire_map_resize(map, 2 * PAGE + 1, 0), 0); /* gives the pages back, keeps the addresses */
	EXPECT_IS(quire_map_length(map), 2 * PAGE + 1);
	EXPECT(vma_permits(first + 3 * PAGE, "---p"));
	EXPECT_IS(quire_map_resize(map, 64 * PAGE, 0), 0);
	EXPECT_IS(first[64 * PAGE - 1], 0);
	EXPECT_IS(quire_map_resize(map, 65 * PAGE, 0), -ENOMEM);
	EXPECT_IS(*first, 'x');
	gone(map);
}

static void growth_without_reserve_stays_or_moves_as_allowed(void **state)
{
	char *place = free_place(16);
	struct quire_map *map = MAKE(.length = 4 * PAGE, .placement = QUIRE_PLACE_EXACT, .address = place);
	struct quire_map *wall = MAKE(.length = PAGE, .placement = QUIRE_PLACE_EXACT,
		.address = place + 4 * PAGE);

	(void)state;
	*at(map, 3) = 'x';
	EXPECT_IS(quire_map_resize(map, 6 * PAGE, 0), -ENOMEM);
	EXPECT(at(map, 0) == place);
	EXPECT_IS(quire_map_length(map), 4 * PAGE);
	EXPECT_IS(quire_map_resize(map, 6 * PAGE, QUIRE_MAY_MOVE), 0);
	EXPECT(at(map, 0) != place);
	EXPECT_IS(*at(map, 3), 'x');
	*at(map, 5) = 'y';
	EXPECT(!vma_at(place, &(struct vma){ 0 }));
	gone(wall);
	EXPECT_IS(quire_map_resize(map, PAGE, QUIRE_MAY_MOVE), 0);
	EXPECT_IS(quire_map_resize(map, 0, 0), -EINVAL);
	EXPECT_IS(quire_map_resize(map, PAGE, QUIRE_LOCKED), -EINVAL);
	gone(map);
}

static void a_shared_file_grows_with_its_mapping_and_is_never_cut(void **state)
{
	int fd = file_of(5000);
	struct quire_map *map;
	struct stat stat;

	(void)state;
	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), 0);
	EXPECT_IS(quire_map_resize(map, 20000, QUIRE_MAY_MOVE), 0);
	EXPECT_IS(fstat(fd, &stat), 0);
	EXPECT_IS(stat.st_size, 20000);
	((char *)quire_map_address(map))[19999] = 'x';
	EXPECT_IS(quire_map_resize(map, 100, 0), 0);
	EXPECT_IS(fstat(fd, &stat), 0);
	EXPECT_IS(stat.st_size, 20000);
	EXPECT_IS(quire_map_resize(map, 50 * PAGE, QUIRE_MAY_MOVE | QUIRE_PREALLOCATE), 0);
	EXPECT_IS(fstat(fd, &stat), 0);
	EXPECT(stat.st_blocks * 512 >= 50 * PAGE - 20480);
	gone(map);
	/* A private one has nothing to do with the file's size. */
	EXPECT_IS(
		quire_map_fd(NULL, fd,
			QUIRE_OPTIONS(map, .sharing = QUIRE_PRIVATE, .protection = QUIRE_READ | QUIRE_WRITE),
			&map),
		0);
	EXPECT_IS(quire_map_resize(map, 100 * PAGE, QUIRE_MAY_MOVE), 0);
	EXPECT_IS(fstat(fd, &stat), 0);
	EXPECT_IS(stat.st_size, 50 * PAGE);
	gone(map);
	EXPECT_IS(close(fd), 0);
}

/* Found by the oracle's third machine: shrinking to what the file no longer had made it long again. */
static void a_mapping_that_shrinks_leaves_a_file_that_was_cut_as_it_is(void **state)
{
	int fd = file_of(8 * PAGE);
	struct quire_map *map;
	struct stat stat;

	(void)state;
	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), 0);
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	EXPECT_IS(quire_map_resize(map, 8 * PAGE, 0), 0);
	EXPECT_IS(quire_map_resize(map, 4 * PAGE, 0), 0);
	EXPECT_IS(fstat(fd, &stat), 0);
	EXPECT_IS(stat.st_size, PAGE);
	EXPECT_IS(quire_map_resize(map, 6 * PAGE, QUIRE_MAY_MOVE), 0); /* who grows it wants the bytes */
	EXPECT_IS(fstat(fd, &stat), 0);
	EXPECT_IS(stat.st_size, 6 * PAGE);
	gone(map);
	EXPECT_IS(close(fd), 0);
}

static void shared_anonymous_memory_refuses_to_grow_into_dead_pages(void **state)
{
	struct quire_map *map = MAKE(.kind = QUIRE_ANON, .sharing = QUIRE_SHARED, .length = 2 * PAGE);

	(void)state;
	EXPECT_IS(quire_map_resize(map, 4 * PAGE, QUIRE_MAY_MOVE), -EINVAL);
	EXPECT(strstr(quire_error_text(), "QUIRE_MEMFD"));
	EXPECT_IS(quire_map_resize(map, PAGE, 0), 0);
	gone(map);
	map = MAKE(.kind = QUIRE_ANON, .sharing = QUIRE_SHARED, .length = 2 * PAGE,
		.reserve_bytes = 4 * PAGE);
	EXPECT_IS(quire_map_resize(map, 4 * PAGE, 0), 0);
	*at(map, 3) = 'x';
	EXPECT_IS(quire_map_resize(map, 5 * PAGE, QUIRE_MAY_MOVE), -EINVAL);
	gone(map);
}

static void what_grows_is_as_what_was_there(void **state)
{
	struct quire_map *map = MAKE(.length = PAGE, .reserve_bytes = 8 * PAGE,
		.flags = QUIRE_NO_DUMP | QUIRE_LOCKED, .fork = QUIRE_FORK_NOT);

	(void)state;
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_SEQUENTIAL), 0);
	EXPECT_IS(quire_map_protect(map, 0, QUIRE_TO_END, QUIRE_READ), 0);
	EXPECT_IS(quire_map_resize(map, 4 * PAGE, 0), 0);
	EXPECT(vma_permits(at(map, 3), "r--p"));
	EXPECT(vma_flag(at(map, 3), "dd"));
	EXPECT(vma_flag(at(map, 3), "dc"));
	EXPECT(vma_flag(at(map, 3), "sr"));
	EXPECT(vma_flag(at(map, 3), "lo"));
	gone(map);
}

static void a_moved_mapping_takes_its_pages_along(void **state)
{
	struct quire_map *map = MAKE(.length = 4 * PAGE);
	struct quire_map *wall = MAKE(.length = PAGE);
	struct quire_map *kept = MAKE(.length = PAGE, .reserve_bytes = 2 * PAGE);
	char *old = at(map, 0);
	char *place = free_place(16);

	(void)state;
	*at(map, 2) = 'x';
	EXPECT_IS(quire_map_move(map, place), 0);
	EXPECT(at(map, 0) == place);
	EXPECT_IS(*at(map, 2), 'x');
	EXPECT(!vma_at(old, &(struct vma){ 0 }));
	*at(wall, 0) = 'w';
	EXPECT_IS(quire_map_move(map, at(wall, 0)), -EEXIST);
	EXPECT_IS(*at(wall, 0), 'w');
	EXPECT(at(map, 0) == place);
	EXPECT_IS(quire_map_move(map, place + 1), -EINVAL);
	EXPECT_IS(quire_map_move(kept, NULL), -EBUSY);
	EXPECT_IS(quire_map_move(map, NULL), 0);
	EXPECT_IS(*at(map, 2), 'x');
	gone(kept);
	gone(wall);
	gone(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exact_place_is_never_clobbered),
		cmocka_unit_test(a_hint_is_taken_when_it_is_free),
		cmocka_unit_test(what_stands_in_a_reservation_stands_where_it_was_put),
		cmocka_unit_test(protecting_a_part_splits_and_merges),
		cmocka_unit_test(protecting_over_a_hole_changes_nothing),
		cmocka_unit_test(growth_within_reserve_keeps_every_pointer),
		cmocka_unit_test(growth_without_reserve_stays_or_moves_as_allowed),
		cmocka_unit_test(a_shared_file_grows_with_its_mapping_and_is_never_cut),
		cmocka_unit_test(a_mapping_that_shrinks_leaves_a_file_that_was_cut_as_it_is),
		cmocka_unit_test(shared_anonymous_memory_refuses_to_grow_into_dead_pages),
		cmocka_unit_test(what_grows_is_as_what_was_there),
		cmocka_unit_test(a_moved_mapping_takes_its_pages_along),
	};

	return RUN(tests);
}
