/* SPDX-License-Identifier: Apache-2.0 */
/* vm/enter.c - the last step of a fault: its page, and the neighbours of its unit, become reachable. */
#include <errno.h>

#include "base/align.h"
#include "vm/fault.h"
#include "vm/object.h"
#include "vm/pool.h"
#include "vm/shown.h"
#include "vm/step.h"

/* What the page table may allow without asking again. */
static unsigned int entry_prot(const struct fault *f) must_hold(lock_pool)
{
	unsigned int prot = f->seg.range.prot | PMAP_READ; /* as on x86 */

	if ((f->seg.range.flags & PMAP_SHARED) == 0 && !f->own)
		prot &= ~(unsigned int)PMAP_WRITE; /* a store has to copy it first */
	if ((f->as->pmap->can & PMAP_CAN_HARVEST) == 0 && f->access != PMAP_WRITE &&
		f->page->state != PAGE_DIRTY)
		prot &= ~(unsigned int)PMAP_WRITE; /* a store has to be noticed */
	return f->access == PMAP_WRITE ? prot | PMAP_WRITTEN : prot;
}

static enum tally_figure door_of(const struct fault *f)
{
	if ((f->flags & (FAULT_PIN | FAULT_BORROW)) != 0)
		return TALLY_BY_PIN;
	return (f->flags & (FAULT_ALLOCATE | FAULT_NOWAIT)) != 0 ? TALLY_BY_THREAD : TALLY_BY_SIGNAL;
}

/* With the lock, which is what makes its counting cheap: these figures are counted here alone. */
static void note_use(struct fault *f) must_hold(lock_pool)
{
	struct pool *pool = f->as->pool;
	struct tally *tally = ledger_tally(pool->ledger, f->seg.range.tally);
	struct page *page = f->page;

	if (f->access == PMAP_WRITE && (f->as->pmap->can & PMAP_CAN_HARVEST) == 0 &&
		page->state == PAGE_CLEAN)
		pool_dirty(page, PAGE_DIRTY);
	fault_take_mark(f, page);
	if (page->ahead) {
		tally_add_alone(ledger_tally(pool->ledger, page->tally), TALLY_AHEAD_USED, 1);
	} else if (!f->fetched) {
		policy_seen(&pool->policy, page);
		tally_add_alone(tally, TALLY_MINOR, 1);
	}
	page->ahead = false;
	tally_add_alone(tally, TALLY_FAULTS, 1);
	tally_add_alone(tally, door_of(f), 1);
}

/* unit: the page that was asked for, and its neighbours that are shown with it */
struct unit {
	uintptr_t va;
	uint32_t count;
	uint32_t asked; /* which */
	struct page *pages[UNIT_PAGES_MAX];
};

/* The page that the segment would show at va, when it is there and nowhere to be seen. The pages of a unit are in one leaf:
 * `leaf` is that of the object when nothing private can be in front of it. With the lock. */
static struct page *neighbour(const struct fault *f, uintptr_t va, const struct leaf *leaf)
	must_hold(lock_pool)
{
	struct page *page = NULL;

	if (leaf == NULL)
		page = shown_at(f->as, &f->seg, va);
	else if (word_is_frame(leaf->words[seg_index(&f->seg, va) % LEAF_WORDS]))
		page = pool_page(f->as->pool, leaf->words[seg_index(&f->seg, va) % LEAF_WORDS]);
	if (page == NULL || page->id.own || page->busy > 0 || page->maps != MAPPED_NOWHERE || page->mark ||
		(page->state != PAGE_CLEAN && page->state != PAGE_DIRTY))
		return NULL;
	return page;
}

/* A neighbour is shown with the page that was asked for. With the lock. */
static void take_neighbour(const struct fault *f, struct page *page, uintptr_t va) must_hold(lock_pool)
{
	page->busy++;
	page->ahead = false; /* whether somebody will touch it cannot be seen any more */
	shown_add(page, f->as, va);
}

