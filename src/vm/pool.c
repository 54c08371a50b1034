/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "vm/object.h"

/* Leaves for so many faults are kept ready: more than threads can take before pageout runs again. A 32nd of the budget is
 * the distance of the marks, at least a frame; while a stream is read what its two windows take (STREAM_PART in fetch.c)
 * before pageout has its turn, since a fault evicts nothing while a frame is free. */
enum { BLOCKS_READY = 256, MARK_PART = 32 };

/* Pools of fewer frames (1 MiB) are asked for by the frame; and books that grow beyond all measure leave some frames. */
enum { BOOKS_FROM = 256, BOOKS_PART = 4 };

/* Places in swap for exchanges: one at a time gives way, and the page that comes leaves its place. */
enum { SWAP_SPARE = 1 };

/* Of a pool that is handed no ledger. */
enum { TALLIES_DEFAULT = 8 };

/* ---- begin and end ---- */

static int check_config(const struct pool_config *config)
{
	uint64_t most = max_u64(config->bytes, config->bytes_max);

	if (config->bytes < PAGE_BYTES || most >> PAGE_SHIFT >= WORD_GONE - 1)
		return -EINVAL;
	if (config->bytes_max != 0 && config->bytes > config->bytes_max)
		return -EINVAL;
	if (config->unit_pages > UNIT_PAGES_MAX || (config->unit_pages & (config->unit_pages - 1)) != 0)
		return -EINVAL;
	if (config->swap_pages >= WORD_SWAP || (config->swap == NULL) != (config->swap_pages == 0))
		return -EINVAL;
	return 0;
}

static int open_ledger(struct pool *pool, const struct pool_config *config)
{
	uint32_t room = config->ledger != NULL ? config->tallies : TALLIES_DEFAULT;

	pool->clock = config->clock;
	pool->own_ledger = config->ledger == NULL;
	pool->ledger = pool->own_ledger ? calloc(1, ledger_bytes(room)) : config->ledger;
	if (pool->ledger == NULL)
		return -ENOMEM;
	ledger_init(pool->ledger, room);
	atomic_store(&pool->ledger->cache_bytes, config->bytes);
	return 0;
}

uint16_t pool_take_tally(struct pool *pool, const char *name)
{
	uint16_t tally;

	pool_lock(pool);
	tally = ledger_take(pool->ledger, name);
	pool_unlock(pool);
	return tally;
}

void pool_give_tally(struct pool *pool, uint16_t tally)
{
	pool_lock(pool);
	ledger_give(pool->ledger, tally);
	pool_unlock(pool);
}

/* What the books take is not for frames. In small pools, which are counted by the frame, they come on top. */
static void set_budget(struct pool *pool) must_hold(lock_pool)
{
	uint64_t frames = pool->bytes >> PAGE_SHIFT;
	uint64_t books = pool->pmap->beside + blocks_bytes(&pool->blocks) + frames * sizeof(struct page) +
		pool->io_fresh * sizeof(struct io) + sizeof(struct evict);

	if (frames >= BOOKS_FROM)
		frames -= min_u64(books >> PAGE_SHIFT, frames / BOOKS_PART);
	pool->budget = (uint32_t)frames;
}

int pool_init(struct pool *pool, const struct pool_config *config)
{
	uint64_t *places;
	int r;

	r = check_config(config);
	if (r < 0)
		return r;

	memset(pool, 0, sizeof(*pool));
	pool->pmap = config->pmap;
	pool->hostile = config->hostile;
	pool->unit_pages = config->unit_pages == 0 ? 1 : config->unit_pages;
	pool->frame_count = (uint32_t)(max_u64(config->bytes, config->bytes_max) >> PAGE_SHIFT);
	atomic_store(&pool->evicting, false);
	r = open_ledger(pool, config);
	/* Not cleared: what is never used shall take no memory (pool->fresh, io_fresh). */
	pool->pages = malloc((size_t)pool->frame_count * sizeof(struct page));
	pool->io_memory = malloc(POOL_IOS * sizeof(struct io));
	pool->evict = malloc(sizeof(*pool->evict));
	places = calloc((size_t)bits_words((uint32_t)config->swap_pages) + 1, sizeof(uint64_t));
	pool_lock(pool);
	pool->bytes = config->bytes;
	pool->free = NO_FRAME;
	pool->swap_places = (struct bits){ .words = places, .count = (uint32_t)config->swap_pages };
	pool->swap_free = pool->swap_places.count;
	set_budget(pool);
	pool_unlock(pool);
	if (r == 0)
		r = policy_init(&pool->policy, config->policy, pool->pages, pool->frame_count);
	if (r == 0)
		r = pool_refill(pool);
	if (r < 0 || pool->pages == NULL || pool->io_memory == NULL || pool->evict == NULL ||
		places == NULL) {
		pool_done(pool);
		return -ENOMEM;
	}
	if (config->swap != NULL)
		pool->swap = object_ref(config->swap);
	return 0;
}

