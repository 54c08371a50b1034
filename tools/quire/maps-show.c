/* SPDX-License-Identifier: Apache-2.0 */
/* maps-show.c - the mappings of a process for people. */
#include <stdlib.h>
#include <string.h>

#include "file-view.h"
#include "maps.h"
#include "pools-brief.h"

enum {
	MAP_CELLS = 10,
	KINDS_MAX = 12,   /* explained below the table */
	SCANNED_MAX = 64, /* groups of more mappings are drawn from their sums, one level a mapping */
};

/** The picture of a group: its mappings one behind the other, from low to high. */
struct picture {
	double levels[MAP_CELLS];
	uint64_t size;
	uint64_t at;
};

/* Adds so many present bytes of the next `length` bytes. */
static void paint(struct picture *picture, uint64_t from, uint64_t length, double share)
{
	double scale = (double)MAP_CELLS / (double)picture->size;
	double low = (double)from * scale, high = (double)(from + length) * scale;

	for (size_t bin = (size_t)low; bin < MAP_CELLS && (double)bin < high; bin++) {
		double a = low > (double)bin ? low : (double)bin;
		double b = high < (double)bin + 1 ? high : (double)bin + 1;

		picture->levels[bin] += (b - a) * share;
	}
}

static void paint_pages(struct picture *picture, int pid, const struct quire_mapping *m)
{
	struct quire_pages *pages;
	struct quire_run run;

	if (quire_pages_open(pid, m->start, m->end - m->start, &pages) < 0)
		return;
	while (quire_pages_next(pages, &run) == 1)
		if ((run.state & QUIRE_PAGE_PRESENT) != 0)
			paint(picture, picture->at + run.page * 4096 - m->start, run.pages * 4096, 1);
	quire_pages_close(pages);
}

static struct picture picture_of(const struct maps_view *view, unsigned int index)
{
	const struct group *group = &view->groups[index];
	struct picture picture = { .size = group->size };

	for (size_t i = group->first; i < view->row_count; i++) {
		const struct quire_mapping *m = &view->rows[i].m;

		if (view->rows[i].group != index)
			continue;
		if (m->resident_bytes != 0 && group->count <= SCANNED_MAX)
			paint_pages(&picture, view->process.pid, m);
		else if (m->resident_bytes != 0)
			paint(&picture, picture.at, m->end - m->start,
				(double)m->resident_bytes / (double)(m->end - m->start));
		picture.at += m->end - m->start;
	}
	return picture;
}

static enum maps_sort sort_key;
static const struct group *sort_groups;

static uint64_t key_of(const struct group *group)
{
	switch (sort_key) {
	case SORT_RAM: return group->ram;
	case SORT_SIZE: return group->size;
	case SORT_SHARE: return group->share;
	case SORT_DIRTY: return group->dirty;
	case SORT_SWAP: return group->swap;
	case SORT_COUNT: return group->count;
	case SORT_NAME:
	case SORT_ADDRESS:
	default: return 0;
	}
}

