/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/hub.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/futex.h"

int hub_new(struct listener *listener, struct hub **out)
{
	struct hub *hub = calloc(1, sizeof(*hub));
	int r;

	if (hub == NULL)
		return error_set(-ENOMEM, "no memory for a queue");
	hub->listener = listener;
	hub->epoll = -1;
	atomic_init(&hub->news, 1); /* whoever waits in the backlog already is news */
	r = fork_mark(&hub->mark);
	if (r == 0)
		r = listener_watch(listener, &hub->news);
	if (r < 0) {
		free(hub);
		return r;
	}
	listener->gathered = true;
	*out = hub;
	return 0;
}

void hub_close(struct hub *hub)
{
	if (hub == NULL)
		return;
	for (uint32_t i = 0; i < hub->lane_count; i++)
		channel_close(hub->lanes[i]);
	listener_unwatch(hub->listener);
	if (hub->epoll >= 0)
		sys_close(hub->epoll);
	free(hub);
}

/* ---- who comes, who goes ---- */

static void admit(struct hub *hub)
{
	struct channel *lane;

	while (hub->lane_count < LANES_MAX && listener_accept(hub->listener, CHANNEL_NOW, &lane) == 0) {
		hub->lanes[hub->lane_count++] = lane;
		if (hub->epoll >= 0)
			channel_descriptors(lane, hub->epoll);
		lane->polled = hub->epoll >= 0;
	}
	listener_again(hub->listener);
}

static bool is_done(struct channel *lane)
{
	bool gone = lane->broken != 0 || atomic_load(&lane->links[0].gone);

	return gone && (lane->broken != 0 || lane->in.data == NULL || !ring_has_data(&lane->in));
}

static void let_go(struct hub *hub)
{
	for (uint32_t i = hub->lane_count; i-- > 0;) {
		struct channel *lane = hub->lanes[i];

		if (lane == hub->held || !is_done(lane))
			continue;
		hub->died += lane->links[0].died;
		channel_close(lane);
		hub->lanes[i] = hub->lanes[--hub->lane_count];
	}
}

void hub_tend(struct hub *hub)
{
	hub->news_seen = atomic_load(&hub->news);
	admit(hub);
	for (uint32_t i = 0; i < hub->lane_count; i++)
		for (int what = 0; what < WAIT_KINDS; what++)
			wait_hear_news(hub->lanes[i], (enum wait_for)what);
	let_go(hub);
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
		r = wait_is_ready(lane, what);
		if (r > 0)
			return lane;
		if (r < 0)
			atomic_fetch_add(&hub->news, 1); /* broken: it is let go at the next turn */
	}
	return NULL;
}

static int wait_for_lanes(struct hub *hub, enum wait_for what, uint64_t deadline_ns)
{
	int r;

	if (hub->lane_count == 0) {
		if (deadline_ns == CHANNEL_NOW)
			return -EAGAIN;
		listener_wait(hub->listener, deadline_ns);
		hub_tend(hub);
		return deadline_ns != CHANNEL_FOREVER && sys_now_ns() >= deadline_ns
			? error_set(-ETIMEDOUT, "no client was there before the deadline")
			: 0;
	}
	r = wait_ready(hub->lanes, hub->lane_count, what, deadline_ns, hub->listener);
	if (r == -EINTR)
		hub_tend(hub);
	return r == -EINTR || r >= 0 ? 0 : r;
}

int hub_choose(struct hub *hub, enum wait_for what, const struct want *want, uint64_t deadline_ns,
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

int hub_reserve(struct hub *hub, uint64_t bytes, uint64_t count, uint64_t deadline_ns, unsigned char **at)
{
	struct channel *lane;
	const struct want want = { .bytes = bytes, .count = count };
	uint64_t ring = hub->listener->plan.ring_bytes;
	int r;

	if (bytes > record_max(ring) || count > (ring - RECORD_HEAD) / record_step(bytes))
		return error_set(-EMSGSIZE, "the records do not fit into a ring of %lu bytes",
			(unsigned long)hub->listener->plan.ring_bytes);
	r = hub_choose(hub, WAIT_SPACE, &want, deadline_ns, &lane);
	if (r == 0)
		r = channel_reserve(lane, bytes, count, CHANNEL_NOW, at);
	if (r == 0)
		hub->held = lane;
	return r;
}

int64_t hub_peek_batch(struct hub *hub, struct record *records, size_t count, uint64_t deadline_ns)
{
	struct channel *lane = hub->held;
	int64_t n;
	int r = 0;

	if (lane == NULL || lane->in.held == 0)
		r = hub_choose(hub, WAIT_DATA, NULL, deadline_ns, &lane);
	if (r < 0)
		return r;
	n = channel_peek_batch(lane, records, count, CHANNEL_NOW);
	if (n > 0)
		hub->held = lane;
	return n;
}

void hub_poll(struct hub *hub, int epoll)
{
	hub->epoll = epoll;
	(void)sys_epoll_set(epoll, listener_descriptor(hub->listener), EPOLLIN, 0);
	for (uint32_t i = 0; i < hub->lane_count; i++) {
		hub->lanes[i]->polled = true;
		channel_descriptors(hub->lanes[i], epoll);
	}
}
