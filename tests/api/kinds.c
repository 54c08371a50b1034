/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of memory behind one handle; what the options mean when they are left out, and when they are wrong. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/vma.h"

static char *bytes_of(struct quire_map *map)
{
	return quire_map_address(map);
}

static int try(struct quire_map_options options)
{
	struct quire_map *map = NULL;
	int r;

	options.size = sizeof(options);
	r = quire_map(NULL, &options, &map);
	if (r == 0)
		EXPECT_IS(quire_unmap(map), 0);
	else
		EXPECT(map == NULL); /* outputs are written only on success */
	return r;
}

#define TRY(...) try((struct quire_map_options){ __VA_ARGS__ })

/* What a fork child stores to the first byte is seen here, or not. */
static bool child_stores_are_seen(struct quire_map *map)
{
	volatile char *first = quire_map_address(map);
	pid_t pid;

	*first = 'p';
	pid = fork();
	if (pid == 0) {
		*first = 'c';
		_exit(0);
	}
	EXPECT(waitpid(pid, NULL, 0) == pid);
	return *first == 'c';
}

static void anonymous_memory_is_private_zeros_by_default(void **state)
{
	struct quire_map *map = MAKE(.length = 10000);

	(void)state;
	EXPECT_IS(quire_map_length(map), 10000);
	EXPECT(vma_permits(bytes_of(map), "rw-p"));
	for (size_t i = 0; i < 10000; i++)
		EXPECT_IS(bytes_of(map)[i], 0);
	EXPECT(!child_stores_are_seen(map));
	EXPECT_IS(quire_unmap(map), 0);
}

static void anonymous_shared_memory_is_shared_with_children(void **state)
{
	struct quire_map *map = MAKE(.kind = QUIRE_ANON, .length = PAGE, .sharing = QUIRE_SHARED);

	(void)state;
	EXPECT(vma_permits(bytes_of(map), "rw-s"));
	EXPECT(child_stores_are_seen(map));
	EXPECT_IS(quire_unmap(map), 0);
}

static void a_private_file_keeps_its_bytes(void **state)
{
	char path[64];
	int fd = named_file_of(2 * PAGE, path);
	struct quire_map *map = MAKE(.path = path, .sharing = QUIRE_PRIVATE,
		.protection = QUIRE_READ | QUIRE_WRITE);
	char byte;

	(void)state;
	EXPECT(vma_permits(bytes_of(map), "rw-p"));
	bytes_of(map)[0] = 'x';
	EXPECT_IS(pread(fd, &byte, 1, 0), 1);
	EXPECT_IS(byte, 'a');
	EXPECT_IS(bytes_of(map)[PAGE], 'b');
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(unlink(path), 0);
}

static void a_shared_file_takes_the_stores(void **state)
{
	char path[64];
	int fd = named_file_of(2 * PAGE, path);
	struct quire_map *map = MAKE(.path = path, .protection = QUIRE_READ | QUIRE_WRITE);
	char byte;

	(void)state;
	EXPECT(vma_permits(bytes_of(map), "rw-s"));
	bytes_of(map)[PAGE] = 'x';
	EXPECT_IS(pread(fd, &byte, 1, PAGE), 1);
	EXPECT_IS(byte, 'x');
	EXPECT_IS(quire_unmap(map), 0);
	/* Read-only is the default of a file that was there. */
	map = MAKE(.path = path);
	EXPECT(vma_permits(bytes_of(map), "r--s"));
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(unlink(path), 0);
}

