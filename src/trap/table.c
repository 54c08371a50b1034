/* SPDX-License-Identifier: Apache-2.0 */
#include "trap/table.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/lock.h"
#include "trap/trap.h"

/* 1,024 blocks of 256 slots hold four times vm.max_map_count's default. */
enum { BLOCK_SLOTS = 256, BLOCKS_MAX = 1024 };

/* How often a reader looks again when the order changed under it. Then it looks at every slot, which takes no longer than
 * the change did. */
enum { ORDER_TRIES = 8 };

struct slot {
	_Atomic uintptr_t start;
	_Atomic uintptr_t end; /* 0: free */
	_Atomic(struct trap_range *) range;
	atomic_uint readers;
};

/* One range in the order of addresses. */
struct place {
	_Atomic uintptr_t start;
	_Atomic uintptr_t reach; /* the highest end of this range and all that start lower */
	atomic_uint slot;
};

struct block {
	struct slot slots[BLOCK_SLOTS];
	struct place places[BLOCK_SLOTS];
};

static struct block first_block;
static _Atomic(struct block *) blocks[BLOCKS_MAX] = { &first_block };
static atomic_uint slots_used; /* slots above it were never used */
static unsigned int free_hint;
static struct lock table_lock = LOCK_INIT;

/*
 * The order: places [0, order_count), highest start first, so that what the kernel maps next (below) comes last and moves
 * nothing. A writer makes order_version odd, moves places, and makes it even again. A reader that meets an odd or a
 * changed version looks again, and after some tries at every slot instead: the writer may be the very thread that its
 * signal interrupted. What it finds is checked in the slot, so a place that was read half-moved can only be a miss.
 */
static atomic_uint order_count;
static atomic_uint order_version;

static struct block *block_at(unsigned int i)
{
	struct block *block = atomic_load_explicit(&blocks[i / BLOCK_SLOTS], memory_order_acquire);

	assert(block != NULL);
	return block;
}

static struct slot *slot_at(unsigned int i)
{
	return &block_at(i)->slots[i % BLOCK_SLOTS];
}

static struct place *place_at(unsigned int i)
{
	return &block_at(i)->places[i % BLOCK_SLOTS];
}

/* ---- the order ---- */

static uintptr_t place_start(unsigned int i)
{
	return atomic_load_explicit(&place_at(i)->start, memory_order_acquire);
}

static uintptr_t place_reach(unsigned int i)
{
	return atomic_load_explicit(&place_at(i)->reach, memory_order_acquire);
}

static unsigned int place_slot(unsigned int i)
{
	return atomic_load_explicit(&place_at(i)->slot, memory_order_acquire);
}

static bool comes_after(uintptr_t start, unsigned int slot, const struct table_at *at)
{
	return start < at->start || (start == at->start && slot < at->slot);
}

