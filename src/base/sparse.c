/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sparse.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"

struct inner {
	void *slots[INNER_SLOTS];
};

/* One size for both, so that the reserve needs no kinds. */
struct block {
	union {
		struct block *next;
		struct leaf leaf;
		struct inner inner;
	};
};

/* 106 KiB with its header: under malloc's threshold for mappings, and two are the whole reserve, of which nothing but the
 * headers takes memory before it is used. */
enum { SLAB_BLOCKS = 200, LEAF_SHIFT = 7, INNER_SHIFT = 6, LEVELS_MAX = 9 };

_Static_assert(1 << LEAF_SHIFT == LEAF_WORDS, "index bits of a leaf");
_Static_assert(1 << INNER_SHIFT == INNER_SLOTS, "index bits of an inner node");

struct slab {
	struct slab *next; /* of all */
	struct slab *more; /* of those with blocks that were never used */
	uint32_t used;
	struct block blocks[SLAB_BLOCKS];
};

/* ---- the reserve ---- */

static void put_free(struct blocks *blocks, struct block *block)
{
	block->next = blocks->free;
	blocks->free = block;
	blocks->count++;
}

int blocks_refill(struct blocks *blocks, uint32_t want)
{
	while (blocks->count < want) {
		struct slab *slab = malloc(sizeof(*slab));

		if (slab == NULL)
			return -ENOMEM;
		slab->next = blocks->slabs;
		blocks->slabs = slab;
		slab->more = blocks->fresh;
		blocks->fresh = slab;
		slab->used = 0;
		blocks->count += SLAB_BLOCKS;
		blocks->all += SLAB_BLOCKS;
	}
	return 0;
}

void blocks_done(struct blocks *blocks)
{
	while (blocks->slabs != NULL) {
		struct slab *slab = blocks->slabs;

		blocks->slabs = slab->next;
		free(slab);
	}
	*blocks = (struct blocks){ .free = NULL };
}

size_t blocks_bytes(const struct blocks *blocks)
{
	return (size_t)(blocks->all - blocks->count) * sizeof(struct block);
}

static struct block *take_fresh(struct blocks *blocks)
{
	struct slab *slab = blocks->fresh;
	struct block *block;

	assert(slab != NULL);
	block = &slab->blocks[slab->used++];
	if (slab->used == SLAB_BLOCKS)
		blocks->fresh = slab->more;
	return block;
}

static struct block *take(struct blocks *blocks)
{
	struct block *block = blocks->free;

	if (block != NULL)
		blocks->free = block->next;
	else
		block = take_fresh(blocks);
	blocks->count--;
	memset(block, 0, sizeof(*block));
	return block;
}

void blocks_give(struct blocks *blocks, struct leaf *leaf)
{
	put_free(blocks, CONTAINER_OF(leaf, struct block, leaf));
}

static struct leaf *new_leaf(struct blocks *blocks)
{
	struct leaf *leaf = &take(blocks)->leaf;

	leaf->refs = 1;
	return leaf;
}

/* ---- going down ---- */

static bool reaches(unsigned int levels, uint64_t index)
{
	unsigned int shift = LEAF_SHIFT + INNER_SHIFT * (levels - 1);

	return levels > 0 && (shift >= 64 || index >> shift == 0);
}

/* Which slot of an inner node that has `levels` levels with itself. */
static unsigned int slot_at(unsigned int levels, uint64_t index)
{
	return (unsigned int)(index >> (LEAF_SHIFT + INNER_SHIFT * (levels - 2))) & (INNER_SLOTS - 1);
}

struct leaf *sparse_leaf(const struct sparse *sparse, uint64_t index)
{
	void *node = sparse->root;

	if (!reaches(sparse->levels, index))
		return NULL;
	for (unsigned int levels = sparse->levels; levels > 1 && node != NULL; levels--)
		node = ((struct inner *)node)->slots[slot_at(levels, index)];
	return node;
}

uint32_t sparse_get(const struct sparse *sparse, uint64_t index, struct leaf **at)
{
	struct leaf *leaf = sparse_leaf(sparse, index);

	while (leaf != NULL && leaf->words[index % LEAF_WORDS] == WORD_NONE)
		leaf = leaf->below;
	if (at != NULL)
		*at = leaf;
	if (leaf == NULL || leaf->words[index % LEAF_WORDS] == WORD_GONE)
		return WORD_NONE;
	return leaf->words[index % LEAF_WORDS];
}

