/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/fault.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/align.h"
#include "vm/amap.h"
#include "vm/as.h"
#include "vm/object.h"
#include "vm/pageout.h"
#include "vm/pool.h"
#include "vm/shown.h"
#include "vm/step.h"

/* ---- the steps ---- */

static int lookup(struct fault *f)
{
	const struct seg *seg = as_seg(f->as, f->va);

	if (seg == NULL || seg->range.start > f->va)
		return -EFAULT;
	/* As on x86: what may be written or executed may be read. */
	if (seg->range.prot == 0 || (f->access == PMAP_WRITE && (seg->range.prot & PMAP_WRITE) == 0) ||
		(seg->range.flags & PMAP_RESERVED) != 0)
		return -EACCES;
	f->seg = *seg;
	return 0;
}

/* A fill that failed: told once, then it may be tried again. With the lock. */
static int take_failure(struct pool *pool, struct page *page, struct leaf *leaf) must_hold(lock_pool)
{
	int error = -(int)page->error;

	assert(error < 0);
	leaf_set(leaf, page->id.index, page->swapped ? WORD_SWAP | page->next : WORD_NONE);
	page->swapped = false; /* the place stays taken */
	pool_forget(pool, page);
	return error;
}

void fault_take_mark(struct fault *f, struct page *page)
{
	f->marked = f->marked || page->mark;
	page->mark = false;
}

/* Somebody fills the page already: be told when it is there, or wait. With the lock. */
static int join_fill(struct fault *f, struct page *page) must_hold(lock_pool)
{
	struct io *io = pool_io_of(f->as->pool, page);

	if ((f->flags & FAULT_AHEAD) != 0)
		return FAULT_UNDERWAY;
	if ((f->flags & FAULT_NOWAIT) == 0) {
		fault_take_mark(f, page);
		page->busy++;
		f->page = page;
		return STEP_WAIT;
	}
	return io_ask(io, &(struct ask){ f->as, f->va, f->access }) ? FAULT_UNDERWAY : -EAGAIN;
}

/* Makes the page of a word busy for this fault. With the lock. */
static int claim_page(struct fault *f, uint32_t word, struct leaf *leaf) must_hold(lock_pool)
{
	struct page *page = pool_page(f->as->pool, word);

	if (page->busy > BUSY_MAX || page->state == PAGE_WRITING)
		return STEP_YIELD;
	if (page->state == PAGE_FILLING)
		return join_fill(f, page);
	if (page->state == PAGE_FAILED && !page->dirty)
		return take_failure(f->as->pool, page, leaf);
	page->busy++;
	f->page = page;
	return 0;
}

static bool is_to_be_copied(const struct fault *f)
{
	return f->access == PMAP_WRITE && (f->seg.range.flags & PMAP_SHARED) == 0 && !f->own;
}

/* enters: what is found is about to be entered. */
static int locate(struct fault *f, bool enters)
{
	const struct seg *seg = &f->seg;
	uint32_t word = WORD_NONE;
	struct leaf *leaf = NULL;
	int r = STEP_FETCH;

	pool_lock(f->as->pool);
	f->own = false;
	f->ready = false;
	if (seg->amap != NULL)
		word = amap_get(seg->amap, seg_slot(seg, f->va), &leaf);
	if (word != WORD_NONE)
		f->own = amap_owns(seg->amap, seg_slot(seg, f->va), leaf);
	f->from_amap = word != WORD_NONE;
	if (word == WORD_NONE && seg->object != NULL)
		word = sparse_get(&seg->object->pages, seg_index(seg, f->va), &leaf);
	f->place = word;
	if (word_is_frame(word))
		r = claim_page(f, word, leaf);
	if (r == 0 && enters && !is_to_be_copied(f))
		enter_soon(f);
	pool_unlock(f->as->pool);
	return r;
}

