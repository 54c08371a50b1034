/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <quire/inspect.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "inspect/ground.h"
#include "support/run.h"
#include "sys/probe.h"

#define ROOM (UINT64_C(64) << PAGE_SHIFT)

static char *anonymous(uint64_t bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	assert_int_equal(madvise(at, bytes, MADV_NOHUGEPAGE), 0);
	return at;
}

/* Our own mapping at an address. */
static struct quire_mapping find(const void *address, unsigned int detail, char *name, size_t name_bytes)
{
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps;
	int r;

	assert_int_equal(quire_maps_open(0, detail, &maps), 0);
	while ((r = quire_maps_next(maps, &mapping)) == 1)
		if (mapping.start <= (uintptr_t)address && (uintptr_t)address < mapping.end)
			break;
	assert_int_equal(r, 1);
	(void)snprintf(name, name_bytes, "%s", mapping.name);
	quire_maps_close(maps);
	return mapping;
}

static void a_mapping_is_told_as_it_was_made(void **state)
{
	char name[100];
	int fd = ground_file(16);
	char *at = mmap(NULL, 8 << PAGE_SHIFT, PROT_READ, MAP_SHARED, fd, 4 << PAGE_SHIFT);
	struct quire_mapping m = find(at + 1, 0, name, sizeof(name));
	struct stat about;

	(void)state;
	assert_int_equal(fstat(fd, &about), 0);
	assert_int_equal(m.start, (uintptr_t)at);
	assert_int_equal(m.end - m.start, 8 << PAGE_SHIFT);
	assert_int_equal(m.offset, 4 << PAGE_SHIFT);
	assert_int_equal(m.inode, about.st_ino);
	assert_int_equal(m.flags, QUIRE_MAPPING_READ | QUIRE_MAPPING_SHARED);
	assert_non_null(strstr(name, " (deleted)"));
	assert_int_equal(m.resident_bytes, QUIRE_UNKNOWN);
	assert_int_equal(munmap(at, 8 << PAGE_SHIFT), 0);
	close(fd);
}

static void figures_are_of_what_was_touched(void **state)
{
	char name[100];
	char *at = anonymous(ROOM);
	struct quire_mapping m;

	(void)state;
	memset(at, 1, 10 << PAGE_SHIFT);
	m = find(at, QUIRE_MAPS_FIGURES, name, sizeof(name));
	assert_true(m.resident_bytes >= 10 << PAGE_SHIFT);
	assert_true(m.anonymous_bytes >= 10 << PAGE_SHIFT);
	assert_true(m.dirty_bytes >= 10 << PAGE_SHIFT);
	assert_int_equal(m.page_bytes, 4096);
	assert_int_equal(m.locked_bytes, 0);
	assert_int_equal(munmap(at, ROOM), 0);
}

/* smaps and maps are two texts; both must name the same mappings, whatever the keys between them. */
static void both_details_tell_of_the_same_mappings(void **state)
{
	struct quire_mapping a = { .size = sizeof(a) }, b = { .size = sizeof(b) };
	struct quire_maps *brief, *full;
	unsigned int n = 0;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		(void)pause();
		_exit(0);
	}
	assert_int_equal(quire_maps_open(child, 0, &brief), 0);
	assert_int_equal(quire_maps_open(child, QUIRE_MAPS_FIGURES, &full), 0);
	for (; quire_maps_next(brief, &a) == 1; n++) {
		assert_int_equal(quire_maps_next(full, &b), 1);
		assert_int_equal(a.start, b.start);
		assert_int_equal(a.end, b.end);
		assert_string_equal(a.name, b.name);
		assert_true(b.resident_bytes + b.pool_bytes <= b.end - b.start);
	}
	assert_int_equal(quire_maps_next(full, &b), 0);
	assert_true(n > 5);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	quire_maps_close(brief);
	quire_maps_close(full);
	quire_maps_close(NULL);
}

