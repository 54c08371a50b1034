/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/native.h"

#include <assert.h>
#include <errno.h>

#include "base/align.h"
#include "pmap/limits.h"
#include "sys/memory.h"
#include "sys/uapi.h"

_Static_assert(PMAP_READ == PROT_READ, "prot bits go to the kernel as they are");
_Static_assert(PMAP_WRITE == PROT_WRITE, "prot bits go to the kernel as they are");
_Static_assert(PMAP_EXECUTE == PROT_EXEC, "prot bits go to the kernel as they are");

static int kernel_flags(const struct pmap_range *range)
{
	int flags = (range->flags & PMAP_SHARED) != 0 ? MAP_SHARED : MAP_PRIVATE;

	/* MAP_SYNC is honoured, not ignored, only under the validating type. */
	if ((range->flags & PMAP_SYNC) != 0)
		flags = MAP_SHARED_VALIDATE | MAP_SYNC;
	if (range->window == NULL || range->window->fd < 0)
		flags |= MAP_ANONYMOUS;
	if ((range->flags & (PMAP_NORESERVE | PMAP_RESERVED)) != 0)
		flags |= MAP_NORESERVE;
	if ((range->flags & PMAP_STACK) != 0)
		flags |= MAP_STACK;
	if ((range->flags & PMAP_GROWSDOWN) != 0)
		flags |= MAP_GROWSDOWN;
	if (range->page_shift != 0)
		flags |= MAP_HUGETLB | (int)((unsigned int)range->page_shift << MAP_HUGE_SHIFT);
	return flags;
}

/* What mmap has no flag for. */
enum {
	ADVISED = PMAP_DONTFORK | PMAP_WIPEONFORK | PMAP_DONTDUMP | PMAP_HUGEPAGE | PMAP_NOHUGEPAGE |
		PMAP_RANDOM | PMAP_SEQUENTIAL | PMAP_LOCKED | PMAP_LOCK_ONFAULT,
};

static int apply_advice(const struct pmap_range *range)
{
	static const struct {
		uint32_t flag;
		int advice;
	} table[] = {
		{ PMAP_DONTFORK, MADV_DONTFORK },
		{ PMAP_WIPEONFORK, MADV_WIPEONFORK },
		{ PMAP_DONTDUMP, MADV_DONTDUMP },
		{ PMAP_HUGEPAGE, MADV_HUGEPAGE },
		{ PMAP_NOHUGEPAGE, MADV_NOHUGEPAGE },
		{ PMAP_RANDOM, MADV_RANDOM },
		{ PMAP_SEQUENTIAL, MADV_SEQUENTIAL },
	};
	size_t length = range->end - range->start;
	int r = 0;

	if ((range->flags & ADVISED) == 0 && range->nodes.mode == 0)
		return 0;
	if (range->nodes.mode != 0) /* before anything is brought in */
		r = sys_mbind(range->start, length, range->nodes.mode, &range->nodes.bits, 0);
	for (size_t i = 0; r == 0 && i < ARRAY_COUNT(table); i++)
		if ((range->flags & table[i].flag) != 0)
			r = sys_madvise(range->start, length, table[i].advice);
	if (r == 0 && (range->flags & PMAP_LOCK_ONFAULT) != 0)
		r = sys_mlock(range->start, length, MLOCK_ONFAULT);
	else if (r == 0 && (range->flags & PMAP_LOCKED) != 0)
		r = sys_mlock(range->start, length, 0);
	return r;
}

static int map_at(const struct pmap_range *range, int flags, uintptr_t *start)
{
	int fd = range->window == NULL ? -1 : range->window->fd;
	uint64_t offset = fd < 0 ? 0 : range->offset;

	return sys_mmap(range->start, range->end - range->start, range->prot, flags, fd, offset, start);
}

int native_show(const struct pmap_range *range)
{
	uintptr_t start;
	int r;

	r = map_at(range, kernel_flags(range) | MAP_FIXED, &start);
	if (r == 0)
		r = apply_advice(range);
	return r;
}

