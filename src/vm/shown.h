/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/shown.h - which addresses show a page.
 *
 * A page remembers one address itself; that is nearly always all. Only a page that was entered more than once is searched
 * for in the segments of all spaces of its pool. What is remembered may be more than is true (an entry that went away by
 * itself), never less: a page that is hidden can be reached by nobody.
 */
#ifndef VM_SHOWN_H
#define VM_SHOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/as.h"
#include "vm/page.h"
#include "vm/pool.h"

/* All spaces of a pool as they are, until left. */
void shown_enter(struct pool *pool, struct sections *sections);
void shown_leave(const struct sections *sections);

/* Below, segments must stay: a reader section of their space, or its lock. */

/* Remembers that va of a space is about to show the page. With the pool's lock. */
void shown_add(struct page *page, const struct as *as, uintptr_t va) must_hold(lock_pool);

/* The page that a segment shows at va, or would show when it is touched; NULL: it is not in memory. With the pool's lock. */
struct page *shown_at(struct as *as, const struct seg *seg, uintptr_t va) must_hold(lock_pool);

/* Another page is about to be shown there instead. With the pool's lock. */
void shown_drop(struct page *page, const struct as *as, uintptr_t va) must_hold(lock_pool);

/* No address of [start, end) in a segment shows anything any more; pages that were written are DIRTY. An error of the
 * engine: some may be shown still, and all are DIRTY that could be. */
int shown_hide(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end);

/* The addresses are gone: no page is shown there, hidden or not. */
void shown_gone(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end);

/* Private pages of [start, end) are gone. -ENOMEM: part of them. */
int shown_drop_private(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end);

/* No address shows the page; what was written is remembered (page->dirty in WRITING). Without the pool's lock. An error
 * of the engine: some may show it still. */
int shown_hide_page(struct pool *pool, const struct sections *sections, struct page *page);

/* Somebody has stored into the page. With the pool's lock. */
void shown_written(struct pool *pool, struct page *page) must_hold(lock_pool);

/* Is the page in a locked segment? With the pool's lock. */
bool shown_locked(const struct sections *sections, const struct page *page) must_hold(lock_pool);

/* Asks for what was written of [start, end) in a segment: those pages are DIRTY then. */
void shown_ask(struct as *as, const struct seg *seg, uintptr_t start, uintptr_t end);

/* Asks for what was written of an object's pages [first, last) in shared segments, and re-arms. They are DIRTY then. */
void shown_harvest(struct object *object, uint64_t first, uint64_t last);

/* Calls back for each part of a segment that shows pages [first, last) of an object, private segments too. */
typedef void shown_part_fn(void *user, struct as *as, const struct seg *seg, const struct pmap_span *part);
void shown_each(struct object *object, uint64_t first, uint64_t last, shown_part_fn *each, void *user);

#endif
