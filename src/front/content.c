/* SPDX-License-Identifier: Apache-2.0 */
/* front/content.c - reading, writing, cutting and punching what is also mapped: all see one content. */
#include <errno.h>
#include <string.h>

#include "base/align.h"
#include "front/front.h"
#include "vm/object.h"

int front_truncate(struct object *object, uint64_t bytes)
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

int front_punch(struct object *object, uint64_t first, uint64_t last)
{
	uint64_t size;
	int r;

	r = object_size(object, &size);
	if (r < 0)
		return r;
	last = min_u64(last, (size + PAGE_BYTES - 1) >> PAGE_SHIFT);
	if (object_is_memory(object)) {
		object_drop(object, first, last, false);
		return 0;
	}
	for (; r == 0 && first < last; first++) {
		struct page *page;
		char *memory;

		r = object_get_page(object, first, &page, &memory);
		if (r < 0)
			break;
		memset(memory, 0, PAGE_BYTES);
		object_put_page(object, page, true);
	}
	return r;
}

int64_t front_pwrite(struct object *object, uint64_t offset, const void *from, size_t bytes)
{
	uint64_t size;
	size_t done = 0;
	int r;

	r = object_size(object, &size);
	if (r == 0 && offset + bytes > size)
		r = front_truncate(object, offset + bytes);
	while (r == 0 && done < bytes) {
		uint64_t at = offset + done;
		size_t now = (size_t)min_u64(bytes - done, PAGE_BYTES - at % PAGE_BYTES);
		struct page *page;
		char *memory;

		r = object_get_page(object, at >> PAGE_SHIFT, &page, &memory);
		if (r < 0)
			break;
		memcpy(memory + at % PAGE_BYTES, (const char *)from + done, now);
		object_put_page(object, page, true);
		done += now;
	}
	return done > 0 || r == 0 ? (int64_t)done : r;
}

int64_t front_pread(struct object *object, uint64_t offset, void *to, size_t bytes)
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

		if (object_is_memory(object) && !object_has_page(object, at >> PAGE_SHIFT)) {
			memset((char *)to + done, 0, now);
		} else {
			r = object_get_page(object, at >> PAGE_SHIFT, &page, &memory);
			if (r < 0)
				break;
			memcpy((char *)to + done, memory + at % PAGE_BYTES, now);
			object_put_page(object, page, false);
		}
		done += now;
	}
	return done > 0 || r == 0 ? (int64_t)done : r;
}
