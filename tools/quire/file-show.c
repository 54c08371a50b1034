/* SPDX-License-Identifier: Apache-2.0 */
/* file-show.c - one file's page cache for people, and for machines. */
#include <string.h>

#include "file-view.h"

#define PAGE 4096U

uint64_t bytes_of_pages(uint64_t pages, uint64_t file_bytes)
{
	uint64_t whole = (file_bytes + PAGE - 1) / PAGE;

	return pages >= whole ? file_bytes : pages * PAGE;
}

struct text text_pages(uint64_t pages)
{
	struct text unknown = { "?" };

	return pages == QUIRE_UNKNOWN ? unknown : text_bytes(pages * PAGE);
}

static struct text of_file(const struct file_view *view, uint64_t pages)
{
	struct text unknown = { "?" };

	return pages == QUIRE_UNKNOWN ? unknown : text_bytes(bytes_of_pages(pages, view->figures.file_bytes));
}

static const char *backing_text(uint32_t backing)
{
	static const char *const texts[] = {
		[QUIRE_BACKING_DISK] = "disk",
		[QUIRE_BACKING_TMPFS] = "tmpfs",
		[QUIRE_BACKING_HUGETLBFS] = "hugetlbfs",
		[QUIRE_BACKING_OVERLAY] = "overlay",
		[QUIRE_BACKING_FUSE] = "fuse",
		[QUIRE_BACKING_NETWORK] = "network",
		[QUIRE_BACKING_DAX] = "dax",
		[QUIRE_BACKING_PSEUDO] = "pseudo",
	};

	return backing < sizeof(texts) / sizeof(texts[0]) ? texts[backing] : "disk";
}

/* The answer in words. */
static void show_answer(struct screen *screen, const struct file_view *view)
{
	const struct quire_presence *figures = &view->figures;
	struct shown_name name = text_name(view->path);

	if (figures->backing == QUIRE_BACKING_PSEUDO && figures->pages == 0) {
		say_paragraph(screen, INK_STRONG, 0,
			"%s is made up by the kernel whenever it is read: there is nothing to cache.",
			name.s);
	} else if (figures->pages == 0) {
		say_paragraph(screen, INK_STRONG, 0, "%s is empty: there is nothing to cache.", name.s);
	} else if (figures->cached == QUIRE_UNKNOWN && figures->ready != QUIRE_UNKNOWN) {
		say_paragraph(screen, INK_STRONG, 0, "%s: %s of %s is in memory (%s); more is not known.",
			name.s, of_file(view, figures->ready).s, text_bytes(figures->file_bytes).s,
			text_percent((double)figures->ready / (double)figures->pages).s);
	} else if (figures->cached == QUIRE_UNKNOWN) {
		say_paragraph(screen, INK_STRONG, 0, "%s: how much of its %s is cached is not known: %s.",
			name.s, text_bytes(figures->file_bytes).s, figures->why);
	} else if (figures->cached == 0) {
		say_paragraph(screen, INK_STRONG, 0, "%s: nothing of its %s is cached.", name.s,
			text_bytes(figures->file_bytes).s);
	} else {
		say_paragraph(screen, INK_STRONG, 0, "%s: %s of %s is cached (%s).", name.s,
			of_file(view, figures->cached).s, text_bytes(figures->file_bytes).s,
			text_percent((double)figures->cached / (double)figures->pages).s);
	}
}

/* ASCII and braille rows have eight bins a character. A dot of braille is half of what is cached, and any of the rest: a
 * single dirty page must not be missing from the picture. */
static void draw_row(struct screen *screen, const char *label, enum ink ink, const double *levels,
	size_t count, bool braille)
{
	say(screen, INK_PLAIN, "  %-8s|", label);
	if (braille)
		draw_braille(screen, ink, levels, count, ink == INK_PRESENT ? 0.5 : 0);
	else
		draw_strip(screen, ink, levels, count);
	say(screen, INK_PLAIN, "|\n");
}

