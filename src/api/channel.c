/* SPDX-License-Identifier: Apache-2.0 */
/* api/channel.c - the handles of channels: listening, connecting, their memory as mappings, and what is known of them. */
#include "api/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "channel/find.h"
#include "object/file.h"
#include "sys/clock.h"
#include "sys/file.h"

_Static_assert((int)QUIRE_CHANNEL_SEND == (int)ROLE_SEND, "the same numbers");
_Static_assert((int)QUIRE_CHANNEL_RECEIVE == (int)ROLE_RECEIVE, "the same numbers");
_Static_assert((int)QUIRE_CHANNEL_STREAM == (int)MODE_STREAM, "the same numbers");
_Static_assert((int)QUIRE_CHANNEL_QUEUE == (int)PATTERN_QUEUE, "the same numbers");
_Static_assert((int)QUIRE_CHANNEL_TOPIC == (int)PATTERN_TOPIC, "the same numbers");
_Static_assert((int)QUIRE_CHANNEL_DROP_SLOWEST == (int)POLICY_DROP_SLOWEST, "the same numbers");
_Static_assert((int)QUIRE_CHANNEL_LOSSY == (int)POLICY_LOSSY, "the same numbers");
_Static_assert(QUIRE_NOW == CHANNEL_NOW && QUIRE_FOREVER == CHANNEL_FOREVER, "the same numbers");
_Static_assert(QUIRE_ANYBODY == ANYBODY, "the same numbers");
_Static_assert(
	sizeof(struct quire_channel_right) == sizeof(struct right) + sizeof(uint32_t), "one more, reserved");

#define RING_BYTES_DEFAULT \
	((uint64_t)1 << 20) /* within a second-level cache, and 16 messages of 64 KiB (docs/channel.md) */

/* ---- options ---- */

static int check_options(const struct quire_channel_options *o)
{
	if (o->role == 0 || o->role > QUIRE_CHANNEL_BOTH)
		return error_set(
			-EINVAL, ".role is %u: say whether this side sends, receives or both", o->role);
	if (o->mode > QUIRE_CHANNEL_STREAM)
		return error_set(-EINVAL, ".mode is %u", o->mode);
	if (o->pattern > QUIRE_CHANNEL_TOPIC)
		return error_set(-EINVAL, ".pattern is %u", o->pattern);
	if (o->policy > QUIRE_CHANNEL_LOSSY || (o->policy != 0 && o->pattern != QUIRE_CHANNEL_TOPIC))
		return error_set(-EINVAL, ".policy is %u: it is for topics", o->policy);
	if (o->pattern == QUIRE_CHANNEL_TOPIC && o->role != QUIRE_CHANNEL_SEND)
		return error_set(-EINVAL, "the listener of a topic sends");
	if (o->pattern == QUIRE_CHANNEL_QUEUE && o->role == QUIRE_CHANNEL_BOTH)
		return error_set(-EINVAL, "the listener of a queue sends or receives");
	if (o->pattern != QUIRE_CHANNEL_PAIR && o->mode == QUIRE_CHANNEL_STREAM)
		return error_set(-EINVAL, "a stream of bytes needs a pair: others send messages");
	if (o->ring_bytes != 0 &&
		(!is_power_of_two(o->ring_bytes) || o->ring_bytes < LAYOUT_CAPACITY_MIN ||
			o->ring_bytes > LAYOUT_CAPACITY_MAX))
		return error_set(-EINVAL, ".ring_bytes %llu is no power of two from 4 KiB to 1 TiB",
			(unsigned long long)o->ring_bytes);
	if (o->huge > 1 || o->reserved != 0 || o->fd < 0)
		return error_set(
			-EINVAL, ".huge is %u, .fd %d: 0 or 1, and a descriptor plus 1", o->huge, o->fd);
	if ((o->permissions & ~0777U) != 0)
		return error_set(-EINVAL, ".permissions are 0%o: 0777 at most, as in chmod", o->permissions);
	if (o->schema != NULL && strlen(o->schema) >= LAYOUT_TEXT)
		return error_set(-EINVAL, ".schema has more than %d bytes", LAYOUT_TEXT - 1);
	if (o->right_count > 0 && o->rights == NULL)
		return error_set(-EINVAL, ".right_count without .rights");
	return 0;
}

