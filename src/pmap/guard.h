/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/guard.h - dead pages of native ranges: an error instead of a signal.
 *
 *	SIGBUS at va
 *	  '-> classify   where is the end of the file? does a read fail? is the disk full? is the pool empty?
 *	      record     the first fault stays on the handle; all are counted
 *	      decide     policy: zeros | callback | leave to QUIRE_TRY or the guarded copy
 *	      patch      under the claim: the whole dead tail at once, or one page; never a page twice
 *
 * Two threads that touch the same dead page both come here. Mapping fresh memory over it twice would wipe the store that
 * the faster thread made in between (measured: 28 of 40,000), so a page is patched once, by whoever holds the claim, and
 * what is patched is remembered:
 *
 *	trap.start                       patched_from                    trap.end
 *	   |--file data--|P|--file data--|PPPPPPPP one patch PPPPPPPPPPPPPPPP|
 *	                  ^ a bit in `patched`: a page that failed alone
 *
 * Roads not taken: MAP_FIXED_NOREPLACE cannot patch (the dead mapping is still there); patching page by page costs a
 * kernel mapping a page (vm.max_map_count) and is why the tail is one patch.
 *
 * Invariants
 *	G1  no page is patched twice between two repairs
 *	G2  a patch has the protection its segment has at that moment, and never stands where no segment of its owner is
 *	G3  after repair no stand-in shows where the file has bytes
 */
#ifndef PMAP_GUARD_H
#define PMAP_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <quire/map.h>

#include "pmap/pmap.h"
#include "trap/trap.h"

enum { GUARD_FAULT_WORDS = sizeof(struct quire_fault) / sizeof(uint64_t) };

/* guard: what a mapping does about pages that cannot be served, and which it has patched */
struct guard {
	struct trap_range trap; /* the addresses; first */
	struct pmap *pmap;
	const void *owner; /* of the ranges that are patched: others may stand in holes between them */
	int fd;            /* of the object, -1 for memory without one */
	uint64_t offset;   /* of trap.start in the object, in bytes */
	size_t page_bytes;
	uint32_t policy; /* an enum quire_guard: ZEROS, CALLBACK or TRY */
	quire_fault_fn *on_fault;
	void *user;
	/* Finds words for what a guarded copy met (error_set). */
	void (*explain)(struct guard *guard, const struct quire_fault *fault);

	/* Under the claim. */
	uintptr_t patched_from; /* the patched tail; trap.end when there is none */
	uint64_t *patched;      /* one bit a page that failed alone; NULL until the first */
	size_t patched_bytes;   /* of that memory */
	uint64_t patched_pages; /* bits set */

	/* The sticky error, word by word, as a repair and another fault may come while it is read. The low two bits of `state`:
	 * 0 none, 1 being written, 2 there; the others count the repairs, so that a reader sees that it read two halves. */
	_Atomic uint64_t state;
	_Atomic uint64_t first[GUARD_FAULT_WORDS];
	atomic_uint_fast64_t count;

	/* Retries of one address in a row, see try_again(). */
	_Atomic uintptr_t retry_va;
	atomic_uint retries;
};

/* Fields up to `explain` are set by the caller. Ranges attached to pmap within [trap.start, trap.end) are guarded from now
 * on. -ENOMEM, -ENOTSUP: see trap_add(). */
int guard_open(struct guard *guard);

/* A page of a paged range could not be filled: the same record and policy. TRAP_RESUME: zeros are wanted in its place. */
enum trap_verdict guard_failed(struct guard *guard, struct trap_fault *at, int error);

/* What a guarded copy met at va, in words: the file, the offset and the cause. */
void guard_explain(struct guard *guard, uintptr_t va, int error);

void guard_close(struct guard *guard); /* accepts a guard that was not opened: pmap NULL */

/* Moves the guard to a range that grew, shrank or moved. In place no fault of another thread is missed meanwhile. */
int guard_follow(struct guard *guard, uintptr_t start, uintptr_t end);

/* 0, or the sticky error; fault may be NULL. */
int guard_error(const struct guard *guard, struct quire_fault *fault);

int guard_repair(struct guard *guard);

/* Asks the kernel why [va, va + page) of a guard's object cannot be served. Async-signal-safe. Returns a negative errno,
 * or 0 when nothing seems wrong. */
int guard_classify(const struct guard *guard, uintptr_t va, bool store, int code, uint32_t *cause);

#endif
