/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/frames.h"

#include <errno.h>
#include <stddef.h>

#include "base/align.h"
#include "pmap/shelf.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/uapi.h"
#include "sys/userfaultfd.h"

/*
 * Slots: two windows of a stream, see STREAM_PART in vm/fetch.c. The first few are single pages, for reads that come one by one;
 * a stream's are in huge pages, of pools that are eight or more: a device that is told of 2 MiB in one piece, and not of 512,
 * reads 1.5 times as fast here (128 KiB at a time, 16 in flight: 820 and 1,300 MB/s).
 */
enum {
	SLOT_PART = 16,
	HUGE_PART = 8,
	HUGE_BYTES = HUGE_SLOTS * PAGE_BYTES,
	SLOTS_BYTES = SLOTS_MAX * PAGE_BYTES + HUGE_BYTES
};

void frames_drop(uintptr_t start, size_t bytes)
{
	(void)sys_madvise(start, bytes, MADV_DONTNEED);
}

static uintptr_t place(uintptr_t area, uint32_t frame)
{
	return area + (uintptr_t)frame * PAGE_BYTES;
}

/* ---- slots ---- */

static uint16_t take_slot(struct frames *frames)
{
	uint32_t slot;

	spin_take(&frames->slot_lock);
	slot = bits_take(&frames->free_slots);
	spin_give(&frames->slot_lock);
	return slot == BITS_NONE ? NOWHERE : (uint16_t)(FIRST_SLOT + slot);
}

static void give_slots(struct frames *frames, uint16_t first, uint32_t count)
{
	spin_take(&frames->slot_lock);
	bits_give(&frames->free_slots, first - FIRST_SLOT, count);
	spin_give(&frames->slot_lock);
}

/* ---- stage ---- */

static uint16_t first_place(struct frames *frames, const struct pmap_page *page)
{
	uint16_t slot = NOWHERE;

	if (page->at_home)
		return ON_SHELF;
	if (page->again)
		slot = take_slot(frames);
	return slot != NOWHERE ? slot : IN_FILL;
}

/* The memory a frame has before it is entered, or after. */
static uintptr_t memory_of(const struct frames *frames, uint32_t frame)
{
	uint16_t where = frames->where[frame];

	if (where >= FIRST_SLOT)
		return place(frames->slots, (uint32_t)(where - FIRST_SLOT));
	return place(where == IN_OUT ? frames->out : frames->fill, frame);
}

/* What was given to frames before they were entered, in one piece of memory from that of the first on, is wanted no more. */
static void leave_places(struct frames *frames, uint32_t first, uint32_t count)
{
	if (frames->where[first] >= FIRST_SLOT)
		give_slots(frames, frames->where[first], count);
	else
		frames_drop(memory_of(frames, first), (size_t)count * PAGE_BYTES);
}

/* How many lie one behind the other on one shelf. */
static uint32_t in_one_row(const struct frames *frames, struct pmap_page *const *pages, uint32_t count)
{
	uint32_t n = 1;

	while (n < count && frames->where[pages[n]->frame] == ON_SHELF &&
		pages[n]->owner == pages[0]->owner && pages[n]->index == pages[0]->index + n)
		n++;
	return n;
}

static int give_back(struct frames *frames, struct pmap_page *const *pages, uint32_t count)
{
	int r = 0;

	while (count > 0) {
		const struct pmap_page *page = pages[0];
		uint16_t where = frames->where[page->frame];
		uint32_t n = where == ON_SHELF ? in_one_row(frames, pages, count) : 1;
		int failed = 0;

		if (where == ON_SHELF)
			failed = shelf_free(pmap_engine_of(page), page->index * PAGE_BYTES,
				(page->index + n) * PAGE_BYTES);
		else if (where == IN_FILL || where == IN_OUT || where >= FIRST_SLOT)
			leave_places(frames, page->frame, 1);
		for (; n > 0; n--, count--, pages++)
			frames->where[pages[0]->frame] = NOWHERE;
		r = r < 0 ? r : failed;
	}
	return r;
}

static int stage_one(struct frames *frames, const struct pmap_page *page, void **memory)
{
	uint16_t *where = &frames->where[page->frame];

	if (*where == NOWHERE)
		*where = first_place(frames, page);
	if (*where == ON_SHELF)
		*memory = shelf_memory(pmap_engine_of(page), page->index * PAGE_BYTES);
	else if (*where == AT_VA || *where == GONE)
		return page->again ? -ESTALE : -EBUSY; /* programs are looking at it: it has no other place */
	else
		*memory = (void *)memory_of(frames, page->frame);
	return 0;
}

int frames_stage(struct frames *frames, struct pmap_page *const *pages, uint32_t count, void **memory)
{
	int r = 0;

	if (memory == NULL)
		return give_back(frames, pages, count);
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = stage_one(frames, pages[i], &memory[i]);
	return r;
}

/* ---- private pages ---- */

/* The kernel moves between anonymous mappings of equal rights only, and mprotect may have changed those of a part:
 * -EINVAL then. */
static int move_page(const struct frames *frames, bool anonymous, uintptr_t to, uintptr_t from)
{
	if (!frames->moves || !anonymous)
		return -EINVAL;
	return sys_uffd_move(frames->uffd, to, from, PAGE_BYTES);
}

static int copy_in(const struct frames *frames, uintptr_t to, uintptr_t from)
{
	int r = sys_uffd_copy(frames->uffd, to, from, PAGE_BYTES, false);

	if (r == 0)
		frames_drop(from, PAGE_BYTES);
	return r;
}

