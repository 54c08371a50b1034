/* SPDX-License-Identifier: Apache-2.0 */
/* Each option does what it promises, as the kernel itself tells: smaps, status, mincore, a child's view. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/vma.h"

/* ---- bringing in ---- */

static void nothing_is_present_before_the_first_touch(void **state)
{
	struct quire_map *map = MAKE(.length = 4 * PAGE);

	(void)state;
	EXPECT(!page_resident(at(map, 0)));
	gone(map);
}

static long faults(void)
{
	struct rusage usage;

	EXPECT_IS(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt;
}

static void populate_read_makes_every_page_present(void **state)
{
	struct quire_map *map = MAKE(.kind = QUIRE_MEMFD, .length = 64 * PAGE, .flags = QUIRE_POPULATE_READ);
	uint64_t resident;

	(void)state;
	EXPECT_IS(quire_map_residency(map, 0, QUIRE_TO_END, NULL, &resident), 64);
	EXPECT_IS(resident, 64);
	gone(map);
}

/* A sanitizer's own memory would fault for each store. */
__attribute__((noinline, no_sanitize("thread", "address"))) static void store_to_each(
	volatile char *bytes, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		bytes[i * PAGE] = 'x';
}

static void after_populate_write_no_store_faults(void **state)
{
	struct quire_map *map = MAKE(.length = 512 * PAGE, .flags = QUIRE_POPULATE_WRITE);
	long before;

	(void)state;
	EXPECT(page_resident(at(map, 511)));
	before = faults();
	store_to_each(quire_map_address(map), 512);
	EXPECT(faults() - before < 100);
	gone(map);
}

static void locked_memory_counts_as_locked_and_is_present(void **state)
{
	uint64_t before = status_kib("VmLck:");
	struct quire_map *map = MAKE(.length = 16 * PAGE, .flags = QUIRE_LOCKED);
	struct vma vma;

	(void)state;
	EXPECT_IS(status_kib("VmLck:") - before, 64);
	EXPECT(page_resident(at(map, 15)));
	EXPECT(vma_at(at(map, 0), &vma));
	EXPECT(vma_flag(at(map, 0), "lo"));
	gone(map);
	EXPECT_IS(status_kib("VmLck:"), before);
}

static void lock_on_fault_locks_what_is_touched(void **state)
{
	struct quire_map *map = MAKE(.length = 16 * PAGE, .flags = QUIRE_LOCK_ON_FAULT);
	struct vma vma;

	(void)state;
	EXPECT(vma_flag(at(map, 0), "lo"));
	EXPECT(!page_resident(at(map, 15)));
	*(volatile char *)at(map, 3) = 'x';
	EXPECT(vma_at(at(map, 0), &vma));
	EXPECT_IS(vma.locked_kib, vma.rss_kib);
	EXPECT(page_resident(at(map, 3)));
	gone(map);
}

static void a_range_is_locked_and_unlocked(void **state)
{
	struct quire_map *map = MAKE(.length = 16 * PAGE);
	uint64_t before = status_kib("VmLck:");

	(void)state;
	EXPECT_IS(quire_map_lock(map, PAGE + 5, 10, 0), 0); /* widened to its page */
	EXPECT_IS(status_kib("VmLck:") - before, 4);
	EXPECT(page_resident(at(map, 1)));
	EXPECT_IS(quire_map_lock(map, 4 * PAGE, 2 * PAGE, QUIRE_LOCK_ON_FAULT), 0);
	EXPECT_IS(status_kib("VmLck:") - before, 12);
	EXPECT(!page_resident(at(map, 4)));
	EXPECT_IS(quire_map_lock(map, 0, 1, 77), -EINVAL);
	EXPECT_IS(quire_map_lock(map, 0, 17 * PAGE, 0), -EINVAL);
	EXPECT_IS(quire_map_unlock(map, 0, QUIRE_TO_END), 0);
	EXPECT_IS(status_kib("VmLck:"), before);
	gone(map);
}

static void memory_without_reserve_is_not_accounted(void **state)
{
	struct quire_map *map = MAKE(.length = 4 * PAGE, .flags = QUIRE_NO_RESERVE);
	struct quire_map *counted = MAKE(.length = 4 * PAGE);

	(void)state;
	EXPECT(vma_flag(at(map, 0), "nr"));
	EXPECT(!vma_flag(at(map, 0), "ac"));
	EXPECT(vma_flag(at(counted, 0), "ac"));
	gone(counted);
	gone(map);
}

static void what_is_not_to_be_dumped_is_marked(void **state)
{
	struct quire_map *map = MAKE(.length = 4 * PAGE, .flags = QUIRE_NO_DUMP);

	(void)state;
	EXPECT(vma_flag(at(map, 0), "dd"));
	gone(map);
}

/* ---- stacks ---- */

static void a_stack_has_guard_pages_below_it(void **state)
{
	struct quire_map *map = MAKE(.length = 16 * PAGE, .flags = QUIRE_STACK, .guard_bytes = 3 * PAGE);

	(void)state;
	EXPECT(vma_permits(at(map, 0), "rw-p"));
	EXPECT(vma_flag(at(map, 0), "nr"));
	for (size_t i = 1; i <= 3; i++)
		EXPECT(vma_permits(at(map, 0) - i * PAGE, "---p"));
	EXPECT_IS(quire_map_resize(map, PAGE, 0), -EINVAL);
	gone(map);
	map = MAKE(.length = 16 * PAGE, .flags = QUIRE_STACK);
	EXPECT(vma_permits(at(map, 0) - (64 << 10), "---p"));
	gone(map);
}

static void a_stack_stands_where_it_was_asked_to(void **state)
{
	struct quire_map *probe = MAKE(.length = 64 * PAGE);
	char *middle = at(probe, 32);
	struct quire_map *map;

	(void)state;
	gone(probe);
	map = MAKE(.length = 16 * PAGE, .flags = QUIRE_STACK, .guard_bytes = PAGE,
		.placement = QUIRE_PLACE_EXACT, .address = middle);
	EXPECT(quire_map_address(map) == middle);
	EXPECT(vma_permits(middle - PAGE, "---p"));
	gone(map);
}

static void overflow_a_stack(void *argument)
{
	struct quire_map *map = MAKE(.length = 4 * PAGE, .flags = QUIRE_STACK);

	(void)argument;
	*(volatile char *)(at(map, 0) - 1) = 'x';
}

static void the_page_below_a_stack_kills(void **state)
{
	(void)state;
	child_dies_of(SIGSEGV, overflow_a_stack, NULL);
}

static void touch_no_access(void *argument)
{
	struct quire_map *map = MAKE(.length = PAGE, .protection = QUIRE_NO_ACCESS);

	(void)argument;
	*(volatile char *)at(map, 0) = 'x';
}

static void store_to_read_only(void *argument)
{
	struct quire_map *map = MAKE(.length = PAGE, .protection = QUIRE_READ);

	(void)argument;
	*(volatile char *)at(map, 0) = 'x';
}

static void protection_holds(void **state)
{
	(void)state;
	child_dies_of(SIGSEGV, touch_no_access, NULL);
	child_dies_of(SIGSEGV, store_to_read_only, NULL);
}

/* ---- files ---- */

static void sync_without_dax_is_refused(void **state)
{
	char path[64];
	int fd = named_file_of(PAGE, path);
	struct quire_map *map = MAKE(.length = PAGE);
	void *place = quire_map_address(map);
	int r;

	(void)state;
	gone(map);
	r = quire_map(NULL,
		QUIRE_OPTIONS(map, .path = path, .sharing = QUIRE_SHARED, .flags = QUIRE_SYNC,
			.protection = QUIRE_READ | QUIRE_WRITE),
		&map);
	if (r == 0) { /* a filesystem with DAX: then the flag must be seen */
		EXPECT(vma_flag(at(map, 0), "sf"));
		gone(map);
	} else {
		EXPECT_IS(r, -EOPNOTSUPP);
		EXPECT(strstr(quire_error_text(), "DAX"));
	}
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(
				  map, .flags = QUIRE_SYNC, .placement = QUIRE_PLACE_EXACT, .address = place),
			  &map) == 0
			? quire_unmap(map)
			: -EOPNOTSUPP,
		r == 0 ? 0 : -EOPNOTSUPP);
	EXPECT(!vma_at(place, &(struct vma){ 0 }));
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(unlink(path), 0);
}

