/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead pages: which kinds of memory, which policies, and what repair brings back. Causes other than truncation are in
 * pmap/causes.c, races in pmap/race.c, other handlers in trap/chain.c.
 */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/guard.h>
#include <quire/quire.h>

#include "pmap/guard.h"
#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/vma.h"

static volatile char sink;

static char load(struct quire_map *map, size_t page)
{
	return sink = *(volatile char *)at(map, page);
}

static void store(struct quire_map *map, size_t page, char byte)
{
	*(volatile char *)at(map, page) = byte;
}

static struct quire_map *guarded_fd(int fd, struct quire_map_options options)
{
	struct quire_map *map = NULL;

	options.size = sizeof(options);
	if (options.guard == QUIRE_GUARD_DEFAULT)
		options.guard = QUIRE_GUARD_ZEROS;
	EXPECT_IS(quire_map_fd(NULL, fd, &options, &map), 0);
	return map;
}

#define GUARDED(fd, ...) guarded_fd(fd, (struct quire_map_options){ __VA_ARGS__ })

/* ---- truncation: every kind with a file behind it ---- */

struct kind {
	int fd;
	uint32_t sharing;
};

/* Eight pages, cut to three and a bit. */
static void truncation_in(struct kind kind)
{
	struct quire_fault fault = { .size = sizeof(fault) };
	struct quire_map *map = GUARDED(
		kind.fd, .sharing = kind.sharing, .protection = QUIRE_READ | QUIRE_WRITE);

	EXPECT_IS(load(map, 7), 'h');
	EXPECT_IS(ftruncate(kind.fd, 3 * PAGE + 100), 0);
	EXPECT_IS(at(map, 5)[7], 0);
	EXPECT_IS(quire_map_error(map, &fault), -ENODATA);
	EXPECT_IS(fault.cause, QUIRE_CAUSE_TRUNCATED);
	EXPECT_IS(fault.offset, 5 * PAGE + 7);
	EXPECT_IS(fault.write, 0);
	EXPECT_IS(fault.count, 1);
	EXPECT(fault.address == at(map, 5) + 7);
	EXPECT(strstr(quire_error_text(), "truncated"));
	/* Neighbours are intact, the tail is there at once, the byte at the end of the file is the file's. */
	EXPECT_IS(load(map, 2), 'c');
	EXPECT_IS(at(map, 3)[99], 'd');
	store(map, 6, 'x');
	EXPECT_IS(load(map, 6), 'x');
	EXPECT_IS(load(map, 4), 0);
	EXPECT_IS(quire_map_error(map, &fault), -ENODATA);
	EXPECT_IS(fault.count, 1);
	/* The error sticks to every call that would answer for bytes that are not there. */
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC), -ENODATA);
	EXPECT_IS(quire_map_lock(map, 0, QUIRE_TO_END, 0), -ENODATA);
	EXPECT_IS(quire_map_resize(map, PAGE, 0), -ENODATA);
	EXPECT_IS(quire_map_repair(map), -ENODATA);
	EXPECT_IS(load(map, 6), 'x');
	/* Grown back: the same pointers show the file, the stand-in's store is gone. */
	fill_pages(kind.fd, (size_t)8 * PAGE);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(quire_map_error(map, NULL), 0);
	EXPECT_IS(load(map, 6), 'g');
	EXPECT_IS(load(map, 7), 'h');
	EXPECT_IS(vma_count(at(map, 0), (size_t)8 * PAGE), 1);
	store(map, 6, 'y');
	if (kind.sharing == QUIRE_SHARED) {
		EXPECT_IS(pread(kind.fd, (void *)(uintptr_t)&sink, 1, 6 * PAGE), 1);
		EXPECT_IS(sink, 'y');
	}
	/* And once more: the guard is as good as new. */
	EXPECT_IS(ftruncate(kind.fd, 0), 0);
	EXPECT_IS(load(map, 0), 0);
	EXPECT_IS(quire_map_error(map, &fault), -ENODATA);
	EXPECT_IS(fault.offset, 0);
	EXPECT_IS(quire_unmap(map), 0);
}

