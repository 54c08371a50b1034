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

/* Tries to find a frame before it is an error, while all of them stand still: between two looks one may have come and gone. */
enum { RECLAIM_TRIES = 8, RECLAIM_BATCH = 16, BUSY_MAX = 250 };

/* ---- waiting, outside of everything ---- */

/* Starts the transfer and, unless nobody waits for it, sees it through. STEP_RESTART, FAULT_UNDERWAY. */
static int transfer(struct pool *pool, struct io *io, const struct ask *ask)
{
	struct object *object = io->object;
	bool finished;

	io->began = pool_now(pool);
	for (uint32_t i = 0; i < io->count && io->error == 0; i++)
		io->error = pool_stage(pool, io->pages[i], &io->memory[i]);
	io->later = ask != NULL;
	if (object->ops->start == NULL)
		io->length = 0; /* it is memory: what was never there is zeros */
	if (io->error < 0 || object->ops->start == NULL)
		io->done(io);
	else
		object->ops->start(object, io);

	spin_take(&pool->lock);
	finished = io->finished;
	if (!finished && ask != NULL) {
		if (ask->as != NULL)
			io->asks[io->ask_count++] = *ask;
		io->left = true;
	}
	while (!finished && ask == NULL) {
		spin_give(&pool->lock);
		if (object->ops->reap == NULL || object->ops->reap(object, 1) <= 0)
			lock_yield();
		spin_take(&pool->lock);
		finished = io->finished;
	}
	if (finished)
		pool_give_io(pool, io);
	spin_give(&pool->lock);
	return finished ? STEP_RESTART : FAULT_UNDERWAY;
}

/* Somebody else fills the page, which is busy for us, so its owner stays too. */
static void wait_for_fill(struct pool *pool, struct page *page)
{
	struct object *source = NULL;

	spin_take(&pool->lock);
	if (page->state == PAGE_FILLING && page->id.owner != NULL)
		source = ((struct io *)(uintptr_t)page->va)->object;
	spin_give(&pool->lock);
	if (source == NULL || source->ops->reap == NULL || source->ops->reap(source, 1) <= 0)
		lock_yield();
	spin_take(&pool->lock);
	pool_unbusy(pool, page);
	spin_give(&pool->lock);
}

/* A page whose bytes can be had again, and are not at hand where they are wanted: it is given up, and fetched anew. */
static int give_up(struct pool *pool, struct page *page)
{
	struct sections sections;
	bool pinned;

	spin_take(&pool->lock);
	pinned = page->pins > 0;
	page->busy--;
	if (pinned || page->busy > 0 || page->state != PAGE_CLEAN || page->id.owner == NULL) {
		page->busy++;
		pool_unbusy(pool, page);
		spin_give(&pool->lock);
		lock_yield(); /* somebody else is at it */
		return pinned ? -EBUSY : STEP_RESTART;
	}
	policy_remove(&pool->policy, page);
	page->state = PAGE_WRITING; /* F3: nobody enters it meanwhile */
	spin_give(&pool->lock);

	shown_enter(pool, &sections);
	shown_hide_page(pool, &sections, page);
	shown_leave(&sections);

	spin_take(&pool->lock);
	page->state = PAGE_CLEAN;
	if (page->id.owner != NULL)
		leaf_set(sparse_leaf(&((struct object *)(uintptr_t)page->id.owner)->pages, page->id.index),
			page->id.index, WORD_NONE);
	pool_forget(pool, page);
	spin_give(&pool->lock);
	return STEP_RESTART;
}

/* Waits for a frame that is being filled: it can go when it is. What nobody waits for ends only when somebody collects it.
 * False: none is being filled. */
static bool wait_for_any_fill(struct pool *pool)
{
	struct page *page = NULL;
	bool joins;

	spin_take(&pool->lock);
	for (size_t i = 0; i < POOL_IOS && page == NULL; i++)
		if (!pool->io_memory[i].finished && pool->io_memory[i].kind == IO_GET)
			page = pool->io_memory[i].pages[0];
	joins = page != NULL && page->busy <= BUSY_MAX;
	if (joins)
		page->busy++;
	spin_give(&pool->lock);
	if (joins)
		wait_for_fill(pool, page);
	else if (page != NULL)
		lock_yield();
	return page != NULL;
}

