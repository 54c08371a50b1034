/* SPDX-License-Identifier: Apache-2.0 */
/* api/range.c - operations on ranges of a mapping. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "object/file.h"
#include "pmap/kernel.h"
#include "sys/probe.h"
#include "sys/proc.h"
#include "sys/uapi.h"

/* ---- ranges as addresses ---- */

static int outside(const struct quire_map *map, size_t offset, size_t length)
{
	return error_set(-EINVAL, "%zu bytes at offset %zu do not lie in a mapping of %zu bytes", length,
		offset, map->length);
}

int map_span(const struct quire_map *map, size_t offset, size_t length, struct pmap_span *span)
{
	uintptr_t first;

	*span = (struct pmap_span){ 0, 0 };
	if (map == NULL)
		return error_set(-EINVAL, "no mapping was given");
	if (pool_is_ours(map->pool) < 0)
		return -ECHILD;
	if (offset > map->length)
		return outside(map, offset, length);
	if (length == QUIRE_TO_END)
		length = map->length - offset;
	if (length > map->length - offset)
		return outside(map, offset, length);
	first = map->start + map->skew;
	span->start = align_down(first + offset, map->page_bytes);
	span->end = align_up(first + offset + length, map->page_bytes);
	if (length == 0)
		span->end = span->start;
	return 0;
}

int map_span_exact(const struct quire_map *map, size_t offset, size_t length, struct pmap_span *span)
{
	int r = map_span(map, offset, length, span);

	if (r < 0)
		return r;
	if (map->start + map->skew + offset != span->start)
		return error_set(
			-EINVAL, "offset %zu is not at a page boundary (%zu bytes)", offset, map->page_bytes);
	if (span->start == span->end)
		return error_set(-EINVAL, "the range is empty");
	return 0;
}

bool map_run(const struct quire_map *map, uintptr_t from, uintptr_t end, struct pmap_span *run)
{
	struct seg seg;

	*run = (struct pmap_span){ end, end };
	for (uintptr_t va = from; va < end && as_find(map_as(map), va, &seg); va = seg.range.end) {
		bool own = seg.range.owner == map_owner(map) && seg.range.start < end;
		uintptr_t start = max_u64(seg.range.start, from);

		if (run->start < end && (!own || start != run->end))
			break;
		if (!own)
			continue;
		if (run->start == end)
			run->start = start;
		run->end = min_u64(seg.range.end, end);
	}
	return run->start < end;
}

bool map_owns(const struct quire_map *map, const struct pmap_span *span)
{
	struct pmap_span run;

	return map_run(map, span->start, span->end, &run) && run.start == span->start && run.end == span->end;
}

int map_not_held(const struct quire_map *map)
{
	return map->held != NULL ? error_set(-EBUSY, "%s", map->held) : 0;
}

static int need_whole(const struct quire_map *map, const struct pmap_span *span)
{
	if (span->start == span->end || map_owns(map, span))
		return 0;
	return error_set(-ENOMEM, "part of the range was unmapped; nothing was done");
}

/* ---- layout ---- */

int quire_map_unmap(struct quire_map *map, size_t offset, size_t length)
{
	struct pmap_span span;
	int r;

	error_clear();
	r = map_span_exact(map, offset, length, &span);
	if (r == 0)
		r = map_not_held(map);
	if (r < 0)
		return r;
	if (map->inside != NULL)
		return error_set(-EINVAL, "what stands in a reservation is given back whole: quire_unmap");
	if (atomic_load(&map->tenants) > 0 && !map_owns(map, &span))
		return error_set(
			-EBUSY, "mappings stand in this part of the reservation: quire_unmap them first");
	return map_give_back(map, span.start, span.end);
}

