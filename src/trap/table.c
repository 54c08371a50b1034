/* SPDX-License-Identifier: Apache-2.0 */
#include "trap/table.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/lock.h"
#include "trap/trap.h"

/* 256 slots of 32 bytes fill two pages; 1,024 blocks hold four times vm.max_map_count's default. */
enum { BLOCK_SLOTS = 256, BLOCKS_MAX = 1024 };

struct slot {
	_Atomic uintptr_t start;
	_Atomic uintptr_t end;
	_Atomic(struct trap_range *) range;
	atomic_uint readers;
};

struct block {
	struct slot slots[BLOCK_SLOTS];
};

static struct block first_block;
static _Atomic(struct block *) blocks[BLOCKS_MAX] = { &first_block };
static atomic_uint slots_used; /* slots above it were never used */
static unsigned int free_hint;
static struct lock table_lock = LOCK_INIT;

static struct slot *slot_at(unsigned int i)
{
	struct block *block = atomic_load_explicit(&blocks[i / BLOCK_SLOTS], memory_order_acquire);

	assert(block != NULL);
	return &block->slots[i % BLOCK_SLOTS];
}

/* A slot without range, or -ENOMEM. */
static int slot_find_free(unsigned int *found)
{
	unsigned int used = atomic_load(&slots_used);

	for (unsigned int i = free_hint; i < used; i++) {
		if (atomic_load(&slot_at(i)->range) == NULL) {
			*found = i;
			return 0;
		}
	}
	if (used / BLOCK_SLOTS >= BLOCKS_MAX)
		return -ENOMEM;
	if (atomic_load(&blocks[used / BLOCK_SLOTS]) == NULL) {
		struct block *block = calloc(1, sizeof(*block));

		if (block == NULL)
			return -ENOMEM;
		atomic_store_explicit(&blocks[used / BLOCK_SLOTS], block, memory_order_release);
	}
	*found = used;
	return 0;
}

int table_add(struct trap_range *range)
{
	struct slot *slot;
	unsigned int i;
	int r;

	assert(range->start < range->end);
	lock_take(&table_lock);
	r = slot_find_free(&i);
	if (r == 0) {
		slot = slot_at(i);
		atomic_store(&slot->start, range->start);
		atomic_store(&slot->end, range->end);
		atomic_store(&slot->range, range);
		range->slot = i;
		free_hint = i + 1;
		if (i >= atomic_load(&slots_used))
			atomic_store(&slots_used, i + 1);
	}
	lock_give(&table_lock);
	return r;
}

void table_remove(struct trap_range *range)
{
	struct slot *slot = slot_at(range->slot);

	assert(atomic_load(&slot->range) == range);
	atomic_store(&slot->range, NULL);
	while (atomic_load(&slot->readers) != 0)
		lock_yield();

	lock_take(&table_lock);
	if (range->slot < free_hint)
		free_hint = range->slot;
	lock_give(&table_lock);
}

void table_stretch(struct trap_range *range, uintptr_t end)
{
	assert(range->start < end);
	atomic_store(&range->end, end);
	atomic_store(&slot_at(range->slot)->end, end);
}

/* Raises the reader count, then reads the pointer: in this order removal cannot miss us. */
static struct trap_range *slot_hold(struct slot *slot, uintptr_t va)
{
	struct trap_range *range;

	if (va < atomic_load_explicit(&slot->start, memory_order_relaxed) ||
		va >= atomic_load_explicit(&slot->end, memory_order_relaxed))
		return NULL;

	atomic_fetch_add(&slot->readers, 1);
	range = atomic_load(&slot->range);
	if (range != NULL && va >= range->start && va < range->end)
		return range;

	atomic_fetch_sub(&slot->readers, 1);
	return NULL;
}

struct trap_range *table_find(uintptr_t va, unsigned int *slot, unsigned int end)
{
	unsigned int used = atomic_load(&slots_used);

	for (unsigned int i = *slot; i < used && i < end; i++) {
		struct trap_range *range = slot_hold(slot_at(i), va);

		if (range != NULL) {
			*slot = i;
			return range;
		}
	}
	return NULL;
}

void table_release(unsigned int slot)
{
	atomic_fetch_sub(&slot_at(slot)->readers, 1);
}
