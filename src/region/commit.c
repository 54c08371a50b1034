/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/commit.c - one commit, from the stores of all threads to one durable record.
 *
 *	join     wait until nobody stores; several callers become one commit, and the others get its answer
 *	freeze   the dirty set is known, and its pages are armed again: a later store belongs to the next epoch
 *	log      the images are copied, summed and written behind the newest record
 *	seal     one fdatasync: before it nothing of this epoch can be seen after a crash, after it all of it
 *	thaw     readers hear of it, copies whose bytes are home are dropped, the next one may begin
 *
 * A page is armed before it is copied. So a store by a thread that keeps to no rule (neither enter nor a lock of its own)
 * is in this epoch or in the next one's dirty set, or in both; it is not lost.
 *
 * Roads not taken: writing from the window itself, without a copy, gives a record whose sum is wrong when such a thread
 * stores meanwhile - recovery would then throw the whole commit away. Logging differences instead of pages makes small
 * commits smaller, but a flush costs the same for 4 KiB as for 64.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "pagefile/sum.h"
#include "region/region.h"

/* commit: one commit in progress, passed through its steps */
struct commit {
	struct region *region; /* in */
	uint64_t upto;         /* set by join: the callers it answers */
	struct record *record; /* set by freeze; NULL: nothing was written, nothing is to be done */
	struct record_head *head;
	bool wrote; /* set by log: the journal may hold something of it */
};

/* ---- who may store, who may commit ---- */

static _Thread_local struct region *inside; /* the region this thread has entered */
static _Thread_local unsigned int depth;

int region_enter(struct region *rg)
{
	int r = region_ready(rg, true);

	if (r < 0)
		return r;
	if (depth > 0 && inside != rg)
		return error_set(-EINVAL, "a thread can be inside one region at a time");
	if (depth++ > 0)
		return 0;
	inside = rg;
	region_lock(rg);
	while (rg->exclusive || rg->asked > rg->answered) /* a commit that waits goes first */
		region_wait(rg);
	rg->holders++;
	region_unlock(rg);
	return 0;
}

int region_exit(struct region *rg)
{
	if (depth == 0 || inside != rg)
		return error_set(-EINVAL, "this thread has not entered the region");
	if (--depth > 0)
		return 0;
	inside = NULL;
	region_lock(rg);
	rg->holders--;
	condition_wake_all(&rg->changed);
	region_unlock(rg);
	return 0;
}

static int refuse_inside(const struct region *rg)
{
	return depth > 0 && inside == rg
		? error_set(-EDEADLK, "this thread is inside the region: quire_region_exit comes first")
		: 0;
}

int exclusive_begin(struct region *rg)
{
	int r = refuse_inside(rg);

	if (r < 0)
		return r;
	region_lock(rg);
	while (rg->exclusive || rg->holders > 0)
		region_wait(rg);
	rg->exclusive = true;
	region_unlock(rg);
	return 0;
}

void exclusive_end(struct region *rg)
{
	region_lock(rg);
	rg->exclusive = false;
	condition_wake_all(&rg->changed);
	region_unlock(rg);
}

/* ---- join ---- */

/* 0: this caller commits. 1: another's commit has answered for it, with rg->answer. */
static int commit_join(struct commit *c)
{
	struct region *rg = c->region;
	uint64_t ticket;
	int r = refuse_inside(rg);

	if (r < 0)
		return r;
	region_lock(rg);
	ticket = ++rg->asked;
	while (rg->answered < ticket && (rg->exclusive || rg->holders > 0))
		region_wait(rg);
	r = rg->answered >= ticket;
	if (r == 0) {
		rg->exclusive = true;
		c->upto = rg->asked;
	} else {
		rg->merged++;
	}
	region_unlock(rg);
	return r;
}

static void commit_answer(struct commit *c, int answer)
{
	struct region *rg = c->region;

	region_lock(rg);
	rg->answered = c->upto;
	rg->answer = answer;
	region_unlock(rg);
	exclusive_end(rg);
}

static int commit_of_another(const struct commit *c, uint64_t *epoch)
{
	struct region *rg = c->region;
	int r;

	region_lock(rg);
	r = rg->answer;
	*epoch = rg->sealed;
	region_unlock(rg);
	if (r < 0 && region_ready(rg, true) == 0)
		error_set(r, "the commit that was merged with another's failed: %s", strerror(-r));
	return r;
}

/* ---- freeze ---- */

