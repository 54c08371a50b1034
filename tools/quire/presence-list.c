/* SPDX-License-Identifier: Apache-2.0 */
/* presence-list.c - many files and their sums, for people and for machines. */
#include <stdlib.h>

#include "json.h"
#include "pools-brief.h"
#include "presence-list.h"

#define PAGE 4096U

/* What the walk should have found: the cache without memory that has no file on a disk. */
static uint64_t to_explain(const struct quire_memory *memory)
{
	return memory->cached_bytes > memory->shared_bytes ? memory->cached_bytes - memory->shared_bytes : 0;
}

static double explained(const struct list *list)
{
	uint64_t all = to_explain(&list->after);

	return all == 0 ? 1 : (double)(list->cached * PAGE) / (double)all;
}

static void show_answer(
	struct screen *screen, const struct list *list, const struct presence_settings *settings)
{
	uint64_t size = list->size - list->size_hidden, files = list->files - list->files_hidden;
	char whose[600] = "", rest[100] = ".";

	if (list->files != 0 && list->files_hidden == list->files) {
		say_paragraph(screen, INK_STRONG, 0,
			"How much of the %s in %s %s is cached is not known to this user.",
			text_bytes(list->size).s, text_count(list->files).s,
			list->files == 1 ? "file" : "files");
		return;
	}
	if (list->files_hidden != 0)
		snprintf(rest, sizeof(rest), "; of %s more this user may not know.",
			text_count(list->files_hidden).s);
	if (settings->system) {
		say_paragraph(screen, INK_STRONG, 0,
			"%s of the page cache of %s has a name here (%s), in %s of %s files%s",
			text_pages(list->cached).s, text_bytes(to_explain(&list->after)).s,
			text_percent(explained(list) > 1 ? 1 : explained(list)).s,
			text_count(list->files_cached).s, text_count(files).s, rest);
		return;
	}
	if (list->files == 0) {
		say_paragraph(screen, INK_STRONG, 0, "%s",
			list->unreadable != 0        ? "None of it could be looked at by this user."
				: settings->pid != 0 ? "The process maps no file, and has none open."
						     : "There is no file in it.");
		return;
	}
	if (settings->pid != 0)
		snprintf(whose, sizeof(whose), "process %llu: ", (unsigned long long)settings->pid);
	say_paragraph(screen, INK_STRONG, 0, "%s%s of %s is cached (%s), in %s of %s files%s", whose,
		text_bytes(list->cached_bytes).s, text_bytes(size).s,
		text_percent(size == 0 ? 0 : (double)list->cached_bytes / (double)size).s,
		text_count(list->files_cached).s, text_count(files).s, rest);
}

/** Columns of the table; what would be empty leaves its room to the names. */
struct wanted {
	bool dirty;
	bool evicted;
};

static void show_line(struct table *table, const struct line *line, struct wanted wanted)
{
	const struct quire_presence *f = &line->figures;
	uint64_t cached = sure_pages(f), dirty = known_or_zero(f->dirty) + known_or_zero(f->writing);
	bool known = cached != QUIRE_UNKNOWN;
	char *path = text_path(line->path);

	table_cell(table, known ? INK_PRESENT : INK_PROBLEM, "%s",
		known ? text_bytes(bytes_of_pages(cached, f->file_bytes)).s : "?");
	table_cell(table, INK_PLAIN, "%s", text_bytes(f->file_bytes).s);
	table_cell(table, INK_PLAIN, "%s",
		!known || f->pages == 0 ? "" : text_percent((double)cached / (double)f->pages).s);
	if (wanted.dirty)
		table_cell(table, INK_DIRTY, "%s",
			dirty == 0 ? "" : text_bytes(bytes_of_pages(dirty, f->file_bytes)).s);
	if (wanted.evicted)
		table_cell(table, INK_SWAPPED, "%s",
			known_or_zero(f->evicted) == 0
				? ""
				: text_bytes(bytes_of_pages(f->evicted, f->file_bytes)).s);
	table_cell(table, INK_PLAIN, "%s", path);
	free(path);
}

static void show_table(struct screen *screen, const struct list *list)
{
	struct column columns[6] = { { "CACHED", COLUMN_RIGHT }, { "OF", COLUMN_RIGHT },
		{ "SHARE", COLUMN_RIGHT } };
	struct wanted wanted = { .dirty = false };
	struct table *table;
	size_t count = 3;

	if (list->used == 0)
		return;
	for (size_t i = 0; i < list->used; i++) {
		const struct quire_presence *f = &list->lines[i].figures;

		wanted.dirty = wanted.dirty || known_or_zero(f->dirty) + known_or_zero(f->writing) != 0;
		wanted.evicted = wanted.evicted || known_or_zero(f->evicted) != 0;
	}
	if (wanted.dirty)
		columns[count++] = (struct column){ "DIRTY", COLUMN_RIGHT };
	if (wanted.evicted)
		columns[count++] = (struct column){ "EVICTED", COLUMN_RIGHT };
	columns[count++] = (struct column){ "FILE", COLUMN_PATH };
	say(screen, INK_PLAIN, "\n");
	table = table_new(screen, columns, count);
	for (size_t i = 0; i < list->used; i++)
		show_line(table, &list->lines[i], wanted);
	if (table_print(table))
		say_paragraph(screen, INK_FAINT, 2,
			"Long names are cut here; in a pipe, and with --json, they are whole.");
}

static uint64_t growth(uint64_t before, uint64_t after)
{
	return after > before ? after - before : 0;
}

