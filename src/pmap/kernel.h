/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/kernel.h - what only the kernel can do for a range, the same for every engine whose ranges are kernel mappings
 * (PMAP_CAN_KERNEL). Plain functions: there is one implementation.
 */
#ifndef PMAP_KERNEL_H
#define PMAP_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmap/pmap.h"

/* advice is a MADV_ number. */
int kernel_advise(const struct pmap_span *span, int advice);
int kernel_sync(const struct pmap_span *span, bool wait);
int kernel_lock(const struct pmap_span *span, bool on_fault);
int kernel_unlock(const struct pmap_span *span);
int kernel_resident(const struct pmap_span *span, unsigned char *pages);        /* one byte a page, bit 0 */
int kernel_place(const struct pmap_span *span, const struct pmap_nodes *nodes); /* pages elsewhere move */
/* Would transparent huge pages be given, to anonymous memory or to memory files? */
bool kernel_has_transparent(bool file);
int kernel_name(const struct pmap_span *span, const char *name);

/* Gives up the pages of many spans in as few calls, and so TLB flushes, as the kernel lets us: 17 us a scattered page one by
 * one while another thread runs, 0.2 us in a batch. */
int kernel_drop(const struct pmap_span *spans, size_t span_count);

/* As pmap_move(): mremap, which carries private pages along, and never over a mapping of somebody else. */
int kernel_move(
	struct pmap *pmap, struct pmap_range *range, enum pmap_how how, uintptr_t start, size_t length);

#endif