static int memfd_of(size_t bytes)
{
	int fd = memfd_create("guard", MFD_CLOEXEC);

	EXPECT(fd >= 0);
	fill_pages(fd, bytes);
	return fd;
}

static void a_cut_shared_file_reads_as_zeros_and_comes_back_body(void *argument)
{
	(void)argument;
	truncation_in((struct kind){ file_of((size_t)8 * PAGE), QUIRE_SHARED });
}
CHILD_CASE(a_cut_shared_file_reads_as_zeros_and_comes_back)

static void a_cut_private_file_reads_as_zeros_and_comes_back_body(void *argument)
{
	(void)argument;
	truncation_in((struct kind){ file_of((size_t)8 * PAGE), QUIRE_PRIVATE });
}
CHILD_CASE(a_cut_private_file_reads_as_zeros_and_comes_back)

static void a_cut_memfd_reads_as_zeros_and_comes_back_body(void *argument)
{
	(void)argument;
	truncation_in((struct kind){ memfd_of((size_t)8 * PAGE), QUIRE_SHARED });
	truncation_in((struct kind){ memfd_of((size_t)8 * PAGE), QUIRE_PRIVATE });
}
CHILD_CASE(a_cut_memfd_reads_as_zeros_and_comes_back)

static void several_guarded_mappings_are_served_in_any_order_body(void *argument)
{
	struct quire_map *maps[5];

	(void)argument;
	for (size_t i = 0; i < 5; i++) {
		int fd = file_of((size_t)8 * PAGE);

		maps[i] = GUARDED(fd, .protection = QUIRE_READ);
		EXPECT_IS(ftruncate(fd, PAGE), 0);
		EXPECT_IS(close(fd), 0);
	}
	for (size_t i = 0; i < 5; i++) {
		size_t one = i * 3 % 5;

		EXPECT_IS(load(maps[one], 1 + i), 0);
		EXPECT_IS(quire_map_error(maps[one], NULL), -ENODATA);
	}
	for (size_t i = 0; i < 5; i++)
		EXPECT_IS(quire_unmap(maps[4 - i]), 0);
}
CHILD_CASE(several_guarded_mappings_are_served_in_any_order)

/* ---- policies ---- */

static struct quire_fault seen;
static volatile int seen_count;
static int action;
static int mend_fd = -1;

static int note(const struct quire_fault *fault, void *user)
{
	seen = *fault;
	seen_count++;
	if (user)
		*(int *)user += 1;
	if (mend_fd >= 0)
		(void)!ftruncate(mend_fd, (off_t)8 * PAGE);
	return action;
}

static struct quire_map *with_callback(int fd, int wanted, void *user)
{
	action = wanted;
	return GUARDED(fd, .guard = QUIRE_GUARD_CALLBACK, .on_fault = note, .user = user,
		.protection = QUIRE_READ | QUIRE_WRITE);
}

static void a_callback_is_told_of_the_fault_and_may_choose_zeros_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	int calls = 0;
	struct quire_map *map = with_callback(fd, QUIRE_FAULT_ZEROS, &calls);

	(void)argument;
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	store(map, 2, 'x');
	EXPECT_IS(load(map, 2), 'x');
	EXPECT_IS(calls, 1);
	EXPECT_IS(seen.size, sizeof(seen));
	EXPECT_IS(seen.cause, QUIRE_CAUSE_TRUNCATED);
	EXPECT_IS(seen.error, -ENODATA);
	EXPECT_IS(seen.offset, 2 * PAGE);
	EXPECT_IS(seen.write, 1);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_callback_is_told_of_the_fault_and_may_choose_zeros)

