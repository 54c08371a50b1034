/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/abort.c - back to the last commit, in time proportional to the dirty pages.
 *
 *	collect -> restore what only the journal has -> drop what the file has -> forget
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mutant.h"
#include "pagefile/sum.h"
#include "region/region.h"

/* The newest committed image of a page that the file does not have yet. */
static int restore(struct region *rg, uint64_t page, const struct note *committed)
{
	void *to = pagefile_page(&rg->file, page);
	int r = journal_get_image(&rg->journal, committed->position, to);

	if (r == 0 && sum_page(page, to) != committed->sum)
		r = error_set(
			-EIO, "%s: the image of page %" PRIu64 " is damaged", rg->journal.disk.path, page);
	return r < 0 ? r : dirty_rearm(rg, (struct pages_run){ page, 1 });
}

/* Those restored here are left out of the runs, which the caller drops. */
static int restore_or_run(struct region *rg, struct pages_run *runs, size_t *run_count)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < rg->dirty_count; i++) {
		uint64_t page = rg->dirty[i];
		struct note note;

		region_lock(rg);
		note = *pages_note(&rg->pages, page);
		region_unlock(rg);
		/* The checkpoint may bring it home this moment: its place in the ring is not written before the next commit,
		 * and we are in its way. */
		if (note.epoch != 0 && !MUTANT("abort-to-file"))
			r = restore(rg, page, &note);
		else if (n > 0 && runs[n - 1].first + runs[n - 1].count == page)
			runs[n - 1].count++;
		else
			runs[n++] = (struct pages_run){ page, 1 };
	}
	*run_count = n;
	return r;
}

static void note_dropped(struct region *rg, const struct pages_run *runs, size_t run_count)
{
	region_lock(rg);
	for (size_t i = 0; i < run_count; i++)
		for (uint64_t page = runs[i].first; page < runs[i].first + runs[i].count; page++) {
			struct note *note = pages_note(&rg->pages, page);

			rg->private_pages -= (note->flags & NOTE_PRIVATE) != 0;
			note->flags &= ~(uint32_t)NOTE_PRIVATE;
		}
	region_unlock(rg);
}

static int abort_steps(struct region *rg)
{
	struct pages_run *runs;
	size_t run_count;
	int r = dirty_collect(rg);

	if (r < 0 || rg->dirty_count == 0)
		return r;
	runs = malloc(rg->dirty_count * sizeof(*runs));
	if (runs == NULL)
		return error_set(-ENOMEM, "no memory for the list of pages");
	r = restore_or_run(rg, runs, &run_count);
	if (r == 0 && !MUTANT("abort-keeps-copies"))
		r = pagefile_drop(&rg->file, runs, run_count);
	if (r == 0) {
		note_dropped(rg, runs, run_count);
		region_lock(rg);
		dirty_forget(rg);
		region_unlock(rg);
	}
	free(runs);
	/* Pages it had grown by in this epoch go. */
	if (r == 0)
		r = pagefile_show(&rg->file, region_meta(rg)->pages);
	return r;
}

int region_abort(struct region *rg)
{
	int r = region_whole(rg);

	if (r == 0)
		r = region_ready(rg, true);
	if (r == 0)
		r = exclusive_begin(rg);
	if (r < 0)
		return r;
	r = abort_steps(rg);
	if (r < 0 && r != -ENOMEM)
		(void)region_fail(rg, r); /* half of it is back: nobody may commit that */
	if (r < 0 && region_ready(rg, true) < 0)
		r = -EIO;
	exclusive_end(rg);
	return r;
}
