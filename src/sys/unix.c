/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/unix.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/file.h"
#include "sys/futex.h"

enum { NS_A_SECOND = 1000000000, WAIT_MAX = 256 };

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

/* ---- names ---- */

static int address_of(const char *path, struct sockaddr_un *address, socklen_t *length)
{
	size_t bytes = strlen(path);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (bytes == 0 || bytes >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, bytes);
	*length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + 1);
	if (path[0] == '@') {
		address->sun_path[0] = '\0';
		*length -= 1; /* an abstract name has no end but its length */
	}
	return 0;
}

static int open_at(const char *path, bool owner)
{
	struct sockaddr_un address;
	const struct sockaddr *generic = (const struct sockaddr *)&address;
	socklen_t length;
	int r = address_of(path, &address, &length);
	int fd;

	if (r < 0)
		return r;
	fd = result(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return fd;
	r = result(owner ? bind(fd, generic, length) : connect(fd, generic, length));
	if (r < 0) {
		sys_close(fd);
		return r;
	}
	return fd;
}

int sys_unix_bind(const char *path)
{
	return open_at(path, true);
}

int sys_unix_connect(const char *path)
{
	return open_at(path, false);
}

int sys_unix_listen(int socket, int backlog)
{
	return result(listen(socket, backlog));
}

int sys_unix_accept(int socket)
{
	int r;

	do
		/* cppcheck-suppress nullPointer ; nobody asks for the address */
		r = result(accept4(socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	while (r == -EINTR || r == -ECONNABORTED);
	return r;
}

void sys_unix_hang_up(int socket)
{
	(void)shutdown(socket, SHUT_RDWR); /* fails when the other end has hung up already */
}

bool sys_unix_is_listener(int fd)
{
	int value = 0;
	socklen_t length = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) < 0 || value == 0)
		return false;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) == 0 && value == SOCK_SEQPACKET;
}

int sys_unix_set_blocking(int fd, bool block)
{
	int flags = result(fcntl(fd, F_GETFL));

	if (flags < 0)
		return flags;
	return result(fcntl(fd, F_SETFL, block ? flags & ~O_NONBLOCK : flags | O_NONBLOCK));
}

/* ---- messages ---- */

ssize_t sys_unix_send_now(int socket, const void *bytes, size_t length)
{
	ssize_t r;

	do
		r = send(socket, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t sys_unix_receive_now(int socket, void *bytes, size_t length)
{
	ssize_t r;

	do
		r = recv(socket, bytes, length, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* ---- the other end ---- */

int sys_unix_peer(int socket, struct sys_peer *peer)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);
	int r = result(getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &length));

	if (r < 0)
		return r;
	*peer = (struct sys_peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	return 0;
}

int sys_unix_peer_groups(int socket, gid_t *groups, size_t room)
{
	socklen_t length = (socklen_t)(room * sizeof(*groups));
	int r = result(getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &length));

	return r < 0 ? r : (int)(length / sizeof(*groups));
}

int sys_pidfd_open(pid_t pid)
{
	return result(syscall(SYS_pidfd_open, pid, 0));
}

/* ---- waiting ---- */

int sys_wait_readable(const int *fds, size_t count, uint64_t deadline_ns, bool *ready)
{
	struct pollfd polled[WAIT_MAX];
	uint64_t now = deadline_ns == 0 ? 0 : sys_now_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
	struct timespec timeout = {
		.tv_sec = (time_t)(left / NS_A_SECOND),
		.tv_nsec = (long)(left % NS_A_SECOND),
	};
	int r;

	assert(count <= WAIT_MAX);
	for (size_t i = 0; i < count; i++)
		polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN | POLLRDHUP };
	r = result(ppoll(polled, count, deadline_ns == SYS_NEVER ? NULL : &timeout, NULL));
	for (size_t i = 0; i < count; i++)
		ready[i] = r > 0 && polled[i].revents != 0;
	return r == -EINTR ? 0 : r;
}

int sys_epoll_create(void)
{
	return result(epoll_create1(EPOLL_CLOEXEC));
}

int sys_epoll_set(int epoll, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event event = { .events = events, .data.u64 = tag };
	int r;

	if (events == 0)
		return result(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
	r = result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	return r == -EEXIST ? result(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event)) : r;
}

int sys_epoll_wait(int epoll, uint64_t *tags, uint32_t *events, size_t room)
{
	struct epoll_event found[WAIT_MAX];
	int r;

	assert(room <= WAIT_MAX);
	do
		r = result(epoll_wait(epoll, found, (int)room, -1));
	while (r == -EINTR);
	for (int i = 0; i < r; i++) {
		tags[i] = found[i].data.u64;
		events[i] = found[i].events;
	}
	return r;
}

int sys_eventfd(void)
{
	return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void sys_eventfd_signal(int fd)
{
	(void)eventfd_write(fd, 1); /* fails only when it is signalled 2^64 times over */
}

/* ---- the directory of names ---- */

int sys_make_directory(const char *path, mode_t mode)
{
	int r = result(mkdir(path, mode));

	return r == -EEXIST ? 0 : r;
}

int sys_lock_directory(const char *path)
{
	int fd = result(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int r;

	if (fd < 0)
		return fd;
	do
		r = result(flock(fd, LOCK_EX | LOCK_NB));
	while (r == -EINTR);
	if (r < 0) {
		sys_close(fd);
		return r;
	}
	return fd;
}

int sys_set_permissions(const char *path, mode_t mode)
{
	return result(chmod(path, mode));
}