/* As often as it takes: a mended page is no stand-in, however many times the file was cut before. */
static void a_callback_may_mend_the_file_again_and_again_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = with_callback(fd, QUIRE_FAULT_RETRY, NULL);

	(void)argument;
	mend_fd = fd;
	for (int i = 1; i <= 50; i++) {
		EXPECT_IS(ftruncate(fd, 0), 0);
		store(map, 3, 'x');
		EXPECT_IS(seen_count, i);
		EXPECT_IS(pread(fd, (void *)(uintptr_t)&sink, 1, 3 * PAGE), 1);
		EXPECT_IS(sink, 'x');
	}
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_callback_may_mend_the_file_again_and_again)

static void a_callback_that_mends_nothing_gets_zeros_in_the_end_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = with_callback(fd, QUIRE_FAULT_RETRY, NULL);

	(void)argument;
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(load(map, 3), 0);
	EXPECT(seen_count > 1);
	EXPECT(seen_count < 100);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_callback_that_mends_nothing_gets_zeros_in_the_end)

static void choose_the_signal(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = with_callback(fd, QUIRE_FAULT_SIGNAL, NULL);

	(void)argument;
	EXPECT_IS(ftruncate(fd, 0), 0);
	(void)load(map, 3);
}

static void a_callback_may_choose_the_signal(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, choose_the_signal, NULL);
}

static void touch_unguarded(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .guard = QUIRE_GUARD_OFF);

	(void)argument;
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(quire_map_check(map), -EINVAL);
	(void)load(map, 3);
}

static void without_a_guard_the_signal_kills(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, touch_unguarded, NULL);
}

static int sum_in_try(struct quire_map *map, volatile int *after)
{
	QUIRE_TRY(error)
	{
		(void)load(map, 0);
		(void)load(map, 3);
		*after += 1;
	}
	QUIRE_CATCH(error)
	{
		EXPECT(quire_error_text()[0]);
		return error;
	}
	return 0;
}

static void a_try_block_is_left_with_the_error_and_its_sentence_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .guard = QUIRE_GUARD_TRY);
	volatile int after = 0;

	(void)argument;
	EXPECT_IS(sum_in_try(map, &after), 0);
	EXPECT_IS(after, 1);
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	EXPECT_IS(quire_map_advise(map, 0, 1, 99), -EINVAL); /* leaves an older sentence */
	EXPECT_IS(sum_in_try(map, &after), -ENODATA);
	EXPECT_IS(after, 1);
	EXPECT(!strstr(quire_error_text(), "advice"));
	EXPECT_IS(sum_in_try(map, &after), -ENODATA); /* nothing was patched: the error comes each time */
	EXPECT_IS(load(map, 3), 0);                   /* without a block: zeros */
	EXPECT_IS(sum_in_try(map, &after), 0);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_try_block_is_left_with_the_error_and_its_sentence)

static void the_inner_of_two_try_blocks_is_left_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .guard = QUIRE_GUARD_TRY);
	volatile int after = 0;
	volatile int outer_went_on = 0;

	(void)argument;
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	QUIRE_TRY(outer)
	{
		EXPECT_IS(sum_in_try(map, &after), -ENODATA);
		outer_went_on = 1;
		(void)load(map, 2);
		outer_went_on = 2;
	}
	QUIRE_CATCH(outer)
	{
		EXPECT_IS(outer, -ENODATA);
	}
	EXPECT_IS(outer, -ENODATA);
	EXPECT_IS(outer_went_on, 1);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(the_inner_of_two_try_blocks_is_left)

/* What QUIRE_TRY is made of. */
static void landing_places_are_entered_and_left_body(void *argument)
{
	struct quire_landing landing = { .error = 0 };

	(void)argument;
	EXPECT_IS(quire_try_enter(NULL), -EINVAL);
	EXPECT_IS(quire_try_enter(&landing), 1);
	EXPECT_IS(landing.entered, 1);
	quire_try_leave(&landing);
	EXPECT_IS(landing.entered, 0);
}
CHILD_CASE(landing_places_are_entered_and_left)

static void a_callback_may_leave_to_a_try_block_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = with_callback(fd, QUIRE_FAULT_UNWIND, NULL);
	volatile int after = 0;

	(void)argument;
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	EXPECT_IS(sum_in_try(map, &after), -ENODATA);
	EXPECT_IS(after, 0);
	EXPECT_IS(load(map, 3), 0); /* nowhere to leave to: zeros */
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_callback_may_leave_to_a_try_block)

