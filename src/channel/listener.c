/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/align.h"
#include "base/error.h"
#include "channel/connect.h"
#include "channel/hello.h"
#include "channel/seek.h"
#include "sys/clock.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/futex.h"
#include "sys/thread.h"
#include "sys/unix.h"

enum {
	BACKLOG = 128,
	OWNER_ONLY = 0600,
	LOCK_WAIT_NS = 1000000000,
	LOCK_RETRY_NS = 1000000,
	PATIENCE_NS =
		500000000, /* with who is silent; a client makes its memory first, and many may be at it at once */
};

/* ---- the name ---- */

static int cannot_listen(const struct listener *l, int error)
{
	if (error == -EADDRINUSE)
		return error_set(error, "another process listens on '%s' already", l->place.address);
	if (error == -EEXIST)
		return error_set(error, "'%s' is there and is no socket: choose another name, or remove it",
			l->place.address);
	return error_set(error, "cannot listen on '%s': %s", l->place.address, strerror(-error));
}

/* A socket file whose owner was killed is ours to replace. The directory is locked, so that two who find it do not replace
 * each other. */
static int bind_over(struct listener *l)
{
	int fd = sys_unix_bind(l->place.address);
	int r;

	if (fd != -EADDRINUSE || l->place.directory[0] == '\0')
		return fd;
	r = name_free(l->place.address);
	return r < 0 ? r : sys_unix_bind(l->place.address);
}

/* The file at our address: is it our socket still, or has somebody put another one there? */
static bool file_there(const struct listener *l, struct stat *stat)
{
	return sys_fstatat(AT_FDCWD, l->place.address, stat, AT_SYMLINK_NOFOLLOW) == 0;
}

static void remove_name(const struct listener *l)
{
	struct stat stat;

	if (file_there(l, &stat) && stat.st_dev == l->file.st_dev && stat.st_ino == l->file.st_ino)
		(void)sys_unlink(l->place.address);
}

/* One of many has a name that nobody had before it: a pid, and a moment. */
static int name_one_of_many(struct name_place *place)
{
	seek_sweep(place->directory);
	return snprintf(place->address, sizeof(place->address), "%s/%d.%" PRIx64, place->directory,
		       (int)getpid(), sys_now_ns()) >= NAME_BYTES
		? -ENAMETOOLONG
		: 0;
}

/* Nobody can connect before listen(), so the permissions are right from the first moment on. */
static int listen_there(struct listener *l, mode_t mode, bool has_file)
{
	int r = 0;

	l->socket = bind_over(l);
	if (l->socket < 0)
		return l->socket;
	l->unlink = has_file && file_there(l, &l->file);
	if (has_file)
		r = sys_set_permissions(l->place.address, mode);
	if (r == 0)
		r = sys_unix_listen(l->socket, BACKLOG);
	if (r == 0 && l->place.many)
		(void)sys_set_permissions(
			l->place.address, mode); /* who seeks us sees this, and comes again */
	return r;
}

/* Anybody who may look into a directory may lock it, and keep it locked: so it is not waited for without end. */
static int lock_directory(const char *path)
{
	uint64_t until = sys_now_ns() + LOCK_WAIT_NS;
	int r;

	while ((r = sys_lock_directory(path)) == -EAGAIN && sys_now_ns() < until)
		sys_sleep(LOCK_RETRY_NS);
	if (r == -EAGAIN)
		return error_set(-EBUSY,
			"another program keeps the directory %s locked (flock): end it, or listen elsewhere",
			path);
	return r < 0 ? error_set(r, "cannot use the directory %s: %s", path, strerror(-r)) : r;
}

static int bind_in_directory(struct listener *l, uint32_t permissions)
{
	int lock = -1;
	int r = name_make_directory(&l->place);

	if (r < 0)
		return error_set(r, "cannot make the directory %s: %s", l->place.directory, strerror(-r));
	if (l->place.directory[0] != '\0')
		r = lock = lock_directory(l->place.directory);
	if (r < 0)
		return r;
	r = l->place.many ? name_one_of_many(&l->place) : 0;
	if (r == 0)
		r = listen_there(l, permissions == 0 ? OWNER_ONLY : permissions, lock >= 0);
	if (lock >= 0)
		sys_close(lock);
	return r < 0 ? cannot_listen(l, r) : 0;
}

