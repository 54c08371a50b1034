/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/region.h - a mapping with commit: all stores since the last commit become durable together, or not at all.
 *
 *	window    private memory over FILE: what the program sees and stores to
 *	journal   FILE.journal: the pages of each commit; one fdatasync of it is the commit point
 *	file      FILE: what the checkpoint has brought home from the journal
 *
 *	CLEAN --store--> DIRTY --freeze--> FROZEN --log--> LOGGED --seal--> SEALED --thaw--> CLEAN
 *	                   ^                  '--------------'                 |
 *	                   |   an error that is no write's: undo               '--checkpoint--> HOME --drop--> no copy left
 *	                   '---------------------'
 *	                 a write or flush that fails, anywhere: FAILED, until the region is opened again
 *
 *	DIRTY  -> FROZEN  commit_freeze()   nobody stores, and the dirty set is known and armed anew
 *	FROZEN -> LOGGED  commit_log()      the journal holds the images, and perhaps not durably
 *	LOGGED -> SEALED  commit_seal()     recovery will find this epoch complete
 *	SEALED -> CLEAN   commit_thaw()     cannot fail
 *	SEALED -> HOME    checkpoint_run()  FILE holds the images durably, and their journal space is free
 *
 * Locks: lock_checkpoint (one pass at a time; held over I/O) before lock_region (the state; never held over I/O). A commit or
 * abort in progress owns the window and the dirty list by region->exclusive, not by a lock.
 *
 * Invariants
 *	R1  no page of the window reaches FILE or the journal before freeze
 *	R2  sealed + 1 is the epoch of the next record; a record is visible to recovery only if every older one is
 *	R3  a private copy is dropped only inside commit or abort, only when FILE durably holds what it holds, and never a dirty one
 *	R4  FILE is changed only to epochs that are sealed and that no reader has pinned below
 *	R5  journal space is used again only after FILE durably holds its images and the header that says so is durable
 *	R6  a FAILED region changes no file any more
 *	R7  the note of a page names its newest image in the journal, and none when FILE has it
 *	R8  blocks for every page of a sealed record were durable before the seal: recovery meets no full disk
 */
#ifndef REGION_REGION_H
#define REGION_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/worker.h"
#include "pagefile/pagefile.h"
#include "pagefile/pins.h"
#include "region/journal.h"
#include "region/pages.h"

enum region_flag {
	REGION_CREATE = 1 << 0,
	REGION_EXCLUSIVE = 1 << 1,
	REGION_READ_ONLY = 1 << 2,
	REGION_HEAP = 1 << 3,   /* of the file, at its creation */
	REGION_HINTED = 1 << 4, /* every store is announced */
	REGION_ANYWHERE = 1 << 5,
	REGION_NO_THREAD = 1 << 6,
	REGION_LAST_WHOLE = 1 << 7, /* of a damaged journal: what lies before the damage */
};

struct region_request {
	const char *path;
	unsigned int flags;
	uint32_t mode;
	uint64_t bytes;         /* of a new region without a heap */
	uint64_t reserve_bytes; /* how far a new one may ever grow */
	uint64_t journal_bytes; /* how far its journal may grow */
	uint64_t private_bytes; /* private copies kept after a commit */
	uint64_t address;       /* of a new region's first byte; 0: anywhere */
};

#define REGION_MAGIC UINT64_C(0x3045474150455551) /* "QUEPAGE0" */

enum { HEAP_CLASSES = 16, HEAP_BINS = 40 };

/* What the allocator keeps in page 0. Numbers are pages, or bytes from the start of the window; 0: none. */
struct heap_meta {
	uint64_t root;
	uint64_t root_bytes;
	uint64_t next_page; /* none from here on was ever used */
	uint64_t object_count;
	uint64_t used_bytes;
	uint64_t partial[HEAP_CLASSES]; /* slabs with room */
	uint64_t bins[HEAP_BINS];       /* free runs of 2^n pages and more */
};

/* Page 0 of the window: before what the program sees, and committed like any page. docs/format.md, section 7. */
struct region_meta {
	uint64_t magic;
	uint64_t pages; /* length of the region, this one included */
	uint64_t flags;
	struct heap_meta heap;
};

/* walk: one search of the whole window for written pages, which the worker helps with: pages below `next` are taken */
struct walk {
	_Atomic uint64_t next; /* past the end when there is none */
	uint64_t end;
	bool helping; /* the worker still looks at what it took */
	int result;   /* of the worker */
};

/* region: a mapping with commit */
struct region {
	struct pagefile file;
	struct journal journal;
	struct pins pins;
	bool writable;
	bool hinted;
	bool torn;       /* of a reader: the window is half of one epoch and half of another */
	bool last_whole; /* a damaged journal is to be opened as it was before the damage */
	bool damaged;    /* and that is what we did */
	int pid;
	uint64_t private_limit; /* pages */

	struct lock checkpoint_lock; /* lock_checkpoint */
	void *home_stage;            /* STAGE_PAGES pages, under lock_checkpoint */
	struct worker worker;

