/* SPDX-License-Identifier: Apache-2.0 */
/* ledger-crash.c - the ledger under the crash replayer: the proof that the instrument sees. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "crash/ledger.h"

enum { COMMITS = 24, BACKUP_EVERY = 7, CLOSE_EVERY = 9, DROP_EVERY = 6 };

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
	{ "recovery-believes-cache", "what a failed flush left in the page cache is taken for durable", "EIO" },
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

/* --- the model: commit n of round r changes these pages, always ------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

static uint64_t page_count_at(uint64_t commit)
{
	uint64_t n = 4 + commit * 3 / 2;

	return commit % 5 == 4 ? n - 4 : n; /* it shrinks at times */
}

static unsigned int touched_by(uint64_t commit, uint64_t numbers[LEDGER_TOUCH_MAX])
{
	uint64_t before = commit > 1 ? page_count_at(commit - 1) : 0, count = page_count_at(commit);
	unsigned int n = 0, extra;

	for (uint64_t p = before + 1; p <= count; p++)
		numbers[n++] = p;
	extra = 1 + (unsigned int)(mix(crash_round() * 1000 + commit) % 3);
	for (unsigned int i = 0; i < extra && n < LEDGER_TOUCH_MAX; i++) {
		uint64_t p = 1 + mix(crash_round() * 977 + commit * 13 + i) % count;
		bool there = false;

		for (unsigned int j = 0; j < n; j++)
			there |= numbers[j] == p;
		if (!there)
			numbers[n++] = p;
	}
	return n;
}

static void fill_page(struct ledger_page *page, uint64_t number, uint64_t commit)
{
	uint64_t x = mix(number * 0x10001 + commit + crash_round());

	*page = (struct ledger_page){ .number = number, .epoch = commit };
	for (size_t i = 0; i + 8 <= sizeof(page->payload); i += 8, x += 0x9e3779b97f4a7c15U)
		memcpy(page->payload + i, &x, 8);
	page->checksum = ledger_checksum(page, sizeof(*page) - 8);
}

static uint64_t last_change(uint64_t number, uint64_t commit)
{
	uint64_t numbers[LEDGER_TOUCH_MAX];

	for (; commit > 0; commit--) {
		unsigned int n = touched_by(commit, numbers);

		for (unsigned int i = 0; i < n; i++)
			if (numbers[i] == number)
				return commit;
	}
	return 0;
}

static int commit_number(struct ledger *l, uint64_t commit)
{
	uint64_t numbers[LEDGER_TOUCH_MAX];
	struct ledger_change c = { .page_count = page_count_at(commit), .count = touched_by(commit, numbers) };
	int r;

	c.pages = calloc(c.count, sizeof(*c.pages));
	if (!c.pages)
		return -ENOMEM;
	for (unsigned int i = 0; i < c.count; i++)
		fill_page(&c.pages[i], numbers[i], commit);
	r = ledger_commit(l, &c);
	free(c.pages);
	return r;
}

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
	r = commit_number(l, n);
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
	int r = ledger_open(&l, dir, true);

	(void)arg;
	if (r == 0)
		crash_note("created", 7);
	while (r == 0 && l.epoch < COMMITS)
		r = step(&l, dir);
	if (r == 0)
		r = ledger_close(&l);
	return r;
}

/* --- the check -------------------------------------------------------------------------------------------------------- */

static int check_pages(struct ledger *l)
{
	struct ledger_page page, expected;

	if (l->epoch && l->page_count != page_count_at(l->epoch)) {
		crash_explain("commit %llu has %llu pages", (unsigned long long)l->epoch,
			(unsigned long long)l->page_count);
		return ONE_COMMIT;
	}
	for (uint64_t i = 1; i <= l->page_count; i++) {
		uint64_t change = last_change(i, l->epoch);

		if (ledger_read(l, i, &page) < 0) {
			crash_explain("page %llu in commit %llu", (unsigned long long)i, (unsigned long long)l->epoch);
			return WHOLE_PAGES;
		}
		fill_page(&expected, i, change);
		if (memcmp(&page, &expected, sizeof(page)) != 0) {
			crash_explain("in commit %llu page %llu is of commit %llu, not %llu",
				(unsigned long long)l->epoch, (unsigned long long)i, (unsigned long long)page.epoch,
				(unsigned long long)change);
			return ONE_COMMIT;
		}
	}
	return 0;
}

static int check_epoch(const struct ledger *l, const struct crash_history *h)
{
	crash_explain("commit %llu is there; acknowledged %llu, begun %llu", (unsigned long long)l->epoch,
		(unsigned long long)h->acked, (unsigned long long)h->begun);
	if (l->epoch < h->acked)
		return ACKED_IS_THERE;
	return l->epoch > h->begun ? NOTHING_UNBEGUN : 0;
}

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
static int check_backup(const char *dir, uint64_t promised)
{
	struct ledger b = { .journal_fd = -1, .dir_fd = -1 };
	char path[300];
	uint64_t header[4];
	int broken;

	(void)snprintf(path, sizeof(path), "%s/ledger.backup", dir);
	b.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (b.fd < 0)
		return promised ? BACKUP : 0;
	if (pread(b.fd, header, sizeof(header), 0) != sizeof(header) || header[1] < promised)
		broken = BACKUP;
	else {
		b.epoch = header[1];
		b.page_count = header[2];
		broken = check_pages(&b) ? BACKUP : 0;
	}
	(void)close(b.fd);
	return broken;
}

/* in: l is open and good. The next commit, closed or not, must be there after the next open. */
static int check_future(struct ledger *l, const char *dir)
{
	uint64_t epoch = l->epoch;
	int broken;

	if (commit_number(l, epoch + 1) < 0)
		return GOES_ON;
	ledger_drop(l);
	if (ledger_open(l, dir, false) < 0 || l->epoch != epoch + 1)
		return GOES_ON;
	broken = check_pages(l);
	return broken ? GOES_ON : 0;
}

static int check_open(struct ledger *l, const char *dir, const struct crash_history *h)
{
	uint64_t epoch = l->epoch;
	int broken = check_epoch(l, h);

	if (broken == 0)
		broken = check_pages(l);
	if (broken)
		return broken;
	ledger_drop(l);
	if (ledger_open(l, dir, false) < 0 || l->epoch != epoch || check_pages(l))
		return FINAL;
	return check_future(l, dir);
}

static int check(void *arg, const char *dir, const struct crash_history *h)
{
	bool created;
	uint64_t promised = backup_promised(h, &created);
	struct ledger l;
	int r = ledger_open(&l, dir, false), broken;

	(void)arg;
	if (r == -ENOENT && !created)
		return 0;
	if (r < 0) {
		crash_explain("open says %s", strerror(-r));
		return OPENS;
	}
	broken = check_open(&l, dir, h);
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
		.distinct_goal = 100000 };

	return crash_main(argc, argv, &w);
}
