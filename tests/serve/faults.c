/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The injected faults, each against each delivery and each thing a program does: never a wrong byte, never a signal that
 * nobody asked for, never an endless wait (a child has 60 s). Each cell runs in a child of its own.
 *
 *	truncate, EIO and ENOSPC   x   threads, inline   x   load, store, eviction, flush
 *	fork                       x   threads, inline   x   child touches, child calls, parent goes on
 *	descriptors closed         x   threads, inline   x   load of what is there, of what is not, store, unmap
 *	no descriptor left         x   threads, inline   x   open, close
 */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"

enum { POOL_PAGES = 16, PAGES = 64, KEPT = 8 };

/* What the n-th transfer of a kind and the `times` after it say. */
struct plan {
	int error; /* 0: none fails */
	int gets;
	int puts;
	uint64_t nth;
	uint64_t times;
};

static const struct plan no_fault = { .error = 0 };

static struct quire_pool *pool;
static struct quire_object *object;
static struct quire_map *map;
static volatile unsigned char *bytes;
static char path[64];
static int fd;

static const uint32_t deliveries[] = { QUIRE_DELIVERY_THREAD, QUIRE_DELIVERY_INLINE };

static void open_all(uint32_t delivery, const struct plan *plan)
{
	struct quire_object *file;

	fd = named_file_of((size_t)PAGES * PAGE, path);
	EXPECT_IS(quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = POOL_PAGES * PAGE, .delivery = delivery,
					  .syscalls_only_pinned = delivery == QUIRE_DELIVERY_INLINE),
			  &pool),
		0);
	EXPECT_IS(quire_object_file(path, 1, &file), 0);
	object = file;
	if (plan->error != 0)
		EXPECT_IS(quire_object_fail(
				  file, plan->gets, plan->puts, plan->nth, plan->times, plan->error, &object),
			0);
	EXPECT_IS(unlink(path), 0);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .object = object, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
				  .sharing = QUIRE_SHARED, .protection = QUIRE_READ | QUIRE_WRITE,
				  .guard = QUIRE_GUARD_ZEROS, .advice = QUIRE_RANDOM),
			  &map),
		0);
	bytes = quire_map_address(map);
}

static void close_all(void)
{
	EXPECT_IS(quire_unmap(map), 0);
	quire_object_close(object);
	EXPECT_IS(quire_pool_close(pool), 0);
	EXPECT_IS(close(fd), 0);
}

static unsigned char of_file(size_t page)
{
	return (unsigned char)('a' + page % 26);
}

/* ---- reads that fail ---- */

static void a_load_that_fails_body(void *user)
{
	const struct plan plan = { .error = -EIO, .gets = 1, .nth = 4, .times = 2 };

	open_all(*(const uint32_t *)user, &plan);
	for (size_t i = 0; i < 3; i++)
		EXPECT_IS(bytes[i * PAGE], of_file(i));
	EXPECT_IS(quire_map_error(map, NULL), 0);
	EXPECT_IS(bytes[3 * PAGE], 0); /* the stand-in */
	EXPECT_IS(quire_map_error(map, NULL), -EIO);
	EXPECT_IS(bytes[2 * PAGE], of_file(2));
	for (size_t i = 4; i < 3 * POOL_PAGES; i++)
		EXPECT(bytes[i * PAGE] == of_file(i) || bytes[i * PAGE] == 0);
	EXPECT_IS(quire_map_repair(map), 0);
	for (size_t i = 0; i < PAGES; i++)
		EXPECT_IS(bytes[i * PAGE], of_file(i));
	EXPECT_IS(quire_map_error(map, NULL), 0);
	close_all();
}

/* A store into a page that cannot be read goes into the stand-in: it is lost, and the handle says so. The file is not hurt. */
static void a_store_that_fails_body(void *user)
{
	const uint32_t delivery = *(const uint32_t *)user;
	/* A thread that fails poisons the page; who touched it asks once more, to learn why. */
	const struct plan plan = {
		.error = -EIO, .gets = 1, .nth = 1, .times = delivery == QUIRE_DELIVERY_INLINE ? 1 : 2
	};
	char byte;

	open_all(delivery, &plan);
	bytes[5 * PAGE + 1] = 'X';
	EXPECT_IS(quire_map_error(map, NULL), -EIO);
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), -EIO);
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(bytes[5 * PAGE], of_file(5));
	EXPECT_IS(bytes[5 * PAGE + 1], of_file(5));
	bytes[5 * PAGE + 1] = 'Y';
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), 0);
	EXPECT_IS(pread(fd, &byte, 1, 5 * PAGE + 1), 1);
	EXPECT_IS(byte, 'Y');
	EXPECT_IS(pread(fd, &byte, 1, 5 * PAGE), 1);
	EXPECT_IS(byte, of_file(5));
	close_all();
}

