/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/channel.h - messages between processes.
 *
 *	channel_send:  reserve -> write in place -> publish -> ring the bell only if the peer sleeps
 *
 * A channel owns one segment (channel/layout.h) and has a link to each process it talks with:
 *
 *	pair    one link; each side may write, read or both
 *	queue   a hub: one pair for each client; the hub takes from them, or gives to them, in turn
 *	topic   one writer, a link for each reader; all read the same ring
 *
 * One thread at a time for each direction of a channel. What belongs to both directions - links that go, clients that
 * come - is changed under channel.lock.
 */
#ifndef CHANNEL_CHANNEL_H
#define CHANNEL_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/lock.h"
#include "channel/fork.h"
#include "channel/ring.h"
#include "channel/segment.h"
#include "channel/watch.h"
#include "sys/unix.h"

#define CHANNEL_NOW UINT64_C(0)
#define CHANNEL_FOREVER (~CHANNEL_NOW)

/* The public enums, known here by the same numbers (asserted in api/channel.c). */
enum channel_role { ROLE_SEND = 1, ROLE_RECEIVE = 2, ROLE_BOTH = 3 };
enum channel_mode { MODE_MESSAGES = 0, MODE_STREAM = 1 };
enum channel_pattern { PATTERN_PAIR = 0, PATTERN_QUEUE = 1, PATTERN_TOPIC = 2 };
enum channel_policy { POLICY_BLOCK = 0, POLICY_DROP_SLOWEST = 1, POLICY_LOSSY = 2 };

enum wait_for { WAIT_DATA, WAIT_SPACE, WAIT_KINDS };

/* Lanes of a hub: each is a word to sleep on, and one is for news (SYS_WORDS_MAX). */
enum { LANES_MAX = 126 };

/* plan: what both sides of a channel must agree on, or one of them decides */
struct plan {
	uint32_t role; /* ours */
	uint32_t mode;
	uint32_t pattern;
	uint32_t policy;
	uint64_t ring_bytes; /* of what we write */
	uint64_t spin_ns;    /* at most; 0: the default */
	bool huge;
	char name[LAYOUT_TEXT];
	char schema[LAYOUT_TEXT];
};

/* link: one process at the other end: its segment, its socket, and whether it is still there */
struct link {
	struct segment peer;
	const struct layout_control *control; /* the peer's: peer.control, read-only */
	int socket;
	int pidfd; /* -1: its process cannot be named here; the socket tells as well */
	struct sys_peer who;
	uint32_t rung[WAIT_KINDS]; /* the peer's armed words that were answered */
	uint64_t start;            /* topic: the head when it joined */
	uint64_t start_records;
	uint64_t tail; /* the peer's, checked */
	watch_ticket watch_socket;
	watch_ticket watch_pid;
	bool fence;        /* each side fences for itself; else the one who sleeps fences the other */
	atomic_bool gone;  /* no more answers from there */
	bool died;         /* gone without a word */
	bool told_dropped; /* the writer has dropped us because we were too slow */
};

struct listener;

/* counts: what a channel has done so far, and how full it is; a queue adds up its lanes, those that are gone among them */
struct counts {
	uint64_t sent_records;
	uint64_t sent_bytes;
	uint64_t received_records;
	uint64_t received_bytes;
	uint64_t lost_records;
	uint64_t dropped_readers;
	uint64_t data_sleeps;
	uint64_t data_sleep_ns;
	uint64_t space_sleeps;
	uint64_t space_sleep_ns;
	uint64_t bells;
	uint64_t fill_bytes;  /* of the fullest ring, now */
	uint64_t lost_peers;  /* of a hub */
	uint32_t peers;       /* now */
	struct sys_peer peer; /* one of them */
	uint64_t ring_bytes;  /* of the ring written, or else read */
};

/* waiter: what one direction of a channel remembers between two waits */
struct waiter {
	uint32_t news_seen;
	uint32_t armed; /* the last number used */
	uint64_t spin_ns;
	uint64_t spin_max_ns;
	uint32_t futile;    /* spins in a row that were as long as allowed, and for nothing */
	uint64_t looks;     /* empty looks */
	uint64_t looked_ns; /* when the sockets were asked last */
};

/* channel: shared-memory IPC: one participant's segment, and links to the others */
struct channel {
	/* what each record touches */
	struct ring_writer out;
	struct ring_reader in;
	struct link *links;
	uint32_t link_count;
	uint32_t mark;     /* of the process that opened it */
	bool fence;        /* with some link each side fences for itself: so do we, for each message ... */
	bool barrier;      /* ... with some link who sleeps fences the other */
	bool said_barrier; /* a client: what its hello said of itself */
	bool polled;       /* its descriptor was asked for */
	bool watched;      /* the watcher tells of every hang-up */
	atomic_uint *news; /* counted up by the watcher: somebody hung up, or somebody came */

	struct as *as;
	struct plan plan;
	struct segment own;
	struct lock lock;
	atomic_uint own_news;
	struct waiter waiters[WAIT_KINDS]; /* each belongs to the thread of its direction */
	uint64_t want_bytes;               /* set by send.c before it waits for room */
	uint64_t want_count;
	uint64_t open_used;        /* stream: bytes taken from the piece that is open */
	struct record open;        /* stream; bytes NULL: none is open */
	uint64_t dropped;          /* readers that were dropped as too slow */
	int epoll;                 /* -1: nobody asked for a descriptor */
	int broken;                /* sticky: a peer has broken the protocol */
	struct listener *listener; /* topic: where readers come from; not owned */
	bool closed;
};

