/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/tally.h - what a pool has done, counted for each mapping, in a form that strangers may read.
 *
 *	struct ledger          a pool
 *	  tallies[0]           what belongs to no open mapping: closed ones, files read beside mappings
 *	  tallies[1]           an open mapping
 *	  ...                  the pool's figures are the sum of all
 *
 * A ledger lies in plain memory, or in a memfd when the pool publishes it. Who writes adds to single words, so a reader
 * stops nobody; only when a closed mapping's figures are folded into tallies[0] does `turn` say (odd) that sums are not to
 * be trusted for a moment. Readers of another process believe nothing: see inspect/pools.c.
 *
 * A page is charged to the mapping that brought it in, for as long as it is in memory. A mapping that is closed while pages
 * are charged to it keeps its tally until the last of them has gone.
 */
#ifndef BASE_TALLY_H
#define BASE_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Figures in the order of their places in a published ledger: new ones are added at the end. */
enum tally_figure {
	TALLY_RESIDENT,     /* pages charged now; the only one that goes down */
	TALLY_FAULTS,       /* handled, through all doors */
	TALLY_MINOR,        /* ... whose page was in memory */
	TALLY_BY_SIGNAL,    /* ... that arrived in the faulting thread */
	TALLY_BY_THREAD,    /* ... that a thread of the pool answered, or a call of the library made */
	TALLY_BY_PIN,       /* ... that a pin or try_read made before the touch */
	TALLY_FILLS,        /* pages fetched */
	TALLY_ZEROS,        /* pages made of nothing */
	TALLY_COPIES,       /* copy-on-write */
	TALLY_AHEAD,        /* pages read ahead or prefetched */
	TALLY_AHEAD_USED,   /* ... and touched before they went */
	TALLY_AHEAD_WASTED, /* ... and not */
	TALLY_EVICTED,
	TALLY_PUT, /* pages written back */
	TALLY_PUT_ERRORS,
	TALLY_FILL_ERRORS,
	TALLY_WAITS, /* a fault found no frame free */
	TALLY_RESTARTS,
	TALLY_FIGURES,
};

/* What is timed. */
enum tally_time {
	TALLY_TIME_FAULT, /* from the door to the page table */
	TALLY_TIME_FILL,  /* a transfer from the object */
	TALLY_TIME_PUT,   /* a transfer to the object */
	TALLY_TIME_EVICT, /* a batch, of the pool only */
	TALLY_TIMES,
};

/* Bucket i counts what took 2^i to 2^(i+1) - 1 ns; the last, of 2 s and more, has no end. */
enum { TALLY_BUCKETS = 32, TALLY_NAME = 64 };

struct tally_times {
	atomic_uint_fast64_t max_ns;
	atomic_uint_fast64_t buckets[TALLY_BUCKETS];
};

enum tally_state { TALLY_FREE = 0, TALLY_OPEN = 1, TALLY_CLOSED = 2 };

/* tally: what was done for one mapping, counted */
struct tally {
	atomic_uint_fast64_t state; /* enum tally_state */
	atomic_uint_fast64_t mapped_bytes;
	char name[TALLY_NAME]; /* ends in a zero */
	atomic_uint_fast64_t figures[TALLY_FIGURES];
	struct tally_times times[TALLY_TIMES];
};

#define LEDGER_MAGIC UINT64_C(0x727265676465516c) /* any eight bytes that nobody else begins a memfd with */

enum { LEDGER_VERSION = 1, LEDGER_WHY = 256 };

/* What the memfd of a published ledger is called. */
#define LEDGER_FILE "quire-pool"

/* ledger: a pool's figures, one tally for each mapping */
struct ledger {
	uint64_t magic;
	uint32_t version;
	uint32_t tally_bytes;    /* sizeof(struct tally), and so the number of figures */
	uint32_t tallies_room;   /* room for so many */
	atomic_uint tallies_end; /* none beyond was ever used */
	atomic_uint_fast64_t turn;
	atomic_uint_fast64_t cache_bytes;
	uint32_t delivery; /* an enum quire_delivery */
	uint32_t policy;   /* an enum quire_policy */
	uint32_t pid;      /* whose it is, as that process sees itself: a child has the descriptor too */
	uint32_t hint;     /* no tally below is free */
	char name[TALLY_NAME];
	char why[LEDGER_WHY];
	/* the tallies follow */
};

_Static_assert(sizeof(atomic_uint_fast64_t) == sizeof(uint64_t), "words of a published ledger");
_Static_assert(sizeof(struct ledger) == 376, "as in the table of docs/faults.md");

static inline struct tally *ledger_tally(struct ledger *ledger, uint32_t number)
{
	return (struct tally *)(void *)(ledger + 1) + number;
}

static inline uint64_t ledger_bytes(uint32_t room)
{
	return sizeof(struct ledger) + (uint64_t)room * sizeof(struct tally);
}

/* memory is zeros, of ledger_bytes(room). Names that are too long are cut. */
void ledger_init(struct ledger *ledger, uint32_t room);
void tally_name(char *to, size_t room, const char *name);

static inline void tally_add(struct tally *tally, enum tally_figure what, uint64_t n)
{
	atomic_fetch_add_explicit(&tally->figures[what], n, memory_order_relaxed);
}

/* The same for a figure that is only ever counted by whoever holds one lock: no other processor has to be asked. */
static inline void tally_add_alone(struct tally *tally, enum tally_figure what, uint64_t n)
{
	uint64_t before = atomic_load_explicit(&tally->figures[what], memory_order_relaxed);

	atomic_store_explicit(&tally->figures[what], before + n, memory_order_relaxed);
}

static inline uint64_t tally_get(const struct tally *tally, enum tally_figure what)
{
	return atomic_load_explicit(&tally->figures[what], memory_order_relaxed);
}

/* ---- one at a time: under the pool's lock ---- */

/* A tally for a mapping; 0, which is everybody's, when there is no more room. */
uint16_t ledger_take(struct ledger *ledger, const char *name);
void ledger_give(struct ledger *ledger, uint16_t number); /* takes 0 */

/* One page fewer is charged to a tally. */
void ledger_uncharge(struct ledger *ledger, uint16_t number);

/* ---- any time ---- */

/* The sum of all, into zeros. */
void ledger_sum(struct ledger *ledger, struct tally *sum);

void tally_took(struct tally *tally, enum tally_time what, uint64_t ns);

/* Adds all figures of `from` to `to`, of which nobody else writes. */
void tally_sum(struct tally *to, const struct tally *from);

/* How often; and the time that a share of them (500: half, 990: 99 %) did not exceed, rounded up to the end of a bucket. */
uint64_t tally_count(const struct tally_times *times);
uint64_t tally_quantile(const struct tally_times *times, unsigned int thousandths);

#endif
