/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/serve.h - the engine room of a pool: threads that answer faults, and one that keeps frames free. Decides nothing.
 *
 *	handler threads   read userfaultfd's messages  ->  fault_handle()         (thread delivery only)
 *	keeper            holds the descriptors when the program closes them, and refuses what nobody answers
 *	pageout thread    woken when the pool should begin, once a second anyway  ->  pageout_balance()
 *
 * Our threads take no signal, allocate nothing while a fault waits, and never touch memory that is paged.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/lock.h"
#include "base/worker.h"
#include "pmap/pmap.h"

struct as;
struct pool;
struct uffd;

enum { SERVE_HANDLERS_MAX = 16 };

/* serve: the threads of one pool */
struct serve {
	struct as *as;
	struct pool *pool;
	struct uffd *uffd; /* NULL: pages are pinned only, nothing arrives */
	int stop;          /* an eventfd */
	int64_t identity;  /* of that; 0: there is no /proc */
	atomic_bool
		lost; /* set by serve_close: the program has closed our descriptors, whose numbers may be others' now */
	atomic_uint begun; /* the pageout thread sleeps while it is 0 */
	unsigned int handler_count;
	struct worker handlers[SERVE_HANDLERS_MAX];
	struct lock lead;      /* of the one that waits for messages; what follows is its own: */
	atomic_int leader;     /* its thread id; 0: nobody's */
	int watch;             /* of both userfaultfds and stop */
	unsigned int last;     /* which descriptor the last message came from */
	unsigned int patience; /* how often the next message is asked for before the thread sleeps */
	unsigned int sleeps;   /* since spinning was given up */
	unsigned int found;    /* messages by asking */
	uint64_t preempted;    /* how often it had lost its processor when that was last looked at */
	struct worker pageout;
	struct worker keeper;
	atomic_uint
		running; /* handlers that have not ended, as they do when they find their descriptors closed */
	atomic_ulong answered; /* reads of messages, for the keeper to see that they get on */
	atomic_uint settled;   /* the keeper has its own table of descriptors, or cannot have one: not 0 */
	atomic_bool kept;      /* it has */
	atomic_bool ending;    /* set before `stop` is signalled */
	atomic_bool ended;     /* all but the keeper are gone */
};

/* The pointer upwards for the pool's engine: as_up(), and a look at the marks. Async-signal-safe. */
int serve_up(void *serve, struct pmap_question *question);

/* as, pool and uffd are set by the caller. -EMFILE, -EAGAIN: descriptors or threads are used up. */
int serve_open(struct serve *serve, unsigned int handlers);
void serve_close(struct serve *serve);

#endif