/* Where the pointer to the leaf stands; inner nodes are made on the way. */
static void **leaf_place(struct sparse *sparse, uint64_t index, struct blocks *blocks)
{
	void **place = &sparse->root;

	if (sparse->levels == 0)
		sparse->levels = 1;
	while (!reaches(sparse->levels, index)) {
		if (sparse->root != NULL) {
			struct inner *top = &take(blocks)->inner;

			top->slots[0] = sparse->root;
			sparse->root = top;
		}
		sparse->levels++;
		assert(sparse->levels <= LEVELS_MAX + 2);
	}
	for (unsigned int levels = sparse->levels; levels > 1; levels--) {
		if (*place == NULL)
			*place = &take(blocks)->inner;
		place = &((struct inner *)*place)->slots[slot_at(levels, index)];
	}
	return place;
}

struct leaf *sparse_own(struct sparse *sparse, uint64_t index, struct blocks *blocks)
{
	struct leaf *front;
	void **place;

	if (blocks->count < BLOCKS_PER_CHANGE)
		return NULL;
	place = leaf_place(sparse, index, blocks);
	if (*place == NULL)
		*place = new_leaf(blocks);
	front = *place;
	if (front->refs == 1)
		return front;
	front = new_leaf(blocks);
	front->below = *place; /* the reference of this sparse is now the front's */
	*place = front;
	return front;
}

void leaf_set(struct leaf *leaf, uint64_t index, uint32_t word)
{
	uint32_t *at = &leaf->words[index % LEAF_WORDS];

	leaf->used += (uint32_t)(word != WORD_NONE) - (uint32_t)(*at != WORD_NONE);
	*at = word;
}

uint64_t sparse_next(const struct sparse *sparse, uint64_t from, uint64_t end)
{
	while (from < end && reaches(sparse->levels, from)) {
		void *node = sparse->root;
		unsigned int levels = sparse->levels;
		uint64_t step;

		for (; levels > 1 && node != NULL; levels--)
			node = ((struct inner *)node)->slots[slot_at(levels, from)];
		if (node != NULL)
			return from;
		/* Nothing under a node of `levels` levels: on to the next. */
		step = levels == 0 ? end : (uint64_t)1 << (LEAF_SHIFT + INNER_SHIFT * (levels - 1));
		from = align_down(from, step) + step;
	}
	return UINT64_MAX;
}

uint64_t sparse_next_marked(const struct sparse *sparse, uint64_t from, uint64_t end)
{
	while ((from = sparse_next(sparse, from, end)) != UINT64_MAX) {
		const struct leaf *leaf = sparse_leaf(sparse, from);
		uint64_t marks = leaf->marks[from % LEAF_WORDS / 64] >> from % 64;

		if (marks != 0) {
			from += (uint64_t)__builtin_ctzll(marks);
			return from < end ? from : UINT64_MAX;
		}
		from = align_down(from, 64) + 64;
		if (from == 0)
			break; /* that was the last index there is */
	}
	return UINT64_MAX;
}

int sparse_share(struct sparse *to, const struct sparse *from, struct blocks *blocks)
{
	uint64_t index = 0;

	assert(to->root == NULL);
	while ((index = sparse_next(from, index, UINT64_MAX)) != UINT64_MAX) {
		struct leaf *leaf = sparse_leaf(from, index);

		if (blocks_refill(blocks, BLOCKS_PER_CHANGE) < 0)
			return -ENOMEM;
		*leaf_place(to, index, blocks) = leaf;
		leaf->refs++;
		index = align_down(index, LEAF_WORDS) + LEAF_WORDS;
	}
	return 0;
}

static void node_done(void *node, unsigned int levels, struct blocks *blocks,
	void (*leave)(void *user, struct leaf *leaf), void *user)
{
	struct inner *inner = node;

	if (node == NULL)
		return;
	if (levels == 1) {
		leave(user, node);
		return;
	}
	for (size_t i = 0; i < INNER_SLOTS; i++)
		node_done(inner->slots[i], levels - 1, blocks, leave, user);
	put_free(blocks, CONTAINER_OF(inner, struct block, inner));
}

void sparse_done(struct sparse *sparse, struct blocks *blocks, void (*leave)(void *user, struct leaf *leaf),
	void *user)
{
	node_done(sparse->root, sparse->levels, blocks, leave, user);
	*sparse = (struct sparse){ .root = NULL };
}
