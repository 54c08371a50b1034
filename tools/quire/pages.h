/* SPDX-License-Identifier: Apache-2.0 */
/* pages.h - what the parts of quire pages share. */
#ifndef QUIRE_TOOL_PAGES_H
#define QUIRE_TOOL_PAGES_H

#include <quire/quire.h>

#include "json.h"
#include "verbs.h"

/** What a page of a mapping is, from the point of view of the process. */
enum page_kind {
	KIND_ABSENT,  /* neither here nor in the cache: a load reads it in, or makes zeros */
	KIND_UNKNOWN, /* not here; whether it is cached is not told */
	KIND_CACHED,  /* in the cache, but the process has not touched it: a load faults, and needs no disk */
	KIND_FILE,    /* present, the file's own page */
	KIND_DIRTY,   /* the same, newer than the disk */
	KIND_ANON,    /* present, the process's own: written, or copied when written */
	KIND_ZERO,    /* present: the page of zeros, read but never written */
	KIND_HUGE,    /* present, as part of a huge page */
	KIND_SWAPPED, /* in swap */
	KIND_COUNT,
};

enum { CELLS_MAX = 1024 };

/** A mapping, page by page. */
struct pages_view {
	struct quire_mapping mapping;
	char name[4400];
	uint64_t pages;
	size_t cells;
	uint64_t counts[CELLS_MAX][KIND_COUNT];
	uint64_t sums[KIND_COUNT];
	const char *cache_why; /* why it is not known what is in the cache, "" when it is */
	char cache_text[256];
	bool kinds_known; /* huge pages and the page of zeros can be told */
	json_t *runs;     /* --runs: filled while looking; NULL otherwise */
};

/* Looks at one mapping; cells is how many to divide it into. */
void pages_look(struct pages_view *view, int pid, const struct quire_mapping *mapping, size_t cells);

extern const char pages_letters[KIND_COUNT + 1];

/* The kind most of a cell's pages are; what is there wins over what is not. */
enum page_kind pages_cell(const struct pages_view *view, size_t cell);

void pages_show(struct screen *screen, const struct pages_view *view);
void pages_legend(struct screen *screen, const uint64_t sums[KIND_COUNT]);
void pages_put(json_t *object, const struct pages_view *view);

#endif
