/* SPDX-License-Identifier: Apache-2.0 */
/* A limit that was met is named, with the figure now, the limit, and the way to raise it. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/vma.h"

enum { MIB = 1 << 20 };

static int try(struct quire_map_options options)
{
	struct quire_map *map = NULL;
	int r;

	options.size = sizeof(options);
	r = quire_map(NULL, &options, &map);
	if (r == 0)
		EXPECT_IS(quire_unmap(map), 0);
	return r;
}

#define TRY(...) try((struct quire_map_options){ __VA_ARGS__ })

static char *bytes_of(struct quire_map *map)
{
	return quire_map_address(map);
}

static bool says(const char *words)
{
	return strstr(quire_error_text(), words) != NULL;
}

static bool says_number(uint64_t number)
{
	char digits[32];

	(void)snprintf(digits, sizeof(digits), "%" PRIu64, number);
	return says(digits);
}

static void limit_to(__rlimit_resource_t resource, uint64_t bytes)
{
	const struct rlimit limit = { bytes, bytes };

	EXPECT_IS(setrlimit(resource, &limit), 0);
}

static void too_many_mappings_body(void *argument)
{
	long long most = number_in("/proc/sys/vm/max_map_count");
	struct quire_map *map;
	size_t pages = (size_t)most;
	void *last = NULL;
	char *bytes;

	(void)argument;
	EXPECT(most > 0);
	if (most > 100000)
		child_skips("vm.max_map_count is too large to fill up");
	/* Every other page of another protection: two kernel mappings a pair. Raw calls: Quire's own list would only slow it. */
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .length = 8 * PAGE, .flags = QUIRE_NO_DUMP), &map),
		0); /* merges with nothing */
	bytes = mmap(NULL, pages * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	EXPECT(bytes != MAP_FAILED);
	for (size_t i = 0; i < pages; i += 2)
		if (mprotect(bytes + i * PAGE, PAGE, PROT_NONE) < 0)
			break;
	for (int i = 0; i < 10 && last != MAP_FAILED; i++)
		last = mmap(NULL, PAGE, i % 2 ? PROT_NONE : PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	EXPECT_IS(TRY(.length = PAGE, .sharing = QUIRE_SHARED, .kind = QUIRE_ANON), -ENOMEM);
	EXPECT(says("max_map_count"));
	EXPECT(says_number((uint64_t)most));
	EXPECT(says("sysctl"));
	EXPECT_IS(quire_map_protect(map, PAGE, PAGE, QUIRE_READ), -ENOMEM);
	EXPECT(says("max_map_count"));
	EXPECT_IS(quire_map_unmap(map, PAGE, PAGE), -ENOMEM);
	EXPECT(says("max_map_count"));
	/* What was refused left everything as it was. */
	bytes_of(map)[PAGE] = 'x';
	EXPECT_IS(vma_count(bytes_of(map), 8 * PAGE), 1);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(too_many_mappings)

static void the_address_space_limit_body(void *argument)
{
	struct quire_map *map;
	uint64_t now;

	(void)argument;
	EXPECT_IS(quire_map_anon(NULL, PAGE, &map), 0);
	now = status_kib("VmSize:");
	limit_to(RLIMIT_AS, (now << 10) + 8 * MIB);
	EXPECT_IS(TRY(.length = 16 * MIB), -ENOMEM);
	EXPECT(says("RLIMIT_AS"));
	EXPECT(says("16384 KiB more"));
	EXPECT(says_number(now + 8192));
	EXPECT(says("ulimit -v"));
	EXPECT(says("LimitAS="));
	EXPECT_IS(quire_map_resize(map, 16 * MIB, QUIRE_MAY_MOVE), -ENOMEM);
	EXPECT(says("RLIMIT_AS"));
	EXPECT_IS(TRY(.length = MIB), 0);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(the_address_space_limit)

static void the_data_limit_body(void *argument)
{
	struct quire_map *map;
	uint64_t now = status_kib("VmData:");

	(void)argument;
	limit_to(RLIMIT_DATA, (now << 10) + 4 * MIB);
	EXPECT_IS(TRY(.length = 16 * MIB), -ENOMEM);
	EXPECT(says("RLIMIT_DATA"));
	EXPECT(says("ulimit -d"));
	EXPECT(says("LimitDATA="));
	/* It counts private writable memory only. */
	EXPECT_IS(TRY(.length = 16 * MIB, .sharing = QUIRE_SHARED, .kind = QUIRE_ANON), 0);
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .length = 16 * MIB, .protection = QUIRE_READ), &map), 0);
	EXPECT_IS(quire_map_protect(map, 0, QUIRE_TO_END, QUIRE_READ | QUIRE_WRITE), -ENOMEM);
	EXPECT(says("RLIMIT_DATA"));
	EXPECT(vma_permits(quire_map_address(map), "r--p"));
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(the_data_limit)

static void be_nobody(void)
{
	if (geteuid() == 0)
		EXPECT_IS(setresuid(65534, 65534, 65534), 0);
}

static void the_limit_of_locked_memory_body(void *argument)
{
	struct quire_map *map, *kept;

	(void)argument;
	limit_to(RLIMIT_MEMLOCK, 16 * PAGE);
	be_nobody();
	EXPECT_IS(TRY(.length = 32 * PAGE, .flags = QUIRE_LOCKED), -EAGAIN);
	EXPECT(says("RLIMIT_MEMLOCK"));
	EXPECT(says("locking 128 KiB"));
	EXPECT(says("64 KiB"));
	EXPECT(says("ulimit -l"));
	EXPECT_IS(status_kib("VmLck:"), 0);
	EXPECT_IS(quire_map_anon(NULL, 32 * PAGE, &map), 0);
	EXPECT_IS(quire_map_lock(map, 0, 8 * PAGE, 0), 0);
	EXPECT_IS(quire_map_lock(map, 0, QUIRE_TO_END, 0), -ENOMEM);
	EXPECT(says("32 of RLIMIT_MEMLOCK"));
	/* Growth that is refused leaves the addresses kept: nobody else can settle there. */
	EXPECT_IS(
		quire_map(NULL,
			QUIRE_OPTIONS(map, .length = PAGE, .reserve_bytes = 64 * PAGE, .flags = QUIRE_LOCKED),
			&kept),
		0);
	EXPECT_IS(quire_map_resize(kept, 64 * PAGE, 0), -EAGAIN);
	EXPECT(says("RLIMIT_MEMLOCK"));
	EXPECT(vma_permits((char *)quire_map_address(kept) + 32 * PAGE, "---p"));
	EXPECT_IS(quire_map_resize(kept, 4 * PAGE, 0), 0);
	EXPECT_IS(quire_unmap(kept), 0);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(the_limit_of_locked_memory)

static void who_may_lock_nothing_is_told_body(void *argument)
{
	struct quire_map *map;

	(void)argument;
	limit_to(RLIMIT_MEMLOCK, 0);
	be_nobody();
	EXPECT_IS(TRY(.length = PAGE, .flags = QUIRE_LOCKED), -EPERM);
	EXPECT(says("RLIMIT_MEMLOCK is 0"));
	EXPECT_IS(quire_map_anon(NULL, PAGE, &map), 0);
	EXPECT_IS(quire_map_lock(map, 0, PAGE, 0), -EPERM);
	EXPECT(says("RLIMIT_MEMLOCK is 0"));
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(who_may_lock_nothing_is_told)

/* Dead pages cannot be locked either: then no limit is blamed. */
static void a_limit_that_was_not_met_is_not_blamed_body(void *argument)
{
	int fd = file_of(PAGE);
	struct quire_map *map;

	(void)argument;
	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .length = 4 * PAGE), &map), 0);
	EXPECT_IS(quire_map_lock(map, 0, QUIRE_TO_END, 0), -ENOMEM);
	EXPECT(!says("MEMLOCK"));
	EXPECT(!says("no free range"));
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_limit_that_was_not_met_is_not_blamed)