static void create_exclusive_and_truncate_do_what_open_does(void **state)
{
	char path[64];
	struct stat stat_of;
	struct quire_map *map = NULL;
	int fd = named_file_of(0, path);

	(void)state;
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(unlink(path), 0);
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .path = path, .length = PAGE), &map), -ENOENT);
	EXPECT(strstr(quire_error_text(), "QUIRE_CREATE"));
	map = MAKE(.path = path, .length = 5000, .flags = QUIRE_CREATE, .mode = 0640);
	EXPECT_IS(stat(path, &stat_of), 0);
	EXPECT_IS(stat_of.st_size, 5000);
	EXPECT_IS(stat_of.st_mode & 07777, 0640);
	EXPECT(vma_permits(at(map, 0), "rw-s"));
	*at(map, 1) = 'x';
	gone(map);
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .path = path, .flags = QUIRE_CREATE | QUIRE_EXCLUSIVE),
			  &map),
		-EEXIST);
	map = MAKE(.path = path, .flags = QUIRE_CREATE); /* was there: kept */
	EXPECT_IS(quire_map_length(map), 5000);
	EXPECT_IS(*at(map, 1), 'x');
	gone(map);
	map = MAKE(.path = path, .flags = QUIRE_TRUNCATE | QUIRE_CREATE, .length = 2 * PAGE);
	EXPECT_IS(*at(map, 1), 0);
	gone(map);
	map = MAKE(.path = path, .flags = QUIRE_TRUNCATE);
	EXPECT_IS(quire_map_length(map), 0);
	gone(map);
	EXPECT_IS(unlink(path), 0);
	/* A private or read-only mapping of a new file: the file is made long enough all the same. */
	map = MAKE(.path = path, .flags = QUIRE_CREATE, .length = 5000, .sharing = QUIRE_PRIVATE);
	*at(map, 1) = 'x';
	gone(map);
	EXPECT_IS(stat(path, &stat_of), 0);
	EXPECT_IS(stat_of.st_size, 5000);
	EXPECT_IS(stat_of.st_mode & 07777, 0600);
	map = MAKE(.path = path, .flags = QUIRE_PREALLOCATE, .length = 8 * PAGE, .protection = QUIRE_READ);
	EXPECT_IS(stat(path, &stat_of), 0);
	EXPECT_IS(stat_of.st_blocks * 512 >= 8 * PAGE, 1);
	gone(map);
	EXPECT_IS(unlink(path), 0);
}

