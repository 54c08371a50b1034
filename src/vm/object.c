/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/object.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/align.h"
#include "vm/fault.h"
#include "vm/pageout.h"
#include "vm/pool.h"
#include "vm/shown.h"

void object_init(struct object *object, const struct object_ops *ops, unsigned int can)
{
	memset(object, 0, sizeof(*object));
	object->ops = ops;
	object->can = can;
	atomic_init(&object->refs, 1);
}

struct object *object_ref(struct object *object)
{
	unsigned int before = atomic_fetch_add(&object->refs, 1);

	assert(before > 0);
	(void)before;
	return object;
}

/* ---- its pages ---- */

/* With the pool's lock. */
static int join(struct object *object, struct pool *pool) must_hold(lock_pool)
{
	if (object->pool == NULL) {
		object->pool = pool;
		object->joined = pool->joined;
		pool->joined = object;
	}
	return object->pool == pool ? 0 : -EBUSY;
}

int object_join(struct object *object, struct pool *pool)
{
	int r;

	pool_lock(pool);
	r = join(object, pool);
	pool_unlock(pool);
	return r;
}

int object_join_once(struct object *object, struct pool *pool, object_same_fn *same, struct object **other)
{
	int r = 0;

	*other = NULL;
	pool_lock(pool);
	if (object->pool == NULL) {
		*other = pool->joined;
		while (*other != NULL && !(same(*other, object) && object_hold(*other)))
			*other = (*other)->joined;
	}
	if (*other == NULL)
		r = join(object, pool);
	pool_unlock(pool);
	return r;
}

bool object_is_memory(const struct object *object)
{
	return object->ops->start == NULL;
}

void object_reap(struct object *object, unsigned int want)
{
	if (object->ops->reap == NULL || object->ops->reap(object, want) <= 0)
		lock_yield();
}

/* Is somebody reading, writing, copying or entering the page? With the lock. */
static bool is_in_use(const struct page *page) must_hold(lock_pool)
{
	return page->busy > 0 || page->state == PAGE_WRITING;
}

/* Lets somebody's use of a page of the object come to its end. With the lock, which is given up meanwhile. */
static void wait_for_use(struct object *object, const struct page *page) must_hold(lock_pool)
{
	struct pool *pool = object->pool;
	struct object *source = page->state == PAGE_FILLING ? pool_io_of(pool, page)->object : object;

	pool_unlock(pool);
	object_reap(source, 0);
	pool_lock(pool);
}

/* Pages [first, last) and what is in swap of them are wanted no more. They are hidden already. Transfers that are under way
 * name the object and its memory, where another page may stand a moment later: they end first. */
static void drop_pages(struct object *object, uint64_t first, uint64_t last)
{
	struct pool *pool = object->pool;
	uint64_t index = first;

	pool_lock(pool);
	while ((index = sparse_next(&object->pages, index, last)) != UINT64_MAX) {
		struct leaf *leaf = sparse_leaf(&object->pages, index);
		uint32_t word = leaf->words[index % LEAF_WORDS];

		if (word_is_frame(word) && is_in_use(pool_page(pool, word))) {
			wait_for_use(object, pool_page(pool, word));
			continue;
		}
		leaf_set(leaf, index++, WORD_NONE);
		pool_drop_word(pool, word);
	}
	pool_unlock(pool);
}

static void leave_leaf(void *user, struct leaf *leaf) must_hold(lock_pool)
{
	blocks_give(&((struct pool *)user)->blocks, leaf);
}

/* What was written leaves with the object's last user; an error of that has nobody left to be told to. */
void object_leave(struct object *object)
{
	struct pool *pool = object->pool;

	(void)object_flush(object, 0, UINT64_MAX, FLUSH_PUT);
	drop_pages(object, 0, UINT64_MAX);
	pool_lock(pool);
	sparse_done(&object->pages, &pool->blocks, leave_leaf, pool);
	for (struct object **at = &pool->joined; *at != NULL; at = &(*at)->joined)
		if (*at == object) {
			*at = object->joined;
			break;
		}
	object->pool = NULL;
	pool_unlock(pool);
	if (object->home.close != NULL)
		object->home.close(object->home.engine);
	object->home = (struct pmap_home){ .engine = NULL };
}

void object_leave_all(struct pool *pool)
{
	for (;;) {
		struct object *object;

		pool_lock(pool);
		object = pool->joined;
		pool_unlock(pool);
		if (object == NULL)
			return;
		object_leave(object);
	}
}

bool object_hold(struct object *object)
{
	unsigned int refs = atomic_load(&object->refs);
	bool held = false;

	while (!held && refs > 0)
		held = atomic_compare_exchange_weak(&object->refs, &refs, refs + 1);
	return held;
}

void object_unref(struct object *object)
{
	if (object == NULL || atomic_fetch_sub(&object->refs, 1) != 1)
		return;
	if (object->pool != NULL)
		object_leave(object);
	if (object->ops->close != NULL)
		object->ops->close(object);
}

int object_size(struct object *object, uint64_t *bytes)
{
	if (object->ops->size != NULL)
		return object->ops->size(object, bytes);
	*bytes = object->bytes;
	return 0;
}

const struct pmap_window *object_window(struct object *object)
{
	if (object == NULL || object->ops->window == NULL)
		return NULL;
	return object->ops->window(object);
}

/* ---- content ---- */

/* A cut takes private copies too, as the kernel's does; a punched hole does not. */
static void hide_part(void *cut, struct as *as, const struct seg *seg, const struct pmap_span *part)
{
	int r = shown_hide(as, seg, part->start, part->end);

	if (r == 0 && cut != NULL && seg->amap != NULL)
		(void)shown_drop_private(as, seg, part->start, part->end);
}

int object_get_page(struct object *object, uint64_t index, struct page **page, char **memory)
{
	void *at;
	int r;

	r = fault_object_page(object, index, page, &at);
	if (r < 0)
		return r;
	*memory = at;
	return 0;
}

void object_put_page(struct object *object, struct page *page, bool changed)
{
	pool_lock(object->pool);
	if (changed)
		shown_written(object->pool, page);
	pool_unbusy(object->pool, page);
	pool_unlock(object->pool);
}

bool object_has_page(struct object *object, uint64_t index)
{
	uint32_t word;

	pool_lock(object->pool);
	word = sparse_get(&object->pages, index, NULL);
	pool_unlock(object->pool);
	return word != WORD_NONE;
}

void object_drop(struct object *object, uint64_t first, uint64_t last, bool cut)
{
	/* Twice: a fault that knew the old size may have entered a page between the first look and the drop. */
	shown_each(object, first, last, hide_part, cut ? object : NULL);
	drop_pages(object, first, last);
	shown_each(object, first, last, hide_part, cut ? object : NULL);
}

void object_follow(struct object *object, uint64_t bytes)
{
	uint64_t dead = (bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;
	struct page *page;
	char *memory;

	if (object->pool == NULL)
		return;
	object_drop(object, dead, UINT64_MAX, true);
	if (bytes % PAGE_BYTES == 0 || !object_has_page(object, dead - 1) ||
		object_get_page(object, dead - 1, &page, &memory) < 0)
		return;
	memset(memory + bytes % PAGE_BYTES, 0, PAGE_BYTES - bytes % PAGE_BYTES);
	object_put_page(object, page, true);
}
