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

#include "base/lock.h"
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

/* 2^60 bytes of addresses: more than any processor gives a program. */
#define VA_PAGE_MAX (((uint64_t)1 << 48) - 1)

/* End of a list of frames. */
#define NO_FRAME UINT32_MAX

/* page: one frame's identity (object, index) and state: absent, filling, clean, dirty, writing, failed */
struct page {
	struct pmap_page
		id; /* owner: an object, or a leaf of an amap; NULL: forgotten while in use, freed by the last user */
	uint64_t va_page : 48 guarded_by(lock_pool); /* where it is entered, when that is once: page_va() */
	uint64_t space : 8 guarded_by(lock_pool);    /* of that: an index of pool->spaces */
	uint64_t maps : 8 guarded_by(lock_pool);     /* enum page_maps */
	uint32_t next guarded_by(
		lock_pool); /* policy queue, or free list; of a page in neither: its place in swap */
	uint32_t prev guarded_by(lock_pool); /* policy queue; FILLING: pool_io_of() */
	uint16_t pins guarded_by(lock_pool); /* asked for: neither unmapped nor evicted */
	uint16_t tally;                      /* whom it is charged to: an index of the pool's ledger */
	uint8_t state guarded_by(lock_pool); /* enum page_state */
	uint8_t busy guarded_by(lock_pool);  /* faults that are between locate and enter */
	uint8_t error guarded_by(lock_pool); /* errno of FAILED */
	/* Of one byte. */
	uint8_t queue : 2 guarded_by(lock_pool); /* of the policy */
	uint8_t hits : 2 guarded_by(lock_pool);  /* seen by the policy */
	uint8_t dirty : 1 guarded_by(lock_pool); /* in WRITING and FAILED: there are bytes to put */
	uint8_t ahead : 1 guarded_by(lock_pool); /* nobody has touched it yet */
	uint8_t mark : 1 guarded_by(lock_pool);  /* who touches it first wants more read ahead */
	uint8_t swapped : 1 guarded_by(
		lock_pool); /* FILLING, FAILED: from swap, WRITING: to it; the place is in `next` */
};

_Static_assert(sizeof(struct page) == 48, "the most of what a frame costs: we promise 64 bytes in all");

static inline uintptr_t page_va(const struct page *page) must_hold(lock_pool)
{
	return (uintptr_t)page->va_page << 12;
}

#endif
