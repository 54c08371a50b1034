/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/error.h"
#include "channel/listener.h"
#include "sys/clock.h"
#include "sys/file.h"

static void header_of(struct layout_header *header, const struct plan *plan, uint64_t id)
{
	*header = (struct layout_header){
		.id = id,
		.capacity = (plan->role & ROLE_SEND) != 0 ? plan->ring_bytes : 0,
		.pid = (uint32_t)getpid(),
		.uid = (uint32_t)getuid(),
		.created_ns = sys_now_ns(),
		.role = plan->role,
		.mode = plan->mode,
		.pattern = plan->pattern,
		.policy = plan->policy,
	};
	memcpy(header->name, plan->name, sizeof(header->name));
	memcpy(header->schema, plan->schema, sizeof(header->schema));
}

int channel_new(struct as *as, const struct plan *plan, uint64_t id, struct channel **out)
{
	struct layout_header header;
	struct channel *c = aligned_alloc(64, (sizeof(*c) + 63) & ~(size_t)63);
	int r;

	if (c == NULL)
		return error_set(-ENOMEM, "no memory for a channel");
	memset(c, 0, sizeof(*c));
	c->as = as;
	c->plan = *plan;
	c->epoll = -1;
	c->news = &c->own_news;
	c->watched = true;
	lock_init(&c->lock);
	header_of(&header, plan, id);
	r = fork_mark(&c->mark);
	if (r == 0)
		r = segment_make(&c->own, as, &header, plan->huge);
	if (r < 0) {
		free(c);
		return r;
	}
	wait_init(c);
	ring_writer_init(&c->out, c->own.control, c->own.data, c->own.header.capacity);
	c->out.lossy = plan->pattern == PATTERN_TOPIC && plan->policy == POLICY_LOSSY;
	c->out.intends = plan->pattern == PATTERN_TOPIC && plan->policy != POLICY_BLOCK;
	*out = c;
	return 0;
}

/* What we read stands in the segment of the one peer there is. */
static void start_reading(struct channel *c, const struct link *link)
{
	struct ring_reader *in = &c->in;

	ring_reader_init(in, c->own.control, link->control, link->peer.data, link->peer.header.capacity);
	in->next = in->tail = in->told = link->start;
	in->base = link->start_records;
	in->lossy = c->plan.pattern == PATTERN_TOPIC && c->plan.policy == POLICY_LOSSY;
	in->checks = c->plan.pattern == PATTERN_TOPIC && c->plan.policy != POLICY_BLOCK;
	if (link->start != 0)
		atomic_store_explicit(&c->own.control->tail, link->start, memory_order_release);
}

/* Eagerly: then every call hears of a dead peer by one load of private memory. */
static void watch(struct channel *c, struct link *link)
{
	if (watch_add(link->socket, WATCH_HANGUP, c->news, &link->watch_socket) < 0)
		c->watched = false;
	else if (link->pidfd >= 0)
		(void)watch_add(link->pidfd, WATCH_READABLE, c->news, &link->watch_pid);
}

/* Under lock. */
static int add_link(struct channel *c, const struct link *link, const struct segment *peer)
{
	struct link *links = realloc(c->links, (c->link_count + 1) * sizeof(*links));
	struct link *new;

	if (links == NULL)
		return error_set(-ENOMEM, "no memory for another reader");
	c->links = links;
	new = &links[c->link_count];
	*new = *link;
	new->peer = *peer;
	c->fence |= link->fence;
	c->barrier |= !link->fence;
	if ((c->plan.role & ROLE_RECEIVE) != 0)
		start_reading(c, new);
	watch(c, new);
	c->link_count++;
	if (c->epoll >= 0)
		channel_descriptors(c, c->epoll);
	return 0;
}

int channel_join(struct channel *c, const struct link *link)
{
	struct segment peer = link->peer;
	int r = segment_populate(&c->own);

	if (r == 0)
		r = segment_populate(&peer);
	if (r < 0)
		return r;
	lock_take(&c->lock);
	r = add_link(c, link, &peer);
	lock_give(&c->lock);
	return r;
}

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Another thread may be at work: its figures are a little apart, but no link goes away while we look at it. */
void channel_count(struct channel *c, struct counts *t)
{
	const struct layout_control *own = c->own.control;

	t->sent_records += load(&own->records);
	t->sent_bytes += load(&own->bytes);
	t->received_records += figure_of(&c->in.records);
	t->received_bytes += figure_of(&c->in.bytes);
	t->lost_records += figure_of(&c->in.lost);
	t->data_sleeps += load(&own->data_sleeps);
	t->data_sleep_ns += load(&own->data_sleep_ns);
	t->space_sleeps += load(&own->space_sleeps);
	t->space_sleep_ns += load(&own->space_sleep_ns);
	t->bells += load(&own->bells);
	lock_take(&c->lock);
	t->dropped_readers += c->dropped;
	t->peers += c->link_count;
	t->ring_bytes = c->out.capacity != 0 ? c->out.capacity : c->in.capacity;
	if (c->link_count > 0)
		t->peer = c->links[0].who;
	for (uint32_t i = 0; i < c->link_count; i++) {
		const struct link *link = &c->links[i];
		uint64_t head = c->in.data != NULL ? load(&link->control->head) : load(&own->head);
		uint64_t tail = c->in.data != NULL ? figure_of(&c->in.tail) : load(&link->control->tail);

		t->fill_bytes = max_u64(t->fill_bytes, head > tail ? head - tail : 0);
	}
	lock_give(&c->lock);
}

/* The last word: it stands in memory before the socket is hung up, so whoever sees the end of it finds the reason. Hung up,
 * not only closed: a child made by fork may have the socket too, and would keep the other side waiting. */
static void say_goodbye(struct channel *c)
{
	if (c->in.data != NULL && !c->in.lossy)
		ring_tell(&c->in);
	STEP();
	atomic_store_explicit(&c->own.control->state, LAYOUT_CLOSED, memory_order_release);
	for (uint32_t i = 0; i < c->link_count; i++)
		sys_unix_hang_up(c->links[i].socket);
}

void channel_close(struct channel *c)
{
	if (c == NULL)
		return;
	/* In a child made by fork the memory is not there, and the conversation is the parent's. */
	if (fork_is_mine(c->mark))
		say_goodbye(c);
	for (uint32_t i = 0; i < c->link_count; i++)
		link_close(&c->links[i]);
	if (c->epoll >= 0)
		sys_close(c->epoll);
	free(c->links);
	segment_drop(&c->own);
	lock_done(&c->lock);
	free(c);
}
