/* SPDX-License-Identifier: Apache-2.0 */
/* vm/evict.c - one batch of pages on its way out; the put step is put.c's. */
#include "vm/evict.h"

#include <assert.h>
#include <errno.h>

#include "base/align.h"
#include "base/sort.h"
#include "vm/as.h"
#include "vm/object.h"
#include "vm/pageout.h"
#include "vm/pool.h"
#include "vm/shown.h"

/* ---- one at a time ---- */

bool evict_begin(struct pool *pool, struct evict **evict)
{
	if (atomic_exchange(&pool->evicting, true))
		return false;
	*evict = pool->evict;
	pool->evict->pool = pool;
	pool->evict->object = NULL;
	pool->evict->first = 0;
	pool->evict->last = UINT64_MAX;
	pool->evict->keep = false;
	pool->evict->again = false;
	pool->evict->exchange = false;
	pool->evict->want = 0;
	pool->evict->refused = false;
	pool->evict->spared = false;
	pool->evict->error = 0;
	return true;
}

void evict_end(struct pool *pool)
{
	atomic_store(&pool->evicting, false);
}

void evict_failed(struct evict *evict, int error)
{
	if (error < 0 && evict->error == 0)
		evict->error = error;
}

/* ---- choose ---- */

bool pageout_waits_for_epoch(const struct page *page)
{
	return page->state == PAGE_DIRTY && !page->id.own && page->id.owner != NULL &&
		((const struct object *)page->id.owner)->epochs;
}

/* Its bytes are nowhere else, and there is no swap to take them. */
static bool homeless(const struct pool *pool, const struct page *page) must_hold(lock_pool)
{
	return pool->swap == NULL && (page->id.own || object_is_memory(page->id.owner));
}

static bool may_go(void *user, struct page *page) must_hold(lock_pool)
{
	struct evict *evict = user;

	if (page->busy > 0 || page->pins > 0 || page->state == PAGE_WRITING)
		return false;
	if (page->state == PAGE_FAILED && !page->dirty)
		return false;
	if (evict->object == NULL && page->state == PAGE_FAILED && !evict->again) {
		evict->spared = true;
		return false;
	}
	if (evict->object == NULL && pageout_waits_for_epoch(page)) {
		evict->refused = true;
		return false;
	}
	return !homeless(evict->pool, page) && !shown_locked(&evict->sections, page);
}

static void take_page(struct evict *evict, struct page *page) must_hold(lock_pool)
{
	page->dirty = page->state == PAGE_DIRTY || page->state == PAGE_FAILED;
	page->state = PAGE_WRITING;
	evict->pages[evict->count++] = page;
}

/* The rest of its unit goes with a page, but for what was seen again. */
static void take_unit(struct evict *evict, const struct page *page) must_hold(lock_pool)
{
	struct pool *pool = evict->pool;
	uint64_t first = align_down(page->id.index, pool->unit_pages);

	if (pool->unit_pages == 1 || page->id.own)
		return;
	for (uint64_t i = first; i < first + pool->unit_pages && evict->count < EVICT_MAX; i++) {
		uint32_t word = sparse_get(&((const struct object *)page->id.owner)->pages, i, NULL);
		struct page *other = word_is_frame(word) ? pool_page(pool, word) : NULL;

		if (other == NULL || other->queue == QUEUE_NONE || other->hits > 0 || !may_go(evict, other))
			continue;
		policy_remove(&pool->policy, other);
		take_page(evict, other);
	}
}

static void choose_victims(struct evict *evict) must_hold(lock_pool)
{
	while (evict->count < evict->want) {
		struct page *page = policy_victim(&evict->pool->policy, may_go, evict);

		if (page == NULL)
			return;
		take_page(evict, page);
		take_unit(evict, page);
	}
}

/* The first page from `index` on that was written, or, when frames shall go, that is there. */
static uint64_t next_of_object(const struct evict *evict, uint64_t index) must_hold(lock_pool)
{
	return evict->keep ? sparse_next_marked(&evict->object->pages, index, evict->last)
			   : sparse_next(&evict->object->pages, index, evict->last);
}

/* Is it to be put, or to go? What is filled or written out at this moment is neither. */
static bool is_meant(struct evict *evict, struct page *page) must_hold(lock_pool)
{
	if (!evict->keep)
		return may_go(evict, page);
	return page->state == PAGE_DIRTY || (page->state == PAGE_FAILED && page->dirty);
}

