/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/pages.h - what a region knows of each page of its window: a note a page, in leaves of 512 that are made when the
 * first of their pages is dirtied.
 */
#ifndef REGION_PAGES_H
#define REGION_PAGES_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum note_flag {
	NOTE_PRIVATE = 1 << 0, /* the window holds a private copy that was committed, or put there by us */
	NOTE_DIRTY = 1 << 1,   /* on the dirty list of this epoch */
	NOTE_SUM = 1 << 2,     /* sum is that of the committed content */
};

struct note {
	uint64_t epoch;    /* of the newest image in the journal; 0: the file has it */
	uint64_t position; /* of that image in the journal */
	uint64_t sum;
	uint32_t flags;
	uint32_t reserved;
};

enum { NOTES_A_LEAF = 512 };

struct pages {
	struct note **leaves;
	uint64_t leaf_count;
};

int pages_init(struct pages *pages, uint64_t pages_max);
void pages_done(struct pages *pages); /* accepts all zeros */

/* The note of a page, made when there is none; NULL without memory. */
struct note *pages_make(struct pages *pages, uint64_t page);

/* The note of a page, or NULL. */
static inline struct note *pages_find(const struct pages *pages, uint64_t page)
{
	struct note *leaf = pages->leaves[page / NOTES_A_LEAF];

	return leaf == NULL ? NULL : &leaf[page % NOTES_A_LEAF];
}

/* Of a page that was dirty before, or lies in the journal: its note exists. */
static inline struct note *pages_note(const struct pages *pages, uint64_t page)
{
	assert(pages->leaves[page / NOTES_A_LEAF] != NULL);
	return &pages->leaves[page / NOTES_A_LEAF][page % NOTES_A_LEAF];
}

#endif