static void the_lowest_address_body(void *argument)
{
	long long lowest = number_in("/proc/sys/vm/mmap_min_addr");

	(void)argument;
	be_nobody();
	if (lowest <= PAGE)
		child_skips("vm.mmap_min_addr allows every address");
	EXPECT_IS(TRY(.length = PAGE, .placement = QUIRE_PLACE_EXACT, .address = (void *)(uintptr_t)PAGE),
		-EPERM);
	EXPECT(says("mmap_min_addr"));
	EXPECT(says_number((uint64_t)lowest));
}

/* Where the lowest address is a page, the next one cannot be asked for: root raises it for a moment. */
static void the_lowest_address(void **state)
{
	static const char path[] = "/proc/sys/vm/mmap_min_addr";
	long long before = number_in(path);
	bool raised = before <= PAGE && number_write(path, 65536);
	int status = child_status(the_lowest_address_body, NULL);

	(void)state;
	if (raised)
		EXPECT(number_write(path, before));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	EXPECT_IS(status, 0);
}

static void more_than_the_machine_has_body(void *argument)
{
	/* Sanitizers leave less address space than the processor has. */
	size_t much = (size_t)sysconf(_SC_PHYS_PAGES) * PAGE * 8;

	(void)argument;
	if (number_in("/proc/sys/vm/overcommit_memory") != 0)
		child_skips("vm.overcommit_memory is not 0");
	EXPECT_IS(TRY(.length = much), -ENOMEM);
	EXPECT(says("overcommit_memory"));
	EXPECT(says("QUIRE_NO_RESERVE"));
	EXPECT_IS(TRY(.length = much, .flags = QUIRE_NO_RESERVE), 0);
	EXPECT_IS(TRY(.length = (size_t)1 << 50, .flags = QUIRE_NO_RESERVE), -ENOMEM);
	EXPECT(says("address space"));
}
CHILD_CASE(more_than_the_machine_has)

