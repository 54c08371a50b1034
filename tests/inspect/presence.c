/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <quire/inspect.h>

#include "inspect/ground.h"
#include "support/run.h"
#include "sys/probe.h"
#include "sys/proc.h"
#include "sys/uapi.h"

static struct quire_presence read_all(int fd, unsigned int flags)
{
	struct quire_presence presence = { .size = sizeof(presence) };

	assert_int_equal(quire_presence_read(fd, 0, QUIRE_UNKNOWN, flags, &presence), 0);
	return presence;
}

/* What is written or being written back, by the kernel's own word. Others' syncs take from it at any moment; nothing adds. */
static uint64_t unwritten(int fd)
{
	struct sys_cachestat counts = { .dirty = 0 };

	assert_int_equal(sys_cachestat(fd, 0, UINT64_MAX >> 1, &counts), 0);
	return counts.dirty + counts.writeback;
}

static void a_written_file_is_cached_ready_and_dirty(void **state)
{
	bool masked = sys_probe(PROBE_CACHESTAT).masked;
	int fd = ground_file(1000);
	uint64_t before = masked ? 0 : unwritten(fd);
	struct quire_presence presence = read_all(fd, QUIRE_PRESENCE_READY);

	(void)state;
	assert_int_equal(presence.pages, 1000);
	assert_int_equal(presence.ready, 1000);
	if (masked) {
		assert_int_equal(presence.cached, QUIRE_UNKNOWN);
		assert_int_equal(presence.dirty, QUIRE_UNKNOWN);
		assert_string_not_equal(presence.why, "");
	} else {
		assert_int_equal(presence.cached, 1000);
		assert_in_range(presence.dirty + presence.writing, unwritten(fd), before);
		assert_string_equal(presence.why, "");
	}
	close(fd);
}

static void looking_does_not_change_the_cache(void **state)
{
	int fd = ground_file(5000);
	struct quire_runs *runs;
	struct quire_run run;
	uint64_t before;

	(void)state;
	ground_drop(fd, 1000, 3000);
	before = ground_count(fd);
	for (int i = 0; i < 10; i++) {
		(void)read_all(fd, QUIRE_PRESENCE_READY);
		assert_int_equal(quire_runs_open(fd, 0, QUIRE_UNKNOWN, QUIRE_PAGE_READY, &runs), 0);
		while (quire_runs_next(runs, &run) == 1)
			;
		quire_runs_close(runs);
	}
	assert_int_equal(ground_count(fd), before);
	close(fd);
}

/* mincore alone would take two minutes for these holes, and older kernels have nothing else. */
static void holes_of_a_memory_file_take_no_time(void **state)
{
	struct quire_presence presence;
	int fd = memfd_create("sparse", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(fcntl(fd, F_SETFL, O_NOATIME), 0); /* or mincore may not be asked */
	assert_int_equal(ftruncate(fd, (off_t)1 << 44), 0);
	for (off_t page = 0; page < 8; page++)
		assert_int_equal(pwrite(fd, "x", 1, ((off_t)1 << 43) + (page << PAGE_SHIFT)), 1);
	assert_int_equal(pwrite(fd, "x", 1, ((off_t)1 << 44) - 1), 1);
	assert_int_equal(lseek(fd, 12345, SEEK_SET), 12345);
	presence = read_all(fd, QUIRE_PRESENCE_READY);
	assert_int_equal(presence.ready, 9);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 12345);
	close(fd);
}

static void an_empty_file_is_known_to_everybody(void **state)
{
	int fd = ground_file(0);
	struct quire_presence presence = read_all(fd, QUIRE_PRESENCE_READY);

	(void)state;
	assert_int_equal(presence.pages, 0);
	assert_int_equal(presence.cached, 0);
	assert_string_equal(presence.why, "");
	close(fd);
}