/* Cutting it and making it longer come last. */
static void a_refused_call_leaves_the_file_as_it_was(void **state)
{
	static const unsigned int changes[] = { QUIRE_TRUNCATE, QUIRE_CREATE, QUIRE_TRUNCATE | QUIRE_CREATE,
		QUIRE_PREALLOCATE };
	char path[64];
	char text[8] = "";
	int fd = named_file_of(5000, path);
	struct quire_map *occupied = MAKE(.length = PAGE);
	struct quire_map *map = NULL;
	struct stat stat_of;

	(void)state;
	EXPECT_IS(pwrite(fd, "content", 7, 0), 7);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		EXPECT_IS(quire_map(NULL,
				  QUIRE_OPTIONS(map, .path = path, .length = 8 * PAGE, .flags = changes[i],
					  .placement = QUIRE_PLACE_EXACT,
					  .address = quire_map_address(occupied)),
				  &map),
			-EEXIST);
		EXPECT_IS(quire_map(NULL,
				  QUIRE_OPTIONS(map, .path = path, .length = 8 * PAGE, .flags = changes[i],
					  .numa = QUIRE_NUMA_BIND, .numa_nodes = (uint64_t)1 << 63),
				  &map) < 0,
			1);
		EXPECT_IS(quire_map(NULL,
				  QUIRE_OPTIONS(map, .path = path, .offset = PAGE, .length = SIZE_MAX - PAGE,
					  .flags = changes[i]),
				  &map),
			-EOVERFLOW);
		EXPECT_IS(fstat(fd, &stat_of), 0);
		EXPECT_IS(stat_of.st_size, 5000);
		EXPECT_IS(pread(fd, text, 7, 0), 7);
		EXPECT_IS(memcmp(text, "content", 7), 0);
	}
	gone(occupied);
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(unlink(path), 0);
}