/* Does anybody hold a frame that he gives back by himself? All others are pinned, locked, or have nowhere to go. */
static bool frames_move(struct pool *pool)
{
	bool moves = atomic_load(&pool->evicting);

	spin_take(&pool->lock);
	for (uint32_t i = 0; i < pool->frame_count && !moves; i++) {
		const struct page *page = &pool->pages[i];

		moves = page->busy > 0 || page->state == PAGE_FILLING || page->state == PAGE_WRITING ||
			pageout_waits_for_epoch(page);
	}
	spin_give(&pool->lock);
	return moves;
}

static int reclaim_frame(struct fault *f)
{
	struct pool *pool = f->as->pool;

	pool_count(pool, f->seg.range.tally, TALLY_WAITS, 1);
	if (pageout_evict(pool, RECLAIM_BATCH) > 0)
		return STEP_RESTART;
	if ((f->flags & (FAULT_NOWAIT | FAULT_AHEAD)) != 0)
		return -EAGAIN;
	if (wait_for_any_fill(pool))
		return STEP_RESTART;
	if (!frames_move(pool) && ++f->tries >= RECLAIM_TRIES)
		return -ENOMEM;
	lock_yield();
	return STEP_RESTART;
}

static int refill(struct pool *pool, unsigned int flags)
{
	int r;

	if ((flags & FAULT_ALLOCATE) == 0)
		return -EAGAIN;
	r = pool_refill(pool);
	return r < 0 ? r : STEP_RESTART;
}

static const struct ask nobody = { .as = NULL };

/* What can be had again has no other place to stay than where it is shown: it is entered there when it comes. */
static void show_when_there(const struct fault *f, struct io *io)
{
	const struct seg *seg = &f->seg;
	uint64_t beyond = io->first - (seg->range.offset >> PAGE_SHIFT);

	if (!io->pages[0]->id.again || f->as->list == NULL ||
		beyond >= (seg->range.end - seg->range.start) >> PAGE_SHIFT)
		return;
	io->as = f->as;
	io->va = seg->range.start + (beyond << PAGE_SHIFT);
}

/* Begins what is queued, and takes what has come. */
static void look(struct object *object)
{
	if (object != NULL && object->ops->reap != NULL)
		(void)object->ops->reap(object, 0);
}

/* Nobody waits for these. They are begun together, by the look for what has come meanwhile. */
static void transfer_apart(struct fault *f, struct object *object)
{
	for (uint32_t i = 0; i < f->apart_count; i++) {
		show_when_there(f, f->apart[i]);
		(void)transfer(f->as->pool, f->apart[i], &nobody);
	}
	if (f->apart_count > 0)
		look(object);
	f->apart_count = 0;
}

/* A stream goes on. Where frames are few it makes room for the next ones itself, in one batch, while those are on their way:
 * another thread would have to have its turn first, and two that run have to tell each other of each page that goes. */
static void go_on(struct fault *f)
{
	struct pool *pool = f->as->pool;

	transfer_apart(f, f->going_on);
	object_unref(f->going_on);
	f->going_on = NULL;
	if (pool_beyond(pool) > 0)
		(void)pageout_evict(pool, pool_beyond(pool));
}