int quire_map_protect(struct quire_map *map, size_t offset, size_t length, unsigned int protection)
{
	struct pmap_span span;
	int r;

	error_clear();
	r = map_span_exact(map, offset, length, &span);
	if (r == 0 && protection == QUIRE_PROTECTION_DEFAULT)
		r = error_set(-EINVAL, "0 is no protection: QUIRE_NO_ACCESS forbids everything");
	if (r == 0)
		r = prot_check(protection);
	if (r == 0 && map->kind == QUIRE_RESERVED)
		r = error_set(-EINVAL, "a reservation has no memory to protect: place a mapping inside");
	if (r == 0)
		r = need_whole(map, &span);
	/* The kernel says so of its own mappings; of ours it knows nothing. */
	if (r == 0 && map->pool != NULL && map->sharing == QUIRE_SHARED && (protection & QUIRE_WRITE) != 0 &&
		map_object(map) != NULL && (map_object(map)->can & CAN_WRITE) == 0)
		r = error_set(-EACCES, "the object is read-only: map it private, or open it for writing");
	if (r < 0)
		return r;
	return as_protect(map_as(map), span.start, span.end, prot_bits(protection));
}

/* ---- advice ---- */

/* MADV_ numbers, and what a segment remembers of it. */
static const struct {
	int advice;
	uint32_t set;
	uint32_t clear;
	bool destroys;
} advices[] = {
	[QUIRE_NORMAL] = { MADV_NORMAL, 0, PMAP_RANDOM | PMAP_SEQUENTIAL, false },
	[QUIRE_RANDOM] = { MADV_RANDOM, PMAP_RANDOM, PMAP_SEQUENTIAL, false },
	[QUIRE_SEQUENTIAL] = { MADV_SEQUENTIAL, PMAP_SEQUENTIAL, PMAP_RANDOM, false },
	[QUIRE_WILLNEED] = { MADV_WILLNEED, 0, 0, false },
	[QUIRE_DONTNEED] = { MADV_DONTNEED, 0, 0, true },
	[QUIRE_FREE] = { MADV_FREE, 0, 0, true },
	[QUIRE_COLD] = { MADV_COLD, 0, 0, false },
	[QUIRE_PAGEOUT] = { MADV_PAGEOUT, 0, 0, false },
	[QUIRE_HUGEPAGE] = { MADV_HUGEPAGE, PMAP_HUGEPAGE, PMAP_NOHUGEPAGE, false },
	[QUIRE_NOHUGEPAGE] = { MADV_NOHUGEPAGE, PMAP_NOHUGEPAGE, PMAP_HUGEPAGE, false },
	[QUIRE_COLLAPSE] = { MADV_COLLAPSE, 0, 0, false },
	[QUIRE_DONTFORK] = { MADV_DONTFORK, PMAP_DONTFORK, 0, false },
	[QUIRE_DOFORK] = { MADV_DOFORK, 0, PMAP_DONTFORK, false },
	[QUIRE_WIPEONFORK] = { MADV_WIPEONFORK, PMAP_WIPEONFORK, 0, false },
	[QUIRE_KEEPONFORK] = { MADV_KEEPONFORK, 0, PMAP_WIPEONFORK, false },
	[QUIRE_DONTDUMP] = { MADV_DONTDUMP, PMAP_DONTDUMP, 0, false },
	[QUIRE_DODUMP] = { MADV_DODUMP, 0, PMAP_DONTDUMP, false },
	[QUIRE_POPULATE] = { MADV_POPULATE_READ, 0, 0, false },
	[QUIRE_POPULATE_FOR_WRITE] = { MADV_POPULATE_WRITE, 0, 0, false },
	[QUIRE_REMOVE] = { MADV_REMOVE, 0, 0, true },
};

int advise_span(struct quire_map *map, const struct pmap_span *span, unsigned int advice)
{
	int r;

	if (map->pool != NULL)
		return paged_advise(map, span, advices[advice].advice);
	r = kernel_advise(span, advices[advice].advice);
	if (r == 0 && (advices[advice].set | advices[advice].clear) != 0)
		r = as_mark(map_as(map), span->start, span->end, advices[advice].set, advices[advice].clear);
	return r;
}

