/* SPDX-License-Identifier: Apache-2.0 */
#include "object/transfer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/align.h"
#include "base/lock.h"
#include "object/file.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/ring.h"
#include "vm/io.h"

/*
 * Transfers in flight: the disk of the measurements gives 50,000 reads a second at a depth of 8, 118,000 at 64; a pool has 144
 * transfers. Who has collected enough pages leaves the rest to the next look: while a stream's are copied the disk is told of no
 * others.
 */
enum { DEPTH = 128, COLLECT = 4, ENOUGH = 8 };

/*
 * Who waits for one read alone may stay awake and ask for it again and again: being woken takes a fifth of the time of a read of
 * 4 KiB (33 us and 41, medians on the machine of the measurements), but not where the disk is slow or others want the processor.
 * So the way is taken that took less lately, and the other one now and then. Nobody stays awake for longer than AWAKE_NS.
 */
enum way { ASLEEP, AWAKE };
enum { AWAKE_NS = 100000, LATELY = 16, OTHER_WAY = 64 };

/* flight: one transfer in the ring, with the memory the kernel reads its parts from */
struct flight {
	struct io *io;
	struct flight *next; /* free ones */
	uint64_t began;      /* 0: nobody waits for it */
	unsigned int part_count;
	struct iovec parts[IO_PAGES_MAX];
};

struct transfer {
	int fd;     /* through the page cache */
	int direct; /* past it; -1: not to be had */
	struct sys_ring *ring;
	struct spin submitting;
	struct spin collecting;
	atomic_uint in_flight; /* queued ones included */
	atomic_uint queued;  /* for the next submission: what one batch begins costs one call of the kernel */
	atomic_uint at_once; /* transfers without the ring, under way */
	atomic_uint alone;   /* reads that one thread waited for, and what one took lately, in ns: */
	atomic_uint took[AWAKE + 1];
	struct flight *free; /* under submitting */
	struct flight flights[DEPTH];
};

/* ---- one transfer as parts ---- */

/* Neighbouring pages of staged memory are one part. */
static unsigned int parts_of(const struct io *io, struct iovec *parts)
{
	unsigned int count = 0;
	size_t left = io->length;

	for (uint32_t i = 0; i < io->count && left > 0; i++) {
		size_t bytes = min_u64(left, PAGE_BYTES);
		struct iovec *last = count == 0 ? NULL : &parts[count - 1];

		if (last != NULL && (char *)last->iov_base + last->iov_len == io->memory[i])
			last->iov_len += bytes;
		else
			parts[count++] = (struct iovec){ .iov_base = io->memory[i], .iov_len = bytes };
		left -= bytes;
	}
	return count;
}

/* O_DIRECT moves whole blocks. A get may ask for the rest of the last page, which then comes short; a put may not write
 * behind the end of the file. */
static void round_up(struct iovec *parts, unsigned int count)
{
	parts[count - 1].iov_len = align_up(parts[count - 1].iov_len, PAGE_BYTES);
}

static bool goes_direct(const struct transfer *transfer, const struct io *io)
{
	return transfer->direct >= 0 && (io->kind == IO_GET || is_aligned(io->length, PAGE_BYTES));
}

static void finish(struct io *io, int64_t result)
{
	if (result < 0)
		io->error = (int)result;
	else if (io->kind == IO_GET)
		io->length = min_u64(io->length,
			(uint64_t)result); /* short: the file ends there, and vm fills with zeros */
	else if (io->kind == IO_PUT && (uint64_t)result < io->length)
		io->error = -EIO; /* a disk that takes half a page has failed */
	io->done(io);
}

/* ---- at once ---- */