static int compare(const void *a, const void *b)
{
	const struct group *x = &sort_groups[*(const unsigned int *)a],
			   *y = &sort_groups[*(const unsigned int *)b];

	if (sort_key == SORT_NAME)
		return strcmp(x->name, y->name);
	if (key_of(x) != key_of(y))
		return key_of(x) < key_of(y) ? 1 : -1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static unsigned int *sorted(const struct maps_view *view, enum maps_sort key)
{
	unsigned int *order = allocate(NULL, view->group_count + 1, sizeof(*order));

	for (unsigned int i = 0; i < view->group_count; i++)
		order[i] = i;
	sort_key = key;
	sort_groups = view->groups;
	qsort(order, view->group_count, sizeof(*order), compare);
	return order;
}

/* With --filter the figures are those of some mappings, not the process's. */
static void show_answer_of_some(struct screen *screen, const struct maps_view *view, const char *filter)
{
	const struct quire_process *p = &view->process;
	uint64_t count = 0;

	for (size_t i = 0; i < view->group_count; i++)
		count += view->groups[i].count;
	if (count == 0)
		say_paragraph(screen, INK_STRONG, 0, "No mapping of process %d (%s) has '%s' in its name.",
			p->pid, text_name(p->name).s, text_name(filter).s);
	else
		say_paragraph(screen, INK_STRONG, 0,
			"%s %s of process %d (%s) with '%s' in the name %s %s in memory: %s the process's own, %s of files "
			"and shared memory. %s of it could be dropped at once.",
			text_count(count).s, count == 1 ? "mapping" : "mappings", p->pid,
			text_name(p->name).s, text_name(filter).s, count == 1 ? "has" : "have",
			text_bytes(view->sum.ram).s, text_bytes(view->sum.anonymous).s,
			text_bytes(view->sum.ram - view->sum.anonymous).s, text_bytes(view->sum.clean).s);
}

static void show_answer(struct screen *screen, const struct maps_view *view)
{
	const struct quire_process *p = &view->process;

	say_paragraph(screen, INK_STRONG, 0,
		"Process %d (%s) has %s in memory: %s its own, %s of files, %s shared memory. "
		"%s of it could be dropped at once.",
		p->pid, text_name(p->name).s, text_bytes(view->sum.ram).s, text_bytes(view->sum.anonymous).s,
		text_bytes(p->file_bytes == QUIRE_UNKNOWN ? 0 : p->file_bytes).s,
		text_bytes(p->shared_memory_bytes == QUIRE_UNKNOWN ? 0 : p->shared_memory_bytes).s,
		text_bytes(view->sum.clean).s);
}

static void show_gauge(struct screen *screen, const struct maps_view *view)
{
	bool narrow = screen->width < 80;
	double use = view->limit == QUIRE_UNKNOWN ? 0 : (double)view->mappings / (double)view->limit;

	say(screen, INK_PLAIN, "\n  mappings  ");
	if (view->limit == QUIRE_UNKNOWN) {
		say(screen, INK_PLAIN, "%s; the limit cannot be read\n", text_count(view->mappings).s);
		return;
	}
	draw_gauge(screen, use > 0.7 ? INK_PROBLEM : INK_PRESENT, narrow ? 8 : 20, use > 1 ? 1 : use);
	say(screen, INK_PLAIN, narrow ? "\n           " : "");
	say(screen, INK_PLAIN, " %s of vm.max_map_count %s (%s)\n", text_count(view->mappings).s,
		text_count(view->limit).s, text_percent(use).s);
}

static void show_cells(
	struct table *table, const struct maps_view *view, unsigned int index, bool huge, bool swap)
{
	const struct group *g = &view->groups[index];

	table_cell(table, g->deleted ? INK_FAINT : INK_PLAIN, "%s", text_name(g->name).s);
	table_cell(table, INK_PLAIN, "%s", text_count(g->count).s);
	table_cell(table, INK_PLAIN, "%s", text_bytes(g->size).s);
	table_cell(table, INK_PRESENT, "%s", g->ram == 0 ? "" : text_bytes(g->ram).s);
	table_cell(table, INK_PLAIN, "%s", g->share == 0 ? "" : text_bytes(g->share).s);
	table_cell(table, INK_DIRTY, "%s", g->dirty == 0 ? "" : text_bytes(g->dirty).s);
	if (huge)
		table_cell(
			table, INK_GOOD, "%s", g->huge + g->pool == 0 ? "" : text_bytes(g->huge + g->pool).s);
	if (swap)
		table_cell(table, INK_SWAPPED, "%s", g->swap == 0 ? "" : text_bytes(g->swap).s);
}

static char *picture_text(const struct screen *screen, const struct picture *picture)
{
	char *text = NULL;
	size_t bytes = 0;
	struct screen plain = *screen;

	plain.color = false;
	plain.out = open_memstream(&text, &bytes);
	if (plain.out == NULL)
		return NULL;
	draw_strip(&plain, INK_PRESENT, picture->levels, MAP_CELLS);
	fclose(plain.out);
	return text;
}

static void show_table(
	struct screen *screen, const struct maps_view *view, const struct maps_settings *settings)
{
	bool huge = view->sum.huge + view->sum.pool != 0, swap = view->sum.swap != 0;
	unsigned int *order = sorted(view, settings->sort);
	size_t rows = view->group_count < settings->top ? view->group_count : (size_t)settings->top,
	       columns = 0;
	struct column shape[9] = { { "GROUP", COLUMN_NAME }, { "N", COLUMN_RIGHT }, { "SIZE", COLUMN_RIGHT },
		{ "IN RAM", COLUMN_RIGHT }, { "PSS", COLUMN_RIGHT }, { "DIRTY", COLUMN_RIGHT } };
	struct table *table;

	columns = 6;
	if (huge)
		shape[columns++] = (struct column){ "HUGE", COLUMN_RIGHT };
	if (swap)
		shape[columns++] = (struct column){ "SWAP", COLUMN_RIGHT };
	if (!settings->no_map)
		shape[columns++] = (struct column){ "LOW TO HIGH", COLUMN_LEFT };
	table = table_new(screen, shape, columns);
	for (size_t i = 0; i < rows; i++) {
		show_cells(table, view, order[i], huge, swap);
		if (!settings->no_map) {
			struct picture picture = picture_of(view, order[i]);
			char *text = picture_text(screen, &picture);

			table_cell(table, INK_PRESENT, "|%s|", text == NULL ? "" : text);
			free(text);
		}
	}
	table_print(table);
	free(order);
	if (rows < view->group_count)
		say(screen, INK_FAINT, "  ... and %s %s more (--top)\n",
			text_count(view->group_count - rows).s,
			view->group_count - rows == 1 ? "group" : "groups");
}

/* In the order of the table. */
static void show_kinds(struct screen *screen, const struct maps_view *view, enum maps_sort sort)
{
	unsigned int shown = 0, *order = sorted(view, sort);

	for (size_t i = 0; i < view->group_count && shown < KINDS_MAX; i++) {
		const struct group *g = &view->groups[order[i]];

		if (g->kind[0] == '\0')
			continue;
		say_paragraph(screen, INK_FAINT, 2, "%s: %s", text_name(g->name).s, g->kind);
		shown++;
	}
	free(order);
	if (view->answered != 0)
		say_paragraph(screen, INK_FAINT, 2,
			"%s %s missing pages filled by a program (userfaultfd, as Quire's pools do): what is in memory there is "
			"its cache.",
			text_count(view->answered).s,
			view->answered == 1 ? "mapping has its" : "mappings have their");
}

static void show_warnings(struct screen *screen, const struct maps_view *view)
{
	if (view->limit != QUIRE_UNKNOWN && (double)view->mappings > 0.7 * (double)view->limit)
		say_paragraph(screen, INK_PROBLEM, 2,
			"! Near the limit of mappings: beyond it mmap fails with \"out of memory\" "
			"though memory is free. sysctl vm.max_map_count=262144 raises it.");
	if (view->write_execute != 0)
		say_paragraph(screen, INK_PROBLEM, 2,
			"! %s %s writable and executable at once: whoever can make the program "
			"store can make it run what was stored.",
			text_count(view->write_execute).s,
			view->write_execute == 1 ? "mapping is" : "mappings are");
	for (size_t i = 0; i < view->warning_count; i += 2)
		say_paragraph(screen, INK_PROBLEM, 2, "! It executes %s, but %s.",
			text_name(view->warnings[i]).s, view->warnings[i + 1]);
}

static void flags_text(uint32_t flags, char text[5])
{
	text[0] = (flags & QUIRE_MAPPING_READ) != 0 ? 'r' : '-';
	text[1] = (flags & QUIRE_MAPPING_WRITE) != 0 ? 'w' : '-';
	text[2] = (flags & QUIRE_MAPPING_EXECUTE) != 0 ? 'x' : '-';
	text[3] = (flags & QUIRE_MAPPING_SHARED) != 0 ? 's' : 'p';
	text[4] = '\0';
}

/* A number, right-aligned in a field of so many columns, and a blank behind it; returns the place behind that. */
static char *put_number(char *to, uint64_t number, unsigned int base, int columns)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number != 0);
	for (int pad = columns - n; pad > 0; pad--)
		*to++ = ' ';
	while (n > 0)
		*to++ = digits[--n];
	*to++ = ' ';
	return to;
}

