/* SPDX-License-Identifier: Apache-2.0 */
/* vm/fetch.c - the step of a fault that brings a page into a frame: what begins a transfer, and what its end does. */
#include <errno.h>
#include <string.h>

#include "base/align.h"
#include "vm/amap.h"
#include "vm/fault.h"
#include "vm/pool.h"
#include "vm/shown.h"
#include "vm/step.h"

/* A window is a 64th of the pool at most: two of them, and one that was read, are what a stream may hold. */
enum { STREAM_PART = 32 };

/* ---- the end of a transfer ---- */

/* What a page that could not be filled leaves behind is met by the next fault on it, once. */
static void fill_failed(struct pool *pool, struct page *page, int error, bool wanted) must_hold(lock_pool)
{
	pool_count(pool, page->tally, TALLY_FILL_ERRORS, 1);
	if (page->id.owner == NULL)
		return;
	if (wanted) {
		page->state = PAGE_FAILED;
		page->error = (uint8_t)-error;
		return;
	}
	leaf_set(sparse_leaf(&((struct object *)(uintptr_t)page->id.owner)->pages, page->id.index),
		page->id.index, WORD_NONE);
	pool_disown(pool, page);
}

static void answer_ask(const struct ask *ask)
{
	if (fault_handle(ask->as, ask->va, ask->access, FAULT_NOWAIT) < 0)
		fault_fail(ask->as, ask->va);
}

/* ---- what can be had again is shown as soon as it is there ---- */

_Static_assert(IO_PAGES_MAX <= 32, "a bit for each page of a transfer");

/* Those that were read ahead and nobody waits for, a bit each, but for a mark: its fault, or that it never comes, tells
 * whether the rest was wanted. In WRITING nobody else enters them. With the lock. */
static uint32_t take_fresh(struct io *io, const struct seg *seg) must_hold(lock_pool)
{
	uint32_t count = (uint32_t)min_u64(io->count, (seg->range.end - io->va) >> PAGE_SHIFT);
	uint32_t taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct page *page = io->pages[i];

		if (page->id.owner != seg->object || !page->ahead || page->mark || page->busy > 1)
			continue;
		page->state = PAGE_WRITING;
		page->busy = 0;
		page->ahead = false; /* whether somebody will touch it cannot be seen any more */
		shown_add(page, io->as, io->va + ((uintptr_t)i << PAGE_SHIFT));
		taken |= 1U << i;
	}
	return taken;
}

/* Neighbours in one call of the engine. One that it could not enter is entered by its first fault. */
static void enter_fresh(const struct io *io, uint32_t taken)
{
	struct pmap *pmap = io->as->pmap;
	struct pmap_page *run[IO_PAGES_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i <= io->count; i++) {
		if (i < io->count && (taken >> i & 1) != 0) {
			run[count++] = &io->pages[i]->id;
			continue;
		}
		if (count > 0)
			(void)pmap->ops->enter(
				pmap, io->va + ((uintptr_t)(i - count) << PAGE_SHIFT), run, count, PMAP_READ);
		count = 0;
	}
}

static void show_fresh(struct io *io)
{
	unsigned int phase = as_enter(io->as);
	const struct seg *seg = as_seg(io->as, io->va);
	uint32_t taken = 0;

	if (seg != NULL && seg->range.start <= io->va && seg_index(seg, io->va) == io->first &&
		seg->amap == NULL && seg->range.prot != 0) {
		pool_lock(io->pool);
		taken = take_fresh(io, seg);
		pool_unlock(io->pool);
	}
	if (taken != 0)
		enter_fresh(io, taken);
	as_leave(io->as, phase);
}

/* A page that is there now. With the lock. */
static void filled(struct pool *pool, struct page *page) must_hold(lock_pool)
{
	/* The place in swap is given up when the page comes in: this is its only copy, as a page of memory always is. */
	if (page->swapped)
		pool_give_swap(pool, page->next);
	if (page->id.own || object_is_memory(page->id.owner))
		page->state = PAGE_DIRTY;
	page->swapped = false;
	policy_insert(&pool->policy, page);
}

