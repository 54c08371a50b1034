/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "base/align.h"
#include "front/front.h"
#include "vm/amap.h"
#include "vm/object.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* remap: one mremap in progress, passed through its steps */
struct remap {
	struct front *front;
	uintptr_t start;
	size_t old_length; /* rounded up */
	size_t new_length;
	int flags;
	uintptr_t new_start;
	struct seg vma; /* set by check_vma */
};

static bool has_place(const struct remap *m)
{
	return (m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0;
}

/* ---- decide ---- */

static int check_arguments(const struct remap *m)
{
	uintptr_t task = m->front->task_bytes;

	if ((m->flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) != 0)
		return -EINVAL;
	if (!is_aligned(m->start, PAGE_BYTES) || m->new_length == 0 || m->new_length > task)
		return -EINVAL;
	if (!has_place(m))
		return 0;
	if (m->new_start > task - m->new_length || !is_aligned(m->new_start, PAGE_BYTES))
		return -EINVAL;
	if ((m->flags & MREMAP_MAYMOVE) == 0)
		return -EINVAL;
	if ((m->flags & MREMAP_DONTUNMAP) != 0 && m->old_length != m->new_length)
		return -EINVAL;
	if (m->start < m->new_start + m->new_length && m->new_start < m->start + m->old_length)
		return -EINVAL;
	return 0;
}

static int check_vma(struct remap *m)
{
	if (!front_vma(m->front->as, m->start, &m->vma) || m->vma.range.start > m->start)
		return -EFAULT;
	if (!has_place(m) && m->new_length <= m->old_length)
		return 0;
	if (m->old_length == 0 && (m->vma.range.flags & PMAP_SHARED) == 0)
		return -EINVAL;
	/* What is cut off first may be anything. */
	if (min_u64(m->old_length, m->new_length) > m->vma.range.end - m->start)
		return -EFAULT;
	return 0;
}

/* ---- do ---- */

/* A mapping like the segment that shows `from`, but of other bytes: at `start`, showing what follows. */
static int map_like(struct as *as, const struct seg *seg, uintptr_t from, uintptr_t start, size_t length)
{
	struct map_request request = { .how = PMAP_EXACT, .range = seg->range, .object = seg->object };

	request.range.offset = seg->range.offset + (from - seg->range.start);
	request.range.start = start;
	request.range.end = start + length;
	return as_map(as, &request, &start);
}

/* Moves the pieces of [start, start + length), pages and all. The new place is free. */
static int move_pieces(struct as *as, uintptr_t start, size_t length, uintptr_t new_start)
{
	uintptr_t end = start + length;
	struct seg seg;
	int r = 0;

	for (uintptr_t va = start; r == 0 && va < end; va = seg.range.end) {
		struct map_target target = { .how = PMAP_EXACT, .start = new_start + (va - start) };
		uintptr_t got;

		if (!as_find(as, va, &seg) || seg.range.start > va)
			return -EFAULT;
		target.length = min_u64(end, seg.range.end) - va;
		r = as_move(as, va, va + target.length, &target, &got);
	}
	return r;
}

/* What is left behind by MREMAP_DONTUNMAP: the same mapping, with nothing private in it, and not locked. The kernel, which
 * does not split for it, takes the lock from all of the mapping that a part was moved out of. */
static int leave_behind(struct as *as, const struct seg *vma, uintptr_t start, size_t length)
{
	const uint32_t locks = PMAP_LOCKED | PMAP_LOCK_ONFAULT;
	struct seg like = *vma;
	int r;

	like.range.flags &= ~locks;
	r = map_like(as, &like, start, start, length);
	return r == 0 ? as_mark(as, vma->range.start, vma->range.end, 0, locks) : r;
}

/* Everything is decided and the place is free: old_length bytes go there, and new ones follow them. */
static int move(struct remap *m)
{
	struct as *as = m->front->as;
	size_t length = min_u64(m->old_length, m->new_length);
	int r = 0;

	if (length > 0)
		r = move_pieces(as, m->start, length, m->new_start);
	if (r == 0 && (m->flags & MREMAP_DONTUNMAP) != 0)
		r = leave_behind(as, &m->vma, m->start, length);
	if (r == 0 && m->new_length > length)
		r = map_like(as, &m->vma, m->start + length, m->new_start + length, m->new_length - length);
	return r;
}

static void populate_more(const struct remap *m, uintptr_t at)
{
	if (m->new_length > m->old_length && (m->vma.range.flags & PMAP_LOCKED) != 0 &&
		(m->vma.range.flags & PMAP_LOCK_ONFAULT) == 0)
		(void)front_populate(m->front->as, at + m->old_length, at + m->new_length, true);
}

/* To a place that was named: what stands there goes. */
static int remap_to(struct remap *m, uintptr_t *address)
{
	struct as *as = m->front->as;
	int r = 0;

	if ((m->flags & MREMAP_FIXED) != 0)
		r = as_unmap(as, m->new_start, m->new_start + m->new_length);
	if (r == 0 && m->old_length > m->new_length)
		r = as_unmap(as, m->start + m->new_length, m->start + m->old_length);
	if (r < 0)
		return r;
	/* The new place may have been the old one: then there is nothing left to show twice. */
	if (!front_vma(as, m->start, &m->vma) || m->vma.range.start > m->start)
		return -EFAULT;
	if ((m->flags & MREMAP_FIXED) == 0) {
		m->new_start = as_place(as, m->new_start, m->new_length);
		if (m->new_start == 0)
			return -ENOMEM;
	}
	r = move(m);
	if (r < 0)
		return r;
	populate_more(m, m->new_start);
	*address = m->new_start;
	return 0;
}

static int grow(struct remap *m, uintptr_t *address)
{
	struct as *as = m->front->as;
	uintptr_t end = m->start + m->old_length;
	size_t more = m->new_length - m->old_length;
	int r;

	*address = m->start;
	if (end == m->vma.range.end && more <= m->front->task_bytes - end &&
		as_count(as, end, end + more) == 0) {
		r = map_like(as, &m->vma, end, end, more);
		if (r == 0)
			populate_more(m, m->start);
		return r;
	}
	if ((m->flags & MREMAP_MAYMOVE) == 0)
		return -ENOMEM;
	m->new_start = 0;
	return remap_to(m, address);
}

static int remap_at(struct remap *m, uintptr_t *address)
{
	int r = 0;

	if (m->new_length > m->old_length)
		return grow(m, address);
	if (m->new_length < m->old_length)
		r = as_unmap(m->front->as, m->start + m->new_length, m->start + m->old_length);
	if (r == 0)
		*address = m->start;
	return r;
}

/* A pure move may take several mappings along, with the holes between them. */
static int remap_many(const struct remap *whole, uintptr_t *address)
{
	uintptr_t end = whole->start + whole->old_length;
	uintptr_t target = whole->new_start;
	uintptr_t last_end = whole->start;
	struct seg vma;
	bool first = true;

	for (uintptr_t va = whole->start; va < end && front_vma(whole->front->as, va, &vma);
		va = vma.range.end) {
		struct remap m = *whole;
		uintptr_t got = 0;
		int r;

		if (first && vma.range.start > whole->start)
			return -EFAULT;
		if (vma.range.start >= end)
			break;
		/* What was moved before may have become one with what follows it: its lock is gone. */
		m.start = max_u64(vma.range.start, va);
		m.old_length = m.new_length = min_u64(end, vma.range.end) - m.start;
		m.new_start = target + (first ? 0 : m.start - last_end);
		last_end = vma.range.end;
		r = check_vma(&m);
		if (r == 0)
			r = remap_to(&m, &got);
		if (r < 0)
			return r;
		if (first)
			*address = got;
		first = false;
		target = got + m.new_length;
	}
	return first ? -EFAULT : 0;
}

int front_mremap(struct front *front, uintptr_t start, size_t old_length, size_t new_length, int flags,
	uintptr_t new_start, uintptr_t *address)
{
	struct remap m = {
		.front = front,
		.start = start,
		.old_length = (old_length + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1),
		.new_length = (new_length + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1),
		.flags = flags,
		.new_start = new_start,
	};
	int r;

	r = check_arguments(&m);
	if (r < 0)
		return r;
	if ((flags & MREMAP_FIXED) != 0 && m.old_length == m.new_length)
		return remap_many(&m, address);
	r = check_vma(&m);
	if (r < 0)
		return r;
	return has_place(&m) ? remap_to(&m, address) : remap_at(&m, address);
}
