/* SPDX-License-Identifier: Apache-2.0 */
/* region/dirty.c - which pages belong to this epoch: the tracker's finds, narrowed by hints. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pagefile/sum.h"
#include "region/region.h"

/* A hint of so few pages is believed: to ask the tracker costs as much as to log a page. */
enum { HINT_BELIEVED_PAGES = 4 };

/* Of a walk over the whole window: what a thread takes at a time, and up to where waking the worker costs more than it helps.
 * The kernel looks at a page in 2 to 3 ns. */
enum { WALK_PAGES = (32 << 20) / PAGE_BYTES, WALK_ALONE = (256 << 20) / PAGE_BYTES };

/* Makes room for one more element. */
static void *with_room(void *array, size_t count, size_t *room, size_t bytes)
{
	size_t more = *room == 0 ? 64 : 2 * *room;
	void *bigger;

	if (count < *room)
		return array;
	bigger = realloc(array, more * bytes);
	if (bigger != NULL)
		*room = more;
	return bigger;
}

static int add_page(struct region *rg, uint64_t page) must_hold(lock_region)
{
	struct note *note = pages_make(&rg->pages, page);
	uint64_t *list;

	if (note == NULL)
		return error_set(-ENOMEM, "no memory for the dirty list");
	if ((note->flags & NOTE_DIRTY) != 0)
		return 0;
	list = with_room(rg->dirty, rg->dirty_count, &rg->dirty_room, sizeof(*list));
	if (list == NULL)
		return error_set(-ENOMEM, "no memory for the dirty list");
	rg->dirty = list;
	rg->dirty[rg->dirty_count++] = page;
	note->flags |= NOTE_DIRTY;
	return 0;
}

int dirty_add(struct region *rg, struct pages_run run)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < run.count; i++)
		r = add_page(rg, run.first + i);
	return r;
}

/* ---- collecting ---- */

static int found_written(void *user, struct pages_run run)
{
	struct region *rg = user;
	int r;

	region_lock(rg);
	r = dirty_add(rg, run);
	region_unlock(rg);
	return r;
}

/* The tracker names every private page: those that still hold what was committed are not dirty. */
static int found_private(void *user, struct pages_run run)
{
	struct region *rg = user;
	int r = 0;

	region_lock(rg);
	for (uint64_t page = run.first; r == 0 && page < run.first + run.count; page++) {
		const struct note *note = pages_find(&rg->pages, page);

		if (note != NULL && (note->flags & NOTE_SUM) != 0 &&
			note->sum == sum_page(page, pagefile_page(&rg->file, page)))
			continue;
		r = add_page(rg, page);
	}
	region_unlock(rg);
	return r;
}

static int collect_run(struct region *rg, struct pages_run run)
{
	return pagefile_harvest(&rg->file, run, rg->file.track.exact ? found_written : found_private, rg);
}

static int walk_on(struct region *rg)
{
	uint64_t end = rg->walk.end;
	uint64_t first;
	int r = 0;

	while (r == 0 && (first = atomic_fetch_add(&rg->walk.next, WALK_PAGES)) < end)
		r = collect_run(rg, (struct pages_run){ first, min_u64(WALK_PAGES, end - first) });
	if (r < 0)
		atomic_store(&rg->walk.next, end); /* what nobody waits for must not go on */
	return r;
}

void dirty_help(struct region *rg)
{
	int r;

	rg->walk.helping = true;
	region_unlock(rg);
	r = walk_on(rg);
	region_lock(rg);
	rg->walk.helping = false;
	rg->walk.result = r;
	condition_wake_all(&rg->changed);
}

static int collect_whole(struct region *rg)
{
	int r;

	region_lock(rg);
	rg->walk.end = rg->file.pages;
	rg->walk.result = 0;
	atomic_store(&rg->walk.next, 0);
	region_unlock(rg);
	if (rg->file.pages > WALK_ALONE)
		condition_wake_all(&rg->work);
	r = walk_on(rg);
	region_lock(rg);
	while (rg->walk.helping)
		region_wait(rg);
	if (r == 0)
		r = rg->walk.result;
	region_unlock(rg);
	return r < 0 ? error_default(r, "the pages written cannot be found: %s", strerror(-r)) : 0;
}

static int collect_all(struct region *rg)
{
	int r = 0;

	if (!rg->hinted)
		return collect_whole(rg);
	for (size_t i = 0; r == 0 && i < rg->hint_count; i++)
		r = collect_run(rg, rg->hints[i]);
	return r;
}

int dirty_collect(struct region *rg)
{
	int r = collect_all(rg);

	/* What was armed again and could not be noted would be forgotten; for want of memory it is not armed (track_harvest). */
	return r < 0 && r != -ENOMEM ? region_fail(rg, r) : r;
}

void dirty_forget(struct region *rg)
{
	for (size_t i = 0; i < rg->dirty_count; i++)
		pages_note(&rg->pages, rg->dirty[i])->flags &= ~(uint32_t)NOTE_DIRTY;
	rg->dirty_count = 0;
	rg->hint_count = 0;
}

static int found_ours(void *user, struct pages_run run)
{
	(void)user;
	(void)run;
	return 0;
}

int dirty_rearm(struct region *rg, struct pages_run run)
{
	return rg->file.track.exact ? pagefile_harvest(&rg->file, run, found_ours, rg) : 0;
}

/* ---- hints ---- */

static int add_hint(struct region *rg, struct pages_run run) must_hold(lock_region)
{
	struct pages_run *last = rg->hint_count == 0 ? NULL : &rg->hints[rg->hint_count - 1];
	struct pages_run *list;

	/* The usual program announces one structure after the other. */
	if (last != NULL && run.first >= last->first && run.first <= last->first + last->count) {
		last->count = max_u64(last->count, run.first + run.count - last->first);
		return 0;
	}
	list = with_room(rg->hints, rg->hint_count, &rg->hint_room, sizeof(*list));
	if (list == NULL)
		return error_set(-ENOMEM, "no memory for a hint");
	rg->hints = list;
	rg->hints[rg->hint_count++] = run;
	return 0;
}

int region_touch(struct region *rg, uint64_t offset, uint64_t bytes)
{
	struct pages_run run = { .first = offset / PAGE_BYTES };
	int r;

	if (!rg->hinted || bytes == 0)
		return 0;
	run.count = (offset + bytes - 1) / PAGE_BYTES - run.first + 1;
	region_lock(rg);
	r = run.count <= HINT_BELIEVED_PAGES ? dirty_add(rg, run) : add_hint(rg, run);
	region_unlock(rg);
	return r;
}