static int copy_out(const struct frames *frames, uintptr_t to, uintptr_t from)
{
	char bytes[PAGE_BYTES];
	int r = sys_uffd_write_protect(frames->uffd, from, PAGE_BYTES, true);

	if (r < 0)
		return r;
	if (sys_pread(frames->memory, bytes, PAGE_BYTES, from) != (ssize_t)PAGE_BYTES)
		return -EFAULT;
	r = sys_uffd_copy(frames->uffd, to, (uintptr_t)bytes, PAGE_BYTES, false);
	if (r == 0)
		frames_drop(from, PAGE_BYTES);
	return r;
}

int frames_bring(struct frames *frames, uint32_t frame, uintptr_t va, bool anonymous)
{
	uintptr_t from = memory_of(frames, frame);
	int r = move_page(frames, anonymous, va, from);

	/* -EBUSY: a device has filled the page, and the kernel's worker has yet to let go of it (bio_check_pages_dirty). */
	if (r == -EINVAL || r == -EBUSY)
		r = copy_in(frames, va, from);
	if (r == 0)
		frames->where[frame] = AT_VA;
	return r;
}

int frames_take(struct frames *frames, uint32_t frame, uintptr_t va, bool anonymous)
{
	uintptr_t to = place(frames->out, frame);
	int r = move_page(frames, anonymous, to, va);

	if (r == -EINVAL)
		r = copy_out(frames, to, va);
	if (r == 0)
		frames->where[frame] = IN_OUT;
	return r;
}

/* ---- pages that can be had again ---- */

static bool has_bytes(const struct frames *frames, uint32_t frame)
{
	return frames->where[frame] == IN_FILL || frames->where[frame] >= FIRST_SLOT;
}

/* How many of them lie one behind the other in memory, as they will at their addresses. */
static uint32_t in_one_piece(const struct frames *frames, struct pmap_page *const *pages, uint32_t count)
{
	uintptr_t from = memory_of(frames, pages[0]->frame);
	uint32_t n = 1;

	while (n < count && has_bytes(frames, pages[n]->frame) &&
		memory_of(frames, pages[n]->frame) == from + (uintptr_t)n * PAGE_BYTES)
		n++;
	return n;
}

int frames_copy(struct frames *frames, struct pmap_page *const *pages, uint32_t count, int uffd, uintptr_t va,
	bool protect)
{
	while (count > 0) {
		uint32_t n;
		int r;

		if (!has_bytes(frames, pages[0]->frame))
			return -ESTALE;
		n = in_one_piece(frames, pages, count);
		r = sys_uffd_copy(
			uffd, va, memory_of(frames, pages[0]->frame), (size_t)n * PAGE_BYTES, protect);
		if (r < 0)
			return r;
		leave_places(frames, pages[0]->frame, n);
		for (uint32_t i = 0; i < n; i++)
			frames->where[pages[i]->frame] = AT_VA;
		va += (uintptr_t)n * PAGE_BYTES;
		pages += n;
		count -= n;
	}
	return 0;
}

/* ---- open ---- */

static int map_area(size_t bytes, uintptr_t *area)
{
	int r = sys_mmap(
		0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, area);

	if (r < 0)
		return r;
	(void)sys_madvise(*area, bytes, MADV_DONTFORK);
	(void)sys_madvise(*area, bytes, MADV_DONTDUMP);
	(void)sys_madvise(*area, bytes, MADV_NOHUGEPAGE);
	return 0;
}

static int map_slots(struct frames *frames)
{
	uint32_t huge = (uint32_t)min_u64(frames->count / SLOT_PART / HUGE_SLOTS, HUGE_MAX);
	uintptr_t first;
	int r = map_area(SLOTS_BYTES, &frames->slots_area);

	if (r < 0)
		return r;
	if (huge == 0 && frames->count / HUGE_PART >= HUGE_SLOTS)
		huge = 1;
	first = align_up(frames->slots_area + SINGLE_SLOTS * PAGE_BYTES, HUGE_BYTES);
	frames->slots = first - SINGLE_SLOTS * PAGE_BYTES;
	frames->free_slots.words = frames->slot_words;
	frames->free_slots.count = (uint32_t)min_u64(frames->count / SLOT_PART, SINGLE_SLOTS);
	frames->free_slots.count += huge * HUGE_SLOTS;
	if (huge > 0)
		(void)sys_madvise(first, huge * HUGE_BYTES, MADV_HUGEPAGE);
	return 0;
}

static size_t table_bytes(const struct frames *frames)
{
	return (size_t)frames->count * sizeof(uint16_t);
}

int frames_open(struct frames *frames, uint32_t count, int uffd, int memory, bool moves)
{
	size_t bytes = (size_t)count * PAGE_BYTES;
	uintptr_t table = 0;
	int r;

	*frames = (struct frames){ .count = count, .uffd = uffd, .memory = memory, .moves = moves };
	r = map_area(bytes, &frames->fill);
	if (r == 0)
		r = map_area(bytes, &frames->out);
	if (r == 0)
		r = map_slots(frames);
	if (r == 0)
		r = map_area(table_bytes(frames), &table);
	if (r < 0)
		return r;
	frames->where = (uint16_t *)table;
	return sys_uffd_register(uffd, frames->out, bytes, UFFDIO_REGISTER_MODE_MISSING);
}

void frames_close(struct frames *frames)
{
	size_t bytes = (size_t)frames->count * PAGE_BYTES;

	if (frames->fill != 0)
		(void)sys_munmap(frames->fill, bytes);
	if (frames->out != 0)
		(void)sys_munmap(frames->out, bytes);
	if (frames->slots_area != 0)
		(void)sys_munmap(frames->slots_area, SLOTS_BYTES);
	if (frames->where != NULL)
		(void)sys_munmap((uintptr_t)frames->where, table_bytes(frames));
}
