/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/connect.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/error.h"
#include "channel/hello.h"
#include "channel/name.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "sys/unix.h"

/* ---- links ---- */

int link_make(struct link *link, int socket, pid_t sender, const struct segment *peer, bool fence)
{
	struct sys_peer who;
	int r = sys_unix_peer(socket, &who);

	if (r < 0)
		return r;
	if (sender > 0)
		who.pid =
			sender; /* who has called listen(2) may be another one: the socket can be inherited */
	*link = (struct link){
		.peer = *peer,
		.control = peer->control,
		.socket = socket,
		.pidfd = who.pid > 0 ? sys_pidfd_open(who.pid) : -1,
		.who = who,
		.fence = fence,
	};
	return 0;
}

int link_fits(const struct segment *peer, const struct hello *hello)
{
	if ((peer->header.capacity > 0) != ((hello->role & ROLE_SEND) != 0))
		return error_set(-EBADMSG, "the other side's segment does not fit to what it says it does");
	return 0;
}

/* ---- reaching the listener ---- */

static int explain_connect(int error, const struct name_place *place, const char *name)
{
	if (error == -ENOENT || error == -ECONNREFUSED)
		return error_set(-ENOENT, "nobody listens on channel '%s' (%s)", name, place->address);
	if (error == -EACCES || error == -EPERM)
		return error_set(
			-EACCES, "no permission to connect to channel '%s' (%s)", name, place->address);
	return error_set(
		error, "cannot connect to channel '%s' (%s): %s", name, place->address, strerror(-error));
}

/* Nobody's permissions protect an abstract name: what is not this user's or root's is not what was meant. */
static int check_owner(int socket, const char *name)
{
	struct sys_peer who = { .uid = (uid_t)-1 };
	int r = sys_unix_peer(socket, &who);

	if (r == 0 && (who.uid == geteuid() || who.uid == 0))
		return socket;
	sys_close(socket);
	return error_set(-EACCES,
		"user %u listens on '%s', which is an abstract name that anybody can take: set $XDG_RUNTIME_DIR, "
		"or give a path",
		(unsigned int)who.uid, name);
}

/* A full backlog says EAGAIN: the listener is there and slow. */
static int connect_until(const char *name, uint64_t deadline_ns)
{
	enum { RETRY_NS = 1000000 };
	struct name_place place;
	int fd = name_resolve(name, &place);

	if (fd < 0)
		return fd;
	for (;;) {
		uint64_t now;

		fd = sys_unix_connect(place.address);
		if (fd >= 0)
			return place.anybodys ? check_owner(fd, name) : fd;
		if (fd != -EAGAIN)
			return explain_connect(fd, &place, name);
		now = sys_now_ns();
		if (now >= deadline_ns)
			return error_set(
				-ETIMEDOUT, "the listener of '%s' has too many clients waiting", name);
		(void)sys_wait_readable(NULL, 0, min_u64(deadline_ns, now + RETRY_NS), NULL);
	}
}

/* The listener's reasons in words for who was refused. */
static int refused(int status)
{
	switch (status) {
	case -EACCES: return error_set(status, "the listener refused: this user is not on its access list");
	case -EPROTONOSUPPORT:
		return error_set(status, "the listener refused: it speaks another version of the layout");
	case -EPROTOTYPE:
		return error_set(status, "the listener refused: role, mode or schema do not fit to its own");
	case -EPERM: return error_set(status, "the listener refused: our segment is not sealed");
	default:
		return status < 0 && status > -4096
			? error_set(status, "the listener refused: %s", strerror(-status))
			: error_set(-EBADMSG, "the listener answered with status %d", status);
	}
}

static int take_answer(struct channel *c, int socket, pid_t sender, const struct hello *hello, int fd)
{
	bool fence = !c->said_barrier || (hello->flags & HELLO_BARRIER) == 0;
	struct segment peer = { .file = NULL };
	struct link link = { .socket = -1, .pidfd = -1 };
	int r;

	if (hello->status != 0)
		return refused(hello->status);
	r = hello_fits(hello, &c->plan);
	if (r == 0 && fd < 0)
		r = error_set(-EBADMSG, "the listener sent no segment");
	if (r == 0)
		r = segment_take(&peer, c->as, fd);
	if (r < 0)
		return r;

	c->plan.pattern = hello->pattern;
	c->plan.policy = hello->policy;
	r = link_fits(&peer, hello);
	if (r == 0)
		r = link_make(&link, socket, sender, &peer, fence);
	link.start = link.tail = (c->plan.role & ROLE_RECEIVE) != 0 ? hello->start : 0;
	link.start_records = hello->start_records;
	if (r == 0 && !is_aligned(link.start, RECORD_ALIGN))
		r = error_set(-EBADMSG, "the listener's ring begins at an odd place");
	if (r == 0)
		r = channel_join(c, &link);
	if (r < 0) {
		if (link.pidfd >= 0)
			sys_close(link.pidfd);
		segment_drop(&peer);
	}
	return r;
}

/* Numbers of conversations only have to differ from each other while they last. */
static uint64_t new_id(void)
{
	return (sys_now_ns() << 16) ^ (uint64_t)getpid();
}

int channel_greet(struct as *as, const struct plan *plan, int socket, struct channel **out)
{
	struct hello hello;
	struct channel *c;
	int r = channel_new(as, plan, new_id(), &c);

	if (r < 0)
		return r;
	sys_learn_sender(socket);
	c->said_barrier = hello_barrier();
	hello_fill(&hello, &c->plan, c->said_barrier);
	r = hello_send(socket, &hello, segment_fd(&c->own));
	if (r < 0) {
		channel_close(c);
		if (r == -EPIPE || r == -ECONNRESET)
			return error_set(-ECONNREFUSED, "the listener went away before it was greeted");
		return error_set(r, "cannot greet the listener: %s", strerror(-r));
	}
	r = segment_populate(&c->own); /* while the listener looks at what it got */
	if (r < 0) {
		channel_close(c);
		return r;
	}
	*out = c;
	return 0;
}

int channel_answered(struct channel *c, int socket)
{
	struct hello hello;
	pid_t sender = 0;
	int fd = -1;
	int r = hello_receive(socket, &hello, &fd, &sender);

	if (r == -EPIPE || r == -ECONNRESET)
		return error_set(-ECONNREFUSED, "the listener went away before it answered");
	if (r == 0)
		r = take_answer(c, socket, sender, &hello, fd);
	if (fd >= 0)
		sys_close(fd);
	return r;
}

static int await_answer(struct channel *c, int socket, uint64_t deadline_ns)
{
	for (;;) {
		bool ready;
		int r = channel_answered(c, socket);

		if (r != -EAGAIN)
			return r;
		if (deadline_ns != CHANNEL_FOREVER && sys_now_ns() >= deadline_ns)
			return error_set(-ETIMEDOUT, "the listener did not answer before the deadline");
		(void)sys_wait_readable(&socket, 1, deadline_ns, &ready);
	}
}

int channel_connect(
	struct as *as, const struct plan *plan, const char *name, uint64_t deadline_ns, struct channel **out)
{
	struct channel *c = NULL;
	int socket = connect_until(name, deadline_ns);
	int r;

	if (socket < 0)
		return socket;
	r = channel_greet(as, plan, socket, &c);
	if (r < 0) {
		sys_close(socket);
		return r;
	}
	assert(c != NULL);
	r = await_answer(c, socket, deadline_ns);
	if (r < 0) {
		if (c->link_count == 0)
			sys_close(socket);
		channel_close(c);
		return r;
	}
	*out = c;
	return 0;
}