/* EFAULT says that a page is dead; the guard's questions say why. */
static int explain_populate(const struct quire_map *map, const struct pmap_span *span, bool store, int error)
{
	struct guard guard = {
		.trap = { .start = map->start, .end = map->end },
		.fd = map->file == NULL ? -1 : map->file->window.fd,
		.offset = map->offset - map->skew,
		.page_bytes = map->page_bytes,
	};
	struct quire_fault fault = { .size = sizeof(fault), .write = store };

	for (uintptr_t page = span->start; page < span->end; page += map->page_bytes) {
		fault.error = guard_classify(&guard, page, store, 0, &fault.cause);
		if (fault.error == 0)
			continue;
		fault.offset = guard.offset + (page - map->start);
		(void)fault_explain(map, &fault);
		/* Behind the end of the file it is -EFAULT, as the kernel says; what the kernel does not tell apart, we do. */
		return fault.cause == QUIRE_CAUSE_TRUNCATED ? error : fault.error;
	}
	return error;
}

/* Where content is destroyed nothing but what was named may go: the last page of the mapping may be cut short. */
static int whole_pages(const struct quire_map *map, size_t offset, size_t length, struct pmap_span *span)
{
	int r = map_span_exact(map, offset, length, span);

	if (r < 0)
		return r;
	if (length != QUIRE_TO_END && offset + length != map->length &&
		map->start + map->skew + offset + length != span->end)
		return error_set(-EINVAL,
			"%zu bytes at offset %zu are not whole pages, and their content would go", length,
			offset);
	return 0;
}

uint32_t advice_flags(unsigned int advice)
{
	return advices[advice].set;
}

int quire_map_advise(struct quire_map *map, size_t offset, size_t length, unsigned int advice)
{
	bool store = advice == QUIRE_POPULATE_FOR_WRITE;
	struct pmap_span span;
	int r;

	error_clear();
	if (advice >= ARRAY_COUNT(advices))
		return error_set(-EINVAL, "advice %u is unknown", advice);
	r = map_span(map, offset, length, &span);
	if (r == 0 && advices[advice].destroys)
		r = whole_pages(map, offset, length, &span);
	if (r == 0)
		r = need_whole(map, &span);
	if (r == 0 && advices[advice].destroys)
		r = map_not_held(map);
	if (r < 0 || span.start == span.end)
		return r;

	r = advise_span(map, &span, advice);
	if (r == -EFAULT)
		return explain_populate(map, &span, store, r);
	if (r == -EINVAL)
		return error_set(
			r, "this advice is not for this kind of memory, or this kernel does not know it");
	return r;
}

/* ---- to the device ---- */

static int flush_native(const struct quire_map *map, const struct pmap_span *span, unsigned int how)
{
	int r = kernel_sync(span, how != QUIRE_FLUSH_ASYNC);

	/* msync(MS_ASYNC) starts nothing since Linux 2.6.19: the pages would wait for the flusher, 30 s. */
	if (r == 0 && how == QUIRE_FLUSH_ASYNC)
		r = file_start_write(map->file, map->offset - map->skew + (span->start - map->start),
			span->end - span->start);
	/* msync writes the pages and, on most filesystems, syncs the file; DURABLE does not rely on "most". */
	if (r == 0 && how == QUIRE_FLUSH_DURABLE && map->file->regular)
		r = file_sync(map->file, true);
	return r;
}

int quire_map_flush(struct quire_map *map, size_t offset, size_t length, unsigned int how)
{
	struct pmap_span span;
	int r;

	error_clear();
	r = map_span(map, offset, length, &span);
	if (r == 0 && (how < QUIRE_FLUSH_ASYNC || how > QUIRE_FLUSH_DURABLE))
		r = error_set(-EINVAL, "%u is not a way to flush", how);
	if (r == 0)
		r = map_error(map);
	if (r == 0)
		r = need_whole(map, &span);
	if (r < 0 || map_object(map) == NULL || map->sharing != QUIRE_SHARED || span.start == span.end)
		return r;

	r = map->pool != NULL ? paged_flush(map, &span, how) : flush_native(map, &span, how);
	if (r < 0)
		return error_default(r, "cannot flush %zu bytes at offset %zu of %s: %s",
			(size_t)(span.end - span.start), offset,
			map->name == NULL ? "the mapping" : map->name, strerror(-r));
	return 0;
}

/* ---- in memory ---- */