/* What was written of an object, or all of it when frames shall go: from evict->first on, as many as fit. */
static void choose_of_object(struct evict *evict) must_hold(lock_pool)
{
	uint64_t index = evict->first;

	for (; (index = next_of_object(evict, index)) != UINT64_MAX; index++) {
		struct leaf *leaf = sparse_leaf(&evict->object->pages, index);
		uint32_t word = leaf->words[index % LEAF_WORDS];
		struct page *page = word_is_frame(word) ? pool_page(evict->pool, word) : NULL;

		if (evict->count == evict->want)
			break;
		if (page == NULL || page->state == PAGE_CLEAN)
			leaf_unmark(leaf, index); /* not true any more */
		if (page == NULL || !is_meant(evict, page))
			continue;
		if (page->busy > 0) {
			if (evict->count > 0)
				break; /* in the next batch */
			pool_unlock(evict->pool);
			lock_yield();
			pool_lock(evict->pool);
			index--;
			continue;
		}
		if (!evict->keep)
			policy_remove(&evict->pool->policy, page);
		leaf_unmark(leaf, index);
		take_page(evict, page);
	}
	evict->first = index;
}

static void evict_choose(struct evict *evict)
{
	evict->count = 0;
	pool_lock(evict->pool);
	if (evict->object != NULL)
		choose_of_object(evict);
	else
		choose_victims(evict);
	pool_unlock(evict->pool);
}

/* ---- unmap ---- */

/* A page that the engine could not hide stays what it was before it was chosen. The caller takes it out of the batch. */
static void put_back(struct evict *evict, struct page *page)
{
	struct pool *pool = evict->pool;

	pool_lock(pool);
	page->state = PAGE_CLEAN;
	if (page->dirty)
		pool_dirty(page, page->error != 0 ? PAGE_FAILED : PAGE_DIRTY);
	if (page->state == PAGE_DIRTY)
		page->dirty = false;
	if (page->id.owner == NULL)
		pool_forget(pool, page); /* meanwhile: somebody unmapped or cut it */
	else if (page->queue == QUEUE_NONE)
		policy_insert(&pool->policy, page);
	pool_unlock(pool);
}

static bool shown_before(const void *x, const void *y)
{
	const struct shown *a = x;
	const struct shown *b = y;

	return a->space != b->space ? a->space < b->space : a->va < b->va;
}

/* A page that more than one address shows. With the lock, which is given up meanwhile. */
static bool hide_many(struct evict *evict, struct page *page) must_hold(lock_pool)
{
	int r;

	pool_unlock(evict->pool);
	r = shown_hide_page(evict->pool, &evict->sections, page);
	evict_failed(evict, r);
	if (r < 0)
		put_back(evict, page);
	pool_lock(evict->pool);
	return r >= 0;
}

static void list_shown(struct evict *evict)
{
	uint32_t count = 0;

	evict->shown_count = 0;
	pool_lock(evict->pool);
	for (uint32_t i = 0; i < evict->count; i++) {
		struct page *page = evict->pages[i];
		/* A pinned page is written where it stands: who pinned it for the kernel or a device answers for its stores. */
		enum page_maps maps = page->pins > 0 ? MAPPED_NOWHERE : (enum page_maps)page->maps;

		evict->shown[evict->shown_count] = (struct shown){
			.va = page_va(page), .page = page, .space = page->space
		};
		evict->shown_count += maps == MAPPED_ONCE;
		if (maps != MAPPED_MANY || hide_many(evict, page))
			evict->pages[count++] = page;
	}
	pool_unlock(evict->pool);
	evict->count = count;
	sort_in_place(evict->shown, evict->shown_count, sizeof(evict->shown[0]), shown_before);
}

/* The run of entries from `from` on that are in one space; its spans, neighbours joined. */
static uint32_t make_spans(struct evict *evict, uint32_t from, size_t *span_count)
{
	uint32_t i = from;
	size_t n = 0;

	for (; i < evict->shown_count && evict->shown[i].space == evict->shown[from].space &&
		evict->shown[i].page->id.again == evict->shown[from].page->id.again;
		i++) {
		uintptr_t va = evict->shown[i].va;

		if (n > 0 && evict->spans[n - 1].end == va)
			evict->spans[n - 1].end += PAGE_BYTES;
		else
			evict->spans[n++] = (struct pmap_span){ va, va + PAGE_BYTES };
	}
	*span_count = n;
	return i;
}