static void fill_done(struct io *io)
{
	struct pool *pool = io->pool;
	struct ask asks[IO_ASKS_MAX];
	unsigned int ask_count;

	for (uint32_t i = 0; i < io->count && io->error == 0; i++) {
		size_t there = min_u64(PAGE_BYTES, io->length - min_u64(io->length, i * PAGE_BYTES));

		memset((char *)io->memory[i] + there, 0, PAGE_BYTES - there);
	}
	if (io->as != NULL && io->error == 0)
		show_fresh(io);

	pool_lock(pool);
	pool_took(pool, io->pages[0]->tally, TALLY_TIME_FILL, io->began);
	for (uint32_t i = 0; i < io->count; i++) {
		struct page *page = io->pages[i];

		if (page->state == PAGE_WRITING)
			page->busy++; /* shown by us */
		page->state = PAGE_CLEAN;
		if (io->error < 0)
			fill_failed(pool, page, io->error, i == 0);
		if (page->id.owner != NULL && page->state == PAGE_CLEAN)
			filled(pool, page);
		pool_unbusy(pool, page);
	}
	ask_count = io->ask_count;
	memcpy(asks, io->asks, sizeof(asks));
	io->finished = true;
	if (io->left)
		pool_give_io(pool, io);
	pool_unlock(pool);

	for (unsigned int i = 0; i < ask_count; i++)
		answer_ask(&asks[i]);
}

/* ---- up to the start of a transfer ---- */

void give_identity(struct page *page, const void *owner, struct leaf *leaf, uint64_t index)
{
	page->id.owner = owner;
	page->id.index = index;
	if (owner != leaf) {
		struct object *object = (struct object *)(uintptr_t)owner;

		page->id.again = object->again;
		page->id.at_home = !object->again;
	}
	leaf_set(leaf, index, word_of_frame(page->id.frame));
}

static void add_to_io(struct io *io, struct page *page) must_hold(lock_pool)
{
	page->state = PAGE_FILLING;
	page->prev = (uint32_t)(io - io->pool->io_memory);
	io->pages[io->count++] = page;
}

/* One more page of an object joins a get. With the lock. 0, STEP_RESTART when it is there already, or what is missing. */
static int join_get(struct pool *pool, struct io *io, struct object *object, uint64_t index,
	const struct want *want) must_hold(lock_pool)
{
	struct page *page;
	struct leaf *leaf;

	if (sparse_get(&object->pages, index, NULL) != WORD_NONE)
		return STEP_RESTART;
	leaf = sparse_own(&object->pages, index, &pool->blocks);
	if (leaf == NULL)
		return STEP_REFILL;
	page = pool_take(pool, want->tally);
	if (page == NULL)
		return STEP_RECLAIM;
	page->ahead = want->ahead || io->count > 0;
	give_identity(page, object, leaf, index);
	add_to_io(io, page);
	return 0;
}

/* Up to `count` pages from `first` on become FILLING. 0, or a step. */
static int begin_get(struct object *object, uint64_t first, uint32_t count, uint64_t size,
	const struct want *want, struct io **out)
{
	struct pool *pool = object->pool;
	struct io *io;
	int r = STEP_COLLECT;

	count = (uint32_t)min_u64(count, min_u64(IO_PAGES_MAX, ((size - 1) >> PAGE_SHIFT) + 1 - first));
	pool_lock(pool);
	io = pool_take_io(pool);
	for (uint32_t i = 0; io != NULL && i < count; i++) {
		/* Nothing is read ahead under pressure, nor into the frame that a copy of the first page may need. */
		if (i > 0 && (pool_is_short(pool) || pool->in_use + 1 >= pool->budget))
			break;
		r = join_get(pool, io, object, first + i, want);
		if (r != 0)
			break;
	}
	if (io != NULL && io->count == 0)
		pool_give_io(pool, io);
	if (io == NULL || io->count == 0) {
		pool_unlock(pool);
		return r;
	}
	if (want->mark && io->count > 1)
		io->pages[want->ahead ? 0 : io->count - 1]->mark = true;
	/* Complete before the lock goes: who waits for one of the pages asks whom it comes from. */
	io->kind = IO_GET;
	io->object = object;
	io->first = first;
	io->length = min_u64((uint64_t)io->count << PAGE_SHIFT, size - (first << PAGE_SHIFT));
	io->done = fill_done;
	pool_unlock(pool);
	pool_count(pool, want->tally, TALLY_FILLS, io->count);
	pool_count(pool, want->tally, TALLY_AHEAD, io->count - !want->ahead);
	*out = io;
	return STEP_TRANSFER;
}

