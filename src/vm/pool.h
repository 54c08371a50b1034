/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/pool.h - every frame Quire owns, and the bound that was promised for them.
 *
 *	0            in_use                budget            frame_count
 *	|--- pages with an owner ---|--- free ---|--- out of bounds ---|
 *	                            |high.....low|
 *
 * The budget is the bound less the books: leaves, records of frames, what the engine keeps beside them; of a pool of less than
 * 1 MiB all of it. in_use <= budget always, but while the budget is being lowered. Above `high` frames in use pageout should start; a fault
 * itself evicts only when nothing is free. All of a pool is under one lock of a few hundred nanoseconds, which is not held
 * over any transfer, any call of an engine that enters a page, or any wait.
 *
 * Invariants
 *	F1  a frame is free, or has an owner that finds it again (index or leaf), or is orphaned and in use by a fault or pin
 *	F2  in_use counts exactly the frames that are not free
 *	F3  nobody enters a page in WRITING; who is between locate and enter shows in page->busy
 */
#ifndef VM_POOL_H
#define VM_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/lock.h"
#include "base/sparse.h"
#include "base/tally.h"
#include "vm/io.h"
#include "vm/page.h"
#include "vm/policy.h"

struct as;
struct object;
struct pmap;

/* Transfers in flight: prefetch wants 128. Address spaces that share a pool: handles are many, spaces are few. */
enum { POOL_IOS = 144, POOL_SPACES_MAX = 64, EVICT_MAX = 512, UNIT_PAGES_MAX = 16, EMPTY_MAX = 64 };

struct pool_config {
	struct pmap *pmap;   /* the engine that keeps the frames */
	uint64_t bytes;      /* budget */
	uint64_t bytes_max;  /* the most it can be resized to; 0: bytes */
	struct object *swap; /* where private pages go; NULL: they stay. The pool takes a reference */
	uint64_t swap_pages; /* room in it */
	enum policy_kind policy;
	uint32_t unit_pages;     /* a power of two up to UNIT_PAGES_MAX; 0: 1 */
	bool hostile;            /* a test instrument: evict what can be evicted at every fault */
	struct ledger *ledger;   /* where to count, zeros; NULL: in a small one of its own */
	uint32_t tallies;        /* room in it */
	uint64_t (*clock)(void); /* nanoseconds, async-signal-safe; NULL: nothing is timed */
};

/* Reader sections in all spaces of a pool: none of them goes, and none of their segments. */
struct sections {
	size_t end;                     /* none from here on is entered */
	struct as *as[POOL_SPACES_MAX]; /* NULL: not entered */
	unsigned int phase[POOL_SPACES_MAX];
};

/* A page table entry of a page that is about to go. */
struct shown {
	uint64_t va;
	struct page *page;
	uint8_t space;
	bool stays; /* set by unmap: the engine could not hide it */
};

/* evict: one eviction in progress, passed through its steps */
struct evict {
	struct pool *pool;
	const struct object *object; /* only its pages; NULL: whatever the policy names */
	uint64_t first;              /* of them, these */
	uint64_t last;
	bool keep;     /* write back only */
	bool again;    /* also what could not be written before */
	bool exchange; /* for a page that comes from swap */
	uint32_t want;
	uint32_t count; /* set by choose */
	struct page *pages[EVICT_MAX];
	uint32_t shown_count; /* set by choose: sorted by unmap */
	struct shown shown[EVICT_MAX];
	struct pmap_span spans[EVICT_MAX];
	struct sections sections;
	uint32_t freed; /* set by free */
	bool refused;   /* set by choose and put: a page stayed that waits for the end of an epoch */
	bool spared;    /* set by choose: a page stayed that could not be written before */
	int error;      /* set by put: the first */
};

/* pool: every frame Quire owns, the budget the user gave, the eviction policy */
struct pool {
	struct spin lock;
	struct pmap *pmap;
	struct page *pages;
	uint32_t frame_count;
	uint64_t bytes guarded_by(lock_pool); /* the bound that was asked for */
	_Atomic uint32_t budget;              /* frames: of the bound, what the books do not take */
	_Atomic uint32_t in_use;              /* like budget, changed under the lock and read by anyone */
	_Atomic uint32_t
		stream_room; /* frames that streams take before pageout has found others; halved by each pageout */
	uint32_t free guarded_by(lock_pool); /* list */
	uint32_t fresh guarded_by(
		lock_pool);  /* frames from here on were never used: their pages take no memory */
	uint32_t unit_pages; /* of an object come, are shown and go together */
	bool hostile;
	struct policy policy guarded_by(lock_pool);
	struct blocks blocks guarded_by(lock_pool);
	struct io *ios guarded_by(lock_pool); /* free ones */
	struct io *io_memory;
	size_t io_fresh guarded_by(lock_pool); /* from here on never used */
	_Atomic(struct as *) spaces[POOL_SPACES_MAX];
	struct object *joined guarded_by(lock_pool); /* objects whose pages are here */
	struct object *swap;
	struct bits swap_places guarded_by(lock_pool);
	uint32_t swap_free guarded_by(
		lock_pool);   /* the last of them is for an exchange: see pool_take_swap() */
	atomic_bool evicting; /* one at a time: this struct is large, and handlers have small stacks */
	struct evict *evict;
	struct ledger *ledger;
	bool own_ledger;
	uint64_t (*clock)(void); /* NULL: nothing is timed */
	/* A fault is about to wait for something; NULL: nobody wants to know. */
	void (*before_wait)(void *waiter);
	void *waiter;
};