int quire_map_lock(struct quire_map *map, size_t offset, size_t length, unsigned int flags)
{
	bool on_fault = flags == QUIRE_LOCK_ON_FAULT;
	struct pmap_span span;
	int r;

	error_clear();
	r = map_span(map, offset, length, &span);
	if (r == 0 && flags != 0 && !on_fault)
		r = error_set(-EINVAL, "flags 0x%x: only QUIRE_LOCK_ON_FAULT is known", flags);
	if (r == 0)
		r = map_error(map);
	if (r == 0)
		r = need_whole(map, &span);
	if (r < 0 || span.start == span.end)
		return r;
	if (map->pool != NULL)
		return paged_lock(map, &span, on_fault ? MLOCK_ONFAULT : 0);
	r = kernel_lock(&span, on_fault);
	if (r < 0)
		return r;
	return as_mark(map_as(map), span.start, span.end, on_fault ? PMAP_LOCK_ONFAULT : PMAP_LOCKED,
		on_fault ? PMAP_LOCKED : PMAP_LOCK_ONFAULT);
}

int quire_map_unlock(struct quire_map *map, size_t offset, size_t length)
{
	struct pmap_span span;
	int r;

	error_clear();
	r = map_span(map, offset, length, &span);
	if (r == 0)
		r = need_whole(map, &span);
	if (r < 0 || span.start == span.end)
		return r;
	if (map->pool != NULL)
		return paged_unlock(map, &span);
	r = kernel_unlock(&span);
	if (r < 0)
		return r;
	return as_mark(map_as(map), span.start, span.end, 0, PMAP_LOCKED | PMAP_LOCK_ONFAULT);
}

/* How many are there without asking for each: that takes as long as what is there, not as what is mapped (256 GiB of an empty
 * file: 1.4 s page by page). Only where all that is shown is the file's own pages. */
static bool count_resident(const struct quire_map *map, const struct pmap_span *span, uint64_t *resident)
{
	struct sys_cachestat counts;
	struct quire_fault fault;

	if (map->pool != NULL || map->file == NULL || !map->file->regular || map->sharing != QUIRE_SHARED ||
		guard_error(&map->guard, &fault) < 0 || sys_probe(PROBE_CACHESTAT).masked ||
		sys_cachestat(map->file->window.fd, map->offset - map->skew + (span->start - map->start),
			span->end - span->start, &counts) < 0)
		return false;
	*resident = counts.cached;
	return true;
}

int64_t quire_map_residency(
	struct quire_map *map, size_t offset, size_t length, unsigned char *pages, uint64_t *resident)
{
	enum { CHUNK = 4096 };
	unsigned char chunk[CHUNK];
	struct pmap_span span;
	uint64_t in_memory = 0;
	int r;

	error_clear();
	r = map_span(map, offset, length, &span);
	if (r == 0 && map->pool == NULL && map->file != NULL && map->file->regular &&
		!file_tells_residency(map->file))
		r = error_set(-EACCES,
			"the kernel calls every page of a file resident for who neither owns nor may write it: ask as the owner");
	if (r == 0)
		r = need_whole(map, &span);
	if (r < 0)
		return r;
	if (pages == NULL && resident != NULL && span.start < span.end &&
		count_resident(map, &span, resident))
		return (int64_t)((span.end - span.start) / PAGE_BYTES);

	for (uintptr_t at = span.start; at < span.end; at += CHUNK * PAGE_BYTES) {
		const struct pmap_span part = { at, min_u64(span.end, at + CHUNK * PAGE_BYTES) };
		size_t count = (part.end - part.start) / PAGE_BYTES;

		r = map->pool != NULL ? paged_resident(map, &part, chunk) : kernel_resident(&part, chunk);
		if (r < 0)
			return error_set(r, "part of the range was unmapped");
		for (size_t i = 0; i < count; i++)
			in_memory += chunk[i] & 1U;
		if (pages != NULL)
			memcpy(pages + (at - span.start) / PAGE_BYTES, chunk, count);
	}
	if (resident != NULL)
		*resident = in_memory;
	return (int64_t)((span.end - span.start) / PAGE_BYTES);
}