/* A private page that is nowhere yet begins as zeros. */
static int make_zeros(struct pool *pool, struct amap *amap, uint64_t slot, uint16_t tally)
{
	struct leaf *leaf = NULL;
	struct page *page;
	void *memory;

	pool_lock(pool);
	page = pool_take_new(pool, tally);
	pool_unlock(pool);
	if (page == NULL)
		return STEP_RECLAIM;
	if (pool_stage(pool, page, &memory) == 0)
		memset(memory, 0, PAGE_BYTES);
	else
		memory = NULL;

	pool_lock(pool);
	if (memory != NULL)
		leaf = amap_own(amap, slot);
	/* Somebody else may have been faster. */
	if (leaf != NULL && amap_get(amap, slot, NULL) == WORD_NONE) {
		give_identity(page, leaf, leaf, slot);
		page->id.own = true;
		page->state = PAGE_DIRTY;
		policy_insert(&pool->policy, page);
		pool_count(pool, tally, TALLY_ZEROS, 1);
	}
	pool_unbusy(pool, page);
	pool_unlock(pool);
	if (memory == NULL)
		return -ENOMEM;
	return leaf == NULL ? STEP_REFILL : STEP_RESTART;
}

/* The page of which `words` says at `index` that it is in swap comes back. */
static int begin_swap_in(struct pool *pool, const struct sparse *words, const struct object *object,
	uint64_t index, uint16_t tally, struct io **out)
{
	struct leaf *leaf;
	uint32_t word;
	struct page *page = NULL;
	struct io *io;

	pool_lock(pool);
	word = sparse_get(words, index, &leaf);
	io = pool_take_io(pool);
	if (io != NULL && (word & WORD_SWAP) != 0)
		page = pool_take(pool, tally);
	if (page == NULL) {
		if (io != NULL)
			pool_give_io(pool, io);
		pool_unlock(pool);
		if (io == NULL)
			return STEP_COLLECT;
		return (word & WORD_SWAP) != 0 ? STEP_RECLAIM : STEP_RESTART;
	}
	give_identity(page, object != NULL ? (const void *)object : (const void *)leaf, leaf, index);
	page->id.own = object == NULL;
	page->swapped = true;
	page->next = word & ~WORD_SWAP;
	add_to_io(io, page);
	io->kind = IO_GET;
	io->object = pool->swap;
	io->first = page->next;
	io->length = PAGE_BYTES;
	io->done = fill_done;
	pool_unlock(pool);
	pool_count(pool, tally, TALLY_FILLS, 1);
	*out = io;
	return STEP_TRANSFER;
}

/* What a plan wants beside. */
static void begin_apart(struct fault *f, struct object *object, const struct ahead_plan *plan, uint64_t size,
	const struct want *asked)
{
	struct want want = *asked;
	uint64_t index = plan->from;

	want.ahead = true;
	for (uint32_t i = 0; i < plan->apart; i++, index += (uint64_t)plan->stride) {
		if (index > (size - 1) >> PAGE_SHIFT)
			return;
		if (pool_is_short(object->pool)) {
			pool_lock(object->pool);
			readahead_cut(&object->ahead, plan, index);
			pool_unlock(object->pool);
			return;
		}
		want.mark = plan->marks > 0 && i % plan->marks == 0;
		if (begin_get(object, index, plan->each, size, &want, &f->apart[f->apart_count]) ==
			STEP_TRANSFER)
			f->apart_count++;
	}
}

