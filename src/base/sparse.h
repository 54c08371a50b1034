/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/sparse.h - a sparse array of 32-bit words, indexed by page number: the pages of an object, the private pages of a
 * segment. Nothing for what is untouched; 4.3 bytes a word where 128 neighbours are used.
 *
 *	levels 0   nothing           levels 1   one leaf            levels 2   root -> 64 leaves -> 8192 words
 *
 * Leaves can be shared (copy-on-write after fork). A shared leaf never changes but for the place of what it holds
 * (resident or swapped); whoever wants to put a word into one gets a leaf of its own in front of it:
 *
 *	before    parent ---> L [a b . .]       refs 2
 *	          child  ---> L
 *	child writes word 0
 *	after     parent ---> L [a b . .]       refs 2: parent, and the leaf in front
 *	          child  ---> N [c - - -] --below--> L       '-': look below
 *	parent unmaps: refs 1, and the next writer of the child draws what it still sees of L up into N
 *
 * Blocks come from a reserve, since words are put in by fault handlers, which cannot allocate.
 *
 * Invariants
 *	S1  a leaf in front of another has refs 1 or is itself shared as a whole; chains end
 *	S2  a word is found in the first leaf from the top that has something other than LOOK_BELOW
 *	S3  what a leaf holds belongs to this leaf alone: id.owner of a resident page names it
 */
#ifndef BASE_SPARSE_H
#define BASE_SPARSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LEAF_WORDS = 128, INNER_SLOTS = 64 };

/* Words: nothing (or look below), a tombstone (nothing, and do not look), a frame, or a place in swap. */
#define WORD_NONE 0U
#define WORD_GONE 0x7fffffffU
#define WORD_SWAP 0x80000000U

static inline uint32_t word_of_frame(uint32_t frame)
{
	return frame + 1;
}

static inline bool word_is_frame(uint32_t word)
{
	return word != WORD_NONE && word < WORD_GONE;
}

static inline uint32_t word_frame(uint32_t word)
{
	return word - 1;
}

struct leaf {
	uint32_t refs;
	uint32_t used; /* words that are not WORD_NONE */
	struct leaf *below;
	uint64_t marks[LEAF_WORDS /
		64]; /* a bit each: the owner's, to find some words without a look at all */
	uint32_t words[LEAF_WORDS];
};

struct block;
struct slab;

/* Memory set aside for leaves and inner nodes. */
struct blocks {
	struct block *free;
	struct slab *slabs; /* all that was ever allocated */
	struct slab *
		fresh; /* has blocks that were never used, and take no memory so far: so may those behind it */
	_Atomic uint32_t count;
	uint32_t all; /* free or not */
};

struct sparse {
	void *root;
	unsigned int levels;
};

/* More than any one sparse_own() takes: every level twice, and a leaf. */
enum { BLOCKS_PER_CHANGE = 24 };

/* Until there are `want` free blocks. -ENOMEM. Not for signal handlers. */
int blocks_refill(struct blocks *blocks, uint32_t want);
void blocks_done(struct blocks *blocks);

/* How many are free. Any time. */
static inline uint32_t blocks_free(const struct blocks *blocks)
{
	return atomic_load_explicit(&blocks->count, memory_order_relaxed);
}

/* Memory that leaves and inner nodes take at the moment. */
size_t blocks_bytes(const struct blocks *blocks);
void blocks_give(struct blocks *blocks, struct leaf *leaf);

/* The leaf in which `index` would stand, or NULL. */
struct leaf *sparse_leaf(const struct sparse *sparse, uint64_t index);

/* The word seen at index (S2), and where it stands; `at` may be NULL. */
uint32_t sparse_get(const struct sparse *sparse, uint64_t index, struct leaf **at);

/* A leaf for `index` that nobody else sees: made, or put in front of a shared one. NULL when the reserve is used up. */
struct leaf *sparse_own(struct sparse *sparse, uint64_t index, struct blocks *blocks);

void leaf_set(struct leaf *leaf, uint64_t index, uint32_t word);

/* The first index >= from, and < end, that has a leaf, or UINT64_MAX. */
uint64_t sparse_next(const struct sparse *sparse, uint64_t from, uint64_t end);

static inline void leaf_mark(struct leaf *leaf, uint64_t index)
{
	leaf->marks[index % LEAF_WORDS / 64] |= (uint64_t)1 << index % 64;
}

static inline void leaf_unmark(struct leaf *leaf, uint64_t index)
{
	leaf->marks[index % LEAF_WORDS / 64] &= ~((uint64_t)1 << index % 64);
}

/* The first index >= from, and < end, that is marked, or UINT64_MAX. */
uint64_t sparse_next_marked(const struct sparse *sparse, uint64_t from, uint64_t end);

/* `to` is empty and sees what `from` sees; they share leaves. -ENOMEM. */
int sparse_share(struct sparse *to, const struct sparse *from, struct blocks *blocks);

/* Gives all inner nodes back, and each leaf to `leave`. */
void sparse_done(struct sparse *sparse, struct blocks *blocks, void (*leave)(void *user, struct leaf *leaf),
	void *user);

#endif
