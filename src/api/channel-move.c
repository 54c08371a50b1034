/* SPDX-License-Identifier: Apache-2.0 */
/* api/channel-move.c - sending and receiving: argument checks, and which lane of a queue. */
#include <errno.h>

#include "api/channel.h"
#include "base/error.h"

static int refuse(const struct quire_channel *channel, uint32_t role)
{
	if (channel == NULL)
		return error_set(-EINVAL, "no channel was given");
	if (!fork_is_mine(channel->mark))
		return error_set(-ECHILD,
			"this channel belongs to the process that forked: close it here, and connect anew");
	return error_set(-EINVAL, "this channel does not %s", role == ROLE_SEND ? "send" : "receive");
}

int channel_may(const struct quire_channel *channel, uint32_t role)
{
	if (channel == NULL || !fork_is_mine(channel->mark) || (channel->role & role) != role)
		return refuse(channel, role);
	return 0;
}

/* ---- sending ---- */

static int reserve_in_turn(struct quire_channel *channel, size_t bytes, uint64_t deadline_ns, void **record)
{
	unsigned char *at;
	int r = channel_may(channel, ROLE_SEND);

	if (r < 0)
		return r;
	if (record == NULL)
		return error_set(-EINVAL, "quire_channel_reserve: nowhere to put the address");
	r = hub_reserve(channel->hub, bytes, 1, deadline_ns, &at);
	if (r == 0)
		*record = at;
	return r;
}

int quire_channel_reserve(struct quire_channel *channel, size_t bytes, uint64_t deadline_ns, void **record)
{
	unsigned char *at;
	int r;

	if (!channel_is(channel) || channel->sends == NULL || record == NULL)
		return reserve_in_turn(channel, bytes, deadline_ns, record);
	r = channel_reserve(channel->sends, bytes, 1, deadline_ns, &at);
	if (r == 0)
		*record = at;
	return r;
}

int quire_channel_reserve_batch(struct quire_channel *channel, size_t bytes, size_t count,
	uint64_t deadline_ns, void **first, size_t *stride)
{
	unsigned char *at;
	int r = channel_may(channel, ROLE_SEND);

	if (r < 0)
		return r;
	if (first == NULL || stride == NULL || count == 0)
		return error_set(
			-EINVAL, "quire_channel_reserve_batch: nothing to reserve, or nowhere to put it");
	r = channel->hub == NULL ? channel_reserve(channel->one, bytes, count, deadline_ns, &at)
				 : hub_reserve(channel->hub, bytes, count, deadline_ns, &at);
	if (r < 0)
		return r;
	*first = at;
	*stride = record_step(bytes);
	return 0;
}

/* Where something is reserved; NULL when nowhere. */
static struct channel *reserved_in(const struct quire_channel *channel)
{
	struct channel *c = channel->hub == NULL ? channel->one : channel->hub->held;

	return c != NULL && c->out.reserved_count > 0 ? c : NULL;
}

static int nothing_reserved(void)
{
	return error_set(-EINVAL, "nothing, or less than that, is reserved");
}

static void let_lane_go(struct quire_channel *channel)
{
	if (channel->hub != NULL)
		channel->hub->held = NULL;
}

static int publish_in_turn(struct quire_channel *channel, size_t bytes)
{
	struct channel *c;
	int r = channel_may(channel, ROLE_SEND);

	if (r < 0)
		return r;
	c = reserved_in(channel);
	if (c == NULL || bytes > c->out.reserved)
		return nothing_reserved();
	channel_publish(c, bytes);
	let_lane_go(channel);
	return 0;
}

int quire_channel_publish(struct quire_channel *channel, size_t bytes)
{
	struct channel *c = channel_is(channel) ? channel->sends : NULL;

	if (c == NULL || c->out.reserved_count == 0 || bytes > c->out.reserved)
		return publish_in_turn(channel, bytes);
	channel_publish(c, bytes);
	return 0;
}

int quire_channel_publish_batch(struct quire_channel *channel, size_t count)
{
	struct channel *c;
	int r = channel_may(channel, ROLE_SEND);

	if (r < 0)
		return r;
	c = reserved_in(channel);
	if (c == NULL || count > c->out.reserved_count)
		return nothing_reserved();
	channel_publish_batch(c, count);
	let_lane_go(channel);
	return 0;
}

