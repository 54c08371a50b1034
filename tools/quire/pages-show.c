/* SPDX-License-Identifier: Apache-2.0 */
/* pages-show.c - the pages of a mapping as letters, and what the letters mean. */
#include "file-view.h"
#include "pages.h"

#define PAGE 4096U

/* The letter says it; the colour says it again. */
const char pages_letters[KIND_COUNT + 1] = ".?cFDAZHS";

static const struct {
	enum ink ink;
	const char *name;
	const char *what;
} kinds[KIND_COUNT] = {
	[KIND_ABSENT] = { INK_FAINT, "absent", "not in memory: a load reads it in, or makes zeros" },
	[KIND_UNKNOWN] = { INK_PROBLEM, "unknown",
		"not here; whether it is cached is not told to this user" },
	[KIND_CACHED] = { INK_PLAIN, "cached", "in the cache, not yet faulted in: a load is cheap" },
	[KIND_FILE] = { INK_PRESENT, "file", "present: the file's own page" },
	[KIND_DIRTY] = { INK_DIRTY, "dirty", "present: the file's page, written and not yet on the disk" },
	[KIND_ANON] = { INK_STRONG, "anonymous", "present: the process's own, written by it" },
	[KIND_ZERO] = { INK_FAINT, "zero", "present: the page of zeros, read and never written" },
	[KIND_HUGE] = { INK_GOOD, "huge", "present: part of a huge page" },
	[KIND_SWAPPED] = { INK_SWAPPED, "swapped", "in swap: a load reads it back" },
};

static void show_cells(struct screen *screen, const struct pages_view *view)
{
	size_t row = screen->width < 40 ? 16 : (screen->width - 16) / 16 * 16;

	for (size_t at = 0; at < view->cells; at += row) {
		uint64_t page = (at * view->pages + view->cells - 1) / view->cells;
		uint64_t address = view->mapping.start + page * PAGE;

		say(screen, INK_FAINT, "%14llx ", (unsigned long long)address);
		for (size_t i = at; i < at + row && i < view->cells; i++) {
			enum page_kind kind = pages_cell(view, i);

			say(screen, kinds[kind].ink, "%c", pages_letters[kind]);
		}
		say(screen, INK_PLAIN, "\n");
	}
}

void pages_show(struct screen *screen, const struct pages_view *view)
{
	const struct quire_mapping *m = &view->mapping;

	say_paragraph(
		screen, INK_STRONG, 0, "%s", view->name[0] == '\0' ? "(anonymous)" : text_name(view->name).s);
	say(screen, INK_PLAIN, "  %llx-%llx %c%c%c%c  %s\n", (unsigned long long)m->start,
		(unsigned long long)m->end, (m->flags & QUIRE_MAPPING_READ) != 0 ? 'r' : '-',
		(m->flags & QUIRE_MAPPING_WRITE) != 0 ? 'w' : '-',
		(m->flags & QUIRE_MAPPING_EXECUTE) != 0 ? 'x' : '-',
		(m->flags & QUIRE_MAPPING_SHARED) != 0 ? 's' : 'p', text_bytes(m->end - m->start).s);
	show_cells(screen, view);
	if (view->cells < view->pages)
		say_paragraph(screen, INK_FAINT, 15, "1 cell = %s; the most frequent kind of what is there",
			text_bytes((view->pages * PAGE + view->cells - 1) / view->cells).s);
	if (view->cache_why[0] != '\0' && view->mapping.inode != 0)
		say_paragraph(screen, INK_FAINT, 15, "? %s", view->cache_why);
}

void pages_legend(struct screen *screen, const uint64_t sums[KIND_COUNT])
{
	char mark[48];

	for (int kind = 0; kind < KIND_COUNT; kind++) {
		if (sums[kind] == 0)
			continue;
		snprintf(mark, sizeof(mark), "  %c %-9s %10s  ", pages_letters[kind], kinds[kind].name,
			text_bytes(sums[kind] * PAGE).s);
		say_item(screen, kinds[kind].ink, mark, INK_FAINT, "%s", kinds[kind].what);
	}
}

static void put_cells(json_t *object, const struct pages_view *view)
{
	char text[CELLS_MAX + 1];

	for (size_t i = 0; i < view->cells; i++)
		text[i] = pages_letters[pages_cell(view, i)];
	text[view->cells] = '\0';
	json_put_text(object, "cells", text);
}

void pages_put(json_t *object, const struct pages_view *view)
{
	const struct quire_mapping *m = &view->mapping;

	put_address(object, "start", m->start);
	put_address(object, "end", m->end);
	json_put_count(object, "offset", m->offset);
	json_put_name(object, "name", view->name);
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		bool unknowable = !view->kinds_known && (kind == KIND_HUGE || kind == KIND_ZERO);

		if (unknowable)
			json_put_unknown(
				object, kinds[kind].name, "this kernel has no PAGEMAP_SCAN (Linux 6.7 has)");
		else
			json_put_count(object, kinds[kind].name, view->sums[kind] * PAGE);
	}
	if (view->sums[KIND_UNKNOWN] != 0)
		json_put_text(object, "unknown_why", view->cache_why);
	put_cells(object, view);
}