/* KiB as pmap prints them: a list of all mappings is read by columns, and 50,000 of them by a program. Not by printf,
 * which would be a third of the time. */
static void show_row(FILE *out, const struct quire_mapping *m, bool brief, const char *name)
{
	const uint64_t figures[] = { m->end - m->start, m->resident_bytes, m->share_bytes, m->dirty_bytes,
		m->swap_bytes, m->huge_bytes + m->pool_bytes };
	size_t count = brief ? 4 : 6;
	char line[200];
	char *at = put_number(line, m->start, 16, brief ? 12 : 16);

	flags_text(m->flags, at);
	at[4] = ' ';
	at += 5;
	for (size_t i = 0; i < count; i++)
		at = put_number(at, figures[i] / 1024, 10, brief ? 8 : 10);
	fwrite(line, 1, (size_t)(at - line), out);
	fputs(name, out);
	putc('\n', out);
}

static void show_all(struct screen *screen, const struct maps_view *view)
{
	struct shown_name name = { "" };
	unsigned int last = UINT32_MAX;
	/* Programs get all columns; on a terminal, those that would be empty leave their room to the names. */
	bool brief = screen->terminal && view->sum.swap + view->sum.huge + view->sum.pool == 0;
	size_t used = brief ? 54 : 88;

	if (brief)
		say(screen, INK_STRONG, "%12s %s %8s %8s %8s %8s %s\n", "ADDRESS", "MODE", "SIZE KIB", "RSS",
			"PSS", "DIRTY", "NAME");
	else
		say(screen, INK_STRONG, "%16s %s %10s %10s %10s %10s %10s %10s %s\n", "ADDRESS", "MODE",
			"SIZE KIB", "RSS", "PSS", "DIRTY", "SWAP", "HUGE", "NAME");
	for (size_t i = 0; i < view->row_count; i++) {
		const struct row *row = &view->rows[i];

		if (row->group != last)
			name = text_name(view->groups[row->group].name);
		if (row->group != last && screen->terminal)
			(void)text_cut(name.s, screen->width > used + 14 ? screen->width - used : 14);
		last = row->group;
		show_row(screen->out, &row->m, brief, name.s);
	}
}

void maps_show(struct call *call, struct maps_view *view)
{
	const struct maps_settings *settings = call->settings;
	struct screen *screen = &call->screen;

	if (settings->filter != NULL)
		show_answer_of_some(screen, view, settings->filter);
	else
		show_answer(screen, view);
	show_gauge(screen, view);
	say(screen, INK_PLAIN, "\n");
	if (settings->all)
		show_all(screen, view);
	else
		show_table(screen, view, settings);
	say(screen, INK_PLAIN, "\n");
	say_paragraph(screen, INK_PLAIN, 2,
		"In memory %s, its share (PSS) %s, dirty %s, swap %s, huge %s, locked %s.",
		text_bytes(view->sum.ram).s, text_bytes(view->sum.share).s, text_bytes(view->sum.dirty).s,
		text_bytes(view->sum.swap).s, text_bytes(view->sum.huge + view->sum.pool).s,
		text_bytes(view->sum.locked).s);
	if (!settings->all)
		show_kinds(screen, view, settings->sort);
	pools_say(screen, view->process.pid);
	show_warnings(screen, view);
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "each page of one of them", QUIRE_PROGRAM " pages %d ADDRESS|FILE",
		view->process.pid);
}
