/* SPDX-License-Identifier: Apache-2.0 */
/* region-killed.c - a region, killed: its worker brings pages home meanwhile, and written pages are searched for. */
#include "crash/killed.h"
#include "crash/region-model.h"

static int reopen(const char *dir, struct quire_region **region)
{
	int r = *region == NULL ? 0 : quire_region_close(*region);

	*region = NULL;
	return r < 0 ? r : model_open(dir, QUIRE_REGION_CREATE, RING_LIMIT, region);
}

int victim_run(const char *dir)
{
	struct quire_region *region = NULL;
	int r = reopen(dir, &region);
	uint64_t n = 0;

	if (r == 0)
		n = model_commit(region);
	if (r == 0)
		say("acked", n);
	while (r == 0 && n < COMMITS_MAX) {
		say("begun", ++n);
		r = model_stores(region, n, n, model_pages(n));
		if (r == 0)
			r = quire_region_commit(region, NULL);
		if (r == 0)
			say("acked", n);
		if (r == 0 && n % CLOSE_EVERY == 0)
			r = reopen(dir, &region);
	}
	return r == 0 ? quire_region_close(region) : r;
}

int victim_check(const char *dir, const struct crash_history *h)
{
	struct quire_region *region;

	/* One that was not even born is born here. */
	if (h->acked == 0 &&
		model_open(dir, QUIRE_REGION_CREATE | QUIRE_REGION_EXCLUSIVE, RING_LIMIT, &region) == 0)
		(void)quire_region_close(region);
	return model_check(dir, h);
}
