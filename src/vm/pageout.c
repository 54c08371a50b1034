/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pageout.h"

#include "base/align.h"
#include "vm/evict.h"
#include "vm/object.h"
#include "vm/pool.h"
#include "vm/shown.h"

/* Of one object whose pages leave in no other way; false: there is none, or it failed. */
static bool end_an_epoch(struct pool *pool)
{
	struct object *object;
	bool ended;

	pool_lock(pool);
	for (object = pool->joined; object != NULL; object = object->joined)
		if (object->epochs && sparse_next_marked(&object->pages, 0, UINT64_MAX) != UINT64_MAX &&
			object_hold(object))
			break;
	pool_unlock(pool);
	ended = object != NULL && object_flush(object, 0, UINT64_MAX, FLUSH_SYNC) == 0;
	object_unref(object);
	return ended;
}

/* Refused: pages stay that wait for the end of an epoch. What was only now found to be written is one of them: others may go. */
static uint32_t evict_some(struct pool *pool, uint32_t want, bool exchange, bool *refused)
{
	struct evict *evict;
	uint32_t freed = 0;

	*refused = false;
	if (!evict_begin(pool, &evict))
		return 0;
	evict->want = (uint32_t)min_u64(want, EVICT_MAX);
	evict->exchange = exchange;
	do {
		evict->refused = false;
		evict->error = 0;
		freed = evict_batch(evict);
	} while (freed == 0 && (evict->refused || evict->error < 0) && evict->count > 0);
	/* What could not be written is tried again when nothing else can go: a disk may have room by now. */
	evict->again = freed == 0 && evict->spared;
	if (evict->again)
		freed = evict_batch(evict);
	*refused = evict->refused;
	evict_end(pool);
	return freed;
}

uint32_t pageout_evict(struct pool *pool, uint32_t want)
{
	bool refused;
	uint32_t freed = evict_some(pool, want, false, &refused);

	if (freed == 0 && refused && end_an_epoch(pool))
		freed = evict_some(pool, want, false, &refused);
	return freed;
}

uint32_t pageout_exchange(struct pool *pool)
{
	bool refused;

	return evict_some(pool, 1, true, &refused);
}

bool pageout_wait(struct pool *pool)
{
	bool busy = atomic_load(&pool->evicting);

	while (atomic_load(&pool->evicting))
		lock_yield();
	return busy;
}

/* An object whose flush was only begun; a reference, or NULL. One that is closing is flushed by that. */
static struct object *take_wanted(struct pool *pool)
{
	struct object *object;

	pool_lock(pool);
	for (object = pool->joined; object != NULL; object = object->joined)
		if (object->wanted && object_hold(object))
			break;
	if (object != NULL)
		object->wanted = false;
	pool_unlock(pool);
	return object;
}

static void finish_flushes(struct pool *pool)
{
	struct object *object;

	while ((object = take_wanted(pool)) != NULL) {
		(void)object_flush(object, 0, UINT64_MAX, FLUSH_PUT); /* the object keeps its error */
		object_unref(object);
	}
}

uint32_t pageout_balance(struct pool *pool)
{
	uint32_t freed = 0;
	uint32_t now = pool_should_begin(pool);

	(void)pool_refill(pool); /* no memory: faults find out */
	/* In small steps where the pool is small: who reads a stream waits for the first of them. */
	while (now > 0 && (pool_over(pool) > 0 || pool_beyond(pool) > 0)) {
		now = pageout_evict(pool, (uint32_t)min_u64(EVICT_MAX, pool->in_use / 64 + 1));
		freed += now;
	}
	atomic_store(&pool->stream_room, pool->stream_room / 2); /* until a stream goes on */
	finish_flushes(pool);
	return freed;
}

static struct evict *begin_for(struct object *object, uint64_t first, uint64_t last, bool keep)
{
	struct evict *evict;

	while (!evict_begin(object->pool, &evict))
		lock_yield();
	evict->object = object;
	evict->first = first;
	evict->last = last;
	evict->keep = keep;
	evict->want = EVICT_MAX;
	return evict;
}

uint32_t pageout_range(struct object *object, uint64_t first, uint64_t last)
{
	struct evict *evict;
	uint32_t freed = 0;

	if (object->epochs)
		(void)object_flush(object, 0, UINT64_MAX, FLUSH_SYNC);
	evict = begin_for(object, first, last, false);
	do
		freed += evict_batch(evict);
	while (evict->first < last && evict->count > 0);
	evict_end(object->pool);
	return freed;
}

static int sticky_error(struct object *object)
{
	int r = atomic_load(&object->sync_error);

	return r < 0 ? r : atomic_load(&object->put_error);
}

int object_flush(struct object *object, uint64_t first, uint64_t last, enum flush_how how)
{
	struct evict *evict;
	int r;

	if (object->pool == NULL || object_is_memory(object))
		return 0;
	if (object->epochs) { /* E2 */
		first = 0;
		last = UINT64_MAX;
		how = FLUSH_SYNC;
	}
	shown_harvest(object, first, last);
	if (how == FLUSH_START) {
		pool_lock(object->pool);
		object->wanted = true;
		pool_unlock(object->pool);
		return sticky_error(object);
	}
	evict = begin_for(object, first, last, true);
	do
		(void)evict_batch(evict);
	while (evict->first < last && evict->count > 0);
	r = evict->error;
	evict_end(object->pool);

	if (r == 0 && how == FLUSH_SYNC)
		put_sync(object);
	return r < 0 ? r : sticky_error(object);
}

int object_mend(struct object *object)
{
	atomic_store(&object->put_error, 0); /* first: what fails again is noted again */
	return object_flush(object, 0, UINT64_MAX, FLUSH_PUT);
}
