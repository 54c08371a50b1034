/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/watch.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "base/lock.h"
#include "channel/fork.h"
#include "sys/file.h"
#include "sys/futex.h"
#include "sys/signal.h"
#include "sys/unix.h"

enum { EVENTS = 16, SLOTS_MIN = 8, TAG_STOP = 0 };

/* watch_slot: one descriptor the watcher looks at; a ticket is the slot's number and its generation */
struct watch_slot {
	atomic_uint *word; /* NULL: free */
	uint32_t generation;
};

/* watcher: the thread that looks at descriptors, and what it looks at */
struct watcher {
	struct lock lock; /* guards everything below; the thread holds it while it touches words */
	uint32_t mark;    /* of the process whose thread this is (channel/fork.h) */
	int epoll;
	int stop; /* an eventfd */
	pthread_t thread;
	struct watch_slot *slots;
	uint32_t slot_count;
	uint32_t used;
	uint32_t generation; /* never the same for two tickets of a process */
};

static struct watcher own = { .lock = LOCK_INIT, .epoll = -1, .stop = -1 };

static uint32_t kernel_events(enum watch_for what)
{
	return (uint32_t)EPOLLONESHOT | (uint32_t)EPOLLRDHUP |
		(what == WATCH_READABLE ? (uint32_t)EPOLLIN : 0U);
}

/* ---- the thread ---- */

static void report(uint64_t tag)
{
	uint32_t slot = (uint32_t)tag - 1;
	atomic_uint *word;

	if (slot >= own.slot_count || own.slots[slot].generation != (uint32_t)(tag >> 32))
		return;
	word = own.slots[slot].word;
	if (word == NULL)
		return;
	atomic_fetch_add(word, 1);
	sys_futex_wake(word, false);
}

static void *watch(void *arg)
{
	int epoll = (int)(intptr_t)arg;
	uint64_t tags[EVENTS];
	uint32_t events[EVENTS];

	for (;;) {
		int n = sys_epoll_wait(epoll, tags, events, EVENTS);

		for (int i = 0; i < n; i++)
			if (tags[i] == TAG_STOP)
				return NULL;
		lock_take(&own.lock);
		for (int i = 0; i < n; i++)
			report(tags[i]);
		lock_give(&own.lock);
	}
}

static int start_thread(void)
{
	sigset_t all;
	sigset_t before;
	int r;

	(void)sigfillset(&all);
	r = sys_thread_block(&all, &before);
	if (r < 0)
		return r;
	r = -pthread_create(&own.thread, NULL, watch, (void *)(intptr_t)own.epoll);
	(void)sys_thread_set_mask(&before);
	return r;
}

/* ---- starting and stopping ---- */

static void close_all(void)
{
	if (own.epoll >= 0)
		sys_close(own.epoll);
	if (own.stop >= 0)
		sys_close(own.stop);
	free(own.slots);
	own.slots = NULL;
	own.slot_count = own.used = 0;
	own.epoll = own.stop = -1;
}

/* The thread may be waiting for the lock, so it is joined without; whoever comes meanwhile starts another. */
static void stop(void)
{
	pthread_t thread = own.thread;
	int epoll = own.epoll;
	int stop_fd = own.stop;

	own.epoll = own.stop = -1;
	close_all();
	lock_give(&own.lock);
	sys_eventfd_signal(stop_fd);
	(void)pthread_join(thread, NULL);
	sys_close(epoll);
	sys_close(stop_fd);
}

/* In a child made by fork the thread is gone, and the descriptors are the parent's. */
static int forget_parent(void)
{
	uint32_t mark;
	int r = fork_mark(&mark);

	if (r < 0 || own.mark == mark)
		return r;
	if (own.epoll >= 0)
		close_all();
	own.mark = mark;
	return 0;
}

static int start(void)
{
	int r;

	lock_hold_over_fork(&own.lock);
	own.epoll = sys_epoll_create();
	own.stop = sys_eventfd();
	r = own.epoll < 0 ? own.epoll : own.stop < 0 ? own.stop : 0;
	if (r == 0)
		r = sys_epoll_set(own.epoll, own.stop, EPOLLIN, TAG_STOP);
	if (r == 0)
		r = start_thread();
	if (r < 0)
		close_all();
	return r;
}

static int take_slot(uint32_t *slot)
{
	uint32_t count = own.slot_count == 0 ? SLOTS_MIN : 2 * own.slot_count;
	struct watch_slot *slots;

	for (uint32_t i = 0; i < own.slot_count; i++)
		if (own.slots[i].word == NULL) {
			*slot = i;
			return 0;
		}
	slots = realloc(own.slots, count * sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	for (uint32_t i = own.slot_count; i < count; i++)
		slots[i] = (struct watch_slot){ .word = NULL };
	*slot = own.slot_count;
	own.slots = slots;
	own.slot_count = count;
	return 0;
}

static int add(int fd, enum watch_for what, atomic_uint *word, watch_ticket *ticket)
{
	uint32_t slot;
	uint64_t tag;
	int r = take_slot(&slot);

	if (r < 0)
		return r;
	tag = (uint64_t)++own.generation << 32 | (slot + 1);
	r = sys_epoll_set(own.epoll, fd, kernel_events(what), tag);
	if (r < 0)
		return r;
	own.slots[slot] = (struct watch_slot){ .word = word, .generation = own.generation };
	own.used++;
	*ticket = tag;
	return 0;
}

int watch_add(int fd, enum watch_for what, atomic_uint *word, watch_ticket *ticket)
{
	int r;

	lock_take(&own.lock);
	r = forget_parent();
	if (r == 0 && own.epoll < 0)
		r = start();
	if (r == 0)
		r = add(fd, what, word, ticket);
	lock_give(&own.lock);
	return r < 0 ? error_set(r, "no thread or memory to watch for a dead peer") : 0;
}

void watch_again(int fd, enum watch_for what, watch_ticket ticket)
{
	lock_take(&own.lock);
	if (own.epoll >= 0 && ticket != 0)
		(void)sys_epoll_set(
			own.epoll, fd, kernel_events(what), ticket); /* it was there, so it fits */
	lock_give(&own.lock);
}

void watch_remove(int fd, watch_ticket ticket)
{
	uint32_t slot = (uint32_t)ticket - 1;
	bool last = false;

	if (ticket == 0)
		return;
	lock_take(&own.lock);
	if (forget_parent() == 0 && own.epoll >= 0 && slot < own.slot_count &&
		own.slots[slot].generation == (uint32_t)(ticket >> 32) && own.slots[slot].word != NULL) {
		(void)sys_epoll_set(own.epoll, fd, 0, 0);
		own.slots[slot].word = NULL;
		last = --own.used == 0;
	}
	if (last)
		stop(); /* gives the lock */
	else
		lock_give(&own.lock);
}
