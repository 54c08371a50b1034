/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - the smallest page file that keeps a promise: the replayer's own exercise.
 *
 *	ledger          page 0: header {epoch, page count}   pages 1..n: {number, epoch, payload, checksum}
 *	ledger.journal  records one behind the other: {epoch, page count, page numbers, checksum} and the images
 *	ledger.mark     one page, mapped shared: was it closed?
 *	ledger.backup   a copy of all pages, made under another name and renamed
 *
 *	commit      record -> flush the journal (the commit point) -> write the pages home
 *	checkpoint  flush the pages -> header -> flush -> the journal begins anew
 *	open        header -> unless closed: records above its epoch, in sequence and whole -> pages home -> checkpoint
 *
 * It holds two dozen planted mistakes (base/mutant.h), each of which the replayer must find.
 */
#ifndef TESTS_CRASH_LEDGER_H
#define TESTS_CRASH_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

enum { LEDGER_PAGE = 4096, LEDGER_PAGES_MAX = 64, LEDGER_JOURNAL_PAGES = 24, LEDGER_TOUCH_MAX = 8 };

struct ledger_page {
	uint64_t number, epoch;
	uint8_t payload[LEDGER_PAGE - 24];
	uint64_t checksum;
};

struct ledger {
	int dir_fd, fd, journal_fd;
	uint64_t *mark; /* mapped shared: 1 after a close */
	uint64_t epoch;
	uint64_t page_count; /* numbered from 1 */
	uint64_t journal_at; /* pages used */
	int failed;          /* the first error; from then on the answer to everything */
};

struct ledger_change {
	uint64_t page_count; /* after the commit */
	unsigned int count;
	struct ledger_page *pages;
};

/* 0 or -errno. -ENOENT: there is none, and create is false. */
int ledger_open(struct ledger *l, const char *dir, bool create);
int ledger_commit(struct ledger *l, const struct ledger_change *change);
int ledger_read(
	struct ledger *l, uint64_t number, struct ledger_page *page); /* -EBADMSG: the checksum is wrong */
int ledger_backup(struct ledger *l);
int ledger_close(struct ledger *l); /* cleanly */
void ledger_drop(struct ledger *l); /* as a killed process does */
uint64_t ledger_checksum(const void *data, uint64_t bytes);

#endif