void pool_done(struct pool *pool)
{
	assert(pool->in_use == 0);
	blocks_done(&pool->blocks);
	policy_done(&pool->policy);
	object_unref(pool->swap);
	if (pool->own_ledger)
		free(pool->ledger);
	pool_lock(pool); /* for the last time */
	free(pool->swap_places.words);
	pool_unlock(pool);
	free(pool->io_memory);
	free(pool->evict);
	free(pool->pages);
	memset(pool, 0, sizeof(*pool));
}

int pool_resize(struct pool *pool, uint64_t bytes)
{
	if (bytes < PAGE_BYTES || bytes >> PAGE_SHIFT > pool->frame_count)
		return -EINVAL;
	pool_lock(pool);
	pool->bytes = bytes;
	set_budget(pool);
	atomic_store(&pool->ledger->cache_bytes, bytes);
	pool_unlock(pool);
	return 0;
}

uint32_t pool_over(const struct pool *pool)
{
	return pool->in_use > pool->budget ? pool->in_use - pool->budget : 0;
}

static uint32_t mark(const struct pool *pool, uint32_t times)
{
	uint64_t room = atomic_load_explicit(&pool->stream_room, memory_order_relaxed);
	uint64_t distance = max_u64(max_u64(1, (uint64_t)pool->budget * times / MARK_PART), room * times);

	return pool->budget - (uint32_t)min_u64(distance, pool->budget);
}

bool pool_should_begin(const struct pool *pool)
{
	return pool->in_use > mark(pool, 1);
}

bool pool_needs_care(const struct pool *pool)
{
	return pool_should_begin(pool) || blocks_free(&pool->blocks) < BLOCKS_READY / 2;
}

uint32_t pool_beyond(const struct pool *pool)
{
	uint32_t in_use = pool->in_use;

	return in_use - (uint32_t)min_u64(in_use, mark(pool, 2));
}

bool pool_is_short(const struct pool *pool)
{
	return pool->in_use > pool->budget - (pool->budget - mark(pool, 1)) / 2;
}

int pool_refill(struct pool *pool)
{
	int r;

	pool_lock(pool);
	r = blocks_refill(&pool->blocks, BLOCKS_READY);
	set_budget(pool);
	pool_unlock(pool);
	return r;
}

int pool_join(struct pool *pool, struct as *as, uint8_t *space)
{
	for (size_t i = 0; i < POOL_SPACES_MAX; i++) {
		struct as *none = NULL;

		if (!atomic_compare_exchange_strong(&pool->spaces[i], &none, as))
			continue;
		*space = (uint8_t)i;
		return 0;
	}
	return -ENOSPC;
}

void pool_leave(struct pool *pool, uint8_t space)
{
	pool_lock(pool); /* whoever enters all spaces does so under the lock */
	atomic_store(&pool->spaces[space], NULL);
	pool_unlock(pool);
}

/* ---- frames ---- */

struct page *pool_take(struct pool *pool, uint16_t tally)
{
	uint32_t frame = pool->free;
	struct page *page;

	if (pool->in_use >= pool->budget || (frame == NO_FRAME && pool->fresh == pool->frame_count))
		return NULL;
	if (frame == NO_FRAME)
		frame = pool->fresh++;
	else
		pool->free = pool->pages[frame].next;
	page = &pool->pages[frame];
	pool->in_use++;
	*page = (struct page){
		.id.frame = frame, .next = NO_FRAME, .prev = NO_FRAME, .tally = tally, .busy = 1
	};
	pool_count(pool, tally, TALLY_RESIDENT, 1);
	return page;
}

struct page *pool_take_new(struct pool *pool, uint16_t tally)
{
	return pool->swap_places.count > 0 && pool->swap_free < SWAP_SPARE ? NULL : pool_take(pool, tally);
}