static void pages_of_a_mapping_follow_each_other(void **state)
{
	uint64_t at = 0, present = 0, first = 0;
	char *memory = anonymous(ROOM);
	struct quire_pages *pages;
	struct quire_run run;
	bool masked = sys_probe(PROBE_PAGEMAP_SCAN).masked;

	(void)state;
	for (unsigned int i = 0; i < 64; i += 3)
		memory[(uint64_t)i << PAGE_SHIFT] = 1;
	assert_int_equal(quire_pages_open(0, (uintptr_t)memory, ROOM, &pages), 0);
	assert_int_equal((quire_pages_known(pages) & QUIRE_PAGE_HUGE) == 0, masked);
	first = at = (uintptr_t)memory >> PAGE_SHIFT;
	while (quire_pages_next(pages, &run) == 1) {
		assert_int_equal(run.page, at);
		for (uint64_t i = run.page; i < run.page + run.pages; i++)
			assert_int_equal((run.state & QUIRE_PAGE_PRESENT) != 0, (i - first) % 3 == 0);
		present += (run.state & QUIRE_PAGE_PRESENT) != 0 ? run.pages : 0;
		at += run.pages;
	}
	assert_int_equal(at, first + 64);
	assert_int_equal(present, 22);
	quire_pages_close(pages);
	quire_pages_close(NULL);
	assert_int_equal(munmap(memory, ROOM), 0);
}

/* More runs than one system call returns. */
static void many_runs_are_told_without_a_gap(void **state)
{
	enum { PAGES = 6000 };
	char *memory = anonymous((uint64_t)PAGES << PAGE_SHIFT);
	struct quire_pages *pages;
	struct quire_run run;
	uint64_t at = (uintptr_t)memory >> PAGE_SHIFT, runs = 0;

	(void)state;
	for (unsigned int i = 0; i < PAGES; i += 2)
		memory[(uint64_t)i << PAGE_SHIFT] = 1;
	assert_int_equal(quire_pages_open(0, (uintptr_t)memory, (uint64_t)PAGES << PAGE_SHIFT, &pages), 0);
	for (; quire_pages_next(pages, &run) == 1; runs++) {
		assert_int_equal(run.page, at);
		assert_int_equal(run.pages, 1);
		at++;
	}
	assert_int_equal(runs, PAGES);
	quire_pages_close(pages);
	assert_int_equal(munmap(memory, (uint64_t)PAGES << PAGE_SHIFT), 0);
}

static void sums_of_a_process_are_told(void **state)
{
	struct quire_process p = { .size = sizeof(p) };

	(void)state;
	assert_int_equal(quire_process_read(getpid(), QUIRE_PROCESS_SHARES, &p), 0);
	assert_int_equal(p.pid, getpid());
	assert_int_equal(p.user, geteuid());
	assert_true(p.resident_bytes > 0 && p.resident_bytes <= p.virtual_bytes);
	assert_int_equal(p.resident_bytes, p.anonymous_bytes + p.file_bytes + p.shared_memory_bytes);
	assert_true(p.share_bytes != QUIRE_UNKNOWN && p.private_bytes <= p.share_bytes + (1 << 20));
	assert_string_equal(p.why, "");

	assert_int_equal(quire_process_read(getpid(), 0, &p), 0);
	assert_int_equal(p.share_bytes, QUIRE_UNKNOWN);
	assert_int_equal(quire_process_read(1 << 29, 0, &p), -ESRCH);
	assert_int_equal(quire_process_read(getpid(), 1U << 9, &p), -EINVAL);
}

static void names_of_processes_are_lines_whatever_is_in_them(void **state)
{
	struct quire_process p = { .size = sizeof(p) };
	char before[16];

	(void)state;
	assert_int_equal(prctl(PR_GET_NAME, before), 0);
	assert_int_equal(prctl(PR_SET_NAME, "a\nVmRSS:\t7 kB"), 0);
	assert_int_equal(quire_process_read(getpid(), 0, &p), 0);
	assert_string_equal(p.name, "a\\nVmRSS:\t7 kB");
	assert_true(p.resident_bytes > 7 << 10);
	assert_int_equal(prctl(PR_SET_NAME, before), 0);
}

