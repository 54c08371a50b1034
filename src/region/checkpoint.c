/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/checkpoint.c - brings committed pages home from the journal, so that its space can be used again.
 *
 *	how far    all that is sealed, or up to the oldest epoch that a reader has pinned (R4)
 *	announce   the floor: from now on the file may hold something of these epochs
 *	gather     the newest image of each page up to there; an older one of the same page is not written
 *	write      from the journal, in the order of the file, runs together; never from the window
 *	flush      the file: what was written is home
 *	tail       the header that says so is durable; then the space is free (R5)
 *
 * It runs in a thread of its own when the journal is half as full as it may be, in the commit that finds no room, and at close. A crash at any
 * step leaves records that are replayed: the same steps with the same result. Bounded: one pass is at most one ring.
 *
 * Recovery takes several passes, each of twice as much as the one before: who is killed in it again and again gets on all the
 * same, and who is not pays a few flushes more.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mutant.h"
#include "pagefile/sum.h"
#include "region/region.h"

enum { FIRST_STEP = 256 }; /* images: 1 MiB is home in some ten milliseconds */

struct image {
	uint64_t page;
	uint64_t epoch;
	uint64_t offset;
	uint64_t sum;
};

/* pass: one checkpoint in progress */
struct pass {
	struct region *region;
	size_t most;          /* images, but one record at least */
	uint64_t target;      /* set by aim: the newest epoch it may bring home; by gather: and does */
	struct image *images; /* set by gather: by page, each once */
	size_t image_count;
	struct journal_header tail; /* set by gather */
};

void checkpoint_lock(struct region *rg) lock_check_off
{
	lock_take(&rg->checkpoint_lock);
}

void checkpoint_unlock(struct region *rg) lock_check_off
{
	lock_give(&rg->checkpoint_lock);
}

/* Sets target; 0 when there is nothing to do. */
static int pass_aim(struct pass *p) must_hold(lock_checkpoint)
{
	struct region *rg = p->region;
	uint64_t sealed;
	uint64_t closed;
	int r;

	region_lock(rg);
	sealed = rg->sealed;
	r = rg->failed != 0 ? -EIO : sealed == rg->home ? 0 : 1;
	region_unlock(rg);
	if (r <= 0)
		return r;
	r = pins_close_below(&rg->pins, sealed, &closed);
	if (r < 0)
		return r;
	p->target = min_u64(sealed, closed);
	region_lock(rg);
	r = p->target > rg->home;
	if (r == 1) {
		rg->floor = p->target;
		region_publish(rg);
	}
	region_unlock(rg);
	return r;
}

/* By page, and of one page the newest first. */
static int by_page(const void *a, const void *b)
{
	const struct image *x = a;
	const struct image *y = b;

	if (x->page != y->page)
		return x->page < y->page ? -1 : 1;
	if (MUTANT("home-oldest"))
		return (x->epoch > y->epoch) - (x->epoch < y->epoch);
	return (x->epoch < y->epoch) - (x->epoch > y->epoch);
}

static size_t keep_newest(struct image *images, size_t count)
{
	size_t kept = 0;

	qsort(images, count, sizeof(*images), by_page);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || images[kept - 1].page != images[i].page)
			images[kept++] = images[i];
	return kept;
}

static int gather_locked(struct pass *p) must_hold(lock_region)
{
	const struct journal *journal = &p->region->journal;
	const struct record *last = NULL;
	size_t count = 0;

	for (const struct record *r = journal->first; r != NULL && r->epoch <= p->target; r = r->next) {
		if (last != NULL && count + r->image_count > p->most)
			break;
		count += r->image_count;
		last = r;
	}
	assert(last != NULL);
	assert(last->epoch <= p->target);
	p->target = last->epoch;
	p->images = malloc(count * sizeof(*p->images));
	if (p->images == NULL)
		return error_set(-ENOMEM, "no memory for a checkpoint");
	for (const struct record *r = journal->first; r != last->next; r = r->next)
		for (uint32_t i = 0; i < r->image_count; i++)
			p->images[p->image_count++] = (struct image){ r->entries[i].page, r->epoch,
				journal_image_offset(journal, r, i), r->entries[i].sum };
	journal_tail(journal, last, &p->tail);
	return 0;
}

static int pass_gather(struct pass *p)
{
	int r;

	region_lock(p->region);
	r = gather_locked(p);
	region_unlock(p->region);
	if (r == 0)
		p->image_count = keep_newest(p->images, p->image_count);
	return r;
}

