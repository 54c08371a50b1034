/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "pmap/frames.h"
#include "pmap/limits.h"
#include "pmap/shelf.h"
#include "pmap/view.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/pagemap.h"
#include "sys/probe.h"
#include "sys/self.h"
#include "sys/uapi.h"
#include "sys/userfaultfd.h"
#include "trap/table.h"

/* process_madvise takes IOV_MAX (1,024) ranges a call; at 512 the flush is amortised (0.20 us a page, 17.4 us singly). */
enum { BATCH_SPANS = 512 };

/* Of the back door, on the stack, which may be a signal handler's. Spans nearer than one page table of the kernel's are one. */
enum { DOOR_SPANS = 64, DOOR_GAP = 512 * PAGE_BYTES };

/* Regions of one PAGEMAP_SCAN, 24 bytes each, on the stack. */
enum { SCAN_REGIONS = 128 };

_Static_assert(sizeof(struct pmap_span) == sizeof(struct sys_span), "a batch goes down as it is");
_Static_assert(
	offsetof(struct pmap_span, end) == offsetof(struct sys_span, end), "a batch goes down as it is");

static struct uffd *of(struct pmap *pmap)
{
	return CONTAINER_OF(pmap, struct uffd, pmap);
}

/* ---- stage ---- */

static int uffd_stage(struct pmap *pmap, struct pmap_page *const *pages, uint32_t count, void **memory)
{
	return frames_stage(&of(pmap)->frames, pages, count, memory);
}

/* ---- enter ---- */

static int enter_shown(struct uffd_range *range, uintptr_t va, unsigned int prot)
{
	bool protect = (prot & PMAP_WRITTEN) == 0; /* a first store is to be noted, or to be asked for */
	int r = sys_uffd_continue(view_context(range), va, PAGE_BYTES, protect);

	/* It is there already, perhaps with less rights; another thread may have been faster, and woken its own waiter only. */
	if (r == -EEXIST && !protect)
		r = sys_uffd_write_protect(view_context(range), va, PAGE_BYTES, false);
	else if (r == -EEXIST)
		r = sys_uffd_wake(view_context(range), va, PAGE_BYTES);
	return r;
}

static int bring_private(struct uffd_range *range, uintptr_t va, uint32_t frame)
{
	struct frames *frames = &range->uffd->frames;
	_Atomic uint32_t *slot = view_slot(range, va);
	int r;

	if (*slot == frame + 1 && frames->where[frame] == AT_VA)
		return sys_uffd_write_protect(frames->uffd, va, PAGE_BYTES, false);

	r = frames_bring(frames, frame, va, range->shelf == NULL);
	if (r == -EEXIST) { /* the object's page, which this one shadows from now on */
		frames_drop(va, PAGE_BYTES);
		r = frames_bring(frames, frame, va, range->shelf == NULL);
	}
	if (r == 0)
		*slot = frame + 1;
	return r;
}

/* WORD_PRESENT of /proc/self/pagemap. */
static bool is_present(const struct uffd *uffd, uintptr_t va)
{
	uint64_t word = 0;

	return sys_pagemap_words(uffd->pagemap, va, &word, 1) == 1 && word >> 63 != 0;
}

static int bring_again(struct uffd_range *range, uintptr_t va, struct pmap_page *page)
{
	struct uffd *uffd = range->uffd;
	int r;

	if (uffd->frames.where[page->frame] == AT_VA && is_present(uffd, va))
		return sys_uffd_wake(view_context(range), va, PAGE_BYTES); /* another thread was faster */
	r = frames_copy(&uffd->frames, &page, 1, view_context(range), va, !range->shared);
	if (r == -EEXIST) { /* what stood in for it */
		frames_drop(va, PAGE_BYTES);
		r = frames_copy(&uffd->frames, &page, 1, view_context(range), va, !range->shared);
	}
	return r;
}

/* Two threads that fault on one page both enter it. Without the lock the slower would take what the faster has brought, and
 * stored into since, for the object's page, and drop it (measured: a few of 30,000 stores). */
static int enter_alone(struct uffd_range *range, uintptr_t va, struct pmap_page *page)
{
	struct spin *lock = &range->uffd->frames.entering[page->frame % ENTER_LOCKS];
	int r;

	spin_take(lock);
	r = page->again ? bring_again(range, va, page) : bring_private(range, va, page->frame);
	spin_give(lock);
	return r;
}

