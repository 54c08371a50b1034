/* SPDX-License-Identifier: Apache-2.0 */
/* api/region-stat.c - what is known of a region, and whether it is whole. */
#include <errno.h>
#include <string.h>

#include "api/region.h"
#include "base/error.h"
#include "region/check.h"

/* What the caller has room for; its size stays what it was. */
static int give(void *to, size_t to_bytes, void *from, size_t from_bytes, const char *what)
{
	if (to_bytes < sizeof(size_t))
		return error_set(-EINVAL, "%s: .size is %zu", what, to_bytes);
	memcpy(from, &to_bytes, sizeof(to_bytes));
	memcpy(to, from, min_u64(to_bytes, from_bytes));
	return 0;
}

/* A fork child does not have the window of a writer; that of a reader stays as it was while the parent keeps its epoch. */
static int region_readable(const struct region *rg)
{
	return rg->writable ? region_ours(rg) : 0;
}

int quire_region_stat(struct quire_region *region, struct quire_region_stat *out)
{
	struct region_figures f;
	struct region *rg;
	int r = region_given(region);

	if (r < 0)
		return r;
	if (out == NULL)
		return error_set(-EINVAL, "nowhere to put the figures");
	rg = region->region;
	r = region_readable(rg);
	if (r < 0)
		return r;
	region_figures(rg, &f);

	struct quire_region_stat stat = {
		.epoch = f.epoch,
		.home_epoch = f.home,
		.length = (f.pages - 1) * PAGE_BYTES,
		.reserve_bytes = (rg->file.head.pages_max - 1) * PAGE_BYTES,
		.address = rg->file.head.address == 0 ? NULL : (void *)(rg->file.head.address + PAGE_BYTES),
		.tracker = rg->writable ? track_name(&rg->file.track) : "none",
		.heap = (rg->file.head.flags & REGION_HEAP) != 0,
		.hinted = rg->hinted,
		.read_only = !rg->writable,
		.failed = f.failed,
		.writer = f.writer,
		.readers = f.readers,
		.oldest_pinned = f.oldest_pinned,
		.journal_bytes = f.journal_bytes,
		.journal_used_bytes = f.journal_used,
		.journal_limit_bytes = rg->journal.limit_bytes,
		.records = f.records,
		.commits = f.commits,
		.merged = f.merged,
		.pages_logged = f.pages_logged,
		.pages_home = f.pages_home,
		.checkpoints = f.checkpoints,
		.private_pages = f.private_pages,
		.recovered_commits = rg->recovered_commits,
		.recovered_pages = rg->recovered_pages,
		.heap_used_bytes = f.heap_used_bytes,
		.heap_objects = f.heap_objects,
	};
	return give(out, out->size, &stat, sizeof(stat), "quire_region_stat");
}

int quire_region_check(struct quire_region *region, struct quire_region_report *out)
{
	struct region_report found;
	int r = region_given(region);
	int given;

	if (r < 0)
		return r;
	if (out != NULL && out->size < sizeof(size_t))
		return error_set(-EINVAL, "quire_region_check: .size is %zu", out->size);
	r = region_readable(region->region);
	if (r < 0)
		return r;
	r = region_check(region->region, &found);
	if (out == NULL)
		return r;

	struct quire_region_report report = {
		.pages_checked = found.pages_checked,
		.pages_damaged = found.pages_damaged,
		.first_damaged = found.first_damaged,
		.images_checked = found.images_checked,
		.images_damaged = found.images_damaged,
		.heap_objects = found.heap_objects,
		.heap_damaged = found.heap_damaged,
	};
	given = give(out, out->size, &report, sizeof(report), "quire_region_check");
	return given < 0 ? given : r;
}

int quire_region_check_range(
	struct quire_region *region, const void *address, size_t length, const void **damaged)
{
	const struct pagefile *file;
	uint64_t first;
	uint64_t found;
	int r = region_given(region);

	if (r == 0)
		r = region_readable(region->region);
	if (r < 0 || length == 0)
		return r;
	if (!region_holds(region, address, length))
		return error_set(-EINVAL, "%zu bytes at %p do not lie in the region", length, address);
	file = &region->region->file;
	first = ((uintptr_t)address - file->start) / PAGE_BYTES;
	r = region_check_range(region->region,
		(struct pages_run){
			first, ((uintptr_t)address - file->start + length - 1) / PAGE_BYTES - first + 1 },
		&found);
	if (r < 0 && damaged != NULL)
		*damaged = pagefile_page(file, found);
	return r;
}

int quire_region_record(struct quire_region *region, unsigned int index, struct quire_region_record *out)
{
	struct region_record found;
	int r = region_given(region);

	if (r < 0)
		return r;
	if (out == NULL)
		return error_set(-EINVAL, "nowhere to put the record");
	if (!region_record(region->region, index, &found))
		return 0;

	struct quire_region_record record = {
		.epoch = found.epoch,
		.pages = found.images,
		.length = (found.region_pages - 1) * PAGE_BYTES,
		.offset = found.offset,
		.bytes = found.bytes,
	};
	r = give(out, out->size, &record, sizeof(record), "quire_region_record");
	return r < 0 ? r : 1;
}