/* What people see in /proc and in quire channel ls: the last part, cut where it is too long. */
static void shown_name(const char *name, char shown[LAYOUT_TEXT])
{
	size_t end = name == NULL ? 0 : strlen(name);
	size_t begin;

	while (end > 0 && name[end - 1] == '/') /* a directory where many listen */
		end--;
	for (begin = end; begin > 0 && name[begin - 1] != '/';)
		begin--;
	memset(shown, 0, LAYOUT_TEXT);
	if (name != NULL)
		memcpy(shown, name + begin, min_u64(end - begin, LAYOUT_TEXT - 1));
}

static int make_plan(const char *name, const struct quire_channel_options *options, const char *what,
	struct quire_channel_options *o, struct plan *plan)
{
	int r = options_copy(o, sizeof(*o), options, what);

	if (r == 0)
		r = check_options(o);
	if (r < 0)
		return r;
	*plan = (struct plan){
		.role = o->role,
		.mode = o->mode,
		.pattern = o->pattern,
		.policy = o->policy,
		.ring_bytes = o->ring_bytes == 0 ? RING_BYTES_DEFAULT : o->ring_bytes,
		.spin_ns = o->spin_ns,
		.huge = o->huge != 0,
	};
	if (plan->huge)
		plan->ring_bytes = max_u64(plan->ring_bytes, (uint64_t)1 << 21);
	if (o->schema != NULL)
		memcpy(plan->schema, o->schema, strlen(o->schema));
	shown_name(name, plan->name);
	return 0;
}

static int copy_rights(const struct quire_channel_options *o, struct right **rights)
{
	*rights = o->right_count == 0 ? NULL : calloc(o->right_count, sizeof(**rights));
	if (o->right_count > 0 && *rights == NULL)
		return error_set(-ENOMEM, "no memory for the access list");
	for (size_t i = 0; i < o->right_count; i++)
		(*rights)[i] = (struct right){
			.uid = o->rights[i].uid, .gid = o->rights[i].gid, .may = o->rights[i].may
		};
	return 0;
}

/* ---- listening ---- */

static int open_listener(struct quire_listener *handle, const char *name,
	const struct quire_channel_options *o, const struct plan *plan)
{
	struct right *rights;
	int r = copy_rights(o, &rights);
	const struct listen_request request = {
		.name = name,
		.fd = o->fd - 1,
		.permissions = o->permissions,
		.rights = rights,
		.right_count = o->right_count,
	};

	if (r < 0)
		return r;
	r = listener_open(&handle->quire->as, plan, &request, &handle->listener);
	free(rights);
	return r;
}

int quire_channel_listen(struct quire *quire, const char *name, const struct quire_channel_options *options,
	struct quire_listener **out)
{
	struct quire_channel_options o = { .size = 0 };
	struct plan plan = { .role = 0 };
	struct quire_listener *handle;
	int r = quire_get(&quire);

	error_clear();
	if (r == 0)
		r = make_plan(name, options, "quire_channel_listen", &o, &plan);
	if (r < 0)
		return r;
	if (out == NULL)
		return error_set(-EINVAL, "quire_channel_listen: nowhere to put the handle");
	handle = calloc(1, sizeof(*handle));
	if (handle == NULL)
		return error_set(-ENOMEM, "no memory for a handle");
	handle->quire = quire;
	r = open_listener(handle, name, &o, &plan);
	if (r < 0) {
		free(handle);
		return r;
	}
	atomic_fetch_add(&quire->maps, 1);
	*out = handle;
	return 0;
}

int quire_channel_unlisten(struct quire_listener *listener)
{
	if (listener == NULL)
		return 0;
	if (listener->gathered != NULL)
		return error_set(-EBUSY, "the channel of this listener is still open: close it first");
	listener_close(listener->listener);
	atomic_fetch_sub(&listener->quire->maps, 1);
	free(listener);
	return 0;
}

int quire_channel_listener_fd(struct quire_listener *listener)
{
	if (listener == NULL)
		return error_set(-EINVAL, "no listener was given");
	return listener_descriptor(listener->listener);
}

static struct quire_channel *new_handle(struct quire *quire, uint32_t role)
{
	struct quire_channel *handle = calloc(1, sizeof(*handle));

	if (handle == NULL) {
		(void)error_set(-ENOMEM, "no memory for a handle");
		return NULL;
	}
	handle->quire = quire;
	handle->role = role;
	return handle;
}

