/* SPDX-License-Identifier: Apache-2.0 */
/* front/residency.c - mlock, munlock, mincore, bringing pages in, and what else is asked of pages. */
#include <assert.h>
#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "base/align.h"
#include "front/front.h"
#include "vm/amap.h"
#include "vm/fault.h"
#include "vm/object.h"
#include "vm/pool.h"
#include "vm/shown.h"

int front_populate(struct as *as, uintptr_t start, uintptr_t end, bool break_cow)
{
	struct seg seg;
	int r = 0;

	for (uintptr_t va = start; r == 0 && va < end; va += PAGE_BYTES) {
		bool copy;

		if (!as_find(as, va, &seg) || seg.range.start > va)
			return -ENOMEM;
		copy = break_cow && (seg.range.flags & PMAP_SHARED) == 0 &&
			(seg.range.prot & PMAP_WRITE) != 0;
		r = fault_handle(as, va, copy ? PMAP_WRITE : PMAP_READ, FAULT_ALLOCATE);
	}
	return r;
}

/* ---- mlock ---- */

static int mark_parts(struct as *as, uintptr_t start, uintptr_t end, uint32_t set, uint32_t clear)
{
	struct seg seg;

	for (uintptr_t va = start; va < end; va = seg.range.end) {
		int r;

		if (!as_find(as, va, &seg) || seg.range.start > va)
			return -ENOMEM; /* what came before stays locked */
		r = as_mark(as, va, min_u64(end, seg.range.end), set, clear);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The kernel rounds the start down and the length up. */
static bool widen(uintptr_t *start, size_t length, uintptr_t *end)
{
	size_t more;

	if (__builtin_add_overflow(length, *start % PAGE_BYTES, &more))
		more = length + *start % PAGE_BYTES; /* wraps, as there */
	*start = align_down(*start, PAGE_BYTES);
	more = (more + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	return !__builtin_add_overflow(*start, more, end);
}

int front_mlock(struct front *front, uintptr_t start, size_t length, int flags)
{
	bool on_fault = (flags & MLOCK_ONFAULT) != 0;
	uintptr_t end;
	int r;

	if ((flags & ~MLOCK_ONFAULT) != 0)
		return -EINVAL;
	if (front->lock_bytes_max == 0)
		return -EPERM;
	if (!widen(&start, length, &end))
		return -EINVAL;
	if (start == end)
		return 0;
	if (end - start > front->lock_bytes_max)
		return -ENOMEM;
	r = mark_parts(front->as, start, end, PMAP_LOCKED | (on_fault ? PMAP_LOCK_ONFAULT : 0),
		on_fault ? 0 : PMAP_LOCK_ONFAULT);
	if (r == 0 && !on_fault && front_populate(front->as, start, end, true) < 0)
		r = -ENOMEM;
	return r;
}

int front_munlock(struct front *front, uintptr_t start, size_t length)
{
	uintptr_t end;

	if (!widen(&start, length, &end))
		return -EINVAL;
	return start == end ? 0 : mark_parts(front->as, start, end, 0, PMAP_LOCKED | PMAP_LOCK_ONFAULT);
}

/* ---- mincore ---- */

static bool is_resident(struct as *as, const struct seg *seg, uintptr_t va)
{
	uint32_t word = WORD_NONE;

	pool_lock(as->pool);
	if (seg->amap != NULL)
		word = amap_get(seg->amap, seg_slot(seg, va), NULL);
	if (word == WORD_NONE && seg->object != NULL)
		word = sparse_get(&seg->object->pages, seg_index(seg, va), NULL);
	pool_unlock(as->pool);
	return word_is_frame(word);
}

int front_mincore(struct front *front, uintptr_t start, size_t length, unsigned char *pages)
{
	struct as *as = front->as;
	uintptr_t end;

	if (!is_aligned(start, PAGE_BYTES))
		return -EINVAL;
	if (start > front->task_bytes || length > front->task_bytes - start ||
		!front_end(start, length, &end))
		return -ENOMEM;
	for (uintptr_t va = start; va < end; va += PAGE_BYTES) {
		unsigned int phase = as_enter(as);
		const struct seg *seg = as_seg(as, va);
		bool there = seg != NULL && seg->range.start <= va;

		if (there && pages != NULL)
			pages[(va - start) >> PAGE_SHIFT] = is_resident(as, seg, va);
		as_leave(as, phase);
		if (!there)
			return -ENOMEM;
		if (pages == NULL)
			return -EFAULT; /* found out when the first answer is copied */
	}
	return 0;
}

/* ---- pins and dirty pages ---- */

bool front_pinned(struct as *as, uintptr_t va)
{
	unsigned int phase = as_enter(as);
	const struct seg *seg = as_seg(as, va);
	bool pinned = false;

	if (seg != NULL && seg->range.start <= va) {
		const struct page *page;

		pool_lock(as->pool);
		page = shown_at(as, seg, va);
		pinned = page != NULL && page->pins > 0;
		pool_unlock(as->pool);
	}
	as_leave(as, phase);
	return pinned;
}

static bool is_dirty(const struct page *page) must_hold(lock_pool)
{
	return page->state == PAGE_DIRTY ||
		((page->state == PAGE_WRITING || page->state == PAGE_FAILED) && page->dirty);
}

static uint64_t dirty_in(struct as *as, const struct object *object, uint64_t first, uint64_t last)
{
	uint64_t index = first;
	uint64_t bytes = 0;

	while (index < last) {
		uint64_t end;

		/* A leaf at a time: a fault may wait for the lock. */
		pool_lock(as->pool);
		index = sparse_next(&object->pages, index, last);
		for (end = min_u64(last, align_down(index, LEAF_WORDS) + LEAF_WORDS); index < end; index++) {
			uint32_t word = sparse_get(&object->pages, index, NULL);

			if (word_is_frame(word) && is_dirty(pool_page(as->pool, word)))
				bytes += PAGE_BYTES;
		}
		pool_unlock(as->pool);
	}
	return bytes;
}

uint64_t front_dirty(struct as *as, uintptr_t start, uintptr_t end)
{
	unsigned int phase = as_enter(as);
	const struct seg *seg = as_seg(as, start);
	uint64_t bytes = 0;

	for (; seg != NULL && seg->range.start < end; seg = as_seg(as, seg->range.end)) {
		uintptr_t from = max_u64(start, seg->range.start);
		uintptr_t to = min_u64(end, seg->range.end);

		if ((seg->range.flags & PMAP_SHARED) == 0 || seg->object == NULL ||
			object_is_memory(seg->object))
			continue;
		shown_ask(as, seg, from, to);
		bytes += dirty_in(as, seg->object, seg_index(seg, from), seg_index(seg, to));
	}
	as_leave(as, phase);
	return bytes;
}
