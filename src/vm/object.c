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

int object_join(struct object *object, struct pool *pool)
{
	if (object->pool == NULL)
		object->pool = pool;
	return object->pool == pool ? 0 : -EBUSY;
}

bool object_is_memory(const struct object *object)
{
	return object->ops->start == NULL;
}

/* Pages [first, last) and what is in swap of them are wanted no more. They are hidden already. */
static void drop_pages(struct object *object, uint64_t first, uint64_t last)
{
	struct pool *pool = object->pool;
	uint64_t index = first;

	spin_take(&pool->lock);
	for (; (index = sparse_next(&object->pages, index, last)) != UINT64_MAX; index++) {
		struct leaf *leaf = sparse_leaf(&object->pages, index);
		uint32_t word = leaf->words[index % LEAF_WORDS];

		leaf_set(leaf, index, WORD_NONE);
		pool_drop_word(pool, word);
	}
	spin_give(&pool->lock);
}

/* Transfers that are under way name the object: they end first. */
static void wait_for_transfers(struct object *object)
{
	struct pool *pool = object->pool;
	uint64_t index = 0;

	spin_take(&pool->lock);
	while ((index = sparse_next(&object->pages, index, UINT64_MAX)) != UINT64_MAX) {
		uint32_t word = sparse_get(&object->pages, index, NULL);
		const struct page *page = word_is_frame(word) ? pool_page(pool, word) : NULL;

		if (page == NULL || (page->busy == 0 && page->state != PAGE_WRITING)) {
			index++;
			continue;
		}
		spin_give(&pool->lock);
		if (object->ops->reap == NULL || object->ops->reap(object, 0) <= 0)
			lock_yield();
		spin_take(&pool->lock);
	}
	spin_give(&pool->lock);
}

static void leave_leaf(void *user, struct leaf *leaf)
{
	blocks_give(&((struct pool *)user)->blocks, leaf);
}

/* What was written leaves with the object's last user; an error of that has nobody left to be told to. */
static void leave_pool(struct object *object)
{
	struct pool *pool = object->pool;

	(void)object_flush(object, 0, UINT64_MAX, FLUSH_PUT);
	wait_for_transfers(object);
	drop_pages(object, 0, UINT64_MAX);
	spin_take(&pool->lock);
	sparse_done(&object->pages, &pool->blocks, leave_leaf, pool);
	spin_give(&pool->lock);
}