static void a_guarded_copy_returns_the_error_whatever_the_policy_body(void *argument)
{
	static const uint32_t policies[] = { QUIRE_GUARD_ZEROS, QUIRE_GUARD_CALLBACK, QUIRE_GUARD_TRY };
	static char bytes[3 * PAGE];

	(void)argument;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		int fd = file_of((size_t)8 * PAGE);
		struct quire_map *map = policies[i] == QUIRE_GUARD_CALLBACK
			? with_callback(fd, QUIRE_FAULT_ZEROS, NULL)
			: GUARDED(fd, .guard = policies[i], .protection = QUIRE_READ | QUIRE_WRITE);

		EXPECT_IS(quire_copy_out(bytes, at(map, 1), sizeof(bytes)), 0);
		EXPECT_IS(bytes[PAGE], 'c');
		EXPECT_IS(ftruncate(fd, 2 * PAGE), 0);
		memset(bytes, 0, sizeof(bytes));
		EXPECT_IS(quire_copy_out(bytes, at(map, 1), sizeof(bytes)), -ENODATA);
		EXPECT_IS(bytes[PAGE - 1], 'b'); /* what was copied stays copied */
		EXPECT_IS(quire_copy_in(at(map, 4), bytes, 10), -ENODATA);
		EXPECT_IS(quire_copy_in(at(map, 0), bytes, 10), 0);
		EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
		EXPECT_IS(seen_count, 0);
		EXPECT_IS(quire_unmap(map), 0);
	}
}
CHILD_CASE(a_guarded_copy_returns_the_error_whatever_the_policy)

static void a_guarded_copy_from_memory_that_is_not_ours_returns_efault_body(void *argument)
{
	int fd = file_of((size_t)2 * PAGE);
	char *raw = mmap(NULL, (size_t)2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	char bytes[64];

	(void)argument;
	EXPECT(raw != MAP_FAILED);
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	EXPECT_IS(quire_copy_out(bytes, raw, sizeof(bytes)), 0);
	EXPECT_IS(quire_copy_out(bytes, raw + PAGE, sizeof(bytes)), -EFAULT);
}
CHILD_CASE(a_guarded_copy_from_memory_that_is_not_ours_returns_efault)

static void a_guarded_copy_says_which_file_and_which_offset_body(void *argument)
{
	char path[64];
	int fd = named_file_of((size_t)8 * PAGE, path);
	struct quire_map *map = NULL;
	struct quire_map *bare = NULL;
	char bytes[64];
	char where[96];

	(void)argument;
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .path = path, .offset = PAGE, .guard = QUIRE_GUARD_ZEROS,
				  .protection = QUIRE_READ | QUIRE_WRITE),
			  &map),
		0);
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .path = path, .guard = QUIRE_GUARD_OFF), &bare), 0);
	EXPECT_IS(unlink(path), 0);
	EXPECT_IS(ftruncate(fd, 2 * PAGE), 0);
	EXPECT_IS(quire_copy_out(bytes, at(map, 4), sizeof(bytes)), -ENODATA);
	(void)snprintf(where, sizeof(where), "%s: guarded copy at offset %d: ", path, 5 * PAGE);
	EXPECT(strstr(quire_error_text(), where) == quire_error_text());
	EXPECT(strstr(quire_error_text(), "truncated"));
	EXPECT_IS(quire_copy_in(at(map, 6), bytes, 1), -ENODATA);
	(void)snprintf(where, sizeof(where), "%s: guarded copy at offset %d: ", path, 7 * PAGE);
	EXPECT(strstr(quire_error_text(), where) == quire_error_text());
	/* Unguarded: an error and no signal, but nobody asked why. */
	EXPECT_IS(quire_copy_out(bytes, at(bare, 5), sizeof(bytes)), -EFAULT);
	EXPECT(strstr(quire_error_text(), "no guarded mapping"));
	EXPECT_IS(quire_unmap(map), 0);
	EXPECT_IS(quire_unmap(bare), 0);
}
CHILD_CASE(a_guarded_copy_says_which_file_and_which_offset)