static void preallocate_allocates_blocks(void **state)
{
	char path[64];
	struct stat stat_of;
	struct quire_map *map;
	int fd = named_file_of(0, path);

	(void)state;
	map = MAKE(.path = path, .length = 64 * PAGE, .flags = QUIRE_CREATE | QUIRE_PREALLOCATE);
	EXPECT_IS(fstat(fd, &stat_of), 0);
	EXPECT_IS(stat_of.st_size, 64 * PAGE);
	EXPECT(stat_of.st_blocks * 512 >= 64 * PAGE);
	gone(map);
	EXPECT_IS(ftruncate(fd, 0), 0);
	map = MAKE(.path = path, .length = 64 * PAGE, .flags = QUIRE_CREATE); /* sparse without */
	EXPECT_IS(fstat(fd, &stat_of), 0);
	EXPECT(stat_of.st_blocks * 512 < 64 * PAGE);
	EXPECT_IS(quire_map_preallocate(map, 8 * PAGE, 8 * PAGE), 0);
	EXPECT_IS(fstat(fd, &stat_of), 0);
	EXPECT(stat_of.st_blocks * 512 >= 8 * PAGE && stat_of.st_blocks * 512 < 64 * PAGE);
	gone(map);
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(unlink(path), 0);
	map = MAKE(.length = PAGE);
	EXPECT_IS(quire_map_preallocate(map, 0, PAGE), -EINVAL);
	gone(map);
}

static void a_file_of_5000_bytes_shows_5000_bytes_and_a_known_tail(void **state)
{
	struct quire_map_stat stat = { .size = sizeof(stat) };
	struct quire_map *map;
	int fd = file_of(5000);

	(void)state;
	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), 0);
	EXPECT_IS(quire_map_length(map), 5000);
	EXPECT_IS(at(map, 0)[4999], 'b');
	EXPECT_IS(at(map, 0)[5000], 0);
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.object_bytes, 5000);
	EXPECT_IS(stat.zero_tail_bytes, 8192 - 5000);
	gone(map);
	EXPECT_IS(close(fd), 0);
}

static void an_offset_need_not_be_a_page_multiple(void **state)
{
	struct quire_map_stat stat = { .size = sizeof(stat) };
	struct quire_map *map;
	int fd = file_of(4 * PAGE);

	(void)state;
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .offset = PAGE + 100, .length = PAGE,
				  .protection = QUIRE_READ | QUIRE_WRITE),
			  &map),
		0);
	EXPECT_IS((uintptr_t)quire_map_address(map) % PAGE, 100);
	EXPECT_IS(at(map, 0)[0], 'b');
	EXPECT_IS(at(map, 0)[PAGE - 100], 'c');
	EXPECT_IS(quire_map_length(map), PAGE);
	EXPECT_IS(vma_count((char *)quire_map_address(map) - 100, 2 * PAGE), 1);
	EXPECT_IS(quire_map_protect(map, 0, PAGE, QUIRE_READ), -EINVAL); /* not a page boundary */
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC), 0);
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.offset, PAGE + 100);
	EXPECT_IS(stat.zero_tail_bytes, 0);
	gone(map);
	/* To its end, from an odd place; behind its end: nothing yet. */
	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .offset = 4 * PAGE - 7), &map), 0);
	EXPECT_IS(quire_map_length(map), 7);
	EXPECT_IS(at(map, 0)[6], 'd');
	gone(map);
	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .offset = 9 * PAGE + 1), &map), 0);
	EXPECT_IS(quire_map_length(map), 0);
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.zero_tail_bytes, 0);
	gone(map);
	EXPECT_IS(close(fd), 0);
}

