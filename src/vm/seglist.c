/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/seglist.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "vm/amap.h"
#include "vm/object.h"

enum { ROOM_MIN = 14 };

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

void seglist_wait(struct as *as) must_hold(lock_as)
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

/* ---- memory of segments and lists (A2) ---- */

int seglist_reserve(struct as *as, unsigned int segs, unsigned int lists) must_hold(lock_as)
{
	unsigned int need = atomic_load(&as->list)->count +
		SEGS_MORE_AT_MOST * lists; /* each may be longer than the one before */
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
	unsigned int need = atomic_load(&as->list)->count + SEGS_MORE_AT_MOST;
	struct seglist **at = &as->spare_lists;
	struct seglist *list;

	while (*at != NULL && (*at)->room < need)
		at = &(*at)->next;
	list = *at;
	assert(list != NULL);
	*at = list->next;
	return list;
}

/* No reader holds it any more, or ever did: it may be used again. */
static void spare_seg(struct as *as, struct seg *seg) must_hold(lock_as)
{
	object_unref(seg->object);
	amap_unref(seg->amap);
	seg->next = as->spare_segs;
	as->spare_segs = seg;
	as->spare_seg_count++;
}

static void spare_list(struct as *as, struct seglist *list) must_hold(lock_as)
{
	list->next = as->spare_lists;
	as->spare_lists = list;
}

/* ---- a change ---- */

void edit_begin(struct edit *edit, struct as *as, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	struct seglist *old = atomic_load(&as->list);

	*edit = (struct edit){ .as = as, .old = old, .new = take_list(as), .first = list_search(old, start) };
	edit->last = edit->first;
	while (edit->last < old->count && old->segs[edit->last]->range.start < end)
		edit->last++;
	edit->put_end = edit->first;
	memcpy(edit->new->segs, old->segs, edit->first * sizeof(struct seg *));
}

void edit_begin_wide(struct edit *edit, struct as *as, uintptr_t start, uintptr_t end) must_hold(lock_as)
{
	edit_begin(edit, as, start > 0 ? start - 1 : 0, end < UINTPTR_MAX ? end + 1 : end);
}

bool seg_cut(struct seg *seg, uintptr_t start, uintptr_t end)
{
	if (start < seg->range.start || start >= end || end > seg->range.end)
		return false;
	seg->range.offset += start - seg->range.start;
	seg->amap_first += (start - seg->range.start) >> PAGE_SHIFT;
	seg->range.start = start;
	seg->range.end = end;
	return true;
}

struct seg *edit_put(struct edit *edit, const struct seg *like, uintptr_t start, uintptr_t end)
	must_hold(lock_as)
{
	struct seg *seg;

	start = max_u64(start, like->range.start);
	end = min_u64(end, like->range.end);
	if (start >= end) /* twice whenever a whole segment goes: no copy is made to find that out */
		return NULL;
	seg = take_seg(edit->as);
	*seg = *like;
	(void)seg_cut(seg, start, end);
	if (seg->object != NULL)
		object_ref(seg->object);
	(void)amap_ref(seg->amap);
	edit->new->segs[edit->put_end++] = seg;
	return seg;
}

void edit_put_below(struct edit *edit, uintptr_t start) must_hold(lock_as)
{
	if (edit->first < edit->last)
		(void)edit_put(edit, edit->old->segs[edit->first], 0, start);
}

void edit_put_above(struct edit *edit, uintptr_t end) must_hold(lock_as)
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

void edit_join(struct edit *edit) must_hold(lock_as)
{
	struct seg **segs = edit->new->segs;
	unsigned int kept = edit->first;

	for (unsigned int i = edit->first + 1; i < edit->put_end; i++) {
		if (goes_on(segs[kept], segs[i])) {
			segs[kept]->range.end = segs[i]->range.end;
			spare_seg(edit->as, segs[i]); /* not published yet */
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

	/* In this order with the readers' count: a reader that seglist_wait() does not see will find the new list (A2). */
	atomic_store(&as->list, list);
	atomic_store_explicit(&as->version, version + 1, memory_order_release);
}

void edit_publish(struct edit *edit) must_hold(lock_as)
{
	struct seglist *old = edit->old;
	struct seglist *new = edit->new;
	unsigned int rest = old->count - edit->last;

	memcpy(new->segs + edit->put_end, old->segs + edit->last, rest * sizeof(struct seg *));
	new->count = edit->put_end + rest;
	assert(new->count <= new->room);
	set_list(edit->as, new);
}

void edit_finish(struct edit *edit) must_hold(lock_as)
{
	seglist_wait(
		edit->as); /* first: a reader copies a segment whole, with the link that is written here */
	for (unsigned int i = edit->first; i < edit->last; i++)
		spare_seg(edit->as, edit->old->segs[i]);
	spare_list(edit->as, edit->old);
}

void edit_revert(struct edit *edit) must_hold(lock_as)
{
	if (atomic_load(&edit->as->list) != edit->old)
		set_list(edit->as, edit->old);
	seglist_wait(edit->as);
	for (unsigned int i = edit->first; i < edit->put_end; i++)
		spare_seg(edit->as, edit->new->segs[i]);
	spare_list(edit->as, edit->new);
}

/* ---- begin and end ---- */

int seglist_init(struct as *as)
{
	struct seglist *empty = malloc(sizeof(*empty) + ROOM_MIN * sizeof(struct seg *));

	if (empty == NULL)
		return -ENOMEM;
	empty->count = 0;
	empty->room = ROOM_MIN;
	atomic_store(&as->list, empty);
	return 0;
}

void seglist_done(struct as *as)
{
	struct seglist *list;
	struct seg *seg;

	free(atomic_load(&as->list));
	while ((seg = as->spare_segs) != NULL) {
		as->spare_segs = seg->next;
		free(seg);
	}
	while ((list = as->spare_lists) != NULL) {
		as->spare_lists = list->next;
		free(list);
	}
}
