/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/event.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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

int64_t sys_event_identity(int event)
{
	static const char name[] = "eventfd-id:";
	char path[64];
	char text[512];
	const char *at;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", event);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n < 0 ? 0 : n] = 0;
	at = strstr(text, name);
	return at == NULL ? 0 : strtoll(at + sizeof(name) - 1, NULL, 10) + 1;
}

int sys_watch_open(const int *fds, unsigned int count)
{
	int watch = epoll_create1(EPOLL_CLOEXEC);
	int r;

	if (watch < 0)
		return -errno;
	for (unsigned int i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		if (epoll_ctl(watch, EPOLL_CTL_ADD, fds[i], &event) < 0) {
			r = -errno;
			(void)close(watch);
			return r;
		}
	}
	return watch;
}

unsigned int sys_watch_wait(int watch)
{
	struct epoll_event events[4];
	unsigned int ready = 0;
	int saved = errno;
	int n;

	do
		n = epoll_wait(watch, events, sizeof(events) / sizeof(events[0]), -1);
	while (n < 0 && errno == EINTR);
	errno = saved;
	for (int i = 0; i < n; i++)
		ready |= 1U << events[i].data.u32;
	return ready;
}

int sys_poll(struct pollfd *fds, unsigned int count, int timeout_ms)
{
	int r;

	do
		r = poll(fds, count, timeout_ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}
