/* SPDX-License-Identifier: Apache-2.0 */
/* front/advise.c - madvise and msync. */
#include <assert.h>
#include <errno.h>
#include <linux/mman.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/align.h"
#include "front/front.h"
#include "vm/fault.h"
#include "vm/object.h"
#include "vm/pageout.h"
#include "vm/shown.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* ---- advice ---- */

/* What an advice wants of a segment, and what the segment remembers of it. */
struct advice {
	int (*act)(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end);
	int number;
	uint32_t set;
	uint32_t clear;
	bool not_locked;
	bool private_memory; /* else -EINVAL */
};

static bool is_locked(const struct seg *seg)
{
	return (seg->range.flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0;
}

static int act_dontneed(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	int r = shown_hide(as, seg, start, end);

	return r < 0 || seg->amap == NULL ? r : shown_drop_private(as, seg, start, end);
}

static int act_remove(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	(void)as;
	if (seg->object == NULL)
		return -EINVAL;
	if ((seg->range.flags & PMAP_SHARED) == 0 || (seg->range.flags & PMAP_NEVER_WRITE) != 0)
		return -EACCES;
	return front_punch(seg->object, seg_index(seg, start), seg_index(seg, end - 1) + 1);
}

static int act_willneed(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	/* Nothing can be read ahead of what is in memory or nowhere. */
	if (seg->object == NULL || object_is_memory(seg->object) || seg->range.prot == 0)
		return 0;
	(void)fault_ahead(as, start, end);
	fault_begin_ahead(as, start);
	return 0;
}

static int act_pageout(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end)
{
	(void)as;
	if (seg->object != NULL && (seg->range.flags & PMAP_SHARED) != 0)
		(void)pageout_range(seg->object, seg_index(seg, start), seg_index(seg, end - 1) + 1);
	return 0;
}

static const struct advice advices[] = {
	{ NULL, MADV_NORMAL, 0, PMAP_RANDOM | PMAP_SEQUENTIAL, false, false },
	{ NULL, MADV_RANDOM, PMAP_RANDOM, PMAP_SEQUENTIAL, false, false },
	{ NULL, MADV_SEQUENTIAL, PMAP_SEQUENTIAL, PMAP_RANDOM, false, false },
	{ act_willneed, MADV_WILLNEED, 0, 0, false, false },
	{ act_dontneed, MADV_DONTNEED, 0, 0, true, false },
	{ NULL, MADV_FREE, 0, 0, true, true }, /* may be freed: we keep it until memory is short */
	{ act_remove, MADV_REMOVE, 0, 0, true, false },
	{ NULL, MADV_DONTFORK, PMAP_DONTFORK, 0, false, false },
	{ NULL, MADV_DOFORK, 0, PMAP_DONTFORK, false, false },
	{ NULL, MADV_WIPEONFORK, PMAP_WIPEONFORK, 0, false, true },
	{ NULL, MADV_KEEPONFORK, 0, PMAP_WIPEONFORK, false, false },
	{ NULL, MADV_DONTDUMP, PMAP_DONTDUMP, 0, false, false },
	{ NULL, MADV_DODUMP, 0, PMAP_DONTDUMP, false, false },
	{ NULL, MADV_HUGEPAGE, PMAP_HUGEPAGE, PMAP_NOHUGEPAGE, false, false },
	{ NULL, MADV_NOHUGEPAGE, PMAP_NOHUGEPAGE, PMAP_HUGEPAGE, false, false },
	{ NULL, MADV_COLD, 0, 0, true, false },
	{ act_pageout, MADV_PAGEOUT, 0, 0, true, false },
	{ NULL, MADV_POPULATE_READ, 0, 0, false, false },
	{ NULL, MADV_POPULATE_WRITE, 0, 0, false, false },
};

static const struct advice *find_advice(int number)
{
	for (size_t i = 0; i < ARRAY_COUNT(advices); i++)
		if (advices[i].number == number)
			return &advices[i];
	return NULL;
}

static int advise_part(
	struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end, const struct advice *advice)
{
	if (advice->not_locked && is_locked(seg))
		return -EINVAL;
	if (advice->private_memory && (seg->object != NULL || (seg->range.flags & PMAP_SHARED) != 0))
		return -EINVAL;
	if (advice->act != NULL) {
		/* The copy of the segment stays good: its object and amap are held by the section. */
		unsigned int phase = as_enter(as);
		const struct seg *now = as_seg(as, start);
		bool same = now != NULL && now->range.start <= start && now->range.end >= end;
		int r = same && advice->act != act_remove && advice->act != act_pageout
			? advice->act(as, now, start, end)
			: 0;

		as_leave(as, phase);
		/* These wait for others, so they hold the object themselves. */
		if (same && (advice->act == act_remove || advice->act == act_pageout)) {
			struct object *object = seg->object == NULL ? NULL : object_ref(seg->object);

			r = advice->act(as, seg, start, end);
			object_unref(object);
		}
		return r;
	}
	if ((advice->set | advice->clear) == 0)
		return 0;
	return as_mark(as, start, end, advice->set, advice->clear);
}

/* Errors of faults as MADV_POPULATE_ tells them. */
static int populate_error(int r)
{
	if (r == -EACCES)
		return -EINVAL;
	return r == -ENOMEM || r == 0 ? r : -EFAULT;
}

static int populate(struct as *as, uintptr_t start, uintptr_t end, bool store)
{
	struct seg seg;
	int r = 0;

	for (uintptr_t va = start; r == 0 && va < end; va += PAGE_BYTES) {
		if (!as_find(as, va, &seg) || seg.range.start > va)
			return -ENOMEM;
		/* Stricter than a load is, here where what may be written may be read. */
		if ((seg.range.prot & (store ? PMAP_WRITE : PMAP_READ)) == 0)
			return -EINVAL;
		r = fault_handle(as, va, store ? PMAP_WRITE : PMAP_READ, FAULT_ALLOCATE);
	}
	return populate_error(r);
}

static int advise_parts(struct as *as, uintptr_t start, uintptr_t end, const struct advice *advice)
{
	struct seg seg;
	int hole = 0;

	for (uintptr_t va = start; va < end;) {
		int r;

		if (!as_find(as, va, &seg))
			return -ENOMEM;
		if (seg.range.start > va) {
			hole = -ENOMEM; /* told at the end; both sides get the advice */
			va = seg.range.start;
			if (va >= end)
				break;
		}
		r = advise_part(as, &seg, va, min_u64(end, seg.range.end), advice);
		if (r < 0)
			return r;
		va = seg.range.end;
	}
	return hole;
}

int front_madvise(struct front *front, uintptr_t start, size_t length, int number)
{
	const struct advice *advice = find_advice(number);
	uintptr_t end;

	if ((advice == NULL && number != MADV_COLLAPSE) || !is_aligned(start, PAGE_BYTES) ||
		!front_end(start, length, &end))
		return -EINVAL;
	if (start == end)
		return 0;
	if (advice == NULL)
		return as_count(front->as, start, start + 1) == 0 ? -ENOMEM : -EINVAL; /* no huge frames */
	if (number == MADV_POPULATE_READ || number == MADV_POPULATE_WRITE)
		return populate(front->as, start, end, number == MADV_POPULATE_WRITE);
	return advise_parts(front->as, start, end, advice);
}

/* ---- msync ---- */

static int sync_part(const struct seg *seg, uintptr_t start, uintptr_t end)
{
	struct object *object;
	int r;

	if (seg->object == NULL || (seg->range.flags & PMAP_SHARED) == 0)
		return 0;
	object = object_ref(seg->object);
	r = object_flush(object, seg_index(seg, start), seg_index(seg, end - 1) + 1, FLUSH_SYNC);
	object_unref(object);
	return r;
}

static int sync_parts(struct as *as, uintptr_t start, uintptr_t end, int flags)
{
	struct seg seg;
	int hole = 0;
	int r = 0;

	for (uintptr_t va = start; r == 0 && va < end; va = seg.range.end) {
		if (!as_find(as, va, &seg))
			return -ENOMEM;
		if (seg.range.start > va) {
			if (flags == MS_ASYNC)
				return -ENOMEM;
			hole = -ENOMEM;
			va = seg.range.start;
			if (va >= end)
				break;
		}
		if ((flags & MS_INVALIDATE) != 0 && is_locked(&seg))
			return -EBUSY;
		if ((flags & MS_SYNC) != 0)
			r = sync_part(&seg, va, min_u64(end, seg.range.end));
	}
	return r < 0 ? r : hole;
}

int front_msync(struct front *front, uintptr_t start, size_t length, int flags)
{
	uintptr_t end;

	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 || !is_aligned(start, PAGE_BYTES) ||
		((flags & MS_ASYNC) != 0 && (flags & MS_SYNC) != 0))
		return -EINVAL;
	if (length > SIZE_MAX - (PAGE_BYTES - 1))
		return 0; /* the kernel rounds it up to 0 */
	if (!front_end(start, length, &end))
		return -ENOMEM;
	return sync_parts(front->as, start, end, flags);
}