/* ---- writes that fail ---- */

struct put_cell {
	uint32_t delivery;
	int error;
	bool evict; /* more pages than frames; else a flush of a few */
};

/* The disk is full, or broken, for so many writes: what was stored stays in memory, and arrives later. */
static void a_write_back_that_fails_body(void *user)
{
	const struct put_cell *cell = user;
	const struct plan plan = { .error = cell->error, .puts = 1, .nth = 1, .times = 5 };
	size_t last = cell->evict ? PAGES : POOL_PAGES / 2;
	size_t stored = 0;
	unsigned char byte;

	open_all(cell->delivery, &plan);
	for (; stored < last; stored++) {
		bytes[stored * PAGE] = (unsigned char)(200 + stored % 50);
		if (quire_map_error(map, NULL) != 0)
			break; /* no frame could be had for this one: its store went into a stand-in */
	}
	if (!cell->evict) {
		EXPECT_IS(stored, last);
		EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), cell->error);
		EXPECT(strstr(quire_error_text(), " could not be written") != NULL); /* with the range */
	}
	for (size_t i = 0; i < stored; i++)
		EXPECT_IS(bytes[i * PAGE], 200 + i % 50);
	/* Sticky also where the bytes are home by now; a repair that has written them all ends it. */
	EXPECT(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE) < 0);
	for (int i = 0; i < 10 && quire_map_repair(map) < 0; i++)
		;
	EXPECT_IS(quire_map_repair(map), 0);
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), 0);
	for (size_t i = 0; i < PAGES; i++) {
		EXPECT_IS(bytes[i * PAGE], i < stored ? 200 + i % 50 : of_file(i));
		EXPECT_IS(pread(fd, &byte, 1, (off_t)(i * PAGE)), 1);
		EXPECT_IS(byte, i < stored ? 200 + i % 50 : of_file(i));
	}
	close_all();
}

/* ---- the file is cut ---- */

static void a_file_that_is_cut_body(void *user)
{
	off_t size;

	open_all(*(const uint32_t *)user, &no_fault);
	for (size_t i = 0; i < POOL_PAGES / 2; i++)
		bytes[(20 + i) * PAGE] = 'd'; /* dirty, behind what will be the end */
	for (size_t i = 0; i < KEPT; i++)
		bytes[i * PAGE] = (unsigned char)('A' + i);
	EXPECT_IS(ftruncate(fd, KEPT * PAGE), 0);
	EXPECT_IS(bytes[60 * PAGE], 0);
	EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
	bytes[61 * PAGE] = 1; /* no signal */
	for (size_t i = 0; i < KEPT; i++)
		EXPECT_IS(bytes[i * PAGE], 'A' + i);
	for (size_t i = KEPT; i < PAGES; i++)
		EXPECT(bytes[i * PAGE] == 0 || bytes[i * PAGE] == 1 || bytes[i * PAGE] == 'd');
	(void)quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE);
	(void)quire_map_advise(map, 0, QUIRE_TO_END, QUIRE_PAGEOUT);
	size = lseek(fd, 0, SEEK_END);
	EXPECT_IS(size, KEPT * PAGE); /* nothing is written behind the end */

	/* It grows again: its bytes are the file's. */
	fill_pages(fd, (size_t)PAGES * PAGE);
	(void)quire_map_repair(map);
	EXPECT_IS(bytes[60 * PAGE], of_file(60));
	EXPECT_IS(quire_map_error(map, NULL), 0);
	close_all();
}

/* ---- fork ---- */

static void touch(void *user)
{
	size_t page = *(const size_t *)user;

	_exit(bytes[page * PAGE]);
}

static void call(void *user)
{
	unsigned char byte;

	(void)user;
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), -ECHILD);
	EXPECT_IS(quire_map_pin(map, 0, PAGE, QUIRE_READ), -ECHILD);
	EXPECT_IS(quire_map_try_read(map, 0, &byte, 1), -ECHILD);
	EXPECT_IS(quire_map_advise(map, 0, PAGE, QUIRE_DONTNEED), -ECHILD);
	EXPECT_IS(quire_map_resize(map, PAGE, 0), -ECHILD);
	EXPECT_IS(quire_map_move(map, NULL), -ECHILD);
	EXPECT_IS(quire_map_repair(map), -ECHILD);
	EXPECT_IS(quire_pool_resize(pool, POOL_PAGES * PAGE), -ECHILD);
	EXPECT_IS(quire_unmap(map), -ECHILD);
	EXPECT_IS(quire_pool_close(pool), -ECHILD);
	/* One of its own is as good as any. */
	open_all(QUIRE_DELIVERY_THREAD, &no_fault);
	for (size_t i = 0; i < PAGES; i++)
		EXPECT_IS(bytes[i * PAGE], of_file(i));
	close_all();
}

