/* SPDX-License-Identifier: Apache-2.0 */
/* api/size.c - growing, shrinking and moving a mapping:   object -> addresses -> guard */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "object/file.h"

/* What grows: the request for more of the same. Protection, advice, memory nodes and page size of the last page go on. */
static void request_more(
	const struct quire_map *map, uintptr_t start, uintptr_t end, struct map_request *request)
{
	bool writable = map->file == NULL || map->file->window.writable;
	struct seg last;

	*request = (struct map_request){
		.how = PMAP_REPLACE,
		.over_reserved = true,
		.range = {
			.nodes = map->nodes,
			.flags = map->pmap_flags,
			.prot = writable ? PMAP_READ | PMAP_WRITE : PMAP_READ,
		},
		.object = map_object(map),
	};
	if (start > map->start && as_find(map_as(map), start - PAGE_BYTES, &last) &&
		last.range.owner == map && last.range.start < start) {
		request->range.nodes = last.range.nodes;
		request->range.flags = last.range.flags;
		request->range.prot = last.range.prot;
		request->range.page_shift = last.range.page_shift;
	}
	request->range.owner = map;
	request->range.tally = map->tally;
	request->range.start = start;
	request->range.end = end;
	request->range.offset = map->offset - map->skew + (start - map->start);
}

static int grow_in_kept(struct quire_map *map, uintptr_t end)
{
	struct map_request request;
	uintptr_t start;

	request_more(map, map->end, end, &request);
	return as_map(map_as(map), &request, &start);
}

static int shrink_to_kept(struct quire_map *map, uintptr_t end)
{
	struct map_request request = {
		.how = PMAP_REPLACE,
		.range = { .start = end, .end = map->end, .flags = PMAP_RESERVED, .owner = map },
	};
	uintptr_t start;

	return as_map(map_as(map), &request, &start);
}

static int resize_by_kernel(struct quire_map *map, size_t span, bool may_move)
{
	const struct map_target target = {
		.how = PMAP_ANYWHERE,
		.start = may_move ? 0 : map->start,
		.length = span,
	};
	uintptr_t start;
	int r;

	/* In place first, also where moving is allowed: pointers that stay valid are worth a try. */
	if (may_move) {
		r = resize_by_kernel(map, span, false);
		if (r != -ENOMEM)
			return r;
	}
	r = as_move(map_as(map), map->start, map->end, &target, &start);
	if (r == -EFAULT)
		return error_set(-ENOMEM,
			"the mapping consists of several pieces, which the kernel does not grow as one: use a larger "
			".reserve_bytes");
	if (r < 0)
		return r;
	map->start = map->outer_start = start;
	map->outer_end = start + span;
	return 0;
}

static int resize_addresses(struct quire_map *map, uintptr_t end, bool may_move)
{
	size_t span = end - map->start;

	if (end == map->end)
		return 0;
	if (map->kept && end > map->end && end <= map->outer_end)
		return grow_in_kept(map, end);
	if (map->kept && end < map->end)
		return shrink_to_kept(map, end);
	if (end < map->end) {
		map->outer_end = end;
		return map_give_back(map, end, map->end);
	}
	if (map->inside != NULL || map->kept)
		return error_set(-ENOMEM,
			"%zu bytes are kept for this mapping, %zu are wanted: use a larger .reserve_bytes",
			(size_t)(map->outer_end - map->start), span);
	return resize_by_kernel(map, span, may_move);
}

/* *before: the size it had, UINT64_MAX when it was long enough. */
static int resize_object(struct quire_map *map, size_t length, bool preallocate, uint64_t *before)
{
	uint64_t end;
	uint64_t size;
	int r;

	*before = UINT64_MAX;
	/* Who makes a mapping shorter does not ask for a longer file, also when somebody has cut it. */
	if (length <= map->length || map->file == NULL || map->sharing != QUIRE_SHARED ||
		!map->file->window.writable || map->file->secret)
		return 0;
	if (!add_fits(map->offset, length, &end) || end > INT64_MAX)
		return error_set(-EFBIG, "no file can be that long");
	r = object_size(&map->file->object, &size);
	if (r < 0 || end <= size)
		return r;
	r = map->file->object.ops->grow(&map->file->object, end, preallocate);
	if (r == 0)
		*before = size;
	return r;
}

