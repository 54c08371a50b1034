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
 * processor, and faults come in runs. Where asking finds nothing, half as often the next time, and after so many sleeps the
 * other way is tried again. Who faults on this processor comes only when he takes it away: that is seen after so many messages. */
enum { SPINS = 32, SPINS_LEAST = 8, SLEEPS = 1024, LOOK_AFTER = 16, DESCRIPTORS = 2 };

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

/* One handler waits for messages, and the others for its turn to end: with all of them waiting, who faults and takes the
 * processor from the one that has just answered would wake another (half a switch more a fault). */
static void take_lead(struct serve *serve)
{
	lock_take(&serve->lead);
	atomic_store(&serve->leader, sys_thread_id());
	serve->preempted = sys_thread_preempted();
}

static bool leads(const struct serve *serve)
{
	return atomic_load(&serve->leader) == sys_thread_id();
}

/* Also before a handler waits for anything: what that is may need another fault to be answered first. */
static void give_lead(void *user)
{
	struct serve *serve = user;

	if (!leads(serve))
		return;
	atomic_store(&serve->leader, 0);
	lock_give(&serve->lead);
}

/* What the descriptor has. Afterwards the lead may be another's. */
static bool answer_all(struct serve *serve, unsigned int which)
{
	struct uffd_msg messages[MESSAGES];
	int n = sys_uffd_read(uffd_descriptor(serve->uffd, which == 0), messages, MESSAGES);

	if (n <= 0)
		return false;
	atomic_fetch_add_explicit(&serve->answered, 1, memory_order_relaxed);
	serve->last = which;
	if (n > 1) {
		give_lead(serve); /* more may come meanwhile */
		qsort(messages, (size_t)n, sizeof(messages[0]), by_address);
	}
	for (int i = 0; i < n; i++)
		answer(serve, &messages[i]);
	return true;
}

/* The descriptor the last message came from, now and then the other one. */
static bool answer_next(struct serve *serve, unsigned int spin)
{
	return answer_all(serve, spin % SPINS_LEAST == SPINS_LEAST - 1 ? !serve->last : serve->last);
}

/* Has this thread lost its processor for every second message since the last look? */
static bool is_in_the_way(struct serve *serve)
{
	uint64_t before = serve->preempted;

	serve->preempted = sys_thread_preempted();
	return serve->preempted - before > LOOK_AFTER / 2;
}

static void spin(struct serve *serve)
{
	unsigned int found = serve->found;

	for (unsigned int i = 0; i < serve->patience; i++) {
		if (!answer_next(serve, i))
			continue;
		if (!leads(serve))
			return;
		i = 0;
		if (++serve->found % LOOK_AFTER == 0 && is_in_the_way(serve)) {
			serve->patience = 0;
			return;
		}
	}
	if (serve->found != found)
		serve->patience = SPINS;
	else if (serve->patience >= SPINS_LEAST)
		serve->patience /= 2;
	else if (serve->sleeps++ % SLEEPS == SLEEPS - 1)
		serve->patience = SPINS;
	else
		serve->patience = 0;
}

/* One turn of the leader. False: all ends. */
static bool lead(struct serve *serve)
{
	unsigned int ready = sys_watch_wait(serve->watch);

	if (ready == 0 || (ready & 1U << DESCRIPTORS) != 0)
		return false; /* 0: the program has closed our descriptors */
	for (unsigned int which = 0; which < DESCRIPTORS; which++)
		if ((ready & 1U << which) != 0 && leads(serve))
			(void)answer_all(serve, which);
	if (leads(serve))
		spin(serve);
	return true;
}

static void *handler_run(void *user)
{
	struct serve *serve = user;
	bool goes_on = true;

	while (goes_on) {
		if (!leads(serve))
			take_lead(serve);
		goes_on = !atomic_load(&serve->ending) && lead(serve);
	}
	give_lead(serve);
	atomic_fetch_sub(&serve->running, 1);
	return NULL;
}

static int handlers_start(struct serve *serve, unsigned int count)
{
	const int fds[DESCRIPTORS + 1] = { uffd_descriptor(serve->uffd, true),
		uffd_descriptor(serve->uffd, false), serve->stop };
	int r = 0;

	serve->watch = sys_watch_open(fds, DESCRIPTORS + 1);
	if (serve->watch < 0)
		return serve->watch;
	serve->pool->before_wait = give_lead;
	serve->pool->waiter = serve;
	while (r == 0 && serve->handler_count < count) {
		atomic_fetch_add(&serve->running, 1);
		r = worker_start(&serve->handlers[serve->handler_count], handler_run, serve);
		if (r == 0)
			serve->handler_count++;
		else
			atomic_fetch_sub(&serve->running, 1);
	}
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
	atomic_store(&serve->running, 0);
	atomic_store(&serve->answered, 0);
	atomic_store(&serve->ending, false);
	atomic_store(&serve->ended, false);
	atomic_store(&serve->kept, false);
	atomic_store(&serve->settled, 0);
	atomic_store(&serve->begun, 0);
	atomic_store(&serve->lost, false);
	serve->watch = -1;
	serve->last = 0;
	serve->patience = SPINS;
	serve->sleeps = 0;
	serve->found = 0;
	atomic_store(&serve->leader, 0);
	lock_init(&serve->lead);
	serve->stop = sys_event_open();
	serve->identity = serve->stop < 0 ? serve->stop : sys_event_identity(serve->stop);
	if (serve->identity < 0)
		r = (int)serve->identity;
	if (r == 0)
		r = worker_start(&serve->pageout, pageout_run, serve);
	if (r == 0 && serve->uffd != NULL)
		r = worker_start(&serve->keeper, keeper_run, serve);
	if (r == 0 && handlers > 0)
		r = handlers_start(serve, handlers);
	if (r < 0)
		serve_close(serve);
	else if (serve->uffd != NULL)
		wait_for_keeper(serve);
	return r;
}

void serve_close(struct serve *serve)
{
	int64_t now = sys_event_identity(serve->stop);

	/* To write to a number that was ours would be to write into a stranger's file. The keeper sees by itself that all ends.
	 * Who has no descriptor left to find that out with gets ours back. */
	atomic_store(&serve->lost, atomic_load(&serve->kept) && now >= 0 && now != serve->identity);
	atomic_store(&serve->ending, true);
	begin_pageout(serve);
	if (serve->stop >= 0 && !atomic_load(&serve->lost))
		sys_event_signal(serve->stop);
	for (unsigned int i = 0; i < serve->handler_count; i++)
		worker_join(&serve->handlers[i]);
	if (serve->watch >= 0 && !atomic_load(&serve->lost))
		sys_close(serve->watch);
	worker_join(&serve->pageout);
	atomic_store(&serve->ended, true);
	worker_join(&serve->keeper);
	if (serve->stop >= 0 && !atomic_load(&serve->lost))
		sys_close(serve->stop);
	lock_done(&serve->lead);
}
