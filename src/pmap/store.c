/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/align.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/uapi.h"

static const uint64_t chunk_bytes = (uint64_t)1 << STORE_CHUNK_SHIFT;

/* Nothing is allocated or counted for it until it is touched. */
static const uint64_t memfd_bytes = (uint64_t)STORE_PARTS * STORE_PART_CHUNKS << STORE_CHUNK_SHIFT;

int store_open(struct store **out)
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	if (store == NULL)
		return -ENOMEM;
	store->fd = sys_memfd_create("quire-pages", MFD_CLOEXEC);
	r = store->fd < 0 ? store->fd : sys_truncate(store->fd, memfd_bytes);
	if (r < 0) {
		store_close(store);
		return r;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store)
{
	for (unsigned int p = 0; p < STORE_PARTS; p++) {
		struct store_part *part = atomic_load(&store->parts[p]);

		for (unsigned int c = 0; part != NULL && c < STORE_PART_CHUNKS; c++)
			if (atomic_load(&part->chunks[c]) != 0)
				(void)sys_munmap(atomic_load(&part->chunks[c]), chunk_bytes);
		free(part);
	}
	if (store->fd >= 0)
		sys_close(store->fd);
	free(store);
}

static int reach_chunk(struct store *store, uint64_t chunk)
{
	_Atomic(struct store_part *) *slot = &store->parts[chunk / STORE_PART_CHUNKS];
	struct store_part *part = atomic_load(slot);
	uintptr_t address;
	int r;

	if (part == NULL) {
		part = calloc(1, sizeof(*part));
		if (part == NULL)
			return -ENOMEM;
		atomic_store_explicit(slot, part, memory_order_release);
	}
	if (atomic_load(&part->chunks[chunk % STORE_PART_CHUNKS]) != 0)
		return 0;
	r = sys_mmap(0, chunk_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, store->fd,
		chunk << STORE_CHUNK_SHIFT, &address);
	if (r < 0)
		return r;
	/* A child must not keep our frames alive, and would read them without our knowledge. */
	(void)sys_madvise(address, chunk_bytes, MADV_DONTFORK);
	(void)sys_madvise(address, chunk_bytes, MADV_DONTDUMP);
	atomic_store_explicit(&part->chunks[chunk % STORE_PART_CHUNKS], address, memory_order_release);
	return 0;
}

int store_reach(struct store *store, uint64_t offset, uint64_t end)
{
	int r = 0;

	if (end > memfd_bytes || offset > end)
		return -EOVERFLOW;
	for (uint64_t at = align_down(offset, chunk_bytes); r == 0 && at < end; at += chunk_bytes)
		r = reach_chunk(store, at >> STORE_CHUNK_SHIFT);
	return r;
}

int store_free(struct store *store, uint64_t offset, uint64_t end)
{
	return sys_fallocate(store->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, end - offset);
}