static void a_memfd_has_a_descriptor_and_a_name(void **state)
{
	struct quire_map *map = MAKE(.kind = QUIRE_MEMFD, .path = "my-memory", .length = 5000);
	struct vma vma;
	struct stat stat;
	int fd;

	(void)state;
	EXPECT(vma_at(bytes_of(map), &vma));
	EXPECT(strstr(vma.name, "memfd:my-memory"));
	EXPECT_IS(quire_map_export(map, &fd), 0);
	EXPECT_IS(fstat(fd, &stat), 0);
	EXPECT_IS(stat.st_size, 5000);
	EXPECT_IS(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(quire_unmap(map), 0);
}

static void secret_memory_is_hidden_from_the_kernels_view(void **state)
{
	struct quire_map *map = NULL;
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char byte;
	int r = quire_map(NULL, QUIRE_OPTIONS(map, .kind = QUIRE_SECRET, .length = 5000), &map);

	(void)state;
	if (r == -ENOTSUP)
		skip();
	EXPECT_IS(r, 0);
	bytes_of(map)[0] = 's';
	EXPECT_IS(pread(memory, &byte, 1, (off_t)(uintptr_t)quire_map_address(map)), -1);
	EXPECT_IS(pread(memory, &byte, 1, (off_t)(uintptr_t)&byte), 1);
	EXPECT_IS(close(memory), 0);
	/* Its size is fixed: what it cannot hold is refused now, not a signal later. */
	EXPECT_IS(quire_map_resize(map, (size_t)4 * PAGE, QUIRE_MAY_MOVE), -EINVAL);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(TRY(.kind = QUIRE_SECRET, .length = PAGE, .sharing = QUIRE_PRIVATE), -EINVAL);
}

static void shared_memory_is_found_by_its_name(void **state)
{
	char name[64];
	struct quire_map *mine, *theirs;

	(void)state;
	(void)snprintf(name, sizeof(name), "/quire-test-%d", (int)getpid());
	EXPECT_IS(TRY(.kind = QUIRE_SHM, .path = name), -ENOENT);
	mine = MAKE(.kind = QUIRE_SHM, .path = name, .length = 5000, .flags = QUIRE_CREATE | QUIRE_EXCLUSIVE);
	EXPECT_IS(
		TRY(.kind = QUIRE_SHM, .path = name, .length = PAGE, .flags = QUIRE_CREATE | QUIRE_EXCLUSIVE),
		-EEXIST);
	theirs = MAKE(.kind = QUIRE_SHM, .path = name, .protection = QUIRE_READ);
	EXPECT_IS(quire_map_length(theirs), 5000);
	bytes_of(mine)[4999] = 'x';
	EXPECT_IS(bytes_of(theirs)[4999], 'x');
	EXPECT_IS(quire_unmap(theirs), 0);
	EXPECT_IS(quire_unmap(mine), 0);
	EXPECT_IS(shm_unlink(name), 0);
}

static void devices_are_mapped_where_their_driver_allows(void **state)
{
	struct quire_map *map = MAKE(.kind = QUIRE_DEVICE, .path = "/dev/zero", .length = 2 * PAGE,
		.protection = QUIRE_READ | QUIRE_WRITE);

	(void)state;
	EXPECT_IS(bytes_of(map)[PAGE], 0);
	bytes_of(map)[PAGE] = 'x';
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(TRY(.kind = QUIRE_DEVICE, .path = "/dev/zero"), -EINVAL); /* a device has no size */
	EXPECT(strstr(quire_error_text(), ".length"));
	EXPECT_IS(TRY(.path = "/dev/zero"), -EINVAL);
	EXPECT_IS(TRY(.kind = QUIRE_DEVICE, .path = "/dev/null", .length = PAGE), -ENODEV);
	EXPECT(strstr(quire_error_text(), "cannot be mapped"));
	EXPECT(TRY(.kind = QUIRE_DEVICE, .path = "/dev/mem", .offset = 1 << 20, .length = PAGE,
		       .protection = QUIRE_READ | QUIRE_WRITE) < 0 ||
		geteuid() == 0);
}

static void reserved_addresses_cannot_be_touched(void **state)
{
	struct quire_map *map;
	char byte;

	(void)state;
	EXPECT_IS(quire_reserve(NULL, (size_t)1 << 40, &map), 0);
	EXPECT(vma_permits(bytes_of(map), "---p"));
	EXPECT(vma_flag(bytes_of(map), "nr")); /* costs nothing but addresses */
	(void)byte;
	EXPECT_IS(quire_map_protect(map, 0, PAGE, QUIRE_READ), -EINVAL);
	EXPECT_IS(quire_map_resize(map, PAGE, 0), -EINVAL);
	EXPECT_IS(quire_unmap(map), 0);
}

static void what_cannot_be_mapped_is_refused_when_opened(void **state)
{
	int pipes[2];

	(void)state;
	EXPECT_IS(TRY(.path = "/tmp"), -ENODEV);
	EXPECT_IS(TRY(.path = "/nonexistent/file"), -ENOENT);
	EXPECT(strstr(quire_error_text(), "/nonexistent/file"));
	EXPECT_IS(pipe(pipes), 0);
	EXPECT_IS(quire_map_fd(NULL, pipes[0], NULL, &(struct quire_map *){ NULL }), -ENODEV);
	EXPECT_IS(close(pipes[0]) + close(pipes[1]), 0);
	EXPECT_IS(quire_map_fd(NULL, pipes[0], NULL, &(struct quire_map *){ NULL }), -EBADF);
	pipes[0] = open("/tmp", O_PATH | O_CLOEXEC);
	EXPECT_IS(quire_map_fd(NULL, pipes[0], NULL, &(struct quire_map *){ NULL }), -EBADF);
	EXPECT_IS(close(pipes[0]), 0);
	pipes[0] = open("/dev/zero", O_WRONLY | O_CLOEXEC);
	EXPECT_IS(quire_map_fd(
			  NULL, pipes[0], QUIRE_OPTIONS(map, .length = PAGE), &(struct quire_map *){ NULL }),
		-EACCES);
	EXPECT_IS(close(pipes[0]), 0);
}

static void a_descriptor_is_mapped_as_writable_as_it_is(void **state)
{
	char path[64];
	int fd = named_file_of(PAGE, path);
	int read_only = open(path, O_RDONLY | O_CLOEXEC);
	struct quire_map *map;

	(void)state;
	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), 0);
	EXPECT_IS(close(fd), 0); /* it has its own */
	EXPECT(vma_permits(bytes_of(map), "rw-s"));
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), 0);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(quire_map_fd(NULL, read_only, NULL, &map), 0);
	EXPECT(vma_permits(bytes_of(map), "r--s"));
	EXPECT_IS(quire_map_protect(map, 0, PAGE, QUIRE_READ | QUIRE_WRITE), -EACCES);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(quire_map_fd(NULL, read_only, QUIRE_OPTIONS(map, .path = path), &map), -EINVAL);
	EXPECT_IS(quire_map_fd(NULL, read_only, QUIRE_OPTIONS(map, .kind = QUIRE_MEMFD), &map), -EINVAL);
	EXPECT_IS(close(read_only), 0);
	EXPECT_IS(unlink(path), 0);
}