void object_unref(struct object *object)
{
	if (object == NULL || atomic_fetch_sub(&object->refs, 1) != 1)
		return;
	if (object->pool != NULL)
		leave_pool(object);
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

static void hide_part(void *user, struct as *as, const struct seg *seg, const struct pmap_span *part)
{
	(void)user;
	shown_hide(as, seg, part->start, part->end);
}

/* A cut takes private copies too, as the kernel's does. */
static void cut_part(void *user, struct as *as, const struct seg *seg, const struct pmap_span *part)
{
	(void)user;
	shown_hide(as, seg, part->start, part->end);
	if (seg->amap != NULL)
		(void)shown_drop_private(as, seg, part->start, part->end);
}

/* Somebody's page, to be changed or read outside of all mappings. */
static int get_page(struct object *object, uint64_t index, struct page **page, char **memory)
{
	void *at;
	int r;

	r = fault_object_page(object, index, page);
	if (r < 0)
		return r;
	r = pool_stage(object->pool, *page, &at);
	*memory = at;
	return r;
}

static void put_page(struct object *object, struct page *page, bool changed)
{
	spin_take(&object->pool->lock);
	if (changed)
		shown_written(object->pool, page);
	pool_unbusy(object->pool, page);
	spin_give(&object->pool->lock);
}

static bool is_cached(struct object *object, uint64_t index)
{
	uint32_t word;

	spin_take(&object->pool->lock);
	word = sparse_get(&object->pages, index, NULL);
	spin_give(&object->pool->lock);
	return word != WORD_NONE;
}

static int zero_range(struct object *object, uint64_t offset, size_t bytes)
{
	struct page *page;
	char *memory;
	int r;

	r = get_page(object, offset >> PAGE_SHIFT, &page, &memory);
	if (r < 0)
		return r;
	memset(memory + offset % PAGE_BYTES, 0, bytes);
	put_page(object, page, true);
	return 0;
}

void object_follow(struct object *object, uint64_t bytes)
{
	uint64_t dead = (bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;

	if (object->pool == NULL)
		return;
	/* Twice: a fault that knew the old size may have entered a page between the first look and the drop. */
	shown_each(object, dead, UINT64_MAX, cut_part, NULL);
	drop_pages(object, dead, UINT64_MAX);
	shown_each(object, dead, UINT64_MAX, cut_part, NULL);
	if (bytes % PAGE_BYTES == 0 || !is_cached(object, dead - 1))
		return;
	(void)zero_range(object, bytes, PAGE_BYTES - bytes % PAGE_BYTES);
}

int object_resize(struct object *object, uint64_t bytes)
{
	uint64_t before;
	int r;

	r = object_size(object, &before);
	if (r == 0 && object->ops->size != NULL)
		r = object->ops->grow == NULL ? -EINVAL : object->ops->grow(object, bytes, false);
	else if (r == 0)
		object->bytes = bytes;
	if (r == 0)
		object_follow(object, min_u64(before, bytes));
	return r;
}

int64_t object_write(struct object *object, uint64_t offset, const void *from, size_t bytes)
{
	uint64_t size;
	size_t done = 0;
	int r;

	r = object_size(object, &size);
	if (r == 0 && offset + bytes > size)
		r = object_resize(object, offset + bytes);
	while (r == 0 && done < bytes) {
		uint64_t at = offset + done;
		size_t now = (size_t)min_u64(bytes - done, PAGE_BYTES - at % PAGE_BYTES);
		struct page *page;
		char *memory;

		r = get_page(object, at >> PAGE_SHIFT, &page, &memory);
		if (r < 0)
			break;
		memcpy(memory + at % PAGE_BYTES, (const char *)from + done, now);
		put_page(object, page, true);
		done += now;
	}
	return done > 0 || r == 0 ? (int64_t)done : r;
}

int64_t object_read(struct object *object, uint64_t offset, void *to, size_t bytes)
{
	uint64_t size;
	size_t done = 0;
	int r;

	r = object_size(object, &size);
	if (r < 0)
		return r;
	bytes = offset >= size ? 0 : (size_t)min_u64(bytes, size - offset);
	while (done < bytes) {
		uint64_t at = offset + done;
		size_t now = (size_t)min_u64(bytes - done, PAGE_BYTES - at % PAGE_BYTES);
		struct page *page;
		char *memory;

		if (object_is_memory(object) && !is_cached(object, at >> PAGE_SHIFT)) {
			memset((char *)to + done, 0, now);
		} else {
			r = get_page(object, at >> PAGE_SHIFT, &page, &memory);
			if (r < 0)
				break;
			memcpy((char *)to + done, memory + at % PAGE_BYTES, now);
			put_page(object, page, false);
		}
		done += now;
	}
	return done > 0 || r == 0 ? (int64_t)done : r;
}

int object_punch(struct object *object, uint64_t first, uint64_t last)
{
	uint64_t size;
	int r;

	r = object_size(object, &size);
	if (r < 0)
		return r;
	last = min_u64(last, (size + PAGE_BYTES - 1) >> PAGE_SHIFT);
	if (object_is_memory(object)) {
		shown_each(object, first, last, hide_part, NULL);
		drop_pages(object, first, last);
		shown_each(object, first, last, hide_part, NULL);
		return 0;
	}
	for (; r == 0 && first < last; first++)
		r = zero_range(object, first << PAGE_SHIFT, PAGE_BYTES);
	return r;
}
