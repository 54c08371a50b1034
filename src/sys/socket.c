/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kernel's SCM_MAX_FD is 253; a message of ours carries a handful. */
enum { FDS_MAX = 16 };

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
};

ssize_t sys_send_fds(int socket, const void *bytes, size_t length, const int *fds, unsigned int fd_count)
{
	union control control = { .bytes = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t r;

	assert(fd_count <= FDS_MAX);
	if (fd_count > 0) {
		struct cmsghdr *head = &control.align;

		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
	}

	do
		r = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* Takes what fits into fds[room] and closes the rest; returns how many came. */
static unsigned int take_fds(struct msghdr *message, int *fds, unsigned int room)
{
	unsigned int came = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL; head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= head->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + at, sizeof(fd));
			if (came < room)
				fds[came] = fd;
			else
				(void)close(fd);
			came++;
		}
	}
	return came;
}

void sys_learn_sender(int socket)
{
	const int on = 1;

	(void)setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)); /* then the sender is not known */
}

static pid_t sender_of(struct msghdr *message)
{
	struct ucred cred = { .pid = 0 };

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL; head = CMSG_NXTHDR(message, head))
		if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_CREDENTIALS)
			memcpy(&cred, CMSG_DATA(head), sizeof(cred));
	return cred.pid;
}

ssize_t sys_receive_fds(int socket, void *bytes, size_t length, int *fds, unsigned int *fd_count)
{
	pid_t sender;

	return sys_receive_fds_from(socket, bytes, length, fds, fd_count, &sender);
}

ssize_t sys_receive_fds_from(
	int socket, void *bytes, size_t length, int *fds, unsigned int *fd_count, pid_t *sender)
{
	union control control;
	struct iovec part = { .iov_base = bytes, .iov_len = length };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned int room = *fd_count;
	unsigned int came;
	ssize_t r;

	do
		r = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	came = take_fds(&message, fds, room);
	*sender = sender_of(&message);
	if (came == 0 && (message.msg_flags & MSG_CTRUNC) != 0)
		return -EMFILE; /* the kernel found no number to give to any of them */
	if (came > room || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		for (unsigned int i = 0; i < came && i < room; i++)
			(void)close(fds[i]);
		return -EMSGSIZE;
	}
	*fd_count = came;
	return r;
}