/* What a step asked for, done outside of the reader section. */
static int between(struct fault *f, int step)
{
	struct pool *pool = f->as->pool;
	bool ahead = (f->flags & FAULT_AHEAD) != 0;
	const struct ask ask = { f->as, f->va, f->access };

	pool_count(pool, f->seg.range.tally, TALLY_RESTARTS, 1);
	switch (step) {
	case STEP_TRANSFER:
		f->fetched = true;
		transfer_apart(f, f->io->object);
		show_when_there(f, f->io);
		if (ahead)
			return transfer(pool, f->io, &nobody);
		return transfer(pool, f->io, (f->flags & FAULT_NOWAIT) == 0 ? NULL : &ask);
	case STEP_STALE: return give_up(pool, f->page);
	case STEP_RECLAIM: return reclaim_frame(f);
	case STEP_REFILL: return refill(pool, f->flags);
	case STEP_WAIT: wait_for_fill(pool, f->page); return STEP_RESTART;
	case STEP_YIELD:
		if ((f->flags & FAULT_NOWAIT) != 0)
			return -EAGAIN;
		lock_yield();
		return STEP_RESTART;
	default: return step;
	}
}

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
static int take_failure(struct pool *pool, struct page *page, struct leaf *leaf)
{
	int error = -(int)page->error;

	leaf_set(leaf, page->id.index, page->swapped ? WORD_SWAP | page->epoch : WORD_NONE);
	page->swapped = false; /* the place stays taken */
	pool_forget(pool, page);
	return error;
}

static void take_mark(struct fault *f, struct page *page)
{
	f->marked = f->marked || page->mark;
	page->mark = false;
}

/* Somebody fills the page already: be told when it is there, or wait. With the lock. */
static int join_fill(struct fault *f, struct page *page)
{
	struct io *io = (struct io *)(uintptr_t)page->va;

	if ((f->flags & FAULT_AHEAD) != 0)
		return FAULT_UNDERWAY;
	if ((f->flags & FAULT_NOWAIT) == 0) {
		take_mark(f, page);
		page->busy++;
		f->page = page;
		return STEP_WAIT;
	}
	if (io->ask_count == IO_ASKS_MAX)
		return -EAGAIN;
	io->asks[io->ask_count++] = (struct ask){ f->as, f->va, f->access };
	return FAULT_UNDERWAY;
}

/* Makes the page of a word busy for this fault. With the lock. */
static int claim_page(struct fault *f, uint32_t word, struct leaf *leaf)
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

static int locate(struct fault *f)
{
	const struct seg *seg = &f->seg;
	uint32_t word = WORD_NONE;
	struct leaf *leaf = NULL;
	int r = STEP_FETCH;

	spin_take(&f->as->pool->lock);
	f->own = false;
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
	spin_give(&f->as->pool->lock);
	return r;
}

/* Puts the copy into the amap, unless somebody else has put one there meanwhile. With the lock. */
static int install_copy(struct fault *f, struct page *copy)
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
	copy->own = true;
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

	spin_take(&pool->lock);
	copy = pool_take(pool, f->seg.range.tally);
	spin_give(&pool->lock);
	if (copy == NULL)
		return STEP_RECLAIM;
	r = pool_stage(pool, copy, &to);
	if (r == 0)
		r = pool_stage(pool, f->page, &from);
	if (r == -ESTALE)
		r = STEP_STALE;
	if (r == 0)
		memcpy(to, from, PAGE_BYTES);

	spin_take(&pool->lock);
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
	spin_give(&pool->lock);
	return r;
}

static void let_go(struct fault *f)
{
	spin_take(&f->as->pool->lock);
	pool_unbusy(f->as->pool, f->page);
	spin_give(&f->as->pool->lock);
}

static int promote(struct fault *f)
{
	int r = 0;

	if (f->access == PMAP_WRITE && (f->seg.range.flags & PMAP_SHARED) == 0 && !f->own)
		r = copy_page(f);
	if (r != 0 && r != STEP_STALE)
		let_go(f);
	return r;
}

/* What the page table may allow without asking again. */
static unsigned int entry_prot(const struct fault *f)
{
	unsigned int prot = f->seg.range.prot | PMAP_READ; /* as on x86 */

	if ((f->seg.range.flags & PMAP_SHARED) == 0 && !f->own)
		prot &= ~(unsigned int)PMAP_WRITE; /* a store has to copy it first */
	if ((f->as->pmap->can & PMAP_CAN_HARVEST) == 0 && f->access != PMAP_WRITE &&
		f->page->state != PAGE_DIRTY)
		prot &= ~(unsigned int)PMAP_WRITE; /* a store has to be noticed */
	return f->access == PMAP_WRITE ? prot | PMAP_WRITTEN : prot;
}

