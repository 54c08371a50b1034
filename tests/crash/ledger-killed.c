/* SPDX-License-Identifier: Apache-2.0 */
/* ledger-killed.c - the replayer's exercise, killed. */
#include "crash/killed.h"
#include "crash/ledger-model.h"

int victim_run(const char *dir)
{
	struct ledger l;
	int r = ledger_open(&l, dir, true);

	if (r == 0)
		say("acked", l.epoch);
	while (r == 0 && l.epoch < COMMITS_MAX) {
		say("begun", l.epoch + 1);
		r = ledger_commit_number(&l, l.epoch + 1);
		if (r == 0)
			say("acked", l.epoch);
		if (r == 0 && l.epoch % CLOSE_EVERY == 0) {
			r = ledger_close(&l);
			if (r == 0)
				r = ledger_open(&l, dir, false);
		}
	}
	if (r == 0)
		r = ledger_close(&l);
	return r;
}

int victim_check(const char *dir, const struct crash_history *h)
{
	struct ledger l;
	int broken;

	if (ledger_open(&l, dir, h->acked == 0) < 0)
		return OPENS;
	broken = ledger_check_open(&l, dir, h);
	ledger_drop(&l);
	return broken;
}