/* -EINVAL bytes is under one page, or over bytes_max; -ENOMEM. */
int pool_init(struct pool *pool, const struct pool_config *config);
void pool_done(struct pool *pool); /* nothing is mapped any more */

/* Changes the budget; the caller runs pageout until pool_over() is 0. -EINVAL: more than bytes_max. */
int pool_resize(struct pool *pool, uint64_t bytes);

/* Frames in use beyond the budget; is it time that pageout begins (above `high`), and frames beyond where it ends (`low`). */
uint32_t pool_over(const struct pool *pool);
bool pool_should_begin(const struct pool *pool);
bool pool_needs_care(const struct pool *pool); /* it is, or the reserve of leaves is half used up */
uint32_t pool_beyond(const struct pool *pool);

/* Half of what is kept free is gone: what is left is for who waits. */
bool pool_is_short(const struct pool *pool);

/* Fills the reserve of leaves for fault handlers, and takes those in use off the budget. Not for signal handlers. -ENOMEM. */
int pool_refill(struct pool *pool);

int pool_join(struct pool *pool, struct as *as, uint8_t *space); /* -ENOSPC: POOL_SPACES_MAX */
void pool_leave(struct pool *pool, uint8_t space);

/* A tally for a mapping, to be named in its segments. */
uint16_t pool_take_tally(struct pool *pool, const char *name);
void pool_give_tally(struct pool *pool, uint16_t tally);

static inline void pool_lock(struct pool *pool) acquires(lock_pool) lock_check_off
{
	spin_take(&pool->lock);
}

static inline void pool_unlock(struct pool *pool) releases(lock_pool) lock_check_off
{
	spin_give(&pool->lock);
}

static inline void pool_count(struct pool *pool, uint16_t tally, enum tally_figure what, uint64_t n)
{
	tally_add(ledger_tally(pool->ledger, tally), what, n);
}

/* What to hand to pool_took() when it is over. */
static inline uint64_t pool_now(const struct pool *pool)
{
	return pool->clock == NULL ? 0 : pool->clock();
}

static inline void pool_took(struct pool *pool, uint16_t tally, enum tally_time what, uint64_t since)
{
	if (pool->clock != NULL)
		tally_took(ledger_tally(pool->ledger, tally), what, pool->clock() - since);
}

static inline void pool_before_wait(const struct pool *pool)
{
	if (pool->before_wait != NULL)
		pool->before_wait(pool->waiter);
}

/* ---- with the lock held ---- */

static inline struct page *pool_page(struct pool *pool, uint32_t word) must_hold(lock_pool)
{
	return &pool->pages[word_frame(word)];
}

/* ABSENT, busy, charged to the tally; NULL: none is free */
struct page *pool_take(struct pool *pool, uint16_t tally) must_hold(lock_pool);

/* The same for a private page that was not there before: not while an exchange is under way, whose frame it would take. */
struct page *pool_take_new(struct pool *pool, uint16_t tally) must_hold(lock_pool);

/* Takes a page out of its queue and gives it no owner; free as soon as nobody uses it. The caller has cleared the word. */
void pool_forget(struct pool *pool, struct page *page) must_hold(lock_pool);

/* It is nobody's from now on; the caller has cleared the word, or does. */
void pool_disown(struct pool *pool, struct page *page) must_hold(lock_pool);

/* The bytes of up to EMPTY_MAX pages that are about to be forgotten: those of neighbours are given back in one call. */
void pool_empty(struct pool *pool, struct page *const *pages, uint32_t count) must_hold(lock_pool);
void pool_unbusy(struct pool *pool, struct page *page) must_hold(lock_pool);
void pool_unpin(struct pool *pool, struct page *page) must_hold(lock_pool);

struct io *pool_take_io(struct pool *pool) must_hold(lock_pool); /* NULL: all are in flight */
void pool_give_io(struct pool *pool, struct io *io) must_hold(lock_pool);

/* What a FILLING page is filled by. */
static inline struct io *pool_io_of(const struct pool *pool, const struct page *page) must_hold(lock_pool)
{
	return &pool->io_memory[page->prev];
}

/* A place in swap; BITS_NONE when there is none. The last one is for whoever makes way for a page that comes from there, and
 * leaves a place: in a full swap nothing could come back otherwise. */
uint32_t pool_take_swap(struct pool *pool, bool exchange) must_hold(lock_pool);
void pool_give_swap(struct pool *pool, uint32_t place) must_hold(lock_pool);

/* The page is DIRTY from now on, or FAILED with bytes to put: a flush of its object finds it. */
void pool_dirty(struct page *page, enum page_state state) must_hold(lock_pool);

/* What a word stands for is wanted no more. */
void pool_drop_word(struct pool *pool, uint32_t word) must_hold(lock_pool);

/* ---- without ---- */

/* The bytes of a page. Cannot fail for a page that was staged before. */
int pool_stage(struct pool *pool, struct page *page, void **memory);

#endif