static enum tally_figure door_of(const struct fault *f)
{
	if ((f->flags & (FAULT_PIN | FAULT_BORROW)) != 0)
		return TALLY_BY_PIN;
	return (f->flags & (FAULT_ALLOCATE | FAULT_NOWAIT)) != 0 ? TALLY_BY_THREAD : TALLY_BY_SIGNAL;
}

static void note_use(struct fault *f)
{
	uint16_t tally = f->seg.range.tally;
	struct pool *pool = f->as->pool;
	struct page *page = f->page;

	if (f->access == PMAP_WRITE && (f->as->pmap->can & PMAP_CAN_HARVEST) == 0 &&
		page->state == PAGE_CLEAN)
		pool_dirty(page, PAGE_DIRTY);
	take_mark(f, page);
	if (page->ahead) {
		pool_count(pool, page->tally, TALLY_AHEAD_USED, 1);
	} else if (!f->fetched) {
		policy_seen(&pool->policy, page);
		pool_count(pool, tally, TALLY_MINOR, 1);
	}
	page->ahead = false;
	pool_count(pool, tally, TALLY_FAULTS, 1);
	pool_count(pool, tally, door_of(f), 1);
}

/* unit: the page that was asked for, and its neighbours that are shown with it */
struct unit {
	uintptr_t va;
	uint32_t count;
	uint32_t asked; /* which */
	struct page *pages[UNIT_PAGES_MAX];
};

/* The page of the object that the segment would show at va, when it is there and nowhere to be seen. With the lock. */
static struct page *neighbour(const struct fault *f, uintptr_t va)
{
	struct page *page = shown_at(f->as, &f->seg, va);

	if (page == NULL || page->own || page->busy > 0 || page->maps != MAPPED_NOWHERE || page->mark ||
		(page->state != PAGE_CLEAN && page->state != PAGE_DIRTY))
		return NULL;
	return page;
}

/* Without a gap, around the page that was asked for. Its neighbours are busy. With the lock. */
static void take_unit(struct fault *f, struct unit *unit)
{
	const struct seg *seg = &f->seg;
	uint64_t pages = f->as->pool->unit_pages;
	uintptr_t low = f->va - (uintptr_t)((seg_index(seg, f->va) & (pages - 1)) << PAGE_SHIFT);
	uintptr_t high = min_u64(seg->range.end, low + (uintptr_t)(pages << PAGE_SHIFT));

	*unit = (struct unit){ .va = max_u64(seg->range.start, low) };
	for (uintptr_t va = unit->va; va < high; va += PAGE_BYTES) {
		struct page *page = va == f->va ? f->page : neighbour(f, va);

		if (page == NULL && va > f->va)
			break;
		if (page == NULL)
			*unit = (struct unit){ .va = va + PAGE_BYTES };
		else
			unit->pages[unit->count++] = page;
	}
	unit->asked = (uint32_t)((f->va - unit->va) >> PAGE_SHIFT);
	for (uint32_t i = 0; i < unit->count; i++)
		if (i != unit->asked) {
			unit->pages[i]->busy++;
			unit->pages[i]->ahead =
				false; /* whether somebody will touch it cannot be seen any more */
			shown_add(unit->pages[i], f->as, unit->va + ((uintptr_t)i << PAGE_SHIFT));
		}
}

static bool has_unit(const struct fault *f)
{
	return f->as->pool->unit_pages > 1 && f->seg.object != NULL && !f->page->own && !f->page->id.again;
}

