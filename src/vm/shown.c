/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/shown.h"

#include <assert.h>
#include <stddef.h>

#include "base/align.h"
#include "vm/amap.h"
#include "vm/object.h"
#include "vm/seglist.h"

void shown_enter(struct pool *pool, struct sections *sections)
{
	sections->end = 0;
	pool_lock(pool);
	for (size_t i = 0; i < POOL_SPACES_MAX; i++) {
		struct as *as = atomic_load(&pool->spaces[i]);

		sections->as[i] = as;
		if (as == NULL)
			continue;
		sections->phase[i] = as_enter(as);
		sections->end = i + 1;
	}
	pool_unlock(pool);
}

void shown_leave(const struct sections *sections)
{
	for (size_t i = 0; i < sections->end; i++)
		if (sections->as[i] != NULL)
			as_leave(sections->as[i], sections->phase[i]);
}

void shown_add(struct page *page, const struct as *as, uintptr_t va)
{
	if (page->maps == MAPPED_ONCE && page_va(page) == va && page->space == as->space)
		return;
	page->maps = page->maps == MAPPED_NOWHERE ? MAPPED_ONCE : MAPPED_MANY;
	page->va_page = (va >> PAGE_SHIFT) & VA_PAGE_MAX;
	page->space = as->space;
}

void shown_drop(struct page *page, const struct as *as, uintptr_t va)
{
	if (page->maps == MAPPED_ONCE && page_va(page) == va && page->space == as->space)
		page->maps = MAPPED_NOWHERE;
}

struct page *shown_at(struct as *as, const struct seg *seg, uintptr_t va)
{
	uint32_t word = WORD_NONE;

	if (seg->amap != NULL)
		word = amap_get(seg->amap, seg_slot(seg, va), NULL);
	if (word == WORD_NONE && seg->object != NULL)
		word = sparse_get(&seg->object->pages, seg_index(seg, va), NULL);
	return word_is_frame(word) ? pool_page(as->pool, word) : NULL;
}

void shown_written(struct pool *pool, struct page *page)
{
	if (page->id.again)
		return; /* nobody can: an empty entry of anonymous memory says so of itself */
	page->dirty = page->dirty || page->state == PAGE_WRITING;
	if (page->state == PAGE_CLEAN)
		pool_dirty(page, PAGE_DIRTY);
	policy_seen(&pool->policy, page);
}

/* ---- a range ---- */

struct within {
	struct as *as;
	const struct seg *seg;
};

/* The first address from va on that could show a page: where neither amap nor object has a leaf none does. */
static uintptr_t next_leaf(const struct seg *seg, uintptr_t va, uintptr_t end) must_hold(lock_pool)
{
	uint64_t first = seg_index(seg, va);
	uint64_t next;

	if (seg->amap != NULL || seg->object == NULL)
		return va;
	next = sparse_next(&seg->object->pages, first, first + ((end - va) >> PAGE_SHIFT));
	return next == UINT64_MAX ? end : va + ((next - first) << PAGE_SHIFT);
}

static void written_in(void *user, const struct pmap_span *pages)
{
	const struct within *within = user;
	struct pool *pool = within->as->pool;

	/* A leaf at a time: a fault may wait for the lock. */
	for (uintptr_t va = pages->start; va < pages->end;) {
		uintptr_t end;

		pool_lock(pool);
		va = next_leaf(within->seg, va, pages->end);
		end = min_u64(pages->end, va + LEAF_WORDS * PAGE_BYTES);
		for (; va < end; va += PAGE_BYTES) {
			struct page *page = shown_at(within->as, within->seg, va);

			/* What is entered nowhere was asked when it was unmapped. */
			if (page != NULL && page->maps != MAPPED_NOWHERE)
				shown_written(pool, page);
		}
		pool_unlock(pool);
	}
}

/* The engine does not say: whatever is in memory of the object and could have been written was. */
static void assume_written(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	uint64_t index = seg_index(seg, start);
	uint64_t last = index + ((end - start) >> PAGE_SHIFT);

	if (seg->object == NULL || (seg->object->can & CAN_WRITE) == 0)
		return; /* private pages are dirty from their first moment */
	pool_lock(as->pool);
	for (; (index = sparse_next(&seg->object->pages, index, last)) != UINT64_MAX; index++) {
		uint32_t word = sparse_get(&seg->object->pages, index, NULL);

		if (word_is_frame(word) && pool_page(as->pool, word)->maps != MAPPED_NOWHERE)
			shown_written(as->pool, pool_page(as->pool, word));
	}
	pool_unlock(as->pool);
}

void shown_ask(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	const struct pmap_span span = { start, end };
	struct within within = { .as = as, .seg = seg };

	if ((as->pmap->can & PMAP_CAN_HARVEST) != 0 &&
		as->pmap->ops->harvest(as->pmap, &span, false, written_in, &within) < 0)
		assume_written(as, seg, start, end);
}

/* Pages of one sparse array within [first, last), shown from va on: they are shown there no more. With the lock. */
static void unlist(struct as *as, const struct sparse *pages, uint64_t first, uint64_t last, uintptr_t start)
	must_hold(lock_pool)
{
	uint64_t index = first;

	while ((index = sparse_next(pages, index, last)) != UINT64_MAX) {
		uint64_t end = min_u64(last, align_down(index, LEAF_WORDS) + LEAF_WORDS);

		for (; index < end; index++) {
			uint32_t word = sparse_get(pages, index, NULL);

			if (word_is_frame(word))
				shown_drop(pool_page(as->pool, word), as,
					start + ((index - first) << PAGE_SHIFT));
		}
	}
}