static void a_process_that_ends_ends_the_list(void **state)
{
	struct quire_mapping m = { .size = sizeof(m) };
	struct quire_maps *maps;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		(void)pause();
		_exit(0);
	}
	assert_int_equal(quire_maps_open(child, 0, &maps), 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	while (quire_maps_next(maps, &m) == 1)
		; /* what was read before it ended */
	quire_maps_close(maps);
	assert_int_equal(quire_maps_open(child, 0, &maps), -ESRCH);
}

static void who_maps_a_file_is_found_with_what_he_touched(void **state)
{
	struct quire_mapper mapper = { .size = sizeof(mapper) }, mine = { .size = 0 };
	int fd = ground_file(32);
	char *at = mmap(NULL, 32 << PAGE_SHIFT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct quire_mappers *mappers;
	volatile char byte;

	(void)state;
	for (unsigned int i = 0; i < 32; i++)
		byte = at[i << PAGE_SHIFT];
	(void)byte;
	assert_int_equal(quire_mappers_open(fd, &mappers), 0);
	while (quire_mappers_next(mappers, &mapper) == 1)
		if (mapper.pid == getpid())
			mine = mapper;
	assert_true(quire_mappers_hidden(mappers) < 1 << 20);
	quire_mappers_close(mappers);
	quire_mappers_close(NULL);
	assert_int_equal(mine.pid, getpid());
	assert_int_equal(mine.mappings, 1);
	assert_int_equal(mine.mapped_bytes, 32 << PAGE_SHIFT);
	assert_int_equal(mine.present_bytes, 32 << PAGE_SHIFT);
	assert_int_equal(mine.writes, 1);
	assert_int_equal(munmap(at, 32 << PAGE_SHIFT), 0);
	close(fd);
}

/* Else a machine that starts processes faster than we look at them keeps us for ever. */
static void a_process_born_under_the_look_is_not_part_of_it(void **state)
{
	struct quire_mapper mapper = { .size = sizeof(mapper) };
	int fd = ground_file(1);
	void *at = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	struct quire_mappers *mappers;
	unsigned int others = 0;
	pid_t child;

	(void)state;
	assert_int_equal(quire_mappers_open(fd, &mappers), 0);
	child = fork(); /* with the mapping */
	if (child == 0)
		for (;;)
			pause();
	while (quire_mappers_next(mappers, &mapper) == 1)
		others += mapper.pid != getpid();
	quire_mappers_close(mappers);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(others, 0);
	assert_int_equal(munmap(at, PAGE_BYTES), 0);
	close(fd);
}

static void the_machine_s_memory_adds_up(void **state)
{
	struct quire_memory memory = { .size = sizeof(memory) };

	(void)state;
	assert_int_equal(quire_memory_read(&memory), 0);
	assert_true(memory.total_bytes > memory.free_bytes);
	assert_true(memory.available_bytes <= memory.total_bytes);
	assert_true(memory.swap_free_bytes <= memory.swap_bytes);
	memory.size = 1;
	assert_int_equal(quire_memory_read(&memory), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_is_told_as_it_was_made),
		cmocka_unit_test(figures_are_of_what_was_touched),
		cmocka_unit_test(both_details_tell_of_the_same_mappings),
		cmocka_unit_test(pages_of_a_mapping_follow_each_other),
		cmocka_unit_test(many_runs_are_told_without_a_gap),
		cmocka_unit_test(sums_of_a_process_are_told),
		cmocka_unit_test(names_of_processes_are_lines_whatever_is_in_them),
		cmocka_unit_test(a_process_that_ends_ends_the_list),
		cmocka_unit_test(who_maps_a_file_is_found_with_what_he_touched),
		cmocka_unit_test(a_process_born_under_the_look_is_not_part_of_it),
		cmocka_unit_test(the_machine_s_memory_adds_up),
	};

	return RUN(tests);
}
