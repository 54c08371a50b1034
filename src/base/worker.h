/* SPDX-License-Identifier: Apache-2.0 */
/* base/worker.h - a thread of our own, which takes no signal of the program's. */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include <pthread.h>
#include <stdbool.h>

struct worker {
	pthread_t thread;
	bool running;
};

/* -EAGAIN: a limit on threads. */
int worker_start(struct worker *worker, void *(*run)(void *user), void *user);
void worker_join(struct worker *worker); /* accepts one that was never started */

#endif
