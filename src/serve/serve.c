/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve.h"

#include <errno.h>
#include <stdlib.h>

#include "base/align.h"
#include "base/lock.h"
#include "pmap/uffd.h"
#include "serve/keeper.h"
#include "sys/clock.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/futex.h"
#include "sys/thread.h"
#include "sys/uapi.h"
#include "sys/userfaultfd.h"
#include "vm/as.h"
#include "vm/fault.h"
#include "vm/pageout.h"
#include "vm/pool.h"

/* Messages of one read; sorted, so that neighbours are filled one after the other. */
enum { MESSAGES = 64 };

/* After a message the next is waited for by asking again, some 10 us: a sleeping thread is woken in 60 us on another
 * processor, and faults come in runs. Where asking finds nothing - who faults has to have this processor first - half as
 * often the next time, and after so many sleeps the other way is tried again. */
enum { SPINS = 32, SPINS_LEAST = 8, SLEEPS = 256, DESCRIPTORS = 2 };

/* The pageout thread looks at its pool this often even when nobody calls: budgets shrink, hints grow old. */
static const uint64_t look_ns = 1000000000;

/* ---- up, with a look at the marks ---- */

static void begin_pageout(struct serve *serve)
{
	if (atomic_exchange(&serve->begun, 1) == 0)
		sys_futex_wake(&serve->begun, false);
}

int serve_up(void *above, struct pmap_question *question)
{
	struct serve *serve = above;
	int r = as_up(serve->as, question);

	if (question->kind != PMAP_FILL)
		return r;
	/* The reserve for handlers is refilled by the pageout thread; until then the fault waits. */
	while (r == -EAGAIN) {
		begin_pageout(serve);
		lock_yield();
		r = as_up(serve->as, question);
	}
	if (pool_needs_care(serve->pool))
		begin_pageout(serve);
	return r;
}

/* ---- handler threads ---- */

static int by_address(const void *a, const void *b)
{
	uint64_t x = ((const struct uffd_msg *)a)->arg.pagefault.address;
	uint64_t y = ((const struct uffd_msg *)b)->arg.pagefault.address;

	return x < y ? -1 : x > y;
}

static unsigned int access_of(const struct uffd_msg *message)
{
	uint64_t flags = message->arg.pagefault.flags;

	return (flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP)) != 0 ? PMAP_WRITE : PMAP_READ;
}

static void answer(struct serve *serve, const struct uffd_msg *message)
{
	struct pmap_question question = {
		.kind = PMAP_FILL,
		.va = align_down(message->arg.pagefault.address, PAGE_BYTES),
		.access = access_of(message),
		.allocate = true,
	};
	int r;

	if (message->event != UFFD_EVENT_PAGEFAULT)
		return;
	r = serve_up(serve, &question);
	if (r == 0)
		return; /* what is entered, or was there already, has woken who waits */
	fault_fail(serve->as, question.va);
	(void)uffd_wake(serve->uffd, question.va);
}

static bool answer_all(struct serve *serve, int fd)
{
	struct uffd_msg messages[MESSAGES];
	int n = sys_uffd_read(fd, messages, MESSAGES);

	if (n <= 0)
		return false;
	atomic_fetch_add_explicit(&serve->answered, 1, memory_order_relaxed);
	if (n > 1)
		qsort(messages, (size_t)n, sizeof(messages[0]), by_address);
	for (int i = 0; i < n; i++)
		answer(serve, &messages[i]);
	return true;
}

/* The descriptor the last message came from, now and then the other one. */
static bool answer_next(struct handler *handler, unsigned int spin)
{
	unsigned int which = spin % SPINS_LEAST == SPINS_LEAST - 1 ? !handler->last : handler->last;

	if (!answer_all(handler->serve, uffd_descriptor(handler->serve->uffd, which == 0)))
		return false;
	handler->last = which;
	return true;
}

static void spin(struct handler *handler)
{
	bool found = false;

	for (unsigned int i = 0; i < handler->patience; i++)
		if (answer_next(handler, i)) {
			found = true;
			i = 0;
		}
	if (found)
		handler->patience = SPINS;
	else if (handler->patience >= SPINS_LEAST)
		handler->patience /= 2;
	else if (handler->sleeps++ % SLEEPS == SLEEPS - 1)
		handler->patience = SPINS;
	else
		handler->patience = 0;
}

