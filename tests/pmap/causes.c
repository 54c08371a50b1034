/* SPDX-License-Identifier: Apache-2.0 */
/* Why a page is dead: full disks, broken blocks, empty huge pools and poison, each told apart, each repaired. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <quire/guard.h>
#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/vma.h"
#include "sys/uapi.h"

enum { MIB = 1 << 20, HUGE = 2 * MIB };

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

static volatile char sink;

static void store(struct quire_map *map, size_t page, char byte)
{
	*(volatile char *)at(map, page) = byte;
}

static char load(struct quire_map *map, size_t page)
{
	return sink = *(volatile char *)at(map, page);
}

static void expect_fault(struct quire_map *map, uint32_t cause, int error, uint64_t offset, bool write)
{
	struct quire_fault fault = { .size = sizeof(fault) };

	EXPECT_IS(quire_map_error(map, &fault), error);
	EXPECT_IS(fault.cause, cause);
	EXPECT_IS(fault.error, error);
	EXPECT_IS(fault.offset, offset);
	EXPECT_IS(fault.write, write);
}

/* ---- full disks ---- */

/* A sparse file on a full filesystem: what is there stays, a hole cannot be stored to. */
static int sparse_on_full(const char *kind, size_t bytes, char *path)
{
	char name[128];
	int fd;

	small_filesystem(kind, bytes, path);
	(void)snprintf(name, sizeof(name), "%s/sparse", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(fd >= 0);
	fill_pages(fd, PAGE);
	EXPECT_IS(ftruncate(fd, 64 * PAGE), 0);
	EXPECT_IS(fsync(fd), 0);
	fill_filesystem(path);
	return fd;
}

static void free_some(const char *path)
{
	char name[128];

	(void)snprintf(name, sizeof(name), "%s/filler", path);
	EXPECT_IS(unlink(name), 0);
}

static struct quire_map *map_of(int fd, uint32_t guard)
{
	struct quire_map *map = NULL;

	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .guard = guard, .protection = QUIRE_READ | QUIRE_WRITE), &map),
		0);
	return map;
}

static void full_disk_in(const char *kind, size_t bytes)
{
	char path[64];
	int fd = sparse_on_full(kind, bytes, path);
	struct quire_map *map = map_of(fd, QUIRE_GUARD_ZEROS);
	char byte = 'q';

	EXPECT_IS(load(map, 0), 'a');
	store(map, 40, 'x');
	expect_fault(map, QUIRE_CAUSE_NO_SPACE, -ENOSPC, 40 * PAGE, true);
	EXPECT(strstr(quire_error_text(), "full"));
	EXPECT_IS(load(map, 40), 'x');
	EXPECT_IS(load(map, 0), 'a');
	/* A guarded copy says the same of the next page. */
	EXPECT_IS(quire_copy_in(at(map, 42), &byte, 1), -ENOSPC);
	/* Twice: an answer that nothing is missing would be a lie as long as the disk is full. */
	EXPECT_IS(quire_map_repair(map), -ENOSPC);
	EXPECT_IS(load(map, 40), 'x');
	EXPECT_IS(quire_map_repair(map), -ENOSPC);
	EXPECT_IS(load(map, 40), 'x');
	free_some(path);
	EXPECT_IS(fsync(fd), 0);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(quire_map_error(map, NULL), 0);
	EXPECT_IS(load(map, 40), 0);
	store(map, 40, 'y');
	EXPECT_IS(pread(fd, &byte, 1, 40 * PAGE), 1);
	EXPECT_IS(byte, 'y');
	EXPECT_IS(quire_unmap(map), 0);
}

static void a_full_tmpfs_is_an_error_and_room_brings_the_page_back_body(void *argument)
{
	(void)argument;
	full_disk_in("tmpfs", MIB);
}
CHILD_CASE(a_full_tmpfs_is_an_error_and_room_brings_the_page_back)

