/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/as.h"

#include <assert.h>
#include <errno.h>

#include "base/align.h"
#include "vm/amap.h"
#include "vm/fault.h"
#include "vm/object.h"
#include "vm/pool.h"
#include "vm/seglist.h"
#include "vm/shown.h"

static void lock_space(struct as *as) acquires(lock_as) lock_check_off
{
	lock_take(&as->lock);
}

static void unlock_space(struct as *as) releases(lock_as) lock_check_off
{
	lock_give(&as->lock);
}

/* Is all of [start, end) in segments that have these flags? */
static bool covers(struct as *as, uintptr_t start, uintptr_t end, uint32_t flags)
{
	struct seg seg;

	for (uintptr_t va = start; va < end; va = seg.range.end)
		if (!as_find(as, va, &seg) || seg.range.start > va || (seg.range.flags & flags) != flags)
			return false;
	return true;
}

unsigned int as_count(struct as *as, uintptr_t start, uintptr_t end)
{
	struct seg seg;
	unsigned int count = 0;

	for (uintptr_t va = start; va < end && as_find(as, va, &seg) && seg.range.start < end;
		va = seg.range.end)
		count++;
	return count;
}

int as_up(void *above, struct pmap_question *question)
{
	struct as *as = above;
	struct seg seg;

	if (question->kind == PMAP_FILL)
		return fault_handle(
			as, question->va, question->access, question->allocate ? FAULT_ALLOCATE : 0);
	if (!as_find(as, question->va, &seg))
		return -ENOENT;
	question->range = seg.range;
	return 0;
}

/* ---- the operations ---- */

/*
 * Publishes (A3); then nobody reaches the pages of what is being taken away, and what was written is known. Or the engine's
 * error.
 *
 * Whoever asks for all places of a page meanwhile no longer finds this one in the list, and would take the page for clean:
 * so it is shown to them as going. And whoever has read one of the addresses from a page is waited for, since the next to
 * live there may be a stranger.
 */
static int publish_and_hide(struct edit *edit, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	struct as *as = edit->as;
	int r = 0;

	if (as->pool == NULL) {
		edit_publish(edit);
		return 0;
	}
	atomic_store(&as->going, edit);
	edit_publish(edit);
	seglist_wait(as);
	for (unsigned int i = edit->first; i < edit->last; i++) {
		const struct seg *seg = edit->old->segs[i];
		int failed = shown_hide(
			as, seg, max_u64(start, seg->range.start), min_u64(end, seg->range.end));

		r = r < 0 ? r : failed;
	}
	atomic_store(&as->going, NULL);
	seglist_wait(as);
	return r;
}

/* What could not be hidden went with the addresses; and of what was private nothing is left. */
static void leave_pages(struct edit *edit, uintptr_t start, uintptr_t end, bool hidden) must_hold(lock_as)
{
	for (unsigned int i = edit->first; i < edit->last; i++) {
		const struct seg *seg = edit->old->segs[i];
		uintptr_t from = max_u64(start, seg->range.start);
		uintptr_t to = min_u64(end, seg->range.end);

		if (!hidden)
			shown_gone(edit->as, seg, from, to);
		/* Without memory for a leaf of its own, what is shared after a fork stays until the amap goes: nobody sees it. */
		if (seg->amap != NULL)
			(void)shown_drop_private(edit->as, seg, from, to);
	}
}

static int unmap_locked(struct as *as, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	struct pmap_span span = { start, end };
	struct edit edit;
	bool hidden;
	int r;

	r = seglist_reserve(as, SEGS_MORE_AT_MOST, 1);
	if (r < 0)
		return r;

	edit_begin(&edit, as, start, end);
	edit_put_below(&edit, start);
	edit_put_above(&edit, end);
	hidden = publish_and_hide(&edit, start, end) == 0;
	r = as->pmap->ops->detach(as->pmap, &span);
	if (r < 0) {
		edit_revert(&edit);
		return r;
	}
	leave_pages(&edit, start, end, hidden);
	edit_finish(&edit);
	return 0;
}

/* What vm itself has to decide when the engine does not choose addresses. */
static int choose_place(struct as *as, struct pmap_range *range, enum pmap_how *how)
{
	size_t length = range->end - range->start;

	if ((as->pmap->can & PMAP_CAN_PLACE) != 0 || *how == PMAP_REPLACE)
		return 0;
	if (*how == PMAP_EXACT)
		return as_count(as, range->start, range->end) == 0 ? 0 : -EEXIST;
	range->start = as_place(as, *how == PMAP_HINT ? range->start : 0, length);
	range->end = range->start + length;
	*how = PMAP_EXACT;
	return range->start == 0 ? -ENOMEM : 0;
}