static void show_costs(struct screen *screen, const struct list *list)
{
	uint64_t blocks = growth(list->before.buffer_bytes, list->after.buffer_bytes);
	uint64_t names = growth(list->before.reclaimable_bytes, list->after.reclaimable_bytes);

	say_paragraph(screen, INK_FAINT, 2,
		"The walk took %s (%s a file) and itself filled %s with blocks of directories "
		"and inodes, and %s with names.",
		text_seconds(list->seconds).s,
		text_seconds(list->files == 0 ? 0 : list->seconds / (double)list->files).s,
		text_bytes(blocks).s, text_bytes(names).s);
	say_paragraph(screen, INK_FAINT, 2,
		"Not looked at: tmpfs and shared memory (%s: quire shm), block devices (%s), "
		"files that were deleted while open, and what lies below a mount point.",
		text_bytes(list->after.shared_bytes).s, text_bytes(list->after.buffer_bytes).s);
}

static void show_gaps(struct screen *screen, const struct list *list)
{
	uint64_t ready_only = list->files_unknown - list->files_hidden;

	if (list->files_hidden != 0)
		say_paragraph(screen, INK_PROBLEM, 2, "? %s of the files %s not in these sums: %s.",
			text_count(list->files_hidden).s, list->files_hidden == 1 ? "is" : "are", list->why);
	if (ready_only != 0)
		say_paragraph(screen, INK_PROBLEM, 2, "? Of %s %s only what is ready is known: %s.",
			text_count(ready_only).s, ready_only == 1 ? "file" : "files", list->why);
	if (list->unreadable != 0)
		say_paragraph(screen, INK_PROBLEM, 2, "? %s %s could not be opened by this user.",
			text_count(list->unreadable).s,
			list->unreadable == 1 ? "file or directory" : "files or directories");
	if (list->skipped != 0)
		say_paragraph(screen, INK_FAINT, 2, "%s links, FIFOs, sockets and devices were not opened.",
			text_count(list->skipped).s);
}

static void show(struct call *call, const struct list *list)
{
	const struct presence_settings *settings = call->settings;
	struct screen *screen = &call->screen;

	show_answer(screen, list, settings);
	show_table(screen, list);
	if (list->used < list->listed)
		say(screen, INK_FAINT, "  ... and %s more (--all)\n",
			text_count(list->listed - list->used).s);
	if (list->files != 0)
		say(screen, INK_PLAIN, "\n");
	if (list->files != list->files_unknown)
		say_paragraph(screen, INK_PLAIN, 2, "Dirty %s, writing %s, evicted %s.",
			text_pages(list->dirty).s, text_pages(list->writing).s, text_pages(list->evicted).s);
	else if (list->files != 0)
		say_paragraph(screen, INK_PLAIN, 2, "Dirty ?, writing ?, evicted ?.");
	if (settings->pid != 0)
		pools_say(screen, (int)settings->pid);
	show_gaps(screen, list);
	if (settings->system)
		show_costs(screen, list);
	if (list->files == 0)
		return;
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "where in one of them", QUIRE_PROGRAM " presence FILE");
}

static void put_line(json_t *array, const struct line *line)
{
	json_t *object = json_add_object(array);

	json_put_name(object, "path", line->path);
	json_put_count(object, "size", line->figures.file_bytes);
	put_pages(object, "cached", line->figures.cached, line->figures.why);
	if (line->figures.cached == QUIRE_UNKNOWN && line->figures.ready != QUIRE_UNKNOWN)
		put_pages(object, "ready", line->figures.ready, "");
	put_pages(object, "dirty", line->figures.dirty, line->figures.why);
	put_pages(object, "writing", line->figures.writing, line->figures.why);
	put_pages(object, "evicted", line->figures.evicted, line->figures.why);
	put_pages(object, "evicted_recently", line->figures.evicted_recently, line->figures.why);
}

static void put(struct call *call, const struct list *list)
{
	const struct presence_settings *settings = call->settings;
	json_t *document = json_document("presence");
	json_t *files = json_put_array(document, "files");
	json_t *sums = json_put_object(document, "sums");

	for (size_t i = 0; i < list->used; i++)
		put_line(files, &list->lines[i]);
	json_put_count(sums, "files", list->files);
	json_put_count(sums, "files_cached", list->files_cached);
	json_put_count(sums, "files_unknown", list->files_unknown);
	json_put_count(sums, "unreadable", list->unreadable);
	json_put_count(sums, "skipped", list->skipped);
	json_put_count(sums, "directories", list->directories);
	json_put_count(sums, "size", list->size);
	json_put_count(sums, "cached", list->cached_bytes);
	json_put_count(sums, "cached_pages", list->cached);
	json_put_count(sums, "dirty", list->dirty * PAGE);
	json_put_count(sums, "writing", list->writing * PAGE);
	json_put_count(sums, "evicted", list->evicted * PAGE);
	json_put_real(sums, "seconds", list->seconds);
	if (settings->system) {
		json_put_count(sums, "to_explain", to_explain(&list->after));
		json_put_real(sums, "explained", explained(list));
		json_put_count(
			sums, "cost_buffers", growth(list->before.buffer_bytes, list->after.buffer_bytes));
		json_put_count(sums, "cost_names",
			growth(list->before.reclaimable_bytes, list->after.reclaimable_bytes));
	}
	if (settings->pid != 0)
		pools_put(document, (int)settings->pid);
	json_print(call, document);
}

enum status presence_list(struct call *call)
{
	struct list list;
	enum status status = presence_gather(&list, call);

	if (list.files + list.unreadable != 0 || status == STATUS_OK) {
		if (call->json)
			put(call, &list);
		else
			show(call, &list);
	}
	presence_forget(&list);
	return status;
}
