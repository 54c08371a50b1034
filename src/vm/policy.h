/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/policy.h - which page goes next. The seam between pool and policy is the five functions below; frames are chained
 * by number through page->next and prev, so a policy allocates nothing after policy_init().
 *
 * S3-FIFO (the default), three queues:
 *
 *	new page --> SMALL (a tenth) --seen again--> MAIN --seen since?--> back to its head, one mark less
 *	               |                               |
 *	               '--never seen--> out,           '--not seen--> out
 *	                                remembered in GHOST;  who returns from there goes straight to MAIN
 *
 * A scan runs through SMALL and out again, and MAIN stays as it was. CLOCK is one queue with a second chance; it is here
 * so that the difference can be measured.
 *
 * Hits through plain pointers cannot be seen, so "seen" means: faulted on again after it was unmapped, read ahead and then
 * used, or found written by harvest.
 *
 * Invariants
 *	Q1  a page is in at most one queue; FILLING and absent pages are in none
 *	Q2  policy_victim() looks at each page a bounded number of times
 */
#ifndef VM_POLICY_H
#define VM_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ghosts.h"
#include "base/lock.h"
#include "vm/page.h"

enum policy_kind { POLICY_S3FIFO = 0, POLICY_CLOCK = 1 };

enum policy_queue { QUEUE_NONE = 0, QUEUE_SMALL = 1, QUEUE_MAIN = 2, QUEUE_COUNT = 3 };

struct queue {
	uint32_t head; /* newest */
	uint32_t tail;
	uint32_t count;
};

struct policy {
	enum policy_kind kind;
	struct page *pages; /* of the pool, by frame */
	struct queue queues[QUEUE_COUNT];
	struct ghosts ghosts;
};

/* `pages` frames at most. -ENOMEM. */
int policy_init(struct policy *policy, enum policy_kind kind, struct page *pages, uint32_t page_count);
void policy_done(struct policy *policy);

void policy_insert(struct policy *policy, struct page *page) must_hold(lock_pool);
void policy_seen(struct policy *policy, struct page *page) must_hold(lock_pool);
void policy_remove(struct policy *policy, struct page *page)
	must_hold(lock_pool); /* also a page in no queue */

/* The next victim for which may_go says yes, taken out of its queue; NULL: nobody can go. */
struct page *policy_victim(struct policy *policy, bool (*may_go)(void *user, struct page *page), void *user)
	must_hold(lock_pool);

/* The victim is really gone: remember it. */
void policy_gone(struct policy *policy, const struct page *page) must_hold(lock_pool);

#endif
