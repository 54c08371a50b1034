/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/pmap.h"

#include <assert.h>
#include <errno.h>

#include "base/lock.h"
#include "pmap/kernel.h"
#include "sys/thread.h"

void pmap_init(struct pmap *pmap, const struct pmap_ops *ops, unsigned int can, pmap_up_fn *up, void *above)
{
	assert(ops->attach != NULL);
	assert(ops->detach != NULL);
	pmap->ops = ops;
	pmap->can = can;
	pmap->up = up;
	pmap->above = above;
	atomic_init(&pmap->claim, 0);
}

enum { FORKS_SHIFT = 32 };

static uint64_t claimant(void)
{
	uint32_t thread = (uint32_t)sys_thread_id(); /* first: from then on forks are counted */

	return (uint64_t)sys_forks() << FORKS_SHIFT | thread;
}

/* A holder from before a fork is a thread of the parent: it does not run here, and its claim would be held for ever. */
bool pmap_claim(struct pmap *pmap)
{
	uint64_t self = claimant();
	uint64_t holder = 0;

	while (!atomic_compare_exchange_weak(&pmap->claim, &holder, self)) {
		if (holder == self)
			return false;
		if (holder >> FORKS_SHIFT != self >> FORKS_SHIFT)
			continue; /* the holder is what is exchanged next */
		if (holder != 0)
			lock_yield();
		holder = 0;
	}
	return true;
}

void pmap_claim_release(struct pmap *pmap)
{
	assert(atomic_load(&pmap->claim) == claimant());
	atomic_store_explicit(&pmap->claim, 0, memory_order_release);
}

/* Without a kernel to carry the pages over they are dropped at the old place and found again by faults at the new one. */
static int move_by_faults(
	struct pmap *pmap, struct pmap_range *range, enum pmap_how how, uintptr_t start, size_t length)
{
	const struct pmap_span old = { range->start, range->end };
	struct pmap_range new = *range;
	int r;

	new.start = start;
	new.end = start + length;
	if (start == range->start) {
		const struct pmap_span cut = { new.end, range->end };
		struct pmap_range more = *range;

		more.offset = range->offset + (range->end - range->start);
		more.start = range->end;
		more.end = new.end;
		r = 0;
		if (new.end < range->end)
			r = pmap->ops->detach(pmap, &cut);
		else if (new.end > range->end)
			r = pmap->ops->attach(pmap, &more, PMAP_EXACT);
		if (r == -EEXIST)
			r = -ENOMEM; /* no place was named: there is no room here */
	} else {
		r = pmap->ops->attach(pmap, &new, how);
		if (r == 0)
			r = pmap->ops->detach(pmap, &old);
	}
	if (r == 0)
		*range = new;
	return r;
}

int pmap_move(struct pmap *pmap, struct pmap_range *range, enum pmap_how how, uintptr_t start, size_t length)
{
	if ((pmap->can & PMAP_CAN_KERNEL) != 0)
		return kernel_move(pmap, range, how, start, length);
	return move_by_faults(pmap, range, how, start, length);
}
