/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/guard.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/align.h"
#include "pmap/native.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/uapi.h"

/* A page that is well again when asked but faults again is retried this often; then it is treated as dead. More would
 * spin, fewer would patch a page that another thread's repair has just brought back. */
enum { RETRIES_MAX = 8 };

/* ---- what is patched (under the claim) ---- */

static uint64_t page_index(const struct guard *guard, uintptr_t va)
{
	return (va - guard->trap.start) / guard->page_bytes;
}

static uint64_t page_count(const struct guard *guard)
{
	return (guard->trap.end - guard->trap.start) / guard->page_bytes;
}

static size_t bitmap_bytes(const struct guard *guard)
{
	return align_up((page_count(guard) + 7) / 8, PAGE_BYTES);
}

static bool is_patched(const struct guard *guard, uintptr_t va)
{
	uint64_t i = page_index(guard, va);

	if (va >= guard->patched_from)
		return true;
	return guard->patched != NULL && (guard->patched[i / 64] & ((uint64_t)1 << (i % 64))) != 0;
}

/* The bitmap comes from mmap, which may be called in a signal handler; untouched parts of it cost nothing. */
static int remember_page(struct guard *guard, uintptr_t va)
{
	uint64_t i = page_index(guard, va);

	if (guard->patched == NULL) {
		uintptr_t memory;
		int r = sys_mmap(0, bitmap_bytes(guard), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &memory);

		if (r < 0)
			return r;
		guard->patched = (uint64_t *)memory;
	}
	guard->patched[i / 64] |= (uint64_t)1 << (i % 64);
	guard->patched_pages++;
	return 0;
}

static void forget_pages(struct guard *guard)
{
	if (guard->patched != NULL)
		(void)sys_munmap((uintptr_t)guard->patched, bitmap_bytes(guard));
	guard->patched = NULL;
	guard->patched_pages = 0;
}

/* ---- patching (under the claim) ---- */

/* The owner's range at va, or the next above it, cut to [va, end). False when there is none. What others have put into
 * a hole of ours is passed over. */
static bool range_at(const struct guard *guard, uintptr_t va, uintptr_t end, struct pmap_range *range)
{
	struct pmap_question question = { .kind = PMAP_WHAT, .va = va };

	do {
		if (guard->pmap->up(guard->pmap->above, &question) < 0 || question.range.start >= end)
			return false;
		question.va = question.range.end;
	} while (question.range.owner != guard->owner);

	*range = question.range;
	if (range->start < va) {
		range->offset += va - range->start;
		range->start = va;
	}
	if (range->end > end)
		range->end = end;
	return true;
}

/* Fresh zeros over [start, end) wherever a segment is, with its protection (G2). */
static int patch(const struct guard *guard, uintptr_t start, uintptr_t end)
{
	struct pmap_range range;
	uintptr_t got;
	int r = 0;

	for (uintptr_t va = start; r == 0 && va < end && range_at(guard, va, end, &range); va = range.end)
		r = sys_mmap(range.start, range.end - range.start, range.prot,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0, &got);
	return r;
}

/* Patches [start, patched_from) but for pages that were patched alone before (G1). */
static int patch_tail(struct guard *guard, uintptr_t start)
{
	uintptr_t end = guard->patched_from;
	int r = 0;

	if (guard->patched_pages == 0) {
		r = patch(guard, start, end);
	} else {
		for (uintptr_t va = start, run = start; r == 0 && va <= end; va += guard->page_bytes) {
			if (va < end && !is_patched(guard, va))
				continue;
			if (run < va)
				r = patch(guard, run, va);
			run = va + guard->page_bytes;
		}
	}
	if (r == 0)
		guard->patched_from = start;
	return r;
}

/* The first page without a byte of the file, or trap.end. */
static uintptr_t first_dead(const struct guard *guard)
{
	struct stat stat;
	uint64_t size;
	uint64_t shown = guard->trap.end - guard->trap.start;

	if (guard->fd < 0 || sys_fstat(guard->fd, &stat) < 0 || !S_ISREG(stat.st_mode))
		return guard->trap.end;
	size = align_up((uint64_t)stat.st_size, guard->page_bytes);
	if (size <= guard->offset)
		return guard->trap.start;
	return guard->trap.start + min_u64(size - guard->offset, shown);
}

