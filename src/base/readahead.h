/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/readahead.h - what will be wanted next, guessed from the faults on one object.
 *
 *	faults   7 8 9             stride 1: a stream                          fetch 10..13; 13 is marked
 *	         13, the mark      the window grows by what was read, and who reads on waits for nothing: fetch what is missing
 *	                           of two windows from 13 on; four marks in each
 *	faults   7 40 73           stride 33: 106, 139, 172 and 205 are fetched with 73, and nothing between; then eight, ...
 *	faults   7 91 3            no pattern: exactly what is asked
 *
 * Only misses and marks are seen: what was fetched ahead makes no miss. So a stream remembers where it has fetched to, and
 * the next miss is expected there. A window begins at four pages, is halved when pages that were read ahead went unused, and
 * never exceeds what the caller allows, or 2 MiB: two of them are under way in front of who reads, in transfers of 128 KiB,
 * and are filled up at each mark.
 * Eight MiB of read-around is what made the kernel's default 730 times slower under a memory limit.
 */
#ifndef BASE_READAHEAD_H
#define BASE_READAHEAD_H

#include <stdbool.h>
#include <stdint.h>

/* AHEAD_MAX is one transfer (IO_PAGES_MAX). So many more may be begun beside it: half as many as a disk likes to have in its
 * queue. */
enum {
	AHEAD_STREAMS = 4,
	AHEAD_MIN = 4,
	AHEAD_MAX = 32,
	AHEAD_APART_MAX = 16,
	AHEAD_FAR = AHEAD_MAX * AHEAD_APART_MAX,
};

struct stream {
	uint64_t last;  /* index of its last fault, or of what was fetched for it apart */
	uint64_t end;   /* first page that was not fetched with it */
	int64_t stride; /* between its last two; 0: only one so far */
	uint32_t run;   /* how often in a row the stride was right */
	uint32_t used;  /* age */
};

/* readahead: the streams of faults seen on one object */
struct readahead {
	struct stream streams[AHEAD_STREAMS];
	uint32_t clock;
	uint32_t window; /* pages */
};

struct ahead_plan {
	uint32_t
		count; /* pages to fetch in one piece from the fault on; 0 at a mark, where nothing is missing */
	uint32_t apart; /* so many pieces more */
	uint32_t each;  /* of so many pages */
	uint32_t marks; /* every so many of them begins with a mark; 0: none */
	uint64_t from;  /* the first begins here */
	int64_t stride; /* and the others each a stride further */
};

enum ahead_advice { AHEAD_NORMAL, AHEAD_RANDOM, AHEAD_SEQUENTIAL };

/* Takes note of a miss at `index` and says what to fetch; `most` pages may be fetched beside, for a stream. */
struct ahead_plan readahead_plan(
	struct readahead *ahead, uint64_t index, enum ahead_advice advice, uint32_t most);

/* The same of a marked page that is there: its stream goes on. */
struct ahead_plan readahead_go_on(struct readahead *ahead, uint64_t index, uint32_t most);

/* The plan was not carried out from `index` on: it is made once more at the next mark. */
void readahead_cut(struct readahead *ahead, const struct ahead_plan *plan, uint64_t index);

/* A page that was read ahead went unused. */
void readahead_wasted(struct readahead *ahead);

#endif