/* Puts the copy into the amap, unless somebody else has put one there meanwhile. With the lock. */
static int install_copy(struct fault *f, struct page *copy) must_hold(lock_pool)
{
	const struct seg *seg = &f->seg;
	struct pool *pool = f->as->pool;
	uint64_t slot = seg_slot(seg, f->va);
	struct leaf *leaf = amap_own(seg->amap, slot);
	uint32_t before = f->from_amap ? word_of_frame(f->page->id.frame) : WORD_NONE;

	if (leaf == NULL)
		return STEP_REFILL;
	/* To own the leaf may have brought a page up that was shared with the dead: then it need not be copied. */
	if (amap_get(seg->amap, slot, NULL) != before || leaf->words[slot % LEAF_WORDS] != WORD_NONE)
		if (leaf->words[slot % LEAF_WORDS] != WORD_GONE)
			return STEP_RESTART;
	give_identity(copy, leaf, leaf, slot);
	copy->id.own = true;
	copy->state = PAGE_DIRTY;
	policy_insert(&pool->policy, copy);
	return 0;
}

static int copy_page(struct fault *f)
{
	struct pool *pool = f->as->pool;
	struct page *copy;
	void *from;
	void *to;
	int r;

	pool_lock(pool);
	copy = pool_take_new(pool, f->seg.range.tally);
	pool_unlock(pool);
	if (copy == NULL)
		return STEP_RECLAIM;
	r = pool_stage(pool, copy, &to);
	if (r == 0)
		r = pool_stage(pool, f->page, &from);
	if (r == -ESTALE)
		r = STEP_STALE;
	if (r == 0)
		memcpy(to, from, PAGE_BYTES);

	pool_lock(pool);
	if (r == 0)
		r = install_copy(f, copy);
	if (r == 0) {
		/* The copy takes its place. */
		shown_drop(f->page, f->as, f->va);
		pool_unbusy(pool, f->page);
		f->page = copy;
		f->own = true;
		pool_count(pool, f->seg.range.tally, TALLY_COPIES, 1);
	} else {
		pool_unbusy(pool, copy);
	}
	pool_unlock(pool);
	return r;
}

void fault_let_go(const struct fault *f)
{
	pool_lock(f->as->pool);
	pool_unbusy(f->as->pool, f->page);
	pool_unlock(f->as->pool);
}

static int promote(struct fault *f)
{
	int r = 0;

	if (is_to_be_copied(f))
		r = copy_page(f);
	if (r != 0 && r != STEP_STALE)
		fault_let_go(f);
	return r;
}

static int fault_once(struct fault *f)
{
	unsigned int phase = as_enter(f->as);
	int r;

	r = lookup(f);
	if (r == 0)
		r = locate(f, true);
	if (r == STEP_FETCH)
		r = fetch_page(f);
	if (r == 0)
		r = promote(f);
	if (r == 0)
		r = enter_page(f);
	if (f->marked && (r == 0 || r == STEP_WAIT))
		fetch_more(f); /* before the wait: the disk has something to do meanwhile */
	as_leave(f->as, phase);
	return r;
}

static int run(struct fault *f)
{
	struct pool *pool = f->as->pool;
	uint64_t began = pool_now(pool);
	int r;

	if (pool->hostile) {
		pool_before_wait(pool);
		(void)pageout_evict(pool, EVICT_MAX);
	}
	do {
		r = fault_once(f);
		if (f->going_on != NULL)
			fault_go_on(f);
		if (r > FAULT_UNDERWAY)
			r = fault_between(f, r);
	} while (r == STEP_RESTART);
	if (r == 0 && (f->flags & (FAULT_AHEAD | FAULT_NOWAIT)) == 0)
		pool_took(pool, f->seg.range.tally, TALLY_TIME_FAULT, began);
	return r;
}

void fault_fail(struct as *as, uintptr_t va)
{
	if (as->pmap->ops->poison != NULL)
		(void)as->pmap->ops->poison(as->pmap, align_down(va, PAGE_BYTES));
}

int fault_handle(struct as *as, uintptr_t va, unsigned int access, unsigned int flags)
{
	struct fault f = { .as = as, .va = align_down(va, PAGE_BYTES), .access = access, .flags = flags };

	return run(&f);
}

uint64_t fault_ahead(struct as *as, uintptr_t start, uintptr_t end)
{
	uintptr_t va = start;

	for (; va < end; va += PAGE_BYTES) {
		struct fault f = { .as = as,
			.va = va,
			.access = PMAP_READ,
			.flags = FAULT_AHEAD | FAULT_NOWAIT | FAULT_ALLOCATE,
			.ahead = (end - va) >> PAGE_SHIFT };

		if (run(&f) == -EAGAIN)
			break;
	}
	return (va - start) >> PAGE_SHIFT;
}