/* Brings in what was patched just now, from the page that was touched on. Who met one dead page meets the next ones soon,
 * and this is cheaper than a fault for each: loads 0.23 us a page against 0.7, stores 1.1 against 1.8. 2 MiB are 0.1 or
 * 0.5 ms once, and no more memory than that. For one page the fault is cheaper than the call. A refusal changes nothing:
 * then the pages are faulted in. */
static void bring_in(uintptr_t page, uintptr_t end, bool store)
{
	enum { BRING_IN_BYTES = 2 << 20 };

	(void)sys_madvise(
		page, min_u64(end - page, BRING_IN_BYTES), store ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

static int patch_for(struct guard *guard, uintptr_t page, uint32_t cause, bool store)
{
	uintptr_t end = page + guard->page_bytes;
	int r;

	if (cause == QUIRE_CAUSE_TRUNCATED) {
		uintptr_t dead = first_dead(guard);

		if (page < dead)
			return 0; /* it has grown back meanwhile: nothing to patch, the access will succeed */
		end = guard->patched_from;
		r = patch_tail(guard, dead);
	} else {
		r = remember_page(guard, page);
		if (r == 0)
			r = patch(guard, page, end);
	}
	if (r == 0 && end - page > PAGE_BYTES)
		bring_in(page, end, store);
	return r;
}

/* ---- the sticky error ---- */

static void record(struct guard *guard, const struct quire_fault *fault)
{
	unsigned int none = 0;

	if (!atomic_compare_exchange_strong(&guard->state, &none, 1))
		return;
	guard->first = *fault;
	atomic_store(&guard->state, 2);
}

int guard_error(const struct guard *guard, struct quire_fault *fault)
{
	if (guard->pmap == NULL || atomic_load(&guard->state) != 2)
		return 0;
	if (fault != NULL) {
		*fault = guard->first;
		fault->count = atomic_load(&guard->count);
	}
	return guard->first.error;
}

/* ---- the fault ---- */

/* Seems well: touch it again, but not for ever. */
static bool try_again(struct guard *guard, uintptr_t page)
{
	if (atomic_exchange(&guard->retry_va, page) != page)
		atomic_store(&guard->retries, 0);
	return atomic_fetch_add(&guard->retries, 1) < RETRIES_MAX;
}

static enum quire_fault_action decide(
	const struct guard *guard, const struct trap_fault *at, struct quire_fault *fault)
{
	if (at->copying)
		return QUIRE_FAULT_UNWIND; /* who asks for an errno gets it, whatever the policy */
	if (guard->policy == QUIRE_GUARD_CALLBACK)
		return (enum quire_fault_action)guard->on_fault(fault, guard->user);
	if (guard->policy == QUIRE_GUARD_TRY && at->can_leave)
		return QUIRE_FAULT_UNWIND;
	return QUIRE_FAULT_ZEROS;
}

static enum trap_verdict stand_in(struct guard *guard, uintptr_t page, uint32_t cause, bool store)
{
	bool claimed = pmap_claim(guard->pmap);
	int r = 0;

	if (!is_patched(guard, page))
		r = patch_for(guard, page, cause, store);
	if (claimed)
		pmap_claim_release(guard->pmap);
	return r < 0 ? TRAP_REFUSE
		     : TRAP_RESUME; /* without memory for a stand-in nothing is left but the signal */
}

static enum trap_verdict guard_fix(struct trap_range *trap, struct trap_fault *at)
{
	struct guard *guard = CONTAINER_OF(trap, struct guard, trap);
	struct quire_fault fault = {
		.size = sizeof(fault), .address = (const void *)at->va, .write = at->store
	};
	uintptr_t page = align_down(at->va, guard->page_bytes);
	struct pmap_range range;

	if (!range_at(guard, page, page + 1, &range))
		return TRAP_REFUSE; /* a hole in our mapping: the program's own fault */

	fault.offset = guard->offset + (at->va - trap->start);
	fault.error = guard_classify(guard, at->va, at->store, at->code, &fault.cause);
	if (fault.error == 0) {
		if (try_again(guard, page))
			return TRAP_RESUME;
		fault.cause = QUIRE_CAUSE_UNKNOWN;
		fault.error = -EFAULT;
	}
	fault.count = atomic_fetch_add(&guard->count, 1) + 1;
	record(guard, &fault);

	switch (decide(guard, at, &fault)) {
	case QUIRE_FAULT_RETRY:
		return try_again(guard, page) ? TRAP_RESUME : stand_in(guard, page, fault.cause, at->store);
	case QUIRE_FAULT_UNWIND:
		at->error = fault.error;
		return at->can_leave ? TRAP_LEAVE : stand_in(guard, page, fault.cause, at->store);
	case QUIRE_FAULT_SIGNAL: return TRAP_REFUSE;
	case QUIRE_FAULT_ZEROS:
	default: return stand_in(guard, page, fault.cause, at->store);
	}
}

/* ---- opening, following, closing ---- */

int guard_open(struct guard *guard)
{
	int r;

	assert(is_power_of_two(guard->page_bytes));
	guard->trap.fix = guard_fix;
	guard->patched_from = guard->trap.end;
	r = trap_add(&guard->trap);
	if (r < 0)
		guard->pmap = NULL;
	return r;
}

void guard_close(struct guard *guard)
{
	if (guard->pmap == NULL)
		return;
	trap_remove(&guard->trap);
	forget_pages(guard);
	guard->pmap = NULL;
}

int guard_follow(struct guard *guard, uintptr_t start, uintptr_t end)
{
	bool tail = guard->patched_from < guard->trap.end;
	uintptr_t from = guard->patched_from - guard->trap.start + start;

	trap_remove(&guard->trap);
	forget_pages(guard);
	guard->trap.start = start;
	guard->trap.end = end;
	guard->patched_from = tail && from < end ? from : end;
	return trap_add(&guard->trap);
}

/* ---- repair ---- */

/* File data again over [start, end), as the segments say. */
static int show(const struct guard *guard, uintptr_t start, uintptr_t end)
{
	struct pmap_range range;
	int r = 0;

	for (uintptr_t va = start; r == 0 && va < end && range_at(guard, va, end, &range); va = range.end)
		r = native_show(&range);
	return r;
}

/* 0, or why the page is still dead. */
static int test_page(const struct guard *guard, uintptr_t page)
{
	struct pmap_range range;
	bool store;
	uint32_t cause;

	if (!range_at(guard, page, page + 1, &range))
		return 0;
	store = (range.prot & PMAP_WRITE) != 0 && (range.flags & PMAP_SHARED) != 0;
	return guard_classify(guard, page, store, 0, &cause);
}

static int repair_pages(struct guard *guard)
{
	uint64_t count = guard->patched_pages == 0 ? 0 : page_count(guard);
	int dead = 0;

	for (uint64_t i = 0; i < count; i++) {
		uintptr_t page = guard->trap.start + i * guard->page_bytes;
		uint64_t bit = (uint64_t)1 << (i % 64);
		int r;

		if ((guard->patched[i / 64] & bit) == 0)
			continue;
		r = show(guard, page, page + guard->page_bytes);
		if (r == 0) {
			guard->patched[i / 64] &= ~bit;
			guard->patched_pages--;
			r = test_page(guard, page);
		}
		if (r < 0 && dead == 0)
			dead = r;
	}
	return dead;
}

static int repair_tail(struct guard *guard)
{
	uintptr_t dead = first_dead(guard);
	int r;

	if (dead > guard->patched_from) {
		r = show(guard, guard->patched_from, dead);
		if (r < 0)
			return r;
		guard->patched_from = dead;
	}
	return guard->patched_from < guard->trap.end ? -ENODATA : 0;
}

int guard_repair(struct guard *guard)
{
	bool claimed;
	int tail;
	int pages;

	if (guard->pmap == NULL)
		return 0;

	claimed = pmap_claim(guard->pmap);
	tail = repair_tail(guard);
	pages = repair_pages(guard);
	if (claimed)
		pmap_claim_release(guard->pmap);

	if (tail == 0 && pages == 0)
		atomic_store(&guard->state, 0);
	return tail < 0 ? tail : pages;
}