static int adopt(struct listener *l, int fd)
{
	if (!sys_unix_is_listener(fd))
		return error_set(
			-EINVAL, "descriptor %d is no listening Unix socket of type SOCK_SEQPACKET", fd);
	l->adopted = true;
	l->socket = sys_dup(fd);
	if (l->socket < 0)
		return error_set(
			l->socket, "descriptor %d cannot be duplicated: %s", fd, strerror(-l->socket));
	return sys_unix_set_blocking(l->socket, false);
}

static int copy_rights(struct listener *l, const struct listen_request *request)
{
	if (request->right_count == 0)
		return 0;
	l->rights = calloc(request->right_count, sizeof(*l->rights));
	if (l->rights == NULL)
		return error_set(-ENOMEM, "no memory for the access list");
	memcpy(l->rights, request->rights, request->right_count * sizeof(*l->rights));
	l->right_count = request->right_count;
	return 0;
}

int listener_open(
	struct as *as, const struct plan *plan, const struct listen_request *request, struct listener **out)
{
	struct listener *l = calloc(1, sizeof(*l));
	int r;

	if (l == NULL)
		return error_set(-ENOMEM, "no memory for a listener");
	l->as = as;
	l->plan = *plan;
	l->socket = -1;
	l->epoll = -1;
	r = fork_mark(&l->mark);
	if (r == 0)
		r = copy_rights(l, request);
	if (r == 0 && request->fd >= 0)
		r = adopt(l, request->fd);
	else if (r == 0) {
		r = name_resolve(request->name, &l->place);
		if (r == 0 && l->place.many && plan->pattern != PATTERN_QUEUE)
			r = error_set(-EINVAL,
				"'%s' ends in '/', so many may listen there: that is for queues",
				request->name);
		if (r == 0)
			r = bind_in_directory(l, request->permissions);
	}
	if (r < 0) {
		listener_close(l);
		return r;
	}
	*out = l;
	return 0;
}

/* The socket of who leaves. */
static int leave_row(struct listener *l, uint32_t i)
{
	int socket = l->strangers[i].socket;

	watch_remove(socket, l->strangers[i].watch);
	if (l->epoll >= 0)
		(void)sys_epoll_set(l->epoll, socket, 0, 0);
	l->stranger_count--;
	memmove(&l->strangers[i], &l->strangers[i + 1], (l->stranger_count - i) * sizeof(l->strangers[0]));
	return socket;
}

static void send_away(struct listener *l, uint32_t i)
{
	int socket = leave_row(l, i);

	sys_unix_hang_up(socket);
	sys_close(socket);
}

/* Also for those who stand before it. */
static void close_door(int socket)
{
	int fd;

	sys_unix_hang_up(socket);
	while ((fd = sys_unix_accept(socket)) >= 0)
		sys_close(fd);
}

void listener_close(struct listener *l)
{
	if (l == NULL)
		return;
	watch_remove(l->socket, l->watch);
	/* First: a child made by fork shares it with its parent, who still needs what is in it. */
	if (l->epoll >= 0)
		sys_close(l->epoll);
	l->epoll = -1;
	/* A child has the sockets as well, but the name and who stands in the row are its parent's. And it may outlive the
	 * parent's listener: then nobody shall wait at its door. */
	if (fork_is_mine(l->mark)) {
		while (l->stranger_count > 0)
			send_away(l, 0);
		if (l->unlink)
			remove_name(l);
		if (l->socket >= 0 && !l->adopted)
			close_door(l->socket);
	}
	while (l->stranger_count > 0)
		sys_close(leave_row(l, 0));
	if (l->socket >= 0)
		sys_close(l->socket);
	channel_close(l->spare);
	free(l->rights);
	free(l);
}

int listener_descriptor(struct listener *l)
{
	int r;

	if (l->epoll >= 0)
		return l->epoll;
	r = sys_epoll_create();
	if (r < 0)
		return error_set(r, "cannot make a descriptor for the listener: %s", strerror(-r));
	l->epoll = r;
	(void)sys_epoll_set(l->epoll, l->socket, EPOLLIN, 0);
	for (uint32_t i = 0; i < l->stranger_count; i++)
		(void)sys_epoll_set(l->epoll, l->strangers[i].socket, EPOLLIN | EPOLLRDHUP, 0);
	return l->epoll;
}

int listener_watch(struct listener *l, atomic_uint *word)
{
	l->news = word;
	return watch_add(l->socket, WATCH_READABLE, word, &l->watch);
}

void listener_again(struct listener *l)
{
	watch_again(l->socket, WATCH_READABLE, l->watch);
}

