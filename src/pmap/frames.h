/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/frames.h - where the bytes of a frame are, for the engine that answers faults itself.
 *
 *	an object's page             on the object's shelf, whether it is entered or not
 *	a private page               fill --enter--> va --remove--> out --enter--> va ...
 *	a page that can be had again slot --enter (COPY)--> va --remove--> gone
 *
 * Slots are a few pages of memory that are used in turn: what a device has filled once needs no fault to be filled again,
 * and nothing has to be given back after a copy. When all are taken the page's own place in `fill` is used.
 */
#ifndef PMAP_FRAMES_H
#define PMAP_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/lock.h"
#include "pmap/pmap.h"

/* Two windows of a stream are two huge pages. */
enum {
	ENTER_LOCKS = 64,
	SINGLE_SLOTS = 64,
	HUGE_SLOTS = 512,
	HUGE_MAX = 2,
	SLOTS_MAX = SINGLE_SLOTS + HUGE_MAX * HUGE_SLOTS,
};

/* U1: where the bytes of a frame are; from FIRST_SLOT on, in that slot. */
enum whereabouts { NOWHERE = 0, ON_SHELF, IN_FILL, AT_VA, IN_OUT, GONE, FIRST_SLOT };

struct frames {
	uint32_t count;
	int uffd;             /* in which `out` is registered: private pages */
	int memory;           /* /proc/self/mem: reads what no protection of ours forbids */
	bool moves;           /* UFFDIO_MOVE */
	uintptr_t fill;       /* count * 4096: private pages before they are entered */
	uintptr_t out;        /* the same, after they were taken out; registered, since MOVE wants that */
	uintptr_t slots_area; /* with room to begin the slots at a multiple of 2 MiB */
	uintptr_t slots;
	uint16_t *where; /* enum whereabouts, by frame */
	struct bits
		free_slots; /* in order: pages of one transfer are neighbours, and are copied in one call */
	uint64_t slot_words[SLOTS_MAX / 64];
	struct spin slot_lock;
	struct spin entering[ENTER_LOCKS]; /* pages that have one place, by frame */
};

int frames_open(struct frames *frames, uint32_t count, int uffd, int memory, bool moves);
void frames_close(struct frames *frames);

/* The pmap's stage. */
int frames_stage(struct frames *frames, struct pmap_page *const *pages, uint32_t count, void **memory);

/* A private page goes from fill or out to va, and from va to out; a store comes before, and its bytes are taken along, or
 * faults after. `anonymous`: so is the range. */
int frames_bring(struct frames *frames, uint32_t frame, uintptr_t va, bool anonymous);
int frames_take(struct frames *frames, uint32_t frame, uintptr_t va, bool anonymous);

/* Copies of pages that can be had again go to where they are shown, from va on, and that is their only place then. -EEXIST:
 * something is there already; -ESTALE: the bytes are elsewhere, or gone. Some may be there after an error. */
int frames_copy(struct frames *frames, struct pmap_page *const *pages, uint32_t count, int uffd, uintptr_t va,
	bool protect);

/* Gives memory of ours back, which is not locked: cannot fail. */
void frames_drop(uintptr_t start, size_t bytes);

#endif