/* Of a paged range the engine knows the error and nothing else: the cause follows from it. */
static void a_page_that_could_not_be_filled_has_a_cause(void **state)
{
	static const struct {
		int error;
		uint32_t cause;
		int said;
	} rows[] = {
		{ -ENXIO, QUIRE_CAUSE_TRUNCATED, -ENODATA },
		{ -EBADMSG, QUIRE_CAUSE_CHECKSUM, -EBADMSG },
		{ -ENOMEM, QUIRE_CAUSE_NO_FRAME, -ENOMEM },
		{ -EDQUOT, QUIRE_CAUSE_NO_SPACE, -EDQUOT },
		{ -EHWPOISON, QUIRE_CAUSE_POISON, -EHWPOISON },
		{ -EFAULT, QUIRE_CAUSE_UNKNOWN, -EFAULT },
		{ -EREMOTEIO, QUIRE_CAUSE_IO, -EREMOTEIO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct guard guard = { .trap = { .start = PAGE, .end = 4 * PAGE },
			.offset = 8 * PAGE,
			.policy = QUIRE_GUARD_ZEROS };
		struct trap_fault at_byte = { .va = 2 * PAGE + 5, .store = true };
		struct quire_fault fault = { .size = sizeof(fault), .cause = QUIRE_CAUSE_NONE };

		EXPECT_IS(guard_error(&guard, &fault), 0);
		EXPECT_IS(fault.cause, QUIRE_CAUSE_NONE);
		EXPECT_IS(guard_failed(&guard, &at_byte, rows[i].error), TRAP_RESUME);
		EXPECT_IS(guard_error(&guard, &fault), rows[i].said);
		EXPECT_IS(fault.cause, rows[i].cause);
		EXPECT_IS(fault.offset, 9 * PAGE + 5);
		EXPECT_IS(fault.write, 1);
		EXPECT_IS(fault.count, 1);
	}
}

/* ---- what stands in ---- */

static void a_stand_in_keeps_the_protection_of_its_segment_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .protection = QUIRE_READ | QUIRE_WRITE);

	(void)argument;
	EXPECT_IS(quire_map_protect(map, 4 * PAGE, 2 * PAGE, QUIRE_READ), 0);
	EXPECT_IS(ftruncate(fd, 2 * PAGE), 0);
	EXPECT_IS(load(map, 7), 0);
	EXPECT(vma_permits(at(map, 2), "rw-p"));
	EXPECT(vma_permits(at(map, 4), "r--p"));
	EXPECT(vma_permits(at(map, 6), "rw-p"));
	EXPECT(vma_permits(at(map, 1), "rw-s"));
	/* Protecting stand-ins is remembered for the file too. */
	EXPECT_IS(quire_map_protect(map, 6 * PAGE, PAGE, QUIRE_NO_ACCESS), 0);
	EXPECT(vma_permits(at(map, 6), "---p"));
	EXPECT_IS(ftruncate(fd, 8 * PAGE), 0);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT(vma_permits(at(map, 4), "r--s"));
	EXPECT(vma_permits(at(map, 6), "---s"));
	EXPECT(vma_permits(at(map, 7), "rw-s"));
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_stand_in_keeps_the_protection_of_its_segment)

static void what_is_shown_again_has_its_advice_and_lock_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .flags = QUIRE_NO_DUMP | QUIRE_LOCKED, .fork = QUIRE_FORK_NOT);

	(void)argument;
	EXPECT_IS(quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_RANDOM), 0);
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(load(map, 7), 0);
	EXPECT_IS(ftruncate(fd, 8 * PAGE), 0);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT(vma_flag(at(map, 3), "dd"));
	EXPECT(vma_flag(at(map, 3), "dc"));
	EXPECT(vma_flag(at(map, 3), "rr"));
	EXPECT(vma_flag(at(map, 3), "lo"));
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(what_is_shown_again_has_its_advice_and_lock)

