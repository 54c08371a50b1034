/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/ring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

struct sys_ring {
	struct io_uring ring;
};

int sys_ring_open(unsigned int entries, struct sys_ring **out)
{
	struct sys_ring *ring = malloc(sizeof(*ring));
	int r;

	if (ring == NULL)
		return -ENOMEM;
	r = io_uring_queue_init(entries, &ring->ring, 0);
	if (r < 0) {
		free(ring);
		return r;
	}
	/* A child of fork must not see the ring's memory: two processes in one ring corrupt it. */
	(void)io_uring_ring_dontfork(&ring->ring);
	*out = ring;
	return 0;
}

void sys_ring_close(struct sys_ring *ring)
{
	io_uring_queue_exit(&ring->ring);
	free(ring);
}

static void prepare(struct io_uring_sqe *sqe, const struct sys_ring_request *request)
{
	switch (request->kind) {
	case RING_READ:
		io_uring_prep_readv(sqe, request->fd, request->parts, request->part_count, request->offset);
		break;
	case RING_WRITE:
		io_uring_prep_writev(sqe, request->fd, request->parts, request->part_count, request->offset);
		break;
	case RING_SYNC: io_uring_prep_fsync(sqe, request->fd, IORING_FSYNC_DATASYNC); break;
	}
	io_uring_sqe_set_data(sqe, request->user);
}

int sys_ring_queue(struct sys_ring *ring, const struct sys_ring_request *request)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

	if (sqe == NULL)
		return -EBUSY;
	prepare(sqe, request);
	return 0;
}

int sys_ring_submit(struct sys_ring *ring)
{
	int r;

	do
		r = io_uring_submit(&ring->ring);
	while (r == -EINTR || r == -EAGAIN);
	return r < 0 ? r : 0;
}

void sys_ring_look(struct sys_ring *ring)
{
	(void)io_uring_get_events(&ring->ring); /* what went wrong, the next call tells */
}

int sys_ring_collect(struct sys_ring *ring, unsigned int want, struct sys_ring_done *done, unsigned int room)
{
	struct io_uring_cqe *cqes[64];
	struct io_uring_cqe *one;
	unsigned int n;
	int r = 0;

	if (room > 64)
		room = 64;
	if (want > 0) {
		do
			r = io_uring_wait_cqe_nr(&ring->ring, &one, want < room ? want : room);
		while (r == -EINTR);
		if (r < 0)
			return r;
	}
	n = io_uring_peek_batch_cqe(&ring->ring, cqes, room);
	for (unsigned int i = 0; i < n; i++)
		done[i] = (struct sys_ring_done){ .user = io_uring_cqe_get_data(cqes[i]),
			.result = cqes[i]->res };
	io_uring_cq_advance(&ring->ring, n);
	return (int)n;
}
