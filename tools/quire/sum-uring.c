/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum-uring.c - io_uring: many reads in flight, past the page cache where the filesystem allows that.
 *
 * A slot is a buffer with one read. Slots are used in turn, so that when the oldest is awaited first the bytes come in
 * order, whatever the order of the completions.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "progress.h"
#include "sum.h"

/* 16 MiB in flight keep any single device busy; random blocks are many and small. */
enum { STREAM_DEPTH = 32, STREAM_CHUNK = 512 << 10, BLOCK_DEPTH = 64 };

struct slot {
	char *buffer;
	uint64_t offset;
	size_t length; /* wanted */
	int result;    /* bytes, or a negative errno */
	bool busy;
};

/** A queue of reads. */
struct pump {
	struct sum *sum;
	struct io_uring ring;
	int fd;
	bool own_fd;
	bool fixed; /* the buffers are registered */
	unsigned int depth;
	size_t chunk;
	struct quire_map *memory;
	struct slot slots[BLOCK_DEPTH];
};

static void pump_register(struct pump *pump)
{
	struct iovec vector[BLOCK_DEPTH];

	for (unsigned int i = 0; i < pump->depth; i++) {
		pump->slots[i].buffer = (char *)quire_map_address(pump->memory) + i * pump->chunk;
		vector[i] = (struct iovec){ .iov_base = pump->slots[i].buffer, .iov_len = pump->chunk };
	}
	/* refused above the limit of locked memory: then pages are pinned read by read */
	pump->fixed = io_uring_register_buffers(&pump->ring, vector, pump->depth) == 0;
}

/* Huge pages where they are to be had: thousands of page faults less. */
static int pump_allocate(struct pump *pump)
{
	size_t bytes = pump->depth * pump->chunk, huge = bytes >= 2 << 20 ? 2 << 20 : 0;
	int r = quire_map(NULL,
		QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = bytes, .page_bytes = huge,
			.huge = huge != 0 ? QUIRE_HUGE_OR_SMALL : QUIRE_HUGE_OR_FAIL),
		&pump->memory);

	return r < 0 ? sum_fail(pump->sum, r, "no memory for buffers: %s", quire_error_text()) : 0;
}

static int pump_open(struct pump *pump, struct sum *sum, unsigned int depth, size_t chunk)
{
	int r;

	*pump = (struct pump){ .sum = sum, .depth = depth, .chunk = chunk };
	r = io_uring_queue_init(depth, &pump->ring, 0);
	if (r < 0)
		return sum_fail(sum, r, "io_uring is not to be had: %s; see '" QUIRE_PROGRAM " features'",
			strerror(-r));
	r = pump_allocate(pump);
	if (r < 0) {
		io_uring_queue_exit(&pump->ring);
		return r;
	}
	pump_register(pump);
	pump->fd = sum_open_direct(sum);
	pump->own_fd = pump->fd >= 0;
	if (!pump->own_fd)
		pump->fd = sum->fd;
	return 0;
}

static void pump_submit(struct pump *pump, unsigned int i, uint64_t offset, size_t length)
{
	struct slot *slot = &pump->slots[i];
	struct io_uring_sqe *entry = io_uring_get_sqe(&pump->ring);

	slot->offset = offset;
	slot->length = length;
	slot->busy = true;
	/* whole chunks always: O_DIRECT wants blocks, and the end of the file stops a read by itself */
	if (pump->fixed)
		io_uring_prep_read_fixed(
			entry, pump->fd, slot->buffer, (unsigned int)pump->chunk, offset, (int)i);
	else
		io_uring_prep_read(entry, pump->fd, slot->buffer, (unsigned int)pump->chunk, offset);
	io_uring_sqe_set_data64(entry, i);
}

/* Notes all completions that are there, after waiting for one. */
static int pump_reap(struct pump *pump)
{
	struct io_uring_cqe *entry;
	unsigned int head, seen = 0;
	int r = io_uring_submit_and_wait(&pump->ring, 1);

	if (r < 0 && r != -EINTR)
		return sum_fail(pump->sum, r, "io_uring: %s", strerror(-r));
	io_uring_for_each_cqe(&pump->ring, head, entry)
	{
		struct slot *slot = &pump->slots[entry->user_data];

		slot->result = entry->res;
		slot->busy = false;
		seen++;
	}
	io_uring_cq_advance(&pump->ring, seen);
	return 0;
}