/* The only FIFO reader would wake a writer that waits in open(2). */
static void what_is_no_regular_file_is_not_opened(void **state)
{
	char directory[] = GROUND "/quire-test-XXXXXX";
	char fifo[64];
	int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(quire_presence_open(AT_FDCWD, fifo, &fd), -ENODEV);
	assert_int_equal(quire_presence_open(AT_FDCWD, directory, &fd), -EISDIR);
	assert_int_equal(quire_presence_open(AT_FDCWD, "/dev/null", &fd), -ENODEV);
	assert_int_equal(quire_presence_open(AT_FDCWD, "/no/such/file", &fd), -ENOENT);
	assert_int_equal(fd, -1);
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(rmdir(directory), 0);
}

/* The trap that all the usual tools step into: a reader is told that everything is resident. */
static void who_may_not_know_is_told_so(void **state)
{
	struct quire_presence presence;
	struct quire_runs *runs = NULL;
	bool root = geteuid() == 0;
	int fd = -1;

	(void)state;
	if (root)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(quire_presence_open(AT_FDCWD, "/etc/passwd", &fd), 0);
	presence = read_all(fd, QUIRE_PRESENCE_READY);
	assert_int_equal(presence.ready, QUIRE_UNKNOWN);
	assert_int_equal(presence.cached, QUIRE_UNKNOWN);
	assert_int_equal(presence.evicted, QUIRE_UNKNOWN);
	assert_non_null(strstr(presence.why, "owner"));
	assert_int_equal(quire_runs_open(fd, 0, QUIRE_UNKNOWN, 0, &runs), -EPERM);
	assert_null(runs);
	close(fd);
	if (root)
		assert_int_equal(seteuid(0), 0);
}

static void a_range_outside_of_the_file_is_empty(void **state)
{
	struct quire_presence presence = { .size = sizeof(presence) };
	int fd = ground_file(10);

	(void)state;
	assert_int_equal(quire_presence_read(fd, 1 << 20, 4096, 0, &presence), 0);
	assert_int_equal(presence.pages, 0);
	assert_int_equal(quire_presence_read(fd, 40959, UINT64_MAX - 1, 0, &presence), 0);
	assert_int_equal(presence.pages, 1);
	presence.size = 3;
	assert_int_equal(quire_presence_read(fd, 0, 1, 0, &presence), -EINVAL);
	close(fd);
}

static void filesystems_are_known_by_name(void **state)
{
	struct quire_filesystem fs = { .size = sizeof(fs) };
	struct quire_filesystem small = { .size = offsetof(struct quire_filesystem, name) };

	(void)state;
	assert_int_equal(quire_filesystem("/proc", &fs), 0);
	assert_string_equal(fs.name, "proc");
	assert_int_equal(fs.backing, QUIRE_BACKING_PSEUDO);
	assert_true(fs.meaning[0] != '\0');
	assert_int_equal(quire_filesystem("/proc/self/maps", &small), 0);
	assert_int_equal(small.backing, QUIRE_BACKING_PSEUDO);
	assert_int_equal(small.size, offsetof(struct quire_filesystem, name));
	assert_null(small.name); /* an older program's struct ends before it */
	assert_int_equal(quire_filesystem("/no/such/path", &fs), -ENOENT);
	assert_int_equal(quire_filesystem(NULL, &fs), -EINVAL);
	assert_int_equal(quire_filesystem("/proc", &(struct quire_filesystem){ .size = 0 }), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filesystems_are_known_by_name),
		cmocka_unit_test(a_written_file_is_cached_ready_and_dirty),
		cmocka_unit_test(looking_does_not_change_the_cache),
		cmocka_unit_test(holes_of_a_memory_file_take_no_time),
		cmocka_unit_test(an_empty_file_is_known_to_everybody),
		cmocka_unit_test(what_is_no_regular_file_is_not_opened),
		cmocka_unit_test(who_may_not_know_is_told_so),
		cmocka_unit_test(a_range_outside_of_the_file_is_empty),
	};

	return RUN(tests);
}
