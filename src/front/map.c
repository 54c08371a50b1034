/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "base/align.h"
#include "front/front.h"
#include "vm/object.h"

/* What MAP_SHARED_VALIDATE knows: the kernel's LEGACY_MAP_MASK, without the sizes of huge pages. */
#define LEGACY_FLAGS                                                                                   \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE |       \
		MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | \
		MAP_HUGETLB | MAP_32BIT)

/* Linux 6.11; Debian 12's headers do not name it. */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

enum { PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC };

bool front_end(uintptr_t start, size_t length, uintptr_t *end)
{
	size_t pages = length > SIZE_MAX - (PAGE_BYTES - 1) ? 0 : align_up(length, PAGE_BYTES);

	return (pages > 0 || length == 0) && !__builtin_add_overflow(start, pages, end);
}

/* ---- what the kernel would call one VMA ---- */

static bool could_be_one(const struct seg *a, const struct seg *b)
{
	if (a->range.end != b->range.start || a->object != b->object || a->range.prot != b->range.prot ||
		a->range.flags != b->range.flags || a->range.page_shift != b->range.page_shift)
		return false;
	return a->object == NULL || a->range.offset + (a->range.end - a->range.start) == b->range.offset;
}

bool front_vma(struct as *as, uintptr_t at, struct seg *vma)
{
	struct seg next;
	struct seg before;

	if (!as_find(as, at, vma))
		return false;
	while (as_find(as, vma->range.end, &next) && could_be_one(vma, &next))
		vma->range.end = next.range.end;
	while (vma->range.start > 0 && as_find(as, vma->range.start - 1, &before) &&
		could_be_one(&before, vma)) {
		before.range.end = vma->range.end;
		*vma = before;
	}
	return true;
}

/* ---- mmap ---- */

struct mapping {
	struct front *front;
	const struct front_file *file; /* NULL: anonymous */
	int prot;
	int flags;
	struct map_request request;
};

