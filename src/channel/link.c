/* SPDX-License-Identifier: Apache-2.0 */
/* channel/link.c - who is at the other end, and whether it is still there. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "base/lock.h"
#include "channel/channel.h"
#include "channel/listener.h"
#include "sys/file.h"

enum { BELLS_A_LOOK = 64 };

static void mark_gone(struct link *link)
{
	/* A peer that closes says so in its segment first; what it has not said it cannot say any more. */
	link->died = atomic_load(&link->control->state) != LAYOUT_CLOSED;
	atomic_store(&link->gone, true);
}

/* Takes the bytes from the socket: bells that have done their work, or a last word. */
static void listen_to(struct link *link)
{
	char bytes[8];
	ssize_t n = -EAGAIN;

	/* A peer that rings without end is heard again at the next look: it wastes our time no faster than its own. */
	for (int i = 0; i < BELLS_A_LOOK; i++) {
		n = sys_unix_receive_now(link->socket, bytes, sizeof(bytes));
		if (n <= 0)
			break;
		if (bytes[0] == 'D')
			link->told_dropped = true;
	}
	if (n == 0 || (n < 0 && n != -EAGAIN))
		mark_gone(link);
}

static void check(struct link *link)
{
	bool dead = false;

	if (atomic_load(&link->gone))
		return;
	listen_to(link);
	if (!atomic_load(&link->gone) && link->pidfd >= 0 && sys_wait_readable(&link->pidfd, 1, 0, &dead) > 0)
		mark_gone(link); /* a child of it may keep the socket open */
}

static void forget(struct channel *c, uint32_t i)
{
	sys_unix_hang_up(c->links[i].socket);
	link_close(&c->links[i]);
	c->links[i] = c->links[--c->link_count];
}

void links_check(struct channel *c)
{
	lock_take(&c->lock);
	for (uint32_t i = 0; i < c->link_count; i++)
		check(&c->links[i]);
	/* A topic goes on without its dead readers; a pair keeps its link, whose memory is still to be read. */
	for (uint32_t i = c->link_count; i-- > 0 && c->listener != NULL;)
		if (atomic_load(&c->links[i].gone))
			forget(c, i);
	lock_give(&c->lock);
}

int channel_broken(struct channel *c, struct link *link)
{
	c->broken = error_set(-EPROTO,
		"process %d wrote something into its shared memory that the protocol does not allow: the channel is "
		"not used any more",
		(int)link->who.pid);
	return c->broken;
}

static int explain_gone(const struct link *link)
{
	if (link->told_dropped)
		return error_set(
			-ENOBUFS, "the writer has dropped this reader because it was too slow for the topic");
	if (link->died)
		return error_set(-EOWNERDEAD,
			"process %d at the other end died; everything it had published was delivered",
			(int)link->who.pid);
	return error_set(-EPIPE, "the other end has closed the channel");
}

int channel_state(struct channel *c, enum wait_for what)
{
	(void)what;
	if (c->broken != 0)
		return error_set(c->broken, "a peer has broken the protocol of this channel");
	if (c->listener != NULL)
		return 0; /* readers come and go */
	if (c->link_count == 0)
		return error_set(-EPIPE, "nobody is at the other end");
	return atomic_load(&c->links[0].gone) ? explain_gone(&c->links[0]) : 0;
}

void link_close(struct link *link)
{
	watch_remove(link->socket, link->watch_socket);
	if (link->pidfd >= 0) {
		watch_remove(link->pidfd, link->watch_pid);
		sys_close(link->pidfd);
	}
	if (link->socket >= 0)
		sys_close(link->socket);
	segment_drop(&link->peer);
}

/* The writer of a topic goes on without this one. */
void link_drop(struct channel *c, struct link *link, bool too_slow)
{
	lock_take(&c->lock);
	if (too_slow) {
		(void)sys_unix_send_now(link->socket, "D", 1); /* it will see the end anyhow */
		c->dropped++;
	}
	forget(c, (uint32_t)(link - c->links));
	lock_give(&c->lock);
}

void channel_descriptors(struct channel *c, int epoll)
{
	for (uint32_t i = 0; i < c->link_count; i++) {
		struct link *link = &c->links[i];

		if (atomic_load(&link->gone))
			continue;
		(void)sys_epoll_set(epoll, link->socket, EPOLLIN | EPOLLRDHUP, 0);
		if (link->pidfd >= 0)
			(void)sys_epoll_set(epoll, link->pidfd, EPOLLIN, 0);
	}
	if (c->listener != NULL)
		(void)sys_epoll_set(epoll, listener_descriptor(c->listener), EPOLLIN, 0);
}
