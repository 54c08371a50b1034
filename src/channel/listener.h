/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/listener.h - a name that others connect to.
 *
 * A client that connects and then says nothing must not keep the others waiting, so clients are greeted without blocking:
 * whoever has not said its hello yet waits in a row. When it is full, who has been silent for long leaves it; until then the
 * next ones wait in the kernel's.
 */
#ifndef CHANNEL_LISTENER_H
#define CHANNEL_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "channel/channel.h"
#include "channel/name.h"

enum { STRANGERS_MAX = 64, GROUPS_MAX = 64 };

/* right: one line of the access list: who may do what */
struct right {
	uint32_t uid; /* ANYBODY: any */
	uint32_t gid; /* ANYBODY: any; else one of the client's groups */
	uint32_t may; /* bits of enum channel_role: what the client does */
};

#define ANYBODY UINT32_MAX

/* stranger: a client that has connected and not said anything yet */
struct stranger {
	int socket;
	uint64_t since_ns; /* CLOCK_MONOTONIC */
	watch_ticket watch;
};

/* listener: a name that others connect to, and who may */
struct listener {
	int socket;
	bool adopted;     /* the socket was inherited: others may go on with it */
	bool unlink;      /* the socket's file is ours ... */
	struct stat file; /* ... as long as it is this one */
	struct name_place place;
	struct plan plan;
	struct as *as;
	struct right *rights; /* NULL: same user and root */
	size_t right_count;
	uint32_t mark;
	struct stranger strangers[STRANGERS_MAX];
	uint32_t stranger_count;
	watch_ticket watch;
	int epoll; /* -1: nobody asked for a descriptor; else the socket and all strangers are in it */
	atomic_uint *news; /* counted up when a client comes or speaks; NULL: nobody asked */
	bool gathered;     /* a hub takes all clients in: nobody else may */
	bool full;         /* the hub has no lane for another one */
	int trouble; /* why we could take nobody in when we tried last: no descriptor, no memory; 0: we could */
	uint64_t refused;
	struct channel *spare; /* for the next client: made while it prepares its own side; NULL: none */
};

/* what: name, rights, permissions of the socket; fd -1, or a listening socket that was inherited. */
struct listen_request {
	const char *name;
	int fd;
	uint32_t permissions;
	const struct right *rights;
	size_t right_count;
};

/* -EADDRINUSE somebody listens there. */
int listener_open(struct as *as, const struct plan *plan, const struct listen_request *request,
	struct listener **listener);
void listener_close(struct listener *l); /* takes NULL */

/* The next client that may, or -EAGAIN, -ETIMEDOUT, or why we cannot take anybody in: -EMFILE, -ENOMEM. For a pair and a
 * lane: its channel. */
int listener_accept(struct listener *l, uint64_t deadline_ns, struct channel **channel);

/* Topic: takes all in who are there, without waiting. */
void listener_admit(struct listener *l, struct channel *hub);

/* From now on a client that comes counts the word up. */
int listener_watch(struct listener *l, atomic_uint *word);
void listener_again(struct listener *l); /* after taking in who was there */
void listener_unwatch(struct listener *l);
void listener_wait(struct listener *l, uint64_t deadline_ns);

/* For poll: readable when a client comes, or one who came says its hello. Made at the first call. */
int listener_descriptor(struct listener *l);

#endif
