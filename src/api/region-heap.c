/* SPDX-License-Identifier: Apache-2.0 */
/* api/region-heap.c - memory inside a region. */
#include <errno.h>

#include "api/region.h"
#include "base/error.h"
#include "region/heap.h"

static int heap_given(const struct quire_region *region, bool write)
{
	int r = region_given(region);

	if (r == 0)
		r = region_ready(region->region, write);
	if (r == 0 && (region->region->file.head.flags & REGION_HEAP) == 0)
		r = error_set(-EINVAL, "the region was created without QUIRE_REGION_HEAP");
	return r;
}

int quire_region_alloc(struct quire_region *region, size_t bytes, void **memory)
{
	int r = heap_given(region, true);

	if (r == 0 && (bytes == 0 || memory == NULL))
		r = error_set(-EINVAL, "quire_region_alloc: 0 bytes, or nowhere to put the address");
	if (r == 0)
		r = heap_alloc(region->region, bytes, memory);
	return r;
}

int quire_region_free(struct quire_region *region, void *memory)
{
	int r = heap_given(region, true);

	return r < 0 ? r : heap_free(region->region, memory);
}

int quire_region_root(struct quire_region *region, size_t bytes, void **root)
{
	int r = heap_given(region, false);

	if (r == 0 && (bytes == 0 || root == NULL))
		r = error_set(-EINVAL, "quire_region_root: 0 bytes, or nowhere to put the address");
	return r < 0 ? r : heap_root(region->region, bytes, root);
}
