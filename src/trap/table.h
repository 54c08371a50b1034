/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap/table.h - the ranges that are ours, readable from a signal handler without a lock.
 *
 * Slots live in blocks that are never freed or moved, so a reader may look at any slot at any time. To use a range it
 * raises the slot's reader count first and then reads the pointer again: from that moment trap_remove() waits (T1).
 * An order by address beside the slots makes finding one of 10,000 ranges a matter of fourteen steps.
 */
#ifndef TRAP_TABLE_H
#define TRAP_TABLE_H

#include <limits.h>
#include <stdint.h>

struct trap_range;

int table_add(struct trap_range *range);
void table_remove(struct trap_range *range);
void table_stretch(struct trap_range *range, uintptr_t end);

/* How far a search has come: highest start first. More than one range can hold an address: a mapping may stand in a hole
 * of another, and the inner one comes first. */
struct table_at {
	uintptr_t start;
	unsigned int slot;
};

static inline struct table_at table_top(uintptr_t va)
{
	return (struct table_at){ .start = va, .slot = UINT_MAX };
}

/* The next range after `at` that holds va, itself held until table_release(at->slot), or NULL. Async-signal-safe. */
struct trap_range *table_find(uintptr_t va, struct table_at *at);
void table_release(unsigned int slot);

#endif
