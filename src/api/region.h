/* SPDX-License-Identifier: Apache-2.0 */
/* api/region.h - what the opaque handle of a region is made of. Known to api only. */
#ifndef API_REGION_H
#define API_REGION_H

#include <quire/region.h>

#include "api/handle.h"
#include "region/region.h"

struct quire_region {
	struct region *region;
	struct quire_map map; /* the window without page 0; held */
};

/* The mapping is as long as the region is now. */
void region_follow(struct quire_region *region);

bool region_holds(const struct quire_region *region, const void *address, size_t length);

/* -EINVAL with a sentence for no region. */
int region_given(const struct quire_region *region);

#endif
