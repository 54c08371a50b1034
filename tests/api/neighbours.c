/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not ours is left alone: a hole that we made, or room that we gave back, may hold somebody else's memory a moment
 * later - a thread's stack, malloc's arena, another handle.
 *
 *	map       AAAAAAAA
 *	unmap     AA....AA
 *	stranger  AABBBBAA       nothing done to A may touch B
 */
#include "support/run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/vma.h"

static char *stranger(void *address, size_t pages)
{
	char *memory = mmap(address, pages * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	EXPECT(memory == address);
	memset(memory, 'S', pages * PAGE);
	return memory;
}

static struct quire_map *anon(size_t pages)
{
	struct quire_map *map;

	EXPECT_IS(quire_map_anon(NULL, pages * PAGE, &map), 0);
	memset(quire_map_address(map), 'A', pages * PAGE);
	return map;
}

static void unmapping_spares_a_stranger_in_a_hole(void **state)
{
	struct quire_map *map = anon(8);
	char *other;

	(void)state;
	EXPECT_IS(quire_map_unmap(map, 2 * PAGE, 4 * PAGE), 0);
	other = stranger(at(map, 2), 4);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT(vma_permits(other, "rw-p"));
	EXPECT_IS(other[PAGE], 'S');
	EXPECT_IS(munmap(other, (size_t)4 * PAGE), 0);
}

static void unmapping_spares_a_stranger_behind_a_shrunk_mapping(void **state)
{
	struct quire_map *map = anon(8);
	char *other;

	(void)state;
	EXPECT_IS(quire_map_resize(map, (size_t)4 * PAGE, 0), 0);
	other = stranger(at(map, 4), 4);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT(vma_permits(other, "rw-p"));
	EXPECT_IS(other[PAGE], 'S');
	EXPECT_IS(munmap(other, (size_t)4 * PAGE), 0);
}

static void a_shrunk_mapping_can_grow_again(void **state)
{
	struct quire_map *map = anon(8);
	char *before = quire_map_address(map);

	(void)state;
	EXPECT_IS(quire_map_resize(map, (size_t)4 * PAGE, 0), 0);
	EXPECT_IS(quire_map_resize(map, (size_t)8 * PAGE, 0), 0);
	EXPECT(quire_map_address(map) == before);
	EXPECT_IS(at(map, 3)[0], 'A');
	EXPECT_IS(at(map, 4)[0], 0);
	EXPECT_IS(quire_unmap(map), 0);
}

/* Another handle of the same address space in the hole: the segments of both stand in one list. */
static void every_operation_on_a_mapping_spares_a_handle_in_its_hole(void **state)
{
	struct quire_map *map = anon(8);
	struct quire_map *other;
	char *middle = at(map, 2);

	(void)state;
	EXPECT_IS(quire_map_unmap(map, 2 * PAGE, 4 * PAGE), 0);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .length = (size_t)4 * PAGE, .placement = QUIRE_PLACE_EXACT,
				  .address = middle),
			  &other),
		0);
	memset(middle, 'B', (size_t)4 * PAGE);
	EXPECT_IS(quire_map_protect(map, 0, QUIRE_TO_END, QUIRE_READ), -ENOMEM);
	EXPECT(vma_permits(middle, "rw-p"));
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_DONTNEED), -ENOMEM);
	EXPECT_IS(middle[0], 'B');
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_DONTDUMP), -ENOMEM);
	EXPECT(!vma_flag(middle, "dd"));
	EXPECT_IS(quire_map_lock(map, 0, QUIRE_TO_END, 0), -ENOMEM);
	EXPECT(!vma_flag(middle, "lo"));
	EXPECT_IS(quire_map_unmap(map, 0, QUIRE_TO_END), 0);
	EXPECT_IS(middle[0], 'B');
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(middle[(size_t)4 * PAGE - 1], 'B');
	EXPECT_IS(quire_unmap(other), 0);
}

