/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/shelf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/align.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/uapi.h"

static const uint64_t chunk_bytes = (uint64_t)1 << SHELF_CHUNK_SHIFT;

/* Nothing is allocated or counted for it until it is touched. */
static const uint64_t memfd_bytes = (uint64_t)SHELF_PARTS * SHELF_PART_CHUNKS << SHELF_CHUNK_SHIFT;

int shelf_open(struct shelf **out)
{
	struct shelf *shelf = calloc(1, sizeof(*shelf));
	int r;

	if (shelf == NULL)
		return -ENOMEM;
	shelf->fd = sys_memfd_create("quire-pages", MFD_CLOEXEC);
	r = shelf->fd < 0 ? shelf->fd : sys_truncate(shelf->fd, memfd_bytes);
	if (r < 0) {
		shelf_close(shelf);
		return r;
	}
	*out = shelf;
	return 0;
}

void shelf_close(void *engine)
{
	struct shelf *shelf = engine;

	for (unsigned int p = 0; p < SHELF_PARTS; p++) {
		struct shelf_part *part = atomic_load(&shelf->parts[p]);

		for (unsigned int c = 0; part != NULL && c < SHELF_PART_CHUNKS; c++)
			if (atomic_load(&part->chunks[c]) != 0)
				(void)sys_munmap(atomic_load(&part->chunks[c]), chunk_bytes);
		free(part);
	}
	if (shelf->fd >= 0)
		sys_close(shelf->fd);
	free(shelf);
}

static int reach_chunk(struct shelf *shelf, uint64_t chunk)
{
	_Atomic(struct shelf_part *) *slot = &shelf->parts[chunk / SHELF_PART_CHUNKS];
	struct shelf_part *part = atomic_load(slot);
	uintptr_t address;
	int r;

	if (part == NULL) {
		part = calloc(1, sizeof(*part));
		if (part == NULL)
			return -ENOMEM;
		atomic_store_explicit(slot, part, memory_order_release);
	}
	if (atomic_load(&part->chunks[chunk % SHELF_PART_CHUNKS]) != 0)
		return 0;
	r = sys_mmap(0, chunk_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, shelf->fd,
		chunk << SHELF_CHUNK_SHIFT, &address);
	if (r < 0)
		return r;
	/* A child must not keep our frames alive, and would read them without our knowledge. */
	(void)sys_madvise(address, chunk_bytes, MADV_DONTFORK);
	(void)sys_madvise(address, chunk_bytes, MADV_DONTDUMP);
	atomic_store_explicit(&part->chunks[chunk % SHELF_PART_CHUNKS], address, memory_order_release);
	return 0;
}

int shelf_reach(struct shelf *shelf, uint64_t offset, uint64_t end)
{
	int r = 0;

	if (end > memfd_bytes || offset > end)
		return -EOVERFLOW;
	for (uint64_t at = align_down(offset, chunk_bytes); r == 0 && at < end; at += chunk_bytes)
		r = reach_chunk(shelf, at >> SHELF_CHUNK_SHIFT);
	return r;
}

int shelf_free(struct shelf *shelf, uint64_t offset, uint64_t end)
{
	int r = 0;

	/* Through the back door: the descriptor's number may be a stranger's by now, whose file would get the holes. Where all
	 * of the program is locked in memory the kernel wants it nevertheless. */
	while (r == 0 && offset < end) {
		uint64_t to = min_u64(end, align_down(offset, chunk_bytes) + chunk_bytes);

		r = sys_madvise((uintptr_t)shelf_memory(shelf, offset), to - offset, MADV_REMOVE);
		if (r == -EINVAL)
			r = sys_fallocate(
				shelf->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, to - offset);
		offset = to;
	}
	return r;
}

int shelf_of(struct pmap_home *home, uint64_t offset, uint64_t end, struct shelf **shelf)
{
	int r = 0;

	if (home->engine == NULL) {
		r = shelf_open(shelf);
		if (r < 0)
			return r;
		home->engine = *shelf;
		home->close = shelf_close;
	}
	*shelf = home->engine;
	return shelf_reach(*shelf, offset, end);
}