static void show_picture(struct screen *screen, const struct file_view *view, bool braille)
{
	const struct quire_presence *figures = &view->figures;
	bool dots = braille && screen->unicode;

	if (view->run_count == QUIRE_UNKNOWN) {
		say(screen, INK_PLAIN, "\n  cached  |");
		say(screen, INK_PROBLEM, "?");
		say(screen, INK_PLAIN, "|\n");
		say_paragraph(screen, INK_FAINT, 11, "%s", view->map_why);
		return;
	}
	if (view->bin_count == 0)
		return;
	say(screen, INK_PLAIN, "\n");
	draw_row(screen, "cached", INK_PRESENT, view->cached, view->bin_count, braille);
	if (figures->dirty != QUIRE_UNKNOWN && figures->dirty + figures->writing != 0)
		draw_row(screen, "dirty", INK_DIRTY, view->dirty, view->bin_count, braille);
	if (figures->evicted != QUIRE_UNKNOWN && figures->evicted != 0)
		draw_row(screen, "evicted", INK_SWAPPED, view->evicted, view->bin_count, braille);
	/* A letter of ASCII has no dots, and stands for eight. */
	say(screen, INK_FAINT, "          1 %s = %s, %s %s\n", dots ? "dot" : "cell",
		text_bytes((figures->pages * PAGE * (braille && !dots ? 8 : 1) + view->bin_count - 1) /
			view->bin_count)
			.s,
		text_count(view->run_count).s, view->run_count == 1 ? "stretch" : "stretches");
}

/* Behind the one before it, or on a new line of a narrow terminal; *column is where the cursor is. */
static void show_figure(
	struct screen *screen, size_t *column, const char *label, struct text figure, enum ink ink)
{
	size_t columns = 3 + strlen(label) + strlen(figure.s);

	if (*column + columns > screen->width) {
		say(screen, INK_PLAIN, "\n");
		*column = 0;
	}
	*column += columns;
	say(screen, INK_FAINT, "  %s ", label);
	say(screen, strcmp(figure.s, "?") == 0 ? INK_PROBLEM : ink, "%s", figure.s);
}

static void show_figures(struct screen *screen, const struct file_view *view)
{
	const struct quire_presence *figures = &view->figures;
	uint64_t in_flight = QUIRE_UNKNOWN;
	size_t column = 0;

	if (figures->pages == 0)
		return;
	if (figures->cached != QUIRE_UNKNOWN && figures->ready != QUIRE_UNKNOWN)
		in_flight = figures->cached - figures->ready;
	say(screen, INK_PLAIN, "\n");
	show_figure(screen, &column, "cached", of_file(view, figures->cached), INK_PRESENT);
	show_figure(screen, &column, "ready", of_file(view, figures->ready), INK_PLAIN);
	show_figure(screen, &column, "in flight", of_file(view, in_flight), INK_PLAIN);
	show_figure(screen, &column, "dirty", of_file(view, figures->dirty), INK_DIRTY);
	show_figure(screen, &column, "writing", of_file(view, figures->writing), INK_PLAIN);
	say(screen, INK_PLAIN, "\n");
	column = 0;
	show_figure(screen, &column, "evicted", of_file(view, figures->evicted), INK_SWAPPED);
	show_figure(
		screen, &column, "of these recently", of_file(view, figures->evicted_recently), INK_SWAPPED);
	say(screen, INK_PLAIN, "\n");
	if (view->ready_why[0] != '\0' && figures->ready == QUIRE_UNKNOWN)
		say_paragraph(screen, INK_FAINT, 2, "? %s.", view->ready_why);
	else if (figures->why[0] != '\0')
		say_paragraph(screen, INK_FAINT, 2, "? %s.", figures->why);
}

/* "2 MiB 41 %, 4 KiB 59 %", largest first. */
static void show_folios(struct screen *screen, const struct quire_folios *folios)
{
	char text[40 * QUIRE_FOLIO_ORDERS] = "";
	size_t used = 0;

	for (int i = QUIRE_FOLIO_ORDERS - 1; i >= 0; i--)
		if (folios->folio_pages[i] != 0)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u %s %s",
				used == 0 ? "" : ", ", i < 8 ? 4U << i : 1U << (i - 8), i < 8 ? "KiB" : "MiB",
				text_percent((double)folios->folio_pages[i] / (double)folios->pages).s);
	say_item(screen, INK_FAINT, "  folios  ", INK_PLAIN, "%s", text);
}

static void show_nodes(struct screen *screen, const struct quire_folios *folios)
{
	char text[40 * QUIRE_FOLIO_NODES] = "";
	size_t used = 0;

	for (int i = 0; i < QUIRE_FOLIO_NODES; i++)
		if (folios->node_pages[i] != 0)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%snode%d %s",
				used == 0 ? "" : ", ", i,
				text_percent((double)folios->node_pages[i] / (double)folios->pages).s);
	say_item(screen, INK_FAINT, "  memory  ", INK_PLAIN, "%s", text);
}