/* A store that went astray in front of the program's first byte would make a region that nobody can open again. */
static int refuse_page0(const struct region *rg)
{
	const struct region_meta *meta = region_meta(rg);
	const struct note *note = pages_find(&rg->pages, 0);

	if (note == NULL || (note->flags & NOTE_DIRTY) == 0)
		return 0;
	return meta->magic == REGION_MAGIC && meta->pages == rg->file.pages
		? 0
		: error_set(-EBADMSG,
			  "%s: something was stored in the page before the region's first byte, which is not the program's: "
			  "quire_region_abort() puts it right",
			  rg->file.disk.path);
}

static int commit_freeze(struct commit *c)
{
	struct region *rg = c->region;
	int r = dirty_collect(rg);

	if (r == 0)
		r = refuse_page0(rg);
	if (r < 0 || rg->dirty_count == 0)
		return r;
	if (rg->dirty_count > UINT32_MAX / 2)
		return error_set(-EFBIG, "%zu dirty pages are more than one commit holds", rg->dirty_count);
	c->record = journal_record_new((uint32_t)(rg->dirty_count - (MUTANT("log-one-less") != 0)));
	c->head = c->record == NULL ? NULL : journal_head_new(c->record);
	return c->head == NULL ? error_set(-ENOMEM, "no memory for a record") : 0;
}

/* ---- log ---- */

static int full(struct region *rg, int error, uint64_t bytes)
{
	uint64_t oldest = 0;
	struct region_state now;
	int pid;

	if (error == -EFBIG)
		return error_set(error,
			"one commit of %" PRIu64 " bytes is more than the journal may grow to (%" PRIu64
			"): give journal_bytes when opening",
			bytes, rg->journal.limit_bytes);
	now = region_state(rg); /* the worker may be at its next pass */
	if (error != -EAGAIN || pins_count(&rg->pins, now.home, now.sealed, &oldest) == 0)
		return error;
	pid = pins_holder(&rg->pins, oldest);
	if (pid < 0)
		return error_set(
			error, "the journal is full, and a reader still sees epoch %" PRIu64, oldest);
	return error_set(error,
		"the journal is full, and process %d still reads epoch %" PRIu64
		": it has to refresh or close",
		pid, oldest);
}

static int try_extend(struct region *rg, uint64_t bytes)
{
	struct journal_header next;
	bool broken = false;
	bool enough;
	int r = 0;

	checkpoint_lock(rg);
	region_lock(rg);
	enough = journal_free(&rg->journal) >= bytes;
	region_unlock(rg);
	if (!enough)
		r = journal_extend(&rg->journal, bytes, &next, &broken);
	if (!enough && r == 0) {
		region_lock(rg);
		journal_extended(&rg->journal, &next);
		region_unlock(rg);
	}
	checkpoint_unlock(rg);
	return broken ? region_fail(rg, r) : r;
}

/* Room in the ring: by making it longer, or, where it cannot be, by bringing home what lies in it. */
static int make_room(struct region *rg, uint64_t bytes)
{
	int r = try_extend(rg, bytes);

	if (r != -EAGAIN && !disk_is_full(r))
		return r == -EFBIG ? full(rg, r, bytes) : r;
	r = checkpoint_run(rg);
	if (r == 0)
		r = try_extend(rg, bytes);
	return full(rg, r, bytes);
}

/* Images first .. first + count, through the stage. */
static int log_some(struct commit *c, uint32_t first, uint32_t count)
{
	struct region *rg = c->region;
	char *stage = rg->stage;

	for (uint32_t i = 0; i < count; i++) {
		struct entry *entry = &c->record->entries[first + i];

		entry->page = rg->dirty[first + i];
		memcpy(stage + i * PAGE_BYTES, pagefile_page(&rg->file, entry->page), PAGE_BYTES);
		entry->sum = sum_page(entry->page, stage + i * PAGE_BYTES);
	}
	return journal_put_images(&rg->journal, c->record, first, count, stage);
}

static int commit_log(struct commit *c)
{
	struct region *rg = c->region;
	struct record *record = c->record;
	int r;

	if (record == NULL)
		return 0;
	r = make_room(rg, journal_bytes(record->image_count));
	if (r < 0)
		return r;

	c->wrote = true;
	if (rg->grown && !MUTANT("skip-growth-flush"))
		r = pagefile_flush(&rg->file); /* R8 */
	region_lock(rg);
	record->epoch = rg->sealed + 1; /* R2 */
	record->region_pages = rg->file.pages - (rg->grown && MUTANT("forget-growth"));
	journal_place(&rg->journal, record);
	region_unlock(rg);
	for (uint32_t done = 0; r == 0 && done < record->image_count; done += STAGE_PAGES)
		r = log_some(c, done, (uint32_t)min_u64(STAGE_PAGES, record->image_count - done));
	if (r == 0)
		r = pagefile_lost(&rg->file); /* zeros that were copied are nobody's stores */
	if (r == 0)
		r = journal_put_head(&rg->journal, record, c->head);
	return r;
}