static void opened(struct quire_channel *handle, struct quire_channel **out)
{
	const struct channel *one = handle->one;

	assert((one == NULL) != (handle->hub == NULL));
	handle->mark = one != NULL ? one->mark : handle->hub->mark;
	handle->sends = (handle->role & ROLE_SEND) != 0 ? handle->one : NULL;
	if (one != NULL && (handle->role & ROLE_RECEIVE) != 0 && one->plan.mode == MODE_MESSAGES)
		handle->receives = handle->one;
	atomic_fetch_add(&handle->quire->maps, 1);
	*out = handle;
}

static int check_listener(const struct quire_listener *listener, bool pairs)
{
	if (listener == NULL)
		return error_set(-EINVAL, "no listener was given");
	if (!fork_is_mine(listener->listener->mark))
		return error_set(-ECHILD, "this listener belongs to the process that forked");
	if ((listener->listener->plan.pattern == PATTERN_PAIR) != pairs)
		return error_set(-EINVAL,
			pairs ? "the clients of a queue or topic are gathered: use quire_channel_gather"
			      : "each client of this listener has its own channel: use quire_channel_accept");
	return 0;
}

int quire_channel_accept(struct quire_listener *listener, uint64_t deadline_ns, struct quire_channel **out)
{
	struct quire_channel *handle;
	int r = check_listener(listener, true);

	if (r < 0)
		return r;
	if (out == NULL)
		return error_set(-EINVAL, "quire_channel_accept: nowhere to put the handle");
	handle = new_handle(listener->quire, listener->listener->plan.role);
	if (handle == NULL)
		return -ENOMEM;
	r = listener_accept(listener->listener, deadline_ns, &handle->one);
	if (r < 0) {
		free(handle);
		return r;
	}
	opened(handle, out);
	return 0;
}

static int gather_topic(struct quire_channel *handle, struct listener *listener)
{
	struct channel *c;
	int r = channel_new(&handle->quire->as, &listener->plan, sys_now_ns(), &c);

	if (r < 0)
		return r;
	c->listener = listener;
	atomic_store(&c->own_news, 1); /* whoever waits in the backlog already is news */
	r = segment_populate(&c->own);
	if (r == 0)
		r = listener_watch(listener, c->news);
	if (r < 0) {
		channel_close(c);
		return r;
	}
	handle->one = c;
	return 0;
}

static int gather_first(struct quire_listener *listener, struct quire_channel **out)
{
	struct quire_channel *handle = new_handle(listener->quire, listener->listener->plan.role);
	int r;

	if (handle == NULL)
		return -ENOMEM;
	if (listener->listener->plan.pattern == PATTERN_TOPIC)
		r = gather_topic(handle, listener->listener);
	else
		r = hub_new(listener->listener, &handle->hub);
	if (r < 0) {
		free(handle);
		return r;
	}
	handle->listener = listener;
	listener->gathered = handle;
	opened(handle, out);
	return 0;
}

static uint32_t readers(struct channel *topic)
{
	wait_hear_news(topic, WAIT_SPACE);
	return topic->link_count;
}

int quire_channel_gather(
	struct quire_listener *listener, uint32_t count, uint64_t deadline_ns, struct quire_channel **channel)
{
	int r = check_listener(listener, false);

	if (r < 0)
		return r;
	if (channel == NULL)
		return error_set(-EINVAL, "quire_channel_gather: nowhere to put the handle");
	if (listener->gathered != *channel)
		return error_set(
			-EBUSY, "this listener has a channel already: hand it in to wait for clients");
	if (*channel == NULL)
		r = gather_first(listener, channel);
	if (r < 0)
		return r;
	assert(*channel != NULL);
	if ((*channel)->hub != NULL)
		return hub_gather((*channel)->hub, count, deadline_ns);
	for (;;) {
		uint32_t there = readers((*channel)->one);

		if (there >= count)
			return (int)there;
		if (listener->listener->trouble != 0)
			return listener->listener->trouble;
		if (deadline_ns == QUIRE_NOW)
			return -EAGAIN;
		if (deadline_ns != QUIRE_FOREVER && sys_now_ns() >= deadline_ns)
			return error_set(
				-ETIMEDOUT, "%u of %u clients were there at the deadline", there, count);
		listener_wait(listener->listener, deadline_ns);
	}
}

/* ---- connecting and closing ---- */

/* To everybody who listens there, now and later; the first one is waited for. */
static int connect_many(
	struct quire_channel *handle, struct plan *plan, const char *name, uint64_t deadline_ns)
{
	struct seek *seek;
	int r;

