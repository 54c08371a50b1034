/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every step may fail: the N-th system call or allocation of an operation is refused, for every N, until the operation needs no
 * more than N. What failed has left nothing behind: descriptors, kernel mappings and bytes are as found.
 *
 * The linker puts the __wrap_ functions in the place of the real ones (see meson.build).
 */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <quire/guard.h>
#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/vma.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/signal.h"

static long calls_left = -1; /* before the one that fails; -1: none fails */
static bool failed;
static bool refused_by_disk; /* it was fallocate that was refused */

static bool fails(void)
{
	if (calls_left < 0)
		return false;
	if (calls_left-- > 0)
		return false;
	failed = true;
	return true;
}

/* clang-format off: a table */
#define WRAP(type, name, error, parameters, arguments)              \
	type __real_##name parameters;                              \
	type __wrap_##name parameters;                              \
	type __wrap_##name parameters                               \
	{                                                           \
		return fails() ? (error) : __real_##name arguments; \
	}
/* clang-format on */

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wreserved-identifier"

WRAP(int, sys_mmap, -ENOMEM, (uintptr_t a, size_t b, int c, int d, int e, uint64_t f, uintptr_t *g),
	(a, b, c, d, e, f, g))
WRAP(int, sys_mprotect, -ENOMEM, (uintptr_t a, size_t b, int c), (a, b, c))
WRAP(int, sys_mremap, -ENOMEM, (uintptr_t a, size_t b, size_t c, int d, uintptr_t e, uintptr_t *f),
	(a, b, c, d, e, f))
WRAP(int, sys_madvise, -ENOMEM, (uintptr_t a, size_t b, int c), (a, b, c))
WRAP(int, sys_mlock, -ENOMEM, (uintptr_t a, size_t b, unsigned int c), (a, b, c))
WRAP(int, sys_mbind, -ENOMEM, (uintptr_t a, size_t b, int c, const uint64_t *d, unsigned int e),
	(a, b, c, d, e))
WRAP(int, sys_open, -EMFILE, (const char *a, int b, mode_t c), (a, b, c))
WRAP(int, sys_dup, -EMFILE, (int a), (a))
WRAP(int, sys_status_flags, -EBADF, (int a), (a))
WRAP(int, sys_fstat, -EIO, (int a, struct stat *b), (a, b))
WRAP(int, sys_truncate, -EIO, (int a, uint64_t b), (a, b))
/* Gets half way first, as a filesystem may. */
int __real_sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length);
int __wrap_sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length);
int __wrap_sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length)
{
	if (!fails())
		return __real_sys_fallocate(fd, mode, offset, length);
	refused_by_disk = true;
	(void)!ftruncate(fd, (off_t)(offset + length - 1));
	return -ENOSPC;
}

WRAP(int, sys_memfd_create, -EMFILE, (const char *a, unsigned int b), (a, b))
WRAP(int, sys_memfd_secret, -EMFILE, (unsigned int a), (a))
WRAP(int, sys_sigaction, -EINVAL, (int a, const struct sigaction *b, struct sigaction *c), (a, b, c))
WRAP(void *, malloc, NULL, (size_t a), (a))
WRAP(void *, calloc, NULL, (size_t a, size_t b), (a, b))
WRAP(char *, strdup, NULL, (const char *a), (a))

/* ---- what must be as found ---- */

static int descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

struct found {
	int descriptors;
	unsigned int mappings;
};

static struct found found(void)
{
	return (struct found){ descriptors(), vma_total() };
}

static char *bytes_of(struct quire_map *map)
{
	return quire_map_address(map);
}

static int refuse_one(int (*open_one)(struct quire_map **), long n, struct quire_map **map)
{
	int r;

	*map = NULL;
	failed = refused_by_disk = false;
	calls_left = n;
	r = open_one(map);
	calls_left = -1;
	return r;
}

/* One kernel mapping more may be malloc's, or a sanitizer's; sixteen times one are ours. */
static void expect_no_mapping_left(struct found before, int (*open_one)(struct quire_map **), long n)
{
	struct quire_map *map;

	if (vma_total() == before.mappings)
		return;
	before = found();
	for (int i = 0; i < 16; i++)
		if (refuse_one(open_one, n, &map) == 0)
			EXPECT_IS(quire_unmap(map), 0);
	EXPECT(vma_total() < before.mappings + 8);
}

