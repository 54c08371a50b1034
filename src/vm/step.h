/* SPDX-License-Identifier: Apache-2.0 */
/* vm/step.h - what the steps of fault_handle() hand to each other, and what they ask for. Of fault.c, fetch.c,
 * enter.c and between.c only. */
#ifndef VM_STEP_H
#define VM_STEP_H

#include "vm/as.h"
#include "vm/object.h"

/* What a step wants to happen outside of the reader section before all begins again. Beyond FAULT_UNDERWAY. */
enum step {
	STEP_RESTART = 2,
	STEP_FETCH,    /* inside: nothing is in memory */
	STEP_TRANSFER, /* f->io is ready to start */
	STEP_RECLAIM,  /* no frame is free */
	STEP_REFILL,   /* no leaf is in reserve */
	STEP_WAIT,     /* somebody fills f->page; it is busy for us */
	STEP_STALE,    /* the bytes of f->page are gone and can be had again; it is busy for us */
	STEP_YIELD,    /* somebody writes the page out */
	STEP_COLLECT,  /* all transfers are in flight */
};

/* Faults of one page at a time; page->busy counts them in a byte. */
enum { BUSY_MAX = 250 };

/* fault: one page fault in progress, passed through its steps */
struct fault {
	struct as *as;       /* in */
	uintptr_t va;        /* in, page aligned */
	unsigned int access; /* in */
	unsigned int flags;  /* in */
	uint64_t ahead;      /* in, with FAULT_AHEAD: so many pages are wanted from va on */

	struct seg seg;                    /* set by lookup; a copy, good inside the section */
	struct page *page;                 /* set by locate, replaced by promote; busy for us */
	bool from_amap;                    /* set by locate: the amap has it */
	bool own;                          /* set by locate: ... and shares it with no other */
	uint32_t place;                    /* set by locate: the word of a page in swap, or WORD_NONE */
	struct io *io;                     /* set by fetch */
	struct io *apart[AHEAD_APART_MAX]; /* set by fetch: nobody waits for them */
	uint32_t apart_count;
	bool marked;             /* set by enter: the page was the mark of a stream */
	struct object *going_on; /* set by fetch_more: a reference; apart is of it */
	bool ready;              /* set by locate: enter has been made ready */
	unsigned int prot;       /* set with ready: what the page table may allow */
	bool fetched;            /* set by fetch: this fault brought the page in */
	unsigned int tries;      /* of reclaiming */
};

/* want: on whose behalf pages are fetched */
struct want {
	uint16_t tally;
	uint64_t count; /* of a prefetch: so many from the first on */
	bool ahead;     /* nobody has asked for the first one either */
	bool alone;     /* it is no miss of a pattern that could be seen */
	bool mark;      /* the last page becomes the mark of a stream, of what is fetched ahead the first */
	enum ahead_advice advice;
};

/* A frame that becomes page `index` of an owner whose word for it is in `leaf`. With the lock. */
void give_identity(struct page *page, const void *owner, struct leaf *leaf, uint64_t index)
	must_hold(lock_pool);

/* The page of f is nowhere in memory: STEP_TRANSFER with f->io, or another step. With nobody's lock. */
int fetch_page(struct fault *f);

/* The same for page `index` of an object, which need not be mapped. */
int fetch_object(struct fault *f, struct object *object, uint64_t index, const struct want *want);

/* The stream whose mark f has met goes on: f->apart. Inside the section. */
void fetch_more(struct fault *f);

/* The page of f becomes reachable, and with it the neighbours of its unit that are there. 0, STEP_STALE or -errno. */
int enter_page(struct fault *f);

/* What enter_page() does under the lock, done while it is held: the page is the one that will be entered, as far as can be
 * seen. */
void enter_soon(struct fault *f) must_hold(lock_pool);

/* What a step asked for, done outside of the reader section. STEP_RESTART, FAULT_UNDERWAY or -errno. */
int fault_between(struct fault *f, int step);

/* A stream goes on: f->apart begins. Outside of the section. */
void fault_go_on(struct fault *f);

/* Begins what an object has queued, and takes what has come. NULL: nobody's. */
void fault_look(struct object *object);

/* The page of f is busy for it no more. */
void fault_let_go(const struct fault *f);

/* f is the first to touch the page: if that is the mark of a stream, it is noted. With the lock. */
void fault_take_mark(struct fault *f, struct page *page) must_hold(lock_pool);

#endif
