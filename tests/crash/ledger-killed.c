/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger-killed.c - the victim of the kill loops: a process that commits until it is killed, and one that looks after it.
 *
 *	ledger-killed run DIR             says "begun N" and "acked N" on its standard output, for ever
 *	ledger-killed check DIR ACKED BEGUN
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash/ledger-model.h"

enum { COMMITS_MAX = 30, CLOSE_EVERY = 7 };

/* One write: a line cut in half would be a promise nobody can read. */
static void say(const char *what, uint64_t commit)
{
	char line[48];
	int n = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", what, commit);

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(1);
}

static int run(const char *dir)
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
	return r < 0;
}

static int check(const char *dir, const char *acked, const char *begun)
{
	struct crash_history h = { .acked = strtoull(acked, NULL, 10), .begun = strtoull(begun, NULL, 10) };
	struct ledger l;
	int broken;

	if (ledger_open(&l, dir, h.acked == 0) < 0)
		return OPENS;
	broken = ledger_check_open(&l, dir, &h);
	ledger_drop(&l);
	return broken;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "run") == 0)
		return run(argv[2]);
	if (argc == 5 && strcmp(argv[1], "check") == 0)
		return check(argv[2], argv[3], argv[4]);
	(void)fprintf(stderr, "usage: ledger-killed run DIR | check DIR ACKED BEGUN\n");
	return 64;
}
