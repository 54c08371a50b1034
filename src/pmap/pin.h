/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/pin.h - the engine without faults: pages are shown while they are pinned, and asked for before they are touched.
 *
 *	a view            of a memfd without a byte: whoever touches it gets SIGBUS, system calls EFAULT. Nothing reads as zeros
 *	enter             maps the page of the shelf, or the frame of a private page, over it
 *	remove            maps the empty memfd again: when the last pin goes, and before an eviction
 *
 * It needs mmap and memfd_create, and no privilege. A run of pinned neighbours is one kernel mapping.
 *
 * A store cannot be noticed: pinning for writing counts as one.
 */
#ifndef PMAP_PIN_H
#define PMAP_PIN_H

#include "pmap/pmap.h"

struct pin;

/* frames: of the pool above, highest number + 1. -ENOMEM, -EMFILE. Leaves a sentence. */
int pin_open(uint32_t frames, pmap_up_fn *up, void *above, struct pin **pin);
void pin_close(struct pin *pin); /* everything is detached; takes NULL */

struct pmap *pin_pmap(struct pin *pin);

#endif
