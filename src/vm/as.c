/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/as.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "vm/amap.h"
#include "vm/fault.h"
#include "vm/object.h"
#include "vm/pool.h"
#include "vm/shown.h"

struct seglist {
	struct seglist *next;
	unsigned int count;
	unsigned int room;
	struct seg *segs[];
};

/* A change leaves at most two segments more than there were (a split at each end), and the new one. */
enum { MORE_AT_MOST = 3, ROOM_MIN = 14 };

static void lock_space(struct as *as) acquires(lock_as) lock_check_off
{
	lock_take(&as->lock);
}

static void unlock_space(struct as *as) releases(lock_as) lock_check_off
{
	lock_give(&as->lock);
}

/* ---- searching ---- */

/* Index of the first segment that ends above va. */
static unsigned int list_search(const struct seglist *list, uintptr_t va)
{
	unsigned int low = 0;
	unsigned int high = list->count;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (list->segs[middle]->range.end <= va)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A reader that met a flip steps back: the change it would delay has begun to wait. */
unsigned int as_enter(struct as *as)
{
	for (;;) {
		unsigned int phase = atomic_load(&as->phase) & 1;

		atomic_fetch_add(&as->readers[phase], 1);
		if ((atomic_load(&as->phase) & 1) == phase)
			return phase;
		atomic_fetch_sub(&as->readers[phase], 1);
	}
}

void as_leave(struct as *as, unsigned int phase)
{
	atomic_fetch_sub(&as->readers[phase], 1);
}

/* Until every reader has left that may have seen what was published before. */
static void wait_for_readers(struct as *as) must_hold(lock_as)
{
	unsigned int old = atomic_fetch_add(&as->phase, 1) & 1;

	while (atomic_load(&as->readers[old]) != 0)
		lock_yield();
}

const struct seg *as_seg(struct as *as, uintptr_t va)
{
	const struct seglist *list = atomic_load(&as->list);
	unsigned int i = list_search(list, va);

	return i < list->count ? list->segs[i] : NULL;
}

bool as_find(struct as *as, uintptr_t va, struct seg *seg)
{
	unsigned int phase = as_enter(as);
	const struct seg *found = as_seg(as, va);

	if (found != NULL)
		*seg = *found;
	as_leave(as, phase);
	return found != NULL;
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

/* ---- memory of segments and lists (A2) ---- */

/* Makes sure that the next edits find what they need: so many segments, and so many lists. All that can fail is here. */
static int reserve(struct as *as, unsigned int segs, unsigned int lists) must_hold(lock_as)
{
	unsigned int need = atomic_load(&as->list)->count +
		MORE_AT_MOST * lists; /* each may be longer than the one before */
	struct seglist **at = &as->spare_lists;

	for (; as->spare_seg_count < segs; as->spare_seg_count++) {
		struct seg *seg = malloc(sizeof(*seg));

		if (seg == NULL)
			return -ENOMEM;
		seg->next = as->spare_segs;
		as->spare_segs = seg;
	}
	for (; lists > 0; lists--, at = &(*at)->next) {
		unsigned int room = ROOM_MIN;
		struct seglist *list;

		while (*at != NULL && (*at)->room < need) {
			list = *at;
			*at = list->next;
			free(list);
		}
		if (*at != NULL)
			continue;
		while (room < need)
			room *= 2;
		list = malloc(sizeof(*list) + room * sizeof(struct seg *));
		if (list == NULL)
			return -ENOMEM;
		list->room = room;
		list->next = NULL;
		*at = list;
	}
	return 0;
}

static struct seg *take_seg(struct as *as) must_hold(lock_as)
{
	struct seg *seg = as->spare_segs;

	assert(seg != NULL);
	as->spare_segs = seg->next;
	as->spare_seg_count--;
	return seg;
}

/* One that is long enough: a change that was finished in between may have put a shorter one in front. */
static struct seglist *take_list(struct as *as) must_hold(lock_as)
{
	unsigned int need = atomic_load(&as->list)->count + MORE_AT_MOST;
	struct seglist **at = &as->spare_lists;
	struct seglist *list;

	while (*at != NULL && (*at)->room < need)
		at = &(*at)->next;
	list = *at;
	assert(list != NULL);
	*at = list->next;
	return list;
}

static void retire_seg(struct as *as, struct seg *seg) must_hold(lock_as)
{
	seg->next = as->retired_segs;
	as->retired_segs = seg;
}

static void retire_list(struct as *as, struct seglist *list) must_hold(lock_as)
{
	list->next = as->retired_lists;
	as->retired_lists = list;
}

/* What no reader can hold any more may be used again. */
static void reclaim(struct as *as) must_hold(lock_as)
{
	wait_for_readers(as);
	while (as->retired_segs != NULL) {
		struct seg *seg = as->retired_segs;

		as->retired_segs = seg->next;
		object_unref(seg->object);
		amap_unref(seg->amap);
		seg->next = as->spare_segs;
		as->spare_segs = seg;
		as->spare_seg_count++;
	}
	while (as->retired_lists != NULL) {
		struct seglist *list = as->retired_lists;

		as->retired_lists = list->next;
		list->next = as->spare_lists;
		as->spare_lists = list;
	}
}

/* ---- a change ---- */

/* edit: one change in progress: the segments first..last of the old list become those put into the new one */
struct edit {
	struct as *as;
	struct seglist *old;
	struct seglist *new;
	unsigned int first;
	unsigned int last;
	unsigned int put_end; /* new->segs[first..put_end] are the ones put */
};

/* Segments in [start, end) will be replaced. The memory was reserved. */
static void edit_begin(struct edit *edit, struct as *as, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	struct seglist *old = atomic_load(&as->list);

	*edit = (struct edit){ .as = as, .old = old, .new = take_list(as), .first = list_search(old, start) };
	edit->last = edit->first;
	while (edit->last < old->count && old->segs[edit->last]->range.start < end)
		edit->last++;
	edit->put_end = edit->first;
	memcpy(edit->new->segs, old->segs, edit->first * sizeof(struct seg *));
}

/* The same, and the neighbours that end at start and begin at end too: they may become one with what is put. */
static void edit_begin_wide(struct edit *edit, struct as *as, uintptr_t start, uintptr_t end)
	must_hold(lock_as)
{
	edit_begin(edit, as, start > 0 ? start - 1 : 0, end < UINTPTR_MAX ? end + 1 : end);
}

/* Makes a copy of a segment its part [start, end); false when that is empty or not inside. */
static bool cut_out(struct seg *seg, uintptr_t start, uintptr_t end)
{
	if (start < seg->range.start || start >= end || end > seg->range.end)
		return false;
	seg->range.offset += start - seg->range.start;
	seg->amap_first += (start - seg->range.start) >> PAGE_SHIFT;
	seg->range.start = start;
	seg->range.end = end;
	return true;
}

/* Adds a copy of `like`, cut to [start, end); NULL when that is empty. */
static struct seg *edit_put(struct edit *edit, const struct seg *like, uintptr_t start, uintptr_t end)
	must_hold(lock_as)
{
	struct seg *seg;

	start = max_u64(start, like->range.start);
	end = min_u64(end, like->range.end);
	if (start >= end) /* twice whenever a whole segment goes: no copy is made to find that out */
		return NULL;
	seg = take_seg(edit->as);
	*seg = *like;
	(void)cut_out(seg, start, end);
	if (seg->object != NULL)
		object_ref(seg->object);
	(void)amap_ref(seg->amap);
	edit->new->segs[edit->put_end++] = seg;
	return seg;
}

/* The part of the first replaced segment below start, and of the last one from end on, stay. */
static void edit_put_below(struct edit *edit, uintptr_t start) must_hold(lock_as)
{
	if (edit->first < edit->last)
		(void)edit_put(edit, edit->old->segs[edit->first], 0, start);
}

static void edit_put_above(struct edit *edit, uintptr_t end) must_hold(lock_as)
{
	if (edit->first < edit->last)
		(void)edit_put(edit, edit->old->segs[edit->last - 1], end, UINTPTR_MAX);
}

static bool same_properties(const struct pmap_range *a, const struct pmap_range *b)
{
	return a->prot == b->prot && a->flags == b->flags && a->page_shift == b->page_shift &&
		a->owner == b->owner && a->guard == b->guard && a->nodes.mode == b->nodes.mode &&
		a->nodes.bits == b->nodes.bits;
}

/* Is b what would stand behind a if both were one? */
static bool goes_on(const struct seg *a, const struct seg *b)
{
	size_t length = a->range.end - a->range.start;

	return a->range.end == b->range.start && same_properties(&a->range, &b->range) &&
		a->object == b->object && a->range.offset + length == b->range.offset && a->amap == b->amap &&
		(a->amap == NULL || a->amap_first + (length >> PAGE_SHIFT) == b->amap_first);
}

/* Of what was put, neighbours that go on become one: what a change has split, its undoing makes whole again. */
static void edit_join(struct edit *edit) must_hold(lock_as)
{
	struct seg **segs = edit->new->segs;
	unsigned int kept = edit->first;

	for (unsigned int i = edit->first + 1; i < edit->put_end; i++) {
		if (goes_on(segs[kept], segs[i])) {
			segs[kept]->range.end = segs[i]->range.end;
			retire_seg(edit->as, segs[i]);
		} else {
			segs[++kept] = segs[i];
		}
	}
	if (edit->first < edit->put_end)
		edit->put_end = kept + 1;
}

static void set_list(struct as *as, struct seglist *list) must_hold(lock_as)
{
	unsigned long version = atomic_load_explicit(&as->version, memory_order_relaxed);

	/* In this order with the readers' count: a reader that reclaim() does not see will find the new list (A2). */
	atomic_store(&as->list, list);
	atomic_store_explicit(&as->version, version + 1, memory_order_release);
}

static void edit_publish(struct edit *edit) must_hold(lock_as)
{
	struct seglist *old = edit->old;
	struct seglist *new = edit->new;
	unsigned int rest = old->count - edit->last;

	memcpy(new->segs + edit->put_end, old->segs + edit->last, rest * sizeof(struct seg *));
	new->count = edit->put_end + rest;
	assert(new->count <= new->room);
	set_list(edit->as, new);
}

static void edit_finish(struct edit *edit) must_hold(lock_as)
{
	for (unsigned int i = edit->first; i < edit->last; i++)
		retire_seg(edit->as, edit->old->segs[i]);
	retire_list(edit->as, edit->old);
	reclaim(edit->as);
}

/* Forgets the new segments; a published change is taken back: the old list is still whole. */
static void edit_revert(struct edit *edit) must_hold(lock_as)
{
	if (atomic_load(&edit->as->list) != edit->old)
		set_list(edit->as, edit->old);
	for (unsigned int i = edit->first; i < edit->put_end; i++)
		retire_seg(edit->as, edit->new->segs[i]);
	retire_list(edit->as, edit->new);
	reclaim(edit->as);
}

/* ---- the operations ---- */

/* Nobody reaches the pages of what is being taken away, and what was written is known. */
static void hide_pages(struct edit *edit, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	if (edit->as->pool == NULL)
		return;
	wait_for_readers(edit->as);
	for (unsigned int i = edit->first; i < edit->last; i++) {
		const struct seg *seg = edit->old->segs[i];

		shown_hide(edit->as, seg, max_u64(start, seg->range.start), min_u64(end, seg->range.end));
	}
}

static void drop_private(struct edit *edit, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	for (unsigned int i = edit->first; i < edit->last; i++) {
		const struct seg *seg = edit->old->segs[i];

		/* Without memory for a leaf of its own, what is shared after a fork stays until the amap goes: nobody sees it. */
		if (seg->amap != NULL)
			(void)shown_drop_private(edit->as, seg, max_u64(start, seg->range.start),
				min_u64(end, seg->range.end));
	}
}

static int unmap_locked(struct as *as, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	struct pmap_span span = { start, end };
	struct edit edit;
	int r;

	r = reserve(as, MORE_AT_MOST, 1);
	if (r < 0)
		return r;

	edit_begin(&edit, as, start, end);
	edit_put_below(&edit, start);
	edit_put_above(&edit, end);
	edit_publish(&edit); /* A3 */
	hide_pages(&edit, start, end);
	r = as->pmap->ops->detach(as->pmap, &span);
	if (r < 0) {
		edit_revert(&edit);
		return r;
	}
	drop_private(&edit, start, end);
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
		r = reserve(as, 2 * MORE_AT_MOST, 2);
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
	seg.range.home = request->object == NULL ? NULL : &request->object->home;
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
	const struct seglist *list = atomic_load(&as->list);
	unsigned int i = list_search(list, start);
	const struct pmap_range *range = i < list->count ? &list->segs[i]->range : NULL;

	return range != NULL && range->start == start && range->end == end && range->owner == owner;
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

	wait_for_readers(as);
	for (unsigned int i = edit->first; i < edit->put_end; i++) {
		struct seg part = *edit->new->segs[i];

		if (cut_out(&part, max_u64(start, part.range.start), min_u64(end, part.range.end)))
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

	r = reserve(as, as_count(as, start, end) + MORE_AT_MOST, 1);
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

	if (!as_find(as, start, &seg) || !cut_out(&seg, start, end))
		return -EFAULT;
	r = reserve(as, 2 * MORE_AT_MOST, 2);
	if (r == 0)
		r = choose_place(as, &to, &how);
	if (r < 0)
		return r;

	/* Two changes, as the places are two runs: the old one goes first (A3). */
	edit_begin(&leave, as, start, end);
	edit_put_below(&leave, start);
	edit_put_above(&leave, end);
	edit_publish(&leave);
	hide_pages(&leave, start, end);
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
	struct seglist *empty;

	*as = (struct as){ .pmap = pmap };
	lock_init(&as->lock);
	empty = malloc(sizeof(*empty) + ROOM_MIN * sizeof(struct seg *));
	if (empty == NULL)
		return -ENOMEM;
	empty->count = 0;
	empty->room = ROOM_MIN;
	atomic_store(&as->list, empty);
	return 0;
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

static void free_segs(struct seg *seg)
{
	while (seg != NULL) {
		struct seg *next = seg->next;

		free(seg);
		seg = next;
	}
}

static void free_lists(struct seglist *list)
{
	while (list != NULL) {
		struct seglist *next = list->next;

		free(list);
		list = next;
	}
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
		wait_for_readers(as);
		unlock_space(as);
	}
	free(atomic_load(&as->list));
	free_segs(as->retired_segs);
	free_segs(as->spare_segs);
	free_lists(as->retired_lists);
	free_lists(as->spare_lists);
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

void as_check(struct as *as)
{
	const struct seglist *list;
	uintptr_t end = 0;

	lock_space(as);
	list = atomic_load(&as->list);
	for (unsigned int i = 0; i < list->count; i++) {
		const struct pmap_range *range = &list->segs[i]->range;

		assert(range->start >= end);
		assert(range->start < range->end);
		assert(is_aligned(range->start | range->end, PAGE_BYTES));
		end = range->end;
	}
	unlock_space(as);
}