/* ---- options that are wrong ---- */

static void options_out_of_range_are_refused(void **state)
{
	(void)state;
	EXPECT_IS(TRY(.length = 0), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .kind = 8), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .sharing = 3), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .protection = 16), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .protection = QUIRE_NO_ACCESS | QUIRE_READ), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .flags = QUIRE_MAY_MOVE), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .flags = 1U << 15), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .placement = 3), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .placement = QUIRE_PLACE_EXACT), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .huge = 3), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .guard = 5), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .guard = QUIRE_GUARD_CALLBACK), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .fork = 3), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .advice = 20), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .numa = 4), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .numa = QUIRE_NUMA_BIND), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .numa_nodes = 1), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .engine = 3), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .page_bytes = 4096), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .flags = QUIRE_REPLACE), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .inside_offset = PAGE), -EINVAL);
	EXPECT_IS(TRY(.kind = QUIRE_FILE), -EINVAL);
	EXPECT_IS(TRY(.kind = QUIRE_ANON, .length = PAGE, .offset = PAGE), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .flags = QUIRE_SYNC), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .flags = QUIRE_STACK, .sharing = QUIRE_SHARED), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .sharing = QUIRE_SHARED, .fork = QUIRE_FORK_WIPE), -EINVAL);
	EXPECT_IS(quire_map(NULL, NULL, &(struct quire_map *){ NULL }), -EINVAL);
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .length = PAGE), NULL), -EINVAL);
}