/* Images [first, end) are neighbours in the file, and no more than the stage holds. */
static int write_run(struct pass *p, size_t first, size_t end)
{
	struct region *rg = p->region;
	char *stage = rg->home_stage;
	uint64_t sums[STAGE_PAGES];
	int r = 0;

	for (size_t i = first; r == 0 && i < end; i++) {
		const struct image *image = &p->images[i];
		char *page = stage + (i - first) * PAGE_BYTES;

		r = journal_get_image(&rg->journal, image->offset, page);
		if (r == 0 && sum_page(image->page, page) != image->sum)
			r = error_set(-EIO,
				"%s: the image of page %" PRIu64 " of epoch %" PRIu64 " is damaged",
				rg->journal.disk.path, image->page, image->epoch);
		sums[i - first] = image->sum;
	}
	return r < 0 ? r
		     : pagefile_put(&rg->file, (struct pages_run){ p->images[first].page, end - first },
			       stage, sums);
}

static int pass_write(struct pass *p)
{
	size_t first = 0;
	int r = 0;

	for (size_t i = 1; r == 0 && i <= p->image_count; i++) {
		if (i < p->image_count && p->images[i].page == p->images[i - 1].page + 1 &&
			i - first < STAGE_PAGES)
			continue;
		r = write_run(p, first, i);
		first = i;
	}
	return r;
}

static void pass_finish(struct pass *p)
{
	struct region *rg = p->region;

	region_lock(rg);
	for (size_t i = 0; i < p->image_count; i++) {
		struct note *note = pages_note(&rg->pages, p->images[i].page);

		if (note->epoch <= p->target)
			note->epoch = 0; /* R7 */
	}
	journal_trim(&rg->journal, &p->tail);
	rg->home = p->target;
	rg->checkpoints++;
	rg->pages_home += p->image_count;
	region_unlock(rg);
}

/* 1 when something was brought home, 0 when there was nothing to bring. */
static int pass_run(struct pass *p) must_hold(lock_checkpoint)
{
	struct region *rg = p->region;
	int r;

	r = pass_aim(p);
	if (r <= 0)
		return r;
	r = pass_gather(p);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && MUTANT("header-first"))
		r = journal_put_tail(&rg->journal, &p->tail);
	if (r == 0)
		r = pass_write(p);
	if (r == 0 && !MUTANT("skip-home-flush"))
		r = pagefile_flush(&rg->file);
	if (r == 0 && !MUTANT("reuse-before-header"))
		r = journal_put_tail(&rg->journal, &p->tail);
	if (r < 0)
		return region_fail(rg, r);
	pass_finish(p);
	return 1;
}

static int one_pass(struct region *rg, size_t most)
{
	struct pass pass = { .region = rg, .most = most };
	int r;

	checkpoint_lock(rg);
	r = pass_run(&pass);
	checkpoint_unlock(rg);
	free(pass.images);
	return r;
}

int checkpoint_run(struct region *rg)
{
	int r = one_pass(rg, SIZE_MAX);

	return r < 0 ? r : 0;
}

int checkpoint_in_steps(struct region *rg)
{
	size_t most = FIRST_STEP;
	int r;

	do {
		r = one_pass(rg, most);
		most *= 2;
	} while (r == 1);
	return r;
}

/* ---- in the background ---- */

/* Of what it may grow to: a page that is written again before it went home goes home once. */
static bool half_full(const struct region *rg) must_hold(lock_region)
{
	return rg->journal.ring_bytes - journal_free(&rg->journal) > rg->journal.limit_bytes / 2;
}

void checkpoint_wake(struct region *rg)
{
	if (rg->worker.running && half_full(rg))
		condition_wake_all(&rg->work);
}

void *checkpoint_thread(void *region) lock_check_off
{
	struct region *rg = region;
	uint64_t tried = 0; /* a reader may be in the way: try again after the next commit */

	region_lock(rg);
	while (!rg->stopping) {
		if (atomic_load(&rg->walk.next) < rg->walk.end) {
			dirty_help(rg);
			continue;
		}
		if (rg->failed != 0 || rg->sealed == tried || !half_full(rg)) {
			condition_wait(&rg->work, &rg->lock);
			continue;
		}
		tried = rg->sealed;
		region_unlock(rg);
		(void)checkpoint_run(rg); /* what fails makes the region FAILED, and every call says so */
		region_lock(rg);
	}
	region_unlock(rg);
	return NULL;
}
