/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/hub.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/align.h"
#include "base/error.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/futex.h"

static struct hub *hub_start(void)
{
	struct hub *hub = calloc(1, sizeof(*hub));

	if (hub == NULL || fork_mark(&hub->mark) < 0) {
		free(hub);
		(void)error_default(-ENOMEM, "no memory for a queue");
		return NULL;
	}
	hub->epoll = -1;
	lock_init(&hub->lock);
	atomic_init(&hub->news, 1); /* whoever is there already is news */
	return hub;
}

int hub_new(struct listener *listener, struct hub **out)
{
	struct hub *hub = hub_start();
	int r;

	if (hub == NULL)
		return -ENOMEM;
	hub->listener = listener;
	hub->ring_bytes = listener->plan.ring_bytes;
	r = hub->door = listener_descriptor(listener);
	if (r >= 0)
		r = listener_watch(listener, &hub->news);
	if (r < 0) {
		free(hub);
		return r;
	}
	listener->gathered = true;
	*out = hub;
	return 0;
}

int hub_new_seeking(struct seek *seek, struct hub **out)
{
	struct hub *hub = hub_start();
	int r;

	if (hub == NULL) {
		seek_close(seek);
		return -ENOMEM;
	}
	hub->seek = seek;
	hub->door = seek->epoll;
	hub->ring_bytes = seek->plan.ring_bytes;
	r = seek_watch(seek, &hub->news);
	if (r < 0) {
		seek_close(seek);
		free(hub);
		return r;
	}
	*out = hub;
	return 0;
}

static void close_lane(struct hub *hub, struct channel *lane)
{
	if (hub->seek != NULL)
		seek_forget(hub->seek, lane);
	channel_close(lane);
}

void hub_close(struct hub *hub)
{
	if (hub == NULL)
		return;
	for (uint32_t i = 0; i < hub->lane_count; i++)
		close_lane(hub, hub->lanes[i]);
	if (hub->listener != NULL)
		listener_unwatch(hub->listener);
	seek_close(hub->seek);
	if (hub->epoll >= 0)
		sys_close(hub->epoll);
	lock_done(&hub->lock);
	free(hub);
}

/* ---- who comes, who goes ---- */

static int next_client(struct hub *hub, struct channel **lane)
{
	bool full = hub->lane_count == LANES_MAX;

	if (hub->seek != NULL)
		return full ? -EAGAIN : seek_next(hub->seek, lane);
	hub->listener->full = full; /* they are told so, and do not stand at the door for ever */
	return listener_accept(hub->listener, CHANNEL_NOW, lane);
}

static void admit(struct hub *hub)
{
	struct channel *lane;

	while (next_client(hub, &lane) == 0) {
		lock_take(&hub->lock);
		hub->lanes[hub->lane_count++] = lane;
		lock_give(&hub->lock);
		if (hub->epoll >= 0)
			channel_descriptors(lane, hub->epoll);
		lane->polled = hub->epoll >= 0;
	}
	if (hub->seek != NULL)
		seek_again(hub->seek);
	else if (hub->listener->trouble == 0)
		listener_again(hub->listener);
}

static bool is_done(struct channel *lane)
{
	bool gone = lane->broken != 0 || atomic_load(&lane->links[0].gone);

	return gone && (lane->broken != 0 || lane->in.data == NULL || !ring_has_data(&lane->in));
}

/* Did something go with it? A reader that closes has told us what it has read. */
static bool has_lost(const struct channel *lane)
{
	const struct link *link = &lane->links[0];
	uint64_t tail = atomic_load(&link->control->tail);

	return lane->broken != 0 || link->died ||
		(lane->out.data != NULL && (tail == 0 ? link->start : tail) != lane->out.head);
}

static void take_out(struct hub *hub, uint32_t i)
{
	lock_take(&hub->lock);
	hub->lost_peers += has_lost(hub->lanes[i]);
	channel_count(hub->lanes[i], &hub->past);
	hub->past.fill_bytes = 0;
	hub->past.peers = 0;
	hub->lanes[i] = hub->lanes[--hub->lane_count];
	lock_give(&hub->lock);
}

