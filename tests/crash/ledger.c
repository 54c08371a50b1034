/* SPDX-License-Identifier: Apache-2.0 */
#include "crash/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define QUIRE_MUTANTS 1
#include "base/mutant.h"

static const uint64_t magic = 0x3152454744454c51; /* "QLEDGER1" */

struct header {
	uint64_t magic, epoch, page_count, checksum;
};

struct record {
	uint64_t magic, epoch, page_count, count;
	uint64_t numbers[LEDGER_TOUCH_MAX];
	uint64_t checksum; /* of all above, and of the images */
};

union block {
	struct header header;
	struct record record;
	struct ledger_page page;
	uint8_t bytes[LEDGER_PAGE];
};

uint64_t ledger_checksum(const void *data, uint64_t bytes)
{
	return XXH3_64bits(data, bytes);
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

static int write_pages(int fd, const void *data, uint64_t first, uint64_t count)
{
	const uint8_t *p = data;
	uint64_t at = first * LEDGER_PAGE, left = count * LEDGER_PAGE;

	while (left > 0) {
		ssize_t n = pwrite(fd, p, left, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (MUTANT("short-write-is-done"))
			return 0;
		p += n;
		at += (uint64_t)n;
		left -= (uint64_t)n;
	}
	return 0;
}

static int read_pages(int fd, void *data, uint64_t first, uint64_t count)
{
	ssize_t n = pread(fd, data, count * LEDGER_PAGE, (off_t)(first * LEDGER_PAGE));

	if (n < 0)
		return -errno;
	memset((uint8_t *)data + n, 0, count * LEDGER_PAGE - (size_t)n);
	return 0;
}

static int flush(int fd)
{
	if (fdatasync(fd) == 0 || MUTANT("ignore-flush-error"))
		return 0;
	/* The kernel has forgotten that these pages were dirty: asking again proves nothing. */
	if (MUTANT("retry-flush") && fdatasync(fd) == 0)
		return 0;
	return -errno;
}

static int resize(int fd, uint64_t pages)
{
	return ftruncate(fd, (off_t)(pages * LEDGER_PAGE)) < 0 ? -errno : 0;
}

static int fail(struct ledger *l, int error)
{
	if (error < 0 && !l->failed)
		l->failed = error;
	return error;
}

/* --- checkpoint ----------------------------------------------------------------------------------------------------- */

static int write_header(const struct ledger *l, int fd)
{
	union block b = { .header = { .magic = magic, .epoch = l->epoch, .page_count = l->page_count } };

	b.header.checksum = ledger_checksum(&b.header, sizeof(b.header) - 8);
	return write_pages(fd, &b, 0, 1);
}

/* in: every page of every commit has been written to its place */
static int checkpoint(struct ledger *l)
{
	int r = 0;

	if (MUTANT("skip-checkpoint")) {
		l->journal_at = 0;
		return 0;
	}
	if (!MUTANT("drop-checkpoint-flush") && !MUTANT("header-first"))
		r = flush(l->fd);
	if (r == 0)
		r = write_header(l, l->fd);
	if (r == 0 && !MUTANT("drop-header-flush"))
		r = flush(l->fd);
	if (r == 0)
		r = resize(l->fd, l->page_count + 1);
	if (r == 0)
		l->journal_at = 0;
	return r;
}

/* --- commit --------------------------------------------------------------------------------------------------------- */

static int write_home(struct ledger *l, const struct ledger_page *pages, uint64_t count)
{
	int r = 0;

	for (uint64_t i = 0; i < count && r == 0; i++)
		r = write_pages(l->fd, &pages[i], pages[i].number, 1);
	return r;
}

static uint64_t record_checksum(const struct record *record, const struct ledger_page *pages)
{
	uint64_t sum = ledger_checksum(record, sizeof(*record) - 8);

	if (MUTANT("checksum-without-images"))
		return sum;
	return sum ^ ledger_checksum(pages, record->count * LEDGER_PAGE) * 31;
}

static int write_record(struct ledger *l, const struct ledger_change *c)
{
	union block b = { .record = { .magic = magic, .epoch = l->epoch + 1, .page_count = c->page_count } };
	int r;

	if (MUTANT("forget-growth"))
		b.record.page_count = l->page_count;
	b.record.count = c->count;
	for (unsigned int i = 0; i < c->count; i++)
		b.record.numbers[i] = c->pages[i].number;
	b.record.checksum = record_checksum(&b.record, c->pages);
	r = write_pages(l->journal_fd, &b, l->journal_at, 1);
	return r < 0 ? r : write_pages(l->journal_fd, c->pages, l->journal_at + 1, c->count);
}

/* The first commit after an open takes the mark away: from now on the journal counts. */
static int unmark(struct ledger *l)
{
	if (!*l->mark)
		return 0;
	*l->mark = 0;
	if (MUTANT("mark-not-flushed"))
		return 0;
	return msync(l->mark, LEDGER_PAGE, MS_SYNC) < 0 ? -errno : 0;
}

static int commit_log(struct ledger *l, const struct ledger_change *c)
{
	int r = 0;

	if (l->journal_at + c->count + 1 > LEDGER_JOURNAL_PAGES)
		r = checkpoint(l);
	if (r == 0)
		r = unmark(l);
	if (r == 0 && MUTANT("home-before-seal"))
		r = write_home(l, c->pages, c->count);
	if (r == 0 && MUTANT("shrink-before-seal") && c->page_count < l->page_count)
		r = resize(l->fd, c->page_count + 1);
	return r < 0 ? r : write_record(l, c);
}

static int commit_seal(struct ledger *l)
{
	if (MUTANT("drop-commit-flush"))
		return 0;
	return flush(MUTANT("flush-wrong-file") ? l->fd : l->journal_fd);
}

int ledger_commit(struct ledger *l, const struct ledger_change *c)
{
	int r = l->failed;

	if (r == 0)
		r = commit_log(l, c);
	if (r == 0)
		r = commit_seal(l);
	if (r < 0 && MUTANT("home-after-failure"))
		(void)write_home(l, c->pages, c->count);
	if (r < 0)
		return fail(l, r);
	l->journal_at += c->count + (MUTANT("record-one-short") ? 0 : 1);
	l->epoch++;
	l->page_count = c->page_count;
	/* From here on the commit stands; when a page does not get home, the next open brings it there. */
	(void)fail(l, write_home(l, c->pages, c->count));
	return 0;
}

/* --- open ----------------------------------------------------------------------------------------------------------- */

static int read_header(struct ledger *l)
{
	union block b;
	int r = read_pages(l->fd, &b, 0, 1);

	if (r < 0)
		return r;
	if (b.header.magic != magic || b.header.checksum != ledger_checksum(&b.header, sizeof(b.header) - 8))
		return -EBADMSG;
	l->epoch = b.header.epoch;
	l->page_count = b.header.page_count;
	return 0;
}

static bool record_is_whole(const struct record *record, const struct ledger_page *pages)
{
	return MUTANT("skip-checksum") || record->checksum == record_checksum(record, pages);
}

static bool record_continues(const struct ledger *l, const struct record *record, uint64_t before)
{
	if (record->magic != magic || record->count > LEDGER_TOUCH_MAX ||
		record->page_count > LEDGER_PAGES_MAX)
		return false;
	if (MUTANT("replay-any-sequence"))
		return true;
	return before ? record->epoch == before + 1 : record->epoch <= l->epoch + 1;
}

/*
 * What we read may stand in the page cache alone, left there by a flush that failed: then the pages would go home before
 * their record is durable, and a crash in between would mix two commits. So it is written again.
 */
static int make_durable(struct ledger *l, const union block *b, const struct ledger_page *pages)
{
	int r;

	if (MUTANT("recovery-believes-cache"))
		return 0;
	r = write_pages(l->journal_fd, b, l->journal_at, 1);
	if (r == 0)
		r = write_pages(l->journal_fd, pages, l->journal_at + 1, b->record.count);
	return r < 0 ? r : flush(l->journal_fd);
}

/* One record at journal_at; sets *epoch to 0 where the journal ends. */
static int replay_one(struct ledger *l, uint64_t *epoch)
{
	struct ledger_page *pages = calloc(LEDGER_TOUCH_MAX, sizeof(*pages));
	union block b;
	int r = pages ? read_pages(l->journal_fd, &b, l->journal_at, 1) : -ENOMEM;
	bool good = r == 0 && record_continues(l, &b.record, *epoch);

	if (good)
		r = read_pages(l->journal_fd, pages, l->journal_at + 1, b.record.count);
	if (r == 0 && good && record_is_whole(&b.record, pages)) {
		if (b.record.epoch > l->epoch || MUTANT("replay-any-sequence")) {
			r = make_durable(l, &b, pages);
			if (r == 0)
				r = write_home(l, pages, b.record.count);
			l->epoch = b.record.epoch;
			l->page_count = b.record.page_count;
		}
		l->journal_at += b.record.count + 1;
		*epoch = b.record.epoch;
	} else {
		*epoch = 0;
	}
	free(pages);
	return r;
}

static int recover(struct ledger *l)
{
	uint64_t epoch = 0, records = 0;
	int r = 0;

	l->journal_at = 0;
	do {
		r = replay_one(l, &epoch);
		if (MUTANT("replay-stops-early") && ++records == 3)
			break;
	} while (r == 0 && epoch && l->journal_at < LEDGER_JOURNAL_PAGES);
	if (r == 0 && MUTANT("recovery-not-flushed")) {
		l->journal_at = 0;
		return write_header(l, l->fd);
	}
	return r < 0 ? r : checkpoint(l);
}

static int open_files(struct ledger *l)
{
	l->fd = openat(l->dir_fd, "ledger", O_RDWR | O_CLOEXEC);
	if (l->fd < 0)
		return -errno;
	l->journal_fd = openat(l->dir_fd, "ledger.journal", O_RDWR | O_CLOEXEC);
	return l->journal_fd < 0 ? -EBADMSG : 0;
}

/* No mark: it may be gone from the page cache alone, like a record (make_durable). */
static int settle_mark(int fd)
{
	static const uint8_t zeros[LEDGER_PAGE];
	int r = write_pages(fd, zeros, 0, 1);

	return r < 0 ? r : flush(fd);
}

static int map_mark(struct ledger *l)
{
	int fd = openat(l->dir_fd, "ledger.mark", O_RDWR | O_CLOEXEC), r = 0;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, LEDGER_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED) {
		r = -EBADMSG;
	} else {
		l->mark = p;
		if (!*l->mark)
			r = settle_mark(fd);
	}
	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* A file with zeros, durable but for its name. */
static int make_file(const struct ledger *l, const char *name, uint64_t pages)
{
	static const uint8_t zeros[LEDGER_JOURNAL_PAGES * LEDGER_PAGE];
	int fd = openat(l->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : write_pages(fd, zeros, 0, pages);

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		(void)close(fd);
	return r;
}

static int sync_dir(const struct ledger *l)
{
	return fsync(l->dir_fd) < 0 ? -errno : 0;
}

static int create_main(struct ledger *l)
{
	bool in_place = MUTANT("create-in-place");
	int fd = openat(
		l->dir_fd, in_place ? "ledger" : "ledger.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : 0;

	l->epoch = l->page_count = 0;
	if (r == 0)
		r = write_header(l, fd);
	if (r == 0 && !MUTANT("create-no-fsync") && fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		(void)close(fd);
	if (r == 0 && !in_place && renameat(l->dir_fd, "ledger.new", l->dir_fd, "ledger") < 0)
		r = -errno;
	return r;
}

static int create(struct ledger *l)
{
	int r = make_file(l, "ledger.journal", LEDGER_JOURNAL_PAGES);

	if (r == 0)
		r = make_file(l, "ledger.mark", 1);
	if (r == 0)
		r = create_main(l);
	if (r == 0 && !MUTANT("create-no-dirsync"))
		r = sync_dir(l);
	return r;
}

int ledger_open(struct ledger *l, const char *dir, bool create_it)
{
	int r;

	*l = (struct ledger){ .fd = -1, .journal_fd = -1 };
	l->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = l->dir_fd < 0 ? -errno : 0;
	if (r == 0 && create_it && faccessat(l->dir_fd, "ledger", F_OK, 0) < 0)
		r = create(l);
	if (r == 0)
		r = open_files(l);
	if (r == 0)
		r = map_mark(l);
	if (r == 0)
		r = read_header(l);
	if (r == 0 && !*l->mark)
		r = recover(l);
	if (r < 0)
		ledger_drop(l);
	return r;
}

int ledger_read(struct ledger *l, uint64_t number, struct ledger_page *page)
{
	int r = read_pages(l->fd, page, number, 1);

	if (r == 0 && (page->number != number || page->checksum != ledger_checksum(page, sizeof(*page) - 8)))
		r = -EBADMSG;
	return r;
}

/* --- backup and close ----------------------------------------------------------------------------------------------- */

static int copy_pages(struct ledger *l, int fd)
{
	struct ledger_page page;
	int r = write_header(l, fd);

	for (uint64_t i = 1; i <= l->page_count && r == 0; i++) {
		r = read_pages(l->fd, &page, i, 1);
		if (r == 0)
			r = write_pages(fd, &page, i, 1);
	}
	return r;
}

int ledger_backup(struct ledger *l)
{
	const char *name = MUTANT("backup-in-place") ? "ledger.backup" : "ledger.backup.new";
	int fd = openat(l->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : l->failed;

	/* After a failure the pages at home may be older than the commit. */
	if (r == 0)
		r = copy_pages(l, fd);

	if (r == 0 && !MUTANT("backup-no-fsync") && fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		(void)close(fd);
	if (r == 0 && !MUTANT("backup-in-place") && renameat(l->dir_fd, name, l->dir_fd, "ledger.backup") < 0)
		r = -errno;
	if (r == 0 && !MUTANT("backup-no-dirsync"))
		r = sync_dir(l);
	return r;
}

static int mark(struct ledger *l)
{
	*l->mark = 1;
	return msync(l->mark, LEDGER_PAGE, MS_SYNC) < 0 ? -errno : 0;
}

int ledger_close(struct ledger *l)
{
	int r = l->failed;

	if (r == 0 && MUTANT("mark-too-early"))
		r = mark(l);
	if (r == 0)
		r = checkpoint(l);
	if (r == 0)
		r = mark(l);
	ledger_drop(l);
	return r;
}

void ledger_drop(struct ledger *l)
{
	if (l->mark)
		(void)munmap(l->mark, LEDGER_PAGE);
	if (l->journal_fd >= 0)
		(void)close(l->journal_fd);
	if (l->fd >= 0)
		(void)close(l->fd);
	if (l->dir_fd >= 0)
		(void)close(l->dir_fd);
	*l = (struct ledger){ .fd = -1, .journal_fd = -1, .dir_fd = -1 };
}