/* Without a gap, around the page that was asked for. Its neighbours are busy. With the lock. */
static void take_unit(const struct fault *f, struct unit *unit) must_hold(lock_pool)
{
	const struct seg *seg = &f->seg;
	uint64_t pages = f->as->pool->unit_pages;
	uintptr_t low = f->va - (uintptr_t)((seg_index(seg, f->va) & (pages - 1)) << PAGE_SHIFT);
	uintptr_t high = min_u64(seg->range.end, low + (uintptr_t)(pages << PAGE_SHIFT));
	const struct leaf *leaf = seg->amap == NULL ? sparse_leaf(&seg->object->pages, seg_index(seg, f->va))
						    : NULL;

	unit->va = max_u64(seg->range.start, low);
	unit->count = 0;
	for (uintptr_t va = unit->va; va < high; va += PAGE_BYTES) {
		struct page *page = va == f->va ? f->page : neighbour(f, va, leaf);

		if (page == NULL && va > f->va)
			break;
		if (page == NULL) {
			unit->va = va + PAGE_BYTES;
			unit->count = 0;
			continue;
		}
		unit->pages[unit->count++] = page;
	}
	unit->asked = (uint32_t)((f->va - unit->va) >> PAGE_SHIFT);
	for (uint32_t i = 0; i < unit->count; i++)
		if (i != unit->asked)
			take_neighbour(f, unit->pages[i], unit->va + ((uintptr_t)i << PAGE_SHIFT));
}

static bool has_unit(const struct fault *f)
{
	return f->as->pool->unit_pages > 1 && f->seg.object != NULL && !f->page->id.own && !f->page->id.again;
}

/* A store is noted of the page that was stored into alone, so it goes in by itself where its rights are more. */
static int enter_unit(const struct fault *f, const struct unit *unit)
{
	struct pmap *pmap = f->as->pmap;
	struct pmap_page *ids[UNIT_PAGES_MAX];
	unsigned int prot = f->prot;
	unsigned int beside = prot & ~(unsigned int)PMAP_WRITTEN;
	int r;

	if ((pmap->can & PMAP_CAN_HARVEST) == 0)
		beside &= ~(unsigned int)PMAP_WRITE;
	for (uint32_t i = 0; i < unit->count; i++)
		ids[i] = &unit->pages[i]->id;
	if (beside == prot)
		return pmap->ops->enter(pmap, unit->va, ids, unit->count, prot);
	r = pmap->ops->enter(pmap, f->va, ids + unit->asked, 1, prot);
	if (r == 0 && unit->asked > 0)
		(void)pmap->ops->enter(pmap, unit->va, ids, unit->asked, beside);
	if (r == 0 && unit->asked + 1 < unit->count)
		(void)pmap->ops->enter(pmap, f->va + PAGE_BYTES, ids + unit->asked + 1,
			unit->count - unit->asked - 1, beside);
	return r;
}

/* Where nothing faults a page is reachable while it is pinned, and was only to be brought in by anybody else. */
static bool enters_nothing(const struct fault *f)
{
	return (f->flags & FAULT_AHEAD) != 0 ||
		((f->as->pmap->can & PMAP_PINS_ONLY) != 0 && (f->flags & FAULT_PIN) == 0);
}

/* Remembered first: nobody may think that the page is hidden while it is being entered. With the lock. */
static void make_ready(struct fault *f, struct unit *unit) must_hold(lock_pool)
{
	shown_add(f->page, f->as, f->va);
	if (unit != NULL && has_unit(f))
		take_unit(f, unit);
	note_use(f);
	f->prot = entry_prot(f);
	f->ready = true;
}

void enter_soon(struct fault *f)
{
	if ((f->flags & FAULT_BORROW) == 0 && !enters_nothing(f) && !has_unit(f))
		make_ready(f, NULL);
}

int enter_page(struct fault *f)
{
	struct pool *pool = f->as->pool;
	struct page *page = f->page;
	struct unit unit; /* not cleared: 128 bytes a fault, of which one page uses eight */
	int r;

	if ((f->flags & FAULT_BORROW) != 0) {
		pool_lock(pool);
		note_use(f);
		pool_unlock(pool);
		return 0;
	}
	if (enters_nothing(f)) {
		fault_let_go(f);
		return 0;
	}
	unit.va = f->va;
	unit.count = 1;
	unit.asked = 0;
	unit.pages[0] = page;
	if (!f->ready) {
		pool_lock(pool);
		make_ready(f, &unit);
		pool_unlock(pool);
	}
	r = enter_unit(f, &unit);
	if (r == -ESTALE)
		return STEP_STALE;
	pool_lock(pool);
	if (r == 0 && (f->flags & FAULT_PIN) != 0)
		page->pins++;
	for (uint32_t i = 0; i < unit.count; i++)
		pool_unbusy(pool, unit.pages[i]);
	pool_unlock(pool);
	return r;
}
