/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/fork.h"

#include <pthread.h>

#include "base/align.h"
#include "base/error.h"
#include "base/lock.h"
#include "pmap/native.h"
#include "vm/as.h"

static const uint32_t nothing_opened; /* 0, as the page is in a child */

const volatile uint32_t *fork_page = &nothing_opened;

static uint32_t *page;
static uint32_t generation; /* survives fork, so that a child's marks differ from its parent's */
static struct lock lock = LOCK_INIT;

/* An address space of its own: it belongs to the process, not to a user's handle, and is never given back. */
static struct pmap pmap;
static struct as as;

static int map_page(void)
{
	struct map_request request = {
		.how = PMAP_ANYWHERE,
		.range = { .end = PAGE_BYTES, .flags = PMAP_WIPEONFORK, .prot = PMAP_READ | PMAP_WRITE },
	};
	uintptr_t start = 0;
	int r;

	native_init(&pmap, as_up, &as);
	r = as_init(&as, &pmap);
	if (r == 0)
		r = as_map(&as, &request, &start);
	if (r < 0)
		return error_default(r, "no memory for the page that notices a fork");
	lock_hold_over_fork(&lock);
	lock_hold_over_fork(&as.lock);
	page = (uint32_t *)start;
	fork_page = page;
	return 0;
}

int fork_mark(uint32_t *mark)
{
	int r = 0;

	lock_take(&lock);
	if (page == NULL)
		r = map_page();
	if (r == 0 && page != NULL) {
		if (*page == 0)
			*page = ++generation;
		*mark = *page;
	}
	lock_give(&lock);
	return r;
}
