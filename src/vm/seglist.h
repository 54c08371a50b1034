/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/seglist.h - the list of segments behind as.h: how a change replaces a run of it, between the files of this folder.
 *
 *	reserve -> begin -> put below, put..., put above -> join -> publish -> finish
 *	                                                               '-> revert
 *
 * Only reserve can fail. All is called with the space's lock held.
 */
#ifndef VM_SEGLIST_H
#define VM_SEGLIST_H

#include "vm/as.h"

/* A change leaves at most two segments more than there were (a split at each end), and the new one. */
enum { SEGS_MORE_AT_MOST = 3 };

struct seglist {
	struct seglist *next;
	unsigned int count;
	unsigned int room;
	struct seg *segs[];
};

int seglist_init(struct as *as);
void seglist_done(struct as *as);

/* Until every reader has left that may have seen what was published before. */
void seglist_wait(struct as *as) must_hold(lock_as);

/* Makes sure that the next edits find what they need: so many segments, and so many lists. All that can fail is here. */
int seglist_reserve(struct as *as, unsigned int segs, unsigned int lists) must_hold(lock_as);

/* Makes a copy of a segment its part [start, end); false when that is empty or not inside. */
bool seg_cut(struct seg *seg, uintptr_t start, uintptr_t end);

/* edit: one change in progress: the segments first..last of the old list become those put into the new one */
struct edit {
	struct as *as;
	struct seglist *old;
	struct seglist *new;
	unsigned int first;
	unsigned int last;
	unsigned int put_end; /* new->segs[first..put_end] are the ones put */
};

/* Segments in [start, end) will be replaced. The memory was reserved. */
void edit_begin(struct edit *edit, struct as *as, uintptr_t start, uintptr_t end) must_hold(lock_as);

/* The same, and the neighbours that end at start and begin at end too: they may become one with what is put. */
void edit_begin_wide(struct edit *edit, struct as *as, uintptr_t start, uintptr_t end) must_hold(lock_as);

/* Adds a copy of `like`, cut to [start, end); NULL when that is empty. */
struct seg *edit_put(struct edit *edit, const struct seg *like, uintptr_t start, uintptr_t end)
	must_hold(lock_as);

/* The part of the first replaced segment below start, and of the last one from end on, stay. */
void edit_put_below(struct edit *edit, uintptr_t start) must_hold(lock_as);
void edit_put_above(struct edit *edit, uintptr_t end) must_hold(lock_as);

/* Of what was put, neighbours that go on become one: what a change has split, its undoing makes whole again. */
void edit_join(struct edit *edit) must_hold(lock_as);

void edit_publish(struct edit *edit) must_hold(lock_as);
void edit_finish(struct edit *edit) must_hold(lock_as);

/* Forgets the new segments; a published change is taken back: the old list is still whole. */
void edit_revert(struct edit *edit) must_hold(lock_as);

#endif
