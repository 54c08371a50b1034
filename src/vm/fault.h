/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/fault.h - a page fault, from the address to the data: one function for every door.
 *
 *	inline signal  -.                                              .--> the instruction runs again
 *	handler thread  |-->  fault_handle(as, va, access, flags)  ----|--> FAULT_UNDERWAY: the completion will enter the page
 *	pin             |                                              |    and wake who waits
 *	prefetch       -'                                              '--> -errno: the door says how (signal, poison, return)
 *
 *	           in memory       in swap         only in the object   nowhere
 *	read    amap page, or   fetch, restart   fetch, restart       zeros, restart        enter: an object's page in a private
 *	        object page                                                                 segment read-only
 *	write   amap page; or   fetch, restart   fetch, restart       zeros, restart        enter: writable; first copied when
 *	        copy it first                                                               the segment is private
 *
 * Each step either is done or changes something and begins again from the lookup: a transfer, an eviction, a map that
 * changed need no case of their own after that. No step sleeps while it holds anything but a busy mark on one page.
 *
 * Prefetch is a fault nobody waits for: FAULT_AHEAD fetches and leaves entering to the first touch, or to the end of the
 * transfer where a page has no other place to stay; FAULT_NOWAIT returns when the transfer was queued.
 */
#ifndef VM_FAULT_H
#define VM_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct as;
struct object;
struct page;
struct pool;

enum fault_flag {
	FAULT_NOWAIT =
		1 << 0, /* do not wait for transfers: FAULT_UNDERWAY, or -EAGAIN to be asked again later */
	FAULT_AHEAD = 1 << 1,    /* bring it into memory only; implies no entering */
	FAULT_PIN = 1 << 2,      /* neither unmapped nor evicted until fault_unpin() */
	FAULT_ALLOCATE = 1 << 3, /* not in a signal handler: the reserve may be refilled here */
	FAULT_BORROW = 1 << 4,   /* of fault_borrow() */
};

_Static_assert((FAULT_NOWAIT ^ FAULT_AHEAD ^ FAULT_PIN ^ FAULT_ALLOCATE ^ FAULT_BORROW) == 0x1f,
	"each flag has a bit of its own");

enum { FAULT_UNDERWAY = 1 };

/*
 * access is PMAP_READ or PMAP_WRITE. 0, FAULT_UNDERWAY, or
 *   -EFAULT  no segment there              SIGSEGV, SEGV_MAPERR
 *   -EACCES  its protection forbids that   SIGSEGV, SEGV_ACCERR
 *   -ENXIO   beyond the end of the object  SIGBUS
 *   -ENOMEM  no frame can be had           SIGBUS
 *   -EAGAIN  the reserve is used up, or FAULT_NOWAIT and somebody is at it: ask again; FAULT_AHEAD: no frame
 *   other    what the transfer said        SIGBUS
 */
int fault_handle(struct as *as, uintptr_t va, unsigned int access, unsigned int flags);

/* Prefetch: a fault on each page of [start, end) with FAULT_AHEAD | FAULT_NOWAIT, neighbours in one transfer. Returns how many
 * pages, fewer when no more can be begun now. */
uint64_t fault_ahead(struct as *as, uintptr_t start, uintptr_t end);

/* What nobody waits for ends only when somebody collects it: waits for one page that is being filled. False: none is. */
bool fault_collect(struct pool *pool);

/* Begins the transfers that it has left queued for the mapping of va, and takes what has come: once for a whole list. */
void fault_begin_ahead(struct as *as, uintptr_t va);

/* Takes the pin of FAULT_PIN back. The segment is still there. */
void fault_unpin(struct as *as, uintptr_t va);

/* The page that va shows, for a look at its bytes (pool_stage) without entering it. It is busy: pool_unbusy(). */
int fault_borrow(struct as *as, uintptr_t va, struct page **page);

/* Nobody can serve va: it is poisoned if the engine can, and whoever waits is woken by that. */
void fault_fail(struct as *as, uintptr_t va);

/* A page outside of all mappings, and its bytes: for object_get_page(). The page is busy; give it back by pool_unbusy().
 * -EAGAIN as above. */
int fault_object_page(struct object *object, uint64_t index, struct page **page, void **memory);

#endif