static void show_memory(struct screen *screen, const struct file_view *view)
{
	const struct quire_folios *folios = &view->folios;

	if (!view->placed || folios->pages == 0 || (folios->pages == QUIRE_UNKNOWN && !view->folios_asked))
		return;
	if (folios->folios_why[0] == '\0')
		show_folios(screen, folios);
	else if (view->folios_asked)
		say_item(screen, INK_FAINT, "  folios  ", INK_PROBLEM, "? %s.", folios->folios_why);
	if (folios->nodes_why[0] == '\0')
		show_nodes(screen, folios);
}

static void show_mappers(struct screen *screen, const struct file_view *view)
{
	if (!view->mappers_asked || (view->figures.pages == 0 && view->mapper_count == 0))
		return;
	if (view->mapper_count == 0 && view->mappers_hidden == 0)
		say(screen, INK_PLAIN, "  mapped by no process\n");
	for (size_t i = 0; i < view->mapper_count && i < 8; i++) {
		const struct quire_mapper *mapper = &view->mappers[i];

		say_paragraph(screen, INK_PLAIN, 2,
			"mapped by %d %s: %s in %s %s, of which it has touched %s%s", mapper->pid,
			text_name(mapper->name).s, text_bytes(mapper->mapped_bytes).s,
			text_count(mapper->mappings).s, mapper->mappings == 1 ? "mapping" : "mappings",
			mapper->present_bytes == QUIRE_UNKNOWN ? "?" : text_bytes(mapper->present_bytes).s,
			mapper->writes != 0 ? "; it may write" : "");
	}
	if (view->mapper_count > 8)
		say(screen, INK_PLAIN, "  and by %zu processes more\n", view->mapper_count - 8);
	if (view->mappers_hidden != 0)
		say_paragraph(screen, INK_FAINT, 2, "? %s more %s may map it: this user may not know",
			text_count(view->mappers_hidden).s,
			view->mappers_hidden == 1 ? "process" : "processes");
}

static void show_next(struct screen *screen, const struct file_view *view)
{
	const struct quire_presence *figures = &view->figures;
	char *file = text_operand(view->path);

	if (figures->cached == QUIRE_UNKNOWN && figures->ready == QUIRE_UNKNOWN)
		say_next(screen, "root may know (mincore would say 100 % here: no information)",
			"sudo " QUIRE_PROGRAM " presence %s", file);
	else if (figures->cached != QUIRE_UNKNOWN && figures->cached < figures->pages)
		say_next(screen, "bring in the rest", QUIRE_PROGRAM " touch --missing %s", file);
	else if (figures->cached != QUIRE_UNKNOWN)
		say_next(screen, "throw it out, and see what stays and why", QUIRE_PROGRAM " evict %s", file);
	free(file);
}

static void show_meaning(struct screen *screen, const struct file_view *view)
{
	const struct quire_presence *figures = &view->figures;

	if (figures->moving != 0)
		say_paragraph(screen, INK_PLAIN, 2,
			"The cache moved while we looked: the figures are of different "
			"moments.");
	if (figures->evicted_recently != QUIRE_UNKNOWN && figures->evicted_recently != 0)
		say_paragraph(screen, INK_PROBLEM, 2,
			"! %s were thrown out so recently that reading them again counts as "
			"thrashing: what is in use does not fit into memory.",
			of_file(view, figures->evicted_recently).s);
	if (figures->pages == 0)
		return;
	say(screen, INK_PLAIN, "\n");
	show_next(screen, view);
}

void view_show(struct screen *screen, const struct file_view *view, bool braille)
{
	if (view->error != 0) {
		complain("%s", view->error_text);
		return;
	}
	show_answer(screen, view);
	if (view->figures.pages != 0)
		show_picture(screen, view, braille);
	show_figures(screen, view);
	show_memory(screen, view);
	show_mappers(screen, view);
	show_meaning(screen, view);
}

void put_pages(json_t *object, const char *name, uint64_t pages, const char *why)
{
	if (pages == QUIRE_UNKNOWN)
		json_put_unknown(object, name, why);
	else
		json_put_count(object, name, pages * PAGE);
}

void put_address(json_t *object, const char *name, uint64_t address)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)address);
	json_put_text(object, name, text);
}

static void put_levels(json_t *object, const char *name, const double *levels, size_t count)
{
	json_t *array = json_put_array(object, name);

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_real(levels[i] > 1 ? 1 : levels[i]));
}

