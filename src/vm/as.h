/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/as.h - address spaces: the ordered set of segments of one struct quire.
 *
 * Segments never change once they are published: every operation computes the segments that take the place of a run of
 * old ones, and publishes a new list in one store. So readers - a fault in a signal handler among them - take no lock,
 * never wait, and see either the whole change or nothing of it:
 *
 *	old list   [A][B][C][D]
 *	protect        xx xx            the end of B and the start of C
 *	new list   [A][B'][b][c][C'][D]   A and D are the same segments
 *
 *	reader:  readers[phase]++  ->  load list  ->  search, copy, enter pages  ->  readers[phase]--
 *	change:  lock  ->  new list  ->  publish  ->  flip phase, wait until readers[old] == 0  ->  what is gone is free
 *
 * A fault is a reader from lookup to enter, but not while it waits for a transfer: so after the wait of a change no page
 * of the old list can be entered any more, and the change never waits for a device.
 *
 * The price is a copy of the list of pointers at each change: 8 bytes a segment, 0.1 us at 1,000 mappings.
 *
 * Invariants
 *	A1  segments are sorted, not empty, page aligned, and do not overlap
 *	A2  a published segment is immutable until it is replaced, and not reused while a reader may hold it
 *	A3  a list without a range is published before the range's memory goes away, so nobody patches a hole (P3)
 */
#ifndef VM_AS_H
#define VM_AS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "pmap/pmap.h"

struct amap;
struct object;
struct pool;

/* seg: one contiguous address range showing pages `first..` of one object, with one protection and one advice (Linux:
 * VMA; UVM: map entry) */
struct seg {
	struct pmap_range range; /* range.offset is the first page, in bytes */
	struct object *object;   /* NULL: anonymous */
	struct amap *amap;       /* private pages that shadow the object; NULL: none yet */
	uint64_t amap_first;     /* slot of range.start in the amap */
	struct seg *next;        /* free segments */
};

struct seglist;
struct edit;

/* as: address space: the ordered set of segments of one `struct quire`, a version, a pmap */
struct as {
	struct lock lock;
	struct pmap *pmap;
	_Atomic(struct seglist *) list;
	atomic_uint readers[2]; /* by parity of phase */
	atomic_uint phase;
	atomic_ulong version;         /* changes at each publish */
	_Atomic(struct edit *) going; /* what has left the list, but not yet the page tables */
	struct seglist *spare_lists;  /* under lock */
	struct seg *spare_segs;
	unsigned int spare_seg_count;

	struct pool *pool; /* NULL: the kernel pages everything in, and nothing below is used */
	uint8_t space;     /* in the pool */
	uintptr_t low;     /* addresses vm may choose from, when the engine does not choose */
	uintptr_t high;
	atomic_uint locked; /* 1: some segment is locked in memory, or was once; 0 saves the question */
};

struct map_request {
	enum pmap_how how;
	struct pmap_range range; /* start 0 with PMAP_ANYWHERE; window is filled in from the object */
	struct object *object;   /* NULL: anonymous; the segment takes a reference */
	struct amap *amap;       /* private pages to begin with; NULL: none. The segment takes a reference */
	uint64_t amap_first;
	bool over_reserved; /* with PMAP_REPLACE: only over PMAP_RESERVED segments, else -EEXIST */
};

/* Where a segment moves to. start 0 with PMAP_ANYWHERE; the segment's own start means in place. */
struct map_target {
	enum pmap_how how;
	uintptr_t start;
	size_t length;
};

int as_init(struct as *as, struct pmap *pmap);
void as_done(struct as *as); /* detaches everything that is left */

/* From now on pages come from this pool; before the first mapping. -ENOSPC: too many spaces in it. */
int as_use_pool(struct as *as, struct pool *pool);

/* The pmap's pointer upwards. Async-signal-safe. */
int as_up(void *as, struct pmap_question *question);

/* While a reader is inside, segments that were published stay what they are. Nests. Async-signal-safe. */
unsigned int as_enter(struct as *as);
void as_leave(struct as *as, unsigned int phase);

/* The same as as_find, inside a section of the caller, and without a copy. */
const struct seg *as_seg(struct as *as, uintptr_t va);

/* A copy of the segment that holds va, or of the next above it; false when there is none. Async-signal-safe. */
bool as_find(struct as *as, uintptr_t va, struct seg *seg);

unsigned int as_count(struct as *as, uintptr_t start, uintptr_t end);

/* start and end are page aligned and do not wrap: the callers' arguments were checked by api. */
int as_map(struct as *as, const struct map_request *request, uintptr_t *address);
int as_unmap(struct as *as, uintptr_t start, uintptr_t end);

/* The same, if [start, end) is one whole segment of this owner; else -ESRCH, and nothing is done. */
int as_unmap_segment(struct as *as, uintptr_t start, uintptr_t end, const void *owner);
int as_protect(struct as *as, uintptr_t start, uintptr_t end, unsigned int prot);

/* Set and clear flags of the segments in [start, end): what they are remembered by when they are shown again. */
int as_mark(struct as *as, uintptr_t start, uintptr_t end, uint32_t set, uint32_t clear);

/* The memory nodes that [start, end) is remembered by. */
int as_mark_nodes(struct as *as, uintptr_t start, uintptr_t end, const struct pmap_nodes *nodes);

/* Takes the right to store away from what is entered in [start, end), until the next fault: its pages are shared now. */
void as_freeze(struct as *as, uintptr_t start, uintptr_t end);

/* Gives [start, end), which is one segment or a part of one, another place or length, its pages kept; a part keeps its
 * length. -EFAULT when it is not. */
int as_move(
	struct as *as, uintptr_t start, uintptr_t end, const struct map_target *target, uintptr_t *address);

/* Where `length` bytes are free: at `hint` when they are there, else the highest place in [low, high); 0: nowhere. */
uintptr_t as_place(struct as *as, uintptr_t hint, size_t length);

/* The page a segment shows at va: of its object, and of its amap. */
static inline uint64_t seg_index(const struct seg *seg, uintptr_t va)
{
	return (seg->range.offset + (va - seg->range.start)) >> 12;
}

static inline uint64_t seg_slot(const struct seg *seg, uintptr_t va)
{
	return seg->amap_first + ((va - seg->range.start) >> 12);
}

#endif