static int64_t run_parts(int fd, bool put, struct iovec *parts, unsigned int count, uint64_t offset)
{
	int64_t done = 0;

	while (count > 0) {
		ssize_t n = put ? sys_pwritev(fd, parts, count, offset)
				: sys_preadv(fd, parts, count, offset);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += n;
		offset += (uint64_t)n;
		/* Short: go on behind what was done. */
		for (; count > 0 && (size_t)n >= parts->iov_len; count--, parts++)
			n -= (ssize_t)parts->iov_len;
		if (count > 0 && n > 0) {
			parts->iov_base = (char *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
			if (!put && !is_aligned((uint64_t)n, 512))
				break; /* the end of the file, seen past the cache: no more to come */
		}
	}
	return done;
}

static int64_t run_now(const struct transfer *transfer, const struct io *io)
{
	struct iovec parts[IO_PAGES_MAX];
	unsigned int count = parts_of(io, parts);
	bool direct = goes_direct(transfer, io);
	uint64_t offset = io->first << PAGE_SHIFT;
	int64_t r;

	if (count == 0)
		return 0;
	if (direct) {
		round_up(parts, count);
		r = run_parts(transfer->direct, io->kind == IO_PUT, parts, count, offset);
		if (r != -EINVAL)
			return r;
		count = parts_of(io, parts); /* some filesystems refuse file by file */
	}
	r = run_parts(transfer->fd, io->kind == IO_PUT, parts, count, offset);
	if (r > 0 && io->kind == IO_GET)
		sys_forget(transfer->fd, offset, (uint64_t)r);
	return r;
}

/* ---- awake or asleep ---- */

static enum way better_way(const struct transfer *transfer)
{
	return atomic_load_explicit(&transfer->took[AWAKE], memory_order_relaxed) <=
			atomic_load_explicit(&transfer->took[ASLEEP], memory_order_relaxed)
		? AWAKE
		: ASLEEP;
}

static enum way next_way(struct transfer *transfer)
{
	bool other = atomic_fetch_add_explicit(&transfer->alone, 1, memory_order_relaxed) % OTHER_WAY == 0;

	return other ? (enum way) !better_way(transfer) : better_way(transfer);
}

/* A guess: two threads that note at once lose one note. Once does not count for more than a few times the limit. */
static void note_way(struct transfer *transfer, enum way way, uint64_t began)
{
	int64_t ns = (int64_t)min_u64(sys_now_ns() - began, 8 * (uint64_t)AWAKE_NS);
	unsigned int lately = atomic_load_explicit(&transfer->took[way], memory_order_relaxed);

	lately = (unsigned int)(lately + (ns - lately) / LATELY);
	atomic_store_explicit(&transfer->took[way], lately, memory_order_relaxed);
}

/* Does nobody else wait for a read? Of several who stay awake each takes a processor from the others. */
static bool is_alone(const struct transfer *transfer, const struct io *io)
{
	return !io->later && io->kind == IO_GET && atomic_load(&transfer->at_once) == 0 &&
		atomic_load(&transfer->in_flight) == 0;
}

/* ---- through the ring ---- */

static struct flight *flight_take(struct transfer *transfer)
{
	struct flight *flight = transfer->free;

	if (flight != NULL)
		transfer->free = flight->next;
	return flight;
}

static void flight_give(struct transfer *transfer, struct flight *flight)
{
	spin_take(&transfer->submitting);
	flight->next = transfer->free;
	transfer->free = flight;
	spin_give(&transfer->submitting);
}

/* What the kernel does not take stays queued, for the next time. */
static void submit(struct transfer *transfer)
{
	if (atomic_load(&transfer->queued) == 0)
		return;
	spin_take(&transfer->submitting);
	if (sys_ring_submit(transfer->ring) >= 0)
		atomic_store(&transfer->queued, 0);
	spin_give(&transfer->submitting);
}

/* Queues it: transfer_reap() begins what is queued, before it looks or waits. */
static bool launch(struct transfer *transfer, struct io *io, uint64_t began)
{
	struct sys_ring_request request = { .kind = io->kind == IO_PUT ? RING_WRITE : RING_READ };
	struct flight *flight;
	int r = -EBUSY;

	spin_take(&transfer->submitting);
	flight = flight_take(transfer);
	if (flight != NULL) {
		flight->io = io;
		flight->began = began;
		flight->part_count = parts_of(io, flight->parts);
		round_up(flight->parts, flight->part_count);
		request.fd = transfer->direct;
		request.parts = flight->parts;
		request.part_count = flight->part_count;
		request.offset = io->first << PAGE_SHIFT;
		request.user = flight;
		atomic_fetch_add(&transfer->in_flight, 1);
		r = sys_ring_queue(transfer->ring, &request);
		atomic_fetch_add(&transfer->queued, r == 0);
		if (r < 0) {
			atomic_fetch_sub(&transfer->in_flight, 1);
			flight->next = transfer->free;
			transfer->free = flight;
		}
	}
	spin_give(&transfer->submitting);
	return r == 0;
}

/* With `collecting`. */
static int collect(struct transfer *transfer, unsigned int want, struct sys_ring_done *done)
{
	uint64_t end = sys_now_ns() + AWAKE_NS;

	/* Of many something comes soon, and something else after it. */
	while (want > 0 && atomic_load(&transfer->in_flight) == 1 && better_way(transfer) == AWAKE &&
		sys_now_ns() < end) {
		int n;

		sys_ring_look(transfer->ring);
		n = sys_ring_collect(transfer->ring, 0, done, COLLECT);
		if (n != 0)
			return n;
	}
	return sys_ring_collect(transfer->ring, want, done, COLLECT);
}

/* Takes what has come, of a few transfers. Pages of them, in *pages. */
static int reap_some(struct transfer *transfer, unsigned int want, uint32_t *pages)
{
	struct sys_ring_done done[COLLECT];
	int n = 0;

	/* One collects; the others' pages come along. */
	if (!spin_try(&transfer->collecting))
		return 0;
	/* With nothing in flight there is nothing to wait for: whoever fills the page does so without the ring. */
	if (atomic_load(&transfer->in_flight) > 0)
		n = collect(transfer, want, done);
	if (n > 0)
		atomic_fetch_sub(&transfer->in_flight, (unsigned int)n);
	spin_give(&transfer->collecting);
	for (int i = 0; i < n; i++) {
		struct flight *flight = done[i].user;
		struct io *io = flight->io;

		*pages += io->count;
		if (flight->began > 0)
			note_way(transfer, AWAKE, flight->began);
		flight_give(transfer, flight);
		/* What the ring could not do is done in the plain way: EINVAL is a filesystem's, EAGAIN the kernel's. */
		finish(io,
			done[i].result == -EINVAL || done[i].result == -EAGAIN ? run_now(transfer, io)
									       : done[i].result);
	}
	return n;
}

int transfer_reap(struct transfer *transfer, unsigned int want)
{
	uint32_t pages = 0;
	int all;
	int n;

	if (transfer->ring == NULL)
		return 0;
	submit(transfer);
	n = all = reap_some(transfer, want, &pages);
	while (n == COLLECT && pages < ENOUGH) {
		n = reap_some(transfer, 0, &pages);
		all += n > 0 ? n : 0;
	}
	return all;
}

void transfer_start(struct transfer *transfer, struct io *io)
{
	bool by_ring = transfer->ring != NULL && goes_direct(transfer, io);
	bool alone = by_ring && is_alone(transfer, io);
	uint64_t began = alone ? sys_now_ns() : 0;
	int64_t r;

	if (by_ring && (alone ? next_way(transfer) == AWAKE : io->later) && launch(transfer, io, began))
		return;
	atomic_fetch_add(&transfer->at_once, 1);
	r = io->kind == IO_SYNC ? sys_fdatasync(transfer->fd) : run_now(transfer, io);
	atomic_fetch_sub(&transfer->at_once, 1);
	if (alone)
		note_way(transfer, ASLEEP, began);
	finish(io, r);
}

/* ---- open ---- */

int transfer_open(struct file_object *file, struct transfer **out)
{
	struct transfer *transfer = calloc(1, sizeof(*transfer));

	if (transfer == NULL)
		return -ENOMEM;
	transfer->fd = file->window.fd;
	transfer->direct = sys_reopen_direct(file->window.fd, file->window.writable);
	for (size_t i = 0; i < DEPTH; i++) {
		transfer->flights[i].next = transfer->free;
		transfer->free = &transfer->flights[i];
	}
	/* Only what passes the cache by is worth a ring: buffered reads would block in the submission anyway. */
	if (transfer->direct >= 0 && sys_ring_open(DEPTH, &transfer->ring) < 0)
		transfer->ring = NULL;
	*out = transfer;
	return 0;
}

void transfer_close(struct transfer *transfer, bool ours)
{
	if (transfer == NULL)
		return;
	if (transfer->ring != NULL && ours)
		sys_ring_close(transfer->ring);
	if (transfer->direct >= 0 && ours)
		sys_close(transfer->direct);
	free(transfer);
}

bool transfer_is_direct(const struct transfer *transfer)
{
	return transfer->direct >= 0;
}