static void close_last(void *user)
{
	(void)user;
	quire_object_close(object);
}

static void a_fork_body(void *user)
{
	static const size_t evicted = 3, resident = PAGES - 1;
	char byte;

	open_all(*(const uint32_t *)user, &no_fault);
	for (size_t i = 0; i < PAGES; i++)
		bytes[i * PAGE] = (unsigned char)(100 + i);
	child_dies_of(SIGSEGV, touch, (void *)(uintptr_t)&evicted);
	child_dies_of(SIGSEGV, touch, (void *)(uintptr_t)&resident);
	child_passes(call, NULL);
	for (size_t i = 0; i < PAGES; i++)
		EXPECT_IS(bytes[i * PAGE], 100 + i);
	EXPECT_IS(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), 0);

	/* What nobody has flushed yet is the parent's to write, though the child's handle is the last use it knows. */
	bytes[0] = 'Z';
	EXPECT_IS(quire_unmap(map), 0);
	child_passes(close_last, NULL);
	quire_object_close(object);
	EXPECT_IS(pread(fd, &byte, 1, 0), 1);
	EXPECT_IS(byte, 'Z');
	EXPECT_IS(quire_pool_close(pool), 0);
	EXPECT_IS(close(fd), 0);
}

/* Files that take the numbers of descriptors that were ours: what the end of a pool writes to them stands there. */
enum { STRANGERS = 24, STRANGER_PAGES = 64 };

static int strangers;

static void make_strangers(void)
{
	char page[PAGE];
	int number = file_of(STRANGER_PAGES * PAGE);

	memset(page, 's', sizeof(page));
	for (int i = 0; i < STRANGER_PAGES; i++)
		EXPECT_IS(pwrite(number, page, sizeof(page), i * PAGE), sizeof(page));
	strangers = fcntl(number, F_DUPFD, 100); /* a number that was nobody's, to look at it by */
	EXPECT_IS(strangers, 100);
	while (number >= 0 && number < STRANGERS)
		number = dup(number);
}

static void check_strangers(void)
{
	char page[PAGE];

	EXPECT_IS(lseek(strangers, 0, SEEK_END), STRANGER_PAGES * PAGE);
	for (int i = 0; i < STRANGER_PAGES; i++) {
		EXPECT_IS(pread(strangers, page, sizeof(page), i * PAGE), sizeof(page));
		for (size_t k = 0; k < sizeof(page); k++)
			EXPECT_IS(page[k], 's');
	}
}

/* A program that closes what it did not open, as daemons do. Without a holder of the descriptors the kernel shows zeros. */
static void closed_descriptors_body(void *user)
{
	char byte = 0;
	void *kept;

	open_all(*(const uint32_t *)user, &no_fault);
	for (size_t i = 0; i < 4; i++)
		EXPECT_IS(bytes[i * PAGE], of_file(i));
	bytes[3 * PAGE + 1] = 'W'; /* on its way to a number that will be a stranger's */
	/* Keeps the inode: a file that is new would get its number as well, and nothing could tell the two from each other. */
	kept = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT(kept != MAP_FAILED);
	EXPECT_IS(close_range(3, ~0U, 0), 0);
	make_strangers();
	for (size_t i = 0; i < 4; i++) {
		EXPECT_IS(quire_copy_out(&byte, (const void *)(uintptr_t)(bytes + i * PAGE), 1), 0);
		EXPECT_IS(byte, of_file(i));
	}
	EXPECT(quire_copy_out(&byte, (const void *)(uintptr_t)(bytes + 20 * PAGE), 1) < 0);
	EXPECT(quire_copy_in((void *)(uintptr_t)(bytes + 30 * PAGE), "x", 1) < 0);
	EXPECT(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE) < 0);
	(void)quire_unmap(map);
	quire_object_close(object);
	(void)quire_pool_close(pool);
	check_strangers();
}

static int next_descriptor(void)
{
	int next = dup(fd);

	EXPECT(next >= 0);
	EXPECT_IS(close(next), 0);
	return next;
}

