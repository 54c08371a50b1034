/* SPDX-License-Identifier: Apache-2.0 */
/* region.c - regions under the crash replayer (docs/crash.md): every state that a power cut may leave. */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/region-model.h"

enum { COMMITS = 17, CLOSE_EVERY = 9, ABORT_EVERY = 5, RING_FIRST = 64 << 10 };

static const char *const invariants[] = {
	"",
	"C1: what was created opens",
	"C2: every acknowledged commit is there",
	"C3: nothing is there that was not begun",
	"C4: all pages are of one commit",
	"C5: the region's own check finds nothing",
	"C6: opening again shows the same",
	"C7: it goes on: the next commit works and stays",
	"C8: a commit that said it failed is not there",
	"C9: a FAILED region says so from every call",
	"C10: a reader can open it before a writer has recovered",
	NULL,
};

static const struct crash_mutant mutants[] = {
	{ "create-no-fsync", "a file has its name before it is durable", NULL },
	{ "forget-directory", "no directory is ever flushed", NULL },
	{ "region-before-journal", "the region is born first", NULL },
	{ "drop-commit-flush", "the commit point is no flush", NULL },
	{ "flush-wrong-file", "it flushes the region instead of the journal", NULL },
	{ "log-one-less", "a page that was written is not in the record", NULL },
	{ "forget-wrap", "a record is not continued at the start of the ring", NULL },
	{ "forget-growth", "the record says that the region is shorter", NULL },
	{ "skip-growth-flush", "the region is longer in the record before it is on disk", NULL },
	{ "extend-header-first", "the journal is longer in its header before it is on disk", NULL },
	{ "skip-image-checksum", "recovery does not look at the images", NULL },
	{ "replay-any-age", "recovery takes records of an earlier lap", NULL },
	{ "replay-stops-early", "recovery overlooks the third record", NULL },
	{ "length-from-file", "recovery takes the length from page 0 of the file", NULL },
	{ "home-oldest", "the checkpoint takes the oldest image of a page", NULL },
	{ "skip-page-sum", "the checkpoint writes pages without their checksums", NULL },
	{ "skip-home-flush", "the journal is used again although pages are not durable", NULL },
	{ "header-first", "the header goes before the pages", NULL },
	{ "drop-header-flush", "the journal is used again before the header is durable", NULL },
	{ "reuse-before-header", "the journal is used again without a header", NULL },
	{ "one-header", "the only good header is overwritten", NULL },
	{ "drop-copy-early", "a private copy goes before the file has its bytes", NULL },
	{ "abort-keeps-copies", "what was undone stays in the window", NULL },
	{ "abort-to-file", "undone is to what the file has, though the journal is newer", NULL },
	{ "leave-failed-record", "a record that failed stays readable", "EIO" },
	{ "failed-goes-on", "a FAILED region takes the next commit", "EIO" },
	{ "ignore-flush-error", "a failed flush is taken for a good one", "EIO" },
	{ "retry-flush", "a failed flush is tried again, and believed", "EIO" },
	{ "short-write-is-done", "half a write is taken for all", "SHORT" },
	{ "recovery-believes-header",
		"a header that a failed flush left in the page cache is taken for durable", "EIO" },
	{ "recovery-believes-records", "so are records", "TWICE" },
	{ "recovery-believes-names", "so are names", "EIO" },
	{ NULL, NULL, NULL },
};

/* --- the run ---------------------------------------------------------------------------------------------------------- */

/* Rounds take turns in how written pages are found. */
static void set_round(void)
{
	model_round = crash_round();
	model_flags = QUIRE_REGION_NO_THREAD | (model_round % 2 == 0 ? QUIRE_REGION_HINTED : 0);
}

/* No injected fault hits more than two in a row. */
static int open_at_last(const char *dir, uint32_t flags, size_t journal_bytes, struct quire_region **region)
{
	int r = -1;

	for (int i = 0; r < 0 && i < 3; i++)
		r = model_open(dir, flags, journal_bytes, region);
	return r < 0 ? OPENS : 0;
}

static int reopen(const char *dir, struct quire_region **region)
{
	(void)quire_region_close(*region);
	*region = NULL;
	return open_at_last(dir, 0, RING_LIMIT, region);
}

static uint64_t promised;

static void acked(uint64_t n)
{
	promised = n;
	crash_acked(n);
}

/* A commit has failed: every call must say so, and after reopening it must not be there. */
static int after_failure(const char *dir, struct quire_region **region, uint64_t n)
{
	bool perhaps = strstr(quire_error_text(), "perhaps") != NULL;
	int r;

	if (quire_region_commit(*region, NULL) != -EIO ||
		quire_region_touch(*region, model_bytes(*region), 1) != -EIO)
		return STAYS_FAILED;
	r = reopen(dir, region);
	if (r != 0)
		return r;
	if (model_commit(*region) >= n)
		return perhaps ? 0 : FAILED_IS_NOT;
	crash_note("failed", 6);
	return 0;
}

static int step(const char *dir, struct quire_region **region, uint64_t n)
{
	int r;

	if (n % ABORT_EVERY == 0) {
		r = model_stores(*region, n, 1000 + n, model_pages(n) + n % 2);
		if (r == 0)
			r = quire_region_abort(*region);
		if (r < 0)
			return reopen(dir, region);
	}
	crash_note("begun", 5);
	crash_begun(n);
	r = model_stores(*region, n, n, model_pages(n));
	if (r < 0)
		return reopen(dir, region);
	r = quire_region_commit(*region, NULL);
	if (r < 0 && r != -EIO)
		r = quire_region_commit(*region, NULL); /* nothing is lost */
	if (r < 0)
		return r == -EIO ? after_failure(dir, region, n) : reopen(dir, region);
	acked(n);
	return n % CLOSE_EVERY == 0 ? reopen(dir, region) : 0;
}

static int create(const char *dir, struct quire_region **region)
{
	int r = open_at_last(dir, QUIRE_REGION_CREATE, RING_FIRST, region);

	if (r != 0)
		return r;
	crash_note("created", 7);
	return reopen(dir, region); /* where the journal may grow */
}

static int run(void *arg, const char *dir)
{
	struct quire_region *region = NULL;
	int r;

	(void)arg;
	set_round();
	r = create(dir, &region);
	for (int steps = 0; r == 0 && model_commit(region) < COMMITS; steps++) {
		if (steps > 2 * COMMITS)
			return GOES_ON;
		if (model_commit(region) < promised)
			return ACKED_IS_THERE;
		acked(model_commit(region)); /* also one that failed and is there all the same */
		r = step(dir, &region, promised + 1);
	}
	if (r != 0)
		fprintf(stderr, "# run: %s\n", quire_error_text());
	(void)quire_region_close(region);
	return r;
}

static int check(void *arg, const char *dir, const struct crash_history *h)
{
	(void)arg;
	set_round();
	return model_check(dir, h);
}

int main(int argc, char **argv)
{
	static const struct crash_workload w = { .name = "region",
		.run = run,
		.check = check,
		.invariants = invariants,
		.mutants = mutants,
		.distinct_goal = 15000,
		.hunt_goal = 1000000 };

	/* A check opens the region four times: its stages stay in the heap, instead of being mapped and faulted in anew. */
	(void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	return crash_main(argc, argv, &w);
}
