/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/shelf.h - where the pages of a paged object live: one sparse memfd for each owner.
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
#ifndef PMAP_SHELF_H
#define PMAP_SHELF_H

#include <stdatomic.h>
#include <stdint.h>

#include "pmap/pmap.h"

/* 1 GiB chunks, 1024 of them a part, 64 parts: 64 TiB, half of an address space. */
enum { SHELF_CHUNK_SHIFT = 30, SHELF_PART_CHUNKS = 1024, SHELF_PARTS = 64 };

struct shelf_part {
	_Atomic uintptr_t chunks[SHELF_PART_CHUNKS];
};

/* shelf: the pages of one object, as a memfd with a back door */
struct shelf {
	int fd;
	unsigned int ranges; /* attached */
	_Atomic(struct shelf_part *) parts[SHELF_PARTS];
};

int shelf_open(struct shelf **shelf);
void shelf_close(void *shelf); /* of any shelf: a pmap_home's close */

/* The shelf of an object, made when it has none, reached in [offset, end). Not in a signal handler. */
int shelf_of(struct pmap_home *home, uint64_t offset, uint64_t end, struct shelf **shelf);

/* Opens the back door for [offset, end) in bytes. Not in a signal handler. */
int shelf_reach(struct shelf *shelf, uint64_t offset, uint64_t end);

/* The back door's address of a byte that was reached. Async-signal-safe. */
static inline void *shelf_memory(struct shelf *shelf, uint64_t offset)
{
	uint64_t chunk = offset >> SHELF_CHUNK_SHIFT;
	struct shelf_part *part = atomic_load_explicit(
		&shelf->parts[chunk / SHELF_PART_CHUNKS], memory_order_acquire);
	uintptr_t base = atomic_load_explicit(&part->chunks[chunk % SHELF_PART_CHUNKS], memory_order_acquire);

	return (void *)(base + (offset & (((uint64_t)1 << SHELF_CHUNK_SHIFT) - 1)));
}

/* Gives the memory of [offset, end) back to the system. Async-signal-safe. */
int shelf_free(struct shelf *shelf, uint64_t offset, uint64_t end);

#endif