static void memory_is_never_writable_and_executable(void **state)
{
	struct quire_map *map;

	(void)state;
	EXPECT_IS(TRY(.length = PAGE, .protection = QUIRE_WRITE | QUIRE_EXECUTE), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .protection = QUIRE_READ | QUIRE_WRITE | QUIRE_EXECUTE), -EINVAL);
	EXPECT_IS(TRY(.length = PAGE, .protection = QUIRE_EXECUTE), 0);
	map = MAKE(.length = PAGE);
	EXPECT_IS(quire_map_protect(map, 0, PAGE, QUIRE_READ | QUIRE_WRITE | QUIRE_EXECUTE), -EINVAL);
	EXPECT(strstr(quire_error_text(), "writable and executable"));
	bytes_of(map)[0] = (char)0xc3; /* ret */
	EXPECT_IS(quire_map_protect(map, 0, PAGE, QUIRE_READ | QUIRE_EXECUTE), 0);
	EXPECT(vma_permits(bytes_of(map), "r-xp"));
	((void (*)(void))(uintptr_t)bytes_of(map))();
	EXPECT_IS(quire_unmap(map), 0);
}

/* The openat2 rule. */
static void options_of_other_versions_are_understood(void **state)
{
	struct {
		struct quire_map_options options;
		uint64_t newer;
	} large = { .options = { .size = sizeof(large), .length = PAGE } };
	struct quire_map_options small = { .size = offsetof(struct quire_map_options, mode), .length = PAGE };
	struct quire_map *map;

	(void)state;
	small.mode = 0xffffffff; /* behind what this caller knows: not looked at */
	small.placement = 77;
	EXPECT_IS(quire_map(NULL, &small, &map), 0);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(quire_map(NULL, &large.options, &map), 0);
	EXPECT_IS(quire_unmap(map), 0);
	large.newer = 1;
	EXPECT_IS(quire_map(NULL, &large.options, &map), -E2BIG);
	small.size = 3;
	EXPECT_IS(quire_map(NULL, &small, &map), -EINVAL);
}

/* ---- arithmetic at the edges ---- */

