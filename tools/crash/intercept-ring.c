/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intercept-ring.c - what goes through io_uring is not recorded, so what changes a file below the root is refused here:
 * a log with a hole would prove nothing. The library's ring carries prefetches alone; what it writes, a thread writes.
 */
#include "intercept.h"

#include <dlfcn.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

typedef int submit_fn(struct io_uring *ring);

static bool only_reads(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_NOP:
	case IORING_OP_READ:
	case IORING_OP_READV:
	case IORING_OP_READ_FIXED:
	case IORING_OP_POLL_ADD:
	case IORING_OP_POLL_REMOVE:
	case IORING_OP_TIMEOUT:
	case IORING_OP_TIMEOUT_REMOVE:
	case IORING_OP_ASYNC_CANCEL:
	case IORING_OP_STATX: return true;
	default: return false;
	}
}

static void refuse_changes(const struct io_uring *ring)
{
	const struct io_uring_sq *sq = &ring->sq;
	unsigned int shift = (ring->flags & IORING_SETUP_SQE128) != 0;

	for (unsigned int i = sq->sqe_head; i != sq->sqe_tail; i++) {
		const struct io_uring_sqe *sqe = &sq->sqes[(i & sq->ring_mask) << shift];
		uint64_t file;

		if (only_reads(sqe) || !rec_inside_fd(sqe->fd, &file))
			continue;
		fprintf(stderr,
			"crash: operation %u of io_uring on a recorded file: the recorder does not see it, so record this "
			"program with io_uring switched off\n",
			sqe->opcode);
		abort();
	}
}

int io_uring_submit(struct io_uring *ring)
{
	void *next = dlsym(RTLD_NEXT, "io_uring_submit");
	submit_fn *real;

	memcpy(&real, &next, sizeof(real)); /* ISO C knows no cast for this */
	if (rec_enter()) {
		refuse_changes(ring);
		rec_leave();
	}
	return real(ring);
}