/* ---- seal ---- */

static int commit_seal(const struct commit *c)
{
	if (MUTANT("drop-commit-flush"))
		return 0;
	if (MUTANT("flush-wrong-file"))
		return pagefile_flush(&c->region->file);
	return c->record == NULL ? 0 : journal_flush(&c->region->journal);
}

/* ---- after the seal: nothing can fail ---- */

static void note_logged(struct region *rg, const struct record *record) must_hold(lock_region)
{
	for (uint32_t i = 0; i < record->image_count; i++) {
		struct note *note = pages_note(&rg->pages, record->entries[i].page);

		rg->private_pages += (note->flags & NOTE_PRIVATE) == 0;
		note->flags |= NOTE_PRIVATE | NOTE_SUM;
		note->sum = record->entries[i].sum;
		note->epoch = record->epoch;
		note->position = journal_image_offset(&rg->journal, record, i); /* R7 */
	}
}

static bool may_drop(const struct note *note)
{
	return (note->flags & (NOTE_PRIVATE | NOTE_DIRTY)) == NOTE_PRIVATE &&
		(note->epoch == 0 || MUTANT("drop-copy-early")); /* R3 */
}

/* The copies of one leaf that the file has. */
static void drop_leaf(struct region *rg, uint64_t leaf) must_hold(lock_region)
{
	struct pages_run runs[NOTES_A_LEAF];
	struct note *notes = rg->pages.leaves[leaf];
	uint64_t first = leaf * NOTES_A_LEAF;
	size_t n = 0;

	for (uint64_t i = 0; i < NOTES_A_LEAF; i++) {
		if (!may_drop(&notes[i]))
			continue;
		/* cppcheck-suppress uninitvar ; n counts what is set */
		if (n > 0 && runs[n - 1].first + runs[n - 1].count == first + i)
			runs[n - 1].count++;
		else
			runs[n++] = (struct pages_run){ first + i, 1 };
	}
	if (n == 0 || pagefile_drop(&rg->file, runs, n) < 0)
		return; /* a copy that stays is only memory */
	for (uint64_t i = 0; i < NOTES_A_LEAF; i++)
		if (may_drop(&notes[i])) {
			notes[i].flags &= ~(uint32_t)NOTE_PRIVATE;
			rg->private_pages--;
		}
}

static void drop_copies(struct region *rg) must_hold(lock_region)
{
	if (rg->private_pages <= rg->private_limit || rg->dropped_home == rg->home)
		return;
	for (uint64_t leaf = 0; leaf < rg->pages.leaf_count; leaf++)
		if (rg->pages.leaves[leaf] != NULL)
			drop_leaf(rg, leaf);
	rg->dropped_home = rg->home;
}

static uint64_t commit_thaw(struct commit *c)
{
	struct region *rg = c->region;
	uint64_t epoch;

	region_lock(rg);
	dirty_forget(rg);
	if (c->record != NULL) {
		note_logged(rg, c->record);
		journal_append(&rg->journal, c->record);
		rg->sealed = c->record->epoch;
		rg->commits++;
		rg->pages_logged += c->record->image_count;
		rg->grown = false;
		region_publish(rg);
	}
	drop_copies(rg);
	checkpoint_wake(rg);
	epoch = rg->sealed;
	region_unlock(rg);
	free(c->head);
	commit_answer(c, 0);
	return epoch;
}

/* Back to DIRTY: what was frozen stays on the list. After a write that failed there is no way back. */
static int commit_undo(struct commit *c, int error)
{
	bool left = false;
	int failed;

	if (c->wrote && !MUTANT("leave-failed-record"))
		left = journal_void(&c->region->journal, c->record) != 0; /* J3 */
	if (c->wrote) {
		region_lock(c->region);
		(void)region_fail_held(c->region, error, left);
		region_unlock(c->region);
	}
	free(c->record);
	free(c->head);
	failed = region_ready(c->region, true); /* a checkpoint on the way may have failed, too */
	error = failed < 0 ? failed : error;
	commit_answer(c, error);
	return error;
}

/* ---- the whole ---- */

int region_commit(struct region *rg, uint64_t *epoch)
{
	struct commit c = { .region = rg };
	int r;

	r = region_whole(rg);
	if (r == 0)
		r = region_ready(rg, true);
	if (r == 0)
		r = commit_join(&c);
	if (r != 0)
		return r < 0 ? r : commit_of_another(&c, epoch);

	r = commit_freeze(&c);
	if (r == 0)
		r = commit_log(&c);
	if (r == 0)
		r = commit_seal(&c); /* the commit point */
	if (r < 0)
		return commit_undo(&c, r);
	*epoch = commit_thaw(&c); /* cannot fail */
	return 0;
}
