/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/fake.h - page tables in ordinary memory, and the processor that walks them: the whole of vm runs in a unit test,
 * without privilege, without a system call, and every failure can be had on order.
 *
 *	fake_store(va) -> entry present and writable?  yes: written bit, bytes into the frame
 *	                                               no:  PMAP_FILL upward, and again; an error comes back as a value
 *
 * Several fakes can share one memory: that is what fork needs, and a pool with several spaces.
 */
#ifndef PMAP_FAKE_H
#define PMAP_FAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "pmap/pmap.h"

enum fake_op {
	FAKE_ATTACH,
	FAKE_STAGE,
	FAKE_ENTER,
	FAKE_PROTECT,
	FAKE_REMOVE,
	FAKE_HARVEST,
	FAKE_POISON,
	FAKE_DETACH,
	FAKE_OPS,
};

/* Frames, as many as the largest pool that uses it; and what makes one step of a walk and the access that follows, as in a
 * processor: several threads may be several of those. */
struct fake_memory {
	struct spin lock;
	unsigned char *bytes;
	uint32_t frame_count;
	bool *staged; /* by frame: vm may not touch what it gave back */
};

struct fake_entry {
	uint32_t frame_plus_1; /* 0: not present */
	uint8_t prot;
	bool attached;
	bool written;
	bool poisoned;
};

/* fake: an engine of ordinary memory, with its software MMU */
struct fake {
	struct pmap pmap;
	struct fake_memory *memory;
	uintptr_t base; /* addresses [base, base + entry_count pages) exist */
	size_t entry_count;
	struct fake_entry *entries;
	uint64_t calls[FAKE_OPS];
	uint64_t fail_at[FAKE_OPS]; /* the n-th call from 1 on fails; 0: none does */
	int fail_with;
	bool broken_copy; /* a mutant for the oracle's own test: a page entered read-only can be stored into */
	atomic_uint_fast64_t fills; /* questions asked upward */
};

int fake_memory_init(struct fake_memory *memory, uint32_t frame_count); /* -ENOMEM */
void fake_memory_done(struct fake_memory *memory);

/* can: PMAP_CAN_HARVEST or 0. -ENOMEM. */
int fake_init(struct fake *fake, struct fake_memory *memory, uintptr_t base, size_t page_count,
	unsigned int can, pmap_up_fn *up, void *above);
void fake_done(struct fake *fake);

/* What an instruction would do. 0, or what fault_handle() said: -EFAULT and -EACCES are SIGSEGV, the rest is SIGBUS.
 * *at is the first byte that could not be reached. */
int fake_load(struct fake *fake, uintptr_t va, void *to, size_t bytes, uintptr_t *at);
int fake_store(struct fake *fake, uintptr_t va, const void *from, size_t bytes, uintptr_t *at);

/* Is a page entered there? For tests. */
bool fake_present(const struct fake *fake, uintptr_t va);

#endif