static int enter_one(struct uffd_range *range, uintptr_t va, struct pmap_page *page, unsigned int prot)
{
	if (page->at_home)
		return enter_shown(range, va, prot);
	if (page->again && (prot & PMAP_WRITTEN) != 0)
		return -EACCES; /* nobody can write what can be had again: it would be gone with the entry */
	return enter_alone(range, va, page);
}

/* Several are pages of an object, or pages that can be had again and that nobody else enters meanwhile: they need no lock, and
 * where nothing stands in their way one call takes all of them. */
static int enter_run(struct uffd_range *range, uintptr_t va, struct pmap_page *const *pages, uint32_t count,
	unsigned int prot)
{
	int r = -EEXIST;

	if (count > 1 && pages[0]->again)
		r = frames_copy(&range->uffd->frames, pages, count, view_context(range), va, !range->shared);
	else if (count > 1)
		r = sys_uffd_continue(
			view_context(range), va, (size_t)count * PAGE_BYTES, (prot & PMAP_WRITTEN) == 0);
	if (r != -EEXIST)
		return r;
	r = 0;
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = enter_one(range, va + (uintptr_t)i * PAGE_BYTES, pages[i], prot);
	return r;
}

static int uffd_enter(
	struct pmap *pmap, uintptr_t va, struct pmap_page *const *pages, uint32_t count, unsigned int prot)
{
	int r = 0;

	(void)pmap;
	/* Neighbours may be in several ranges. */
	while (r == 0 && count > 0) {
		unsigned int held;
		struct uffd_range *range = view_hold(va, &held);
		uint32_t here;

		if (range == NULL)
			return -ENOENT;
		here = (uint32_t)min_u64(count, (range->trap.end - va) >> PAGE_SHIFT);
		r = enter_run(range, va, pages, here, prot);
		table_release(held);
		va += (uintptr_t)here * PAGE_BYTES;
		pages += here;
		count -= here;
	}
	return r;
}

/* ---- remove ---- */

/* A private page goes to its place in out. Eviction and unmapping may both come for it. */
static int take_out(struct uffd_range *range, uintptr_t va, _Atomic uint32_t *slot)
{
	struct frames *frames = &range->uffd->frames;
	uint32_t word = *slot;
	struct spin *lock;
	int r = 0;

	if (word == 0)
		return 0;
	lock = &frames->entering[(word - 1) % ENTER_LOCKS];
	spin_take(lock);
	if (*slot == word) {
		r = frames_take(frames, word - 1, va, range->shelf == NULL);
		if (r == 0)
			*slot = 0;
	}
	spin_give(lock);
	return r;
}

static int take_out_span(struct uffd_range *range, uintptr_t start, uintptr_t end)
{
	int r = 0;

	for (uintptr_t va = start; r == 0 && va < end; va += PAGE_BYTES)
		r = take_out(range, va, view_slot(range, va));
	return r;
}

/*
 * Entries of the back door: what a device filled through it has them. As long as they are there, handing the memory back
 * flushes the other processors' tables once a page (7 us, 1.3 us without). They go with those of the views, and so do others
 * between them: every span is a flush too (9.3 us a scattered page, 6.0 so), and whoever needs an entry has it back by a touch.
 */
struct doors {
	struct uffd *uffd;
	size_t count;
	struct sys_span spans[DOOR_SPANS];
};

static void close_doors(struct doors *doors)
{
	if (doors->count > 0)
		(void)sys_advise_many(doors->uffd->self, doors->spans, doors->count, MADV_DONTNEED);
	doors->count = 0;
}

/* [door, end) of a chunk that begins at `bottom`. */
static void add_span(struct doors *doors, uintptr_t bottom, uintptr_t door, uintptr_t end)
{
	struct sys_span *last = doors->count == 0 ? NULL : &doors->spans[doors->count - 1];

	if (last != NULL && last->start >= bottom && last->end <= door && door - last->end < DOOR_GAP) {
		last->end = end;
		return;
	}
	if (doors->count == DOOR_SPANS)
		close_doors(doors);
	doors->spans[doors->count++] = (struct sys_span){ door, end };
}