static int check_room(const struct mapping *m)
{
	const struct pmap_range *range = &m->request.range;
	size_t length = range->end - range->start;

	if (length > m->front->task_bytes)
		return -ENOMEM;
	if ((m->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == 0)
		return 0;
	if (range->start > m->front->task_bytes - length)
		return -ENOMEM;
	if (!is_aligned(range->start, PAGE_BYTES))
		return -EINVAL;
	if ((m->flags & MAP_FIXED_NOREPLACE) != 0 && as_count(m->front->as, range->start, range->end) > 0)
		return -EEXIST;
	return 0;
}

static uint64_t locked_bytes(struct as *as)
{
	struct seg seg;
	uint64_t bytes = 0;

	for (uintptr_t va = 0; as_find(as, va, &seg); va = seg.range.end)
		if ((seg.range.flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0)
			bytes += seg.range.end - seg.range.start;
	return bytes;
}

static int check_lock(const struct front *front, size_t length)
{
	if (front->lock_bytes_max == UINT64_MAX)
		return 0;
	if (front->lock_bytes_max == 0)
		return -EPERM;
	return locked_bytes(front->as) + length > front->lock_bytes_max ? -EAGAIN : 0;
}

static int check_file(struct mapping *m)
{
	const struct front_file *file = m->file;
	int type = m->flags & MAP_TYPE;

	if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) {
		if (type == MAP_SHARED_VALIDATE && (m->flags & ~LEGACY_FLAGS) != 0)
			return -EOPNOTSUPP;
		if ((m->prot & PROT_WRITE) != 0 && !file->writable)
			return -EACCES;
		m->request.range.flags |= PMAP_SHARED | (file->writable ? 0 : PMAP_NEVER_WRITE);
	} else if (type != MAP_PRIVATE) {
		return -EINVAL;
	}
	if (!file->readable)
		return -EACCES;
	if (file->no_exec && (m->prot & PROT_EXEC) != 0)
		return -EPERM;
	if (file->object == NULL)
		return -ENODEV;
	if ((m->flags & MAP_GROWSDOWN) != 0)
		return -EINVAL;
	if (file->sealed && (m->request.range.flags & PMAP_SHARED) != 0) {
		if ((m->prot & PROT_WRITE) != 0)
			return -EPERM;
		m->request.range.flags |= PMAP_NEVER_WRITE;
	}
	m->request.object = file->object;
	return 0;
}

static int check_anonymous(struct mapping *m)
{
	int type = m->flags & MAP_TYPE;

	if (type == MAP_PRIVATE || type == MAP_DROPPABLE)
		return 0;
	if (type != MAP_SHARED || (m->flags & MAP_GROWSDOWN) != 0)
		return -EINVAL;
	m->request.range.flags |= PMAP_SHARED;
	m->request.range.offset = 0;
	return 0;
}

/* Decides: everything that the kernel may refuse, in its order. */
static int check_map(struct mapping *m, size_t length)
{
	struct pmap_range *range = &m->request.range;
	uint64_t last;
	int r;

	if (length == 0)
		return -EINVAL;
	if ((m->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == 0)
		range->start = align_down(range->start, PAGE_BYTES);
	if (length > SIZE_MAX - (PAGE_BYTES - 1))
		return -ENOMEM;
	length = align_up(length, PAGE_BYTES);
	range->end = range->start + length; /* may wrap: check_room() looks at the length first */
	if (__builtin_add_overflow(range->offset >> PAGE_SHIFT, length >> PAGE_SHIFT, &last))
		return -EOVERFLOW;
	if (as_count(m->front->as, 0, UINTPTR_MAX) > m->front->maps_max)
		return -ENOMEM;
	r = check_room(m);
	if (r == 0 && (m->flags & MAP_LOCKED) != 0)
		r = check_lock(m->front, length);
	if (r == 0)
		r = m->file != NULL ? check_file(m) : check_anonymous(m);
	return r;
}

static void set_place(struct mapping *m)
{
	struct pmap_range *range = &m->request.range;

	range->prot = (uint8_t)(m->prot & PROT_ALL);
	if ((m->flags & MAP_LOCKED) != 0)
		range->flags |= PMAP_LOCKED;
	if ((m->flags & MAP_NORESERVE) != 0)
		range->flags |= PMAP_NORESERVE;
	if ((m->flags & MAP_GROWSDOWN) != 0)
		range->flags |= PMAP_GROWSDOWN;
	if ((m->flags & MAP_FIXED_NOREPLACE) != 0)
		m->request.how = PMAP_EXACT;
	else if ((m->flags & MAP_FIXED) != 0)
		m->request.how = PMAP_REPLACE;
	else
		m->request.how = range->start == 0 ? PMAP_ANYWHERE : PMAP_HINT;
}

int front_mmap(struct front *front, uintptr_t hint, size_t length, int prot, int flags,
	const struct front_file *file, uint64_t offset, uintptr_t *address)
{
	struct mapping m = { .front = front, .file = file, .prot = prot, .flags = flags };
	struct object *own = NULL;
	uintptr_t start;
	int r;

	if (!is_aligned(offset, PAGE_BYTES))
		return -EINVAL;
	if ((flags & MAP_ANONYMOUS) != 0)
		m.file = NULL;
	else if (file == NULL)
		return -EBADF;
	m.request.range.start = hint;
	m.request.range.offset = offset;
	r = check_map(&m, length);
	if (r < 0)
		return r;

	set_place(&m);
	length = m.request.range.end - m.request.range.start;
	if (m.file == NULL && (m.request.range.flags & PMAP_SHARED) != 0) {
		own = front->shared_memory(front->user, length);
		if (own == NULL)
			return -ENOMEM;
		m.request.object = own;
	}
	r = as_map(front->as, &m.request, &start);
	object_unref(own);
	if (r < 0)
		return r;
	if ((flags & (MAP_POPULATE | MAP_LOCKED)) != 0)
		(void)front_populate(front->as, start, start + length, true); /* mmap(2): no error for that */
	*address = start;
	return 0;
}

/* ---- munmap ---- */

int front_munmap(struct front *front, uintptr_t start, size_t length)
{
	uintptr_t end;

	if (!is_aligned(start, PAGE_BYTES) || start > front->task_bytes || length > front->task_bytes - start)
		return -EINVAL;
	if (length == 0 || !front_end(start, length, &end))
		return -EINVAL;
	return as_count(front->as, start, end) == 0 ? 0 : as_unmap(front->as, start, end);
}

/* ---- mprotect ---- */

/* Storable from now on and locked: private copies are made now, as nothing may fault later. */
static void settle_locked(struct as *as, const struct seg *old, uintptr_t start, uintptr_t end, int prot)
{
	bool gains = (prot & PROT_WRITE) != 0 && (old->range.prot & PMAP_WRITE) == 0;

	if (gains && (old->range.flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT | PMAP_SHARED)) == PMAP_LOCKED)
		(void)front_populate(as, start, end, true);
}

static int protect_parts(struct as *as, uintptr_t start, uintptr_t end, int prot)
{
	struct seg seg;
	int r = 0;

	for (uintptr_t va = start; r == 0 && va < end;) {
		uintptr_t to;

		if (!as_find(as, va, &seg) || seg.range.start > va)
			return -ENOMEM; /* what came before stays changed */
		to = min_u64(end, seg.range.end);
		if ((prot & PROT_WRITE) != 0 && (seg.range.flags & PMAP_NEVER_WRITE) != 0)
			return -EACCES;
		r = as_protect(as, va, to, (unsigned int)prot);
		if (r == 0)
			settle_locked(as, &seg, va, to, prot);
		va = to;
	}
	return r;
}

int front_mprotect(struct front *front, uintptr_t start, size_t length, int prot)
{
	const int grows = PROT_GROWSDOWN | PROT_GROWSUP;
	struct seg seg;
	uintptr_t end;

	if ((prot & grows) == grows || !is_aligned(start, PAGE_BYTES))
		return -EINVAL;
	if (length == 0)
		return 0;
	if (!front_end(start, length, &end) || end <= start)
		return -ENOMEM;
	if ((prot & ~grows & ~(PROT_ALL | PROT_SEM)) != 0)
		return -EINVAL;
	if (!as_find(front->as, start, &seg))
		return -ENOMEM;
	if ((prot & PROT_GROWSDOWN) != 0) {
		if (seg.range.start >= end)
			return -ENOMEM;
		if ((seg.range.flags & PMAP_GROWSDOWN) == 0)
			return -EINVAL;
		start = seg.range.start;
	} else if (seg.range.start > start) {
		return -ENOMEM;
	} else if ((prot & PROT_GROWSUP) != 0) {
		return -EINVAL; /* nothing grows up on this machine */
	}
	return protect_parts(front->as, start, end, prot & PROT_ALL);
}