	struct lock lock;         /* lock_region: everything below */
	struct condition changed; /* somebody left, or a commit ended */
	struct condition work;    /* for the worker: there is enough to bring home, or a walk to help with */
	bool stopping guarded_by(lock_region);
	struct pages pages guarded_by(lock_region);
	uint64_t sealed guarded_by(lock_region);       /* epoch of the newest commit */
	uint64_t dropped_home guarded_by(lock_region); /* home when private copies were last dropped */
	uint64_t home guarded_by(lock_region);         /* FILE durably holds everything up to this epoch */
	uint64_t floor guarded_by(lock_region);        /* FILE may hold something up to this epoch */
	int failed guarded_by(lock_region);            /* 0, or what made the region FAILED */
	bool failed_left guarded_by(lock_region);      /* the record that failed can perhaps still be read */
	uint64_t failed_epoch guarded_by(lock_region);

	/* Who may store, who commits. */
	unsigned int holders guarded_by(lock_region); /* threads between enter and exit */
	bool exclusive guarded_by(lock_region);       /* a commit or abort owns window and dirty list */
	uint64_t asked guarded_by(lock_region);       /* commits asked for */
	uint64_t answered guarded_by(lock_region);    /* those the commits so far have answered */
	int answer guarded_by(lock_region);           /* of the last commit */

	/* The dirty list of this epoch; owned as said. */
	uint64_t *dirty;
	size_t dirty_count;
	size_t dirty_room;
	struct pages_run *hints; /* announced ranges, to be narrowed by the tracker */
	size_t hint_count;
	size_t hint_room;
	struct walk walk;
	bool grown; /* FILE became longer since the last seal (R8) */

	void *stage; /* STAGE_PAGES pages, for the commit or abort that is exclusive */
	struct lock heap_lock;

	/* Figures. */
	uint64_t private_pages guarded_by(lock_region);
	uint64_t commits guarded_by(lock_region);
	uint64_t merged guarded_by(lock_region);
	uint64_t pages_logged guarded_by(lock_region);
	uint64_t pages_home guarded_by(lock_region);
	uint64_t checkpoints guarded_by(lock_region);
	uint64_t recovered_commits;
	uint64_t recovered_pages;
};

enum { STAGE_PAGES = 256 };

static inline struct region_meta *region_meta(const struct region *rg)
{
	return pagefile_page(&rg->file, 0);
}

/* What is true of a region at one moment. */
struct region_state {
	uint64_t sealed;
	uint64_t home;
	int failed;
};

void region_lock(struct region *rg) acquires(lock_region);
void region_unlock(struct region *rg) releases(lock_region);
struct region_state region_state(struct region *rg);
void region_wait(struct region *rg) must_hold(lock_region);    /* for rg->changed */
void region_publish(struct region *rg) must_hold(lock_region); /* to readers in other processes */
void checkpoint_lock(struct region *rg) acquires(lock_checkpoint);
void checkpoint_unlock(struct region *rg) releases(lock_checkpoint);

/* ---- open.c ---- */

int region_open(
	const struct region_request *request, const struct pagefile_place *place, struct region **region);
int region_close(struct region *rg); /* -EIO: not all could be brought home; it is closed all the same */

/* The records from the tail on, when nobody else writes. -EBADMSG: one of them is damaged (J5). */
int region_scan(struct region *rg);

/* Copies what a page's newest image says into the window, for every record behind epoch `from`. */
int region_overlay(struct region *rg, uint64_t from) must_hold(lock_region);

/* ---- state ---- */

int region_ours(const struct region *rg); /* -EPERM in a fork child */

/* 0, -EIO FAILED with the sentence why, -EPERM in a fork child, -EROFS when writing is needed and not possible. */
int region_ready(struct region *rg, bool write);
int region_fail(struct region *rg, int error); /* makes it FAILED; returns the error */
int region_whole(struct region *rg);           /* FAILED when pages of the window have died */
/* left: the record that failed can perhaps still be read. */
int region_fail_held(struct region *rg, int error, bool left) must_hold(lock_region);

/* ---- dirty.c ---- */

int dirty_add(struct region *rg, struct pages_run run) must_hold(lock_region);
int dirty_collect(struct region *rg); /* exclusive: everything written since the last commit is on the list */
void dirty_help(struct region *rg)
	must_hold(lock_region);       /* for the worker: takes part in the walk that goes on */
void dirty_forget(struct region *rg); /* exclusive: the list is empty, and nothing is marked */
int dirty_rearm(struct region *rg, struct pages_run run);
int region_touch(struct region *rg, uint64_t offset, uint64_t bytes); /* from the start of the window */

/* ---- commit.c, abort.c ---- */

int region_enter(struct region *rg);
int region_exit(struct region *rg);
int region_commit(struct region *rg, uint64_t *epoch);
int region_abort(struct region *rg);

/* Waits until nobody stores or commits, and keeps it so. */
int exclusive_begin(struct region *rg);
void exclusive_end(struct region *rg);

/* ---- checkpoint.c ---- */

int checkpoint_run(struct region *rg);
int checkpoint_in_steps(struct region *rg); /* the same for recovery, in several passes */
void *checkpoint_thread(void *region);
void checkpoint_wake(struct region *rg) must_hold(lock_region); /* if there is enough to do */

/* ---- reader.c ---- */

/* -EAGAIN: the writer is starting and does not get on. */
int reader_open(struct region *rg, const struct region_request *request, const struct pagefile_place *place);
int reader_refresh(struct region *rg, uint64_t *epoch);

/* ---- grow.c ---- */

/* The region is this many pages long, in the dirty state. -ENOMEM: more than was reserved. */
int region_resize(struct region *rg, uint64_t pages);

#endif