void fault_begin_ahead(struct as *as, uintptr_t va)
{
	unsigned int phase = as_enter(as);
	const struct seg *seg = as_seg(as, va);
	struct object *object = seg != NULL && seg->object != NULL ? object_ref(seg->object) : NULL;

	as_leave(as, phase);
	fault_look(object);
	fault_look(as->pool->swap);
	object_unref(object);
}

int fault_borrow(struct as *as, uintptr_t va, struct page **page)
{
	struct fault f = { .as = as,
		.va = align_down(va, PAGE_BYTES),
		.access = PMAP_READ,
		.flags = FAULT_BORROW | FAULT_ALLOCATE };
	int r = run(&f);

	if (r == 0)
		*page = f.page;
	return r;
}

/* ---- the end of a pin ---- */

/* The page that was pinned here, if another has taken its place since: a private copy, made by a later store. With the
 * lock. */
static void find_pinned(struct fault *f) must_hold(lock_pool)
{
	uint32_t word;

	if (f->page->pins > 0 || !f->from_amap || f->seg.object == NULL)
		return;
	word = sparse_get(&f->seg.object->pages, seg_index(&f->seg, f->va), NULL);
	if (word_is_frame(word)) {
		pool_unbusy(f->as->pool, f->page);
		f->page = pool_page(f->as->pool, word);
		f->page->busy++;
	}
}

/* Where nothing faults, the last pin takes the page out of reach. Nobody enters it meanwhile (F3). */
static void hide_unpinned(struct fault *f) must_hold(lock_pool)
{
	struct pool *pool = f->as->pool;
	struct page *page = f->page;
	uint8_t before = page->state;
	struct sections sections;

	page->busy = 0;
	page->dirty = before != PAGE_CLEAN;
	page->state = PAGE_WRITING;
	pool_unlock(pool);
	shown_enter(pool, &sections);
	shown_hide_page(pool, &sections, page);
	shown_leave(&sections);
	pool_lock(pool);
	page->state = before;
	if (before == PAGE_CLEAN && page->dirty)
		pool_dirty(page, PAGE_DIRTY);
	page->dirty = before == PAGE_FAILED;
	page->busy = 1;
}

void fault_unpin(struct as *as, uintptr_t va)
{
	struct fault f = { .as = as, .va = align_down(va, PAGE_BYTES), .access = PMAP_READ };
	unsigned int phase = as_enter(as);

	if (lookup(&f) == 0 && locate(&f, false) == 0) {
		pool_lock(as->pool);
		find_pinned(&f);
		pool_unpin(as->pool, f.page);
		if ((as->pmap->can & PMAP_PINS_ONLY) != 0 && f.page->pins == 0 && f.page->busy == 1)
			hide_unpinned(&f);
		pool_unbusy(as->pool, f.page);
		pool_unlock(as->pool);
	}
	as_leave(as, phase);
}

/* ---- beside mappings ---- */

/* One look for a page of an object. 0: found and busy. */
static int object_once(struct object *object, uint64_t index, struct fault *f)
{
	static const struct want nobodys = { .alone = true };
	struct pool *pool = object->pool;
	struct leaf *leaf;
	uint32_t word;
	int r = STEP_FETCH;

	pool_lock(pool);
	word = sparse_get(&object->pages, index, &leaf);
	if (word_is_frame(word))
		r = claim_page(f, word, leaf);
	pool_unlock(pool);
	f->place = word;
	return r == STEP_FETCH ? fetch_object(f, object, index, &nobodys) : r;
}

/* The bytes of the page that was found. */
static int stage_found(struct fault *f, void **memory)
{
	int r = pool_stage(f->as->pool, f->page, memory);

	if (r == -ESTALE)
		return STEP_STALE;
	if (r < 0)
		fault_let_go(f);
	return r;
}

int fault_object_page(struct object *object, uint64_t index, struct page **page, void **memory)
{
	struct as nowhere = { .pool = object->pool };
	struct fault f = { .as = &nowhere, .flags = FAULT_ALLOCATE };
	int r;

	do {
		r = object_once(object, index, &f);
		if (r == 0)
			r = stage_found(&f, memory);
		if (r > FAULT_UNDERWAY)
			r = fault_between(&f, r);
	} while (r == STEP_RESTART);
	if (r == 0)
		*page = f.page;
	return r;
}