static void an_empty_file_can_be_mapped_and_grow(void **state)
{
	struct quire_map *map;
	struct stat stat_of;
	int fd = file_of(0);
	char *first;

	(void)state;
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .protection = QUIRE_READ | QUIRE_WRITE, .reserve_bytes = 1 << 20,
				  .advice = QUIRE_RANDOM),
			  &map),
		0);
	first = quire_map_address(map);
	EXPECT_IS(quire_map_length(map), 0);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_WILLNEED), 0);
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC), 0);
	EXPECT_IS(quire_map_resize(map, 10000, 0), 0);
	EXPECT(quire_map_address(map) == first);
	EXPECT_IS(fstat(fd, &stat_of), 0);
	EXPECT_IS(stat_of.st_size, 10000);
	first[9999] = 'x';
	EXPECT(vma_flag(first, "rr")); /* advice for the whole mapping, also of what comes later */
	EXPECT_IS(quire_map_resize(map, 1 << 20, 0), 0);
	EXPECT(quire_map_address(map) == first);
	EXPECT_IS(first[9999], 'x');
	EXPECT(vma_flag(first + (1 << 20) - 1, "rr"));
	EXPECT_IS(quire_map_resize(map, (1 << 20) + 1, QUIRE_MAY_MOVE), -ENOMEM);
	EXPECT(strstr(quire_error_text(), "reserve_bytes"));
	EXPECT_IS(fstat(fd, &stat_of), 0);
	EXPECT_IS(stat_of.st_size, 1 << 20); /* what failed left the file alone */
	gone(map);
	EXPECT_IS(close(fd), 0);
}

static void a_file_larger_than_memory_is_mapped(void **state)
{
	struct quire_map *map;
	char *bytes;
	int fd = file_of(0);

	(void)state;
	if (ftruncate(fd, (off_t)1 << 40) < 0)
		skip();
	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), 0);
	EXPECT_IS(quire_map_length(map), 1LL << 40);
	bytes = quire_map_address(map);
	bytes[((size_t)1 << 40) - 1] = 'x';
	EXPECT_IS(bytes[(size_t)1 << 39], 0);
	EXPECT_IS(pread(fd, bytes, 1, ((off_t)1 << 40) - 1), 1);
	EXPECT_IS(bytes[0], 'x');
	gone(map);
	EXPECT_IS(close(fd), 0);
}

/* ---- fork ---- */

/* 'p' the parent's byte, 0 zero, 'u' unmapped */
static char in_child(struct quire_map *map, size_t page)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		unsigned char bit;
		char *byte = at(map, page);

		if (mincore((void *)((uintptr_t)byte & ~(uintptr_t)4095), PAGE, &bit) < 0)
			_exit('u');
		_exit(*byte);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT(WIFEXITED(status));
	return (char)WEXITSTATUS(status);
}

