/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/unix.h - Unix sockets that keep message boundaries (SOCK_SEQPACKET), who is at the other end, and waiting for
 * descriptors, as -errno.
 *
 * A path that begins with '@' is a name in the abstract namespace: no file, gone with its owner.
 */
#ifndef SYS_UNIX_H
#define SYS_UNIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int sys_unix_bind(const char *path); /* a new socket; -ENAMETOOLONG */
int sys_unix_listen(int socket, int backlog);
int sys_unix_connect(const char *path); /* a new socket */
int sys_unix_accept(int socket);        /* does not block: -EAGAIN; the result does not block either */
void sys_unix_hang_up(
	int socket); /* also for who has a duplicate, as children made by fork have; not yet closed */
bool sys_unix_is_listener(int fd);
int sys_unix_set_blocking(int fd, bool block);

/* One message, or -EAGAIN: never blocks, whatever the descriptor's flags say. */
ssize_t sys_unix_send_now(int socket, const void *bytes, size_t length);
ssize_t sys_unix_receive_now(int socket, void *bytes, size_t length);

/* The credentials the peer had when it connected, as seen from our namespaces. */
struct sys_peer {
	pid_t pid; /* 0: in a namespace we do not see into */
	uid_t uid;
	gid_t gid;
};

int sys_unix_peer(int socket, struct sys_peer *peer);
int sys_unix_peer_groups(int socket, gid_t *groups, size_t room); /* returns how many */
int sys_pidfd_open(pid_t pid);

/* Waits for the first of these to become readable or be hung up on. ready[i] is set; returns how many, 0 at the deadline
 * (CLOCK_MONOTONIC, in ns; SYS_NEVER in sys/futex.h) or after a signal. */
int sys_wait_readable(const int *fds, size_t count, uint64_t deadline_ns, bool *ready);

int sys_epoll_create(void);
/* events is a set of EPOLL numbers; 0 removes. */
int sys_epoll_set(int epoll, int fd, uint32_t events, uint64_t tag);
/* Tags and events of what is ready, waiting for ever; -EINTR is retried. */
int sys_epoll_wait(int epoll, uint64_t *tags, uint32_t *events, size_t room);
int sys_eventfd(void);
void sys_eventfd_signal(int fd); /* of our own: see docs/decisions/ on why never a peer's */

/* For the directory of names: made with permissions 0700 when missing; -EEXIST never. */
int sys_make_directory(const char *path, mode_t mode);
int sys_lock_directory(const char *path); /* a descriptor; closing it unlocks. -EAGAIN somebody else has it */
int sys_set_permissions(const char *path, mode_t mode);

#endif
