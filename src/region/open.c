/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/open.c - a region is born, opened and given back.
 *
 *	create    journal, then file: each written whole under another name, flushed, renamed, its directory flushed. Whoever
 *	          finds the file finds a journal that is its own.
 *	recover   read the journal from its tail to the first record that was never sealed (J5: and refuse when it was); write
 *	          again what was read, and flush it, for the page cache may hold what the disk never got; bring home all that no
 *	          reader forbids; show the rest from the journal
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "pagefile/sum.h"
#include "region/region.h"

enum {
	RESERVE_DEFAULT_GIB = 16,
	JOURNAL_FIRST = 4 << 20, /* it grows when commits find it full */
	JOURNAL_LIMIT_DEFAULT = 64 << 20,
	PRIVATE_DEFAULT = 64 << 20,
	HEAP_FIRST_PAGES = 256,
};

void region_lock(struct region *rg) lock_check_off
{
	lock_take(&rg->lock);
}

void region_unlock(struct region *rg) lock_check_off
{
	lock_give(&rg->lock);
}

struct region_state region_state(struct region *rg)
{
	struct region_state state;

	region_lock(rg);
	state = (struct region_state){ rg->sealed, rg->home, rg->failed };
	region_unlock(rg);
	return state;
}

void region_wait(struct region *rg)
{
	condition_wait(&rg->changed, &rg->lock);
}

void region_publish(struct region *rg)
{
	/* Forty bytes into the page cache, so that it may be done under the lock. If it fails, readers see an older state. */
	(void)pins_publish(&rg->pins, rg->sealed, rg->floor);
}

/* ---- state ---- */

int region_fail_held(struct region *rg, int error, bool left)
{
	if (rg->failed == 0 && !MUTANT("failed-goes-on")) {
		rg->failed = error;
		rg->failed_left = left;
		rg->failed_epoch = rg->sealed + 1;
	}
	condition_wake_all(&rg->changed);
	return error;
}

int region_fail(struct region *rg, int error)
{
	region_lock(rg);
	(void)region_fail_held(rg, error, false);
	region_unlock(rg);
	return error;
}

int region_ours(const struct region *rg)
{
	if (rg->pid == disk_process())
		return 0;
	return error_set(-EPERM, "%s was opened by process %d: a fork child has no part in it",
		rg->file.disk.path, rg->pid);
}

int region_ready(struct region *rg, bool write)
{
	uint64_t epoch;
	int failed;
	bool left;

	if (write && !rg->writable)
		return error_set(-EROFS, "%s was opened read-only", rg->file.disk.path);
	if (region_ours(rg) < 0) /* a lock of it may be held for ever by a thread that is not here */
		return -EPERM;
	region_lock(rg);
	failed = rg->failed;
	epoch = rg->failed_epoch;
	left = rg->failed_left;
	region_unlock(rg);
	if (failed == 0)
		return 0;
	return error_set(-EIO,
		"%s FAILED (%s) before epoch %" PRIu64
		" was sealed: close it and open it again, which recovers epoch %" PRIu64 "%s",
		rg->file.disk.path, strerror(-failed), epoch, epoch - 1,
		left ? ", or perhaps the one that failed, for it could not be taken back" : "");
}

int region_whole(struct region *rg)
{
	int r = pagefile_lost(&rg->file);

	if (r == 0)
		return 0;
	(void)region_fail(rg, r);
	return -EIO;
}

/* ---- birth ---- */

static int create_files(const struct region_request *request)
{
	bool heap = (request->flags & REGION_HEAP) != 0;
	uint64_t reserve = request->reserve_bytes == 0 ? (uint64_t)RESERVE_DEFAULT_GIB << 30
						       : request->reserve_bytes;
	uint64_t ring = request->journal_bytes == 0 ? JOURNAL_FIRST
						    : max_u64(request->journal_bytes, JOURNAL_LEAST);
	uint64_t pages = 1 + (heap ? 0 : (request->bytes + PAGE_BYTES - 1) / PAGE_BYTES);
	struct superblock head = {
		.pages_max = max_u64(reserve / PAGE_BYTES + 1, pages),
		.address = request->address == 0 ? 0 : request->address - PAGE_BYTES,
		.flags = heap ? REGION_HEAP : 0,
	};
	union {
		struct region_meta meta;
		unsigned char bytes[PAGE_BYTES];
	} page0 = { .bytes = { 0 } };
	int r;

	pages = heap ? min_u64(HEAP_FIRST_PAGES, head.pages_max) : pages;
	page0.meta = (struct region_meta){ .magic = REGION_MAGIC, .pages = pages, .flags = head.flags };
	page0.meta.heap.next_page = 1;
	r = disk_random(head.uuid, sizeof(head.uuid));
	if (r == 0 && MUTANT("region-before-journal"))
		r = pagefile_create(request->path, &head, pages, &page0, request->mode);
	if (r == 0)
		r = journal_create(request->path, head.uuid, align_up(ring, PAGE_BYTES), request->mode);
	if (r == 0 && !MUTANT("region-before-journal"))
		r = pagefile_create(request->path, &head, pages, &page0, request->mode);
	if (r < 0) /* on a full disk its blocks are the ones that are missing */
		journal_uncreate(request->path);
	return r;
}

