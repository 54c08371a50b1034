/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/page.h - one frame and what it holds.
 *
 *	ABSENT --fetch--> FILLING --io done--> CLEAN --harvest says written--> DIRTY
 *	   ^                  \                 ^  \____________   ___________/ |
 *	   |                   \ io error       |  unmap        \ /   unmap     |
 *	   |                    v               |                v              v
 *	   '--free-- FAILED (fill)              '--put done-- WRITING --put error--> FAILED (bytes kept, put again later)
 *
 *	FILLING -> CLEAN    fill_done()      true in CLEAN: the frame is what the owner's `get` said, or was written since
 *	CLEAN   -> WRITING  evict_choose()   true in WRITING: no va shows the page (after evict_unmap), no fault enters it
 *	WRITING -> CLEAN    evict_put()      true then: the bytes that left are those nobody could reach meanwhile
 *
 * "Clean" means that nobody has told us of a store yet. While a page is entered writable its page table entry knows more:
 * only unmapping it and then asking gives an answer that stays true (measured: a scan that says clean, followed by a drop,
 * lost 253 of 1.07 million stores).
 */
#ifndef VM_PAGE_H
#define VM_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "pmap/pmap.h"

enum page_state {
	PAGE_ABSENT = 0, /* in the free list */
	PAGE_FILLING,
	PAGE_CLEAN,
	PAGE_DIRTY,
	PAGE_WRITING,
	PAGE_FAILED,
};

enum page_maps { MAPPED_NOWHERE = 0, MAPPED_ONCE = 1, MAPPED_MANY = 2 };

/* End of a list of frames. */
#define NO_FRAME UINT32_MAX

/* page: one frame's identity (object, index) and state: absent, filling, clean, dirty, writing, failed */
struct page {
	struct pmap_page
		id; /* owner: an object, or a leaf of an amap; NULL: forgotten while in use, freed by the last user */
	uint64_t va;   /* where it is entered, when that is once */
	uint32_t next; /* policy queue, or free list */
	uint32_t prev;
	uint32_t epoch;   /* of its owner, when it was last put */
	uint16_t pins;    /* asked for: neither unmapped nor evicted */
	uint16_t tally;   /* whom it is charged to: an index of the pool's ledger */
	uint8_t space;    /* of va: an index of pool->spaces */
	uint8_t maps;     /* enum page_maps */
	uint8_t state;    /* enum page_state */
	uint8_t busy;     /* faults that are between locate and enter */
	uint8_t queue;    /* of the policy */
	uint8_t hits;     /* seen by the policy */
	uint8_t error;    /* errno of FAILED */
	bool own : 1;     /* the owner is a leaf, not an object */
	bool dirty : 1;   /* in WRITING and FAILED: there are bytes to put */
	bool ahead : 1;   /* nobody has touched it yet */
	bool mark : 1;    /* who touches it first wants more read ahead */
	bool swapped : 1; /* FILLING, FAILED: from swap, from the place in `epoch` */
};

_Static_assert(sizeof(struct page) == 64, "one cache line a frame: the bookkeeping we promise");

#endif
