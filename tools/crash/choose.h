/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choose.h - the states that may be left when the power goes now.
 *
 * A window is everything that is pending, as chains; a choice says how far each chain has got. The choices of a window
 * are numbered, and number n is found without its predecessors: (seed, point, n) names a state for ever.
 *
 *	0           all persisted: the program was killed, or the power went after a quiet while
 *	1           nothing did
 *	then        every choice, when there are at most exhaust_max of them; else all but one operation, one operation
 *	            alone, every set of operations when those are few, and per_point samples page by page
 *	last        per_point / 2 with torn pages: sectors of 512 bytes go their own ways
 *
 * A light point (after each operation, between the places where promises change) has choice 0 and some in which that
 * operation is torn: all others will be met again at the next full point.
 */
#ifndef CRASH_CHOOSE_H
#define CRASH_CHOOSE_H

#include "crash.h"
#include "model.h"

enum chain_kind { CHAIN_PAGE, CHAIN_META, CHAIN_NAMES };

struct chain {
	enum chain_kind kind;
	int owner; /* file or directory */
	uint32_t page;
	uint16_t length;
	/* the choice */
	uint16_t pick; /* so many links have persisted */
	bool torn;     /* then each sector has a pick of its own */
	uint16_t sector[SECTORS];
};

/* Where a piece stands. */
struct place {
	uint32_t chain;
	uint16_t rank;
};

struct window {
	const struct model *model;
	struct chain *chains;
	size_t chain_count, chain_room;
	struct place *places; /* of all pieces, file after file */
	size_t place_count, place_room;
	size_t *first_place; /* of each file */
	int64_t *meta_chain; /* of each file, or -1 */
	uint32_t *ops;       /* pending operations, each once, in order */
	size_t op_count, op_room;
	uint32_t *page_chain; /* scratch */
	size_t page_room;
	uint64_t product; /* choices without torn ones; saturates */
};

void window_init(struct window *w, const struct model *m);
void window_done(struct window *w);
void window_take(struct window *w); /* the model has moved */

enum point_level { POINT_NONE, POINT_LIGHT, POINT_FULL };

/* How closely to look before operation `next` happens. */
enum point_level point_level(const struct crash_log *log, uint32_t next);

uint32_t choice_count(const struct window *w, enum point_level level, const struct crash_options *o);
void choice_make(struct window *w, enum point_level level, const struct crash_options *o, uint32_t index);

#endif
