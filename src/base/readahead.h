/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/readahead.h - what will be wanted next, guessed from the faults on one object.
 *
 *	faults   7 8 9             stride 1: a stream, the window doubles      fetch 10..13, then 14..21, then ...
 *	faults   7 40 73           stride 33: 106, 139, 172 and 205 are fetched with 73, and nothing between; then eight, ...
 *	faults   7 91 3            no pattern: exactly what is asked
 *
 * Only misses are seen: what was fetched ahead makes none. So a stream remembers where it has fetched to, and the next miss
 * is expected there. A window begins at four pages and never exceeds one transfer (IO_PAGES_MAX); it is halved when pages that were read
 * ahead went unused. Eight MiB of read-around is what made the kernel's default 730 times slower under a memory limit.
 */
#ifndef BASE_READAHEAD_H
#define BASE_READAHEAD_H

#include <stdbool.h>
#include <stdint.h>

/* Pages that lie apart take a transfer each: half as many as a disk likes to have in its queue. */
enum { AHEAD_STREAMS = 4, AHEAD_MIN = 4, AHEAD_MAX = 32, AHEAD_APART_MAX = 16 };

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
	uint32_t count; /* pages to fetch in one piece from the fault on, at least 1 */
	uint32_t apart; /* so many pages more, each a stride further */
	int64_t stride;
};

enum ahead_advice { AHEAD_NORMAL, AHEAD_RANDOM, AHEAD_SEQUENTIAL };

/* Takes note of a miss at `index` and says what to fetch. */
struct ahead_plan readahead_plan(struct readahead *ahead, uint64_t index, enum ahead_advice advice);

/* A page that was read ahead went unused. */
void readahead_wasted(struct readahead *ahead);

#endif