/* Pages beside a transfer: what two windows in flight may take of the budget. */
static uint32_t most_beside(const struct pool *pool)
{
	return (uint32_t)min_u64(pool->budget / STREAM_PART, AHEAD_FAR);
}

/* A unit comes whole: what lies behind the page that is asked for with it, what lies before it apart. */
static void whole_unit(struct ahead_plan *plan, uint64_t index, uint64_t first, uint32_t unit_pages)
{
	plan->count = (uint32_t)max_u64(plan->count, first + unit_pages - index);
	if (plan->apart == 0 && index > first) {
		plan->from = first;
		plan->apart = 1;
		plan->each = (uint32_t)(index - first);
	}
}

int fetch_object(struct fault *f, struct object *object, uint64_t index, const struct want *asked)
{
	struct ahead_plan plan = { .count = (uint32_t)max_u64(1, min_u64(asked->count, IO_PAGES_MAX)) };
	uint32_t unit_pages = object->pool->unit_pages;
	uint64_t unit = align_down(index, unit_pages);
	struct want want = *asked;
	uint64_t size;
	int r;

	r = object_size(object, &size);
	if (r < 0)
		return r;
	if (index >= (size + PAGE_BYTES - 1) >> PAGE_SHIFT)
		return -ENXIO;
	if ((f->place & WORD_SWAP) != 0)
		return begin_swap_in(object->pool, &object->pages, object, index, want.tally, &f->io);
	if (object_is_memory(object))
		return begin_get(object, index, 1, size, &want, &f->io); /* of nowhere: zeros */
	if (!want.alone) {
		pool_lock(object->pool);
		plan = readahead_plan(&object->ahead, index, want.advice, most_beside(object->pool));
		pool_unlock(object->pool);
	}
	want.mark = !want.alone && plan.apart == 0 && plan.count > unit + unit_pages - index;
	if (!want.alone)
		whole_unit(&plan, index, unit, unit_pages);
	r = begin_get(object, index, plan.count, size, &want, &f->io);
	if (r == STEP_TRANSFER)
		begin_apart(f, object, &plan, size, &want);
	return r;
}

void fetch_more(struct fault *f)
{
	const struct seg *seg = &f->seg;
	struct object *object = seg->object;
	const struct want want = { .tally = seg->range.tally };
	struct ahead_plan plan;
	uint64_t size;

	f->marked = false;
	if (object == NULL || object_size(object, &size) < 0 || size == 0)
		return;
	pool_lock(object->pool);
	plan = readahead_go_on(&object->ahead, seg_index(seg, f->va), most_beside(object->pool));
	atomic_store_explicit(
		&object->pool->stream_room, 2 * most_beside(object->pool), memory_order_relaxed);
	pool_unlock(object->pool);
	begin_apart(f, object, &plan, size, &want);
	if (f->apart_count > 0)
		f->going_on = object_ref(object);
}

static enum ahead_advice advice_of(const struct seg *seg)
{
	if ((seg->range.flags & PMAP_RANDOM) != 0)
		return AHEAD_RANDOM;
	return (seg->range.flags & PMAP_SEQUENTIAL) != 0 ? AHEAD_SEQUENTIAL : AHEAD_NORMAL;
}

int fetch_page(struct fault *f)
{
	struct pool *pool = f->as->pool;
	const struct seg *seg = &f->seg;
	bool ahead = (f->flags & FAULT_AHEAD) != 0;
	const struct want want = { .tally = seg->range.tally,
		.count = f->ahead,
		.ahead = ahead,
		.alone = ahead,
		.advice = advice_of(seg) };

	if (f->from_amap)
		return begin_swap_in(
			pool, &seg->amap->words, NULL, seg_slot(seg, f->va), seg->range.tally, &f->io);
	if (seg->object == NULL)
		return make_zeros(pool, seg->amap, seg_slot(seg, f->va), seg->range.tally);
	return fetch_object(f, seg->object, seg_index(seg, f->va), &want);
}