/* One that cannot be hidden must not keep the others. Where no range of ours is any more, nothing is shown. */
static void hide_alone(struct evict *evict, const struct as *as, struct shown *shown)
{
	const struct pmap_span span = { shown->va, shown->va + PAGE_BYTES };
	int r = as->pmap->ops->remove(as->pmap, &span, 1);

	if (r == 0 || r == -ENOENT)
		return;
	evict_failed(evict, r);
	shown->stays = true;
}

static void evict_unmap(struct evict *evict)
{
	size_t span_count;

	list_shown(evict);
	for (uint32_t i = 0; i < evict->shown_count;) {
		struct as *as = evict->sections.as[evict->shown[i].space];
		uint32_t first = i;
		int r = 0;

		i = make_spans(evict, i, &span_count);
		if (as != NULL)
			r = as->pmap->ops->remove(as->pmap, evict->spans, span_count);
		for (; r < 0 && first < i; first++)
			hide_alone(evict, as, &evict->shown[first]);
	}
}

/* ---- ask ---- */

struct asking {
	struct evict *evict;
	uint8_t space;
};

/* Neighbours are neighbours in evict->shown, too. */
static void written_in(void *user, const struct pmap_span *pages)
{
	const struct asking *asking = user;
	struct evict *evict = asking->evict;
	const struct shown key = { .va = pages->start, .space = asking->space };
	uint32_t low = 0;
	uint32_t high = evict->shown_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (shown_before(&evict->shown[middle], &key))
			low = middle + 1;
		else
			high = middle;
	}
	/* The bit shares a byte with others, and a flush that asks at the same time sets it too. */
	pool_lock(evict->pool);
	for (uintptr_t va = pages->start; va < pages->end; va += PAGE_BYTES, low++) {
		assert(low < evict->shown_count);
		assert(evict->shown[low].va == va);
		evict->shown[low].page->dirty = true;
	}
	pool_unlock(evict->pool);
}

/* What could not be hidden leaves the batch. It was asked too: the engine may have got half way with it. */
static void leave_what_stays(struct evict *evict)
{
	for (uint32_t i = 0; i < evict->shown_count; i++) {
		uint32_t at = 0;

		if (!evict->shown[i].stays)
			continue;
		while (evict->pages[at] != evict->shown[i].page)
			at++;
		evict->pages[at] = evict->pages[--evict->count];
		put_back(evict, evict->shown[i].page);
	}
}

/* Could its bytes be newer than its owner's? Not when that is gone meanwhile. */
static bool can_be_written(const struct page *page)
{
	if (page->id.owner == NULL)
		return false;
	return page->id.own || (((const struct object *)page->id.owner)->can & CAN_WRITE) != 0;
}

/* A page that is only written back stays: its empty entry, a written one to the kernel, is not to be told of again by every
 * flush until it is touched. */
static void evict_ask(struct evict *evict)
{
	size_t span_count;

	for (uint32_t i = 0; i < evict->shown_count;) {
		struct asking asking = { evict, evict->shown[i].space };
		bool again = evict->shown[i].page->id.again;
		struct as *as = evict->sections.as[asking.space];
		uint32_t first = i;
		int r = 0;

		i = make_spans(evict, i, &span_count);
		if (as == NULL || again || (as->pmap->can & PMAP_CAN_HARVEST) == 0)
			continue; /* what can be had again nobody has written */
		for (size_t s = 0; r == 0 && s < span_count; s++)
			r = as->pmap->ops->harvest(
				as->pmap, &evict->spans[s], evict->keep, written_in, &asking);
		/* No answer is no permission to drop anything. */
		pool_lock(evict->pool);
		for (; r < 0 && first < i; first++)
			if (can_be_written(evict->shown[first].page))
				evict->shown[first].page->dirty = true;
		pool_unlock(evict->pool);
	}
	leave_what_stays(evict);
	pool_lock(evict->pool);
	/* Those that were hidden: one that was pinned then is entered still, also when it was unpinned since. */
	for (uint32_t i = 0; i < evict->shown_count; i++)
		if (!evict->shown[i].stays)
			evict->shown[i].page->maps = MAPPED_NOWHERE;
	pool_unlock(evict->pool);
}

/* ---- sort ---- */

