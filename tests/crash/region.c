/* SPDX-License-Identifier: Apache-2.0 */
/* region.c - regions under the crash replayer (docs/crash.md): every state that a power cut may leave. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quire/quire.h>

#include "crash.h"

enum { PAGE = 4096, PAGES = 24, COMMITS = 24, STORES = 5, CLOSE_EVERY = 9, ABORT_EVERY = 5 };

enum invariant { OPENS = 1, ACKED_IS_THERE, NOTHING_UNBEGUN, ONE_COMMIT, CHECKS, FINAL, GOES_ON };

static const char *const invariants[] = {
	"",
	"C1: what was created opens",
	"C2: every acknowledged commit is there",
	"C3: nothing is there that was not begun",
	"C4: all pages are of one commit",
	"C5: the region's own check finds nothing",
	"C6: opening again shows the same",
	"C7: it goes on: the next commit works and stays",
	NULL,
};

static const struct crash_mutant mutants[] = {
	{ "recovery-believes-header",
		"what a failed flush left of the header in the page cache is taken for durable", "EIO" },
	{ NULL, NULL, NULL },
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

/* Commit n stores n at these places; page 0 holds n itself. */
static size_t place(uint64_t commit, unsigned int i)
{
	uint64_t x = mix(crash_round() * 4096 + commit * 16 + i);

	return i == 0 ? 0 : (1 + x % (PAGES - 1)) * PAGE + x / PAGES % 500 * 8;
}

static void expect(uint64_t commit, uint64_t *all)
{
	memset(all, 0, PAGES * PAGE);
	for (uint64_t n = 1; n <= commit; n++)
		for (unsigned int i = 0; i < STORES; i++)
			all[place(n, i) / 8] = n;
}

static int open_region(const char *dir, bool create, struct quire_region **region)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/r", dir);
	return quire_region_open(NULL, path,
		QUIRE_OPTIONS(region,
			.flags = QUIRE_REGION_NO_THREAD | QUIRE_REGION_HINTED | QUIRE_REGION_ANYWHERE |
				(create ? QUIRE_REGION_CREATE : 0),
			.length = PAGES * PAGE, .reserve_bytes = 1 << 20, .journal_bytes = 128 << 10,
			.private_bytes = PAGE),
		region);
}

static unsigned char *bytes_of(struct quire_region *region)
{
	return quire_map_address(quire_region_map(region));
}

static void stores(struct quire_region *region, uint64_t n)
{
	for (unsigned int i = 0; i < STORES; i++) {
		unsigned char *p = bytes_of(region) + place(n, i);

		(void)quire_region_touch(region, p, sizeof(n));
		memcpy(p, &n, sizeof(n));
	}
}

static uint64_t commit_of(struct quire_region *region)
{
	uint64_t n;

	memcpy(&n, bytes_of(region), sizeof(n));
	return n;
}

static int reopen(const char *dir, struct quire_region **region)
{
	int r;

	(void)quire_region_close(*region);
	*region = NULL;
	r = open_region(dir, false, region);
	return r < 0 ? open_region(dir, false, region) : r;
}

static int step(const char *dir, struct quire_region **region, uint64_t n)
{
	int r;

	if (n % ABORT_EVERY == 0) {
		stores(*region, 1000 + n);
		r = quire_region_abort(*region);
		if (r < 0)
			return reopen(dir, region);
	}
	crash_begun(n);
	stores(*region, n);
	r = quire_region_commit(*region, NULL);
	if (r == 0)
		crash_acked(n);
	else
		return reopen(dir, region);
	return n % CLOSE_EVERY == 0 ? reopen(dir, region) : 0;
}

static int run(void *arg, const char *dir)
{
	struct quire_region *region = NULL;
	uint64_t acked = 0;
	int r = open_region(dir, true, &region);

	(void)arg;
	if (r == 0)
		crash_note("created", 7);
	while (r == 0 && commit_of(region) < COMMITS) {
		if (commit_of(region) < acked)
			return ACKED_IS_THERE;
		acked = commit_of(region);
		crash_acked(acked);
		r = step(dir, &region, acked + 1);
	}
	if (r < 0)
		fprintf(stderr, "# run: %s\n", quire_error_text());
	(void)quire_region_close(region);
	return r;
}

static int check_content(struct quire_region *region, const struct crash_history *h)
{
	static uint64_t all[PAGES * PAGE / 8];
	uint64_t n = commit_of(region);

	crash_explain("commit %llu is there; acknowledged %llu, begun %llu", (unsigned long long)n,
		(unsigned long long)h->acked, (unsigned long long)h->begun);
	if (n < h->acked)
		return ACKED_IS_THERE;
	if (n > h->begun)
		return NOTHING_UNBEGUN;
	expect(n, all);
	return memcmp(all, bytes_of(region), PAGES * PAGE) != 0 ? ONE_COMMIT : 0;
}

static int check_future(const char *dir, struct quire_region **region)
{
	uint64_t n = commit_of(*region);
	struct crash_history one = { .acked = n, .begun = n }, next = { .acked = n + 1, .begun = n + 1 };

	(void)quire_region_close(*region);
	*region = NULL;
	if (open_region(dir, false, region) < 0 || check_content(*region, &one))
		return FINAL;
	stores(*region, n + 1);
	if (quire_region_commit(*region, NULL) < 0)
		return GOES_ON;
	(void)quire_region_close(*region);
	*region = NULL;
	return open_region(dir, false, region) < 0 || check_content(*region, &next) ? GOES_ON : 0;
}

static int check(void *arg, const char *dir, const struct crash_history *h)
{
	struct quire_region *region = NULL;
	int r = open_region(dir, false, &region), broken;

	(void)arg;
	if (r == -ENOENT && h->note_count == 0)
		return 0;
	if (r < 0) {
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

int main(int argc, char **argv)
{
	static const struct crash_workload w = { .name = "region",
		.run = run,
		.check = check,
		.invariants = invariants,
		.mutants = mutants,
		.distinct_goal = 10000 };

	return crash_main(argc, argv, &w);
}