static void a_full_ext4_is_an_error_and_room_brings_the_page_back_body(void *argument)
{
	(void)argument;
	full_disk_in("ext4", 16 * MIB);
}
CHILD_CASE(a_full_ext4_is_an_error_and_room_brings_the_page_back)

static void a_load_from_a_hole_of_a_full_tmpfs_is_an_error_too_body(void *argument)
{
	char path[64];
	int fd = sparse_on_full("tmpfs", MIB, path);
	struct quire_map *map = map_of(fd, QUIRE_GUARD_ZEROS);

	(void)argument;
	EXPECT_IS(load(map, 33), 0);
	expect_fault(map, QUIRE_CAUSE_NO_SPACE, -ENOSPC, 33 * PAGE, false);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_load_from_a_hole_of_a_full_tmpfs_is_an_error_too)

static char room_path[64];
static volatile int asked;

static int make_room(const struct quire_fault *fault, void *user)
{
	char name[128];

	(void)user;
	asked++;
	(void)snprintf(name, sizeof(name), "%s/filler", room_path);
	return fault->cause == QUIRE_CAUSE_NO_SPACE && unlink(name) == 0 ? QUIRE_FAULT_RETRY
									 : QUIRE_FAULT_SIGNAL;
}

/* A mended page is no stand-in: its store reaches the file, however often the disk was full before. */
static void a_callback_may_make_room_again_and_again_body(void *argument)
{
	int fd = sparse_on_full("tmpfs", MIB, room_path);
	struct quire_map *map = NULL;
	char byte;

	(void)argument;
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_CALLBACK, .on_fault = make_room,
				  .protection = QUIRE_READ | QUIRE_WRITE),
			  &map),
		0);
	for (int i = 1; i <= 20; i++) {
		store(map, 40, (char)i);
		EXPECT_IS(asked, i);
		EXPECT_IS(pread(fd, &byte, 1, 40 * PAGE), 1);
		EXPECT_IS(byte, i);
		EXPECT_IS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 40 * PAGE, PAGE), 0);
		fill_filesystem(room_path);
	}
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_callback_may_make_room_again_and_again)

/* A page that failed alone, then the file is cut below it: two stand-ins of different kinds, one repair. */
static void a_lone_stand_in_in_a_cut_tail_is_repaired_with_it_body(void *argument)
{
	char path[64];
	int fd = sparse_on_full("tmpfs", MIB, path);
	struct quire_map *map = map_of(fd, QUIRE_GUARD_ZEROS);

	(void)argument;
	store(map, 40, 'x');
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	store(map, 50, 'y');
	EXPECT_IS(load(map, 40), 'x'); /* G1 */
	EXPECT_IS(quire_map_repair(map), -ENODATA);
	EXPECT_IS(load(map, 40), 'x');
	EXPECT_IS(load(map, 50), 'y');
	free_some(path);
	EXPECT_IS(ftruncate(fd, 64 * PAGE), 0);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(load(map, 40), 0);
	EXPECT_IS(load(map, 50), 0);
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	EXPECT_IS(load(map, 40), 0);
	EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_lone_stand_in_in_a_cut_tail_is_repaired_with_it)

