/* SPDX-License-Identifier: Apache-2.0 */
/* api/paged.c - what is different for mappings whose pages live in a pool of ours. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/guard.h>
#include <quire/object.h>
#include <quire/pool.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "base/tally.h"
#include "object/file.h"
#include "object/memory.h"
#include "vm/fault.h"
#include "vm/object.h"
#include "vm/pageout.h"

struct object *map_object(const struct quire_map *map)
{
	return map->file != NULL ? &map->file->object : map->object;
}

/* ---- joining a pool ---- */

int paged_join(struct quire_map *map, const struct quire_map_options *options)
{
	struct quire_pool *pool = options->pool;
	int r;

	if (pool_is_ours(pool) < 0)
		return -ECHILD;
	if (pool == NULL) {
		r = quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = options->cache_bytes), &pool);
		if (r < 0)
			return r;
		map->own_pool = true;
	}
	map->pool = pool;
	map->tally = pool_take_tally(&pool->pool, options->path);
	atomic_fetch_add(&pool->maps, 1);
	return 0;
}

void paged_leave(struct quire_map *map)
{
	if (map->pool == NULL)
		return;
	pool_give_tally(&map->pool->pool, map->tally);
	atomic_fetch_sub(&map->pool->maps, 1);
	if (map->own_pool)
		(void)quire_pool_close(map->pool); /* we were the only one */
	map->pool = NULL;
}

void paged_tell_length(const struct quire_map *map)
{
	if (map->pool != NULL && map->tally != 0)
		atomic_store(
			&ledger_tally(map->pool->ledger, map->tally)->mapped_bytes, map->end - map->start);
}

/* A file that is open for reading only, by this mapping alone: its pages need not be kept where others could find them. One
 * that is mapped for private stores is read again for each copy, so it is not among them. */
static int paged_file(const struct quire_map *map, const struct quire_map_options *o)
{
	int r = file_make_paged(map->file);

	/* Where nothing faults, what is pinned is read by others from where it stands. */
	map->file->object.again = (map->file->object.can & CAN_WRITE) == 0 &&
		(o->protection & QUIRE_WRITE) == 0 && map->pool->delivery != QUIRE_DELIVERY_PIN;
	return r;
}

/* What the kernel's shared mappings of a file are to each other, ours are within a pool: one file is one object. */
static int join_pool(struct quire_map *map)
{
	struct object *object = map_object(map);
	struct object *other;
	int r = object_join_once(object, &map->pool->pool, file_is_shared, &other);

	if (r < 0)
		return error_set(r, "the object's pages live in another pool: one object, one pool");
	if (other == NULL)
		return 0;
	if (map->file == NULL || (other->can & object->can) != object->can) {
		object_unref(other);
		return error_set(-EBUSY,
			map->file == NULL
				? "the file's pages are in the pool already, through another object: map that one"
				: "the file is mapped in this pool already, for reading only: map it for writing "
				  "first, or use another pool");
	}
	object_unref(object);
	map->file = file_object_of(other);
	return 0;
}

int paged_object(struct quire_map *map, const struct quire_map_options *o)
{
	struct object *object;
	int r = 0;

	if (o->object != NULL)
		map->object = object_ref(object_of(o->object));
	else if (map->file != NULL)
		r = paged_file(map, o);
	else if (o->sharing == QUIRE_SHARED)
		r = memory_open(o->length, &map->object);
	object = map_object(map);
	if (r < 0 || object == NULL)
		return r;

	if ((object->can & CAN_SIGNAL) == 0 && map->pool->delivery == QUIRE_DELIVERY_INLINE)
		return error_set(-EINVAL,
			"the object's callbacks may not run in a signal handler: set .signal_safe if they may, or use a "
			"pool with QUIRE_DELIVERY_THREAD");
	if (o->sharing == QUIRE_SHARED && (o->protection & QUIRE_WRITE) != 0 &&
		(object->can & CAN_WRITE) == 0)
		return error_set(-EACCES, "the object is read-only: map it private, or for reading");
	r = join_pool(map);
	if (r == 0 && (o->flags & QUIRE_ORDERED) != 0)
		atomic_store(&map_object(map)->epochs, true);
	return r;
}

