/* SPDX-License-Identifier: Apache-2.0 */
/* vm/between.c - what happens between two looks of a fault, outside of everything: transfers are begun and waited for, frames
 * are found, and what is stale is given up. */
#include <errno.h>

#include "base/align.h"
#include "vm/fault.h"
#include "vm/pageout.h"
#include "vm/pool.h"
#include "vm/shown.h"
#include "vm/step.h"

/* Tries to find a frame before it is an error, while all of them stand still: between two looks one may have come and gone. */
enum { RECLAIM_TRIES = 8, RECLAIM_BATCH = 16 };

/* ---- transfers ---- */

/* Starts the transfer and, unless nobody waits for it, sees it through. STEP_RESTART, FAULT_UNDERWAY, or -EAGAIN: while it was
 * started so many others have asked for its pages that they are all who will be told. */
static int transfer(struct pool *pool, struct io *io, const struct ask *ask)
{
	struct object *object = io->object;
	int r = FAULT_UNDERWAY;
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

	pool_lock(pool);
	finished = io->finished;
	if (!finished && ask != NULL) {
		if (ask->as != NULL && !io_ask(io, ask))
			r = -EAGAIN;
		io->left = true;
	}
	while (!finished && ask == NULL) {
		pool_unlock(pool);
		object_reap(object, 1);
		pool_lock(pool);
		finished = io->finished;
	}
	if (finished)
		pool_give_io(pool, io);
	pool_unlock(pool);
	return finished ? STEP_RESTART : r;
}

/* Somebody else fills the page, which is busy for us: whom it comes from stays until it is there. */
static void wait_for_fill(struct pool *pool, struct page *page)
{
	struct object *source = NULL;

	pool_lock(pool);
	if (page->state == PAGE_FILLING)
		source = pool_io_of(pool, page)->object;
	pool_unlock(pool);
	if (source != NULL)
		object_reap(source, 1);
	else
		lock_yield();
	pool_lock(pool);
	pool_unbusy(pool, page);
	pool_unlock(pool);
}

/* ---- frames ---- */

/* A page whose bytes can be had again, and are not at hand where they are wanted: it is given up, and fetched anew. */
static int give_up(struct pool *pool, struct page *page)
{
	struct sections sections;
	bool pinned;

	pool_lock(pool);
	pinned = page->pins > 0;
	page->busy--;
	if (pinned || page->busy > 0 || page->state != PAGE_CLEAN || page->id.owner == NULL) {
		page->busy++;
		pool_unbusy(pool, page);
		pool_unlock(pool);
		lock_yield(); /* somebody else is at it */
		return pinned ? -EBUSY : STEP_RESTART;
	}
	policy_remove(&pool->policy, page);
	page->state = PAGE_WRITING; /* F3: nobody enters it meanwhile */
	pool_unlock(pool);

	shown_enter(pool, &sections);
	shown_hide_page(pool, &sections, page);
	shown_leave(&sections);

	pool_lock(pool);
	page->state = PAGE_CLEAN;
	if (page->id.owner != NULL)
		leaf_set(sparse_leaf(&((struct object *)(uintptr_t)page->id.owner)->pages, page->id.index),
			page->id.index, WORD_NONE);
	pool_forget(pool, page);
	pool_unlock(pool);
	return STEP_RESTART;
}

bool fault_collect(struct pool *pool)
{
	struct page *page = NULL;
	bool joins;

	pool_lock(pool);
	for (size_t i = 0; i < pool->io_fresh && page == NULL; i++)
		if (!pool->io_memory[i].finished && pool->io_memory[i].kind == IO_GET)
			page = pool->io_memory[i].pages[0];
	joins = page != NULL && page->state == PAGE_FILLING && page->busy <= BUSY_MAX;
	if (joins)
		page->busy++;
	pool_unlock(pool);
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

	pool_lock(pool);
	for (uint32_t i = 0; i < pool->fresh && !moves; i++) {
		const struct page *page = &pool->pages[i];

		moves = page->busy > 0 || page->state == PAGE_FILLING || page->state == PAGE_WRITING ||
			pageout_waits_for_epoch(page);
	}
	pool_unlock(pool);
	return moves;
}

static int reclaim_frame(struct fault *f)
{
	struct pool *pool = f->as->pool;

	pool_count(pool, f->seg.range.tally, TALLY_WAITS, 1);
	if (pageout_evict(pool, RECLAIM_BATCH) > 0 ||
		((f->place & WORD_SWAP) != 0 && pageout_exchange(pool) > 0))
		return STEP_RESTART;
	if ((f->flags & (FAULT_NOWAIT | FAULT_AHEAD)) != 0)
		return -EAGAIN;
	if (fault_collect(pool))
		return STEP_RESTART; /* what is filled can go */
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

/* ---- transfers that nobody waits for ---- */

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

void fault_look(struct object *object)
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
		fault_look(object);
	f->apart_count = 0;
}

void fault_go_on(struct fault *f)
{
	pool_before_wait(f->as->pool);
	transfer_apart(f, f->going_on);
	object_unref(f->going_on);
	f->going_on = NULL;
}

/* ---- all of it ---- */

int fault_between(struct fault *f, int step)
{
	struct pool *pool = f->as->pool;
	bool ahead = (f->flags & FAULT_AHEAD) != 0;
	const struct ask ask = { f->as, f->va, f->access };

	pool_count(pool, f->seg.range.tally, TALLY_RESTARTS, 1);
	pool_before_wait(pool);
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
	case STEP_COLLECT:
		if ((f->flags & FAULT_NOWAIT) != 0)
			return -EAGAIN;
		if (step == STEP_YIELD || !fault_collect(pool))
			lock_yield();
		return STEP_RESTART;
	default: return step;
	}
}