/* A store is noted of the page that was stored into alone, so it goes in by itself where its rights are more. */
static int enter_unit(const struct fault *f, const struct unit *unit)
{
	struct pmap *pmap = f->as->pmap;
	struct pmap_page *ids[UNIT_PAGES_MAX];
	unsigned int prot = entry_prot(f);
	unsigned int beside = prot & ~(unsigned int)PMAP_WRITTEN;
	int r;

	if ((pmap->can & PMAP_CAN_HARVEST) == 0)
		beside &= ~(unsigned int)PMAP_WRITE;
	for (uint32_t i = 0; i < unit->count; i++)
		ids[i] = &unit->pages[i]->id;
	if (beside == prot)
		return pmap->ops->enter(pmap, unit->va, ids, unit->count, prot);
	r = pmap->ops->enter(pmap, f->va, ids + unit->asked, 1, prot);
	if (r == 0 && unit->asked > 0)
		(void)pmap->ops->enter(pmap, unit->va, ids, unit->asked, beside);
	if (r == 0 && unit->asked + 1 < unit->count)
		(void)pmap->ops->enter(pmap, f->va + PAGE_BYTES, ids + unit->asked + 1,
			unit->count - unit->asked - 1, beside);
	return r;
}

static int enter(struct fault *f)
{
	struct pool *pool = f->as->pool;
	struct page *page = f->page;
	struct unit unit = { .va = f->va, .count = 1, .pages = { page } };
	int r = 0;

	if ((f->flags & FAULT_BORROW) != 0) {
		spin_take(&pool->lock);
		note_use(f);
		spin_give(&pool->lock);
		return 0;
	}
	/* Where nothing faults a page is reachable while it is pinned, and was only to be brought in by anybody else. */
	if ((f->flags & FAULT_AHEAD) != 0 ||
		((f->as->pmap->can & PMAP_PINS_ONLY) != 0 && (f->flags & FAULT_PIN) == 0)) {
		let_go(f);
		return 0;
	}
	/* Remembered first: nobody may think that the page is hidden while it is being entered. */
	spin_take(&pool->lock);
	shown_add(page, f->as, f->va);
	if (has_unit(f))
		take_unit(f, &unit);
	note_use(f);
	spin_give(&pool->lock);

	r = enter_unit(f, &unit);
	if (r == -ESTALE)
		return STEP_STALE;
	spin_take(&pool->lock);
	if (r == 0 && (f->flags & FAULT_PIN) != 0)
		page->pins++;
	for (uint32_t i = 0; i < unit.count; i++)
		pool_unbusy(pool, unit.pages[i]);
	spin_give(&pool->lock);
	return r;
}

static int fault_once(struct fault *f)
{
	unsigned int phase = as_enter(f->as);
	int r;

	r = lookup(f);
	if (r == 0)
		r = locate(f);
	if (r == STEP_FETCH)
		r = fetch_page(f);
	if (r == 0)
		r = promote(f);
	if (r == 0)
		r = enter(f);
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

	if (pool->hostile)
		(void)pageout_evict(pool, EVICT_MAX);
	do {
		r = fault_once(f);
		if (f->going_on != NULL)
			go_on(f);
		if (r > FAULT_UNDERWAY)
			r = between(f, r);
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
	look(object);
	look(as->pool->swap);
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
static void find_pinned(struct fault *f)
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
static void hide_unpinned(struct fault *f)
{
	struct pool *pool = f->as->pool;
	struct page *page = f->page;
	uint8_t before = page->state;
	struct sections sections;

	page->busy = 0;
	page->dirty = before != PAGE_CLEAN;
	page->state = PAGE_WRITING;
	spin_give(&pool->lock);
	shown_enter(pool, &sections);
	shown_hide_page(pool, &sections, page);
	shown_leave(&sections);
	spin_take(&pool->lock);
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

	if (lookup(&f) == 0 && locate(&f) == 0) {
		spin_take(&as->pool->lock);
		find_pinned(&f);
		pool_unpin(as->pool, f.page);
		if ((as->pmap->can & PMAP_PINS_ONLY) != 0 && f.page->pins == 0 && f.page->busy == 1)
			hide_unpinned(&f);
		pool_unbusy(as->pool, f.page);
		spin_give(&as->pool->lock);
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

	spin_take(&pool->lock);
	word = sparse_get(&object->pages, index, &leaf);
	if (word_is_frame(word))
		r = claim_page(f, word, leaf);
	spin_give(&pool->lock);
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
		let_go(f);
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
			r = between(&f, r);
	} while (r == STEP_RESTART);
	if (r == 0)
		*page = f.page;
	return r;
}
