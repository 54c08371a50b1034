/* SPDX-License-Identifier: Apache-2.0 */
/* pagefile/window.c - the private window: addresses, growth in place, the dirty set, dropping. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "object/file.h"
#include "pagefile/pagefile.h"
#include "pmap/guard.h"
#include "pmap/kernel.h"
#include "pmap/pmap.h"
#include "vm/as.h"

static struct pmap_span span_of(const struct pagefile *file, struct pages_run run)
{
	uintptr_t start = file->start + run.first * PAGE_BYTES;

	return (struct pmap_span){ start, start + run.count * PAGE_BYTES };
}

/* A fork child sees nothing of a writer's window: two processes with the same uncommitted stores would be two writers. */
static uint32_t window_flags(const struct pagefile *file)
{
	return PMAP_NORESERVE | (file->writable ? PMAP_DONTFORK : 0);
}

static int reserve(struct pagefile *file, uintptr_t address)
{
	size_t bytes = file->head.pages_max * PAGE_BYTES;
	struct map_request request = {
		.how = address == 0 ? PMAP_ANYWHERE : PMAP_EXACT,
		.range = { .start = address,
			.end = address + bytes,
			.owner = file->owner,
			.flags = PMAP_RESERVED },
	};
	int r = as_map(file->as, &request, &file->start);

	if (r == -EEXIST)
		return error_set(r,
			"%s wants to stand at %p for its raw pointers, and something is there: open it earlier, or "
			"with QUIRE_REGION_ANYWHERE if it holds offsets only",
			file->disk.path, (void *)(address + PAGE_BYTES));
	return r;
}

/* Pages [from, to) of the file over the addresses kept for them. */
static int show_more(struct pagefile *file, uint64_t from, uint64_t to)
{
	const struct pmap_span span = span_of(file, (struct pages_run){ from, to - from });
	struct map_request request = {
		.how = PMAP_REPLACE,
		.over_reserved = true,
		.object = &file->object->object,
		.range = {
			.start = span.start,
			.end = span.end,
			.owner = file->owner,
			.offset = file->head.data_offset + from * PAGE_BYTES,
			.flags = window_flags(file),
			.prot = (uint8_t)(PMAP_READ | (file->writable ? PMAP_WRITE : 0)),
		},
	};
	uintptr_t start;
	int r = as_map(file->as, &request, &start);

	if (r == 0 && file->writable)
		r = track_arm(&file->track, &span);
	return r;
}

static int show_less(struct pagefile *file, uint64_t from, uint64_t to)
{
	const struct pmap_span span = span_of(file, (struct pages_run){ from, to - from });
	struct map_request request = {
		.how = PMAP_REPLACE,
		.range = { .start = span.start,
			.end = span.end,
			.owner = file->owner,
			.flags = PMAP_RESERVED },
	};
	uintptr_t start;

	return as_map(file->as, &request, &start);
}

/* ---- dead pages ---- */

static int guard_window(struct pagefile *file)
{
	struct guard *guard = file->guard;
	uintptr_t end = file->start + file->pages * PAGE_BYTES;

	if (guard->pmap != NULL)
		return guard_follow(guard, file->start, end);
	guard->trap.start = file->start;
	guard->trap.end = end;
	guard->pmap = file->as->pmap;
	guard->owner = file->owner;
	guard->fd = file->disk.fd;
	guard->offset = file->head.data_offset;
	guard->page_bytes = PAGE_BYTES;
	guard->policy = QUIRE_GUARD_ZEROS;
	return guard_open(guard);
}

int pagefile_lost(const struct pagefile *file)
{
	struct quire_fault fault;
	int r = guard_error(file->guard, &fault);

	return r < 0 ? error_set(r, "%s: pages from offset %" PRIu64 " on were lost while it was mapped: %s",
			       file->disk.path, fault.offset, strerror(-r))
		     : 0;
}

int pagefile_show(struct pagefile *file, uint64_t pages)
{
	uint64_t bytes;
	int r;

	if (pages > file->head.pages_max)
		return error_set(-EBADMSG, "%s: %" PRIu64 " pages are more than the %" PRIu64 " it may have",
			file->disk.path, pages, file->head.pages_max);
	r = disk_size(&file->disk, &bytes);
	if (r < 0)
		return r;
	if (bytes <
		file->head.data_offset + pages * PAGE_BYTES) /* touching what is not there would kill us */
		return error_set(-ENODATA,
			"%s was truncated: it has %" PRIu64 " bytes, and should have %" PRIu64,
			file->disk.path, bytes, file->head.data_offset + pages * PAGE_BYTES);
	if (pages > file->pages)
		r = show_more(file, file->pages, pages);
	else if (pages < file->pages)
		r = show_less(file, pages, file->pages);
	if (r < 0)
		return r;
	file->pages = pages;
	return guard_window(file);
}

int pagefile_map(struct pagefile *file, const struct pagefile_place *place)
{
	int r;

	file->as = place->as;
	file->owner = place->owner;
	file->guard = place->guard;
	if (file->writable) {
		r = track_open(&file->track, place->track_whole);
		if (r < 0)
			return r;
	}
	return reserve(file, place->anywhere ? 0 : (uintptr_t)file->head.address);
}

void pagefile_close(struct pagefile *file)
{
	if (file->guard != NULL)
		guard_close(file->guard); /* first: the addresses may be somebody else's a moment later */
	file->guard = NULL;
	if (file->start != 0)
		(void)as_unmap(file->as, file->start, file->start + file->head.pages_max * PAGE_BYTES);
	file->start = 0;
	track_close(&file->track);
	if (file->object != NULL)
		object_unref(&file->object->object);
	file->object = NULL;
	disk_close(&file->disk);
}

/* ---- the dirty set ---- */

/* harvest: one walk in progress, in pages instead of addresses */
struct harvest {
	const struct pagefile *file;
	pagefile_found_fn *found;
	void *user;
};

static int found_span(void *user, const struct pmap_span *span)
{
	const struct harvest *h = user;
	struct pages_run run = {
		.first = (span->start - h->file->start) / PAGE_BYTES,
		.count = (span->end - span->start) / PAGE_BYTES,
	};

	return h->found(h->user, run);
}

int pagefile_harvest(struct pagefile *file, struct pages_run run, pagefile_found_fn *found, void *user)
{
	struct harvest harvest = { file, found, user };
	const struct pmap_span span = span_of(file, run);
	int r = track_harvest(&file->track, &span, found_span, &harvest);

	return r < 0
		? error_default(r, "%s: the pages written cannot be found: %s", file->disk.path, strerror(-r))
		: 0;
}

int pagefile_drop(const struct pagefile *file, const struct pages_run *runs, size_t run_count)
{
	enum { AT_ONCE = 256 };
	struct pmap_span spans[AT_ONCE];
	int r = 0;

	for (size_t done = 0; r == 0 && done < run_count;) {
		size_t n = min_u64(AT_ONCE, run_count - done);

		for (size_t i = 0; i < n; i++)
			spans[i] = span_of(file, runs[done + i]);
		r = kernel_drop(spans, n);
		done += n;
	}
	return r < 0 ? error_set(r, "%s: private pages cannot be dropped: %s", file->disk.path, strerror(-r))
		     : 0;
}

int pagefile_unlock(const struct pagefile *file, bool unlock)
{
	unsigned int prot = PMAP_READ | (file->writable || unlock ? PMAP_WRITE : 0U);

	if (file->writable || file->pages == 0)
		return 0;
	return as_protect(file->as, file->start, file->start + file->pages * PAGE_BYTES, prot);
}
