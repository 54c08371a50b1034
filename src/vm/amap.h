/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/amap.h - private pages. A segment's amap shadows its object: who finds a word here does not look there.
 *
 *	seg       va 0x1000 .. 0x5000     object pages 7..10, amap slots 0..3
 *	amap      [ . P . S ]             slot 1: a private page, resident; slot 3: one in swap
 *	a load at 0x1000 sees object page 7; at 0x2000 the private page; at 0x4000 swap is read first
 *
 * Segments that were one share an amap (a split changes only amap_first). fork shares leaves, see sparse.h.
 * All but new and unref is called with the pool's lock held.
 */
#ifndef VM_AMAP_H
#define VM_AMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/sparse.h"

struct pool;

/* amap: the private pages of a segment that shadow its object (copy-on-write) */
struct amap {
	struct sparse words;
	struct pool *pool;
	atomic_uint refs;
};

struct amap *amap_new(struct pool *pool); /* NULL: no memory */
struct amap *amap_ref(struct amap *amap); /* takes and returns NULL */
void amap_unref(struct amap *amap);       /* takes NULL; without the pool's lock */

/* The word seen at a slot; *leaf is where it stands. */
uint32_t amap_get(const struct amap *amap, uint64_t slot, struct leaf **leaf) must_hold(lock_pool);

/* Does what stands in this leaf belong to this amap alone? */
bool amap_owns(const struct amap *amap, uint64_t slot, const struct leaf *leaf) must_hold(lock_pool);

/* The leaf to put a word into; NULL: the reserve is used up. What was shared with the dead has become its own. */
struct leaf *amap_own(struct amap *amap, uint64_t slot) must_hold(lock_pool);

/* Nothing private in slots [first, last) any more. -ENOMEM: the reserve was used up; part is done. */
int amap_drop(struct amap *amap, uint64_t first, uint64_t last) must_hold(lock_pool);

/* `child` is empty and sees the same from now on. -ENOMEM. */
int amap_fork(struct amap *child, const struct amap *parent) must_hold(lock_pool);

#endif