	if (plan->mode != MODE_MESSAGES || plan->role == ROLE_BOTH)
		return error_set(-EINVAL,
			"'%s' is a queue with many at both ends: a side sends messages, or "
			"receives them",
			name);
	plan->pattern = PATTERN_QUEUE;
	r = seek_open(&handle->quire->as, plan, name, &seek);
	if (r == 0)
		r = hub_new_seeking(seek, &handle->hub);
	if (r < 0)
		return r;
	r = hub_gather(handle->hub, 1, deadline_ns);
	if (r < 0)
		hub_close(handle->hub);
	return r < 0 ? r : 0;
}

int quire_channel_connect(struct quire *quire, const char *name, const struct quire_channel_options *options,
	struct quire_channel **out)
{
	struct quire_channel_options o = { .size = 0 };
	struct quire_channel *handle;
	struct plan plan = { .role = 0 };
	int r = quire_get(&quire);

	error_clear();
	if (r == 0)
		r = options == NULL || options->pattern == QUIRE_CHANNEL_PAIR
			? make_plan(name, options, "quire_channel_connect", &o, &plan)
			: error_set(-EINVAL, ".pattern is the listener's to decide");
	if (r < 0)
		return r;
	if (out == NULL)
		return error_set(-EINVAL, "quire_channel_connect: nowhere to put the handle");
	handle = new_handle(quire, plan.role);
	if (handle == NULL)
		return -ENOMEM;
	o.deadline_ns = o.deadline_ns == 0 ? CHANNEL_FOREVER : o.deadline_ns;
	r = name_is_of_many(name) ? connect_many(handle, &plan, name, o.deadline_ns)
				  : channel_connect(&quire->as, &plan, name, o.deadline_ns, &handle->one);
	if (r < 0) {
		free(handle);
		return error_default(r, "cannot connect to channel '%s': %s", name, strerror(-r));
	}
	opened(handle, out);
	return 0;
}

int quire_channel_close(struct quire_channel *channel)
{
	if (channel == NULL)
		return 0;
	if (channel->hub != NULL)
		hub_close(channel->hub);
	else {
		if (channel->one->listener != NULL)
			listener_unwatch(channel->one->listener);
		channel_close(channel->one);
	}
	if (channel->listener != NULL)
		channel->listener->gathered = NULL;
	atomic_fetch_sub(&channel->quire->maps, 1);
	for (size_t i = 0; i < ARRAY_COUNT(channel->views); i++)
		free(channel->views[i]);
	free(channel);
	return 0;
}

/* ---- descriptors ---- */

int quire_channel_fd(struct quire_channel *channel)
{
	int *epoll;
	int r = channel_may(channel, 0);

	if (r < 0)
		return r;
	epoll = channel->hub != NULL ? &channel->hub->epoll : &channel->one->epoll;
	if (*epoll >= 0)
		return *epoll;
	r = sys_epoll_create();
	if (r < 0)
		return error_set(r, "cannot make a descriptor for the channel: %s", strerror(-r));
	*epoll = r;
	if (channel->hub != NULL)
		hub_poll(channel->hub, r);
	else {
		channel->one->polled = true;
		channel_descriptors(channel->one, r);
	}
	return r;
}

/* ---- its memory is a mapping like any other ---- */

static struct quire_map *view_of(struct quire *quire, const struct segment *segment)
{
	struct quire_map *map = calloc(1, sizeof(*map));

	if (map == NULL)
		return NULL;
	map->quire = quire;
	map->file = segment->file;
	map->owner = segment->file;
	map->start = map->outer_start = segment->start;
	map->end = map->outer_end = segment->end;
	map->length = segment->end - segment->start;
	map->kind = QUIRE_MEMFD;
	map->sharing = QUIRE_SHARED;
	map->page_bytes = segment->page_bytes;
	map->pmap_flags = PMAP_SHARED | PMAP_DONTFORK;
	map->held = "the mapping belongs to a channel: .ring_bytes decides its size when it is opened, and "
		    "quire_channel_close ends it";
	return map;
}

int quire_channel_map(struct quire_channel *channel, uint32_t role, struct quire_map **map)
{
	bool own = role == QUIRE_CHANNEL_SEND;
	struct quire_map **view;
	int r = channel_may(channel, 0);

	if (r < 0)
		return r;
	if (map == NULL || (role != QUIRE_CHANNEL_SEND && role != QUIRE_CHANNEL_RECEIVE) ||
		(channel->role & role) == 0)
		return error_set(-EINVAL, "quire_channel_map: this channel does not do that");
	if (channel->hub != NULL || (!own && channel->one->link_count == 0))
		return error_set(-EINVAL, "a queue has a memory for each of its clients");
	view = &channel->views[own ? 0 : 1];
	if (*view == NULL)
		*view = view_of(channel->quire, own ? &channel->one->own : &channel->one->links[0].peer);
	if (*view == NULL)
		return error_set(-ENOMEM, "no memory for a handle");
	*map = *view;
	return 0;
}

