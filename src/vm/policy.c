/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/policy.h"

#include <assert.h>
#include <stddef.h>

#include "base/align.h"

/* Three marks are enough to tell hot from warm (the S3-FIFO authors' figure); a tenth for newcomers is theirs too. */
enum { HITS_MAX = 3, SMALL_PART = 10 };

/* ---- queues ---- */

static void push(struct policy *policy, struct page *page, enum policy_queue which) must_hold(lock_pool)
{
	struct queue *queue = &policy->queues[which];
	uint32_t frame = page->id.frame;

	assert(page->queue == QUEUE_NONE); /* Q1 */
	page->queue = which & 3;
	page->prev = NO_FRAME;
	page->next = queue->head;
	if (queue->head != NO_FRAME)
		policy->pages[queue->head].prev = frame;
	else
		queue->tail = frame;
	queue->head = frame;
	queue->count++;
}

void policy_remove(struct policy *policy, struct page *page)
{
	struct queue *queue = &policy->queues[page->queue];

	if (page->queue == QUEUE_NONE)
		return;
	if (page->prev != NO_FRAME)
		policy->pages[page->prev].next = page->next;
	else
		queue->head = page->next;
	if (page->next != NO_FRAME)
		policy->pages[page->next].prev = page->prev;
	else
		queue->tail = page->prev;
	queue->count--;
	page->queue = QUEUE_NONE;
	page->next = page->prev = NO_FRAME;
}

static struct page *tail_of(struct policy *policy, enum policy_queue which) must_hold(lock_pool)
{
	uint32_t frame = policy->queues[which].tail;

	return frame == NO_FRAME ? NULL : &policy->pages[frame];
}

/* ---- ghosts ---- */

/* Two pages may be taken for each other, which costs one wrong place in a queue. */
static uint32_t fingerprint(const struct page *page)
{
	uint64_t h = ((uint64_t)(uintptr_t)page->id.owner >> 4) * 0x9e3779b97f4a7c15u;

	h ^= page->id.index + 0x632be59bd9b4e019u;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	return (uint32_t)h;
}

void policy_gone(struct policy *policy, const struct page *page)
{
	ghosts_add(&policy->ghosts, fingerprint(page));
}

/* ---- the seam ---- */

int policy_init(struct policy *policy, enum policy_kind kind, struct page *pages, uint32_t page_count)
{
	*policy = (struct policy){ .kind = kind, .pages = pages };
	for (size_t i = 0; i < QUEUE_COUNT; i++)
		policy->queues[i] = (struct queue){ .head = NO_FRAME, .tail = NO_FRAME };
	return ghosts_init(&policy->ghosts, page_count);
}

void policy_done(struct policy *policy)
{
	ghosts_done(&policy->ghosts);
}

void policy_insert(struct policy *policy, struct page *page)
{
	bool known = policy->kind == POLICY_S3FIFO && ghosts_take(&policy->ghosts, fingerprint(page));

	page->hits = 0;
	push(policy, page, policy->kind == POLICY_CLOCK || known ? QUEUE_MAIN : QUEUE_SMALL);
}

void policy_seen(struct policy *policy, struct page *page)
{
	uint8_t most = policy->kind == POLICY_CLOCK ? 1 : HITS_MAX;

	if (page->hits < most)
		page->hits++;
}

/* Moves the tail of a queue on, when it has earned that. */
static bool spared(struct policy *policy, struct page *page) must_hold(lock_pool)
{
	if (page->hits == 0)
		return false;
	if (page->queue == QUEUE_MAIN)
		page->hits--;
	else
		page->hits = 0;
	policy_remove(policy, page);
	push(policy, page, QUEUE_MAIN);
	return true;
}

static enum policy_queue next_queue(const struct policy *policy)
{
	const struct queue *small = &policy->queues[QUEUE_SMALL];
	const struct queue *main = &policy->queues[QUEUE_MAIN];

	if (main->count == 0)
		return QUEUE_SMALL;
	return (uint64_t)small->count * SMALL_PART >= (uint64_t)small->count + main->count && small->count > 0
		? QUEUE_SMALL
		: QUEUE_MAIN;
}

struct page *policy_victim(struct policy *policy, bool (*may_go)(void *user, struct page *page), void *user)
{
	uint64_t all = (uint64_t)policy->queues[QUEUE_SMALL].count + policy->queues[QUEUE_MAIN].count;

	/* Q2: each page can be spared HITS_MAX + 1 times, and refused once more in each queue. */
	for (uint64_t looks = all * (HITS_MAX + 3); looks > 0; looks--) {
		struct page *page = tail_of(policy, next_queue(policy));

		if (page == NULL)
			return NULL;
		if (spared(policy, page))
			continue;
		policy_remove(policy, page);
		if (may_go(user, page))
			return page;
		push(policy, page, QUEUE_MAIN);
	}
	return NULL;
}
