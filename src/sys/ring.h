/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/ring.h - io_uring: transfers that go on while we do something else.
 *
 * Queueing and submitting is for one thread at a time, collecting too; the two may happen at once. All but opening and
 * closing may be called in a signal handler. In a build without liburing opening says -ENOSYS.
 */
#ifndef SYS_RING_H
#define SYS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct sys_ring;

enum sys_ring_kind { RING_READ, RING_WRITE, RING_SYNC };

struct sys_ring_request {
	enum sys_ring_kind kind;
	int fd;
	const struct iovec *parts; /* stays until the request is done */
	unsigned int part_count;
	uint64_t offset;
	void *user;
};

struct sys_ring_done {
	void *user;
	int result; /* bytes or -errno */
};

int sys_ring_open(unsigned int entries, struct sys_ring **ring);
void sys_ring_close(struct sys_ring *ring);

/* -EBUSY: no more can be queued before what is queued was submitted. */
int sys_ring_queue(struct sys_ring *ring, const struct sys_ring_request *request);

/* Begins all that is queued, in one call of the kernel. */
int sys_ring_submit(struct sys_ring *ring);

/* Has the kernel finish what the device is done with, and does not wait: who asks again and again instead of sleeping. */
void sys_ring_look(struct sys_ring *ring);

/* Up to `room` completions, waiting until there are `want`. The number, or -errno. */
int sys_ring_collect(struct sys_ring *ring, unsigned int want, struct sys_ring_done *done, unsigned int room);

#endif