static void a_small_dev_shm_body(void *argument)
{
	struct quire_map *map = NULL;

	(void)argument;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/dev/shm", "tmpfs", 0, "size=1m") < 0)
		child_skips("this user may not mount");
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .kind = QUIRE_SHM, .path = "/quire-small", .length = 4 * MIB,
				  .flags = QUIRE_CREATE | QUIRE_EXCLUSIVE | QUIRE_PREALLOCATE),
			  &map),
		-ENOSPC);
	EXPECT(says("4096 KiB"));
	EXPECT(says("1024 of 1024 KiB free"));
	EXPECT(says("remount,size="));
	EXPECT_IS(shm_unlink("/quire-small"), -1); /* made in vain, and gone */
	EXPECT_IS(errno, ENOENT);
}
CHILD_CASE(a_small_dev_shm)

static void too_many_open_files_body(void *argument)
{
	struct quire_map *map = NULL;
	int fd = file_of(PAGE);

	(void)argument;
	limit_to(RLIMIT_NOFILE, (uint64_t)fd + 1);
	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), -EMFILE);
	EXPECT(says("Too many open files"));
	EXPECT_IS(TRY(.kind = QUIRE_MEMFD, .length = PAGE), -EMFILE);
	EXPECT_IS(TRY(.path = "/etc/passwd"), -EMFILE);
}
CHILD_CASE(too_many_open_files)

static void the_largest_file_body(void *argument)
{
	struct quire_map *map = NULL;
	int fd = file_of(PAGE);

	(void)argument;
	(void)signal(SIGXFSZ, SIG_IGN);
	limit_to(RLIMIT_FSIZE, MIB);
	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), 0);
	EXPECT_IS(quire_map_resize(map, 2 * MIB, QUIRE_MAY_MOVE), -EFBIG);
	EXPECT_IS(quire_map_length(map), PAGE);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(the_largest_file)

/* Bit i: feature i is there. */
static uint64_t features_found(void)
{
	struct quire_feature feature = { .size = sizeof(feature) };
	uint64_t found = 0;

	for (unsigned int i = 0; i < 64 && quire_features(i, NULL, &feature) == 1; i++)
		found |= (uint64_t)(feature.available != 0) << i;
	return found;
}

static void features_body(void *argument)
{
	*(uint64_t *)argument = features_found();
}

static void features_later_body(void *argument)
{
	uint64_t *found = argument;
	struct rlimit before;
	struct rlimit none;

	EXPECT_IS(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	EXPECT_IS(setrlimit(RLIMIT_NOFILE, &none), 0);
	found[0] = features_found();
	EXPECT_IS(setrlimit(RLIMIT_NOFILE, &before), 0);
	found[1] = features_found();
}

/* What could not be found out for want of descriptors is asked again, and not held to be missing for ever. */
static void a_feature_nobody_could_ask_for(void **state)
{
	uint64_t *found = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	EXPECT(found != MAP_FAILED);
	child_passes(features_body, found);
	child_passes(features_later_body, found + 1);
	print_message("# features %llx, without descriptors %llx\n", (unsigned long long)found[0],
		(unsigned long long)found[1]);
	EXPECT(found[1] != found[0]); /* some need a descriptor */
	EXPECT_IS(found[2], found[0]);
	EXPECT_IS(munmap(found, PAGE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_many_mappings),
		cmocka_unit_test(the_address_space_limit),
		cmocka_unit_test(the_data_limit),
		cmocka_unit_test(the_limit_of_locked_memory),
		cmocka_unit_test(who_may_lock_nothing_is_told),
		cmocka_unit_test(a_limit_that_was_not_met_is_not_blamed),
		cmocka_unit_test(the_lowest_address),
		cmocka_unit_test(more_than_the_machine_has),
		cmocka_unit_test(a_small_dev_shm),
		cmocka_unit_test(too_many_open_files),
		cmocka_unit_test(the_largest_file),
		cmocka_unit_test(a_feature_nobody_could_ask_for),
	};

	return RUN(tests);
}
