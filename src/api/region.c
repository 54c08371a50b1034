/* SPDX-License-Identifier: Apache-2.0 */
/* api/region.c - regions: arguments, and the mapping that shows one. */
#include "api/region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "object/file.h"

_Static_assert((int)QUIRE_REGION_CREATE == (int)REGION_CREATE, "the same bits");
_Static_assert((int)QUIRE_REGION_EXCLUSIVE == (int)REGION_EXCLUSIVE, "the same bits");
_Static_assert((int)QUIRE_REGION_READ_ONLY == (int)REGION_READ_ONLY, "the same bits");
_Static_assert((int)QUIRE_REGION_HEAP == (int)REGION_HEAP, "the same bits");
_Static_assert((int)QUIRE_REGION_HINTED == (int)REGION_HINTED, "the same bits");
_Static_assert((int)QUIRE_REGION_ANYWHERE == (int)REGION_ANYWHERE, "the same bits");
_Static_assert((int)QUIRE_REGION_NO_THREAD == (int)REGION_NO_THREAD, "the same bits");
_Static_assert((int)QUIRE_REGION_LAST_WHOLE == (int)REGION_LAST_WHOLE, "the same bits");

enum { ALL_FLAGS = (QUIRE_REGION_LAST_WHOLE << 1) - 1 };

int region_given(const struct quire_region *region)
{
	error_clear();
	return region == NULL ? error_set(-EINVAL, "no region was given") : 0;
}

void region_follow(struct quire_region *region)
{
	const struct pagefile *file = &region->region->file;
	struct quire_map *map = &region->map;
	uintptr_t end;

	/* A heap grows by itself, perhaps this moment; and who comes late stays out. */
	lock_take(&region->region->heap_lock);
	end = file->start + file->pages * PAGE_BYTES;
	if (map->end != end) {
		map->end = map->outer_end = end;
		map->length = end - map->start;
	}
	lock_give(&region->region->heap_lock);
}

/* ---- opening ---- */

static int check(const struct quire_region_options *o)
{
	bool create = (o->flags & QUIRE_REGION_CREATE) != 0;
	bool heap = (o->flags & QUIRE_REGION_HEAP) != 0;

	if ((o->flags & ~(uint32_t)ALL_FLAGS) != 0)
		return error_set(-EINVAL, ".flags 0x%x has unknown bits", o->flags);
	if ((o->flags & QUIRE_REGION_EXCLUSIVE) != 0 && !create)
		return error_set(-EINVAL, "QUIRE_REGION_EXCLUSIVE goes with QUIRE_REGION_CREATE");
	if (create && (o->flags & QUIRE_REGION_READ_ONLY) != 0)
		return error_set(-EINVAL, "a region cannot be created read-only");
	if (create && heap != (o->length == 0))
		return error_set(
			-EINVAL, "a new region has a .length, or QUIRE_REGION_HEAP, which grows by itself");
	if (!is_aligned((uintptr_t)o->address, PAGE_BYTES) || (o->address != NULL && !create))
		return error_set(
			-EINVAL, ".address %p: a page boundary, when the region is created", o->address);
	if (o->address != NULL && (uintptr_t)o->address < 2 * PAGE_BYTES)
		return error_set(-EINVAL, ".address %p leaves no room for the page before it", o->address);
	if (o->reserve_bytes != 0 && o->reserve_bytes < o->length)
		return error_set(
			-EINVAL, ".reserve_bytes %zu is less than .length %zu", o->reserve_bytes, o->length);
	if (o->length > (size_t)1 << 50 || o->reserve_bytes > (size_t)1 << 50 ||
		o->journal_bytes > (size_t)1 << 40)
		return error_set(-EINVAL, "more bytes than an address space or a disk holds");
	return 0;
}

static struct region_request request_of(const char *path, const struct quire_region_options *o)
{
	return (struct region_request){
		.path = path,
		.flags = o->flags,
		.mode = o->mode == 0 ? 0600 : o->mode,
		.bytes = o->length,
		.reserve_bytes = o->reserve_bytes,
		.journal_bytes = o->journal_bytes,
		.private_bytes = o->private_bytes,
		.address = (uintptr_t)o->address,
	};
}

static void show_map(struct quire_region *region, struct quire *quire, char *name)
{
	const struct pagefile *file = &region->region->file;
	struct quire_map *map = &region->map;

	map->quire = quire;
	map->file = file->object;
	map->start = map->outer_start = file->start + PAGE_BYTES;
	map->offset = file->head.data_offset + PAGE_BYTES;
	map->kind = QUIRE_FILE;
	map->sharing = QUIRE_PRIVATE;
	map->page_bytes = PAGE_BYTES;
	map->name = name;
	map->held = "the mapping belongs to a region: quire_region_close, quire_region_resize and "
		    "quire_region_abort are the calls for it";
	region_follow(region);
	atomic_fetch_add(&quire->maps, 1);
}