static void give_back(struct pool *pool, struct page *page) must_hold(lock_pool)
{
	struct pmap_page *id = &page->id;

	(void)pool->pmap->ops->stage(pool->pmap, &id, 1, NULL);
}

/* F1: an orphan goes when its last user does. */
static void free_when_unused(struct pool *pool, struct page *page) must_hold(lock_pool)
{
	if (page->id.owner != NULL || page->busy > 0 || page->pins > 0 || page->state == PAGE_WRITING)
		return;
	assert(page->queue == QUEUE_NONE);
	give_back(pool, page);
	page->state = PAGE_ABSENT;
	page->next = pool->free;
	pool->free = page->id.frame;
	assert(pool->in_use > 0);
	pool->in_use--;
	ledger_uncharge(pool->ledger, page->tally);
}

void pool_disown(struct pool *pool, struct page *page)
{
	/* Its place in the object may be another page's a moment later: the bytes go now, whoever is busy with it. */
	if (page->id.at_home)
		give_back(pool, page);
	page->id.at_home = false;
	page->id.owner = NULL;
}

void pool_empty(struct pool *pool, struct page *const *pages, uint32_t count)
{
	struct pmap_page *ids[EMPTY_MAX];
	uint32_t n = 0;

	assert(count <= EMPTY_MAX);
	for (uint32_t i = 0; i < count; i++)
		if (pages[i]->id.at_home)
			ids[n++] = &pages[i]->id;
	if (n > 0)
		(void)pool->pmap->ops->stage(pool->pmap, ids, n, NULL);
	while (n > 0)
		ids[--n]->at_home = false; /* given back: that once */
}

void pool_forget(struct pool *pool, struct page *page)
{
	policy_remove(&pool->policy, page);
	if (page->swapped)
		pool_give_swap(pool, page->next);
	page->swapped = false;
	pool_disown(pool, page);
	free_when_unused(pool, page);
}

void pool_unbusy(struct pool *pool, struct page *page)
{
	assert(page->busy > 0);
	page->busy--;
	free_when_unused(pool, page);
}

void pool_unpin(struct pool *pool, struct page *page)
{
	assert(page->pins > 0);
	page->pins--;
	free_when_unused(pool, page);
}

int pool_stage(struct pool *pool, struct page *page, void **memory)
{
	struct pmap_page *id = &page->id;

	return pool->pmap->ops->stage(pool->pmap, &id, 1, memory);
}

/* ---- transfers ---- */

struct io *pool_take_io(struct pool *pool)
{
	struct io *io = pool->ios;

	if (io == NULL && pool->io_fresh < POOL_IOS)
		io = &pool->io_memory[pool->io_fresh++];
	else if (io != NULL)
		pool->ios = io->next;
	if (io == NULL)
		return NULL;
	io->next = NULL;
	io->pool = pool;
	io->kind = IO_SYNC; /* of no page yet */
	io->count = 0;
	io->length = 0;
	io->error = 0;
	io->ask_count = 0;
	io->as = NULL;
	io->depth = 0;
	io->later = false;
	io->finished = false;
	io->left = false;
	return io;
}

void pool_give_io(struct pool *pool, struct io *io)
{
	io->finished = true;
	io->next = pool->ios;
	pool->ios = io;
}

/* ---- swap ---- */

uint32_t pool_take_swap(struct pool *pool, bool exchange)
{
	if (pool->swap_free <= (exchange ? 0 : SWAP_SPARE))
		return BITS_NONE;
	pool->swap_free--;
	return bits_take(&pool->swap_places);
}

void pool_give_swap(struct pool *pool, uint32_t place)
{
	bits_give(&pool->swap_places, place, 1);
	pool->swap_free++;
}

void pool_dirty(struct page *page, enum page_state state)
{
	page->state = (uint8_t)state;
	if (!page->id.own && page->id.owner != NULL)
		leaf_mark(sparse_leaf(&((struct object *)(uintptr_t)page->id.owner)->pages, page->id.index),
			page->id.index);
}

void pool_drop_word(struct pool *pool, uint32_t word)
{
	if (word_is_frame(word))
		pool_forget(pool, pool_page(pool, word));
	else if ((word & WORD_SWAP) != 0)
		pool_give_swap(pool, word & ~WORD_SWAP);
}