void listener_unwatch(struct listener *l)
{
	watch_remove(l->socket, l->watch);
	for (uint32_t i = 0; i < l->stranger_count; i++) {
		watch_remove(l->strangers[i].socket, l->strangers[i].watch);
		l->strangers[i].watch = 0;
	}
	l->watch = 0;
	l->news = NULL;
	l->gathered = false;
}

/* ---- who may ---- */

static bool in_group(int socket, const struct sys_peer *peer, uint32_t gid)
{
	gid_t groups[GROUPS_MAX];
	int n;

	if (gid == ANYBODY || peer->gid == gid)
		return true;
	n = sys_unix_peer_groups(socket, groups, GROUPS_MAX);
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static bool may(const struct listener *l, int socket, const struct sys_peer *peer, uint32_t role)
{
	if (l->right_count == 0)
		return peer->uid == geteuid() || peer->uid == 0;
	for (size_t i = 0; i < l->right_count; i++) {
		const struct right *right = &l->rights[i];

		if ((right->may & role) == role && (right->uid == ANYBODY || right->uid == peer->uid) &&
			in_group(socket, peer, right->gid))
			return true;
	}
	return false;
}

static int check_credentials(
	const struct listener *l, int socket, const struct hello *hello, struct sys_peer *peer)
{
	int r = sys_unix_peer(socket, peer);

	if (r < 0)
		return r;
	if (!may(l, socket, peer, hello->role))
		return error_set(-EACCES, "user %u is not on the access list of this channel", peer->uid);
	return 0;
}

/* ---- a client comes ---- */

/* guest: one client on its way in, passed through the steps */
struct guest {
	struct listener *listener; /* in */
	int socket;                /* in; -1 once a link has it */
	bool barrier;              /* in: what we say of ourselves */
	struct hello hello;        /* set by hear() */
	int fd;                    /* set by hear(): of its segment */
	struct sys_peer who;       /* set by check() */
	struct segment segment;    /* set by check() */
	struct channel *channel;   /* set by seat(): where it goes */
	bool our_fault;            /* set by welcome(), when it fails: the next one would not fare better */
};

static int check(struct guest *g)
{
	int r = hello_fits(&g->hello, &g->listener->plan);

	if (r == 0 && g->listener->full)
		r = error_set(-EUSERS, "the queue has %d clients, and no room for another one", LANES_MAX);
	if (r == 0)
		r = check_credentials(g->listener, g->socket, &g->hello, &g->who);
	if (r == 0 && g->fd < 0)
		r = error_set(-EBADMSG, "the client sent no segment");
	if (r == 0)
		r = segment_take(&g->segment, g->listener->as, g->fd);
	if (r == 0)
		r = link_fits(&g->segment, &g->hello);
	return r;
}

/* Somebody has come and prepares its memory: meanwhile we prepare ours, which is most of what attaching costs. One at most,
 * however many come. When there is no memory for it the guest will hear why. */
static void prepare(struct listener *l)
{
	if (l->spare == NULL && l->stranger_count > 0)
		(void)channel_new(l->as, &l->plan, LAYOUT_NOBODY, &l->spare);
}

static int take_spare(struct listener *l, uint64_t id, struct channel **channel)
{
	if (l->spare == NULL)
		return channel_new(l->as, &l->plan, id, channel);
	*channel = l->spare;
	l->spare = NULL;
	segment_identify(&(*channel)->own, id);
	return 0;
}

static int seat(struct guest *g, struct channel *hub, struct link *link)
{
	bool fence = !g->barrier || (g->hello.flags & HELLO_BARRIER) == 0;
	int r = 0;

	g->channel = hub;
	if (hub == NULL)
		r = take_spare(g->listener, g->segment.header.id, &g->channel);
	if (r == 0 && hub == NULL && g->listener->gathered)
		g->channel->news = g->listener->news; /* a lane: its hub sleeps on one word for all */
	if (r == 0)
		r = link_make(link, g->socket, 0, &g->segment, fence);
	if (r < 0)
		return r;
	link->start = link->tail = g->channel->out.head;
	link->start_records = g->channel->out.records;
	return 0;
}

static int answer(struct guest *g, const struct link *link)
{
	struct hello hello;

	hello_fill(&hello, &g->listener->plan, g->barrier);
	hello.start = link->start;
	hello.start_records = link->start_records;
	return hello_send(g->socket, &hello, segment_fd(&g->channel->own));
}

static void refuse(const struct guest *g, int reason)
{
	struct hello hello;

	hello_fill(&hello, &g->listener->plan, false);
	hello.status = reason;
	(void)hello_send(g->socket, &hello, -1); /* it may have gone */
}

/* Takes the guest's socket over, whatever happens. */
static int welcome(struct guest *g, struct channel *hub)
{
	struct link link = { .socket = -1, .pidfd = -1 };
	int r = check(g);

	g->our_fault = r == -EMFILE || r == -ENFILE;
	if (r == 0) {
		r = seat(g, hub, &link);
		g->our_fault = r < 0;
	}
	if (r == 0)
		r = answer(g, &link);
	if (r == 0)
		r = channel_join(g->channel, &link);
	if (g->fd >= 0)
		sys_close(g->fd);
	if (r == 0)
		return 0;
	refuse(g, r);
	g->listener->refused++;
	if (g->channel != hub)
		channel_close(g->channel);
	if (link.pidfd >= 0)
		sys_close(link.pidfd);
	segment_drop(&g->segment);
	sys_close(g->socket);
	return r;
}

/* Is there a place in the row? */
static bool has_place(struct listener *l)
{
	if (l->stranger_count == STRANGERS_MAX && sys_now_ns() - l->strangers[0].since_ns >= PATIENCE_NS)
		send_away(l, 0);
	return l->stranger_count < STRANGERS_MAX;
}

static int no_more_files(int error)
{
	return error_set(error, "a client is there, but this process cannot take it in: %s (see ulimit -n)",
		strerror(-error));
}

/* Who has connected stands in the row, as long as there is a place. -EMFILE, -ENFILE: we have no descriptor for it. */
static int line_up(struct listener *l)
{
	int fd = -EAGAIN;

	while (has_place(l) && (fd = sys_unix_accept(l->socket)) >= 0) {
		struct stranger *last = &l->strangers[l->stranger_count++];

		*last = (struct stranger){ .socket = fd, .since_ns = sys_now_ns() };
		if (l->epoll >= 0)
			(void)sys_epoll_set(l->epoll, fd, EPOLLIN | EPOLLRDHUP, 0);
		if (l->news != NULL)
			(void)watch_add(fd, WATCH_READABLE, l->news, &last->watch);
	}
	return fd == -EMFILE || fd == -ENFILE ? no_more_files(fd) : 0;
}

/* The first in the row who has said something sensible: its channel. -EAGAIN when nobody has. */
static int greet(struct listener *l, struct channel *hub, struct channel **out)
{
	l->trouble = line_up(l);
	for (uint32_t i = 0; i < l->stranger_count;) {
		struct guest g = {
			.listener = l, .socket = l->strangers[i].socket, .barrier = hello_barrier(), .fd = -1
		};
		int r = hello_receive(g.socket, &g.hello, &g.fd, &g.who.pid);

		if (r == -EAGAIN) {
			i++;
			continue;
		}
		if (r < 0) {
			if (r == -EMFILE)
				refuse(&g, l->trouble = r);
			send_away(l, i);
			continue;
		}
		(void)leave_row(l, i);
		r = welcome(&g, hub);
		if (r < 0) {
			l->trouble = g.our_fault ? r : l->trouble;
			continue;
		}
		*out = g.channel;
		return 0;
	}
	return l->trouble < 0 ? l->trouble : -EAGAIN;
}

/* ---- accepting ---- */

void listener_wait(struct listener *l, uint64_t deadline_ns)
{
	int fds[STRANGERS_MAX + 1];
	bool ready[STRANGERS_MAX + 1];
	size_t n = 0;

	for (; n < l->stranger_count; n++)
		fds[n] = l->strangers[n].socket;
	if (n < STRANGERS_MAX)
		fds[n++] = l->socket;
	else
		deadline_ns = min_u64(deadline_ns, l->strangers[0].since_ns + PATIENCE_NS);
	(void)sys_wait_readable(fds, n, deadline_ns, ready);
}

int listener_accept(struct listener *l, uint64_t deadline_ns, struct channel **channel)
{
	for (;;) {
		int r = greet(l, NULL, channel);

		if (r != -EAGAIN)
			return r;
		if (deadline_ns == CHANNEL_NOW)
			return -EAGAIN;
		if (deadline_ns != CHANNEL_FOREVER && sys_now_ns() >= deadline_ns)
			return error_set(-ETIMEDOUT, "nobody connected before the deadline");
		prepare(l);
		listener_wait(l, deadline_ns);
	}
}

void listener_admit(struct listener *l, struct channel *hub)
{
	struct channel *same;

	while (greet(l, hub, &same) == 0)
		assert(same == hub);
	if (l->trouble == 0)
		listener_again(l); /* else it would be news again and again that we have no descriptor left */
}