/* Runs an operation that opens a mapping, refusing one call after the other. */
static void opens_or_leaves_nothing(int (*open_one)(struct quire_map **))
{
	struct quire_map *map = NULL;
	long n;

	EXPECT_IS(open_one(&map), 0); /* the lists and buffers of a first time */
	EXPECT_IS(quire_unmap(map), 0);
	for (n = 0;; n++) {
		struct found before = found();
		int r = refuse_one(open_one, n, &map);

		if (r < 0) {
			EXPECT(failed);
			EXPECT(map == NULL);
			EXPECT(quire_error_text()[0]);
		} else {
			EXPECT(map != NULL);
			EXPECT_IS(quire_unmap(map), 0);
		}
		EXPECT_IS(descriptors(), before.descriptors);
		if (!failed)
			break;
		expect_no_mapping_left(before, open_one, n);
	}
	EXPECT(n > 1);
}

static char file_path[64];

static int open_anonymous(struct quire_map **map)
{
	return quire_map(NULL,
		QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .path = "name", .length = 8 * PAGE,
			.flags = QUIRE_NO_DUMP | QUIRE_LOCKED, .fork = QUIRE_FORK_NOT, .advice = QUIRE_RANDOM,
			.reserve_bytes = 32 * PAGE, .numa = QUIRE_NUMA_BIND, .numa_nodes = 1),
		map);
}

static int open_file(struct quire_map **map)
{
	struct stat stat_of;
	int r = quire_map(NULL,
		QUIRE_OPTIONS(map, .path = file_path, .guard = QUIRE_GUARD_ZEROS,
			.flags = QUIRE_POPULATE_READ | QUIRE_PREALLOCATE, .length = 16 * PAGE,
			.protection = QUIRE_READ | QUIRE_WRITE),
		map);

	EXPECT_IS(stat(file_path, &stat_of), 0);
	EXPECT_IS(r == 0 || stat_of.st_size == 8 * PAGE || !refused_by_disk, 1);
	EXPECT_IS(truncate(file_path, 8 * PAGE), 0);
	return r;
}

static int open_memfd(struct quire_map **map)
{
	return quire_map(NULL,
		QUIRE_OPTIONS(map, .kind = QUIRE_MEMFD, .path = "undo", .length = 8 * PAGE,
			.flags = QUIRE_SEALABLE | QUIRE_POPULATE_WRITE),
		map);
}

static int open_stack(struct quire_map **map)
{
	return quire_map(NULL, QUIRE_OPTIONS(map, .length = 8 * PAGE, .flags = QUIRE_STACK), map);
}

static int create_file(struct quire_map **map)
{
	char path[80];
	int r;

	(void)snprintf(path, sizeof(path), "%s.new", file_path);
	r = quire_map(NULL,
		QUIRE_OPTIONS(map, .path = path, .length = 8 * PAGE, .flags = QUIRE_CREATE | QUIRE_EXCLUSIVE,
			.guard = QUIRE_GUARD_ZEROS),
		map);
	if (r == 0)
		EXPECT_IS(unlink(path), 0);
	else
		EXPECT_IS(access(path, F_OK), -1);
	return r;
}

static void opening_leaves_nothing_behind_body(void *argument)
{
	(void)argument;
	EXPECT_IS(close(named_file_of(8 * PAGE, file_path)), 0);
	opens_or_leaves_nothing(open_anonymous);
	opens_or_leaves_nothing(open_file);
	opens_or_leaves_nothing(open_memfd);
	opens_or_leaves_nothing(open_stack);
	opens_or_leaves_nothing(create_file);
	EXPECT_IS(unlink(file_path), 0);
}
CHILD_CASE(opening_leaves_nothing_behind)

/* ---- operations on a mapping that exists ---- */

static struct quire_map *host;

static int grow_in_kept(struct quire_map *map)
{
	return quire_map_resize(map, 16 * PAGE, 0);
}

static int protect_part(struct quire_map *map)
{
	return quire_map_protect(map, 2 * PAGE, 2 * PAGE, QUIRE_READ);
}

static int unmap_part(struct quire_map *map)
{
	return quire_map_unmap(map, 6 * PAGE, PAGE);
}

static int lock_part(struct quire_map *map)
{
	return quire_map_lock(map, 2 * PAGE, PAGE, 0);
}

static int advise_part(struct quire_map *map)
{
	return quire_map_advise(map, 2 * PAGE, PAGE, QUIRE_DONTDUMP);
}

