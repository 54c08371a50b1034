/* SPDX-License-Identifier: Apache-2.0 */
#include "region/heap.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "region/region.h"

#define SLAB_MAGIC UINT32_C(0x42414c53)
#define RUN_MAGIC UINT32_C(0x204e5552)
#define FREE_MAGIC UINT32_C(0x45455246)

/* The first bytes of a slab, run or free run. docs/format.md, section 8. */
struct heap_head {
	uint32_t magic;
	uint16_t class; /* of a slab */
	uint16_t used;  /* objects of a slab */
	uint64_t pages; /* of a run or free run; 1 */
	uint32_t next;  /* neighbours in the list, as page numbers; 0: none */
	uint32_t previous;
	uint16_t free;  /* of a slab: first free object + 1, linked through their first two bytes; 0: none */
	uint16_t fresh; /* of a slab: objects from here on were never used */
	uint32_t reserved;
};

enum { HEAD_BYTES = sizeof(struct heap_head) };

_Static_assert(sizeof(struct heap_head) == 32, "objects are aligned to 16");
_Static_assert(sizeof(struct region_meta) <= 4096, "page 0");

/* Sizes that leave little of a page over: the larger ones divide its 4064 bytes. */
static const uint16_t class_bytes[HEAP_CLASSES] = { 16, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 448, 576,
	800, 1344, 2032 };

static struct heap_meta *meta_of(const struct region *rg)
{
	return &region_meta(rg)->heap;
}

static struct heap_head *head_at(const struct region *rg, uint64_t page)
{
	return pagefile_page(&rg->file, page);
}

static uint64_t page_of(const struct region *rg, const void *at)
{
	return ((uintptr_t)at - rg->file.start) / PAGE_BYTES;
}

/* Announces a store to a head or to page 0; only hinted regions listen. */
static int announce(struct region *rg, const void *at)
{
	return region_touch(rg, (uintptr_t)at - rg->file.start, 1);
}

static unsigned int class_for(size_t bytes)
{
	unsigned int class = 0;

	while (class_bytes[class] < bytes)
		class ++;
	return class;
}

static unsigned int room_of(unsigned int class)
{
	return (PAGE_BYTES - HEAD_BYTES) / class_bytes[class];
}

static unsigned int bin_of(uint64_t pages)
{
	unsigned int bin = 63U - (unsigned int)__builtin_clzll(pages);

	return bin < HEAP_BINS ? bin : HEAP_BINS - 1;
}

/* ---- what the file says is not believed: a disk rots, and a program stores where it should not ---- */

static int damaged(const struct region *rg, uint64_t page)
{
	return error_set(-EBADMSG, "%s: the heap is damaged at page %" PRIu64, rg->file.disk.path, page);
}

static bool is_head(const struct region *rg, uint64_t page, uint32_t magic)
{
	const struct heap_head *head;

	if (page == 0 || page >= meta_of(rg)->next_page)
		return false;
	head = head_at(rg, page);
	return head->magic == magic && head->pages > 0 && head->pages <= meta_of(rg)->next_page - page;
}

static bool is_slab(const struct region *rg, uint64_t page)
{
	const struct heap_head *head = head_at(rg, page); /* read only when it is one */

	return is_head(rg, page, SLAB_MAGIC) && head->pages == 1 && head->class < HEAP_CLASSES &&
		head->used <= head->fresh && head->fresh <= room_of(head->class) && head->free <= head->fresh;
}

static bool has_room(const struct heap_head *slab)
{
	return slab->free != 0 || slab->fresh < room_of(slab->class);
}

static int check_end(const struct region *rg)
{
	uint64_t end = meta_of(rg)->next_page;

	return end == 0 || end > rg->file.pages
		? error_set(-EBADMSG, "%s: the heap ends behind the region", rg->file.disk.path)
		: 0;
}

/* ---- lists ---- */

/* Two heads of one kind follow each other in a list; 0 stands for its end, or for the list itself. */
static int link_heads(struct region *rg, uint64_t *list, uint64_t first, uint64_t second, uint32_t magic)
{
	int r = 0;

	if ((first != 0 && !is_head(rg, first, magic)) || (second != 0 && !is_head(rg, second, magic)))
		return damaged(rg, first != 0 && !is_head(rg, first, magic) ? first : second);
	if (first == 0) {
		*list = second;
	} else {
		head_at(rg, first)->next = (uint32_t)second;
		r = announce(rg, head_at(rg, first));
	}
	if (r < 0 || second == 0)
		return r;
	head_at(rg, second)->previous = (uint32_t)first;
	return announce(rg, head_at(rg, second));
}