/* ---- ranges ---- */

int paged_advise(struct quire_map *map, const struct pmap_span *span, int advice)
{
	return front_madvise(&map->pool->front, span->start, span->end - span->start, advice);
}

int paged_unlock(struct quire_map *map, const struct pmap_span *span)
{
	return front_munlock(&map->pool->front, span->start, span->end - span->start);
}

int paged_lock(struct quire_map *map, const struct pmap_span *span, int flags)
{
	int r = front_mlock(&map->pool->front, span->start, span->end - span->start, flags);

	if (r != -ENOMEM)
		return r;
	/* What is locked half would keep every frame, and the next fault anywhere would find none. */
	(void)paged_unlock(map, span);
	return error_set(
		r, "the pool, or RLIMIT_MEMLOCK, has no room for all of it; none of the range is locked now");
}

int paged_resident(struct quire_map *map, const struct pmap_span *span, unsigned char *pages)
{
	return front_mincore(&map->pool->front, span->start, span->end - span->start, pages);
}

int paged_flush(struct quire_map *map, const struct pmap_span *span, unsigned int how)
{
	static const enum flush_how hows[] = {
		[QUIRE_FLUSH_ASYNC] = FLUSH_START,
		[QUIRE_FLUSH_SYNC] = FLUSH_PUT,
		[QUIRE_FLUSH_DURABLE] = FLUSH_SYNC,
	};
	uint64_t first = (map->offset - map->skew + (span->start - map->start)) >> PAGE_SHIFT;

	struct object *object = map_object(map);
	unsigned long long failed;
	int r;

	if (object == NULL)
		return 0;
	r = object_flush(object, first, first + ((span->end - span->start) >> PAGE_SHIFT), hows[how]);
	if (r == 0 || atomic_load(&object->put_error) != r)
		return r;
	failed = atomic_load(&object->put_failed_at);
	return error_set(r,
		"cannot flush %s: bytes %llu to %llu could not be written: %s; they stay in memory, and "
		"quire_map_repair writes them again when the cause is gone",
		map->name == NULL ? "the mapping" : map->name, failed,
		failed + atomic_load(&object->put_failed_bytes), strerror(-r));
}

/* The bytes that could not be written, once more. */
static int mend(const struct quire_map *map)
{
	struct object *object = map_object(map);
	int r = object == NULL ? 0 : object_mend(object);

	return r < 0
		? error_set(r,
			  "%s: what was stored is not all in the file: %s; it stays in memory: make room and "
			  "quire_map_repair again, or, if it was a sync that failed, write it elsewhere",
			  map->name == NULL ? "mapping" : map->name, strerror(-r))
		: 0;
}

/* Whatever stands in for a page goes; the next touch asks the object again. What is pinned stays in reach. */
int paged_repair(struct quire_map *map)
{
	struct as *as = map_as(map);
	uintptr_t from = map->start;
	int r = 0;

	for (uintptr_t va = map->start; r == 0 && va <= map->end; va += PAGE_BYTES) {
		const struct pmap_span span = { from, va };

		if (va < map->end && !front_pinned(as, va))
			continue;
		if (from < va)
			r = as->pmap->ops->remove(as->pmap, &span, 1);
		from = va + PAGE_BYTES;
	}
	if (r == 0)
		atomic_store(&map->guard.state, 0);
	return r == 0 ? mend(map) : r;
}

/* ---- pin, prefetch, try ---- */

static int need_paged(const struct quire_map *map)
{
	return map == NULL || map->pool == NULL
		? error_set(-EINVAL, "the mapping is not paged (QUIRE_ENGINE_PAGED)")
		: 0;
}

static void unpin_span(struct quire_map *map, uintptr_t start, uintptr_t end)
{
	for (uintptr_t va = start; va < end; va += PAGE_BYTES)
		fault_unpin(map_as(map), va);
}

/* The error of a page in words, as a guard would say it. */
static int explain(const struct quire_map *map, uintptr_t va, int error)
{
	uint64_t offset = map->offset - map->skew + (va - map->start);
	int told = error == -ENXIO ? -ENODATA : error;

	return error_set(told, "%s: the page at offset %llu cannot be had: %s",
		map->name == NULL ? "mapping" : map->name, (unsigned long long)offset,
		error == -ENOMEM ? "the pool is full of pages that cannot go" : strerror(-told));
}

