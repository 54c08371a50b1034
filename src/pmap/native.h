/* SPDX-License-Identifier: Apache-2.0 */
/* pmap/native.h - the engine in which the kernel faults everything in by itself. */
#ifndef PMAP_NATIVE_H
#define PMAP_NATIVE_H

#include "pmap/pmap.h"

void native_init(struct pmap *pmap, pmap_up_fn *up, void *above);

/* Maps a range over whatever is at its place, with all its flags: for attach, and for showing file data again. */
int native_show(const struct pmap_range *range);

/* The same bytes once more at another address, to ask the kernel about them without touching the range itself. Readable where
 * the range allows no access. */
int native_show_elsewhere(const struct pmap_range *range, uintptr_t *start);

#endif
