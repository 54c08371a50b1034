/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/io.h - one transfer between an object and staged memory.
 *
 *	vm: fills in kind, object, first, count, memory, length, done   -->  object->ops->start(object, io)
 *	object: transfers; sets error, length                            -->  io->done(io)
 *
 * `done` may be called within start, by another thread, or within reap. It takes only vm's own short lock and enters the
 * pages for those who wait. After it the io belongs to vm again: the object must not look at it. One for which nobody waits
 * (`later`) may lie queued until reap is called: who starts several calls it once, behind the last.
 *
 * A transfer that was cut short is told by `length`: a get at the end of a file sets it to the bytes there are. Filters
 * are objects with a `next`: they keep what they need in `filter` words and put their own `done` in front.
 */
#ifndef VM_IO_H
#define VM_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"

struct as;
struct object;
struct page;
struct pool;

enum io_kind {
	IO_GET,  /* object to memory */
	IO_PUT,  /* memory to object */
	IO_SYNC, /* all that was put before is durable when done; no memory */
};

/* 128 KiB: what one disk request takes without being split, and half of a write-back batch's run on average. */
enum { IO_PAGES_MAX = 32 };

/* Who wants to know when a page is there: the others simply fault again. */
enum { IO_ASKS_MAX = 4 };

struct ask {
	struct as *as;
	uintptr_t va;
	unsigned int access;
};

/* io: one transfer of n pages between an object and staged memory, with its completion */
struct io {
	_Atomic(enum io_kind) kind; /* looked at by who waits for any of them */
	uint32_t count;             /* pages */
	uint64_t first;             /* page index in the object */
	void *memory[IO_PAGES_MAX];
	size_t length; /* bytes to transfer; the last page may be partial. Out: bytes transferred */
	int error;     /* out: 0 or -errno */
	void (*done)(struct io *io);
	struct object *object; /* the one that was started; a reference is held */
	bool later;            /* nobody waits for it: may be begun and finished by reap */

	/* vm's own. */
	struct pool *pool;
	struct io *next;
	uint64_t began; /* pool_now() */
	struct page *pages[IO_PAGES_MAX];
	struct ask asks[IO_ASKS_MAX] guarded_by(lock_pool);
	unsigned int ask_count guarded_by(lock_pool);
	struct as *as; /* where pages that can be had again are entered when they come; NULL: nowhere */
	uintptr_t va;  /* of pages[0] there */
	bool finished guarded_by(lock_pool); /* also while nobody has taken it */
	bool left guarded_by(lock_pool);     /* nobody looks at it after done */

	/* For whoever serves it: filters from the outermost inwards, then the object. */
	uint64_t filter[8];
	unsigned int depth; /* filters it has passed */
};

/* Tells `ask` when the pages are there. False: so many ask already. */
static inline bool io_ask(struct io *io, const struct ask *ask) must_hold(lock_pool)
{
	if (io->ask_count == IO_ASKS_MAX)
		return false;
	io->asks[io->ask_count++] = *ask;
	return true;
}

#endif