/* Decides: what is to be mapped, with all the memory for it. */
static int map_prepare(struct as *as, const struct map_request *request, struct seg *seg, enum pmap_how *how)
	must_hold(lock_as)
{
	int r;

	if (request->over_reserved && !covers(as, seg->range.start, seg->range.end, PMAP_RESERVED))
		return -EEXIST;
	r = choose_place(as, &seg->range, how);
	if (r == 0)
		r = seglist_reserve(as, 2 * SEGS_MORE_AT_MOST, 2);
	if (r < 0 || as->pool == NULL)
		return r;

	r = pool_refill(as->pool);
	if (r == 0 && seg->object != NULL)
		r = object_join(seg->object, as->pool);
	if (r < 0 || (seg->range.flags & (PMAP_SHARED | PMAP_RESERVED)) != 0)
		return r;
	seg->amap_first = request->amap_first;
	seg->amap = request->amap != NULL ? amap_ref(request->amap) : amap_new(as->pool);
	return seg->amap == NULL ? -ENOMEM : 0;
}

static int map_locked(struct as *as, const struct map_request *request, uintptr_t *address) must_hold(lock_as)
{
	struct seg seg = { .range = request->range, .object = request->object };
	enum pmap_how how = request->how;
	struct edit edit;
	int r;

	r = map_prepare(as, request, &seg, &how);
	if (r == 0 && how == PMAP_REPLACE && as->pool != NULL)
		r = unmap_locked(as, seg.range.start, seg.range.end);
	if (r < 0)
		goto give_back;

	seg.range.window = object_window(request->object);
	seg.range.home = request->object == NULL || request->object->again ? NULL : &request->object->home;
	r = as->pmap->ops->attach(as->pmap, &seg.range, how);
	if (r < 0)
		goto give_back;

	edit_begin(&edit, as, seg.range.start, seg.range.end);
	edit_put_below(&edit, seg.range.start);
	(void)edit_put(&edit, &seg, seg.range.start, seg.range.end);
	edit_put_above(&edit, seg.range.end);
	edit_publish(&edit);
	edit_finish(&edit);
	*address = seg.range.start;
	if ((seg.range.flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0)
		atomic_store(&as->locked, 1);

give_back:
	amap_unref(seg.amap); /* the published segment has its own reference */
	return r;
}

int as_map(struct as *as, const struct map_request *request, uintptr_t *address)
{
	int r;

	lock_space(as);
	r = map_locked(as, request, address);
	unlock_space(as);
	return r;
}

int as_unmap(struct as *as, uintptr_t start, uintptr_t end)
{
	int r;

	lock_space(as);
	r = unmap_locked(as, start, end);
	unlock_space(as);
	return r;
}

static bool is_segment(struct as *as, uintptr_t start, uintptr_t end, const void *owner) must_hold(lock_as)
{
	const struct seg *seg = as_seg(as, start);

	return seg != NULL && seg->range.start == start && seg->range.end == end && seg->range.owner == owner;
}

int as_unmap_segment(struct as *as, uintptr_t start, uintptr_t end, const void *owner)
{
	int r = -ESRCH;

	lock_space(as);
	if (is_segment(as, start, end, owner))
		r = unmap_locked(as, start, end);
	unlock_space(as);
	return r;
}

/* What a change of properties does to each segment; prot or nodes NULL: leave it. */
struct change {
	const unsigned int *prot;
	const struct pmap_nodes *nodes;
	uint32_t set;
	uint32_t clear;
};

static int change_segment(struct edit *edit, struct seg *seg, const struct change *change) must_hold(lock_as)
{
	struct pmap *pmap = edit->as->pmap;

	seg->range.flags = (seg->range.flags & ~change->clear) | change->set;
	if (change->nodes != NULL)
		seg->range.nodes = *change->nodes;
	if (change->prot == NULL)
		return 0;
	seg->range.prot = (uint8_t)*change->prot;
	return pmap->ops->protect(pmap, &seg->range);
}

/* A fault that had found the old segment may have entered a page with its rights since they were taken away. */
static void protect_again(struct edit *edit, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	struct as *as = edit->as;

	seglist_wait(as);
	for (unsigned int i = edit->first; i < edit->put_end; i++) {
		struct seg part = *edit->new->segs[i];

		if (seg_cut(&part, max_u64(start, part.range.start), min_u64(end, part.range.end)))
			(void)as->pmap->ops->protect(as->pmap, &part.range); /* it could a moment ago */
	}
}

/* The segments of [start, end) with other properties. As with mprotect, what was done before an error stays done: the
 * segment that failed and those behind it are put back as they were. What has become alike becomes one. */
static int change_locked(struct as *as, uintptr_t start, uintptr_t end, const struct change *change)
	must_hold(lock_as)
{
	struct edit edit;
	int r;

	r = seglist_reserve(as, as_count(as, start, end) + SEGS_MORE_AT_MOST, 1);
	if (r < 0)
		return r;

	edit_begin_wide(&edit, as, start, end);
	edit_put_below(&edit, start);
	for (unsigned int i = edit.first; i < edit.last; i++) {
		const struct seg *old = edit.old->segs[i];
		struct seg *seg = edit_put(&edit, old, start, end);

		if (seg == NULL)
			continue; /* a neighbour */
		if (r == 0)
			r = change_segment(&edit, seg, change);
		if (r < 0) {
			seg->range.prot = old->range.prot;
			seg->range.flags = old->range.flags;
		}
	}
	edit_put_above(&edit, end);
	edit_join(&edit);
	edit_publish(&edit);
	if (as->pool != NULL && change->prot != NULL)
		protect_again(&edit, start, end);
	edit_finish(&edit);
	return r;
}

static int change_range(struct as *as, uintptr_t start, uintptr_t end, const struct change *change)
{
	int r;

	lock_space(as);
	if ((change->set & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0)
		atomic_store(&as->locked, 1);
	r = change_locked(as, start, end, change);
	unlock_space(as);
	return r;
}

int as_protect(struct as *as, uintptr_t start, uintptr_t end, unsigned int prot)
{
	return change_range(as, start, end, &(struct change){ .prot = &prot });
}

int as_mark(struct as *as, uintptr_t start, uintptr_t end, uint32_t set, uint32_t clear)
{
	return change_range(as, start, end, &(struct change){ .set = set, .clear = clear });
}

int as_mark_nodes(struct as *as, uintptr_t start, uintptr_t end, const struct pmap_nodes *nodes)
{
	return change_range(as, start, end, &(struct change){ .nodes = nodes });
}

void as_freeze(struct as *as, uintptr_t start, uintptr_t end)
{
	struct seg seg;

	lock_space(as);
	for (uintptr_t va = start; va < end && as_find(as, va, &seg) && seg.range.start < end;
		va = seg.range.end) {
		seg.range.prot &= (uint8_t)~PMAP_WRITE;
		if ((seg.range.flags & PMAP_SHARED) == 0)
			(void)as->pmap->ops->protect(as->pmap, &seg.range);
	}
	unlock_space(as);
}

static int move_locked(struct as *as, uintptr_t start, uintptr_t end, const struct map_target *target,
	uintptr_t *address) must_hold(lock_as)
{
	struct edit leave;
	struct edit arrive;
	struct seg seg;
	struct pmap_range to = { .start = target->start, .end = target->start + target->length };
	enum pmap_how how = target->start == start ? PMAP_REPLACE : target->how;
	int r;

	if (!as_find(as, start, &seg) || !seg_cut(&seg, start, end))
		return -EFAULT;
	r = seglist_reserve(as, 2 * SEGS_MORE_AT_MOST, 2);
	if (r == 0)
		r = choose_place(as, &to, &how);
	if (r < 0)
		return r;

	/* Two changes, as the places are two runs: the old one goes first (A3). */
	edit_begin(&leave, as, start, end);
	edit_put_below(&leave, start);
	edit_put_above(&leave, end);
	r = publish_and_hide(&leave, start, end);
	if (r == 0)
		r = pmap_move(as->pmap, &seg.range, how, to.start, target->length);
	if (r < 0) {
		edit_revert(&leave);
		return r;
	}
	edit_begin(&arrive, as, seg.range.start, seg.range.end);
	(void)edit_put(&arrive, &seg, seg.range.start, seg.range.end);
	edit_publish(&arrive);
	edit_finish(&leave);
	edit_finish(&arrive);
	*address = seg.range.start;
	return 0;
}

int as_move(
	struct as *as, uintptr_t start, uintptr_t end, const struct map_target *target, uintptr_t *address)
{
	int r;

	lock_space(as);
	r = move_locked(as, start, end, target, address);
	unlock_space(as);
	return r;
}

/* ---- begin and end ---- */

int as_init(struct as *as, struct pmap *pmap)
{
	*as = (struct as){ .pmap = pmap };
	lock_init(&as->lock);
	return seglist_init(as);
}

int as_use_pool(struct as *as, struct pool *pool)
{
	int r;

	assert(atomic_load(&as->list)->count == 0);
	r = pool_join(pool, as, &as->space);
	if (r == 0)
		as->pool = pool;
	return r;
}

void as_done(struct as *as)
{
	struct seg seg;

	while (as_find(as, 0, &seg))
		(void)as_unmap(as, seg.range.start,
			seg.range.end); /* a whole segment: nothing is split, so it cannot fail */
	if (as->pool != NULL) {
		pool_leave(as->pool, as->space);
		lock_space(as);
		seglist_wait(as);
		unlock_space(as);
	}
	seglist_done(as);
	lock_done(&as->lock);
}

uintptr_t as_place(struct as *as, uintptr_t hint, size_t length)
{
	uintptr_t high = as->high;
	const struct seglist *list;
	uintptr_t place = 0;
	unsigned int phase;

	hint = align_down(hint, PAGE_BYTES);
	if (hint != 0 && length <= as->high && hint <= as->high - length &&
		as_count(as, hint, hint + length) == 0)
		return hint;

	phase = as_enter(as);
	list = atomic_load(&as->list);
	for (unsigned int i = list->count; place == 0; i--) {
		uintptr_t floor = i == 0 ? as->low : max_u64(as->low, list->segs[i - 1]->range.end);

		if (high > floor && high - floor >= length)
			place = high - length;
		if (i == 0)
			break;
		high = min_u64(high, list->segs[i - 1]->range.start);
	}
	as_leave(as, phase);
	return place;
}
