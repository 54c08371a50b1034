/* SPDX-License-Identifier: Apache-2.0 */
/* channel/connect.h - the client's side of the greeting (channel/hello.h), at once or in two steps without waiting. */
#ifndef CHANNEL_CONNECT_H
#define CHANNEL_CONNECT_H

#include "channel/channel.h"

struct hello;

/* Connects to a name. */
int channel_connect(struct as *as, const struct plan *plan, const char *name, uint64_t deadline_ns,
	struct channel **channel);

/* Over a connected socket: says hello, and leaves a channel that nobody is at the other end of yet. */
int channel_greet(struct as *as, const struct plan *plan, int socket, struct channel **channel);

/* 0: the listener has answered, and the channel owns the socket. -EAGAIN not yet; else why not. */
int channel_answered(struct channel *c, int socket);

/* A link over a connected socket, from what the peer has sent; takes socket and segment over. sender: its pid; 0: that of who
 * connected. */
int link_make(struct link *link, int socket, pid_t sender, const struct segment *peer, bool fence);

/* A peer must write what we read, and must not write when we do not read. -EBADMSG */
int link_fits(const struct segment *peer, const struct hello *hello);

#endif