static void cutting_ten_gibibytes_adds_two_kernel_mappings_at_most_body(void *argument)
{
	const size_t bytes = (size_t)10 << 30;
	int fd = memfd_create("large", MFD_CLOEXEC);
	struct quire_map *map;
	unsigned int before;

	(void)argument;
	EXPECT_IS(ftruncate(fd, (off_t)bytes), 0);
	map = GUARDED(fd, .protection = QUIRE_READ | QUIRE_WRITE);
	before = vma_total();
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	for (size_t page = 2; page < bytes / PAGE; page += bytes / PAGE / 1000)
		store(map, page, 'x');
	EXPECT(vma_total() <= before + 2);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(cutting_ten_gibibytes_adds_two_kernel_mappings_at_most)

static void a_file_cut_twice_is_patched_twice_without_losing_stores_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .protection = QUIRE_READ | QUIRE_WRITE);

	(void)argument;
	EXPECT_IS(ftruncate(fd, 6 * PAGE), 0);
	store(map, 7, 'x');
	EXPECT_IS(ftruncate(fd, 2 * PAGE), 0);
	store(map, 3, 'y');
	EXPECT_IS(load(map, 7), 'x');
	EXPECT_IS(load(map, 3), 'y');
	/* Half of it grows back: that half shows the file, the other keeps what was stored. */
	fill_pages(fd, (size_t)6 * PAGE);
	EXPECT_IS(quire_map_repair(map), -ENODATA);
	EXPECT_IS(load(map, 3), 'd');
	EXPECT_IS(load(map, 7), 'x');
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_file_cut_twice_is_patched_twice_without_losing_stores)

static void dead_pages_that_were_given_back_are_missed_no_more_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .protection = QUIRE_READ);

	(void)argument;
	EXPECT_IS(ftruncate(fd, 4 * PAGE), 0);
	EXPECT_IS(load(map, 5), 0);
	EXPECT_IS(quire_map_repair(map), -ENODATA);
	EXPECT_IS(quire_map_unmap(map, 4 * PAGE, 4 * PAGE), 0);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(quire_map_error(map, NULL), 0);
	EXPECT_IS(load(map, 3), 'd');
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(dead_pages_that_were_given_back_are_missed_no_more)

static void touch_a_hole(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .protection = QUIRE_READ);

	(void)argument;
	EXPECT_IS(quire_map_unmap(map, 4 * PAGE, PAGE), 0);
	(void)load(map, 4);
}

static void a_page_that_was_given_back_is_not_mended(void **state)
{
	(void)state;
	child_dies_of(SIGSEGV, touch_a_hole, NULL);
}

/* ---- size and place ---- */

static void a_mapping_of_an_empty_file_is_guarded_when_it_has_grown_body(void *argument)
{
	int fd = file_of(0);
	struct quire_map *map = GUARDED(
		fd, .protection = QUIRE_READ | QUIRE_WRITE, .reserve_bytes = (size_t)16 * PAGE);

	(void)argument;
	EXPECT_IS(quire_map_length(map), 0);
	EXPECT_IS(quire_map_resize(map, (size_t)8 * PAGE, 0), 0);
	store(map, 7, 'x');
	EXPECT_IS(quire_map_check(map), 0);
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(load(map, 7), 0);
	EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_mapping_of_an_empty_file_is_guarded_when_it_has_grown)