static void a_tail_patch_spares_a_handle_in_the_hole_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map;
	struct quire_map *other;
	char *middle;

	(void)argument;
	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS), &map), 0);
	middle = at(map, 2);
	EXPECT_IS(quire_map_unmap(map, 2 * PAGE, 2 * PAGE), 0);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .length = (size_t)PAGE, .placement = QUIRE_PLACE_EXACT,
				  .address = middle),
			  &other),
		0);
	memset(middle, 'B', PAGE);
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(at(map, 7)[1], 0);
	EXPECT_IS(middle[0], 'B');
	EXPECT(vma_permits(at(map, 1), "r--p"));
	EXPECT(!vma_at(at(map, 3), &(struct vma){ 0 })); /* nothing stands where we unmapped */
	EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(middle[0], 'B');
	EXPECT_IS(quire_unmap(other), 0);
}
CHILD_CASE(a_tail_patch_spares_a_handle_in_the_hole)

static void a_guarded_mapping_in_the_hole_of_a_guarded_one_has_its_own_errors_body(void *argument)
{
	int outer = file_of((size_t)8 * PAGE);
	int inner = file_of(PAGE);
	struct quire_fault fault = { .size = sizeof(fault) };
	struct quire_map *map;
	struct quire_map *other;

	(void)argument;
	EXPECT_IS(quire_map_fd(NULL, outer, QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS), &map), 0);
	EXPECT_IS(quire_map_unmap(map, 2 * PAGE, PAGE), 0);
	EXPECT_IS(quire_map_fd(NULL, inner,
			  QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS, .placement = QUIRE_PLACE_EXACT,
				  .address = at(map, 2)),
			  &other),
		0);
	EXPECT_IS(ftruncate(inner, 0), 0);
	EXPECT_IS(at(map, 2)[5], 0);
	EXPECT_IS(quire_map_error(map, NULL), 0);
	EXPECT_IS(quire_map_error(other, &fault), -ENODATA);
	EXPECT_IS(fault.offset, 5);
	EXPECT_IS(at(map, 3)[0], 'd');
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(quire_unmap(other), 0);
}
CHILD_CASE(a_guarded_mapping_in_the_hole_of_a_guarded_one_has_its_own_errors)

/* A raw mapping of a file that dies in our hole is the program's own: it must die, not be retried for ever. */
static void touch_a_strangers_dead_page(void *argument)
{
	int outer = file_of((size_t)8 * PAGE);
	int inner = file_of(PAGE);
	struct quire_map *map;
	char *raw;

	(void)argument;
	EXPECT_IS(quire_map_fd(NULL, outer, QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS), &map), 0);
	EXPECT_IS(quire_map_unmap(map, 2 * PAGE, PAGE), 0);
	raw = mmap(at(map, 2), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, inner, 0);
	EXPECT(raw == at(map, 2));
	EXPECT_IS(ftruncate(inner, 0), 0);
	(void)*(volatile char *)at(map, 2);
}

static void a_strangers_dead_page_in_the_hole_is_not_ours(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, touch_a_strangers_dead_page, NULL);
}

/* ---- reservations ---- */

static struct quire_map *inside(struct quire_map *host, size_t page, size_t pages, uint32_t flags)
{
	struct quire_map *map = NULL;
	int r = quire_map(NULL,
		QUIRE_OPTIONS(map, .length = pages * PAGE, .inside = host, .inside_offset = page * PAGE,
			.flags = flags),
		&map);

	EXPECT_IS(r, 0);
	memset(quire_map_address(map), 'T', pages * PAGE);
	return map;
}