/* The file, which is made when it is not there and may be; we are its writer when this returns 0. */
static int open_as_writer(struct region *rg, const struct region_request *request)
{
	bool create = (request->flags & REGION_CREATE) != 0;
	int r;

	/* Without permission to create, nothing is left behind where there is no region. */
	r = create ? 0 : pagefile_open(&rg->file, request->path, true);
	if (r == 0)
		r = pins_open(&rg->pins, request->path, true, request->mode);
	if (r == 0)
		r = pins_become_writer(&rg->pins);
	if (r < 0 || !create)
		return r;
	r = pagefile_open(&rg->file, request->path, true);
	if (r == 0 && (request->flags & REGION_EXCLUSIVE) != 0)
		return error_set(-EEXIST, "%s exists", request->path);
	if (r != -ENOENT)
		return r;
	r = create_files(request);
	return r < 0 ? r : pagefile_open(&rg->file, request->path, true);
}

/* ---- recovery ---- */

static int recover_length(struct region *rg, uint64_t *pages)
{
	struct region_meta *meta;
	int r;

	if (rg->journal.last != NULL && !MUTANT("length-from-file")) {
		*pages = rg->journal.last->region_pages;
		return 0;
	}
	r = pagefile_verify(&rg->file, 0, rg->stage);
	meta = rg->stage;
	if (r == 0 &&
		(meta->magic != REGION_MAGIC || meta->pages == 0 || meta->pages > rg->file.head.pages_max))
		r = error_set(-EBADMSG, "%s: page 0 makes no sense", rg->file.disk.path);
	*pages = meta->pages;
	return r;
}

/* The notes of what lies in the journal (R7). */
static int note_records(struct region *rg) must_hold(lock_region)
{
	for (const struct record *record = rg->journal.first; record != NULL; record = record->next)
		for (uint32_t i = 0; i < record->image_count; i++) {
			struct note *note = pages_make(&rg->pages, record->entries[i].page);

			if (note == NULL)
				return error_set(-ENOMEM, "no memory for the notes of a region");
			note->epoch = record->epoch;
			note->position = journal_image_offset(&rg->journal, record, i);
			note->sum = record->entries[i].sum;
			note->flags |= NOTE_SUM;
		}
	return 0;
}

static int overlay_record(struct region *rg, const struct record *record) must_hold(lock_region)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < record->image_count; i++) {
		uint64_t page = record->entries[i].page;
		void *to = pagefile_page(&rg->file, page);
		struct note *note = pages_make(&rg->pages, page);

		if (note == NULL)
			return error_set(-ENOMEM, "no memory for the notes of a region");
		r = journal_get_image(&rg->journal, journal_image_offset(&rg->journal, record, i), to);
		if (r == 0 && sum_page(page, to) != record->entries[i].sum)
			r = error_set(-EBADMSG, "%s: the image of page %" PRIu64 " is damaged",
				rg->journal.disk.path, page);
		rg->private_pages += (note->flags & NOTE_PRIVATE) == 0;
		note->flags |= NOTE_PRIVATE;
	}
	return r;
}

int region_overlay(struct region *rg, uint64_t from)
{
	int r = pagefile_unlock(&rg->file, true);

	for (const struct record *record = rg->journal.first; r == 0 && record != NULL; record = record->next)
		if (record->epoch > from)
			r = overlay_record(rg, record);
	if (r == 0)
		r = pagefile_unlock(&rg->file, false);
	return r;
}

int region_scan(struct region *rg)
{
	int r = journal_scan(&rg->journal, UINT64_MAX);

	if (r == 0)
		r = journal_end(&rg->journal, rg->stage, STAGE_PAGES * PAGE_BYTES);
	if (r < 0)
		return r;
	rg->damaged = r != JOURNAL_ENDS;
	return !rg->damaged || (rg->last_whole && r == JOURNAL_RECORD_DAMAGED) ? 0 : -EBADMSG;
}

/* The commits behind the damage are given up: a record that comes to lie before one of them must not make it count again. */
static int leave_behind(struct region *rg)
{
	return rg->journal.first == NULL
		? journal_skip(&rg->journal)
		: error_set(-EAGAIN, "%s: a reader is in the way: commits are given up when nobody reads",
			  rg->file.disk.path);
}

static int recover_records(struct region *rg)
{
	const struct record *record;
	int r;

	r = region_scan(rg);
	if (r == 0)
		r = journal_rewrite(&rg->journal, rg->stage, STAGE_PAGES * PAGE_BYTES); /* J4 */
	if (r == 0 && !MUTANT("recovery-believes-names"))
		r = disk_flush_name(&rg->file.disk); /* and of the journal: they are neighbours */
	if (r < 0)
		return r;
	region_lock(rg);
	rg->home = rg->floor = rg->journal.header.tail_epoch;
	rg->sealed = rg->journal.last == NULL ? rg->home : rg->journal.last->epoch;
	for (record = rg->journal.first; record != NULL; record = record->next) {
		rg->recovered_commits++;
		rg->recovered_pages += record->image_count;
	}
	r = note_records(rg);
	region_unlock(rg);
	return r;
}

