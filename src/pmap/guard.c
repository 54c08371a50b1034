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

/* WELL_MAX: a page that the kernel serves when asked, but not when touched, is retried this often in a row. A file that is
 * cut and grown 10,000 times a second does that for a while without anything being wrong; 65,536 turns take 0.3 s.
 * MENDS_MAX: a callback that says it mended the file, and did not, is asked this often. */
enum { WELL_MAX = 65536, MENDS_MAX = 8 };

/* ---- what is patched (under the claim) ---- */

static uint64_t page_index(const struct guard *guard, uintptr_t va)
{
	return (va - guard->trap.start) / guard->page_bytes;
}

static uint64_t page_count(const struct guard *guard)
{
	return (guard->trap.end - guard->trap.start) / guard->page_bytes;
}

static bool has_bit(const struct guard *guard, uintptr_t va)
{
	uint64_t i = page_index(guard, va);

	return guard->patched != NULL && (guard->patched[i / 64] & ((uint64_t)1 << (i % 64))) != 0;
}

static bool is_patched(const struct guard *guard, uintptr_t va)
{
	return va >= guard->patched_from || has_bit(guard, va);
}

static void drop_bitmap(struct guard *guard)
{
	if (guard->patched != NULL)
		(void)sys_munmap((uintptr_t)guard->patched, guard->patched_bytes);
	guard->patched = NULL;
	guard->patched_bytes = 0;
}

/* Room for a bit of each of so many pages; the old bits are kept. The bitmap comes from mmap, which may be called in a
 * signal handler; untouched parts of it cost nothing. */
static int make_bitmap(struct guard *guard, uint64_t pages)
{
	size_t bytes = align_up((pages + 7) / 8, PAGE_BYTES);
	size_t old_bytes = guard->patched_bytes;
	uintptr_t memory;
	int r;

	if (bytes <= old_bytes)
		return 0;
	r = sys_mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0,
		&memory);
	if (r < 0)
		return r;
	if (old_bytes > 0)
		memcpy((uint64_t *)memory, guard->patched, old_bytes);
	drop_bitmap(guard);
	guard->patched = (uint64_t *)memory;
	guard->patched_bytes = bytes;
	return 0;
}

static int remember_page(struct guard *guard, uintptr_t va)
{
	uint64_t i = page_index(guard, va);
	int r = make_bitmap(guard, page_count(guard));

	if (r < 0)
		return r;
	guard->patched[i / 64] |= (uint64_t)1 << (i % 64);
	guard->patched_pages++;
	return 0;
}