static void put_runs(json_t *object, const struct file_view *view)
{
	json_t *array = json_put_array(object, "runs");

	for (size_t i = 0; i < view->runs_used; i++) {
		const struct quire_run *run = &view->runs[i];
		json_t *item = json_add_object(array);

		json_put_count(item, "offset", run->page * PAGE);
		json_put_count(item, "length", run->pages * PAGE);
		json_put_bool(item, "cached", (run->state & QUIRE_PAGE_CACHED) != 0);
	}
}

static void put_map(json_t *object, const struct file_view *view)
{
	if (view->run_count == QUIRE_UNKNOWN) {
		json_put_unknown(object, "cached_runs", view->map_why);
		return;
	}
	json_put_count(object, "cached_runs", view->run_count);
	if (view->bin_count != 0)
		put_levels(object, "cells", view->cached, view->bin_count);
	if (view->runs != NULL)
		put_runs(object, view);
}

static void put_mappers(json_t *object, const struct file_view *view)
{
	json_t *array = json_put_array(object, "mapped_by");

	for (size_t i = 0; i < view->mapper_count; i++) {
		json_t *item = json_add_object(array);

		json_put_count(item, "pid", (uint64_t)view->mappers[i].pid);
		json_put_text(item, "name", view->mappers[i].name);
		json_put_count(item, "mappings", view->mappers[i].mappings);
		json_put_count(item, "bytes", view->mappers[i].mapped_bytes);
		if (view->mappers[i].present_bytes == QUIRE_UNKNOWN)
			json_put_unknown(
				item, "present", "the kernel does not show its page tables to this user");
		else
			json_put_count(item, "present", view->mappers[i].present_bytes);
		json_put_bool(item, "writes", view->mappers[i].writes != 0);
	}
	json_put_count(object, "processes_hidden", view->mappers_hidden);
}

static void put_folios(json_t *object, const struct quire_folios *folios)
{
	json_t *array;

	if (folios->folios_why[0] != '\0') {
		json_put_unknown(object, "folios", folios->folios_why);
	} else {
		array = json_put_array(object, "folios");
		for (unsigned int i = 0; i < QUIRE_FOLIO_ORDERS; i++) {
			json_t *item = folios->folio_pages[i] == 0 ? NULL : json_add_object(array);

			if (item == NULL)
				continue;
			json_put_count(item, "size", (uint64_t)PAGE << i);
			json_put_count(item, "bytes", folios->folio_pages[i] * PAGE);
		}
	}
	if (folios->nodes_why[0] != '\0') {
		json_put_unknown(object, "nodes", folios->nodes_why);
		return;
	}
	array = json_put_array(object, "nodes");
	for (unsigned int i = 0; i < QUIRE_FOLIO_NODES; i++) {
		json_t *item = folios->node_pages[i] == 0 ? NULL : json_add_object(array);

		if (item == NULL)
			continue;
		json_put_count(item, "node", i);
		json_put_count(item, "bytes", folios->node_pages[i] * PAGE);
	}
}

void view_put(json_t *object, const struct file_view *view)
{
	const struct quire_presence *figures = &view->figures;

	json_put_name(object, "path", view->path);
	if (view->error != 0) {
		json_put_count(object, "errno", (uint64_t)-view->error);
		json_put_text(object, "error", view->error_text);
		return;
	}
	json_put_count(object, "size", figures->file_bytes);
	json_put_text(object, "backing", backing_text(figures->backing));
	put_pages(object, "cached", figures->cached, figures->why);
	put_pages(object, "ready", figures->ready, view->ready_why);
	if (figures->cached == QUIRE_UNKNOWN || figures->ready == QUIRE_UNKNOWN)
		json_put_unknown(object, "in_flight",
			figures->cached == QUIRE_UNKNOWN ? figures->why : view->ready_why);
	else
		json_put_count(object, "in_flight", (figures->cached - figures->ready) * PAGE);
	put_pages(object, "dirty", figures->dirty, figures->why);
	put_pages(object, "writing", figures->writing, figures->why);
	put_pages(object, "evicted", figures->evicted, figures->why);
	put_pages(object, "evicted_recently", figures->evicted_recently, figures->why);
	json_put_bool(object, "moving", figures->moving != 0);
	if (figures->pages != 0)
		put_map(object, view);
	if (view->placed)
		put_folios(object, &view->folios);
	if (view->mappers_asked)
		put_mappers(object, view);
}
