/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/align.h"
#include "base/lock.h"
#include "pmap/uffd.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/uapi.h"
#include "sys/userfaultfd.h"
#include "vm/as.h"
#include "vm/fault.h"
#include "vm/pageout.h"
#include "vm/pool.h"

/* Messages of one read; sorted, so that neighbours are filled one after the other. */
enum { MESSAGES = 64 };

/* After a message the next is waited for by asking again, about 20 us: a blocked thread is woken in 58 to 73 us on another
 * CPU, and faults come in runs. */
enum { SPINS = 20 };

/* The pageout thread looks at its pool this often even when nobody calls: budgets shrink, hints grow old. */
enum { LOOK_MS = 1000 };

/* ---- up, with a look at the marks ---- */

static void begin_pageout(struct serve *serve)
{
	if (!atomic_exchange(&serve->begun, true))
		sys_event_signal(serve->begin);
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
	if (pool_should_begin(serve->pool))
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
	if (r < 0)
		fault_fail(serve->as, question.va);
	/* Somebody else may have filled it between the fault and us: then nothing has woken this one. */
	(void)uffd_wake(serve->uffd, question.va);
}

static bool answer_all(struct serve *serve, int fd)
{
	struct uffd_msg messages[MESSAGES];
	int n = sys_uffd_read(fd, messages, MESSAGES);

	if (n <= 0)
		return false;
	if (n > 1)
		qsort(messages, (size_t)n, sizeof(messages[0]), by_address);
	for (int i = 0; i < n; i++)
		answer(serve, &messages[i]);
	return true;
}

static void *handler_run(void *user)
{
	struct serve *serve = user;
	struct pollfd fds[3] = {
		{ .fd = uffd_descriptor(serve->uffd, true), .events = POLLIN },
		{ .fd = uffd_descriptor(serve->uffd, false), .events = POLLIN },
		{ .fd = serve->stop, .events = POLLIN },
	};

	for (;;) {
		unsigned int spins = 0;

		while (spins++ < SPINS)
			if (answer_all(serve, fds[0].fd) || answer_all(serve, fds[1].fd))
				spins = 0;
		(void)sys_poll(fds, 3, -1);
		if (fds[2].revents != 0)
			return NULL;
	}
}

/* ---- pageout thread ---- */

static void *pageout_run(void *user)
{
	struct serve *serve = user;
	struct pollfd fds[2] = {
		{ .fd = serve->begin, .events = POLLIN },
		{ .fd = serve->stop, .events = POLLIN },
	};

	for (;;) {
		(void)sys_poll(fds, 2, LOOK_MS);
		if (fds[1].revents != 0)
			return NULL;
		if (fds[0].revents != 0)
			sys_event_clear(serve->begin);
		atomic_store(&serve->begun, false);
		(void)pageout_balance(serve->pool);
	}
}

/* ---- open ---- */

int serve_open(struct serve *serve, unsigned int handlers)
{
	int r = 0;

	serve->stop = sys_event_open();
	serve->begin = sys_event_open();
	if (serve->stop < 0 || serve->begin < 0)
		r = serve->stop < 0 ? serve->stop : serve->begin;
	if (r == 0)
		r = worker_start(&serve->pageout, pageout_run, serve);
	for (serve->handler_count = 0; r == 0 && serve->handler_count < handlers; serve->handler_count++)
		r = worker_start(&serve->handlers[serve->handler_count], handler_run, serve);
	if (r < 0)
		serve_close(serve);
	return r;
}

void serve_close(struct serve *serve)
{
	if (serve->stop >= 0)
		sys_event_signal(serve->stop);
	for (unsigned int i = 0; i < serve->handler_count; i++)
		worker_join(&serve->handlers[i]);
	worker_join(&serve->pageout);
	if (serve->stop >= 0)
		sys_close(serve->stop);
	if (serve->begin >= 0)
		sys_close(serve->begin);
}
