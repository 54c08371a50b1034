/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/reader.c - another process sees the last commit, whole, while the writer goes on.
 *
 *	open      look: which epoch is sealed? -> pin it -> was it too late? -> show the file, and over it what the journal has
 *	refresh   look -> pin the newer one -> show what came between -> give the older pin back
 *
 * While an epoch is pinned, the file changes to no later one (N1), so what the reader sees stands still: pages it has copied
 * from the journal, and pages of the file that nobody wrote since. Nothing here writes a byte that another process sees.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "region/region.h"

enum { TRIES = 4000, NAP_NS = 1000000 };

/* look: what a reader found when it looked for the newest epoch */
struct look {
	int writer;            /* an enum pins_writer */
	struct pins_live live; /* of a PINS_WRITER */
	uint64_t epoch;        /* the newest it may see */
};

/* What cannot be read may have been overwritten under our eyes, by a writer that is there or, as the header says, was. */
static bool somebody_wrote(struct region *rg) must_hold(lock_region)
{
	uint64_t sequence = rg->journal.header.sequence;
	struct pins_live live;

	return pins_look(&rg->pins, &live) != PINS_NO_WRITER || journal_reread(&rg->journal) < 0 ||
		rg->journal.header.sequence != sequence;
}

/* Nobody writes, so that what cannot be read was either never sealed or is damaged. */
static int scan_at_rest(struct region *rg) must_hold(lock_region)
{
	int r = region_scan(rg);

	if (r != -EBADMSG)
		return r;
	journal_forget(&rg->journal); /* who wrote may have moved no header */
	r = region_scan(rg);
	return r == -EBADMSG && somebody_wrote(rg) ? -EAGAIN : r;
}

/* -EAGAIN: look again. */
static int look(struct region *rg, struct look *l) must_hold(lock_region)
{
	struct journal *journal = &rg->journal;
	int r;

	l->writer = pins_look(&rg->pins, &l->live);
	if (l->writer < 0)
		return l->writer;
	if (l->writer == PINS_STARTING)
		return -EAGAIN;
	r = journal_reread(journal);
	if (r < 0)
		return r;
	journal_forget(journal);
	r = l->writer == PINS_WRITER ? journal_scan(journal, l->live.sealed) : scan_at_rest(rg);
	if (r < 0)
		return r;
	l->epoch = journal->last == NULL ? journal->header.tail_epoch : journal->last->epoch;
	/* The tail moved while we read: what it passed was overwritten under our eyes. */
	return l->writer == PINS_WRITER && l->epoch < l->live.sealed ? -EAGAIN : 0;
}

/* Nobody writes, before the pin and after it. Somebody may have done between, and have gone: then the journal says so. */
static int look_again(struct region *rg) must_hold(lock_region)
{
	struct journal *journal = &rg->journal;
	const struct record *last = journal->last;
	uint64_t sequence = journal->header.sequence;
	int r = journal_reread(journal);

	if (r == 0 && journal->header.sequence != sequence)
		return -EAGAIN;
	if (r == 0)
		r = journal_scan(journal, UINT64_MAX);
	return r < 0 ? r : journal->last == last ? 0 : -EAGAIN;
}

/* Pins what was found; -EAGAIN when the writer was faster. */
static int pin(struct region *rg, const struct look *l) must_hold(lock_region)
{
	struct pins_live now;
	int r = pins_take(&rg->pins, l->epoch);

	if (r < 0)
		return r == -ESTALE ? -EAGAIN : r;
	r = pins_look(&rg->pins, &now);
	if (r >= 0 && r != l->writer)
		r = -EAGAIN;
	if (r == PINS_WRITER)
		r = now.floor <= l->epoch ? 0 : -EAGAIN; /* N2 */
	else if (r == PINS_NO_WRITER)
		r = look_again(rg);
	if (r == 0)
		return 0;
	pins_give(&rg->pins, l->epoch);
	return r;
}

static int show(struct region *rg, uint64_t from) must_hold(lock_region)
{
	const struct record *last = rg->journal.last;
	const struct region_meta *meta = rg->stage;
	int r = 0;

	if (last != NULL)
		r = pagefile_show(&rg->file, last->region_pages);
	else if (rg->file.pages == 0)
		r = pagefile_verify(&rg->file, 0, rg->stage);
	if (r == 0 && rg->file.pages == 0)
		r = meta->magic == REGION_MAGIC && meta->pages > 0 && meta->pages <= rg->file.head.pages_max
			? pagefile_show(&rg->file, meta->pages)
			: error_set(-EBADMSG, "%s: page 0 is damaged", rg->file.disk.path);
	return r < 0 ? r : region_overlay(rg, from);
}

