/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/hub.h - a queue: many clients, each on a lane of its own.
 *
 *	writer 1 ==lane==\                        /==lane== reader 1
 *	writer 2 ==lane===> hub that receives     hub that sends ==lane== reader 2
 *	writer 3 ==lane==/                        \==lane== reader 3
 *
 * Clients come to a hub that has a listener; a hub that seeks goes to theirs (channel/seek.h): then there are hubs at both
 * ends of the lanes, many that write and many that read.
 *
 * A lane is a pair: no two processes ever store to one word, a dead client blocks its own lane only, and the order is
 * kept for each writer. The hub takes from its lanes in turn, one batch from each; it gives to the next lane with room.
 */
#ifndef CHANNEL_HUB_H
#define CHANNEL_HUB_H

#include "channel/channel.h"
#include "channel/listener.h"
#include "channel/seek.h"

/* hub: one end of a queue: a lane for each client that has come, or was sought and found */
struct hub {
	struct listener *listener; /* not owned; NULL: it seeks */
	struct seek *seek;         /* NULL: it has a listener */
	int door;                  /* readable when somebody comes, or has answered */
	uint64_t ring_bytes;       /* of each lane it writes */
	struct lock lock;          /* of the list of lanes: figures are asked for by other threads as well */
	struct channel *lanes[LANES_MAX];
	uint32_t lane_count;
	uint32_t next;        /* whose turn it is */
	struct channel *held; /* the lane whose records were looked at, or reserved in; NULL: none */
	uint32_t news_seen;
	atomic_uint news;
	uint32_t mark;
	int epoll;           /* -1: nobody asked for a descriptor */
	struct counts past;  /* what the lanes that are gone had done */
	uint64_t lost_peers; /* died, broke the protocol, or closed before they had read everything */
};

int hub_new(struct listener *listener, struct hub **hub);
int hub_new_seeking(struct seek *seek, struct hub **hub); /* takes seek over, whatever happens */
void hub_close(struct hub *hub);

/* Takes in who came, lets go who is gone and has nothing left. */
void hub_tend(struct hub *hub);

/* As the functions of a channel, but that a lane whose other end dies or lies is let go, and the next one's turn comes.
 * The first two remember the lane in hub->held. */
int hub_reserve(struct hub *hub, uint64_t bytes, uint64_t count, uint64_t deadline_ns, unsigned char **at);
int64_t hub_peek_batch(struct hub *hub, struct iovec *records, size_t count, uint64_t deadline_ns);
int64_t hub_sendv(struct hub *hub, const struct iovec *parts, size_t count, uint64_t deadline_ns);
int64_t hub_receive(struct hub *hub, void *bytes, size_t room, uint64_t deadline_ns);

/* Until so many lanes are there; returns how many. -EAGAIN, -ETIMEDOUT */
int hub_gather(struct hub *hub, uint32_t count, uint64_t deadline_ns);

void hub_poll(struct hub *hub, int epoll);
void hub_count(struct hub *hub,
	struct counts *counts); /* of all lanes, those that are gone among them; any thread */

#endif