static int recover(struct region *rg, const struct pagefile_place *place)
{
	uint64_t pages = 0;
	int r;

	r = recover_records(rg);
	if (r == 0)
		r = recover_length(rg, &pages);
	if (r == 0)
		r = pagefile_map(&rg->file, place);
	if (r == 0)
		r = pagefile_show(&rg->file, pages); /* R8: who finds it shorter finds it cut */
	if (r < 0)
		return r;
	region_lock(rg);
	region_publish(rg);
	region_unlock(rg);
	r = checkpoint_in_steps(rg);
	if (r == 0 && rg->damaged)
		r = leave_behind(rg);
	if (r == 0) {
		region_lock(rg);
		r = region_overlay(rg, rg->home); /* what a reader forbids to bring home */
		region_unlock(rg);
	}
	if (r == 0)
		r = dirty_rearm(rg, (struct pages_run){ 0, pages });
	if (r == 0 && (region_meta(rg)->magic != REGION_MAGIC || region_meta(rg)->pages != pages))
		r = error_set(-EBADMSG, "%s: page 0 makes no sense", rg->file.disk.path);
	return r;
}

/* ---- the whole ---- */

static int region_init(struct region *rg, const struct region_request *request)
{
	uint64_t keep = request->private_bytes == 0 ? PRIVATE_DEFAULT : request->private_bytes;

	lock_init(&rg->lock);
	lock_init(&rg->checkpoint_lock);
	lock_init(&rg->heap_lock);
	condition_init(&rg->changed);
	condition_init(&rg->work);
	rg->writable = (request->flags & REGION_READ_ONLY) == 0;
	rg->hinted = (request->flags & REGION_HINTED) != 0;
	rg->last_whole = (request->flags & REGION_LAST_WHOLE) != 0;
	rg->private_limit = keep / PAGE_BYTES;
	rg->pid = disk_process();
	rg->stage = aligned_alloc(PAGE_BYTES, STAGE_PAGES * PAGE_BYTES);
	rg->home_stage = aligned_alloc(PAGE_BYTES, STAGE_PAGES * PAGE_BYTES);
	if (rg->stage == NULL || rg->home_stage == NULL)
		return error_set(-ENOMEM, "no memory for a region");
	return 0;
}

static int writer_open(
	struct region *rg, const struct region_request *request, const struct pagefile_place *place)
{
	uint64_t limit = request->journal_bytes == 0 ? JOURNAL_LIMIT_DEFAULT : request->journal_bytes;
	int r;

	r = open_as_writer(rg, request);
	if (r == 0)
		r = pagefile_claim(&rg->file);
	if (r == 0)
		r = pages_init(&rg->pages, rg->file.head.pages_max);
	if (r == 0)
		r = journal_open(&rg->journal, request->path, rg->file.head.uuid, true);
	if (r < 0)
		return r;
	rg->journal.limit_bytes = max_u64(limit, rg->journal.ring_bytes);
	r = recover(rg, place);
	if (r == 0 && (request->flags & REGION_NO_THREAD) == 0)
		r = worker_start(&rg->worker, checkpoint_thread, rg);
	return r;
}

int region_open(const struct region_request *request, const struct pagefile_place *place, struct region **out)
{
	struct region *rg = calloc(1, sizeof(*rg));
	int r;

	if (rg == NULL)
		return error_set(-ENOMEM, "no memory for a region");
	r = region_init(rg, request);
	if (r == 0)
		r = rg->writable ? writer_open(rg, request, place) : reader_open(rg, request, place);
	if (r < 0) {
		(void)region_fail(rg, r); /* nothing is brought home by the close of what was never open */
		(void)region_close(rg);
		return r;
	}
	*out = rg;
	return 0;
}

static void worker_end(struct region *rg)
{
	region_lock(rg);
	rg->stopping = true;
	condition_wake_all(&rg->work);
	region_unlock(rg);
	worker_join(&rg->worker);
}

int region_close(struct region *rg)
{
	bool ours = rg->pid == disk_process(); /* a fork child has the memory, and none of the threads */
	int r = 0;

	if (rg->writable && ours) {
		worker_end(rg);
		if (region_state(rg).failed == 0)
			r = checkpoint_run(rg); /* what fails is left to the next open */
	}
	pagefile_close(&rg->file);
	journal_close(&rg->journal);
	pins_close(&rg->pins); /* last: who gets the lock finds everything closed */
	pages_done(&rg->pages);
	free(rg->dirty);
	free(rg->hints);
	free(rg->stage);
	free(rg->home_stage);
	if (ours) { /* else it would wait for the worker that sleeps on it in the other process */
		condition_done(&rg->changed);
		condition_done(&rg->work);
	}
	lock_done(&rg->lock);
	lock_done(&rg->checkpoint_lock);
	lock_done(&rg->heap_lock);
	free(rg);
	return r < 0 ? -EIO : 0;
}
