/* SPDX-License-Identifier: Apache-2.0 */
#include "region/check.h"

#include <errno.h>
#include <inttypes.h>

#include "base/error.h"
#include "pagefile/sum.h"
#include "region/heap.h"
#include "region/region.h"

/* A writer in another process may be bringing this very page home: look again before calling it damaged. */
enum { LOOKS = 5, NAP_NS = 2000000 };

static int writer_of(const struct region *rg)
{
	struct pins_live live;
	int r;

	if (rg->writable)
		return rg->pid;
	r = pins_look(&rg->pins, &live);
	return r == PINS_WRITER ? (int)live.pid : r == PINS_NO_WRITER ? 0 : -1;
}

/* A crash may have left such a page torn in the file: its image will mend it, and is checked instead. */
static bool lies_in_journal(const struct region *rg, uint64_t page)
{
	const struct note *note = pages_find(&rg->pages, page);

	return note != NULL && (rg->writable ? note->epoch != 0 : (note->flags & NOTE_PRIVATE) != 0);
}

static int check_page(struct region *rg, uint64_t page) must_hold(lock_checkpoint)
{
	int r = lies_in_journal(rg, page) ? 0 : pagefile_verify(&rg->file, page, rg->home_stage);

	for (int i = 1; r == -EBADMSG && !rg->writable && writer_of(rg) != 0 && i < LOOKS; i++) {
		lock_nap(NAP_NS);
		r = pagefile_verify(&rg->file, page, rg->home_stage);
	}
	return r;
}

static int check_pages(struct region *rg, struct region_report *report) must_hold(lock_checkpoint)
{
	for (uint64_t page = 0; page < rg->file.pages; page++) {
		int r = check_page(rg, page);

		report->pages_checked++;
		if (r == -EBADMSG && report->pages_damaged++ == 0)
			report->first_damaged = page;
		if (r < 0 && r != -EBADMSG)
			return r;
	}
	return 0;
}

static int check_images(struct region *rg, struct region_report *report) must_hold(lock_checkpoint)
{
	struct journal *journal = &rg->journal;

	for (const struct record *record = journal->first; record != NULL; record = record->next)
		for (uint32_t i = 0; i < record->image_count; i++) {
			const struct entry *entry = &record->entries[i];
			int r = journal_get_image(
				journal, journal_image_offset(journal, record, i), rg->home_stage);

			if (r < 0)
				return r;
			report->images_checked++;
			report->images_damaged += sum_page(entry->page, rg->home_stage) != entry->sum;
		}
	return 0;
}

static int check_locked(struct region *rg, struct region_report *report) must_hold(lock_checkpoint)
{
	int heap = 0;
	int r;

	r = check_pages(rg, report);
	/* A reader compared them when it read them; the writer may have used their space again. */
	if (r == 0 && rg->writable)
		r = check_images(rg, report);
	if ((rg->file.head.flags & REGION_HEAP) != 0)
		heap = heap_check(rg, &report->heap_objects);
	report->heap_damaged = heap < 0;
	if (r == 0 && report->pages_damaged > 0)
		return error_set(-EBADMSG,
			"%s: %" PRIu64 " of %" PRIu64 " pages are damaged, the first is page %" PRIu64,
			rg->file.disk.path, report->pages_damaged, report->pages_checked,
			report->first_damaged);
	if (r == 0 && report->images_damaged > 0)
		return error_set(-EBADMSG, "%s: %" PRIu64 " of %" PRIu64 " images are damaged",
			rg->journal.disk.path, report->images_damaged, report->images_checked);
	return r < 0 ? r : heap;
}

int region_check(struct region *rg, struct region_report *report)
{
	int r;

	*report = (struct region_report){ .pages_checked = 0 };
	checkpoint_lock(rg); /* so that no page is half home */
	r = check_locked(rg, report);
	checkpoint_unlock(rg);
	return r;
}

int region_check_range(struct region *rg, struct pages_run run, uint64_t *damaged)
{
	int r = 0;

	checkpoint_lock(rg);
	for (uint64_t i = 0; r == 0 && i < run.count; i++) {
		r = check_page(rg, run.first + i);
		if (r < 0)
			*damaged = run.first + i;
	}
	checkpoint_unlock(rg);
	return r;
}

/* ---- figures ---- */

void region_figures(struct region *rg, struct region_figures *f)
{
	lock_take(&rg->heap_lock);
	region_lock(rg);
	*f = (struct region_figures){
		.epoch = rg->sealed,
		.home = rg->home,
		.pages = rg->file.pages,
		.journal_bytes = rg->journal.ring_bytes,
		.journal_used = rg->journal.head - rg->journal.header.tail_position,
		.failed = rg->failed,
		.commits = rg->commits,
		.merged = rg->merged,
		.pages_logged = rg->pages_logged,
		.pages_home = rg->pages_home,
		.checkpoints = rg->checkpoints,
		.private_pages = rg->private_pages,
		.heap_used_bytes = region_meta(rg)->heap.used_bytes,
		.heap_objects = region_meta(rg)->heap.object_count,
	};
	for (const struct record *record = rg->journal.first; record != NULL; record = record->next)
		f->records++;
	region_unlock(rg);
	lock_give(&rg->heap_lock);
	f->writer = writer_of(rg);
	f->readers = pins_count(&rg->pins, f->home, f->epoch, &f->oldest_pinned);
}

bool region_record(struct region *rg, unsigned int index, struct region_record *out)
{
	const struct record *record;

	region_lock(rg);
	record = rg->journal.first;
	while (record != NULL && index-- > 0)
		record = record->next;
	if (record != NULL)
		*out = (struct region_record){
			.epoch = record->epoch,
			.images = record->image_count,
			.region_pages = record->region_pages,
			.offset = JOURNAL_RING_AT + record->offset,
			.bytes = journal_bytes(record->image_count),
		};
	region_unlock(rg);
	return record != NULL;
}
