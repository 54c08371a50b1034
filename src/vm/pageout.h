/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/pageout.h - pages on their way out: eviction and write-back are one thing, with and without giving the frame up.
 *
 *	evict_batch:  choose -> unmap -> ask what was written -> put from the stable frame -> free
 *
 *	choose   WRITING marks them: faults on these pages wait
 *	unmap    sorted by address, neighbours in one span, one call a space: the flush of other CPUs' tables is the price
 *	ask      only now: a scan that said "clean" while stores were possible is no permission to drop anything
 *	put      neighbours of one object in one transfer; nobody can change the bytes meanwhile
 *	free     or, with an error, back where they were: DIRTY data is never lost, the object keeps the error
 *
 * Private pages, and pages of objects that are memory, go to the pool's swap; without one they stay.
 *
 * Invariants
 *	E1  a frame is freed only after it was hidden, asked, and put if it was written
 *	E2  with object->epochs, pages are put by object_flush() only, all that were written, and the object is synced before the
 *	    next one's first put
 */
#ifndef VM_PAGEOUT_H
#define VM_PAGEOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

struct object;
struct page;
struct pool;

/* Frees up to `want` frames. Returns how many; 0 also when somebody else is evicting. May run in a signal handler when all
 * objects can. */
uint32_t pageout_evict(struct pool *pool, uint32_t want);

/* One frame for a page that comes from a full swap: another goes there. */
uint32_t pageout_exchange(struct pool *pool);

/* A dirty page that can go when the epoch of its object ends, which pageout_evict() brings about. With the pool's lock. */
bool pageout_waits_for_epoch(const struct page *page) must_hold(lock_pool);

/* Somebody else is evicting: waits for the end of that. False: nobody was. */
bool pageout_wait(struct pool *pool);

/* Until the marks are met, or nothing more can go. The background thread's one call; refills the reserve too. */
uint32_t pageout_balance(struct pool *pool);

enum flush_how {
	FLUSH_START, /* find out what was written: pageout_balance() puts it; errors are sticky on the object */
	FLUSH_PUT,   /* all that was written before is put */
	FLUSH_SYNC, /* and durable: one epoch */
};

/* Pages [first, last) that were written before the call. 0, or the object's sticky error: frames stay dirty. */
int object_flush(struct object *object, uint64_t first, uint64_t last, enum flush_how how);

/* Frees what can be freed of pages [first, last), written back if need be. */
uint32_t pageout_range(struct object *object, uint64_t first, uint64_t last);

/* What could not be written is written once more. 0: all of it was, and the error of that is forgotten. The error of a sync
 * never is: the kernel forgets what it could not write, and who asks again is told that all is well. */
int object_mend(struct object *object);

#endif
