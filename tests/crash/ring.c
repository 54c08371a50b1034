/* SPDX-License-Identifier: Apache-2.0 */
/* ring.c - io_uring under the recorder: the library's writes never go there, and whose do is refused, not overlooked. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <quire/quire.h>

#include "crash.h"
#include "log.h"
#include "sys/ring.h"

enum { PAGE = 4096, PAGES = 64, STORED = 8 };

static int scratch_file(const char *dir)
{
	static char bytes[PAGES * PAGE];
	char path[300];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	return fd < 0 || write(fd, bytes, sizeof(bytes)) != sizeof(bytes) ? -EIO : fd;
}

/* Through the ring that the library uses. arg: what is asked. */
static int run_ring(void *arg, const char *dir)
{
	const enum sys_ring_kind *kind = arg;
	char page[PAGE] = "written";
	struct iovec part = { page, sizeof(page) };
	struct sys_ring_request request = { .kind = *kind, .parts = &part, .part_count = 1 };
	struct sys_ring_done done;
	struct sys_ring *ring;

	request.fd = scratch_file(dir);
	if (request.fd < 0 || sys_ring_open(4, &ring) < 0)
		return -EIO;
	if (sys_ring_queue(ring, &request) < 0 || sys_ring_submit(ring) < 0 ||
		sys_ring_collect(ring, 1, &done, 1) != 1)
		return -EIO;
	sys_ring_close(ring);
	return done.result < 0 ? done.result : 0;
}

static int no_check(void *arg, const char *dir, const struct crash_history *h)
{
	(void)arg;
	(void)dir;
	(void)h;
	return 0;
}

static int record(crash_run *run, void *arg, struct crash_log *log)
{
	const struct crash_workload w = { .name = "ring", .run = run, .check = no_check, .arg = arg };
	char scratch[64], path[96];
	int r, fd;

	fd = crash_scratch(scratch);
	assert_true(fd >= 0);
	(void)snprintf(path, sizeof(path), "%s/log", scratch);
	r = crash_record(&w, path, scratch, NULL);
	if (r == 0 && log != NULL)
		assert_int_equal(crash_log_load(log, path), 0);
	crash_scratch_end(scratch, fd);
	return r;
}

static void reading_is_allowed_writing_is_refused(void **state)
{
	enum sys_ring_kind read = RING_READ, write = RING_WRITE, sync = RING_SYNC;
	struct sys_ring *ring;

	(void)state;
	if (sys_ring_open(4, &ring) < 0) {
		print_message("# no io_uring here\n");
		skip();
	}
	sys_ring_close(ring);
	assert_int_equal(record(run_ring, &read, NULL), 0);
	assert_int_equal(record(run_ring, &write, NULL), -EFAULT); /* it died */
	assert_int_equal(record(run_ring, &sync, NULL), -EFAULT);
}

/* Stores to a paged mapping, prefetches of more than its pool holds around them, and the flush that brings them home. */
static int run_pager(void *arg, const char *dir)
{
	struct quire_range all = { 0, PAGES * PAGE };
	struct quire_object *object = NULL;
	struct quire_pool *pool = NULL;
	struct quire_map *map = NULL;
	char path[300];
	int r = scratch_file(dir);

	(void)arg;
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	if (r >= 0)
		r = quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = PAGES / 2 * PAGE), &pool);
	if (r == 0)
		r = quire_object_file(path, 1, &object);
	if (r == 0)
		r = quire_map(NULL,
			QUIRE_OPTIONS(map, .object = object, .engine = QUIRE_ENGINE_PAGED, .pool = pool,
				.sharing = QUIRE_SHARED, .protection = QUIRE_READ | QUIRE_WRITE),
			&map);
	for (unsigned int i = 0; r >= 0 && i < STORED; i++) {
		memset((char *)quire_map_address(map) + i * 7 * PAGE, (int)i + 1, PAGE);
		r = (int)quire_map_prefetch(map, &all, 1);
	}
	if (r >= 0)
		r = quire_map_flush(map, 0, PAGES * PAGE, QUIRE_FLUSH_DURABLE);
	if (r < 0)
		fprintf(stderr, "# pager: %s\n", quire_error_text());
	(void)quire_unmap(map);
	(void)quire_pool_close(pool);
	return r < 0 ? r : 0;
}

static void what_the_pager_writes_is_recorded(void **state)
{
	unsigned int seen = 0, syncs = 0;
	struct crash_log log;

	(void)state;
	assert_int_equal(record(run_pager, NULL, &log), 0);
	for (unsigned int i = 0; i < log.op_count; i++) {
		const struct crash_op *op = &log.ops[i];

		syncs += op->kind == CRASH_SYNC_END;
		for (uint32_t at = 0; op->kind == CRASH_WRITE && at < op->data_bytes; at += PAGE)
			if ((op->offset + at) / PAGE % 7 == 0 &&
				op->data[at] == (op->offset + at) / PAGE / 7 + 1)
				seen |= 1U << (op->offset + at) / PAGE / 7;
	}
	assert_int_equal(seen, (1U << STORED) - 1);
	assert_true(syncs > 0);
	crash_log_free(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_is_allowed_writing_is_refused),
		cmocka_unit_test(what_the_pager_writes_is_recorded),
	};

	return RUN(tests);
}