/* ---- what is known of it ---- */

static void put_counts(const struct counts *t, struct quire_channel_stat *s)
{
	s->sent_records = t->sent_records;
	s->sent_bytes = t->sent_bytes;
	s->received_records = t->received_records;
	s->received_bytes = t->received_bytes;
	s->lost_records = t->lost_records;
	s->dropped_readers = t->dropped_readers;
	s->data_sleeps = t->data_sleeps;
	s->data_sleep_ns = t->data_sleep_ns;
	s->space_sleeps = t->space_sleeps;
	s->space_sleep_ns = t->space_sleep_ns;
	s->bells = t->bells;
	s->fill_bytes = t->fill_bytes;
	s->lost_peers = t->lost_peers;
	s->peers = t->peers;
	s->ring_bytes = t->ring_bytes;
	s->peer_pid = t->peer.pid;
	s->peer_uid = t->peer.uid;
	s->peer_gid = t->peer.gid;
}

static void put_plan(const struct quire_channel *channel, struct quire_channel_stat *s)
{
	const struct channel *c = channel->one;

	s->role = channel->role;
	if (c == NULL) {
		s->pattern = QUIRE_CHANNEL_QUEUE;
		return;
	}
	s->mode = c->plan.mode;
	s->pattern = c->plan.pattern;
	s->policy = c->plan.policy;
}

int quire_channel_stat(struct quire_channel *channel, struct quire_channel_stat *out)
{
	struct quire_channel_stat stat = { .size = 0 };
	struct counts counts = { .sent_records = 0 };
	size_t room;
	int r = channel_may(channel, 0);

	if (r < 0)
		return r;
	if (out == NULL || out->size < sizeof(out->size))
		return error_set(-EINVAL, "quire_channel_stat: stat.size is not set");
	room = min_u64(out->size, sizeof(stat));
	if (channel->hub == NULL)
		channel_count(channel->one, &counts);
	else
		hub_count(channel->hub, &counts);
	put_plan(channel, &stat);
	put_counts(&counts, &stat);
	stat.refused_clients = channel->listener == NULL ? 0 : channel->listener->listener->refused;
	stat.size = room;
	memcpy(out, &stat, room);
	return 0;
}

/* ---- the channels of others ---- */

/* asking: a user's function, and what it answered */
struct asking {
	quire_channel_sight_fn *fn;
	void *user;
};

static bool pass_on(const struct sighting *s, void *arg)
{
	const struct asking *asking = arg;
	const struct quire_channel_sight sight = {
		.size = sizeof(sight),
		.name = s->header.name,
		.schema = s->header.schema,
		.id = s->header.id,
		.pid = s->pid,
		.uid = s->header.uid,
		.role = s->header.role,
		.mode = s->header.mode,
		.pattern = s->header.pattern,
		.policy = s->header.policy,
		.stopped = s->stopped,
		.closed = s->closed,
		.waits_data = s->waits_data,
		.waits_space = s->waits_space,
		.ring_bytes = s->header.capacity,
		.head = s->head,
		.tail = s->tail,
		.sent_records = s->records,
		.sent_bytes = s->bytes,
		.received_records = s->taken_records,
		.received_bytes = s->taken_bytes,
		.lost_records = s->lost_records,
		.data_sleeps = s->data_sleeps,
		.data_sleep_ns = s->data_sleep_ns,
		.space_sleeps = s->space_sleeps,
		.space_sleep_ns = s->space_sleep_ns,
		.bells = s->bells,
	};

	return asking->fn(&sight, asking->user) != 0;
}

int quire_channel_find(const char *name, quire_channel_sight_fn *fn, void *user, uint32_t *hidden)
{
	struct asking asking = { .fn = fn, .user = user };
	char shown[LAYOUT_TEXT];
	uint32_t count = 0;
	int r;

	if (fn == NULL)
		return error_set(-EINVAL, "quire_channel_find: no function to call");
	shown_name(name, shown);
	r = find_channels(name == NULL ? NULL : shown, pass_on, &asking, &count);
	if (r >= 0 && hidden != NULL)
		*hidden = count;
	return r;
}
