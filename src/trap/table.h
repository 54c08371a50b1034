/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap/table.h - the ranges that are ours, readable from a signal handler without a lock.
 *
 * Slots live in blocks that are never freed or moved, so a reader may look at any slot at any time. To use a range it
 * raises the slot's reader count first and then reads the pointer again: from that moment trap_remove() waits (T1).
 */
#ifndef TRAP_TABLE_H
#define TRAP_TABLE_H

#include <stdint.h>

struct trap_range;

int table_add(struct trap_range *range);
void table_remove(struct trap_range *range);
void table_stretch(struct trap_range *range, uintptr_t end);

/* The first range in slots [*slot, end) that holds va, itself held until table_release(), or NULL. More than one can hold
 * it: a mapping may stand in a hole of another. Async-signal-safe. */
struct trap_range *table_find(uintptr_t va, unsigned int *slot, unsigned int end);
void table_release(unsigned int slot);

#endif
