/* SPDX-License-Identifier: Apache-2.0 */
/* region/grow.c - a region becomes longer, in place. It is longer for good with the next commit. */
#include <errno.h>
#include <inttypes.h>

#include "base/error.h"
#include "region/region.h"

int region_resize(struct region *rg, uint64_t pages)
{
	int r;

	if (pages == rg->file.pages)
		return 0;
	if (pages < rg->file.pages)
		return error_set(-EINVAL, "a region only grows: it has %" PRIu64 " bytes",
			(rg->file.pages - 1) * (uint64_t)PAGE_BYTES);
	if (pages > rg->file.head.pages_max)
		return error_set(-ENOMEM, "%s was created with room for %" PRIu64 " bytes (reserve_bytes)",
			rg->file.disk.path, (rg->file.head.pages_max - 1) * (uint64_t)PAGE_BYTES);
	r = region_touch(rg, 0, PAGE_BYTES); /* first: no commit may find a length that page 0 does not say */
	if (r == 0)
		r = pagefile_grow(&rg->file, pages);
	if (r < 0)
		return r;
	region_lock(rg);
	rg->grown = true;
	r = pagefile_show(&rg->file, pages);
	region_unlock(rg);
	if (r == 0)
		region_meta(rg)->pages = pages;
	return r;
}
