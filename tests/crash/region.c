/* SPDX-License-Identifier: Apache-2.0 */
/* region.c - regions under the crash replayer (docs/crash.md): every state that a power cut may leave. */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "crash.h"

enum { PAGE = 4096, PAGES_FIRST = 24, PAGES_MAX = 64, COMMITS = 17, STORES = 5, STORES_MANY = 32 };
enum { MANY_EVERY = 8, GROW_EVERY = 6, GROW_PAGES = 3, CLOSE_EVERY = 9, ABORT_EVERY = 5 };
enum { RING_FIRST = 64 << 10, RING_LIMIT = 144 << 10 };

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

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

/* --- what commit n is ------------------------------------------------------------------------------------------------- */

static uint64_t pages_at(uint64_t commit)
{
	return PAGES_FIRST + commit / GROW_EVERY * GROW_PAGES;
}

static unsigned int store_count(uint64_t commit)
{
	return commit % MANY_EVERY == MANY_EVERY - 1 ? STORES_MANY : STORES;
}

/* Commit n stores n at these places; page 0 holds n itself. */
static size_t place(uint64_t commit, unsigned int i)
{
	uint64_t x = mix(crash_round() * 4096 + commit * 64 + i);

	return i == 0 ? 0 : (1 + x % (pages_at(commit) - 1)) * PAGE + x / PAGE % 500 * 8;
}

static void expect(uint64_t commit, uint64_t *all)
{
	memset(all, 0, pages_at(commit) * PAGE);
	for (uint64_t n = 1; n <= commit; n++)
		for (unsigned int i = 0; i < store_count(n); i++)
			all[place(n, i) / 8] = n;
}

/* --- the region ------------------------------------------------------------------------------------------------------- */

/* Rounds take turns in how written pages are found. */
static uint32_t hinted(void)
{
	return crash_round() % 2 == 0 ? QUIRE_REGION_HINTED : 0;
}

static int open_region(const char *dir, uint32_t flags, size_t journal_bytes, struct quire_region **region)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/r", dir);
	return quire_region_open(NULL, path,
		QUIRE_OPTIONS(region, .flags = flags | QUIRE_REGION_NO_THREAD | QUIRE_REGION_ANYWHERE,
			.length = (flags & QUIRE_REGION_CREATE) != 0 ? PAGES_FIRST * PAGE : 0,
			.reserve_bytes = PAGES_MAX * PAGE, .journal_bytes = journal_bytes,
			.private_bytes = PAGE),
		region);
}

/* No injected fault hits more than two in a row. */
static int open_at_last(const char *dir, uint32_t flags, size_t journal_bytes, struct quire_region **region)
{
	int r = -1;

	for (int i = 0; r < 0 && i < 3; i++)
		r = open_region(dir, flags | hinted(), journal_bytes, region);
	return r < 0 ? OPENS : 0;
}

static int reopen(const char *dir, struct quire_region **region)
{
	(void)quire_region_close(*region);
	*region = NULL;
	return open_at_last(dir, 0, RING_LIMIT, region);
}

static unsigned char *bytes_of(struct quire_region *region)
{
	return quire_map_address(quire_region_map(region));
}

static uint64_t commit_of(struct quire_region *region)
{
	uint64_t n;

	memcpy(&n, bytes_of(region), sizeof(n));
	return n;
}

static int stores(struct quire_region *region, uint64_t commit, uint64_t what, uint64_t pages)
{
	int r = quire_region_resize(region, pages * PAGE);

	for (unsigned int i = 0; r == 0 && i < store_count(commit); i++) {
		unsigned char *p = bytes_of(region) + place(commit, i);

		(void)quire_region_touch(region, p, sizeof(what));
		memcpy(p, &what, sizeof(what));
	}
	return r;
}

/* --- the run ---------------------------------------------------------------------------------------------------------- */

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
		quire_region_touch(*region, bytes_of(*region), 1) != -EIO)
		return STAYS_FAILED;
	r = reopen(dir, region);
	if (r != 0)
		return r;
	if (commit_of(*region) >= n)
		return perhaps ? 0 : FAILED_IS_NOT;
	crash_note("failed", 6);
	return 0;
}

