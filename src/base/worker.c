/* SPDX-License-Identifier: Apache-2.0 */
#include "base/worker.h"

#include <signal.h>

int worker_start(struct worker *worker, void *(*run)(void *user), void *user)
{
	sigset_t all;
	sigset_t old;
	int r;

	/* The thread is born with the mask of its maker: blocked from its first instruction on. */
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGBUS); /* a blocked fault kills the process without asking the handler */
	(void)sigdelset(&all, SIGSEGV);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&worker->thread, NULL, run, user);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	worker->running = r == 0;
	return -r;
}

void worker_join(struct worker *worker)
{
	if (worker->running)
		(void)pthread_join(worker->thread, NULL);
	worker->running = false;
}