static void add_door(struct doors *doors, const struct uffd_range *range, uintptr_t start, uintptr_t end)
{
	uint64_t chunk = (uint64_t)1 << SHELF_CHUNK_SHIFT;
	uint64_t from = range->offset + (start - range->trap.start);
	uint64_t to = from + (end - start);

	while (from < to) {
		uint64_t bottom = align_down(from, chunk);
		uint64_t next = min_u64(to, bottom + chunk);
		uintptr_t door = (uintptr_t)shelf_memory(range->shelf, from);

		add_span(doors, door - (uintptr_t)(from - bottom), door, door + (uintptr_t)(next - from));
		from = next;
	}
}

/* Neighbours in a span may be of several ranges. */
static int remove_span(struct doors *doors, const struct pmap_span *span)
{
	unsigned int held;
	int r = 0;

	for (uintptr_t va = span->start; r == 0 && va < span->end;) {
		struct uffd_range *range = view_hold(va, &held);
		uintptr_t end;

		if (range == NULL)
			return -ENOENT;
		end = min_u64(range->trap.end, span->end);
		if (range->table != NULL)
			r = take_out_span(range, va, end);
		if (range->shelf != NULL)
			add_door(doors, range, va, end);
		table_release(held);
		va = end;
	}
	return r;
}

static int uffd_remove(struct pmap *pmap, const struct pmap_span *spans, size_t span_count)
{
	struct uffd *uffd = of(pmap);
	struct doors doors = { .uffd = uffd };
	int r = 0;

	for (size_t i = 0; r == 0 && i < span_count; i++)
		r = remove_span(&doors, &spans[i]);
	close_doors(&doors);
	for (size_t i = 0; r == 0 && i < span_count; i += BATCH_SPANS) {
		size_t count = min_u64(span_count - i, BATCH_SPANS);

		r = sys_advise_many(
			uffd->self, (const struct sys_span *)(const void *)(spans + i), count, MADV_DONTNEED);
	}
	return r;
}

/* ---- harvest, poison, protect ---- */

/*
 * Asking does not re-arm what can be reached. If it did, one thread's scan could take the note of a store away while another,
 * which evicts that page, looks for it and finds it clean (measured: 358 of 60,000 stores lost under a concurrent flush). It is
 * not needed either: a page that is written back was unmapped before, and entering it again sets the protection anew.
 */
static int uffd_harvest(
	struct pmap *pmap, const struct pmap_span *span, bool anew, pmap_written_fn *written, void *user)
{
	struct page_region regions[SCAN_REGIONS];
	uintptr_t at[2] = { span->start, span->end };

	while (at[0] < at[1]) {
		long n = sys_written_pages(
			of(pmap)->pagemap, at, WRITTEN_KEPT, regions, SCAN_REGIONS, &at[0]);

		if (n < 0)
			return (int)n;
		for (long i = 0; i < n; i++) {
			const struct pmap_span pages = { regions[i].start, regions[i].end };

			written(user, &pages);
			if (anew) /* a mark in the empty entry; without one it is told once more */
				(void)sys_uffd_write_protect(
					of(pmap)->shared, pages.start, pages.end - pages.start, true);
		}
		if (n < SCAN_REGIONS)
			break;
	}
	return 0;
}

static int uffd_poison(struct pmap *pmap, uintptr_t va)
{
	unsigned int held;
	struct uffd_range *range = view_hold(va, &held);
	int r;

	(void)pmap;
	if (range == NULL)
		return -ENOENT;
	r = sys_uffd_poison(view_context(range), va, PAGE_BYTES);
	/* A page that was evicted unwritten leaves a write-protect marker behind, which stands in the way. */
	if (r == -EEXIST && sys_uffd_write_protect(view_context(range), va, PAGE_BYTES, false) == 0)
		r = sys_uffd_poison(view_context(range), va, PAGE_BYTES);
	table_release(held);
	return r;
}

static int uffd_protect(struct pmap *pmap, const struct pmap_range *range)
{
	int r = sys_mprotect(range->start, range->end - range->start, range->prot);

	(void)pmap;
	return r < 0 ? limits_explain(r, range) : 0;
}

static const struct pmap_ops uffd_ops = {
	.attach = view_attach,
	.stage = uffd_stage,
	.enter = uffd_enter,
	.protect = uffd_protect,
	.remove = uffd_remove,
	.harvest = uffd_harvest,
	.poison = uffd_poison,
	.detach = view_detach,
};