static void a_tenant_that_shrinks_gives_its_addresses_back_to_the_reservation(void **state)
{
	struct quire_map *host, *tenant, *next;

	(void)state;
	EXPECT_IS(quire_reserve(NULL, (size_t)8 * PAGE, &host), 0);
	tenant = inside(host, 0, 4, 0);
	EXPECT_IS(quire_map_resize(tenant, (size_t)2 * PAGE, 0), 0);
	EXPECT(vma_permits(at(host, 2), "---p"));
	next = inside(host, 2, 2, 0);
	EXPECT_IS(quire_unmap(tenant), 0);
	EXPECT_IS(at(host, 2)[0], 'T');
	EXPECT(vma_permits(at(host, 0), "---p"));
	EXPECT_IS(quire_unmap(next), 0);
	EXPECT_IS(quire_unmap(host), 0);
}

static void what_was_replaced_takes_nothing_with_it_when_it_is_given_back(void **state)
{
	struct quire_map *host, *first, *second;

	(void)state;
	EXPECT_IS(quire_reserve(NULL, (size_t)8 * PAGE, &host), 0);
	first = inside(host, 1, 4, 0);
	second = inside(host, 2, 2, QUIRE_REPLACE);
	EXPECT_IS(quire_unmap(first), 0);
	EXPECT_IS(at(host, 2)[0], 'T');
	EXPECT_IS(at(host, 3)[0], 'T');
	EXPECT(vma_permits(at(host, 1), "---p"));
	EXPECT(vma_permits(at(host, 4), "---p"));
	EXPECT_IS(quire_unmap(second), 0);
	EXPECT(vma_permits(at(host, 2), "---p"));
	EXPECT_IS(quire_unmap(host), 0);
}

static void placing_without_replace_never_takes_an_inner_reservation(void **state)
{
	struct quire_map *host, *inner, *map = NULL;

	(void)state;
	EXPECT_IS(quire_reserve(NULL, (size_t)8 * PAGE, &host), 0);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(
				  map, .kind = QUIRE_RESERVED, .length = (size_t)4 * PAGE, .inside = host),
			  &inner),
		0);
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .length = PAGE, .inside = host), &map), -EEXIST);
	EXPECT_IS(quire_unmap(host), -EBUSY);
	EXPECT_IS(quire_unmap(inner), 0);
	EXPECT_IS(quire_unmap(host), 0);
}

static void part_of_a_reservation_with_a_tenant_is_not_given_back(void **state)
{
	struct quire_map *host, *tenant;

	(void)state;
	EXPECT_IS(quire_reserve(NULL, (size_t)8 * PAGE, &host), 0);
	tenant = inside(host, 2, 2, 0);
	EXPECT_IS(quire_map_unmap(host, PAGE, (size_t)4 * PAGE), -EBUSY);
	EXPECT_IS(at(host, 2)[0], 'T');
	EXPECT_IS(quire_map_advise(host, 0, QUIRE_TO_END, QUIRE_DONTNEED), -ENOMEM);
	EXPECT_IS(at(host, 3)[0], 'T');
	EXPECT_IS(quire_map_unmap(host, (size_t)6 * PAGE, PAGE), 0);
	EXPECT_IS(quire_unmap(tenant), 0);
	EXPECT_IS(quire_unmap(host), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmapping_spares_a_stranger_in_a_hole),
		cmocka_unit_test(unmapping_spares_a_stranger_behind_a_shrunk_mapping),
		cmocka_unit_test(a_shrunk_mapping_can_grow_again),
		cmocka_unit_test(every_operation_on_a_mapping_spares_a_handle_in_its_hole),
		cmocka_unit_test(a_tail_patch_spares_a_handle_in_the_hole),
		cmocka_unit_test(a_guarded_mapping_in_the_hole_of_a_guarded_one_has_its_own_errors),
		cmocka_unit_test(a_strangers_dead_page_in_the_hole_is_not_ours),
		cmocka_unit_test(a_tenant_that_shrinks_gives_its_addresses_back_to_the_reservation),
		cmocka_unit_test(what_was_replaced_takes_nothing_with_it_when_it_is_given_back),
		cmocka_unit_test(placing_without_replace_never_takes_an_inner_reservation),
		cmocka_unit_test(part_of_a_reservation_with_a_tenant_is_not_given_back),
	};

	return RUN(tests);
}