static int list_add(struct region *rg, uint64_t *list, uint64_t page)
{
	uint32_t magic = head_at(rg, page)->magic;
	int r = link_heads(rg, list, page, *list, magic);

	return r < 0 ? r : link_heads(rg, list, 0, page, magic);
}

static int list_remove(struct region *rg, uint64_t *list, uint64_t page)
{
	const struct heap_head *head = head_at(rg, page);

	return link_heads(rg, list, head->previous, head->next, head->magic);
}

/* ---- runs of pages ---- */

/* A run takes the free runs that follow it. It is in no list. */
static int join_followers(struct region *rg, uint64_t page)
{
	struct heap_head *head = head_at(rg, page);
	int r = 0;

	while (r == 0 && is_head(rg, page + head->pages, FREE_MAGIC)) {
		struct heap_head *follower = head_at(rg, page + head->pages);

		r = list_remove(rg, &meta_of(rg)->bins[bin_of(follower->pages)], page + head->pages);
		follower->magic = 0;
		if (r == 0)
			r = announce(rg, follower);
		head->pages += follower->pages;
	}
	return r;
}

static int put_free_run(struct region *rg, uint64_t page, uint64_t pages)
{
	struct heap_head *head = head_at(rg, page);
	int r;

	*head = (struct heap_head){ .magic = FREE_MAGIC, .pages = pages };
	r = announce(rg, head);
	if (r == 0)
		r = join_followers(rg, page);
	return r < 0 ? r : list_add(rg, &meta_of(rg)->bins[bin_of(head->pages)], page);
}

/* The first free run of at least so many pages; 0: none. */
static int find_free_run(struct region *rg, uint64_t pages, uint64_t *found)
{
	struct heap_meta *meta = meta_of(rg);
	uint64_t steps = 0; /* a damaged list may be a circle */

	*found = 0;
	for (unsigned int bin = bin_of(pages); bin < HEAP_BINS; bin++)
		for (uint64_t page = meta->bins[bin]; page != 0; page = head_at(rg, page)->next) {
			if (!is_head(rg, page, FREE_MAGIC) || steps++ >= meta->next_page)
				return damaged(rg, page);
			if (head_at(rg, page)->pages >= pages) {
				*found = page;
				return list_remove(rg, &meta->bins[bin], page);
			}
		}
	return 0;
}

/* Pages behind all that was ever used. */
static int take_fresh(struct region *rg, uint64_t pages, uint64_t *page)
{
	enum { GROW_AT_MOST = 16384 }; /* 64 MiB: doubling for ever would take the disk */
	struct heap_meta *meta = meta_of(rg);
	uint64_t need = meta->next_page + pages;
	uint64_t grown = rg->file.pages + min_u64(rg->file.pages, GROW_AT_MOST);
	int r = 0;

	if (need > rg->file.pages)
		r = region_resize(rg, max_u64(need, min_u64(grown, rg->file.head.pages_max)));
	if (disk_is_full(r) && need < grown)
		r = region_resize(rg, need);
	if (r < 0)
		return r;
	*page = meta->next_page;
	meta->next_page = need;
	return 0;
}

static int take_pages(struct region *rg, uint64_t pages, uint64_t *page)
{
	uint64_t whole;
	int r = find_free_run(rg, pages, page);

	if (r < 0 || *page == 0)
		return r < 0 ? r : take_fresh(rg, pages, page);
	whole = head_at(rg, *page)->pages;
	return whole > pages ? put_free_run(rg, *page + pages, whole - pages) : 0;
}

/* ---- small objects ---- */

static unsigned char *object_at(const struct region *rg, uint64_t page, unsigned int index)
{
	unsigned char *start = pagefile_page(&rg->file, page);

	return start + HEAD_BYTES + (size_t)index * class_bytes[head_at(rg, page)->class];
}

static int new_slab(struct region *rg, unsigned int class)
{
	uint64_t page;
	int r = take_pages(rg, 1, &page);

	if (r < 0)
		return r;
	*head_at(rg, page) = (struct heap_head){ .magic = SLAB_MAGIC, .class = (uint16_t) class, .pages = 1 };
	r = announce(rg, head_at(rg, page));
	return r < 0 ? r : list_add(rg, &meta_of(rg)->partial[class], page);
}

