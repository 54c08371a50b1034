/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/amap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vm/pool.h"

struct amap *amap_new(struct pool *pool)
{
	struct amap *amap = calloc(1, sizeof(*amap));

	if (amap == NULL)
		return NULL;
	amap->pool = pool;
	atomic_init(&amap->refs, 1);
	return amap;
}

struct amap *amap_ref(struct amap *amap)
{
	if (amap != NULL)
		atomic_fetch_add(&amap->refs, 1);
	return amap;
}

/* One reference to a leaf goes; with the last, what it holds and its reference to the leaf below. */
static void leave_leaf(void *user, struct leaf *leaf) must_hold(lock_pool)
{
	struct pool *pool = user;

	while (leaf != NULL && --leaf->refs == 0) {
		struct leaf *below = leaf->below;

		for (uint64_t i = 0; i < LEAF_WORDS; i++)
			if (leaf->words[i] != WORD_GONE)
				pool_drop_word(pool, leaf->words[i]);
		blocks_give(&pool->blocks, leaf);
		leaf = below;
	}
}

void amap_unref(struct amap *amap)
{
	if (amap == NULL || atomic_fetch_sub(&amap->refs, 1) != 1)
		return;
	pool_lock(amap->pool);
	sparse_done(&amap->words, &amap->pool->blocks, leave_leaf, amap->pool);
	pool_unlock(amap->pool);
	free(amap);
}

uint32_t amap_get(const struct amap *amap, uint64_t slot, struct leaf **leaf)
{
	return sparse_get(&amap->words, slot, leaf);
}

bool amap_owns(const struct amap *amap, uint64_t slot, const struct leaf *leaf)
{
	const struct leaf *top = sparse_leaf(&amap->words, slot);

	return leaf == top && top->refs == 1;
}

/* A word changes its leaf, and a page its owner (S3). */
static void adopt_word(struct pool *pool, struct leaf *leaf, uint64_t slot, uint32_t word)
	must_hold(lock_pool)
{
	if (word_is_frame(word)) {
		pool_page(pool, word)->id.owner = leaf;
		pool_page(pool, word)->id.index = slot;
	}
	leaf_set(leaf, slot, word);
}

/* What stands below is seen by nobody else any more: it moves up, and is dropped where it is hidden. */
static void draw_up(struct pool *pool, struct leaf *leaf, uint64_t slot) must_hold(lock_pool)
{
	struct leaf *below = leaf->below;

	slot -= slot % LEAF_WORDS;
	for (uint64_t i = 0; i < LEAF_WORDS; i++) {
		uint32_t word = below->words[i];

		if (leaf->words[i] == WORD_NONE)
			adopt_word(pool, leaf, slot + i, word);
		else if (word != WORD_GONE)
			pool_drop_word(pool, word);
	}
	leaf->below = below->below;
	blocks_give(&pool->blocks, below);
}

struct leaf *amap_own(struct amap *amap, uint64_t slot)
{
	struct leaf *leaf = sparse_own(&amap->words, slot, &amap->pool->blocks);

	while (leaf != NULL && leaf->below != NULL && leaf->below->refs == 1)
		draw_up(amap->pool, leaf, slot);
	return leaf;
}

int amap_drop(struct amap *amap, uint64_t first, uint64_t last)
{
	uint64_t slot = first;

	while ((slot = sparse_next(&amap->words, slot, last)) != UINT64_MAX) {
		uint64_t end = slot - slot % LEAF_WORDS + LEAF_WORDS;
		struct leaf *leaf = amap_own(amap, slot);

		if (leaf == NULL)
			return -ENOMEM;
		for (; slot < end && slot < last; slot++) {
			uint32_t word = leaf->words[slot % LEAF_WORDS];

			leaf_set(leaf, slot, leaf->below == NULL ? WORD_NONE : WORD_GONE);
			if (word != WORD_GONE)
				pool_drop_word(amap->pool, word);
		}
	}
	return 0;
}

int amap_fork(struct amap *child, const struct amap *parent)
{
	return sparse_share(&child->words, &parent->words, &child->pool->blocks);
}