/* ---- making and unmaking ---- */

int channel_new(struct as *as, const struct plan *plan, uint64_t id, struct channel **channel);
void channel_close(struct channel *c); /* takes NULL; the peers learn that it was in order */
void channel_count(struct channel *c, struct counts *counts); /* adds to it; any thread */

/* Takes the link over. Called before the channel is used, or by its own threads under lock (topic). */
int channel_join(struct channel *c, const struct link *link);

/* ---- waiting (wait.c) ---- */

/* door: readable when somebody comes, -1 when nobody is expected. Until one of the channels is ready; returns its number, -EAGAIN, -ETIMEDOUT, or what channel_state() says. */
int wait_ready(struct channel *const *set, size_t count, enum wait_for what, uint64_t deadline_ns, int door);

/* 1 ready, 0 not, -EPROTO. Looks at shared memory only. */
int wait_is_ready(struct channel *c, enum wait_for what);

/* Takes note of who hung up and who came. */
void wait_hear_news(struct channel *c, enum wait_for what);
void wait_init(struct channel *c);

/* For who will say that nothing is there without having waited: the next one rings all the same. */
void wait_arm(struct channel *c, enum wait_for what);

static inline bool wait_has_news(const struct channel *c, enum wait_for what)
{
	return atomic_load_explicit(c->news, memory_order_relaxed) != c->waiters[what].news_seen;
}

/* Answers whoever sleeps for `what` on the other side; one load for each link when nobody does. */
void wait_ring(struct channel *c, struct link *link, enum wait_for what, uint32_t armed);

/* ---- links (link.c) ---- */

/* Asks the sockets; sets gone. Any thread. */
void links_check(struct channel *c);

/* 0 while somebody is there; else why not: -EPIPE, -EOWNERDEAD, -ENOBUFS, with a sentence. */
int channel_state(struct channel *c, enum wait_for what);
int channel_broken(struct channel *c, struct link *link);
void link_drop(struct channel *c, struct link *link, bool too_slow);
void link_close(struct link *link);
void channel_descriptors(struct channel *c, int epoll); /* puts what can wake it into an epoll */

/* After a record was published (DATA) or room given back (SPACE). */
static inline void channel_ring(struct channel *c, enum wait_for what)
{
	/* The sleeper's membarrier is our fence; only the compiler must keep the order here. */
	if (c->fence)
		atomic_thread_fence(memory_order_seq_cst);
	else
		atomic_signal_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < c->link_count; i++) {
		struct link *link = &c->links[i];
		const atomic_uint *word = what == WAIT_DATA ? &link->control->armed_data
							    : &link->control->armed_space;
		uint32_t armed = atomic_load_explicit(word, memory_order_relaxed);

		if (armed != link->rung[what])
			wait_ring(c, link, what, armed);
	}
}

/* ---- sending ---- */

int channel_reserve_slow(
	struct channel *c, uint64_t bytes, uint64_t count, uint64_t deadline_ns, unsigned char **at);

/* 0; -EAGAIN with CHANNEL_NOW, -ETIMEDOUT, -EMSGSIZE, -EPIPE closed, -EOWNERDEAD died, -EPROTO */
static inline int channel_reserve(
	struct channel *c, uint64_t bytes, uint64_t count, uint64_t deadline_ns, unsigned char **at)
{
	/* What fits into half of the ring cannot overflow; the rest is checked where there is time. */
	if (count != 1 || bytes > c->out.capacity / 2 || wait_has_news(c, WAIT_SPACE) ||
		!ring_has_room(&c->out, bytes, 1))
		return channel_reserve_slow(c, bytes, count, deadline_ns, at);
	*at = ring_reserve(&c->out, bytes, 1);
	return 0;
}

static inline void channel_publish(struct channel *c, uint64_t bytes)
{
	ring_publish(&c->out, bytes);
	channel_ring(c, WAIT_DATA);
}

void channel_publish_batch(struct channel *c, uint64_t count);
int64_t channel_sendv(struct channel *c, const struct iovec *parts, size_t count, uint64_t deadline_ns);

/* ---- receiving ---- */

int channel_peek_slow(struct channel *c, struct record *record, uint64_t deadline_ns);
int channel_release_slow(struct channel *c, uint64_t count);

/* In a stream: -EBUSY when a piece was received in part. */
int channel_may_peek(const struct channel *c);

/* 1, or as channel_reserve(); also -ENOBUFS dropped as too slow */
static inline int channel_peek(struct channel *c, struct record *record, uint64_t deadline_ns)
{
	if (!c->in.checks && ring_peek(&c->in, record) > 0)
		return 1;
	return channel_peek_slow(c, record, deadline_ns);
}

int64_t channel_peek_batch(struct channel *c, struct iovec *records, size_t count, uint64_t deadline_ns);

/* -ESTALE: lossy, and overtaken meanwhile */
static inline int channel_release(struct channel *c, uint64_t count)
{
	if (count != c->in.held || c->in.checks)
		return channel_release_slow(c, count);
	ring_release_all(&c->in);
	return ring_must_tell(&c->in) ? channel_release_slow(c, 0) : 0;
}

int64_t channel_receive(struct channel *c, void *bytes, size_t room, uint64_t deadline_ns);

#endif
