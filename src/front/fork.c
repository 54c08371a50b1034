/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>

#include "base/align.h"
#include "front/front.h"
#include "vm/amap.h"
#include "vm/object.h"
#include "vm/pool.h"

/* What is private to both from now on. NULL: no memory. */
static struct amap *fork_amap(const struct amap *parent)
{
	struct amap *amap = amap_new(parent->pool);
	int r;

	if (amap == NULL)
		return NULL;
	pool_lock(parent->pool);
	r = amap_fork(amap, parent);
	pool_unlock(parent->pool);
	if (r == 0)
		return amap;
	amap_unref(amap);
	return NULL;
}

static int fork_segment(struct as *parent, struct as *child, const struct seg *seg)
{
	struct map_request request = {
		.how = PMAP_EXACT,
		.range = seg->range,
		.object = seg->object,
		.amap_first = seg->amap_first,
	};
	uintptr_t start;
	int r;

	request.range.flags &= ~(uint32_t)(PMAP_LOCKED | PMAP_LOCK_ONFAULT);
	if (seg->amap != NULL && (seg->range.flags & PMAP_WIPEONFORK) == 0) {
		request.amap = fork_amap(seg->amap);
		if (request.amap == NULL)
			return -ENOMEM;
		/* Stores of the parent copy from now on, and those that are under way have been made. */
		as_freeze(parent, seg->range.start, seg->range.end);
	}
	r = as_map(child, &request, &start);
	amap_unref(request.amap);
	return r;
}

int front_fork(struct as *parent, struct as *child)
{
	struct seg seg;
	int r = 0;

	for (uintptr_t va = 0; r == 0 && as_find(parent, va, &seg); va = seg.range.end)
		if ((seg.range.flags & PMAP_DONTFORK) == 0)
			r = fork_segment(parent, child, &seg);
	return r;
}