/* ---- open ---- */

static int open_context(struct uffd *uffd, uint64_t features, int *fd)
{
	uint64_t offered;

	if (uffd->options.inline_faults)
		features |= UFFD_FEATURE_SIGBUS;
	*fd = sys_userfaultfd(uffd->options.user_only || uffd->options.inline_faults, features, &offered);
	return *fd < 0 ? *fd : 0;
}

static int refuse_open(int error)
{
	if (error_is_want(error))
		return error_set(error, "/proc/self/pagemap and mem cannot be opened: %s", strerror(-error));
	return error_set(error == -EACCES ? error : -ENOENT,
		"paged mappings need /proc/self/pagemap and mem: /proc is not mounted, or this process hides "
		"itself (PR_SET_DUMPABLE)");
}

static int open_steps(struct uffd *uffd)
{
	uint64_t shmem = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
	bool tracks = sys_has(PROBE_UFFD_WP_ASYNC) && sys_has(PROBE_PAGEMAP_SCAN);
	int r;

	r = open_context(uffd, shmem | UFFD_FEATURE_WP_HUGETLBFS_SHMEM, &uffd->private);
	if (r == 0)
		r = open_context(uffd,
			shmem | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
				(tracks ? UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED : 0),
			&uffd->shared);
	if (r < 0)
		return error_set(r, "userfaultfd: %s",
			error_is_want(r) ? strerror(-r) : sys_probe_words(PROBE_UFFD)->why_not);

	uffd->pmap.can = PMAP_CAN_PLACE | (tracks ? PMAP_CAN_HARVEST : 0);
	if (sys_has(PROBE_UFFD_POISON))
		uffd->pmap.can |= PMAP_CAN_POISON;
	uffd->pagemap = sys_open("/proc/self/pagemap", O_RDONLY, 0);
	uffd->memory = sys_open("/proc/self/mem", O_RDONLY, 0);
	uffd->self = sys_pidfd_self();
	r = uffd->pagemap < 0 ? uffd->pagemap : uffd->memory < 0 ? uffd->memory : uffd->self;
	if (r < 0)
		return refuse_open(r);
	r = frames_open(
		&uffd->frames, uffd->options.frames, uffd->private, uffd->memory, sys_has(PROBE_UFFD_MOVE));
	uffd->pmap.beside = (size_t)uffd->frames.free_slots.count * PAGE_BYTES;
	return r < 0 ? error_set(r, "no addresses for %u frames", uffd->options.frames) : 0;
}

int uffd_open(const struct uffd_options *options, pmap_up_fn *up, void *above, struct uffd **out)
{
	struct uffd *uffd = calloc(1, sizeof(*uffd));
	int r;

	if (uffd == NULL)
		return error_set(-ENOMEM, "no memory for a pager");
	uffd->options = *options;
	uffd->shared = uffd->private = uffd->pagemap = uffd->memory = uffd->self = -1;
	pmap_init(&uffd->pmap, &uffd_ops, 0, up, above);
	r = open_steps(uffd);
	if (r < 0) {
		uffd_close(uffd);
		return r;
	}
	*out = uffd;
	return 0;
}

void uffd_close(struct uffd *uffd)
{
	const int fds[] = { uffd->shared, uffd->private, uffd->pagemap, uffd->memory, uffd->self };

	frames_close(&uffd->frames);
	for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
		if (fds[i] >= 0)
			sys_close(fds[i]);
	free(uffd);
}

void uffd_forget_descriptors(struct uffd *uffd)
{
	uffd->shared = uffd->private = uffd->pagemap = uffd->memory = uffd->self = -1;
	uffd->frames.uffd = uffd->frames.memory = -1;
}

struct pmap *uffd_pmap(struct uffd *uffd)
{
	return &uffd->pmap;
}

int uffd_descriptor(const struct uffd *uffd, bool shared)
{
	return shared ? uffd->shared : uffd->private;
}

int uffd_wake(struct uffd *uffd, uintptr_t va)
{
	int shared = sys_uffd_wake(uffd->shared, va, PAGE_BYTES);
	int private = sys_uffd_wake(uffd->private, va, PAGE_BYTES);

	return shared < 0 ? shared : private; /* who waits, waits on one of them */
}