/* The first of count places after `at`; count when there is none. */
static unsigned int order_search(unsigned int count, const struct table_at *at)
{
	unsigned int low = 0, high = count;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (comes_after(place_start(middle), place_slot(middle), at))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Under the lock: the place of a range. */
static unsigned int order_of(uintptr_t start, unsigned int slot)
{
	unsigned int count = atomic_load_explicit(&order_count, memory_order_relaxed);
	unsigned int at = order_search(count, &(struct table_at){ .start = start, .slot = slot + 1 });

	assert(at < count && place_slot(at) == slot);
	return at;
}

static void place_set(struct place *place, uintptr_t start, uintptr_t reach, unsigned int slot)
{
	atomic_store_explicit(&place->start, start, memory_order_release);
	atomic_store_explicit(&place->reach, reach, memory_order_release);
	atomic_store_explicit(&place->slot, slot, memory_order_release);
}

static void place_copy(struct place *to, struct place *from)
{
	place_set(to, atomic_load_explicit(&from->start, memory_order_relaxed),
		atomic_load_explicit(&from->reach, memory_order_relaxed),
		atomic_load_explicit(&from->slot, memory_order_relaxed));
}

static void order_begin(void)
{
	unsigned int version = atomic_load_explicit(&order_version, memory_order_relaxed);

	/* The stores that follow are releases: none is seen before this one. */
	atomic_store_explicit(&order_version, version + 1, memory_order_relaxed);
}

static void order_end(void)
{
	unsigned int version = atomic_load_explicit(&order_version, memory_order_relaxed);

	atomic_store_explicit(&order_version, version + 1, memory_order_release);
}

/* The reach of place i and of those above it, as far as it changes: not at all when ranges do not overlap. */
static void order_reach(unsigned int i)
{
	unsigned int count = atomic_load_explicit(&order_count, memory_order_relaxed);
	uintptr_t below = i + 1 < count ? place_reach(i + 1) : 0;

	for (;;) {
		uintptr_t end = atomic_load_explicit(&slot_at(place_slot(i))->end, memory_order_relaxed);
		uintptr_t reach = end > below ? end : below;
		bool same = place_reach(i) == reach;

		atomic_store_explicit(&place_at(i)->reach, reach, memory_order_release);
		if (i == 0 || same)
			return;
		below = reach;
		i--;
	}
}

static void order_add(uintptr_t start, unsigned int slot)
{
	unsigned int count = atomic_load_explicit(&order_count, memory_order_relaxed);
	unsigned int at = order_search(count, &(struct table_at){ .start = start, .slot = slot });

	order_begin();
	for (unsigned int i = count; i > at; i--)
		place_copy(place_at(i), place_at(i - 1));
	place_set(place_at(at), start, 0, slot);
	atomic_store_explicit(&order_count, count + 1, memory_order_release);
	order_reach(at);
	order_end();
}

static void order_remove(uintptr_t start, unsigned int slot)
{
	unsigned int count = atomic_load_explicit(&order_count, memory_order_relaxed);
	unsigned int at = order_of(start, slot);

	order_begin();
	for (unsigned int i = at; i + 1 < count; i++)
		place_copy(place_at(i), place_at(i + 1));
	atomic_store_explicit(&order_count, count - 1, memory_order_release);
	if (at > 0)
		order_reach(at - 1);
	order_end();
}

/* ---- changes ---- */

/* A slot without range, or -ENOMEM. */
static int slot_find_free(unsigned int *found)
{
	unsigned int used = atomic_load(&slots_used);

	for (unsigned int i = free_hint; i < used; i++) {
		if (atomic_load(&slot_at(i)->end) == 0) {
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
		order_add(range->start, i);
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
	order_remove(atomic_load(&slot->start), range->slot);
	atomic_store(&slot->end, 0);
	if (range->slot < free_hint)
		free_hint = range->slot;
	lock_give(&table_lock);
}

void table_stretch(struct trap_range *range, uintptr_t end)
{
	struct slot *slot = slot_at(range->slot);

	assert(range->start < end);
	lock_take(&table_lock);
	atomic_store(&range->end, end);
	atomic_store(&slot->end, end);
	order_begin();
	order_reach(order_of(range->start, range->slot));
	order_end();
	lock_give(&table_lock);
}

/* ---- reading: in a signal handler ---- */

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

/* False: the order was changing. */
static bool find_ordered(uintptr_t va, struct table_at *at, struct trap_range **found)
{
	unsigned int version = atomic_load_explicit(&order_version, memory_order_acquire);
	unsigned int count = atomic_load_explicit(&order_count, memory_order_acquire);
	struct trap_range *range = NULL;
	unsigned int slot = 0;

	if (version % 2 != 0)
		return false;
	for (unsigned int i = order_search(count, at); i < count && range == NULL && place_reach(i) > va;
		i++) {
		slot = place_slot(i);
		range = slot_hold(slot_at(slot), va);
	}
	/* Also when there is one: it may be the outer of two, and the inner was overlooked. */
	if (atomic_load_explicit(&order_version, memory_order_relaxed) != version) {
		if (range != NULL)
			table_release(slot);
		return false;
	}
	if (range != NULL)
		*at = (struct table_at){ .start = range->start, .slot = slot };
	*found = range;
	return true;
}

/* Without the order: each time the nearest after `at`. */
static struct trap_range *find_slowly(uintptr_t va, struct table_at *at)
{
	struct trap_range *range = NULL;
	unsigned int used = atomic_load(&slots_used);

	while (range == NULL) {
		struct table_at best = { .start = 0 };

		for (unsigned int i = 0; i < used; i++) {
			struct slot *slot = slot_at(i);
			uintptr_t start = atomic_load_explicit(&slot->start, memory_order_relaxed);

			if (va >= start && va < atomic_load_explicit(&slot->end, memory_order_relaxed) &&
				comes_after(start, i, at) &&
				comes_after(best.start, best.slot, &(struct table_at){ start, i }))
				best = (struct table_at){ .start = start, .slot = i };
		}
		if (best.start == 0)
			return NULL;
		*at = best;
		range = slot_hold(slot_at(best.slot), va);
	}
	return range;
}

struct trap_range *table_find(uintptr_t va, struct table_at *at)
{
	struct trap_range *range;

	for (int i = 0; i < ORDER_TRIES; i++)
		if (find_ordered(va, at, &range))
			return range;
	return find_slowly(va, at);
}

void table_release(unsigned int slot)
{
	atomic_fetch_sub(&slot_at(slot)->readers, 1);
}
