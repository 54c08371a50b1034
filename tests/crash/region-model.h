/* SPDX-License-Identifier: Apache-2.0 */
/* region-model.h - what a region must hold after commit n: commit n of a round changes certain pages, always. */
#ifndef TESTS_CRASH_REGION_MODEL_H
#define TESTS_CRASH_REGION_MODEL_H

#include <quire/quire.h>

#include "crash.h"

enum { PAGE = 4096, PAGES_FIRST = 24, PAGES_MAX = 64, STORES = 5, STORES_MANY = 32 };
enum { MANY_EVERY = 8, GROW_EVERY = 6, GROW_PAGES = 3 };
enum { RING_LIMIT = 144 << 10 };

enum invariant {
	OPENS = 1,
	ACKED_IS_THERE,
	NOTHING_UNBEGUN,
	ONE_COMMIT,
	CHECKS,
	FINAL,
	GOES_ON,
	FAILED_IS_NOT,
	STAYS_FAILED,
	READERS
};

extern uint64_t model_round; /* part of where is stored */
extern uint32_t model_flags; /* of every open */

int model_open(const char *dir, uint32_t flags, size_t journal_bytes, struct quire_region **region);
unsigned char *model_bytes(struct quire_region *region);
uint64_t model_commit(struct quire_region *region); /* the one that is there */
uint64_t model_pages(uint64_t commit);
int model_stores(struct quire_region *region, uint64_t commit, uint64_t what, uint64_t pages);

/* 0, or the number of the invariant that does not hold. One more commit is there when all do. */
int model_check(const char *dir, const struct crash_history *h);

#endif