static int open_window(struct quire *quire, const char *path, const struct quire_region_options *o,
	struct quire_region *region)
{
	const struct region_request request = request_of(path, o);
	const struct pagefile_place place = {
		.as = &quire->as,
		.owner = &region->map,
		.guard = &region->map.guard,
		.anywhere = (o->flags & QUIRE_REGION_ANYWHERE) != 0,
		.track_whole = (o->flags & QUIRE_REGION_HINTED) == 0,
	};

	place.guard->explain = copy_explain;
	return region_open(&request, &place, &region->region);
}

static int open_checked(struct quire *quire, const char *path, const struct quire_region_options *o,
	struct quire_region **out)
{
	struct quire_region *region = calloc(1, sizeof(*region));
	char *name = strdup(path);
	int r = -ENOMEM;

	if (region != NULL && name != NULL)
		r = open_window(quire, path, o, region);
	if (r < 0) {
		free(region);
		free(name);
		return error_default(r, "cannot open region %s: %s", path, strerror(-r));
	}
	show_map(region, quire, name);
	*out = region;
	return 0;
}

int quire_region_open(struct quire *quire, const char *path, const struct quire_region_options *options,
	struct quire_region **region)
{
	struct quire_region_options o = { .size = sizeof(o) };
	int r;

	error_clear();
	if (path == NULL || *path == '\0' || region == NULL)
		return error_set(-EINVAL, "quire_region_open: no path, or nowhere to put the handle");
	r = quire_get(&quire);
	if (r == 0 && options != NULL)
		r = options_copy(&o, sizeof(o), options, "quire_region_open");
	if (r == 0)
		r = check(&o);
	return r < 0 ? r : open_checked(quire, path, &o, region);
}

int quire_region_close(struct quire_region *region)
{
	int r = 0;

	if (region == NULL)
		return 0;
	error_clear();
	atomic_fetch_sub(&region->map.quire->maps, 1);
	r = region_close(region->region);
	free(region->map.name);
	free(region);
	return r;
}

struct quire_map *quire_region_map(struct quire_region *region)
{
	if (region == NULL)
		return NULL;
	region_follow(region);
	return &region->map;
}

/* ---- epochs ---- */

int quire_region_commit(struct quire_region *region, uint64_t *epoch)
{
	uint64_t number;
	int r = region_given(region);

	if (r == 0)
		r = region_commit(region->region, &number);
	if (r == 0 && epoch != NULL)
		*epoch = number;
	return r;
}

int quire_region_abort(struct quire_region *region)
{
	int r = region_given(region);

	if (r == 0)
		r = region_abort(region->region);
	if (r == 0)
		region_follow(region);
	return r;
}

int quire_region_enter(struct quire_region *region)
{
	int r = region_given(region);

	return r < 0 ? r : region_enter(region->region);
}

int quire_region_exit(struct quire_region *region)
{
	int r = region_given(region);

	return r < 0 ? r : region_exit(region->region);
}

int quire_region_refresh(struct quire_region *region, uint64_t *epoch)
{
	uint64_t number = 0;
	int r = region_given(region);

	if (r == 0 && region->region->writable)
		r = error_set(-EINVAL, "a writer sees its own stores: there is nothing to refresh");
	if (r == 0)
		r = reader_refresh(region->region, &number);
	if (r < 0)
		return r;
	region_follow(region);
	if (epoch != NULL)
		*epoch = number;
	return 0;
}

int quire_region_resize(struct quire_region *region, size_t length)
{
	int r = region_given(region);

	if (r == 0)
		r = region_ready(region->region, true);
	if (r == 0 && (region->region->file.head.flags & REGION_HEAP) != 0)
		r = error_set(-EINVAL, "a region with a heap grows by itself");
	if (r == 0 && length > (size_t)1 << 50)
		r = error_set(-ENOMEM, "%zu bytes are more than the region may have", length);
	if (r == 0)
		r = region_resize(region->region, 1 + (length + PAGE_BYTES - 1) / PAGE_BYTES);
	if (r == 0)
		region_follow(region);
	return r;
}

/* ---- places ---- */

bool region_holds(const struct quire_region *region, const void *address, size_t length)
{
	const struct pagefile *file = &region->region->file;
	uintptr_t va = (uintptr_t)address;
	uintptr_t end = file->start + file->pages * PAGE_BYTES;

	return va >= file->start + PAGE_BYTES && va < end && length <= end - va;
}

int quire_region_touch(struct quire_region *region, const void *address, size_t length)
{
	int r = region_given(region);

	if (r == 0)
		r = region_ready(region->region, true);
	if (r < 0 || length == 0)
		return r;
	if (!region_holds(region, address, length))
		return error_set(-EINVAL, "%zu bytes at %p do not lie in the region", length, address);
	return region_touch(region->region, (uintptr_t)address - region->region->file.start, length);
}

uint64_t quire_region_offset(const struct quire_region *region, const void *pointer)
{
	if (region == NULL || !region_holds(region, pointer, 1))
		return 0;
	return (uintptr_t)pointer - region->region->file.start;
}

void *quire_region_pointer(const struct quire_region *region, uint64_t offset)
{
	if (region == NULL || offset < PAGE_BYTES || offset >= region->region->file.pages * PAGE_BYTES)
		return NULL;
	return (void *)(region->region->file.start + offset);
}