static int alloc_small(struct region *rg, unsigned int class, void **memory)
{
	uint64_t *list = &meta_of(rg)->partial[class];
	struct heap_head *head;
	unsigned char *object;
	uint64_t page;
	int r = *list == 0 ? new_slab(rg, class) : 0;

	if (r < 0)
		return r;
	page = *list;
	if (!is_slab(rg, page) || head_at(rg, page)->class != class || !has_room(head_at(rg, page)))
		return damaged(rg, page);
	head = head_at(rg, page);
	if (head->free != 0) {
		object = object_at(rg, page, head->free - 1U);
		memcpy(&head->free, object, sizeof(head->free));
	} else {
		object = object_at(rg, page, head->fresh++);
	}
	head->used++;
	if (!has_room(head)) /* H2 */
		r = list_remove(rg, list, page);
	memset(object, 0, class_bytes[class]);
	*memory = object;
	return r < 0 ? r : announce(rg, head);
}

static int free_small(struct region *rg, uint64_t page, unsigned char *object)
{
	struct heap_head *head = head_at(rg, page);
	uint64_t *list = &meta_of(rg)->partial[head->class];
	bool was_full = !has_room(head);
	size_t at = (size_t)(object - object_at(rg, page, 0));
	int r = announce(rg, head);

	if (r < 0)
		return r;
	memset(object, 0, class_bytes[head->class]);
	memcpy(object, &head->free, sizeof(head->free));
	head->free = (uint16_t)(at / class_bytes[head->class] + 1);
	head->used--;
	if (was_full)
		r = list_add(rg, list, page);
	if (r < 0 || head->used > 0)
		return r;
	r = list_remove(rg, list, page);
	return r < 0 ? r : put_free_run(rg, page, 1);
}

/* ---- large ones ---- */

static int alloc_run(struct region *rg, size_t bytes, void **memory)
{
	uint64_t pages = (bytes + HEAD_BYTES + PAGE_BYTES - 1) / PAGE_BYTES;
	uint64_t page;
	int r;

	if (bytes > SIZE_MAX / 2 || pages >= rg->file.head.pages_max)
		return error_set(-ENOMEM, "%zu bytes are more than the region may have", bytes);
	r = take_pages(rg, pages, &page);
	if (r == 0)
		r = region_touch(rg, page * PAGE_BYTES, pages * PAGE_BYTES);
	if (r < 0)
		return r;
	memset(head_at(rg, page), 0, pages * PAGE_BYTES);
	*head_at(rg, page) = (struct heap_head){ .magic = RUN_MAGIC, .pages = pages };
	*memory = (char *)head_at(rg, page) + HEAD_BYTES;
	return 0;
}

/* ---- the whole ---- */