static int step(const char *dir, struct quire_region **region, uint64_t n)
{
	int r;

	if (n % ABORT_EVERY == 0) {
		r = stores(*region, n, 1000 + n, pages_at(n) + n % 2);
		if (r == 0)
			r = quire_region_abort(*region);
		if (r < 0)
			return reopen(dir, region);
	}
	crash_note("begun", 5);
	crash_begun(n);
	r = stores(*region, n, n, pages_at(n));
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
	int r = create(dir, &region);

	(void)arg;
	for (int steps = 0; r == 0 && commit_of(region) < COMMITS; steps++) {
		if (steps > 2 * COMMITS)
			return GOES_ON;
		if (commit_of(region) < promised)
			return ACKED_IS_THERE;
		acked(commit_of(region)); /* also one that failed and is there all the same */
		r = step(dir, &region, promised + 1);
	}
	if (r != 0)
		fprintf(stderr, "# run: %s\n", quire_error_text());
	(void)quire_region_close(region);
	return r;
}

/* --- the check -------------------------------------------------------------------------------------------------------- */

static bool last_note_is(const struct crash_history *h, const char *text)
{
	const struct crash_note *last = h->note_count == 0 ? NULL : &h->notes[h->note_count - 1];

	return last != NULL && last->bytes == strlen(text) && memcmp(last->data, text, last->bytes) == 0;
}

static int check_content(struct quire_region *region, const struct crash_history *h)
{
	static uint64_t all[PAGES_MAX * PAGE / 8];
	uint64_t n = commit_of(region);

	crash_explain("commit %llu is there; acknowledged %llu, begun %llu", (unsigned long long)n,
		(unsigned long long)h->acked, (unsigned long long)h->begun);
	if (n < h->acked)
		return ACKED_IS_THERE;
	if (n > h->begun)
		return NOTHING_UNBEGUN;
	if (n > h->acked && last_note_is(h, "failed"))
		return FAILED_IS_NOT;
	if (quire_map_length(quire_region_map(region)) != pages_at(n) * PAGE)
		return ONE_COMMIT;
	expect(n, all);
	return memcmp(all, bytes_of(region), pages_at(n) * PAGE) != 0 ? ONE_COMMIT : 0;
}

/* One that opens it before a writer does. */
static int check_reader(const char *dir, const struct crash_history *h)
{
	struct quire_region *region = NULL;
	int broken;

	if (open_region(dir, QUIRE_REGION_READ_ONLY, 0, &region) < 0) {
		crash_explain("a reader's open says %s", quire_error_text());
		return READERS;
	}
	broken = check_content(region, h);
	(void)quire_region_close(region);
	return broken;
}

static int check_future(const char *dir, struct quire_region **region)
{
	uint64_t n = commit_of(*region);
	struct crash_history one = { .acked = n, .begun = n }, next = { .acked = n + 1, .begun = n + 1 };

	(void)quire_region_close(*region);
	*region = NULL;
	if (open_region(dir, hinted(), RING_LIMIT, region) < 0 || check_content(*region, &one))
		return FINAL;
	if (stores(*region, n + 1, n + 1, pages_at(n + 1)) < 0 || quire_region_commit(*region, NULL) < 0)
		return GOES_ON;
	(void)quire_region_close(*region);
	*region = NULL;
	return open_region(dir, hinted(), RING_LIMIT, region) < 0 || check_content(*region, &next) ? GOES_ON
												   : 0;
}

static int check_writer(const char *dir, const struct crash_history *h)
{
	struct quire_region *region = NULL;
	int broken;

	if (open_region(dir, hinted(), RING_LIMIT, &region) < 0) {
		crash_explain("open says %s", quire_error_text());
		return OPENS;
	}
	broken = check_content(region, h);
	if (broken == 0 && quire_region_check(region, NULL) != 0) {
		crash_explain("%s", quire_error_text());
		broken = CHECKS;
	}
	if (broken == 0)
		broken = check_future(dir, &region);
	(void)quire_region_close(region);
	return broken;
}

static int check(void *arg, const char *dir, const struct crash_history *h)
{
	char path[300];
	int broken;

	(void)arg;
	(void)snprintf(path, sizeof(path), "%s/r", dir);
	if (access(path, F_OK) < 0)
		return h->note_count == 0 ? 0 : OPENS;
	broken = check_reader(dir, h);
	return broken == 0 ? check_writer(dir, h) : broken;
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
