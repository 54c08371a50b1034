/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/pmap.h - what the kernel's page tables hold for us, and the only code that changes it.
 *
 * An engine is a table of at most eight operations:
 *
 *	native   the kernel maps windows and faults them in by itself; we hear only of pages it cannot serve
 *	uffd     we answer each fault (userfaultfd)
 *	fake     page tables in ordinary memory, for tests: no privilege, no system call
 *
 * A pmap knows no segments and no objects. What it has to know about an address it asks of whoever stands above, through
 * the one pointer given at pmap_init().
 *
 * Invariants
 *	P1  a range is attached before anything else is done to it, and detached once
 *	P2  pages of a detached or removed range cannot be reached by any thread when the call returns
 *	P3  whoever patches a dead page, or takes a range away, holds the claim: nothing is mapped over a range that is going
 */
#ifndef PMAP_PMAP_H
#define PMAP_PMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guard;
struct pmap;

/* Where an engine keeps the pages of one object: a word of the engine's own in each object. */
struct pmap_home {
	void *engine;                /* NULL until the first range of the object is attached */
	void (*close)(void *engine); /* set with it: frees it, when no page of the object is left */
};

/*
 * A page as an engine sees it: enough to find its bytes. It is the first member of struct page in vm, so that who is
 * above needs no second lookup.
 */
struct pmap_page {
	const void *owner; /* whose page: an opaque name, equal for equal objects */
	uint64_t index;    /* which page of the owner */
	uint32_t frame;    /* number in the pool, from 0; fixed */
	bool own;          /* of a segment alone, a private page: the owner is no object */
	bool again;        /* its bytes can be had again: they are dropped with the entry that shows them */
	bool at_home;      /* its bytes are with its owner, an object, which begins with its pmap_home */
};

static inline void *pmap_engine_of(const struct pmap_page *page)
{
	return ((const struct pmap_home *)page->owner)->engine;
}

/* An object as the kernel can map it by itself. Lives as long as the object. */
struct pmap_window {
	int fd;          /* -1: none, the range is anonymous memory */
	bool writable;   /* the descriptor allows stores to reach the file */
	bool can_shrink; /* somebody may cut the file: its pages can die */
};

enum pmap_prot {
	PMAP_READ = 1,
	PMAP_WRITE = 2,
	PMAP_EXECUTE = 4,
	PMAP_WRITTEN = 8, /* of enter: a store is coming, the page counts as written */
};                        /* = PROT_*, asserted in native.c */

enum pmap_flag {
	PMAP_SHARED = 1 << 0,
	PMAP_NORESERVE = 1 << 1,
	PMAP_STACK = 1 << 2,
	PMAP_GROWSDOWN = 1 << 3,
	PMAP_SYNC = 1 << 4,
	PMAP_LOCKED = 1 << 5,
	PMAP_LOCK_ONFAULT = 1 << 6,
	PMAP_DONTFORK = 1 << 7,
	PMAP_WIPEONFORK = 1 << 8,
	PMAP_DONTDUMP = 1 << 9,
	PMAP_HUGEPAGE = 1 << 10, /* transparent huge pages asked for */
	PMAP_NOHUGEPAGE = 1 << 11,
	PMAP_RANDOM = 1 << 12,
	PMAP_SEQUENTIAL = 1 << 13,
	PMAP_RESERVED = 1 << 14,    /* addresses only; others are placed over it */
	PMAP_NEVER_WRITE = 1 << 15, /* shared through a descriptor that may not write */
};

/* On which memory nodes pages are placed. */
struct pmap_nodes {
	uint64_t bits; /* bit n: node n */
	int mode;      /* MPOL_ number; 0: where the thread runs that touches first */
};

/* One contiguous address range with everything the page tables need to know about it. */
struct pmap_range {
	uintptr_t start;
	uintptr_t end;
	uint64_t offset; /* of start in the window, in bytes */
	const struct pmap_window *window;
	struct guard *guard;    /* asked when a page of a paged range cannot be filled; NULL: the signal */
	struct pmap_home *home; /* of the object it shows; NULL: private pages only */
	const void *owner;      /* who attached it: an owner patches and gives back its own ranges only */
	struct pmap_nodes nodes;
	uint32_t flags;
	uint8_t prot;
	uint8_t page_shift; /* of huge pages from the pool; 0: base pages */
	uint16_t tally;     /* whom faults there are counted for: vm's */
};

enum pmap_how {
	PMAP_ANYWHERE = 0,
	PMAP_HINT = 1,    /* at range.start when free */
	PMAP_EXACT = 2,   /* there, or -EEXIST */
	PMAP_REPLACE = 3, /* there, in place of what the caller has attached before */
};