int quire_map_pin(struct quire_map *map, size_t offset, size_t length, unsigned int protection)
{
	unsigned int access = (protection & QUIRE_WRITE) != 0 ? PMAP_WRITE : PMAP_READ;
	struct pmap_span span;
	int r;

	error_clear();
	r = need_paged(map);
	if (r == 0)
		r = map_span(map, offset, length, &span);
	if (r == 0 && (protection & QUIRE_READ) == 0)
		r = error_set(-EINVAL, "pinned for what? QUIRE_READ, or QUIRE_READ | QUIRE_WRITE");
	if (r != 0)
		return r;
	for (uintptr_t va = span.start; va < span.end; va += PAGE_BYTES) {
		r = fault_handle(map_as(map), va, access, FAULT_PIN | FAULT_ALLOCATE);
		if (r < 0) {
			unpin_span(map, span.start, va);
			return explain(map, va, r);
		}
	}
	return 0;
}

int quire_map_unpin(struct quire_map *map, size_t offset, size_t length)
{
	struct pmap_span span;
	int r;

	error_clear();
	r = need_paged(map);
	if (r == 0)
		r = map_span(map, offset, length, &span);
	if (r == 0)
		unpin_span(map, span.start, span.end);
	return r;
}

int64_t quire_map_prefetch(struct quire_map *map, const struct quire_range *ranges, size_t range_count)
{
	struct pmap_span span = { 0, 0 };
	int64_t pages = 0;
	int r;

	error_clear();
	r = need_paged(map);
	for (size_t i = 0; r == 0 && i < range_count; i++) {
		uint64_t count;

		r = map_span(map, ranges[i].offset, ranges[i].length, &span);
		if (r < 0)
			break;
		count = fault_ahead(map_as(map), span.start, span.end);
		pages += (int64_t)count;
		if (count < (span.end - span.start) >> PAGE_SHIFT)
			break; /* the queue is full: what was left out will fault */
	}
	if (pages > 0)
		fault_begin_ahead(map_as(map), map->start);
	return r < 0 ? r : pages;
}

static int copy_pinned(struct quire_map *map, uintptr_t va, char *to, size_t length)
{
	int r = fault_handle(map_as(map), va, PMAP_READ, FAULT_PIN | FAULT_ALLOCATE);

	if (r < 0)
		return r;
	memcpy(to, (const void *)va, length);
	fault_unpin(map_as(map), va);
	return 0;
}

/* Without showing the page anywhere: that would take three system calls. */
static int copy_borrowed(struct quire_map *map, uintptr_t va, char *to, size_t length)
{
	struct pool *pool = &map->pool->pool;
	struct page *page;
	void *memory;
	int r = fault_borrow(map_as(map), va, &page);

	if (r < 0)
		return r;
	r = pool_stage(pool, page, &memory);
	if (r == 0)
		memcpy(to, (const char *)memory + va % PAGE_BYTES, length);
	pool_lock(pool);
	pool_unbusy(pool, page);
	pool_unlock(pool);
	return r;
}

/* One page at a time: a pin is short, and the pool may be small. */
static int read_pinned(struct quire_map *map, size_t offset, char *to, size_t length)
{
	uintptr_t va = map->start + map->skew + offset;

	while (length > 0) {
		size_t part = min_u64(length, PAGE_BYTES - va % PAGE_BYTES);
		int r = (map_as(map)->pmap->can & PMAP_PINS_ONLY) != 0 ? copy_borrowed(map, va, to, part)
								       : copy_pinned(map, va, to, part);

		if (r < 0)
			return explain(map, va, r);
		va += part;
		to += part;
		length -= part;
	}
	return 0;
}

int quire_map_try_read(struct quire_map *map, size_t offset, void *to, size_t length)
{
	struct pmap_span span;
	int r;

	error_clear();
	r = map_span(map, offset, length, &span);
	if (r < 0)
		return r;
	if (map->pool == NULL)
		return quire_copy_out(to, (const char *)quire_map_address(map) + offset, length);
	return read_pinned(map, offset, to, length);
}