static void a_child_sees_what_the_fork_option_says(void **state)
{
	static const struct {
		uint32_t fork;
		char seen;
	} rows[] = { { QUIRE_FORK_DEFAULT, 'p' }, { QUIRE_FORK_NOT, 'u' }, { QUIRE_FORK_WIPE, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct quire_map *map = MAKE(.length = 2 * PAGE, .fork = rows[i].fork);

		*at(map, 1) = 'p';
		EXPECT_IS(in_child(map, 1), rows[i].seen);
		EXPECT_IS(vma_flag(at(map, 0), "dc"), rows[i].fork == QUIRE_FORK_NOT);
		EXPECT_IS(vma_flag(at(map, 0), "wf"), rows[i].fork == QUIRE_FORK_WIPE);
		gone(map);
	}
}

static void a_child_sees_what_fork_advice_says(void **state)
{
	struct quire_map *map = MAKE(.length = 4 * PAGE);

	(void)state;
	memset(at(map, 0), 'p', 4 * PAGE);
	EXPECT_IS(quire_map_advise(map, PAGE, PAGE, QUIRE_DONTFORK), 0);
	EXPECT_IS(quire_map_advise(map, 2 * PAGE, PAGE, QUIRE_WIPEONFORK), 0);
	EXPECT_IS(in_child(map, 0), 'p');
	EXPECT_IS(in_child(map, 1), 'u');
	EXPECT_IS(in_child(map, 2), 0);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_DOFORK), 0);
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_KEEPONFORK), 0);
	EXPECT_IS(in_child(map, 1), 'p');
	EXPECT_IS(in_child(map, 2), 'p');
	gone(map);
}

/* ---- NUMA ---- */

static int policy_at(const void *address)
{
	int mode = -1;

	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, address, 2 /* MPOL_F_ADDR */) < 0)
		return -errno;
	return mode;
}

static void numa_policies_reach_the_kernel(void **state)
{
	static const struct {
		uint32_t numa;
		int mode;
	} rows[] = { { QUIRE_NUMA_BIND, 2 }, { QUIRE_NUMA_INTERLEAVE, 3 }, { QUIRE_NUMA_PREFERRED, 1 } };

	(void)state;
	if (policy_at(&state) < 0)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct quire_map *map = MAKE(.length = 4 * PAGE, .numa = rows[i].numa, .numa_nodes = 1,
			.flags = QUIRE_POPULATE_WRITE);

		EXPECT_IS(policy_at(at(map, 3)), rows[i].mode);
		EXPECT_IS(quire_map_place(map, PAGE, PAGE, QUIRE_NUMA_DEFAULT, 0), 0);
		EXPECT_IS(policy_at(at(map, 1)), 0);
		EXPECT_IS(policy_at(at(map, 2)), rows[i].mode);
		EXPECT_IS(quire_map_place(map, 0, QUIRE_TO_END, rows[i].numa, 1), 0);
		EXPECT_IS(policy_at(at(map, 1)), rows[i].mode);
		EXPECT_IS(quire_map_place(map, 0, PAGE, rows[i].numa, (uint64_t)1 << 63), -EINVAL);
		EXPECT_IS(quire_map_place(map, 0, PAGE, 9, 1), -EINVAL);
		EXPECT_IS(quire_map_place(map, 0, PAGE, QUIRE_NUMA_DEFAULT, 1), -EINVAL);
		gone(map);
	}
}

static void what_grows_in_a_reserve_keeps_the_memory_nodes(void **state)
{
	int fd = file_of(PAGE);
	struct quire_map *map;

	(void)state;
	if (policy_at(&state) < 0)
		skip();
	map = MAKE(.length = PAGE, .reserve_bytes = 16 * PAGE, .numa = QUIRE_NUMA_BIND, .numa_nodes = 1);
	EXPECT_IS(quire_map_resize(map, 4 * PAGE, 0), 0);
	EXPECT_IS(policy_at(at(map, 3)), 2);
	/* As what was last, not as what was asked for when it was opened. */
	EXPECT_IS(quire_map_place(map, 2 * PAGE, QUIRE_TO_END, QUIRE_NUMA_INTERLEAVE, 1), 0);
	EXPECT_IS(quire_map_resize(map, 8 * PAGE, 0), 0);
	EXPECT_IS(policy_at(at(map, 1)), 2);
	EXPECT_IS(policy_at(at(map, 7)), 3);
	EXPECT_IS(quire_map_place(map, 0, QUIRE_TO_END, QUIRE_NUMA_DEFAULT, 0), 0);
	EXPECT_IS(quire_map_resize(map, 9 * PAGE, 0), 0);
	EXPECT_IS(policy_at(at(map, 8)), 0);
	gone(map);
	/* Nothing is there to be placed yet. */
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(quire_map_fd(NULL, fd,
			  QUIRE_OPTIONS(map, .sharing = QUIRE_PRIVATE, .reserve_bytes = 4 * PAGE,
				  .numa = QUIRE_NUMA_PREFERRED, .numa_nodes = 1),
			  &map),
		0);
	EXPECT_IS(quire_map_resize(map, 2 * PAGE, 0), 0);
	EXPECT_IS(policy_at(at(map, 1)), 1);
	gone(map);
	EXPECT_IS(close(fd), 0);
}

