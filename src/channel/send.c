/* SPDX-License-Identifier: Apache-2.0 */
/* channel/send.c - the writing side: reserve, write in place, publish, ring the bell only if the peer sleeps. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "channel/channel.h"

/* A stream goes in pieces of an eighth of the ring: about four in flight are enough for full speed, and the reader
 * starts early (evidence: 64 KiB records in a ring of 512 KiB). */
enum { PIECES_A_RING = 8 };

static int too_big(const struct channel *c, uint64_t bytes, uint64_t count)
{
	return error_set(-EMSGSIZE,
		"%" PRIu64 " x %" PRIu64
		" bytes do not fit into the ring, which takes records of up to %" PRIu64
		" bytes: choose a larger .ring_bytes, or stream mode",
		count, bytes, record_max(c->out.capacity));
}

static struct link *slowest_of(struct channel *c)
{
	struct link *slowest = &c->links[0];

	for (uint32_t i = 1; i < c->link_count; i++)
		if (c->links[i].tail < slowest->tail)
			slowest = &c->links[i];
	return slowest;
}

/* Room by the topic's policy: the reader that holds it is sent away. */
static int drop_until_room(struct channel *c)
{
	int r = wait_is_ready(c, WAIT_SPACE);

	while (r == 0 && c->link_count > 0) {
		link_drop(c, slowest_of(c), true);
		r = wait_is_ready(c, WAIT_SPACE);
	}
	return r < 0 ? r : 0;
}

static int make_room(struct channel *c, uint64_t deadline_ns)
{
	int r;

	if (c->plan.pattern == PATTERN_TOPIC && c->plan.policy == POLICY_DROP_SLOWEST)
		return drop_until_room(c);
	r = wait_ready(&c, 1, WAIT_SPACE, deadline_ns, -1);
	return r < 0 ? r : 0;
}

int channel_reserve_slow(
	struct channel *c, uint64_t bytes, uint64_t count, uint64_t deadline_ns, unsigned char **at)
{
	uint64_t most = record_max(c->out.capacity);
	int r;

	if (bytes > most || count > (c->out.capacity - RECORD_HEAD) / record_step(bytes))
		return too_big(c, bytes, count);
	if (wait_has_news(c, WAIT_SPACE)) {
		wait_hear_news(c, WAIT_SPACE);
		r = channel_state(c, WAIT_SPACE);
		if (r < 0)
			return r;
	}
	if (!ring_has_room(&c->out, bytes, count)) {
		c->want_bytes = bytes;
		c->want_count = count;
		r = make_room(c, deadline_ns);
		if (r < 0)
			return r;
	}
	*at = ring_reserve(&c->out, bytes, count);
	return 0;
}

void channel_publish_batch(struct channel *c, uint64_t count)
{
	ring_publish_batch(&c->out, count);
	channel_ring(c, WAIT_DATA);
}

/* ---- by copy ---- */

/* gather: what is still to be copied out of the caller's parts */
struct gather {
	const struct iovec *parts;
	size_t part;
	size_t used; /* of that part */
};

static void copy_from(struct gather *g, unsigned char *to, size_t bytes)
{
	while (bytes > 0) {
		const struct iovec *part = &g->parts[g->part];
		size_t n = min_u64(bytes, part->iov_len - g->used);

		if (n > 0)
			memcpy(to, (const unsigned char *)part->iov_base + g->used, n);
		to += n;
		bytes -= n;
		g->used += n;
		if (g->used == part->iov_len) {
			g->part++;
			g->used = 0;
		}
	}
}

static int send_piece(struct channel *c, struct gather *g, uint64_t bytes, uint64_t deadline_ns)
{
	unsigned char *at = NULL;
	int r = channel_reserve(c, bytes, 1, deadline_ns, &at);

	if (r < 0)
		return r;
	assert(at != NULL);
	STEP();
	copy_from(g, at, bytes);
	channel_publish(c, bytes);
	return 0;
}

int64_t channel_sendv(struct channel *c, const struct iovec *parts, size_t count, uint64_t deadline_ns)
{
	struct gather g = { .parts = parts };
	uint64_t piece_max = c->out.capacity / PIECES_A_RING;
	uint64_t total = 0;
	uint64_t sent = 0;
	int r;

	for (size_t i = 0; i < count; i++)
		if (!add_fits(total, parts[i].iov_len, &total) || total > INT64_MAX)
			return error_set(-EMSGSIZE, "the parts are more than any memory holds");
	if (c->plan.mode == MODE_MESSAGES) {
		r = send_piece(c, &g, total, deadline_ns);
		return r < 0 ? r : (int64_t)total;
	}
	while (sent < total) {
		uint64_t n = min_u64(piece_max, total - sent);

		r = send_piece(c, &g, n, deadline_ns);
		if (r < 0)
			return sent > 0 ? (int64_t)sent : r;
		sent += n;
	}
	return (int64_t)total;
}