/* The bit of a lone stand-in goes with the mapping: repaired at the new place. */
static void a_lone_stand_in_moves_with_its_mapping_body(void *argument)
{
	char path[64];
	int fd = sparse_on_full("tmpfs", MIB, path);
	struct quire_map *map = map_of(fd, QUIRE_GUARD_ZEROS);
	void *place = mmap(NULL, (size_t)64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argument;
	EXPECT_IS(munmap(place, (size_t)64 * PAGE), 0);
	store(map, 40, 'x');
	if (quire_map_move(map, place) < 0)
		child_skips("this kernel moves one kernel mapping at a time");
	EXPECT_IS(load(map, 40), 'x');
	free_some(path);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(load(map, 40), 0);
	store(map, 40, 'z');
	EXPECT_IS(pread(fd, (void *)(uintptr_t)&sink, 1, 40 * PAGE), 1);
	EXPECT_IS(sink, 'z');
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_lone_stand_in_moves_with_its_mapping)

static void preallocating_on_a_full_disk_leaves_the_file_as_it_was_body(void *argument)
{
	static const char *const kinds[] = { "tmpfs", "ext4" };
	const char *kind = kinds[*(int *)argument];
	char path[64];
	char name[128];
	struct quire_map *map = NULL;
	int fd = sparse_on_full(kind, 16 * MIB, path);

	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .length = (size_t)32 * MIB, .flags = QUIRE_PREALLOCATE,
				  .protection = QUIRE_READ | QUIRE_WRITE),
			  &map),
		-ENOSPC);
	EXPECT(strstr(quire_error_text(), "KiB"));
	EXPECT_IS(lseek(fd, 0, SEEK_END), 64 * PAGE);
	map = map_of(fd, QUIRE_GUARD_OFF);
	EXPECT_IS(quire_map_preallocate(map, 0, QUIRE_TO_END), -ENOSPC);
	EXPECT_IS(quire_map_resize(map, (size_t)32 * MIB, QUIRE_PREALLOCATE), -ENOSPC);
	EXPECT_IS(quire_map_length(map), 64 * PAGE);
	EXPECT_IS(lseek(fd, 0, SEEK_END), 64 * PAGE);
	EXPECT_IS(load(map, 0), 'a');
	/* A file that did not exist does not exist afterwards. */
	(void)snprintf(name, sizeof(name), "%s/new", path);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .path = name, .length = (size_t)32 * MIB,
				  .flags = QUIRE_CREATE | QUIRE_EXCLUSIVE | QUIRE_PREALLOCATE),
			  &map),
		-ENOSPC);
	EXPECT_IS(access(name, F_OK), -1);
	free_some(path);
	EXPECT_IS(quire_map_preallocate(map, 0, QUIRE_TO_END), 0);
	fill_filesystem(path);
	for (size_t i = 0; i < 64; i++)
		store(map, i, 'x'); /* unguarded: a page without a block would kill */
	EXPECT_IS(quire_unmap(map), 0);
}

static void preallocating_on_a_full_disk_leaves_the_file_as_it_was(void **state)
{
	int which = 0;

	(void)state;
	child_passes(preallocating_on_a_full_disk_leaves_the_file_as_it_was_body, &which);
	which = 1;
	child_passes(preallocating_on_a_full_disk_leaves_the_file_as_it_was_body, &which);
}

/* ---- I/O errors ---- */

/* Flips the bytes of one block of the image behind a btrfs: its checksum then refuses the read. Returns an open file of four
 * blocks whose third is broken, unless mended. */
static void overwrite_marker(const char *image, const char *marker, const char *by)
{
	static char block[PAGE];
	int fd = open(image, O_RDWR | O_CLOEXEC);
	off_t at_byte = 0;

	EXPECT(fd >= 0);
	while (pread(fd, block, sizeof(block), at_byte) == (ssize_t)sizeof(block)) {
		if (memcmp(block, marker, strlen(marker)) == 0)
			EXPECT_IS(pwrite(fd, by, strlen(by), at_byte), strlen(by));
		at_byte += PAGE;
	}
	EXPECT_IS(fsync(fd), 0);
	EXPECT_IS(close(fd), 0);
}