/* The rest of a read that came back short; a signal or an odd filesystem may do that. */
static int slot_complete(struct pump *pump, struct slot *slot)
{
	struct sum *sum = pump->sum;
	size_t have;

	if (slot->result < 0)
		return sum_fail(sum, slot->result, "%s: cannot be read at offset %llu: %s",
			text_name(sum->path).s, (unsigned long long)slot->offset, strerror(-slot->result));
	for (have = (size_t)slot->result; have < slot->length;) {
		ssize_t n = pread(
			sum->fd, slot->buffer + have, slot->length - have, (off_t)(slot->offset + have));

		if (n < 0)
			return sum_fail(sum, -errno, "%s: %s", text_name(sum->path).s, strerror(errno));
		if (n == 0)
			return sum_fail_cut(sum, slot->offset + have);
		have += (size_t)n;
	}
	return 0;
}

static int slot_await(struct pump *pump, struct slot *slot)
{
	int r = 0;

	while (r == 0 && slot->busy)
		r = pump_reap(pump);
	return r == 0 ? slot_complete(pump, slot) : r;
}

/* Buffers must outlive the reads into them. */
static void pump_close(struct pump *pump)
{
	for (unsigned int i = 0; i < pump->depth; i++)
		while (pump->slots[i].busy && pump_reap(pump) == 0)
			continue;
	io_uring_queue_exit(&pump->ring);
	if (pump->own_fd)
		close(pump->fd);
	quire_unmap(pump->memory);
}

static void submit_next(struct pump *pump, unsigned int i, uint64_t *next, uint64_t end)
{
	uint64_t length = end - *next < pump->chunk ? end - *next : pump->chunk;

	if (length == 0)
		return;
	pump_submit(pump, i, *next, length);
	*next += length;
}

static unsigned int depth_for(uint64_t reads, unsigned int most)
{
	return reads < most ? (unsigned int)reads : most;
}

static int uring_stream(struct sum *sum, uint64_t first, uint64_t end)
{
	struct pump pump;
	uint64_t next = first, done = first;
	int r;

	if (first >= end)
		return 0;
	r = pump_open(
		&pump, sum, depth_for((end - first - 1) / STREAM_CHUNK + 1, STREAM_DEPTH), STREAM_CHUNK);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < pump.depth; i++)
		submit_next(&pump, i, &next, end);
	for (unsigned int i = 0; r == 0 && done < end; i = (i + 1) % pump.depth) {
		struct slot *slot = &pump.slots[i];

		r = slot_await(&pump, slot);
		if (r < 0)
			break;
		digest_stream(&sum->digest, slot->buffer, slot->length);
		done += slot->length;
		submit_next(&pump, i, &next, end);
		(void)io_uring_submit(
			&pump.ring); /* now: the device must not idle while we sum; pump_reap() reports */
		progress_at(done);
	}
	pump_close(&pump);
	return r;
}

static void submit_block(struct pump *pump, unsigned int i, uint64_t *next)
{
	uint64_t block;

	if (*next >= pump->sum->random)
		return;
	block = sum_random_block(pump->sum, (*next)++);
	pump_submit(pump, i, block * SUM_BLOCK, sum_block_length(pump->sum, block));
}

static int uring_blocks(struct sum *sum)
{
	struct pump pump;
	uint64_t next = 0;
	int r;

	if (sum->random == 0)
		return 0;
	r = pump_open(&pump, sum, depth_for(sum->random, BLOCK_DEPTH), SUM_BLOCK);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < pump.depth; i++)
		submit_block(&pump, i, &next);
	for (uint64_t done = 0, i = 0; r == 0 && done < sum->random;
		done++, i = i + 1 < pump.depth ? i + 1 : 0) {
		struct slot *slot = &pump.slots[i];

		r = slot_await(&pump, slot);
		if (r < 0)
			break;
		digest_block(&sum->digest, slot->offset / SUM_BLOCK, slot->buffer, slot->length);
		submit_block(&pump, (unsigned int)i, &next);
		progress_at(sum->digest.bytes);
	}
	pump_close(&pump);
	return r;
}

const struct sum_method sum_by_uring = {
	.name = "uring",
	.what = "io_uring, many reads in flight, past the page cache",
	.stream = uring_stream,
	.blocks = uring_blocks,
};