static void what_grew_is_guarded_too_body(void *argument)
{
	int fd = file_of((size_t)2 * PAGE);
	struct quire_map *map = GUARDED(
		fd, .protection = QUIRE_READ | QUIRE_WRITE, .reserve_bytes = (size_t)64 * PAGE);

	(void)argument;
	EXPECT_IS(quire_map_resize(map, (size_t)40 * PAGE, 0), 0);
	EXPECT_IS(ftruncate(fd, 10 * PAGE), 0);
	EXPECT_IS(load(map, 39), 0);
	EXPECT_IS(load(map, 1), 'b');
	EXPECT_IS(ftruncate(fd, 40 * PAGE), 0);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(quire_map_resize(map, (size_t)4 * PAGE, 0), 0);
	EXPECT_IS(quire_map_resize(map, (size_t)8 * PAGE, 0), 0);
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	EXPECT_IS(load(map, 7), 0);
	EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(what_grew_is_guarded_too)

static void a_guard_goes_with_a_mapping_that_moves_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .protection = QUIRE_READ | QUIRE_WRITE);
	char *place = mmap(NULL, (size_t)8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argument;
	EXPECT_IS(munmap(place, (size_t)8 * PAGE), 0);
	EXPECT_IS(quire_map_move(map, place), 0);
	EXPECT(at(map, 0) == place);
	EXPECT_IS(ftruncate(fd, 2 * PAGE), 0);
	EXPECT_IS(load(map, 5), 0);
	EXPECT_IS(load(map, 1), 'b');
	EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_guard_goes_with_a_mapping_that_moves)

static void no_guard_is_left_when_a_mapping_is_gone_body(void *argument)
{
	int fd = file_of((size_t)8 * PAGE);
	struct quire_map *map = GUARDED(fd, .protection = QUIRE_READ);
	char *raw = at(map, 0);
	char *other;
	int *calls = argument;

	EXPECT_IS(quire_unmap(map), 0);
	other = mmap(raw, (size_t)8 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	EXPECT(other == raw);
	EXPECT_IS(ftruncate(fd, 0), 0);
	sink = raw[PAGE];
	EXPECT(calls == NULL);
}

static void no_guard_is_left_when_a_mapping_is_gone(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, no_guard_is_left_when_a_mapping_is_gone_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cut_shared_file_reads_as_zeros_and_comes_back),
		cmocka_unit_test(a_cut_private_file_reads_as_zeros_and_comes_back),
		cmocka_unit_test(a_cut_memfd_reads_as_zeros_and_comes_back),
		cmocka_unit_test(several_guarded_mappings_are_served_in_any_order),
		cmocka_unit_test(a_callback_is_told_of_the_fault_and_may_choose_zeros),
		cmocka_unit_test(a_callback_may_mend_the_file_again_and_again),
		cmocka_unit_test(a_callback_that_mends_nothing_gets_zeros_in_the_end),
		cmocka_unit_test(a_callback_may_choose_the_signal),
		cmocka_unit_test(without_a_guard_the_signal_kills),
		cmocka_unit_test(a_try_block_is_left_with_the_error_and_its_sentence),
		cmocka_unit_test(the_inner_of_two_try_blocks_is_left),
		cmocka_unit_test(landing_places_are_entered_and_left),
		cmocka_unit_test(a_callback_may_leave_to_a_try_block),
		cmocka_unit_test(a_guarded_copy_returns_the_error_whatever_the_policy),
		cmocka_unit_test(a_guarded_copy_from_memory_that_is_not_ours_returns_efault),
		cmocka_unit_test(a_guarded_copy_says_which_file_and_which_offset),
		cmocka_unit_test(a_page_that_could_not_be_filled_has_a_cause),
		cmocka_unit_test(a_stand_in_keeps_the_protection_of_its_segment),
		cmocka_unit_test(what_is_shown_again_has_its_advice_and_lock),
		cmocka_unit_test(cutting_ten_gibibytes_adds_two_kernel_mappings_at_most),
		cmocka_unit_test(a_file_cut_twice_is_patched_twice_without_losing_stores),
		cmocka_unit_test(dead_pages_that_were_given_back_are_missed_no_more),
		cmocka_unit_test(a_page_that_was_given_back_is_not_mended),
		cmocka_unit_test(a_mapping_of_an_empty_file_is_guarded_when_it_has_grown),
		cmocka_unit_test(what_grew_is_guarded_too),
		cmocka_unit_test(a_guard_goes_with_a_mapping_that_moves),
		cmocka_unit_test(no_guard_is_left_when_a_mapping_is_gone),
	};

	return RUN(tests);
}
