/* SPDX-License-Identifier: Apache-2.0 */
/* vm/put.c - the step of an eviction or a flush that brings bytes to their owner, from frames that nobody can reach. */
#include <errno.h>

#include "base/align.h"
#include "vm/evict.h"
#include "vm/fault.h"
#include "vm/object.h"
#include "vm/pool.h"

static void put_done(struct io *io)
{
	pool_lock(io->pool);
	io->finished = true;
	pool_unlock(io->pool);
}

/* Starts it and waits. */
static int run_io(struct pool *pool, struct io *io)
{
	uint64_t began = pool_now(pool);
	bool finished = false;

	io->done = put_done;
	io->object->ops->start(io->object, io);
	while (!finished) {
		pool_lock(pool);
		finished = io->finished;
		pool_unlock(pool);
		if (!finished)
			object_reap(io->object, 1);
	}
	if (io->kind == IO_PUT)
		pool_took(pool, io->pages[0]->tally, TALLY_TIME_PUT, began);
	return io->error;
}

static struct io *wait_for_io(struct pool *pool)
{
	struct io *io = NULL;

	while (io == NULL) {
		pool_lock(pool);
		io = pool_take_io(pool);
		pool_unlock(pool);
		if (io == NULL && !fault_collect(pool))
			lock_yield();
	}
	return io;
}

/* What the pages of an io have come to. */
static void put_result(struct evict *evict, struct io *io, int error)
{
	pool_lock(evict->pool);
	for (uint32_t i = 0; i < io->count; i++) {
		pool_count(evict->pool, io->pages[i]->tally, error < 0 ? TALLY_PUT_ERRORS : TALLY_PUT, 1);
		io->pages[i]->dirty = error < 0;
		io->pages[i]->error = (uint8_t)-error;
	}
	pool_unlock(evict->pool);
	evict_failed(evict, error);
}

static void stage_all(struct pool *pool, struct io *io)
{
	for (uint32_t i = 0; i < io->count && io->error == 0; i++)
		io->error = pool_stage(pool, io->pages[i], &io->memory[i]);
}

/* Whose bytes the page holds that must be put, and are they of memory? NULL: nobody's. Somebody may unmap or cut the page
 * meanwhile. */
static struct object *owner_of_dirty(struct pool *pool, const struct page *page, bool *memory)
{
	struct object *object;

	pool_lock(pool);
	object = page->dirty ? (struct object *)(uintptr_t)page->id.owner : NULL;
	*memory = page->id.own || (object != NULL && object_is_memory(object));
	pool_unlock(pool);
	return object;
}

/* Pages i.. of the batch that are neighbours in one object, in one transfer. Returns the first that is not among them. */
static uint32_t put_run(struct evict *evict, struct object *object, uint32_t i)
{
	uint64_t first = evict->pages[i]->id.index;
	uint64_t size = 0;
	struct io *io;
	bool memory;
	int r;

	r = object_size(object, &size);
	io = wait_for_io(evict->pool);
	io->kind = IO_PUT;
	io->object = object;
	io->first = first;
	while (i < evict->count && io->count < IO_PAGES_MAX &&
		owner_of_dirty(evict->pool, evict->pages[i], &memory) == object && !memory &&
		evict->pages[i]->id.index == first + io->count)
		io->pages[io->count++] = evict->pages[i++];

	/* Beyond the end there is nothing to put: the object was cut. */
	io->length = first << PAGE_SHIFT >= size
		? 0
		: min_u64((uint64_t)io->count << PAGE_SHIFT, size - (first << PAGE_SHIFT));
	if (r == 0 && io->length > 0) {
		stage_all(evict->pool, io);
		r = io->error < 0 ? io->error : run_io(evict->pool, io);
	}
	put_result(evict, io, r);
	if (r < 0 && atomic_load(&object->put_error) == 0) { /* one evicts at a time */
		atomic_store(&object->put_failed_at, first << PAGE_SHIFT);
		atomic_store(&object->put_failed_bytes, io->length);
		atomic_store(&object->put_error, r);
	}
	pool_lock(evict->pool);
	pool_give_io(evict->pool, io);
	pool_unlock(evict->pool);
	return i;
}

/* To swap; the place is the page's when its bytes are there, unless the page is nobody's by then. */
static void put_in_swap(struct evict *evict, struct page *page)
{
	struct pool *pool = evict->pool;
	struct io *io = wait_for_io(pool);
	uint32_t place;
	int r = -ENOSPC;

	pool_lock(pool);
	place = pool_take_swap(pool, evict->exchange);
	pool_unlock(pool);
	io->kind = IO_PUT;
	io->object = pool->swap;
	io->first = place;
	io->length = PAGE_BYTES;
	io->pages[io->count++] = page;
	if (place != UINT32_MAX) {
		stage_all(pool, io);
		r = io->error < 0 ? io->error : run_io(pool, io);
	}
	put_result(evict, io, r);
	pool_lock(pool);
	page->swapped = r == 0 && page->id.owner != NULL;
	if (page->swapped)
		page->next = place;
	else if (place != UINT32_MAX)
		pool_give_swap(pool, place);
	pool_give_io(pool, io);
	pool_unlock(pool);
}

static bool any_dirty(struct evict *evict)
{
	bool any = false;

	pool_lock(evict->pool);
	for (uint32_t i = 0; i < evict->count && !any; i++)
		any = evict->pages[i]->dirty;
	pool_unlock(evict->pool);
	return any;
}

void evict_put(struct evict *evict)
{
	if (!any_dirty(evict))
		return;
	for (uint32_t i = 0; i < evict->count;) {
		struct page *page = evict->pages[i];
		bool memory;
		struct object *object = owner_of_dirty(evict->pool, page, &memory);

		if (object == NULL) {
			i++;
		} else if (memory) {
			if (!evict->keep)
				put_in_swap(evict, page);
			i++;
		} else if (object->epochs && !evict->keep) {
			evict->refused = true; /* E2 */
			i++;
		} else {
			i = put_run(evict, object, i);
		}
	}
}

void put_sync(struct object *object)
{
	struct io *io = wait_for_io(object->pool);
	int r;

	io->kind = IO_SYNC;
	io->object = object;
	r = run_io(object->pool, io);
	pool_lock(object->pool);
	pool_give_io(object->pool, io);
	object->epoch++;
	pool_unlock(object->pool);
	if (r < 0)
		atomic_store(&object->sync_error, r);
}