static void forget_page(struct guard *guard, uint64_t i)
{
	guard->patched[i / 64] &= ~((uint64_t)1 << (i % 64));
	guard->patched_pages--;
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

/* Does it for [start, end) but for the pages that were patched alone. */
static int around_lone_pages(const struct guard *guard, uintptr_t start, uintptr_t end,
	int (*each)(const struct guard *, uintptr_t, uintptr_t))
{
	uintptr_t run = start;
	int r = 0;

	if (guard->patched_pages == 0)
		return each(guard, start, end);
	for (uintptr_t va = start; r == 0 && va <= end; va += guard->page_bytes) {
		if (va < end && !has_bit(guard, va))
			continue;
		if (run < va)
			r = each(guard, run, va);
		run = va + guard->page_bytes;
	}
	return r;
}

/* Patches [start, patched_from) (G1). */
static int patch_tail(struct guard *guard, uintptr_t start)
{
	int r = around_lone_pages(guard, start, guard->patched_from, patch);

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

_Static_assert(sizeof(struct quire_fault) % sizeof(uint64_t) == 0, "it is kept word by word");

enum { STATE_NONE = 0, STATE_WRITING = 1, STATE_THERE = 2, STATE_MASK = 3 };

static void record(struct guard *guard, const struct quire_fault *fault)
{
	uint64_t words[GUARD_FAULT_WORDS];
	uint64_t state = atomic_load(&guard->state);

	if ((state & STATE_MASK) != STATE_NONE ||
		!atomic_compare_exchange_strong(&guard->state, &state, state | STATE_WRITING))
		return;
	memcpy(words, fault, sizeof(words));
	for (size_t i = 0; i < GUARD_FAULT_WORDS; i++)
		atomic_store_explicit(&guard->first[i], words[i], memory_order_relaxed);
	atomic_store(&guard->state, state | STATE_THERE);
}

/* Under the claim: everything is as it should be. */
static void clear_error(struct guard *guard)
{
	uint64_t state = atomic_load(&guard->state);

	if ((state & STATE_MASK) == STATE_THERE)
		atomic_store(&guard->state, (state | STATE_MASK) + 1);
}

int guard_error(const struct guard *guard, struct quire_fault *out)
{
	uint64_t words[GUARD_FAULT_WORDS];
	struct quire_fault fault;
	uint64_t state;

	if (guard->policy == QUIRE_GUARD_DEFAULT)
		return 0;
	do {
		state = atomic_load(&guard->state);
		if ((state & STATE_MASK) != STATE_THERE)
			return 0;
		for (size_t i = 0; i < GUARD_FAULT_WORDS; i++)
			words[i] = atomic_load_explicit(&guard->first[i], memory_order_acquire);
	} while (atomic_load(&guard->state) != state);
	memcpy(&fault, words, sizeof(words));
	fault.count = atomic_load(&guard->count);
	if (out != NULL)
		*out = fault;
	return fault.error;
}

/* ---- the fault ---- */

static bool try_again(struct guard *guard, uintptr_t page, unsigned int most)
{
	if (atomic_exchange(&guard->retry_va, page) != page)
		atomic_store(&guard->retries, 0);
	return atomic_fetch_add(&guard->retries, 1) < most;
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

/* Recorded once more under the claim: a repair may have cleared the error while we waited for it. */
static enum trap_verdict stand_in(struct guard *guard, uintptr_t page, const struct quire_fault *fault)
{
	bool claimed = pmap_claim(guard->pmap);
	int r = 0;

	if (!is_patched(guard, page)) {
		r = patch_for(guard, page, fault->cause, fault->write != 0);
		record(guard, fault);
	}
	if (claimed)
		pmap_claim_release(guard->pmap);
	return r < 0 ? TRAP_REFUSE
		     : TRAP_RESUME; /* without memory for a stand-in nothing is left but the signal */
}

/* The callback says that it mended the file: look. */
static enum trap_verdict retry(
	struct guard *guard, const struct trap_fault *at, const struct quire_fault *fault)
{
	uintptr_t page = align_down(at->va, guard->page_bytes);
	uint32_t now;

	if (guard_classify(guard, at->va, at->store, at->code, &now) == 0) {
		atomic_store(&guard->retries, 0);
		return TRAP_RESUME;
	}
	return try_again(guard, page, MENDS_MAX) ? TRAP_RESUME : stand_in(guard, page, fault);
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
		if (try_again(guard, page, WELL_MAX))
			return TRAP_RESUME;
		fault.cause = QUIRE_CAUSE_UNKNOWN;
		fault.error = -EFAULT;
	}
	fault.count = atomic_fetch_add(&guard->count, 1) + 1;
	record(guard, &fault);

	switch (decide(guard, at, &fault)) {
	case QUIRE_FAULT_RETRY: return retry(guard, at, &fault);
	case QUIRE_FAULT_UNWIND:
		at->error = fault.error;
		return at->can_leave ? TRAP_LEAVE : stand_in(guard, page, &fault);
	case QUIRE_FAULT_SIGNAL: return TRAP_REFUSE;
	case QUIRE_FAULT_ZEROS:
	default: return stand_in(guard, page, &fault);
	}
}

static uint32_t cause_of(const struct guard *guard, int error)
{
	switch (error) {
	case -ENXIO:
	case -ENODATA: return QUIRE_CAUSE_TRUNCATED;
	case -EBADMSG: return QUIRE_CAUSE_CHECKSUM;
	case -ENOMEM: /* without a fix() it is a paged range's */
		return guard->trap.fix == NULL ? QUIRE_CAUSE_NO_FRAME : QUIRE_CAUSE_NO_HUGE_PAGE;
	case -EHWPOISON: return QUIRE_CAUSE_POISON;
	case -ENOSPC:
	case -EDQUOT: return QUIRE_CAUSE_NO_SPACE;
	case -EFAULT: return QUIRE_CAUSE_UNKNOWN;
	default: return QUIRE_CAUSE_IO;
	}
}

static enum trap_verdict failed(struct guard *guard, struct trap_fault *at, int error, uint32_t cause)
{
	struct quire_fault fault = {
		.size = sizeof(fault),
		.cause = cause,
		.error = error == -ENXIO ? -ENODATA : error,
		.address = (const void *)at->va,
		.offset = guard->offset + (at->va - guard->trap.start),
		.write = at->store,
	};

	fault.count = atomic_fetch_add(&guard->count, 1) + 1;
	record(guard, &fault);
	at->error = fault.error;
	switch (decide(guard, at, &fault)) {
	case QUIRE_FAULT_UNWIND: return at->can_leave ? TRAP_LEAVE : TRAP_RESUME;
	case QUIRE_FAULT_SIGNAL: return TRAP_REFUSE;
	case QUIRE_FAULT_RETRY:
	case QUIRE_FAULT_ZEROS:
	default: return TRAP_RESUME;
	}
}

enum trap_verdict guard_failed(struct guard *guard, struct trap_fault *at, int error)
{
	return failed(guard, at, error, cause_of(guard, error));
}

/* ---- a range that is reachable while it is pinned ---- */

/* Zeros at a page that is not pinned. Under the claim, which whoever shows a page takes too: what was pinned meanwhile is
 * there, and stays. */
static int stand_in_unpinned(struct guard *guard, uintptr_t page)
{
	unsigned char there = 0;
	int r = sys_mincore(page, PAGE_BYTES, &there);

	return r == 0 && (there & 1) == 0 ? patch(guard, page, page + PAGE_BYTES) : r;
}

static enum trap_verdict fix_unpinned(struct trap_range *trap, struct trap_fault *at)
{
	struct guard *guard = CONTAINER_OF(trap, struct guard, trap);
	uintptr_t page = align_down(at->va, PAGE_BYTES);
	struct pmap_range range;
	enum trap_verdict verdict;

	if (!range_at(guard, page, page + 1, &range))
		return TRAP_REFUSE;
	verdict = failed(guard, at, -EFAULT, QUIRE_CAUSE_NOT_PINNED);
	if (verdict != TRAP_RESUME)
		return verdict;
	if (!pmap_claim(guard->pmap))
		return TRAP_REFUSE; /* we broke into the one who shows pages */
	if (stand_in_unpinned(guard, page) < 0)
		verdict = TRAP_REFUSE;
	pmap_claim_release(guard->pmap);
	return verdict;
}

void guard_explain(struct guard *guard, uintptr_t va, int error)
{
	const struct quire_fault fault = {
		.size = sizeof(fault),
		.cause = cause_of(guard, error),
		.error = error,
		.address = (const void *)va,
		.offset = guard->offset + (va - guard->trap.start),
	};

	guard->explain(guard, &fault);
}

static bool explain_trap(struct trap_range *trap, uintptr_t va, int error)
{
	struct guard *guard = CONTAINER_OF(trap, struct guard, trap);
	struct pmap_range range;

	if (!range_at(guard, align_down(va, PAGE_BYTES), va + 1, &range))
		return false; /* a hole in our mapping */
	guard_explain(guard, va, error);
	return true;
}

/* ---- opening, following, closing ---- */

int guard_open(struct guard *guard)
{
	int r;

	assert(is_power_of_two(guard->page_bytes));
	guard->trap.fix = (guard->pmap->can & PMAP_PINS_ONLY) != 0 ? fix_unpinned : guard_fix;
	guard->trap.explain = explain_trap;
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
	if (guard->trap.fix == NULL) { /* of a paged range: its engine knows the addresses */
		guard->pmap = NULL;
		return;
	}
	trap_remove(&guard->trap);
	drop_bitmap(guard);
	guard->patched_pages = 0;
	guard->pmap = NULL;
}

/* The bits of pages from `count` on have nothing to say any more. */
static void forget_beyond(struct guard *guard, uint64_t count)
{
	uint64_t end = guard->patched_pages == 0 ? 0 : page_count(guard);

	for (uint64_t i = count; i < end; i++)
		if (has_bit(guard, guard->trap.start + i * guard->page_bytes))
			forget_page(guard, i);
}

/* Under the claim: what is patched, counted from the new start, and cut or extended to the new end. */
static int follow(struct guard *guard, uintptr_t start, uintptr_t end)
{
	uint64_t shown = guard->trap.end - guard->trap.start;
	uint64_t tail = guard->patched_from - guard->trap.start;
	int r = 0;

	if (guard->patched != NULL)
		r = make_bitmap(guard, (end - start) / guard->page_bytes);
	if (r < 0)
		return r;
	forget_beyond(guard, (end - start) / guard->page_bytes);
	if (start == guard->trap.start) {
		trap_stretch(&guard->trap, end); /* a handler may be reading: the start is not touched */
	} else {
		guard->trap.start = start;
		guard->trap.end = end;
	}
	guard->patched_from = tail < shown && tail < end - start ? start + tail : end;
	/* Behind a tail that died while the mapping grew nothing is alive either. */
	if (tail < shown && shown < end - start)
		r = patch(guard, start + shown, end);
	return r;
}

int guard_follow(struct guard *guard, uintptr_t start, uintptr_t end)
{
	bool moved = start != guard->trap.start;
	bool claimed;
	int r;

	if (moved)
		trap_remove(&guard->trap);
	claimed = pmap_claim(guard->pmap);
	r = follow(guard, start, end);
	if (claimed)
		pmap_claim_release(guard->pmap);
	if (moved && r == 0)
		r = trap_add(&guard->trap);
	if (moved && r < 0) {
		drop_bitmap(guard);
		guard->pmap = NULL;
	}
	return r;
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

/* 0, or why the page is still dead: asked of the same bytes at another address, as the stand-in, and what was stored to it,
 * stays for now. */
static int test_page(const struct guard *guard, uintptr_t page)
{
	struct guard probe = { .fd = guard->fd, .page_bytes = guard->page_bytes };
	struct pmap_range range;
	uint32_t cause;
	bool store;
	int r;

	if (!range_at(guard, page, page + guard->page_bytes, &range))
		return 0;
	r = native_show_elsewhere(&range, &probe.trap.start);
	if (r < 0)
		return r;
	probe.trap.end = probe.trap.start + guard->page_bytes;
	probe.offset = guard->offset + (page - guard->trap.start);
	store = (range.prot & PMAP_WRITE) != 0 && ((range.flags & PMAP_SHARED) != 0 || guard->fd < 0);
	r = guard_classify(&probe, probe.trap.start, store, 0, &cause);
	(void)sys_munmap(probe.trap.start, guard->page_bytes);
	return r;
}

/* Those in a dead tail wait for the tail. */
static int repair_pages(struct guard *guard)
{
	uint64_t count = guard->patched_pages == 0 ? 0 : page_count(guard);
	int dead = 0;

	for (uint64_t i = 0; i < count; i++) {
		uintptr_t page = guard->trap.start + i * guard->page_bytes;
		int r;

		if (page >= guard->patched_from || !has_bit(guard, page))
			continue;
		r = test_page(guard, page);
		if (r == 0)
			r = show(guard, page, page + guard->page_bytes);
		if (r == 0)
			forget_page(guard, i);
		if (r < 0 && dead == 0)
			dead = r;
	}
	return dead;
}

static int repair_tail(struct guard *guard)
{
	uintptr_t dead = first_dead(guard);
	struct pmap_range range;
	int r;

	if (dead > guard->patched_from) {
		r = around_lone_pages(guard, guard->patched_from, dead, show);
		if (r < 0)
			return r;
		guard->patched_from = dead;
	}
	/* Of what was given back nothing is missing. */
	if (!range_at(guard, guard->patched_from, guard->trap.end, &range))
		guard->patched_from = guard->trap.end;
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
	if (tail == 0 && pages == 0)
		clear_error(guard);
	if (claimed)
		pmap_claim_release(guard->pmap);

	return tail < 0 ? tail : pages;
}