int quire_map_preallocate(struct quire_map *map, size_t offset, size_t length)
{
	struct pmap_span span;
	int r;

	error_clear();
	r = map_span(map, offset, length, &span);
	if (r == 0 && map->file == NULL)
		r = error_set(-EINVAL,
			"anonymous memory has no blocks; QUIRE_POPULATE_FOR_WRITE makes its pages present");
	if (r < 0)
		return r;
	if (length == QUIRE_TO_END)
		length = map->length - offset;
	return length == 0 ? 0 : file_preallocate(map->file, map->offset + offset, length);
}

struct pmap_nodes numa_nodes(unsigned int numa, uint64_t bits)
{
	/* MPOL_ numbers are ABI: default 0, preferred 1, bind 2, interleave 3. */
	static const int modes[] = {
		[QUIRE_NUMA_DEFAULT] = 0,
		[QUIRE_NUMA_BIND] = 2,
		[QUIRE_NUMA_INTERLEAVE] = 3,
		[QUIRE_NUMA_PREFERRED] = 1,
	};

	return (struct pmap_nodes){ .bits = bits, .mode = modes[numa] };
}

int quire_map_place(struct quire_map *map, size_t offset, size_t length, unsigned int numa, uint64_t nodes)
{
	struct pmap_nodes wanted;
	struct pmap_span span;
	int r;

	error_clear();
	r = map_span(map, offset, length, &span);
	if (r == 0 && (numa > QUIRE_NUMA_PREFERRED || (numa == QUIRE_NUMA_DEFAULT) != (nodes == 0)))
		r = error_set(-EINVAL, "NUMA policy %u with nodes 0x%llx", numa, (unsigned long long)nodes);
	if (r == 0)
		r = need_whole(map, &span);
	if (r < 0 || span.start == span.end)
		return r;

	wanted = numa_nodes(numa, nodes);
	r = kernel_place(&span, &wanted);
	if (r == -ENOSYS)
		return error_set(-ENOTSUP, "this kernel was built without NUMA policies");
	if (r == -EINVAL)
		return error_set(r,
			"nodes 0x%llx: not all of them exist; see /sys/devices/system/node/online",
			(unsigned long long)nodes);
	if (r < 0)
		return error_set(r, "pages could not be placed: %s", strerror(-r));
	return as_mark_nodes(map_as(map), span.start, span.end, &wanted);
}

static int name_check(const char *name)
{
	enum { NAME_MAX_BYTES = 79 };
	size_t length = name == NULL ? 0 : strlen(name);

	if (length == 0 || length > NAME_MAX_BYTES)
		return error_set(-EINVAL, "a name has 1 to %d characters", NAME_MAX_BYTES);
	for (size_t i = 0; i < length; i++)
		if (name[i] < ' ' || name[i] > '~' || strchr("[]\\$`", name[i]) != NULL)
			return error_set(-EINVAL,
				"\"%s\" has a character that is not printable, or one of [ ] \\ $ `", name);
	return 0;
}

int map_show_name(struct quire_map *map, const char *name, bool demanded)
{
	struct pmap_span span;
	int r;

	r = map_span(map, 0, QUIRE_TO_END, &span);
	if (r == 0)
		r = name_check(name);
	if (r == 0)
		r = need_whole(map, &span);
	if (r < 0 || span.start == span.end)
		return r;
	r = kernel_name(&span, name);
	if (r < 0 && !demanded)
		return 0;
	if (r == -EINVAL || r == -EBADF)
		return error_set(-ENOTSUP,
			"this kernel cannot name such memory: it needs CONFIG_ANON_VMA_NAME, and Linux 6.2 where it is shared");
	return r < 0 ? error_set(r, "no memory for a name") : 0;
}

int quire_map_name(struct quire_map *map, const char *name)
{
	char *copy;
	int r;

	error_clear();
	if (map == NULL)
		return error_set(-EINVAL, "no mapping was given");
	if (map->file != NULL)
		return error_set(-EINVAL,
			"only anonymous memory can be named; a memfd is named when it is made (.path)");
	r = name_check(name);
	if (r < 0)
		return r;
	copy = strdup(name);
	if (copy == NULL)
		return error_set(-ENOMEM, "no memory for a name");
	r = map_show_name(map, name, true);
	if (r < 0) {
		free(copy);
		return r;
	}
	free(map->name);
	map->name = copy;
	return 0;
}
