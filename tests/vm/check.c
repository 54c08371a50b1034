/* SPDX-License-Identifier: Apache-2.0 */
#include "support/run.h"

#include "vm/check.h"

#include "base/align.h"
#include "vm/seglist.h"

void as_check(struct as *as)
{
	unsigned int phase = as_enter(as);
	const struct seglist *list = atomic_load(&as->list);
	uintptr_t end = 0;

	for (unsigned int i = 0; i < list->count; i++) {
		const struct pmap_range *range = &list->segs[i]->range;

		assert_true(range->start >= end);
		assert_true(range->start < range->end);
		assert_true(is_aligned(range->start | range->end, PAGE_BYTES));
		end = range->end;
	}
	as_leave(as, phase);
}

void policy_check(const struct policy *policy)
{
	for (unsigned int which = QUEUE_SMALL; which < QUEUE_COUNT; which++) {
		const struct queue *queue = &policy->queues[which];
		uint32_t count = 0;
		uint32_t prev = NO_FRAME;

		for (uint32_t frame = queue->head; frame != NO_FRAME; frame = policy->pages[frame].next) {
			assert_true(policy->pages[frame].queue == which); /* Q1 */
			assert_true(policy->pages[frame].prev == prev);
			assert_true(policy->pages[frame].state != PAGE_FILLING);
			assert_true(policy->pages[frame].state != PAGE_ABSENT);
			prev = frame;
			count++;
		}
		assert_true(queue->tail == prev);
		assert_true(queue->count == count);
	}
}

void pool_check(struct pool *pool)
{
	uint32_t used = 0;
	uint32_t free_count = 0;

	pool_lock(pool);
	for (uint32_t frame = 0; frame < pool->fresh; frame++) {
		const struct page *page = &pool->pages[frame];

		assert_true(page->id.frame == frame);
		used += page->state != PAGE_ABSENT || page->busy > 0;
		if (page->state == PAGE_ABSENT)
			continue;
		assert_true(page->id.owner != NULL || page->busy > 0 || page->pins > 0); /* F1 */
		assert_true(page->state != PAGE_WRITING || page->busy == 0);             /* F3 */
	}
	for (uint32_t frame = pool->free; frame != NO_FRAME; frame = pool->pages[frame].next)
		free_count++;
	assert_true(used == pool->in_use); /* F2 */
	assert_true(free_count == pool->fresh - pool->in_use);
	policy_check(&pool->policy);
	pool_unlock(pool);
}