/* Everything anew: the file, and over it the journal from its tail. */
static int show_all(struct region *rg) must_hold(lock_region)
{
	int r = 0;

	if (rg->file.pages > 0 && rg->private_pages > 0)
		r = pagefile_drop(&rg->file, &(struct pages_run){ 0, rg->file.pages }, 1);
	if (r < 0)
		return r;
	pages_done(&rg->pages);
	rg->private_pages = 0;
	r = pages_init(&rg->pages, rg->file.head.pages_max);
	return r < 0 ? r : show(rg, rg->journal.header.tail_epoch);
}

static void see(struct region *rg, uint64_t epoch) must_hold(lock_region)
{
	rg->sealed = epoch;
	rg->home = rg->journal.header.tail_epoch;
}

static int open_once(struct region *rg) must_hold(lock_region)
{
	struct look l;
	int r = look(rg, &l);

	if (r == 0)
		r = pin(rg, &l);
	if (r < 0)
		return r;
	r = show_all(rg);
	if (r == 0) {
		see(rg, l.epoch);
		return 0;
	}
	pins_give(&rg->pins, l.epoch);
	/* Records up to the pinned epoch may be brought home and overwritten while we copy from them. */
	return r == -EBADMSG && (l.writer == PINS_WRITER || somebody_wrote(rg)) ? -EAGAIN : r;
}

int reader_open(struct region *rg, const struct region_request *request, const struct pagefile_place *place)
{
	int r;

	r = pagefile_open(&rg->file, request->path, false);
	if (r == 0)
		r = pins_open(&rg->pins, request->path, false, request->mode);
	if (r == 0)
		r = journal_open(&rg->journal, request->path, rg->file.head.uuid, false);
	if (r == 0)
		r = pagefile_map(&rg->file, place);
	if (r < 0)
		return r;
	for (int i = 0; i < TRIES; i++) {
		region_lock(rg);
		r = open_once(rg);
		region_unlock(rg);
		if (r != -EAGAIN)
			return r;
		lock_nap(NAP_NS);
	}
	return error_set(-EAGAIN, "%s: its writer is starting, and does not get on", request->path);
}

/* -EAGAIN: look again. What the window shows is then nothing, until a look succeeds: rg->torn. */
static int show_newer(struct region *rg, const struct look *l) must_hold(lock_region)
{
	int r;

	if (!rg->torn && rg->private_pages <= rg->private_limit)
		return show(rg, rg->sealed); /* what lies behind the older pin cannot be overwritten yet */
	/* From the tail: records up to the older pin may be brought home and overwritten while we copy from them. */
	r = show_all(rg);
	rg->torn = r < 0;
	return r == -EBADMSG && (l->writer == PINS_WRITER || somebody_wrote(rg)) ? -EAGAIN : r;
}

static int refresh_once(struct region *rg) must_hold(lock_region)
{
	const uint64_t seen = rg->sealed;
	struct look l;
	int r = look(rg, &l);

	if (r < 0 || (l.epoch <= seen && !rg->torn))
		return r;
	if (l.epoch > seen)
		r = pin(rg, &l);
	if (r < 0)
		return r;
	r = show_newer(rg, &l);
	if (r < 0) {
		if (l.epoch > seen)
			pins_give(&rg->pins, l.epoch);
		/* Partly newer: no state that ever was. */
		return r == -EAGAIN ? r : region_fail_held(rg, r, false);
	}
	if (l.epoch > seen)
		pins_give(&rg->pins, seen);
	see(rg, l.epoch);
	return 0;
}

int reader_refresh(struct region *rg, uint64_t *epoch)
{
	int r = region_whole(rg);

	if (r == 0)
		r = region_ready(rg, false);
	for (int i = 0; r == 0 && i < TRIES; i++) {
		region_lock(rg); /* other threads may ask for figures */
		r = refresh_once(rg);
		*epoch = rg->sealed;
		region_unlock(rg);
		if (r != -EAGAIN)
			break;
		lock_nap(NAP_NS);
		r = i + 1 < TRIES ? 0 : error_set(-EAGAIN, "%s: its writer is starting", rg->file.disk.path);
	}
	return r == -EAGAIN && rg->torn ? region_fail(rg, r) : r;
}
