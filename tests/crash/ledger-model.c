/* SPDX-License-Identifier: Apache-2.0 */
#include "crash/ledger-model.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t ledger_round;

uint64_t ledger_page_count_at(uint64_t commit)
{
	uint64_t n = 4 + commit * 3 / 2;

	return commit % 5 == 4 ? n - 4 : n; /* it shrinks at times */
}

static unsigned int touched_by(uint64_t commit, uint64_t numbers[LEDGER_TOUCH_MAX])
{
	uint64_t before = commit > 1 ? ledger_page_count_at(commit - 1) : 0,
		 count = ledger_page_count_at(commit);
	unsigned int n = 0, extra;

	assert(count > 0);
	for (uint64_t p = before + 1; p <= count; p++)
		numbers[n++] = p;
	extra = 1 + (unsigned int)(crash_mix(ledger_round * 1000 + commit) % 3);
	for (unsigned int i = 0; i < extra && n < LEDGER_TOUCH_MAX; i++) {
		uint64_t p = 1 + crash_mix(ledger_round * 977 + commit * 13 + i) % count;
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
	uint64_t x = crash_mix(number * 0x10001 + commit + ledger_round);

	*page = (struct ledger_page){ .number = number, .epoch = commit };
	for (size_t i = 0; i + 8 <= sizeof(page->payload); i += 8, x += 0x9e3779b97f4a7c15U)
		memcpy(page->payload + i, &x, 8);
	page->checksum = ledger_checksum(page, sizeof(*page) - 8);
}

static uint64_t last_change(uint64_t number, uint64_t commit)
{
	uint64_t numbers[LEDGER_TOUCH_MAX] = { 0 };

	for (; commit > 0; commit--) {
		unsigned int n = touched_by(commit, numbers);

		for (unsigned int i = 0; i < n; i++)
			if (numbers[i] == number)
				return commit;
	}
	return 0;
}

int ledger_commit_number(struct ledger *l, uint64_t commit)
{
	uint64_t numbers[LEDGER_TOUCH_MAX] = { 0 };
	struct ledger_change c = { .page_count = ledger_page_count_at(commit),
		.count = touched_by(commit, numbers) };
	int r;

	assert(c.count > 0);
	c.pages = calloc(c.count, sizeof(*c.pages));
	if (!c.pages)
		return -ENOMEM;
	for (unsigned int i = 0; i < c.count; i++)
		fill_page(&c.pages[i], numbers[i], commit);
	r = ledger_commit(l, &c);
	free(c.pages);
	return r;
}

/* --- the check -------------------------------------------------------------------------------------------------------- */

int ledger_check_pages(struct ledger *l)
{
	struct ledger_page page, expected;

	if (l->epoch && l->page_count != ledger_page_count_at(l->epoch)) {
		crash_explain("commit %llu has %llu pages", (unsigned long long)l->epoch,
			(unsigned long long)l->page_count);
		return ONE_COMMIT;
	}
	for (uint64_t i = 1; i <= l->page_count; i++) {
		uint64_t change = last_change(i, l->epoch);

		if (ledger_read(l, i, &page) < 0) {
			crash_explain("page %llu in commit %llu", (unsigned long long)i,
				(unsigned long long)l->epoch);
			return WHOLE_PAGES;
		}
		fill_page(&expected, i, change);
		if (memcmp(&page, &expected, sizeof(page)) != 0) {
			crash_explain("in commit %llu page %llu is of commit %llu, not %llu",
				(unsigned long long)l->epoch, (unsigned long long)i,
				(unsigned long long)page.epoch, (unsigned long long)change);
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

/* in: l is open and good. The next commit, closed or not, must be there after the next open. */
static int check_future(struct ledger *l, const char *dir)
{
	uint64_t epoch = l->epoch;
	int broken;

	if (ledger_commit_number(l, epoch + 1) < 0)
		return GOES_ON;
	ledger_drop(l);
	if (ledger_open(l, dir, false) < 0 || l->epoch != epoch + 1)
		return GOES_ON;
	broken = ledger_check_pages(l);
	return broken ? GOES_ON : 0;
}

int ledger_check_open(struct ledger *l, const char *dir, const struct crash_history *h)
{
	uint64_t epoch = l->epoch;
	int broken = check_epoch(l, h);

	if (broken == 0)
		broken = ledger_check_pages(l);
	if (broken)
		return broken;
	ledger_drop(l);
	if (ledger_open(l, dir, false) < 0 || l->epoch != epoch || ledger_check_pages(l))
		return FINAL;
	return check_future(l, dir);
}