static void leave_descriptors(int number)
{
	struct rlimit limit;

	EXPECT_IS(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = number < 0 ? limit.rlim_max : (rlim_t)number;
	EXPECT_IS(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* One descriptor more each time, until they are enough: never is it said that the kernel could not do it. */
static void open_in_little_room(uint32_t delivery)
{
	const int next = next_descriptor();
	int room = 0;
	int r;

	do {
		leave_descriptors(next + room++);
		r = quire_pool_open(
			QUIRE_OPTIONS(pool, .cache_bytes = POOL_PAGES * PAGE, .delivery = delivery), &pool);
		EXPECT(r == 0 || r == -EMFILE);
		EXPECT(r == 0 || strstr(quire_error_text(), strerror(EMFILE)) != NULL);
		EXPECT_IS(r == 0 ? quire_pool_close(pool) : 0, 0);
		leave_descriptors(-1);
		EXPECT_IS(next_descriptor(), next);
	} while (r < 0);
}

/* Whoever is out of descriptors closes a pool to have some again. */
static void no_descriptor_left_body(void *user)
{
	const uint32_t delivery = *(const uint32_t *)user;
	int next;

	open_all(delivery, &no_fault);
	EXPECT_IS(bytes[0], of_file(0));
	next = next_descriptor();
	leave_descriptors(next);
	EXPECT_IS(quire_unmap(map), 0);
	quire_object_close(object);
	EXPECT_IS(quire_pool_close(pool), 0);
	leave_descriptors(-1);
	EXPECT(next_descriptor() < next);

	open_in_little_room(delivery);
	open_in_little_room(QUIRE_DELIVERY_PIN);
}

/* ---- a read that needs another fault ---- */

static int get_through(void *user, uint64_t offset, void *memory, size_t length)
{
	(void)user;
	memcpy(memory, (const char *)(uintptr_t)bytes + offset, length);
	return 0;
}

/* The handler that reads for one page waits for the fault of another, which the next one has to answer. (If none does, the keeper
 * refuses it after a while, and it comes as a signal.) */
static void a_get_that_faults_body(void *user)
{
	struct quire_object *through;
	struct quire_map *second;
	volatile const unsigned char *shown;
	struct quire_pool_stats stats = { .size = sizeof(stats) };

	(void)user;
	open_all(QUIRE_DELIVERY_THREAD, &no_fault);
	EXPECT_IS(quire_object_open(QUIRE_OPTIONS(object, .get = get_through, .length = (size_t)PAGES * PAGE),
			  &through),
		0);
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .object = through, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
				  .sharing = QUIRE_SHARED, .protection = QUIRE_READ, .advice = QUIRE_RANDOM),
			  &second),
		0);
	shown = quire_map_address(second);
	for (size_t i = 0; i < PAGES; i++)
		EXPECT_IS(shown[i * PAGE], of_file(i));
	EXPECT_IS(quire_pool_stats(pool, &stats), 0);
	EXPECT_IS(stats.by_signal, 0);
	EXPECT_IS(quire_unmap(second), 0);
	quire_object_close(through);
	close_all();
}

static void a_get_that_faults(void **state)
{
	(void)state;
	child_passes(a_get_that_faults_body, NULL);
}

/* ---- the cells ---- */

static void each_delivery(void (*body)(void *))
{
	for (int d = 0; d < 2; d++) {
		uint32_t delivery = deliveries[d];

		child_passes(body, &delivery);
	}
}

#define EACH_DELIVERY(name)                 \
	static void name(void **state)      \
	{                                   \
		(void)state;                \
		each_delivery(name##_body); \
	}

EACH_DELIVERY(a_load_that_fails)
EACH_DELIVERY(a_store_that_fails)
EACH_DELIVERY(a_file_that_is_cut)
EACH_DELIVERY(a_fork)
EACH_DELIVERY(closed_descriptors)
EACH_DELIVERY(no_descriptor_left)

static void a_write_back_that_fails(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct put_cell cell = {
			.delivery = deliveries[i % 2],
			.error = i / 2 % 2 == 0 ? -EIO : -ENOSPC,
			.evict = i / 4 != 0,
		};

		child_passes(a_write_back_that_fails_body, &cell);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_load_that_fails),
		cmocka_unit_test(a_store_that_fails),
		cmocka_unit_test(a_write_back_that_fails),
		cmocka_unit_test(a_file_that_is_cut),
		cmocka_unit_test(a_fork),
		cmocka_unit_test(closed_descriptors),
		cmocka_unit_test(no_descriptor_left),
		cmocka_unit_test(a_get_that_faults),
	};

	return RUN(tests);
}
