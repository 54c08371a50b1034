/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/view.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/align.h"
#include "pmap/guard.h"
#include "pmap/limits.h"
#include "pmap/shelf.h"
#include "sys/memory.h"
#include "sys/uapi.h"
#include "sys/userfaultfd.h"
#include "trap/table.h"
#include "trap/trap.h"

/* ---- a fault ---- */

/* Zeros where nothing could be read. In a shared range they lie on the shelf, unknown to vm: a later fill
 * overwrites them. */
static int stand_in(struct uffd_range *range, uintptr_t va)
{
	static const char zeros[PAGE_BYTES];
	int r = sys_uffd_copy(view_context(range), va, (uintptr_t)zeros, PAGE_BYTES, false);

	if (r == -EEXIST && range->shared && range->shelf != NULL)
		r = sys_uffd_continue(view_context(range), va, PAGE_BYTES, false);
	return r == -EEXIST ? 0 : r;
}

static enum trap_verdict view_fix(struct trap_range *trap, struct trap_fault *fault)
{
	struct uffd_range *range = CONTAINER_OF(trap, struct uffd_range, trap);
	struct pmap *pmap = &range->uffd->pmap;
	struct pmap_question question = {
		.kind = PMAP_FILL,
		.va = align_down(fault->va, PAGE_BYTES),
		.access = fault->store ? PMAP_WRITE : PMAP_READ,
	};
	enum trap_verdict verdict;
	int r;

	/* With threads a signal means that they have failed and poisoned the page: once more, to learn the error. */
	if (!range->uffd->options.inline_faults)
		frames_drop(question.va, PAGE_BYTES);
	r = pmap->up(pmap->above, &question);
	if (r == 0)
		return TRAP_RESUME;
	fault->error = r;
	if (range->guard == NULL)
		return fault->copying ? TRAP_LEAVE : TRAP_REFUSE;
	verdict = guard_failed(range->guard, fault, r);
	if (verdict == TRAP_RESUME && stand_in(range, question.va) < 0)
		verdict = TRAP_REFUSE;
	return verdict;
}

static bool view_explain(struct trap_range *trap, uintptr_t va, int error)
{
	struct uffd_range *range = CONTAINER_OF(trap, struct uffd_range, trap);

	if (range->guard == NULL)
		return false;
	guard_explain(range->guard, va, error);
	return true;
}

struct uffd_range *view_hold(uintptr_t va, unsigned int *slot)
{
	struct table_at at = table_top(va);
	struct trap_range *trap;

	while ((trap = table_find(va, &at)) != NULL) {
		*slot = at.slot;
		if (trap->fix == view_fix)
			return CONTAINER_OF(trap, struct uffd_range, trap);
		table_release(at.slot);
	}
	return NULL;
}

/* ---- attach ---- */