int native_show_elsewhere(const struct pmap_range *range, uintptr_t *start)
{
	struct pmap_range other = *range;

	other.start = 0;
	other.end = range->end - range->start;
	if (other.prot == 0)
		other.prot = PROT_READ;
	return map_at(&other, kernel_flags(&other) | MAP_NORESERVE, start);
}

/* MAP_FIXED_NOREPLACE and the validating type exclude each other, so MAP_SYNC takes the address first. */
static int take_then_show(struct pmap_range *range)
{
	uintptr_t start;
	int r;

	r = sys_mmap(range->start, range->end - range->start, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0, &start);
	if (r < 0)
		return r;

	r = map_at(range, kernel_flags(range) | MAP_FIXED, &start);
	if (r < 0)
		(void)sys_munmap(range->start, range->end - range->start);
	return r;
}

/* Changes the range only when it succeeds. */
static int attach_how(struct pmap_range *range, enum pmap_how how)
{
	uintptr_t start = range->start;
	size_t length = range->end - range->start;
	int r;

	assert(how != PMAP_ANYWHERE || start == 0);
	if (how == PMAP_EXACT && (range->flags & PMAP_SYNC) != 0)
		r = take_then_show(range);
	else if (how == PMAP_EXACT)
		r = map_at(range, kernel_flags(range) | MAP_FIXED_NOREPLACE, &start);
	else if (how == PMAP_REPLACE)
		r = map_at(range, kernel_flags(range) | MAP_FIXED, &start);
	else
		r = map_at(range, kernel_flags(range), &start);
	if (r < 0)
		return r;

	range->start = start;
	range->end = start + length;
	return 0;
}

/* A failed attach leaves nothing, or, over what was attached before, addresses that are still kept: a hole there could be
 * taken by a stranger. */
static void give_up(const struct pmap_range *range, enum pmap_how how)
{
	uintptr_t start;

	if (how == PMAP_REPLACE)
		(void)sys_mmap(range->start, range->end - range->start, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0, &start);
	else
		(void)sys_munmap(range->start, range->end - range->start);
}

static int native_attach(struct pmap *pmap, struct pmap_range *range, enum pmap_how how)
{
	int r;

	(void)pmap;
	r = attach_how(range, how);
	if (r < 0)
		return limits_explain(r, range);

	r = apply_advice(range);
	/* mlock says ENOMEM where mmap(MAP_LOCKED) says EAGAIN, which nobody takes for a shortage of memory. */
	if (r == -ENOMEM && (range->flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0 &&
		limits_locked_full(range->end - range->start))
		r = -EAGAIN;
	if (r < 0) {
		r = limits_explain(r, range);
		give_up(range, how);
	}
	return r;
}

static int native_protect(struct pmap *pmap, const struct pmap_range *range)
{
	int r;
	bool claimed = pmap_claim(pmap);

	r = sys_mprotect(range->start, range->end - range->start, range->prot);
	if (claimed)
		pmap_claim_release(pmap);
	return r < 0 ? limits_explain(r, range) : r;
}

static int native_detach(struct pmap *pmap, const struct pmap_span *span)
{
	int r;
	bool claimed = pmap_claim(pmap);

	r = sys_munmap(span->start, span->end - span->start);
	if (claimed)
		pmap_claim_release(pmap);
	if (r < 0) {
		struct pmap_range range = { .start = span->start, .end = span->end };

		return limits_explain(r, &range);
	}
	return 0;
}

/* No stage, enter, remove, harvest or poison: the kernel holds the pages. */
static const struct pmap_ops native_ops = {
	.attach = native_attach,
	.protect = native_protect,
	.detach = native_detach,
};

void native_init(struct pmap *pmap, pmap_up_fn *up, void *above)
{
	pmap_init(pmap, &native_ops, PMAP_CAN_PLACE | PMAP_CAN_WINDOW | PMAP_CAN_KERNEL, up, above);
}