static void let_go(struct hub *hub)
{
	for (uint32_t i = hub->lane_count; i-- > 0;) {
		struct channel *lane = hub->lanes[i];

		if (lane == hub->held || !is_done(lane))
			continue;
		take_out(hub, i);
		close_lane(hub, lane);
	}
}

void hub_count(struct hub *hub, struct counts *counts)
{
	lock_take(&hub->lock);
	*counts = hub->past;
	counts->lost_peers = hub->lost_peers;
	for (uint32_t i = 0; i < hub->lane_count; i++)
		channel_count(hub->lanes[i], counts);
	lock_give(&hub->lock);
}

static void hear(struct hub *hub)
{
	for (uint32_t i = 0; i < hub->lane_count; i++)
		for (int what = 0; what < WAIT_KINDS; what++)
			wait_hear_news(hub->lanes[i], (enum wait_for)what);
}

void hub_tend(struct hub *hub)
{
	hub->news_seen = atomic_load(&hub->news);
	hear(hub);
	let_go(hub); /* first: who went away may be found again */
	admit(hub);
	hear(hub);
}

static void tend_if_news(struct hub *hub)
{
	if (atomic_load_explicit(&hub->news, memory_order_relaxed) != hub->news_seen)
		hub_tend(hub);
}

/* ---- whose turn ---- */

/* The next lane in turn that is ready; NULL when none is. */
static struct channel *ready_lane(struct hub *hub, enum wait_for what)
{
	for (uint32_t i = 0; i < hub->lane_count; i++) {
		uint32_t at = hub->next % hub->lane_count;
		struct channel *lane = hub->lanes[at];
		int r;

		hub->next = at + 1;
		if (what == WAIT_SPACE && atomic_load(&lane->links[0].gone))
			continue;
		r = lane->broken != 0 ? lane->broken : wait_is_ready(lane, what);
		if (r > 0)
			return lane;
		if (r < 0 || atomic_load(&lane->links[0].gone))
			atomic_fetch_add(
				&hub->news, 1); /* broken, or read to its end: let go at the next turn */
	}
	return NULL;
}

int hub_gather(struct hub *hub, uint32_t count, uint64_t deadline_ns)
{
	for (;;) {
		bool ready;

		hub_tend(hub);
		if (hub->lane_count >= count)
			return (int)hub->lane_count;
		if (hub->listener != NULL && hub->listener->trouble != 0)
			return hub->listener->trouble;
		if (deadline_ns == CHANNEL_NOW)
			return -EAGAIN;
		if (deadline_ns != CHANNEL_FOREVER && sys_now_ns() >= deadline_ns)
			return error_set(
				-ETIMEDOUT, "%u of %u were there at the deadline", hub->lane_count, count);
		(void)sys_wait_readable(&hub->door, 1, deadline_ns, &ready);
	}
}

static int wait_for_lanes(struct hub *hub, enum wait_for what, uint64_t deadline_ns)
{
	int r = hub->lane_count == 0 ? hub_gather(hub, 1, deadline_ns)
				     : wait_ready(hub->lanes, hub->lane_count, what, deadline_ns, hub->door);

	if (r == -EINTR)
		hub_tend(hub);
	return r == -EINTR || r == -EPROTO || r >= 0 ? 0 : r; /* who breaks the protocol is let go */
}

/* want: what is to be reserved; not looked at for WAIT_DATA */
struct want {
	uint64_t bytes;
	uint64_t count;
};

/* The lane that can take or give now. */
static int choose(struct hub *hub, enum wait_for what, const struct want *want, uint64_t deadline_ns,
	struct channel **lane)
{
	for (;;) {
		int r;

		tend_if_news(hub);
		for (uint32_t i = 0; i < hub->lane_count && what == WAIT_SPACE; i++) {
			hub->lanes[i]->want_bytes = want->bytes;
			hub->lanes[i]->want_count = want->count;
		}
		*lane = ready_lane(hub, what);
		if (*lane != NULL)
			return 0;
		r = wait_for_lanes(hub, what, deadline_ns);
		if (r < 0)
			return r;
	}
}

