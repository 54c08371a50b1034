/* SPDX-License-Identifier: Apache-2.0 */
#include "crash/region-model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t model_round;
uint32_t model_flags;

/* --- what commit n is ------------------------------------------------------------------------------------------------- */

uint64_t model_pages(uint64_t commit)
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
	uint64_t x = crash_mix(model_round * 4096 + commit * 64 + i);

	return i == 0 ? 0 : (1 + x % (model_pages(commit) - 1)) * PAGE + x / PAGE % 500 * 8;
}

static void expect(uint64_t commit, uint64_t *all)
{
	memset(all, 0, model_pages(commit) * PAGE);
	for (uint64_t n = 1; n <= commit; n++)
		for (unsigned int i = 0; i < store_count(n); i++)
			all[place(n, i) / 8] = n;
}

/* --- the region ------------------------------------------------------------------------------------------------------- */

int model_open(const char *dir, uint32_t flags, size_t journal_bytes, struct quire_region **region)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/r", dir);
	return quire_region_open(NULL, path,
		QUIRE_OPTIONS(region, .flags = flags | model_flags | QUIRE_REGION_ANYWHERE,
			.length = (flags & QUIRE_REGION_CREATE) != 0 ? PAGES_FIRST * PAGE : 0,
			.reserve_bytes = PAGES_MAX * PAGE, .journal_bytes = journal_bytes,
			.private_bytes = PAGE),
		region);
}

unsigned char *model_bytes(struct quire_region *region)
{
	return quire_map_address(quire_region_map(region));
}

uint64_t model_commit(struct quire_region *region)
{
	uint64_t n;

	memcpy(&n, model_bytes(region), sizeof(n));
	return n;
}

int model_stores(struct quire_region *region, uint64_t commit, uint64_t what, uint64_t pages)
{
	int r = quire_region_resize(region, pages * PAGE);

	for (unsigned int i = 0; r == 0 && i < store_count(commit); i++) {
		unsigned char *p = model_bytes(region) + place(commit, i);

		(void)quire_region_touch(region, p, sizeof(what));
		memcpy(p, &what, sizeof(what));
	}
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
	uint64_t n = model_commit(region);

	crash_explain("commit %llu is there; acknowledged %llu, begun %llu", (unsigned long long)n,
		(unsigned long long)h->acked, (unsigned long long)h->begun);
	if (n < h->acked)
		return ACKED_IS_THERE;
	if (n > h->begun)
		return NOTHING_UNBEGUN;
	if (n > h->acked && last_note_is(h, "failed"))
		return FAILED_IS_NOT;
	if (quire_map_length(quire_region_map(region)) != model_pages(n) * PAGE)
		return ONE_COMMIT;
	expect(n, all);
	return memcmp(all, model_bytes(region), model_pages(n) * PAGE) != 0 ? ONE_COMMIT : 0;
}

/* One that opens it before a writer does. */
static int check_reader(const char *dir, const struct crash_history *h)
{
	struct quire_region *region = NULL;
	int broken;

	if (model_open(dir, QUIRE_REGION_READ_ONLY, 0, &region) < 0) {
		crash_explain("a reader's open says %s", quire_error_text());
		return READERS;
	}
	broken = check_content(region, h);
	(void)quire_region_close(region);
	return broken;
}

static int check_future(const char *dir, struct quire_region **region)
{
	uint64_t n = model_commit(*region);
	struct crash_history one = { .acked = n, .begun = n }, next = { .acked = n + 1, .begun = n + 1 };

	(void)quire_region_close(*region);
	*region = NULL;
	if (model_open(dir, 0, RING_LIMIT, region) < 0 || check_content(*region, &one))
		return FINAL;
	if (model_stores(*region, n + 1, n + 1, model_pages(n + 1)) < 0 ||
		quire_region_commit(*region, NULL) < 0)
		return GOES_ON;
	(void)quire_region_close(*region);
	*region = NULL;
	return model_open(dir, 0, RING_LIMIT, region) < 0 || check_content(*region, &next) ? GOES_ON : 0;
}

static int check_writer(const char *dir, const struct crash_history *h)
{
	struct quire_region *region = NULL;
	int broken;

	if (model_open(dir, 0, RING_LIMIT, &region) < 0) {
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

int model_check(const char *dir, const struct crash_history *h)
{
	char path[300];
	int broken;

	(void)snprintf(path, sizeof(path), "%s/r", dir);
	if (access(path, F_OK) < 0)
		return h->acked == 0 && h->note_count == 0 ? 0 : OPENS;
	broken = check_reader(dir, h);
	return broken == 0 ? check_writer(dir, h) : broken;
}