static void sizes_at_the_end_of_the_number_line_are_refused(void **state)
{
	static const size_t lengths[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - PAGE + 1, SIZE_MAX - PAGE,
		SIZE_MAX / 2 + 1, (size_t)1 << 62, (size_t)INT64_MAX, (size_t)INT64_MAX - PAGE + 1 };
	char path[64];
	int fd = named_file_of(PAGE, path);
	struct quire_map *map = MAKE(.length = PAGE, .reserve_bytes = 2 * PAGE);

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t n = lengths[i];

		EXPECT(TRY(.length = n) < 0);
		EXPECT(TRY(.length = n, .sharing = QUIRE_SHARED, .kind = QUIRE_ANON) < 0);
		EXPECT(TRY(.path = path, .length = n) < 0);
		EXPECT(TRY(.kind = QUIRE_MEMFD, .length = n) < 0);
		EXPECT(TRY(.kind = QUIRE_MEMFD, .length = n, .page_bytes = 1 << 21) < 0);
		EXPECT(TRY(.kind = QUIRE_MEMFD, .length = n, .page_bytes = 1 << 21,
			       .huge = QUIRE_HUGE_OR_SMALL) < 0);
		EXPECT(TRY(.kind = QUIRE_ANON, .length = n, .page_bytes = 1 << 21,
			       .huge = QUIRE_HUGE_OR_SMALL) < 0);
		EXPECT(TRY(.kind = QUIRE_SECRET, .length = n) < 0);
		EXPECT(TRY(.kind = QUIRE_RESERVED, .length = n) < 0);
		EXPECT(TRY(.kind = QUIRE_DEVICE, .path = "/dev/zero", .length = n) < 0);
		EXPECT(TRY(.length = n, .flags = QUIRE_STACK) < 0);
		EXPECT(TRY(.length = PAGE, .flags = QUIRE_STACK, .guard_bytes = n) < 0);
		EXPECT(TRY(.length = PAGE, .reserve_bytes = n) < 0);
		EXPECT(TRY(.length = n, .placement = QUIRE_PLACE_EXACT,
			       .address = (void *)(uintptr_t)0x10000000) < 0);
		EXPECT(quire_map_resize(map, n, QUIRE_MAY_MOVE) < 0);
		EXPECT(quire_map_protect(map, n, 1, QUIRE_READ) < 0);
		EXPECT(quire_map_protect(map, PAGE, n - PAGE, QUIRE_READ) < 0);
		EXPECT(quire_map_unmap(map, 0, n - 1) < 0);
		EXPECT(quire_map_flush(map, 1, n - 1, QUIRE_FLUSH_SYNC) < 0);
		EXPECT(quire_map_residency(map, n, 1, NULL, NULL) < 0);
		EXPECT(quire_map_lock(map, n, 1, 0) < 0);
	}
	/* A hint is a hint, wherever it points. */
	EXPECT_IS(TRY(.length = 2 * PAGE, .placement = QUIRE_PLACE_HINT,
			  .address = (void *)(UINTPTR_MAX - 4095)),
		0);
	EXPECT_IS(TRY(.length = 2 * PAGE, .placement = QUIRE_PLACE_HINT, .address = (void *)(uintptr_t)12345),
		0);
	EXPECT_IS(quire_map_length(map), PAGE);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(unlink(path), 0);
}

static void a_missing_handle_is_an_error(void **state)
{
	(void)state;
	EXPECT_IS(quire_unmap(NULL), 0);
	EXPECT_IS(quire_map_unmap(NULL, 0, 1), -EINVAL);
	EXPECT_IS(quire_map_protect(NULL, 0, 1, QUIRE_READ), -EINVAL);
	EXPECT_IS(quire_map_resize(NULL, 1, 0), -EINVAL);
	EXPECT_IS(quire_map_move(NULL, NULL), -EINVAL);
	EXPECT_IS(quire_map_advise(NULL, 0, 1, QUIRE_RANDOM), -EINVAL);
	EXPECT_IS(quire_map_flush(NULL, 0, 1, QUIRE_FLUSH_SYNC), -EINVAL);
	EXPECT_IS(quire_map_lock(NULL, 0, 1, 0), -EINVAL);
	EXPECT_IS(quire_map_unlock(NULL, 0, 1), -EINVAL);
	EXPECT_IS(quire_map_residency(NULL, 0, 1, NULL, NULL), -EINVAL);
	EXPECT_IS(quire_map_preallocate(NULL, 0, 1), -EINVAL);
	EXPECT_IS(quire_map_place(NULL, 0, 1, QUIRE_NUMA_DEFAULT, 0), -EINVAL);
	EXPECT_IS(quire_map_name(NULL, "x"), -EINVAL);
	EXPECT_IS(quire_map_export(NULL, &(int){ 0 }), -EINVAL);
	EXPECT_IS(quire_map_send(NULL, 0), -EINVAL);
	EXPECT_IS(quire_map_seal(NULL, QUIRE_SEAL_GROW), -EINVAL);
	EXPECT_IS(quire_map_seals(NULL, &(unsigned int){ 0 }), -EINVAL);
	EXPECT_IS(quire_map_stat(NULL, &(struct quire_map_stat){ .size = sizeof(struct quire_map_stat) }),
		-EINVAL);
	EXPECT_IS(quire_map_describe(NULL, NULL, 0), -EINVAL);
	EXPECT_IS(quire_map_error(NULL, NULL), -EINVAL);
	EXPECT_IS(quire_map_repair(NULL), -EINVAL);
}