/* A lane that was ready may have lost its other end before it is used, or it turns out that nonsense stands in it: that is
 * not the end of the queue. The next tend lets it go, and it is another one's turn. */
static bool is_lost(int64_t r)
{
	return r == -EPIPE || r == -EOWNERDEAD || r == -EPROTO;
}

/* A liar may take back what stood there when it was chosen. */
static bool is_gone(int64_t r, uint64_t deadline_ns)
{
	return is_lost(r) || (r == -EAGAIN && deadline_ns != CHANNEL_NOW);
}

int hub_reserve(struct hub *hub, uint64_t bytes, uint64_t count, uint64_t deadline_ns, unsigned char **at)
{
	struct channel *lane;
	const struct want want = { .bytes = bytes, .count = count };
	uint64_t ring = hub->ring_bytes;
	int r;

	if (bytes > record_max(ring) || count > (ring - RECORD_HEAD) / record_step(bytes))
		return error_set(
			-EMSGSIZE, "the records do not fit into a ring of %lu bytes", (unsigned long)ring);
	do {
		r = choose(hub, WAIT_SPACE, &want, deadline_ns, &lane);
		if (r < 0)
			return r;
		r = channel_reserve(lane, bytes, count, CHANNEL_NOW, at);
	} while (is_lost(r));
	if (r == 0)
		hub->held = lane;
	return r;
}

int64_t hub_sendv(struct hub *hub, const struct iovec *parts, size_t count, uint64_t deadline_ns)
{
	struct channel *lane;
	struct want want = { .count = 1 };
	int64_t n;

	for (size_t i = 0; i < count; i++)
		if (!add_fits(want.bytes, parts[i].iov_len, &want.bytes))
			return error_set(-EMSGSIZE, "the parts are more than any memory holds");
	if (want.bytes > record_max(hub->ring_bytes))
		return error_set(-EMSGSIZE, "%zu parts of %lu bytes in all are longer than the ring", count,
			(unsigned long)want.bytes);
	do {
		int r = choose(hub, WAIT_SPACE, &want, deadline_ns, &lane);

		if (r < 0)
			return r;
		n = channel_sendv(lane, parts, count, CHANNEL_NOW);
	} while (is_lost(n));
	return n;
}

int64_t hub_peek_batch(struct hub *hub, struct iovec *records, size_t count, uint64_t deadline_ns)
{
	struct channel *lane = hub->held;
	int64_t n;

	/* The caller looks at records of this lane: it stays, lost or not, until they are released. */
	if (lane != NULL && lane->in.held > 0) {
		n = channel_peek_batch(lane, records, count, CHANNEL_NOW);
		return is_lost(n) ? -EAGAIN : n;
	}
	do {
		int r = choose(hub, WAIT_DATA, NULL, deadline_ns, &lane);

		if (r < 0)
			return r;
		n = channel_peek_batch(lane, records, count, CHANNEL_NOW);
	} while (is_gone(n, deadline_ns));
	if (n > 0)
		hub->held = lane;
	return n;
}

int64_t hub_receive(struct hub *hub, void *bytes, size_t room, uint64_t deadline_ns)
{
	struct channel *lane;
	int64_t n;

	if (hub->held != NULL)
		return error_set(-EBUSY,
			"messages were peeked at: release them before receiving, or the order is lost");
	do {
		int r = choose(hub, WAIT_DATA, NULL, deadline_ns, &lane);

		if (r < 0)
			return r;
		n = channel_receive(lane, bytes, room, CHANNEL_NOW);
	} while (is_gone(n, deadline_ns));
	return n;
}

void hub_poll(struct hub *hub, int epoll)
{
	hub->epoll = epoll;
	(void)sys_epoll_set(epoll, hub->door, EPOLLIN, 0);
	for (uint32_t i = 0; i < hub->lane_count; i++) {
		hub->lanes[i]->polled = true;
		channel_descriptors(hub->lanes[i], epoll);
	}
}
