/* SPDX-License-Identifier: Apache-2.0 */
/* channel/receive.c - the reading side: peek, read in place, release; the room goes back in eighths of the ring. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "channel/channel.h"
#include "sys/clock.h"

enum { TURNS_MAX = 64 }; /* so many for nothing between two looks at the clock */

static void tell(struct channel *c)
{
	if (c->in.lossy) {
		c->in.told = c->in.tail; /* nobody waits for it */
		atomic_store_explicit(&c->own.control->lost_records, c->in.lost, memory_order_relaxed);
		return;
	}
	ring_tell(&c->in);
	channel_ring(c, WAIT_SPACE);
}

static int too_slow(void)
{
	return error_set(
		-ENOBUFS, "the writer has dropped this reader because it was too slow for the topic");
}

static int look(struct channel *c, struct record *record)
{
	int r = c->in.checks ? ring_peek_checked(&c->in, record) : ring_peek(&c->in, record);

	if (r == -ENOBUFS)
		return too_slow();
	return r < 0 ? channel_broken(c, &c->links[0]) : r;
}

/* What was there is not there any more: a lossy writer was faster, or a liar takes back what it shows. It must not keep us
 * beyond the deadline. */
static int try_again(struct channel *c, uint64_t deadline_ns, unsigned int *turns)
{
	if (deadline_ns == CHANNEL_FOREVER || ++*turns < TURNS_MAX)
		return 0;
	if (deadline_ns == CHANNEL_NOW) {
		wait_arm(
			c, WAIT_DATA); /* we are about to say that nothing is there: the next message rings */
		return *turns == TURNS_MAX ? 0 : -EAGAIN;
	}
	*turns = 0;
	return sys_now_ns() < deadline_ns
		? 0
		: error_set(-ETIMEDOUT, "the writer was faster than this reader until the deadline");
}

int channel_peek_slow(struct channel *c, struct record *record, uint64_t deadline_ns)
{
	unsigned int turns = 0;
	int r = look(c, record);

	while (r == 0) {
		/* Whoever waits for room may be waiting for what we have not given back yet. */
		if (c->in.told != c->in.tail)
			tell(c);
		r = wait_ready(&c, 1, WAIT_DATA, deadline_ns, -1);
		if (r >= 0)
			r = look(c, record);
		if (r == 0)
			r = try_again(c, deadline_ns, &turns);
	}
	return r;
}

static struct iovec part_of(const struct record *record)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)record->bytes, .iov_len = record->length };
}

/* After the first. */
static int64_t peek_more(struct channel *c, struct iovec *records, size_t count)
{
	struct record record;
	size_t n = 0;
	int r = 1;

	if (!c->in.checks) {
		int64_t more = ring_peek_batch(&c->in, records, count);

		return more < 0 ? channel_broken(c, &c->links[0]) : more;
	}
	for (; n < count; n++) {
		r = look(c, &record);
		if (r <= 0)
			break;
		records[n] = part_of(&record);
	}
	return r < 0 ? r : (int64_t)n;
}

int channel_may_peek(const struct channel *c)
{
	return c->open.bytes == NULL
		? 0
		: error_set(-EBUSY,
			  "%" PRIu64 " bytes of a piece that was received in part are left: receive them "
			  "before you look at the next one",
			  c->open.length - c->open_used);
}

int64_t channel_peek_batch(struct channel *c, struct iovec *records, size_t count, uint64_t deadline_ns)
{
	struct record first;
	int64_t more = channel_peek(c, &first, deadline_ns);

	if (more < 0)
		return more;
	records[0] = part_of(&first);
	more = peek_more(c, records + 1, count - 1);
	return more < 0 ? more : 1 + more;
}

int channel_release_slow(struct channel *c, uint64_t count)
{
	uint64_t oldest = c->in.tail;
	bool late = c->in.checks && ring_overtaken(&c->in, oldest);
	int r = ring_release(&c->in, count);

	if (r == -EINVAL)
		return error_set(
			r, "%" PRIu64 " records are to be released, %" PRIu64 " are held", count, c->in.held);
	if (r < 0)
		return channel_broken(c, &c->links[0]);
	if (ring_must_tell(&c->in))
		tell(c);
	return late ? error_set(-ESTALE, "the writer has overwritten the records while they were looked at")
		    : 0;
}

/* ---- by copy ---- */

static int64_t receive_message(struct channel *c, void *bytes, size_t room, uint64_t deadline_ns)
{
	struct record record;
	unsigned int turns = 0;

	for (;;) {
		int r = channel_peek(c, &record, deadline_ns);

		if (r < 0)
			return r;
		if (record.length > room) {
			ring_put_back(&c->in, &record);
			return error_set(-EMSGSIZE,
				"the next message has %" PRIu64
				" bytes, there is room for %zu; it is still there",
				record.length, room);
		}
		if (record.length > 0)
			memcpy(bytes, record.bytes, record.length);
		if (!c->in.checks || !ring_overtaken(&c->in, c->in.next - record_step(record.length)))
			break;
		ring_put_back(&c->in, &record); /* newer bytes may be among those we copied */
		r = try_again(c, deadline_ns, &turns);
		if (r < 0)
			return r;
	}
	ring_release_all(&c->in);
	if (ring_must_tell(&c->in))
		tell(c);
	return (int64_t)record.length;
}

/* At least one byte, then as many as are there. */
static int64_t receive_stream(struct channel *c, unsigned char *bytes, size_t room, uint64_t deadline_ns)
{
	size_t got = 0;

	while (got < room) {
		size_t n;
		int r = 1;

		if (c->open.bytes == NULL)
			r = got > 0 && !ring_has_data(&c->in) ? 0 : channel_peek(c, &c->open, deadline_ns);
		if (r <= 0)
			return got > 0 ? (int64_t)got : r;
		n = min_u64(room - got, c->open.length - c->open_used);
		memcpy(bytes + got, c->open.bytes + c->open_used, n);
		got += n;
		c->open_used += n;
		if (c->open_used == c->open.length) {
			c->open = (struct record){ .bytes = NULL };
			c->open_used = 0;
			ring_release_all(&c->in);
			if (ring_must_tell(&c->in))
				tell(c);
		}
	}
	return (int64_t)got;
}

int64_t channel_receive(struct channel *c, void *bytes, size_t room, uint64_t deadline_ns)
{
	if (c->in.held > 0 && c->open.bytes == NULL)
		return error_set(-EBUSY, "%" PRIu64 " records were peeked at: release them before receiving",
			c->in.held);
	if (c->plan.mode == MODE_STREAM)
		return receive_stream(c, bytes, room, deadline_ns);
	return receive_message(c, bytes, room, deadline_ns);
}