static int map_view(
	const struct uffd_range *range, const struct pmap_range *wanted, enum pmap_how how, uintptr_t *start)
{
	/* Without a shelf each page is copied in; shared, it is one that nobody can write. */
	int flags = (range->shelf != NULL && range->shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE;

	if (range->shelf == NULL)
		flags |= MAP_ANONYMOUS;
	if (how == PMAP_EXACT)
		flags |= MAP_FIXED_NOREPLACE;
	if (how == PMAP_REPLACE)
		flags |= MAP_FIXED;
	return sys_mmap(wanted->start, wanted->end - wanted->start, wanted->prot, flags,
		range->shelf == NULL ? -1 : range->shelf->fd, range->offset, start);
}

static int register_view(const struct uffd_range *range)
{
	size_t bytes = range->trap.end - range->trap.start;
	uint64_t mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP;

	/* Neither copies by fork (U2), nor khugepaged's pages, nor their pages in core dumps. */
	(void)sys_madvise(range->trap.start, bytes, MADV_DONTFORK);
	(void)sys_madvise(range->trap.start, bytes, MADV_NOHUGEPAGE);
	if (range->shelf != NULL)
		mode |= UFFDIO_REGISTER_MODE_MINOR;
	return sys_uffd_register(view_context(range), range->trap.start, bytes, mode);
}

static int table_open(struct uffd_range *range)
{
	struct frames_table *table;
	uintptr_t frames;
	int r;

	if (range->shared)
		return 0;
	table = calloc(1, sizeof(*table));
	if (table == NULL)
		return -ENOMEM;
	table->refs = 1;
	table->start = range->trap.start;
	table->bytes = ((range->trap.end - range->trap.start) >> PAGE_SHIFT) * sizeof(uint32_t);
	r = sys_mmap(0, table->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		0, &frames);
	if (r < 0) {
		free(table);
		return r;
	}
	table->frames = (_Atomic uint32_t *)frames;
	range->table = table;
	return 0;
}

static void range_free(struct uffd_range *range)
{
	struct frames_table *table = range->table;

	if (table != NULL && --table->refs == 0) {
		(void)sys_munmap((uintptr_t)table->frames, table->bytes);
		free(table);
	}
	free(range);
}

static int find_shelf(struct uffd_range *range, const struct pmap_range *wanted)
{
	if (wanted->home == NULL)
		return 0;
	return shelf_of(
		wanted->home, wanted->offset, wanted->offset + (wanted->end - wanted->start), &range->shelf);
}

static int attach_reserved(struct pmap_range *wanted, enum pmap_how how)
{
	static const struct uffd_range nothing = { .shared = false };
	size_t bytes = wanted->end - wanted->start;
	uintptr_t start;
	int r = map_view(&nothing, wanted, how, &start);

	if (r < 0)
		return limits_explain(r, wanted);
	wanted->start = start;
	wanted->end = start + bytes;
	return 0;
}

static int attach_paged(struct uffd_range *range, struct pmap_range *wanted, enum pmap_how how)
{
	size_t bytes = wanted->end - wanted->start;
	uintptr_t start;
	int r;

	r = find_shelf(range, wanted);
	if (r == 0)
		r = map_view(range, wanted, how, &start);
	if (r != 0) {
		r = limits_explain(r, wanted);
		assert(r < 0);
		return r;
	}

	range->trap.start = start;
	range->trap.end = start + bytes;
	r = table_open(range);
	if (r == 0)
		r = trap_add(&range->trap);
	if (r == 0) {
		r = register_view(range);
		if (r < 0)
			trap_remove(&range->trap);
	}
	if (r != 0) {
		(void)sys_munmap(start, bytes);
		return r;
	}
	wanted->start = start;
	wanted->end = start + bytes;
	return 0;
}

int view_attach(struct pmap *pmap, struct pmap_range *wanted, enum pmap_how how)
{
	struct uffd_range *range;
	int r;

	if ((wanted->flags & PMAP_RESERVED) != 0)
		return attach_reserved(wanted, how);
	range = calloc(1, sizeof(*range));
	if (range == NULL)
		return -ENOMEM;
	range->trap.fix = view_fix;
	range->trap.explain = view_explain;
	range->uffd = CONTAINER_OF(pmap, struct uffd, pmap);
	range->offset = wanted->offset;
	range->shared = (wanted->flags & PMAP_SHARED) != 0;
	range->guard = wanted->guard;
	r = attach_paged(range, wanted, how);
	if (r != 0)
		range_free(range);
	return r;
}

/* ---- detach ---- */

/* A piece of a range that stays, [start, end). */
static struct uffd_range *piece(const struct uffd_range *range, uintptr_t start, uintptr_t end)
{
	struct uffd_range *part = malloc(sizeof(*part));

	if (part == NULL)
		return NULL;
	*part = *range;
	part->trap.start = start;
	part->trap.end = end;
	part->offset += start - range->trap.start;
	return part;
}

static void keep_piece(struct uffd_range *part)
{
	if (part == NULL)
		return;
	if (part->table != NULL)
		part->table->refs++;
	(void)trap_add(&part->trap); /* takes the slot that was just given up, or one that is there already */
}

/* Takes [start, end) out of what the range covers; what is left below and above stays. */
static int carve(struct uffd_range *range, uintptr_t start, uintptr_t end)
{
	struct uffd_range *below = NULL;
	struct uffd_range *above = NULL;

	if (range->trap.start < start)
		below = piece(range, range->trap.start, start);
	if (range->trap.end > end)
		above = piece(range, end, range->trap.end);
	if ((range->trap.start < start && below == NULL) || (range->trap.end > end && above == NULL)) {
		free(below);
		free(above);
		return -ENOMEM;
	}
	trap_remove(&range->trap);
	keep_piece(below);
	keep_piece(above);
	range_free(range);
	return 0;
}

int view_detach(struct pmap *pmap, const struct pmap_span *span)
{
	const struct pmap_range told = { .start = span->start, .end = span->end };
	unsigned int held;
	int r;

	/* The addresses first: while they are given away nobody may fill them; then what we know of them. */
	(void)pmap;
	r = sys_munmap(span->start, span->end - span->start);
	if (r < 0)
		return limits_explain(r, &told);
	for (uintptr_t va = span->start; r == 0 && va < span->end;) {
		struct uffd_range *range = view_hold(va, &held);
		uintptr_t end;

		if (range == NULL) {
			va += PAGE_BYTES; /* reserved addresses have no range */
			continue;
		}
		end = range->trap.end;
		table_release(held);
		r = carve(range, va, min_u64(end, span->end));
		va = min_u64(end, span->end);
	}
	return r;
}
