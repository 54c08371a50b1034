/* SPDX-License-Identifier: Apache-2.0 */
/* ledger-crash.c - the ledger under the crash replayer: the proof that the instrument sees. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "crash/ledger-model.h"

enum { COMMITS = 24, BACKUP_EVERY = 7, CLOSE_EVERY = 9, DROP_EVERY = 6 };

static const char *const invariants[] = {
	"",
	"L1: what exists opens, and what was created exists",
	"L2: every acknowledged commit is there",
	"L3: nothing is there that was not begun",
	"L4: all pages are of one commit",
	"L5: no page fails its checksum",
	"L6: opening again shows the same",
	"L7: it goes on: the next commit works and stays",
	"L8: an acknowledged backup is there and whole",
	NULL,
};

static const struct crash_mutant mutants[] = {
	{ "create-in-place", "the file is made under its own name", NULL },
	{ "create-no-fsync", "it is renamed before it is durable", NULL },
	{ "create-no-dirsync", "the directory is forgotten", NULL },
	{ "drop-commit-flush", "the commit point is no flush", NULL },
	{ "flush-wrong-file", "it flushes another file", NULL },
	{ "home-before-seal", "pages go home before the journal has them", NULL },
	{ "home-after-failure", "pages go home although the commit failed", "EIO" },
	{ "shrink-before-seal", "the file is cut before the commit stands", NULL },
	{ "forget-growth", "the record does not say how many pages there are", NULL },
	{ "record-one-short", "records overlap by a page", NULL },
	{ "checksum-without-images", "the checksum covers the head of a record alone", NULL },
	{ "skip-checksum", "recovery does not look at it", NULL },
	{ "replay-any-sequence", "recovery takes records of any age", NULL },
	{ "replay-stops-early", "recovery overlooks the third record", NULL },
	{ "recovery-believes-cache", "what a failed flush left in the page cache is taken for durable",
		"EIO" },
	{ "recovery-not-flushed", "recovery starts the journal anew without a flush", NULL },
	{ "skip-checkpoint", "the journal is used again although pages are not durable", NULL },
	{ "drop-checkpoint-flush", "the header goes first, with no flush of the pages", NULL },
	{ "header-first", "one flush for pages and header", NULL },
	{ "drop-header-flush", "the journal is used again before the header is durable", NULL },
	{ "mark-not-flushed", "the mark of a clean close is taken away in memory alone", NULL },
	{ "mark-too-early", "the mark is set before the pages are durable", NULL },
	{ "backup-in-place", "the old backup is overwritten", NULL },
	{ "backup-no-fsync", "the backup is renamed before it is durable", NULL },
	{ "backup-no-dirsync", "the directory is forgotten", NULL },
	{ "ignore-flush-error", "a failed flush is taken for a good one", "EIO" },
	{ "retry-flush", "a failed flush is tried again, and believed", "EIO" },
	{ "short-write-is-done", "half a write is taken for all", "SHORT" },
	{ NULL, NULL, NULL },
};

/* --- the run ---------------------------------------------------------------------------------------------------------- */

static uint64_t acked;

static void acknowledge(uint64_t commit)
{
	acked = commit;
	crash_acked(commit);
}

/* One fault may be injected: what failed is opened again, and tells where it stands. */
static int reopen(struct ledger *l, const char *dir)
{
	int r;

	ledger_drop(l);
	r = ledger_open(l, dir, false);
	if (r < 0)
		r = ledger_open(l, dir, false);
	if (r == 0 && l->epoch < acked)
		return ACKED_IS_THERE;
	if (r == 0)
		acknowledge(l->epoch);
	return r;
}

static int reopen_closed(struct ledger *l, const char *dir)
{
	int r = ledger_open(l, dir, false);

	return r == 0 && l->epoch < acked ? ACKED_IS_THERE : r;
}

static int backup(struct ledger *l)
{
	char text[40];
	int r;

	r = ledger_backup(l);
	if (r == 0) {
		(void)snprintf(text, sizeof(text), "backup %llu", (unsigned long long)l->epoch);
		crash_note(text, strlen(text));
	}
	return r;
}

static int step(struct ledger *l, const char *dir)
{
	uint64_t n = l->epoch + 1;
	int r;

	crash_begun(n);
	r = ledger_commit_number(l, n);
	if (r < 0)
		return reopen(l, dir);
	acknowledge(n);
	if (n % BACKUP_EVERY == 0)
		r = backup(l);
	if (r == 0 && n % CLOSE_EVERY == 0)
		r = ledger_close(l) < 0 ? reopen(l, dir) : reopen_closed(l, dir);
	else if (r == 0 && n % DROP_EVERY == 0)
		r = reopen(l, dir);
	return r < 0 ? reopen(l, dir) : r;
}

static int run(void *arg, const char *dir)
{
	struct ledger l;
	int r;

	(void)arg;
	ledger_round = crash_round();
	r = ledger_open(&l, dir, true);
	if (r == 0)
		crash_note("created", 7);
	while (r == 0 && l.epoch < COMMITS)
		r = step(&l, dir);
	if (r == 0)
		r = ledger_close(&l);
	return r;
}

/* --- the check -------------------------------------------------------------------------------------------------------- */

static uint64_t backup_promised(const struct crash_history *h, bool *created)
{
	uint64_t epoch = 0;

	*created = false;
	for (size_t i = 0; i < h->note_count; i++) {
		char text[40] = "";

		memcpy(text, h->notes[i].data, h->notes[i].bytes < 39 ? h->notes[i].bytes : 39);
		*created |= strcmp(text, "created") == 0;
		if (strncmp(text, "backup ", 7) == 0)
			epoch = strtoull(text + 7, NULL, 10);
	}
	return epoch;
}

/* A backup newer than the promised one is as good; what is torn is not. */
static int check_backup_file(int fd, uint64_t promised)
{
	struct ledger b = { .journal_fd = -1, .dir_fd = -1, .fd = fd };
	uint64_t header[4];

	if (pread(fd, header, sizeof(header), 0) != sizeof(header) || header[1] < promised)
		return BACKUP;
	b.epoch = header[1];
	b.page_count = header[2];
	return ledger_check_pages(&b) ? BACKUP : 0;
}

static int check_backup(const char *dir, uint64_t promised)
{
	char path[300];
	int fd, broken;

	(void)snprintf(path, sizeof(path), "%s/ledger.backup", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return promised ? BACKUP : 0;
	broken = check_backup_file(fd, promised);
	(void)close(fd);
	return broken;
}

static int check(void *arg, const char *dir, const struct crash_history *h)
{
	bool created;
	uint64_t promised = backup_promised(h, &created);
	struct ledger l;
	int r, broken;

	(void)arg;
	ledger_round = crash_round();
	r = ledger_open(&l, dir, false);
	if (r == -ENOENT && !created)
		return 0;
	if (r < 0) {
		crash_explain("open says %s", strerror(-r));
		return OPENS;
	}
	broken = ledger_check_open(&l, dir, h);
	if (broken == 0)
		broken = check_backup(dir, promised);
	ledger_drop(&l);
	return broken;
}

int main(int argc, char **argv)
{
	static const struct crash_workload w = { .name = "ledger",
		.run = run,
		.check = check,
		.invariants = invariants,
		.mutants = mutants,
		/* Of the 100,000 states of `make test`: 60,000 here and 21,473 behind faults, 15,000 of regions and
		 * 8,133 behind theirs, which makes 104,606. LMDB and SQLite add 26,000 where they are installed. */
		.distinct_goal = 60000,
		.hunt_goal = 1000000 };

	return crash_main(argc, argv, &w);
}
