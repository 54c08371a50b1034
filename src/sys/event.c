/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/event.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int sys_event_open(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void sys_event_signal(int event)
{
	const uint64_t one = 1;
	int saved = errno;

	if (write(event, &one, sizeof(one)) < 0)
		errno = saved; /* EAGAIN: it is signalled 2^64 - 2 times already */
}

void sys_event_clear(int event)
{
	uint64_t count;
	int saved = errno;

	if (read(event, &count, sizeof(count)) < 0)
		errno = saved; /* EAGAIN: somebody else has cleared it */
}

int sys_poll(struct pollfd *fds, unsigned int count, int timeout_ms)
{
	int r;

	do
		r = poll(fds, count, timeout_ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}
