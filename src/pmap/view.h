/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/view.h - the ranges of the engine that answers faults itself: what programs touch.
 *
 *	attach   map the shelf, or anonymous memory  ->  the trap's table knows it  ->  userfaultfd hears of it
 *	fault    SIGBUS -> view_fix -> PMAP_FILL upward; what fails goes to the guard
 *	detach   the addresses go first; then what was known of them, and the pieces that are left are known anew
 *
 * Of uffd.c and view.c only: struct uffd is nobody else's.
 */
#ifndef PMAP_VIEW_H
#define PMAP_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/align.h"
#include "pmap/frames.h"
#include "pmap/pmap.h"
#include "pmap/uffd.h"
#include "trap/trap.h"

struct guard;
struct shelf;

struct uffd {
	struct pmap pmap;
	struct uffd_options options;
	int shared;
	int private;
	int pagemap;
	int memory;
	int self; /* pidfd */
	struct frames frames;
};

/* What is AT_VA in a private range: frame number + 1 by page. Shared by the pieces of a range that was cut. */
struct frames_table {
	unsigned int refs;
	uintptr_t start;
	size_t bytes;
	_Atomic uint32_t *frames;
};

/* One attached range. The trap's table finds it by address. */
struct uffd_range {
	struct trap_range trap; /* first */
	struct uffd *uffd;
	struct shelf *shelf; /* NULL: anonymous */
	uint64_t offset;     /* of trap.start on the shelf */
	struct guard *guard;
	bool shared;
	struct frames_table *table; /* private ranges */
};

/* The descriptor a range is registered with. */
static inline int view_context(const struct uffd_range *range)
{
	return range->shared ? range->uffd->shared : range->uffd->private;
}

/* What is AT_VA at an address of a private range: frame number + 1. */
static inline _Atomic uint32_t *view_slot(const struct uffd_range *range, uintptr_t va)
{
	return &range->table->frames[(va - range->table->start) >> PAGE_SHIFT];
}

/* The attached range that holds va, or NULL; to be given back with table_release. */
struct uffd_range *view_hold(uintptr_t va, unsigned int *slot);

/* Of pmap_ops. */
int view_attach(struct pmap *pmap, struct pmap_range *wanted, enum pmap_how how);
int view_detach(struct pmap *pmap, const struct pmap_span *span);

#endif