static int broken_block(char *path, char *image)
{
	static char block[PAGE];
	char name[128];
	int fd;

	small_filesystem("tmpfs", 256 * MIB, path);
	(void)snprintf(image, 128, "%s/image", path);
	(void)snprintf(name, sizeof(name), "%s/mount", path);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT_IS(ftruncate(fd, 128 * MIB), 0);
	EXPECT_IS(close(fd), 0);
	run_command("mkdir ", name, "");
	run_command("mkfs.btrfs -q -m single -d single ", image, "");
	run_command("mount -o loop,max_inline=0 ", image, name);
	(void)snprintf(name, sizeof(name), "%s/mount/file", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(fd >= 0);
	for (int i = 0; i < 64; i++) {
		(void)snprintf(block, sizeof(block), "quire-marker-%02d", i);
		EXPECT_IS(pwrite(fd, block, sizeof(block), (off_t)i * PAGE), sizeof(block));
	}
	EXPECT_IS(fsync(fd), 0);
	EXPECT_IS(close(fd), 0);
	(void)snprintf(name, sizeof(name), "%s/mount", path);
	run_command("umount ", name, "");
	overwrite_marker(image, "quire-marker-40", "broken");
	run_command("mount -o loop ", image, name);
	(void)snprintf(name, sizeof(name), "%s/mount/file", path);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0);
	return fd;
}

static void a_broken_block_is_an_error_at_page_grain_body(void *argument)
{
	static char copy[8 * PAGE];
	char path[64];
	char image[128];
	int fd = broken_block(path, image);
	struct quire_map *map = NULL;

	(void)argument;
	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS), &map), 0);
	EXPECT_IS(quire_copy_out(copy, at(map, 38), sizeof(copy)), -EIO);
	EXPECT_IS(memcmp(copy + PAGE, "quire-marker-39", 15), 0);
	expect_fault(map, QUIRE_CAUSE_IO, -EIO, 40 * PAGE, false);
	EXPECT_IS(load(map, 40), 0);
	EXPECT_IS(memcmp(at(map, 39), "quire-marker-39", 15), 0);
	EXPECT_IS(memcmp(at(map, 41), "quire-marker-41", 15), 0);
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC), -EIO);
	EXPECT_IS(quire_map_repair(map), -EIO);
	EXPECT_IS(quire_map_repair(map), -EIO);
	EXPECT_IS(quire_map_error(map, NULL), -EIO);
	/* The block is mended under the filesystem's feet. */
	overwrite_marker(image, "broken", "quire-");
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(memcmp(at(map, 40), "quire-marker-40", 15), 0);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_broken_block_is_an_error_at_page_grain)

static void populating_over_a_broken_block_names_the_cause_body(void *argument)
{
	char path[64];
	char image[128];
	int fd = broken_block(path, image);
	struct quire_map *map = NULL;

	(void)argument;
	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .protection = QUIRE_READ), &map), 0);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_POPULATE), -EIO);
	EXPECT(strstr(quire_error_text(), "163840")); /* page 40 */
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(populating_over_a_broken_block_names_the_cause)

/* ---- the pool of huge pages ---- */

static void set_pool(long long pages)
{
	if (!number_write(POOL, pages) || number_in(POOL) < pages)
		child_skips("the pool of huge pages cannot be set by this user");
}

static void an_empty_huge_pool_is_an_error_and_pages_bring_it_back_body(void *argument)
{
	struct quire_map *map = NULL;

	(void)argument;
	set_pool(1);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = 3 * HUGE, .page_bytes = HUGE,
				  .flags = QUIRE_NO_RESERVE, .guard = QUIRE_GUARD_ZEROS),
			  &map),
		0);
	store(map, 3, 'a');
	store(map, 2 * HUGE / PAGE + 5, 'b');
	expect_fault(map, QUIRE_CAUSE_NO_HUGE_PAGE, -ENOMEM, 2 * HUGE + 5 * PAGE, true);
	EXPECT_IS(load(map, 3), 'a');
	EXPECT_IS(load(map, 2 * HUGE / PAGE + 5), 'b');
	EXPECT_IS(quire_map_repair(map), -ENOMEM);
	EXPECT_IS(load(map, 2 * HUGE / PAGE + 5), 'b');
	set_pool(4);
	EXPECT_IS(quire_map_repair(map), 0);
	store(map, 2 * HUGE / PAGE, 'c');
	EXPECT(vma_flag(at(map, 2 * HUGE / PAGE), "ht"));
	EXPECT_IS(quire_unmap(map), 0);
}