int quire_channel_abandon(struct quire_channel *channel)
{
	struct channel *c;
	int r = channel_may(channel, ROLE_SEND);

	if (r < 0)
		return r;
	c = reserved_in(channel);
	if (c == NULL)
		return nothing_reserved();
	c->out.reserved_count = 0;
	let_lane_go(channel);
	return 0;
}

int64_t quire_channel_sendv(
	struct quire_channel *channel, const struct iovec *parts, size_t count, uint64_t deadline_ns)
{
	int r = channel_may(channel, ROLE_SEND);

	if (r < 0)
		return r;
	if (parts == NULL && count > 0)
		return error_set(-EINVAL, "quire_channel_sendv: no parts");
	return channel->hub == NULL ? channel_sendv(channel->one, parts, count, deadline_ns)
				    : hub_sendv(channel->hub, parts, count, deadline_ns);
}

int64_t quire_channel_send(
	struct quire_channel *channel, const void *bytes, size_t length, uint64_t deadline_ns)
{
	const struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };

	if (bytes == NULL && length > 0)
		return error_set(-EINVAL, "quire_channel_send: no bytes");
	return quire_channel_sendv(channel, &part, 1, deadline_ns);
}

/* ---- receiving ---- */

static int64_t peek_some(struct quire_channel *channel, struct iovec *out, size_t count, uint64_t deadline_ns)
{
	int r = channel->hub == NULL ? channel_may_peek(channel->one) : 0;

	if (r < 0)
		return r;
	return channel->hub == NULL ? channel_peek_batch(channel->one, out, count, deadline_ns)
				    : hub_peek_batch(channel->hub, out, count, deadline_ns);
}

static int64_t peek_in_turn(struct quire_channel *channel, uint64_t deadline_ns, const void **out)
{
	struct iovec record;
	int64_t n = channel_may(channel, ROLE_RECEIVE);

	if (n < 0)
		return n;
	if (out == NULL)
		return error_set(-EINVAL, "quire_channel_peek: nowhere to put the address");
	n = peek_some(channel, &record, 1, deadline_ns);
	if (n < 0)
		return n;
	*out = record.iov_base;
	return (int64_t)record.iov_len;
}

int64_t quire_channel_peek(struct quire_channel *channel, uint64_t deadline_ns, const void **out)
{
	struct record record;
	int r;

	if (!channel_is(channel) || channel->receives == NULL || out == NULL)
		return peek_in_turn(channel, deadline_ns, out);
	r = channel_peek(channel->receives, &record, deadline_ns);
	if (r < 0)
		return r;
	*out = record.bytes;
	return (int64_t)record.length;
}

int64_t quire_channel_peek_batch(
	struct quire_channel *channel, struct iovec *out, size_t count, uint64_t deadline_ns)
{
	int r = channel_may(channel, ROLE_RECEIVE);

	if (r < 0)
		return r;
	if (out == NULL || count == 0)
		return error_set(-EINVAL, "quire_channel_peek_batch: no room for addresses");
	return peek_some(channel, out, count, deadline_ns);
}

static int release_in_turn(struct quire_channel *channel, size_t count)
{
	struct channel *c;
	int r = channel_may(channel, ROLE_RECEIVE);

	if (r < 0)
		return r;
	c = channel->hub == NULL ? channel->one : channel->hub->held;
	if (c == NULL || (count > 0 && channel_may_peek(c) < 0))
		return error_set(-EINVAL, "no messages are held");
	r = channel_release(c, count);
	if (channel->hub != NULL && (c->in.held == 0 || r == -EPROTO))
		channel->hub->held = NULL;
	return r;
}

int quire_channel_release(struct quire_channel *channel, size_t count)
{
	if (!channel_is(channel) || channel->receives == NULL)
		return release_in_turn(channel, count);
	return channel_release(channel->receives, count);
}

int64_t quire_channel_recv(struct quire_channel *channel, void *bytes, size_t room, uint64_t deadline_ns)
{
	int r = channel_may(channel, ROLE_RECEIVE);

	if (r < 0)
		return r;
	if (bytes == NULL && room > 0)
		return error_set(-EINVAL, "quire_channel_recv: nowhere to put the bytes");
	return channel->hub == NULL ? channel_receive(channel->one, bytes, room, deadline_ns)
				    : hub_receive(channel->hub, bytes, room, deadline_ns);
}
