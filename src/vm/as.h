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
 *	as_find: readers++  ->  load list  ->  search, copy  ->  readers--
 *	change:  lock  ->  new list  ->  publish  ->  retire what is gone  ->  reuse it when readers == 0
 *
 * The price is a copy of the list of pointers at each change: 8 bytes a segment, 0.1 us at 1,000 mappings.
 *
 * Invariants
 *	A1  segments are sorted, not empty, page aligned, and do not overlap
 *	A2  a published segment is immutable until it is retired, and not reused while a reader may hold it
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

/* seg: one contiguous address range showing pages `first..` of one object, with one protection and one advice (Linux:
 * VMA; UVM: map entry) */
struct seg {
	struct pmap_range range; /* range.offset is the first page, in bytes */
	struct object *object;   /* NULL: anonymous */
	struct amap *amap;       /* private pages that shadow the object; NULL: none yet */
	uint64_t amap_first;     /* slot of range.start in the amap */
	struct seg *next;        /* retired or free segments */
};

struct seglist;

/* as: address space: the ordered set of segments of one `struct quire`, a version, a pmap */
struct as {
	struct lock lock;
	struct pmap *pmap;
	_Atomic(struct seglist *) list;
	atomic_uint readers;
	atomic_ulong version;          /* changes at each publish */
	struct seglist *retired_lists; /* under lock */
	struct seglist *spare_lists;
	struct seg *retired_segs;
	struct seg *spare_segs;
	unsigned int spare_seg_count;
};

struct map_request {
	enum pmap_how how;
	struct pmap_range range; /* start 0 with PMAP_ANYWHERE; window is filled in from the object */
	struct object *object;   /* NULL: anonymous; the segment takes a reference */
	bool over_reserved;      /* with PMAP_REPLACE: only over PMAP_RESERVED segments, else -EEXIST */
};

/* Where a segment moves to. start 0 with PMAP_ANYWHERE; the segment's own start means in place. */
struct map_target {
	enum pmap_how how;
	uintptr_t start;
	size_t length;
};

int as_init(struct as *as, struct pmap *pmap);
void as_done(struct as *as); /* detaches everything that is left */

/* The pmap's pointer upwards. Async-signal-safe. */
int as_up(void *as, struct pmap_question *question);

/* A copy of the segment that holds va, or of the next above it; false when there is none. Async-signal-safe. */
bool as_find(struct as *as, uintptr_t va, struct seg *seg);

/* Is all of [start, end) in segments? */
bool as_covers(struct as *as, uintptr_t start, uintptr_t end);
unsigned int as_count(struct as *as, uintptr_t start, uintptr_t end);

/* start and end are page aligned and do not wrap: the callers' arguments were checked by api. */
int as_map(struct as *as, const struct map_request *request, uintptr_t *address);

/* whole_of: NULL, or an owner: then only if [start, end) is one whole segment of it, else -ESRCH and nothing is done. */
int as_unmap(struct as *as, uintptr_t start, uintptr_t end, const void *whole_of);
int as_protect(struct as *as, uintptr_t start, uintptr_t end, unsigned int prot);

/* Set and clear flags of the segments in [start, end): what they are remembered by when they are shown again. */
int as_mark(struct as *as, uintptr_t start, uintptr_t end, uint32_t set, uint32_t clear);

/* Gives the one segment [start, end) another place or length, its pages kept. -EFAULT when it is not one segment. */
int as_move(
	struct as *as, uintptr_t start, uintptr_t end, const struct map_target *target, uintptr_t *address);

/* Asserts A1. */
void as_check(struct as *as);

#endif