/* ---- names ---- */

static void names_are_shown_where_the_kernel_has_them(void **state)
{
	struct quire_map *map = MAKE(.kind = QUIRE_ANON, .path = "my heap", .length = PAGE);
	struct quire_map_stat stat = { .size = sizeof(stat) };
	struct vma vma;
	int r;

	(void)state;
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(strcmp(stat.name, "my heap"), 0);
	r = prctl(0x53564d41, 0, quire_map_address(map), PAGE, "probe") == 0 ? 0 : -ENOTSUP;
	EXPECT_IS(quire_map_name(map, "other"), r);
	EXPECT(vma_at(at(map, 0), &vma));
	EXPECT_IS(strstr(vma.name, "[anon:other]") != NULL, r == 0);
	EXPECT_IS(quire_map_name(map, "brackets[]"), -EINVAL);
	EXPECT_IS(quire_map_name(map, ""), -EINVAL);
	EXPECT_IS(quire_map_name(map, "line\n"), -EINVAL);
	EXPECT_IS(quire_map_name(map,
			  "12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
		-EINVAL);
	gone(map);
	EXPECT_IS(quire_map_shared(NULL, "shared", PAGE, &map), 0);
	EXPECT_IS(quire_map_name(map, "x"), -EINVAL);
	gone(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_present_before_the_first_touch),
		cmocka_unit_test(populate_read_makes_every_page_present),
		cmocka_unit_test(after_populate_write_no_store_faults),
		cmocka_unit_test(locked_memory_counts_as_locked_and_is_present),
		cmocka_unit_test(lock_on_fault_locks_what_is_touched),
		cmocka_unit_test(a_range_is_locked_and_unlocked),
		cmocka_unit_test(memory_without_reserve_is_not_accounted),
		cmocka_unit_test(what_is_not_to_be_dumped_is_marked),
		cmocka_unit_test(a_stack_has_guard_pages_below_it),
		cmocka_unit_test(a_stack_stands_where_it_was_asked_to),
		cmocka_unit_test(the_page_below_a_stack_kills),
		cmocka_unit_test(protection_holds),
		cmocka_unit_test(sync_without_dax_is_refused),
		cmocka_unit_test(create_exclusive_and_truncate_do_what_open_does),
		cmocka_unit_test(a_refused_call_leaves_the_file_as_it_was),
		cmocka_unit_test(preallocate_allocates_blocks),
		cmocka_unit_test(a_file_of_5000_bytes_shows_5000_bytes_and_a_known_tail),
		cmocka_unit_test(an_offset_need_not_be_a_page_multiple),
		cmocka_unit_test(an_empty_file_can_be_mapped_and_grow),
		cmocka_unit_test(a_file_larger_than_memory_is_mapped),
		cmocka_unit_test(a_child_sees_what_the_fork_option_says),
		cmocka_unit_test(a_child_sees_what_fork_advice_says),
		cmocka_unit_test(numa_policies_reach_the_kernel),
		cmocka_unit_test(what_grows_in_a_reserve_keeps_the_memory_nodes),
		cmocka_unit_test(names_are_shown_where_the_kernel_has_them),
	};

	return RUN(tests);
}