static int guard_resized(struct quire_map *map)
{
	if (map->pool != NULL)
		guard_close(&map->guard);
	if (map->guard.pmap == NULL)
		return map_guard(map); /* it was empty until now, or a pool's */
	if (map->guard.trap.start == map->start && map->guard.trap.end == map->end)
		return 0;
	return guard_follow(&map->guard, map->start, map->end);
}

/* Kinds whose object cannot follow: the new pages would be dead. */
static int resize_check(const struct quire_map *map, size_t length)
{
	bool grows = length > map->length;
	bool kept = map->inside == NULL && map->start + map->skew + length <= map->outer_end;

	if (map->kind == QUIRE_RESERVED || (map->flags & QUIRE_STACK) != 0)
		return error_set(-EINVAL, "reservations and stacks have a fixed size");
	if (map->kind == QUIRE_SECRET && grows)
		return error_set(-EINVAL, "secret memory cannot grow: map what is needed at once");
	if (map->kind == QUIRE_ANON && map->sharing == QUIRE_SHARED && grows && !kept)
		return error_set(-EINVAL,
			"shared anonymous memory grows within .reserve_bytes only: use QUIRE_MEMFD (quire_map_shared)");
	return 0;
}

int quire_map_resize(struct quire_map *map, size_t length, unsigned int flags)
{
	uint64_t before;
	uint64_t span;
	int r;

	error_clear();
	if (map == NULL || length == 0 || (flags & ~(unsigned int)(QUIRE_MAY_MOVE | QUIRE_PREALLOCATE)) != 0)
		return error_set(
			-EINVAL, "quire_map_resize: no mapping, a length of 0, or unknown flags 0x%x", flags);
	if (pool_is_ours(map->pool) < 0)
		return -ECHILD;
	if (map->held != NULL)
		return map_not_held(map);
	r = resize_check(map, length);
	if (r < 0)
		return r;
	if (!add_fits(length, map->skew + map->page_bytes - 1, &span) || span > (uint64_t)1 << 62)
		return error_set(-ENOMEM, "%zu bytes are more than an address space holds", length);
	r = map_error(map);
	if (r < 0)
		return r;

	span = align_down(span, map->page_bytes);
	r = resize_object(map, length, (flags & QUIRE_PREALLOCATE) != 0, &before);
	if (r == 0)
		r = resize_addresses(map, map->start + span, (flags & QUIRE_MAY_MOVE) != 0);
	if (r < 0 && before != UINT64_MAX)
		file_ungrow(map->file, before, map->offset + length);
	if (r < 0)
		return error_default(r, "cannot resize to %zu bytes: %s", length, strerror(-r));
	map->end = map->start + span;
	map->outer_end = max_u64(map->outer_end, map->end);
	map->length = length;
	paged_tell_length(map);
	return guard_resized(map);
}

int quire_map_move(struct quire_map *map, void *address)
{
	uintptr_t to = (uintptr_t)address;
	struct map_target target;
	int r;

	error_clear();
	if (map == NULL || !is_aligned(to, map->page_bytes))
		return error_set(-EINVAL, "%p is not at a page boundary", address);
	if (pool_is_ours(map->pool) < 0)
		return -ECHILD;
	if (map->held != NULL)
		return map_not_held(map);
	if (map->inside != NULL || map->kept)
		return error_set(-EBUSY, "a mapping with addresses kept around it cannot be moved");

	target = (struct map_target){
		.how = to == 0 ? PMAP_ANYWHERE : PMAP_EXACT,
		.start = to,
		.length = map->end - map->start,
	};
	r = as_move(map_as(map), map->start, map->end, &target, &to);
	if (r < 0)
		return error_default(r, "the mapping consists of several pieces and cannot be moved as one");
	map->start = map->outer_start = to;
	map->end = map->outer_end = to + target.length;
	return guard_resized(map);
}