static int export_it(struct quire_map *map)
{
	int fd;
	int r = quire_map_export(map, &fd);

	if (r == 0)
		EXPECT_IS(close(fd), 0);
	return r;
}

static struct quire_map *subject(void)
{
	struct quire_map *map = NULL;

	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .kind = QUIRE_MEMFD, .length = 8 * PAGE,
				  .reserve_bytes = 32 * PAGE, .guard = QUIRE_GUARD_ZEROS,
				  .flags = QUIRE_LOCKED),
			  &map),
		0);
	for (size_t i = 0; i < 8; i++)
		bytes_of(map)[i * PAGE] = (char)('a' + i);
	return map;
}

static void leaves_it_as_it_was(int (*operation)(struct quire_map *))
{
	for (long n = 0;; n++) {
		struct quire_map *map = subject();
		char *address = bytes_of(map);
		struct found before = found();
		int r;

		failed = false;
		calls_left = n;
		r = operation(map);
		calls_left = -1;
		if (r < 0) {
			struct found after = found();

			EXPECT(failed);
			EXPECT_IS(after.descriptors, before.descriptors);
			EXPECT_IS(quire_map_length(map), 8 * PAGE);
			EXPECT(bytes_of(map) == address);
			for (size_t i = 0; i < 8; i++) {
				EXPECT_IS(address[i * PAGE], 'a' + (int)i);
				address[i * PAGE] = (char)('a' + i); /* and writable */
			}
			EXPECT(vma_permits(address + 9 * PAGE, "---p"));
			EXPECT_IS(operation(map), 0); /* nothing stands in the way of another try */
		}
		EXPECT_IS(quire_unmap(map), 0);
		if (!failed)
			break;
	}
}

static void refused_operations_change_nothing_body(void *argument)
{
	(void)argument;
	leaves_it_as_it_was(grow_in_kept);
	leaves_it_as_it_was(protect_part);
	leaves_it_as_it_was(unmap_part);
	leaves_it_as_it_was(lock_part);
	leaves_it_as_it_was(advise_part);
	leaves_it_as_it_was(export_it);
}
CHILD_CASE(refused_operations_change_nothing)

static int place_inside(struct quire_map **map)
{
	return quire_map(NULL,
		QUIRE_OPTIONS(map, .length = 4 * PAGE, .inside = host, .inside_offset = 4 * PAGE,
			.flags = QUIRE_LOCKED),
		map);
}

static void a_reservation_is_whole_after_a_refused_placement_body(void *argument)
{
	(void)argument;
	EXPECT_IS(quire_reserve(NULL, 16 * PAGE, &host), 0);
	opens_or_leaves_nothing(place_inside);
	EXPECT_IS(vma_count(bytes_of(host), 16 * PAGE), 1);
	EXPECT_IS(quire_unmap(host), 0);
}
CHILD_CASE(a_reservation_is_whole_after_a_refused_placement)

/* A repair that cannot be finished keeps the error; the next one finishes it. */
static void a_repair_that_fails_may_be_tried_again_body(void *argument)
{
	(void)argument;
	for (long n = 0;; n++) {
		int fd = file_of(8 * PAGE);
		struct quire_map *map;
		int r;

		EXPECT_IS(
			quire_map_fd(NULL, fd,
				QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS, .advice = QUIRE_RANDOM), &map),
			0);
		EXPECT_IS(ftruncate(fd, 0), 0);
		EXPECT_IS(*(volatile char *)bytes_of(map), 0);
		fill_pages(fd, 8 * PAGE);
		failed = false;
		calls_left = n;
		r = quire_map_repair(map);
		calls_left = -1;
		if (r < 0) {
			EXPECT(failed);
			EXPECT(quire_map_error(map, NULL) < 0);
			EXPECT_IS(quire_map_repair(map), 0);
		}
		EXPECT_IS(bytes_of(map)[7 * PAGE], 'h');
		EXPECT_IS(quire_map_error(map, NULL), 0);
		EXPECT_IS(quire_unmap(map), 0);
		EXPECT_IS(close(fd), 0);
		if (!failed)
			break;
	}
}
CHILD_CASE(a_repair_that_fails_may_be_tried_again)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_leaves_nothing_behind),
		cmocka_unit_test(refused_operations_change_nothing),
		cmocka_unit_test(a_reservation_is_whole_after_a_refused_placement),
		cmocka_unit_test(a_repair_that_fails_may_be_tried_again),
	};

	return RUN(tests);
}