static int alloc_locked(struct region *rg, size_t bytes, void **memory)
{
	struct heap_meta *meta = meta_of(rg);
	unsigned int class;
	int r = check_end(rg);

	if (r == 0)
		r = announce(rg, meta);

	if (r < 0)
		return r;
	if (bytes <= class_bytes[HEAP_CLASSES - 1]) {
		class = class_for(bytes);
		bytes = class_bytes[class];
		r = alloc_small(rg, class, memory);
	} else {
		r = alloc_run(rg, bytes, memory);
		bytes = (bytes + HEAD_BYTES + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	}
	if (r < 0)
		return r;
	meta->object_count++;
	meta->used_bytes += bytes;
	return 0;
}

int heap_alloc(struct region *rg, size_t bytes, void **memory)
{
	int r;

	lock_take(&rg->heap_lock);
	r = alloc_locked(rg, bytes, memory);
	lock_give(&rg->heap_lock);
	return r;
}

/* Is this the first byte of an object that may be in use? */
static bool is_object(const struct region *rg, uint64_t page, uintptr_t within)
{
	const struct heap_head *head = head_at(rg, page);

	if (is_head(rg, page, RUN_MAGIC))
		return within == HEAD_BYTES;
	if (!is_slab(rg, page) || head->used == 0 || within < HEAD_BYTES)
		return false;
	return (within - HEAD_BYTES) % class_bytes[head->class] == 0 &&
		(within - HEAD_BYTES) / class_bytes[head->class] < head->fresh;
}

/* A walk through the page's own list: at most 254 steps. */
static bool is_free_object(const struct region *rg, uint64_t page, const unsigned char *object)
{
	const struct heap_head *head = head_at(rg, page);
	uint16_t at = head->free;

	for (unsigned int i = 0; at != 0 && at <= head->fresh && i < PAGE_BYTES / 16; i++) {
		const unsigned char *free = object_at(rg, page, at - 1U);

		if (free == object)
			return true;
		memcpy(&at, free, sizeof(at));
	}
	return false;
}

static int free_locked(struct region *rg, unsigned char *memory)
{
	struct heap_meta *meta = meta_of(rg);
	uint64_t page = page_of(rg, memory);
	const struct heap_head *head;
	int r = check_end(rg);

	if (r < 0)
		return r;
	if (page == 0 || page >= meta->next_page || !is_object(rg, page, (uintptr_t)memory % PAGE_BYTES))
		return error_set(-EINVAL, "%p was not allocated in this region", (void *)memory);
	head = head_at(rg, page);
	if (head->magic == SLAB_MAGIC && is_free_object(rg, page, memory))
		return error_set(-EINVAL, "%p was freed already", (void *)memory);
	r = announce(rg, meta);
	if (r < 0)
		return r;
	meta->object_count--;
	if (head->magic == SLAB_MAGIC) {
		meta->used_bytes -= class_bytes[head->class];
		return free_small(rg, page, memory);
	}
	meta->used_bytes -= head->pages * PAGE_BYTES;
	return put_free_run(rg, page, head->pages);
}

int heap_free(struct region *rg, void *memory)
{
	int r;

	if (memory == NULL)
		return 0;
	lock_take(&rg->heap_lock);
	r = free_locked(rg, memory);
	lock_give(&rg->heap_lock);
	return r;
}

int heap_root(struct region *rg, size_t bytes, void **root)
{
	struct heap_meta *meta;
	int r = 0;

	lock_take(&rg->heap_lock);
	meta = meta_of(rg);
	if (meta->root == 0 && !rg->writable)
		r = error_set(-ENOENT, "%s has no root yet", rg->file.disk.path);
	else if (meta->root == 0)
		r = alloc_locked(rg, bytes, root);
	else if (meta->root < PAGE_BYTES || meta->root > rg->file.pages * PAGE_BYTES ||
		meta->root_bytes > rg->file.pages * PAGE_BYTES - meta->root)
		r = damaged(rg, meta->root / PAGE_BYTES);
	else if (meta->root_bytes != bytes)
		r = error_set(-EINVAL, "the root has %" PRIu64 " bytes, not %zu", meta->root_bytes, bytes);
	if (r == 0 && meta->root == 0) {
		meta->root = (uintptr_t)*root - rg->file.start;
		meta->root_bytes = bytes;
	}
	if (r == 0)
		*root = (void *)(rg->file.start + meta->root);
	lock_give(&rg->heap_lock);
	return r;
}

/* ---- check ---- */

/* survey: what a check has met between the first page and the end */
struct survey {
	uint64_t objects;
	uint64_t listed; /* slabs with room, and free runs */
};

static int check_head(struct region *rg, uint64_t page, struct survey *survey)
{
	const struct heap_head *head = head_at(rg, page);

	if (is_slab(rg, page) && head->used > 0) {
		survey->objects += head->used;
		survey->listed += has_room(head);
	} else if (is_head(rg, page, RUN_MAGIC)) {
		survey->objects++;
	} else if (is_head(rg, page, FREE_MAGIC)) {
		survey->listed++;
	} else {
		return damaged(rg, page);
	}
	return 0;
}

/* H2, H3: in the lists is what should be there, and nothing else. */
static int check_lists(struct region *rg, uint64_t listed)
{
	const struct heap_meta *meta = meta_of(rg);

	for (unsigned int class = 0; class < HEAP_CLASSES; class ++)
		for (uint64_t page = meta->partial[class]; page != 0; page = head_at(rg, page)->next)
			if (!is_slab(rg, page) || listed-- == 0 || head_at(rg, page)->class != class ||
				!has_room(head_at(rg, page)))
				return damaged(rg, page);
	for (unsigned int bin = 0; bin < HEAP_BINS; bin++)
		for (uint64_t page = meta->bins[bin]; page != 0; page = head_at(rg, page)->next)
			if (!is_head(rg, page, FREE_MAGIC) || listed-- == 0 ||
				bin_of(head_at(rg, page)->pages) != bin)
				return damaged(rg, page);
	return listed == 0 ? 0
			   : error_set(-EBADMSG, "%s: free memory of the heap is in none of its lists",
				     rg->file.disk.path);
}

int heap_check(struct region *rg, uint64_t *objects)
{
	struct survey survey = { .objects = 0 };
	const struct heap_meta *meta;
	int r;

	lock_take(&rg->heap_lock);
	meta = meta_of(rg);
	r = check_end(rg);
	for (uint64_t page = 1; r == 0 && page < meta->next_page; page += head_at(rg, page)->pages)
		r = check_head(rg, page, &survey);
	if (r == 0)
		r = check_lists(rg, survey.listed);
	if (r == 0 && survey.objects != meta->object_count)
		r = error_set(-EBADMSG, "%s: the heap has %" PRIu64 " objects and says %" PRIu64,
			rg->file.disk.path, survey.objects, meta->object_count);
	lock_give(&rg->heap_lock);
	*objects = survey.objects;
	return r;
}