void shown_gone(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	uint64_t count = (end - start) >> PAGE_SHIFT;

	pool_lock(as->pool);
	if (seg->object != NULL)
		unlist(as, &seg->object->pages, seg_index(seg, start), seg_index(seg, start) + count, start);
	if (seg->amap != NULL)
		unlist(as, &seg->amap->words, seg_slot(seg, start), seg_slot(seg, start) + count, start);
	pool_unlock(as->pool);
}

int shown_hide(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	const struct pmap_span span = { start, end };
	int r;

	r = as->pmap->ops->remove(as->pmap, &span, 1);
	shown_ask(as, seg, start, end);
	if (r < 0) {
		assume_written(as, seg, start, end);
		return r;
	}
	shown_gone(as, seg, start, end);
	return 0;
}

int shown_drop_private(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	uint64_t first = seg_slot(seg, start);
	struct pool *pool = as->pool;
	int r = pool_refill(pool);

	if (r < 0)
		return r;
	pool_lock(pool);
	r = amap_drop(seg->amap, first, first + ((end - start) >> PAGE_SHIFT));
	pool_unlock(pool);
	return r;
}

/* ---- a page ---- */

/* The address at which a segment shows the page, or 0. With the pool's lock. */
static uintptr_t va_in(struct as *as, const struct seg *seg, const struct page *page) must_hold(lock_pool)
{
	uint64_t count = (seg->range.end - seg->range.start) >> PAGE_SHIFT;
	uint64_t first = page->id.own ? seg->amap_first : seg->range.offset >> PAGE_SHIFT;
	uintptr_t va;

	if (page->id.own ? seg->amap == NULL : seg->object != page->id.owner)
		return 0;
	if (page->id.index < first || page->id.index - first >= count)
		return 0;
	va = seg->range.start + ((page->id.index - first) << PAGE_SHIFT);
	return shown_at(as, seg, va) == page ? va : 0;
}

/* walk: all segments of a space: those in its list, and then those that have just left it and are hidden at this moment */
struct walk {
	struct as *as; /* in; NULL: there are none */
	const struct seg *seg;
	unsigned int going; /* how many of those that go were seen */
};

static const struct seg *next_going(struct walk *walk)
{
	const struct edit *edit = atomic_load(&walk->as->going);

	if (edit == NULL || edit->first + walk->going >= edit->last)
		return NULL; /* none, or all is known of them by now */
	return edit->old->segs[edit->first + walk->going++];
}

static const struct seg *next_seg(struct walk *walk)
{
	if (walk->as == NULL)
		return NULL;
	if (walk->going == 0) {
		const struct seg *seg = as_seg(walk->as, walk->seg == NULL ? 0 : walk->seg->range.end);

		if (seg != NULL)
			return walk->seg = seg;
	}
	return next_going(walk);
}

int shown_hide_page(struct pool *pool, const struct sections *sections, struct page *page)
{
	int r = 0;

	for (size_t i = 0; i < sections->end; i++) {
		struct as *as = sections->as[i];
		struct walk walk = { .as = as };

		for (const struct seg *seg; (seg = next_seg(&walk)) != NULL;) {
			struct pmap_span span;
			int failed;

			pool_lock(pool);
			span.start = va_in(as, seg, page);
			span.end = span.start + PAGE_BYTES;
			pool_unlock(pool);
			if (span.start == 0)
				continue;
			failed = as->pmap->ops->remove(as->pmap, &span, 1);
			shown_ask(as, seg, span.start, span.end);
			r = r < 0 ? r : failed;
		}
	}
	if (r < 0)
		return r;
	pool_lock(pool);
	page->maps = MAPPED_NOWHERE;
	pool_unlock(pool);
	return 0;
}

bool shown_locked(const struct sections *sections, const struct page *page)
{
	for (size_t i = 0; i < sections->end; i++) {
		struct as *as = sections->as[i];
		struct walk walk = { .as = as };

		if (as == NULL || atomic_load(&as->locked) == 0)
			continue;
		for (const struct seg *seg; (seg = next_seg(&walk)) != NULL;)
			if ((seg->range.flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0 &&
				va_in(as, seg, page) != 0)
				return true;
	}
	return false;
}

/* ---- an object ---- */

/* The part of a segment that shows pages [first, last) of an object; false: none. */
static bool part_of(const struct seg *seg, const struct object *object, uint64_t first, uint64_t last,
	struct pmap_span *part)
{
	uint64_t from = seg->range.offset >> PAGE_SHIFT;
	uint64_t to = from + ((seg->range.end - seg->range.start) >> PAGE_SHIFT);

	if (seg->object != object || to <= first || from >= last)
		return false;
	part->start = seg->range.start + ((max_u64(from, first) - from) << PAGE_SHIFT);
	part->end = seg->range.start + ((min_u64(to, last) - from) << PAGE_SHIFT);
	return true;
}

void shown_each(struct object *object, uint64_t first, uint64_t last, shown_part_fn *each, void *user)
{
	struct sections sections;
	struct pmap_span part;

	shown_enter(object->pool, &sections);
	for (size_t i = 0; i < sections.end; i++) {
		struct as *as = sections.as[i];
		struct walk walk = { .as = as };

		for (const struct seg *seg; (seg = next_seg(&walk)) != NULL;)
			if (part_of(seg, object, first, last, &part))
				each(user, as, seg, &part);
	}
	shown_leave(&sections);
}

static void harvest_part(void *user, struct as *as, const struct seg *seg, const struct pmap_span *part)
{
	(void)user;
	if ((seg->range.flags & PMAP_SHARED) != 0)
		shown_ask(as, seg, part->start, part->end);
}

void shown_harvest(struct object *object, uint64_t first, uint64_t last)
{
	shown_each(object, first, last, harvest_part, NULL);
}