static void *handler_run(void *user)
{
	struct handler *handler = user;
	struct serve *serve = handler->serve;

	for (;;) {
		unsigned int ready = sys_watch_wait(handler->watch);

		if (ready == 0)
			return NULL; /* the program has closed our descriptors */
		if ((ready & 1U << DESCRIPTORS) != 0) {
			if (!atomic_load(&serve->lost))
				sys_event_signal(serve->stop); /* the next one, too */
			return NULL;
		}
		for (unsigned int which = 0; which < DESCRIPTORS; which++)
			if ((ready & 1U << which) != 0 &&
				answer_all(serve, uffd_descriptor(serve->uffd, which == 0)))
				handler->last = which;
		spin(handler);
	}
}

static int handler_start(struct serve *serve, struct handler *handler)
{
	const int fds[DESCRIPTORS + 1] = { uffd_descriptor(serve->uffd, true),
		uffd_descriptor(serve->uffd, false), serve->stop };
	int r;

	*handler = (struct handler){ .serve = serve, .patience = SPINS };
	handler->watch = sys_watch_open(fds, DESCRIPTORS + 1);
	if (handler->watch < 0)
		return handler->watch;
	r = worker_start(&handler->worker, handler_run, handler);
	if (r < 0)
		sys_close(handler->watch);
	return r;
}

/* ---- pageout thread ---- */

static void *pageout_run(void *user)
{
	struct serve *serve = user;
	const struct sys_word word = { .word = &serve->begun, .value = 0 };

	/* No descriptor: who begins it may be a fault, which cannot see whether a number is ours still. */
	while (!atomic_load(&serve->ending)) {
		int r = sys_futex_wait_any(&word, 1, sys_now_ns() + look_ns);

		if (r < 0 && r != -ETIMEDOUT)
			sys_sleep(look_ns / 100); /* it is refused */
		atomic_store(&serve->begun, 0);
		(void)pageout_balance(serve->pool);
	}
	return NULL;
}

/* ---- open ---- */

/* Before it has the descriptors a program that closes them would leave zeros behind. */
static void wait_for_keeper(struct serve *serve)
{
	const struct sys_word word = { .word = &serve->settled, .value = 0 };

	while (atomic_load(&serve->settled) == 0)
		if (sys_futex_wait_any(&word, 1, SYS_NEVER) < 0)
			lock_yield(); /* the call is refused here */
}

int serve_open(struct serve *serve, unsigned int handlers)
{
	int r = 0;

	serve->handler_count = 0;
	atomic_store(&serve->answered, 0);
	atomic_store(&serve->ending, false);
	atomic_store(&serve->ended, false);
	atomic_store(&serve->kept, false);
	atomic_store(&serve->settled, 0);
	atomic_store(&serve->begun, 0);
	atomic_store(&serve->lost, false);
	serve->stop = sys_event_open();
	if (serve->stop < 0)
		r = serve->stop;
	else
		serve->identity = sys_event_identity(serve->stop);
	if (r == 0)
		r = worker_start(&serve->pageout, pageout_run, serve);
	if (r == 0 && serve->uffd != NULL)
		r = worker_start(&serve->keeper, keeper_run, serve);
	while (r == 0 && serve->handler_count < handlers) {
		r = handler_start(serve, &serve->handlers[serve->handler_count]);
		if (r == 0)
			serve->handler_count++;
	}
	if (r < 0)
		serve_close(serve);
	else if (serve->uffd != NULL)
		wait_for_keeper(serve);
	return r;
}

void serve_close(struct serve *serve)
{
	/* To write to a number that was ours would be to write into a stranger's file. The keeper sees by itself that all ends. */
	atomic_store(&serve->lost,
		atomic_load(&serve->kept) && sys_event_identity(serve->stop) != serve->identity);
	atomic_store(&serve->ending, true);
	begin_pageout(serve);
	if (serve->stop >= 0 && !atomic_load(&serve->lost))
		sys_event_signal(serve->stop);
	for (unsigned int i = 0; i < serve->handler_count; i++) {
		worker_join(&serve->handlers[i].worker);
		if (!atomic_load(&serve->lost))
			sys_close(serve->handlers[i].watch);
	}
	worker_join(&serve->pageout);
	atomic_store(&serve->ended, true);
	worker_join(&serve->keeper);
	if (serve->stop >= 0 && !atomic_load(&serve->lost))
		sys_close(serve->stop);
}