static void what_is_not_said_is_chosen(void **state)
{
	struct quire_map_stat stat = { .size = sizeof(stat) };
	struct quire_map *map = MAKE(.kind = QUIRE_KIND_AUTO, .sharing = QUIRE_SHARING_DEFAULT,
		.protection = QUIRE_PROTECTION_DEFAULT, .engine = QUIRE_ENGINE_AUTO, .length = PAGE);
	char path[64];
	int fd = named_file_of(PAGE, path);

	(void)state;
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.kind, QUIRE_ANON);
	EXPECT_IS(stat.sharing, QUIRE_PRIVATE);
	EXPECT_IS(stat.protection, QUIRE_READ | QUIRE_WRITE);
	EXPECT_IS(strcmp(stat.engine, "native"), 0); /* nothing asks for a pool */
	EXPECT_IS(quire_unmap(map), 0);
	map = MAKE(.path = path, .engine = QUIRE_ENGINE_NATIVE);
	EXPECT_IS(quire_map_stat(map, &stat), 0);
	EXPECT_IS(stat.kind, QUIRE_FILE);
	EXPECT_IS(stat.sharing, QUIRE_SHARED);
	EXPECT_IS(stat.protection, QUIRE_READ);
	EXPECT_IS(strcmp(stat.engine, "native"), 0);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(TRY(.path = path, .engine = QUIRE_ENGINE_NATIVE, .cache_bytes = 1 << 20), -EINVAL);
	EXPECT_IS(unlink(path), 0);
	EXPECT_IS(close(fd), 0);
}

static void an_address_space_is_closed_when_it_is_empty(void **state)
{
	struct quire *quire;
	struct quire_map *map;

	(void)state;
	EXPECT_IS(quire_open(NULL, NULL), -EINVAL);
	EXPECT_IS(quire_open(QUIRE_OPTIONS(open, .guard = QUIRE_GUARD_OFF), &quire), 0);
	EXPECT_IS(quire_map_anon(quire, PAGE, &map), 0);
	EXPECT_IS(quire_close(quire), -EBUSY);
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(quire_close(quire), 0);
	EXPECT_IS(quire_close(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anonymous_memory_is_private_zeros_by_default),
		cmocka_unit_test(anonymous_shared_memory_is_shared_with_children),
		cmocka_unit_test(a_private_file_keeps_its_bytes),
		cmocka_unit_test(a_shared_file_takes_the_stores),
		cmocka_unit_test(a_memfd_has_a_descriptor_and_a_name),
		cmocka_unit_test(secret_memory_is_hidden_from_the_kernels_view),
		cmocka_unit_test(shared_memory_is_found_by_its_name),
		cmocka_unit_test(devices_are_mapped_where_their_driver_allows),
		cmocka_unit_test(reserved_addresses_cannot_be_touched),
		cmocka_unit_test(what_cannot_be_mapped_is_refused_when_opened),
		cmocka_unit_test(a_descriptor_is_mapped_as_writable_as_it_is),
		cmocka_unit_test(options_out_of_range_are_refused),
		cmocka_unit_test(memory_is_never_writable_and_executable),
		cmocka_unit_test(options_of_other_versions_are_understood),
		cmocka_unit_test(sizes_at_the_end_of_the_number_line_are_refused),
		cmocka_unit_test(a_missing_handle_is_an_error),
		cmocka_unit_test(what_is_not_said_is_chosen),
		cmocka_unit_test(an_address_space_is_closed_when_it_is_empty),
	};

	return RUN(tests);
}