static bool page_before(const void *x, const void *y)
{
	const struct page *a = *(struct page *const *)x;
	const struct page *b = *(struct page *const *)y;

	if (a->id.owner != b->id.owner)
		return (uintptr_t)a->id.owner < (uintptr_t)b->id.owner;
	return a->id.index < b->id.index;
}

/* Neighbours of one object are put by one transfer and given back by one call. What can be had again is neither. A page may
 * lose its owner at any time: the order is found under the lock, some 20 us of a whole batch. */
static void evict_sort(struct evict *evict)
{
	bool any = false;

	pool_lock(evict->pool);
	for (uint32_t i = 0; i < evict->count && !any; i++)
		any = !evict->pages[i]->id.again;
	if (any)
		sort_in_place(evict->pages, evict->count, sizeof(struct page *), page_before);
	pool_unlock(evict->pool);
}

/* ---- free ---- */

static void set_word(struct page *page, uint32_t word) must_hold(lock_pool)
{
	struct leaf *leaf = (struct leaf *)(uintptr_t)page->id.owner;

	if (!page->id.own)
		leaf = sparse_leaf(&((struct object *)(uintptr_t)page->id.owner)->pages, page->id.index);
	leaf_set(leaf, page->id.index, word);
}

/* Back to where it was, with what we know now. */
static void keep_page(struct evict *evict, struct page *page) must_hold(lock_pool)
{
	bool memory = page->id.own || object_is_memory(page->id.owner);
	/* Stores to a pinned page go on, and no engine that cannot harvest would tell. */
	bool unseen = page->pins > 0 && (evict->pool->pmap->can & PMAP_CAN_HARVEST) == 0;

	if (page->dirty || memory || unseen) {
		pool_dirty(page, page->error != 0 ? PAGE_FAILED : PAGE_DIRTY);
	} else {
		page->state = PAGE_CLEAN;
	}
	if (page->state != PAGE_FAILED)
		page->dirty = false;
	if (page->swapped)
		pool_give_swap(evict->pool, page->next);
	page->swapped = false;
	if (page->queue == QUEUE_NONE)
		policy_insert(&evict->pool->policy, page);
}

static void free_page(struct evict *evict, struct page *page) must_hold(lock_pool)
{
	struct pool *pool = evict->pool;

	if (page->ahead) {
		pool_count(pool, page->tally, TALLY_AHEAD_WASTED, 1);
		readahead_wasted(&((struct object *)(uintptr_t)page->id.owner)->ahead);
	}
	/* A page of memory that was never stored into is dirty too: it was made so. */
	set_word(page, page->swapped ? WORD_SWAP | page->next : WORD_NONE);
	page->swapped = false; /* the place stays taken */
	policy_gone(&pool->policy, page);
	page->state = PAGE_CLEAN;
	page->dirty = false;
	pool_count(pool, page->tally, TALLY_EVICTED, 1);
	pool_forget(pool, page);
	evict->freed++;
}

/* With the lock. */
static void free_some(struct evict *evict, struct page **pages, uint32_t count) must_hold(lock_pool)
{
	struct pool *pool = evict->pool;
	uint32_t going = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct page *page = pages[i];

		if (page->id.owner == NULL) {
			page->state = PAGE_CLEAN; /* forgotten meanwhile: somebody unmapped or cut it */
			pool_forget(pool, page);
			evict->freed++;
		} else if (evict->keep || page->dirty || page->pins > 0) {
			keep_page(evict, page);
		} else {
			pages[going++] = page;
		}
	}
	pool_empty(pool, pages, going);
	for (uint32_t i = 0; i < going; i++)
		free_page(evict, pages[i]);
}

static void evict_free(struct evict *evict)
{
	evict->freed = 0;
	for (uint32_t i = 0; i < evict->count; i += EMPTY_MAX) {
		pool_lock(evict->pool);
		free_some(evict, &evict->pages[i], (uint32_t)min_u64(EMPTY_MAX, evict->count - i));
		pool_unlock(evict->pool);
	}
}

/* ---- the promise ---- */

uint32_t evict_batch(struct evict *evict)
{
	uint64_t began = pool_now(evict->pool);

	shown_enter(evict->pool, &evict->sections);
	evict_choose(evict);
	evict_unmap(evict);
	evict_ask(evict);
	shown_leave(&evict->sections);
	evict_sort(evict);
	evict_put(evict);
	evict_free(evict);
	if (evict->freed > 0)
		pool_took(evict->pool, 0, TALLY_TIME_EVICT, began);
	return evict->freed;
}
