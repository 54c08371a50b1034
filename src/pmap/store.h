/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/store.h - where the pages of a paged object live: one sparse memfd for each owner.
 *
 *	owner's pages     0     1     2     3   ...          page i at offset i * 4096 of the memfd, or a hole
 *	                  |     |     |     |
 *	views             [-----range A-----]                what programs touch: registered with userfaultfd, entries made
 *	                        [--range B--...              by CONTINUE; every view shows a store at once
 *	back door         [===== 1 GiB chunks =====]         what fills write and write-backs read: registered with nobody
 *
 * The back door is mapped in chunks when a range is attached, so that handing out a page's memory in a signal handler is
 * two loads.
 */
#ifndef PMAP_STORE_H
#define PMAP_STORE_H

#include <stdatomic.h>
#include <stdint.h>

/* 1 GiB chunks, 1024 of them a part, 64 parts: 64 TiB, half of an address space. */
enum { STORE_CHUNK_SHIFT = 30, STORE_PART_CHUNKS = 1024, STORE_PARTS = 64 };

struct store_part {
	_Atomic uintptr_t chunks[STORE_PART_CHUNKS];
};

/* store: the pages of one owner, as a memfd with a back door */
struct store {
	int fd;
	unsigned int ranges; /* attached */
	_Atomic(struct store_part *) parts[STORE_PARTS];
};

int store_open(struct store **store);
void store_close(struct store *store);

/* Opens the back door for [offset, end) in bytes. Not in a signal handler. */
int store_reach(struct store *store, uint64_t offset, uint64_t end);

/* The back door's address of a byte that was reached. Async-signal-safe. */
static inline void *store_memory(struct store *store, uint64_t offset)
{
	uint64_t chunk = offset >> STORE_CHUNK_SHIFT;
	struct store_part *part = atomic_load_explicit(
		&store->parts[chunk / STORE_PART_CHUNKS], memory_order_acquire);
	uintptr_t base = atomic_load_explicit(&part->chunks[chunk % STORE_PART_CHUNKS], memory_order_acquire);

	return (void *)(base + (offset & (((uint64_t)1 << STORE_CHUNK_SHIFT) - 1)));
}

/* Gives the memory of [offset, end) back to the system. Async-signal-safe. */
int store_free(struct store *store, uint64_t offset, uint64_t end);

#endif
