/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/heap.h - memory inside a region. All it knows lies in the region itself, so it commits and is undone with the data.
 *
 *	page       | slab: head, then objects of one class, linked when free |
 *	pages      | run: head, then one object of many pages               |
 *	           | free run: head; linked in the bin of its size           |
 *	           ...
 *	next_page  from here on nothing was ever used; the region grows behind it
 *
 * The head of a slab, run or free run stands in the first 32 bytes of its first page, and an object's head is found in the
 * page of its address: a slab is one page, and a run's object begins in its first.
 *
 * Nothing of it is believed: a head that makes no sense is -EBADMSG, and the caller may abort, for half a step may have been
 * done.
 *
 * A freed run takes the free runs that follow it; those before it are found when they are searched for room. Slabs that
 * become empty are runs again.
 *
 * Invariants
 *	H1  pages 1 .. next_page are heads of slabs, runs and free runs, one after the other without a gap
 *	H2  a slab is in the list of its class exactly when it has a free object
 *	H3  a free run of n pages is in the bin of the largest power of two that is at most n
 */
#ifndef REGION_HEAP_H
#define REGION_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct region;

/* The caller has checked that the region has a heap and may be written. */
int heap_alloc(struct region *rg, size_t bytes, void **memory);
int heap_free(struct region *rg, void *memory);
int heap_root(struct region *rg, size_t bytes, void **root);

/* Walks H1 to H3. -EBADMSG. */
int heap_check(struct region *rg, uint64_t *objects);

#endif