/* A range of one batch. */
struct pmap_span {
	uintptr_t start;
	uintptr_t end;
};

/* What is asked upwards. */
enum pmap_question_kind {
	PMAP_WHAT, /* which range holds va, or is the next above it? */
	PMAP_FILL, /* make va accessible: the whole fault path */
};

struct pmap_question {
	enum pmap_question_kind kind;
	uintptr_t va;
	unsigned int access;     /* PMAP_READ or PMAP_WRITE */
	bool allocate;           /* with PMAP_FILL: not in a signal handler, memory may be allocated */
	struct pmap_range range; /* out, of PMAP_WHAT */
};

/* Async-signal-safe, unless `allocate` says otherwise. 0, -ENOENT when there is no such range, or what fault_handle()
 * returns. */
typedef int pmap_up_fn(void *above, struct pmap_question *question);

typedef void pmap_written_fn(void *user, const struct pmap_span *pages);

enum pmap_can {
	PMAP_CAN_PLACE = 1 << 0,   /* chooses addresses; otherwise vm does */
	PMAP_CAN_WINDOW = 1 << 1,  /* the kernel fills windows by itself */
	PMAP_CAN_KERNEL = 1 << 2,  /* ranges are kernel mappings: pmap/kernel.h applies */
	PMAP_CAN_HARVEST = 1 << 3, /* tells which pages were written */
	PMAP_CAN_POISON = 1 << 4,
	PMAP_PINS_ONLY = 1 << 5, /* hears of no fault: pages are reachable while they are pinned */
};

/* At most eight. None may be called from a signal handler but stage, enter, remove, harvest and poison. */
struct pmap_ops {
	/* Make [start, end) ours; start and end are set when the pmap chose. NULL: not allowed. */
	int (*attach)(struct pmap *pmap, struct pmap_range *range, enum pmap_how how);
	/* The memory of these pages, memory[i] that of pages[i]: a fill reads into it, a write-back from it, when no va shows
	 * the page. It stays until stage is called with memory NULL: the frames are free; neighbours of one object that come
	 * one behind the other are given back together. -ESTALE: a page that can be had again, and has to be. NULL: pages are
	 * never entered. */
	int (*stage)(struct pmap *pmap, struct pmap_page *const *pages, uint32_t count, void **memory);
	/* Make staged pages reachable from va on with prot, in place of what is there, and wake who waits. -ESTALE as stage.
	 * After an error some may be. NULL: as stage. */
	int (*enter)(struct pmap *pmap, uintptr_t va, struct pmap_page *const *pages, uint32_t count,
		unsigned int prot);
	/* Take rights away from what is reachable in a range. Rights that a range gains come with the next fault, unless the
	 * kernel fills the range. NULL: remove does it too. */
	int (*protect)(struct pmap *pmap, const struct pmap_range *range);
	/* Make the pages of these ranges unreachable; ranges stay attached, and what was written is still known to harvest.
	 * Sorted. An error: some are out, some are not. NULL: the kernel holds the pages. */
	int (*remove)(struct pmap *pmap, const struct pmap_span *spans, size_t span_count);
	/* Call back for what was written since it was entered, neighbours together. Anew: they count as unwritten from then on;
	 * only of pages that are out of reach. Others may be asked about by several threads at once. NULL: cannot tell. */
	int (*harvest)(struct pmap *pmap, const struct pmap_span *span, bool anew, pmap_written_fn *written,
		void *user);
	/* From now on touching va is an error. NULL: cannot. */
	int (*poison)(struct pmap *pmap, uintptr_t va);
	/* Give [start, end) back (P2). NULL: not allowed. */
	int (*detach)(struct pmap *pmap, const struct pmap_span *span);
};

/* pmap: what the kernel's page tables hold for us, and the only code that changes it */
struct pmap {
	const struct pmap_ops *ops;
	unsigned int can;
	pmap_up_fn *up;
	void *above;
	size_t beside;          /* memory it keeps beside the frames, in bytes: it counts as theirs */
	_Atomic uint64_t claim; /* who patches or detaches: forks << 32 | thread id; 0 when nobody (P3) */
};

void pmap_init(struct pmap *pmap, const struct pmap_ops *ops, unsigned int can, pmap_up_fn *up, void *above);

/* Gives a range another place (PMAP_ANYWHERE, PMAP_EXACT; its own start means in place) and length, its pages kept; sets
 * range->start and end. -ENOMEM no room, -EEXIST occupied. */
int pmap_move(struct pmap *pmap, struct pmap_range *range, enum pmap_how how, uintptr_t start, size_t length);

/* Waits for the claim. False when this very thread holds it already: a signal handler broke into the holder. */
bool pmap_claim(struct pmap *pmap);
void pmap_claim_release(struct pmap *pmap);

#endif