static void a_huge_memfd_that_is_cut_reads_as_zeros_body(void *argument)
{
	struct quire_map *map = NULL;
	int fd;

	(void)argument;
	set_pool(4);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .kind = QUIRE_MEMFD, .length = 3 * HUGE, .page_bytes = HUGE,
				  .guard = QUIRE_GUARD_ZEROS),
			  &map),
		0);
	EXPECT_IS(quire_map_export(map, &fd), 0);
	store(map, 0, 'a');
	EXPECT_IS(ftruncate(fd, HUGE), 0);
	EXPECT_IS(load(map, HUGE / PAGE + 7), 0);
	expect_fault(map, QUIRE_CAUSE_TRUNCATED, -ENODATA, HUGE + 7 * PAGE, false);
	EXPECT_IS(load(map, 0), 'a');
	EXPECT_IS(ftruncate(fd, 3 * HUGE), 0);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT(vma_flag(at(map, 2 * HUGE / PAGE), "ht"));
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(quire_unmap(map), 0);
}

static void with_pool(void (*body)(void *))
{
	long long before = number_in(POOL);
	int status;

	if (before < 0)
		skip();
	status = child_status(body, NULL);
	(void)number_write(POOL, before);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	EXPECT_IS(status, 0);
}

static void an_empty_huge_pool_is_an_error_and_pages_bring_it_back(void **state)
{
	(void)state;
	with_pool(an_empty_huge_pool_is_an_error_and_pages_bring_it_back_body);
}

static void a_huge_memfd_that_is_cut_reads_as_zeros(void **state)
{
	(void)state;
	with_pool(a_huge_memfd_that_is_cut_reads_as_zeros_body);
}

/* ---- poison ---- */

static void poison(void *address)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_POISON };
	struct uffdio_register where = { .range = { (uintptr_t)address, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_poison page = { .range = { (uintptr_t)address, PAGE } };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0)
		child_skips("no UFFDIO_POISON here (Linux 6.6)");
	EXPECT_IS(ioctl(uffd, UFFDIO_REGISTER, &where), 0);
	EXPECT_IS(ioctl(uffd, UFFDIO_POISON, &page), 0);
}

static void a_poisoned_page_is_told_from_the_rest_body(void *argument)
{
	struct quire_map *map = NULL;
	char byte;

	(void)argument;
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .kind = QUIRE_MEMFD, .length = (size_t)8 * PAGE,
				  .guard = QUIRE_GUARD_ZEROS),
			  &map),
		0);
	store(map, 2, 'c');
	poison(at(map, 3));
	EXPECT_IS(quire_copy_out(&byte, at(map, 3), 1), -EHWPOISON);
	EXPECT_IS(load(map, 3), 0);
	expect_fault(map, QUIRE_CAUSE_POISON, -EHWPOISON, 3 * PAGE, false);
	EXPECT_IS(load(map, 2), 'c');
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_poisoned_page_is_told_from_the_rest)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_tmpfs_is_an_error_and_room_brings_the_page_back),
		cmocka_unit_test(a_full_ext4_is_an_error_and_room_brings_the_page_back),
		cmocka_unit_test(a_load_from_a_hole_of_a_full_tmpfs_is_an_error_too),
		cmocka_unit_test(a_callback_may_make_room_again_and_again),
		cmocka_unit_test(a_lone_stand_in_in_a_cut_tail_is_repaired_with_it),
		cmocka_unit_test(a_lone_stand_in_moves_with_its_mapping),
		cmocka_unit_test(preallocating_on_a_full_disk_leaves_the_file_as_it_was),
		cmocka_unit_test(a_broken_block_is_an_error_at_page_grain),
		cmocka_unit_test(populating_over_a_broken_block_names_the_cause),
		cmocka_unit_test(an_empty_huge_pool_is_an_error_and_pages_bring_it_back),
		cmocka_unit_test(a_huge_memfd_that_is_cut_reads_as_zeros),
		cmocka_unit_test(a_poisoned_page_is_told_from_the_rest),
	};

	return RUN(tests);
}
