/* SPDX-License-Identifier: Apache-2.0 */
/* sys/ring-none.c - for builds without liburing. */
#include <errno.h>

#include "sys/ring.h"

int sys_ring_open(unsigned int entries, struct sys_ring **ring)
{
	(void)entries;
	(void)ring;
	return -ENOSYS;
}

void sys_ring_close(struct sys_ring *ring)
{
	(void)ring;
}

int sys_ring_queue(struct sys_ring *ring, const struct sys_ring_request *request)
{
	(void)ring;
	(void)request;
	return -ENOSYS;
}

int sys_ring_submit(struct sys_ring *ring)
{
	(void)ring;
	return -ENOSYS;
}

void sys_ring_look(struct sys_ring *ring)
{
	(void)ring;
}

int sys_ring_collect(struct sys_ring *ring, unsigned int want, struct sys_ring_done *done, unsigned int room)
{
	(void)ring;
	(void)want;
	(void)done;
	(void)room;
	return -ENOSYS;
}
