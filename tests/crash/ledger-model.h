/* SPDX-License-Identifier: Apache-2.0 */
/* ledger-model.h - what a ledger must hold after commit n: commit n of a round changes certain pages, always. */
#ifndef TESTS_CRASH_LEDGER_MODEL_H
#define TESTS_CRASH_LEDGER_MODEL_H

#include "crash.h"
#include "crash/ledger.h"

enum invariant {
	OPENS = 1,
	ACKED_IS_THERE,
	NOTHING_UNBEGUN,
	ONE_COMMIT,
	WHOLE_PAGES,
	FINAL,
	GOES_ON,
	BACKUP,
};

extern uint64_t ledger_round; /* part of every page */

uint64_t ledger_page_count_at(uint64_t commit);
int ledger_commit_number(struct ledger *l, uint64_t commit);

/* 0, or the number of the invariant that does not hold. check_open drops l and leaves it open one commit later. */
int ledger_check_pages(struct ledger *l);
int ledger_check_open(struct ledger *l, const char *dir, const struct crash_history *h);

#endif
