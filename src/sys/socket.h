/* SPDX-License-Identifier: Apache-2.0 */
/* sys/socket.h - messages with descriptors over Unix sockets, as -errno. Never raises SIGPIPE. */
#ifndef SYS_SOCKET_H
#define SYS_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

ssize_t sys_send_fds(int socket, const void *bytes, size_t length, const int *fds, unsigned int fd_count);

/* Received descriptors are close-on-exec. fd_count: in: room; out: how many came. -EMSGSIZE: more came than there is room
 * for, bytes or descriptors; then all of it is dropped: a peer must not be able to fill our descriptor table. -EMFILE: our
 * table is full; the message is gone as well. */
ssize_t sys_receive_fds(int socket, void *bytes, size_t length, int *fds, unsigned int *fd_count);

/* From now on the kernel says which process sent a message. sender, out: its pid; 0: it is not known. */
void sys_learn_sender(int socket);
ssize_t sys_receive_fds_from(
	int socket, void *bytes, size_t length, int *fds, unsigned int *fd_count, pid_t *sender);

#endif
