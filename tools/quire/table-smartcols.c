/* SPDX-License-Identifier: Apache-2.0 */
/* table-smartcols.c - tables laid out by util-linux's library, which knows wide characters and wraps cells. */
#include <libsmartcols/libsmartcols.h>
#include <string.h>

#include "table.h"

/* Its names of colours, nearest to ours; it takes escape sequences too, but not 24-bit ones. */
static const char *const ink_sequences[] = {
	[INK_PLAIN] = NULL,
	[INK_STRONG] = "\033[1m",
	[INK_FAINT] = "\033[2m",
	[INK_PRESENT] = "\033[38;5;74m",
	[INK_DIRTY] = "\033[38;5;214m",
	[INK_PROBLEM] = "\033[38;5;166m",
	[INK_GOOD] = "\033[38;5;36m",
	[INK_SWAPPED] = "\033[38;5;175m",
};

static size_t chunk_columns(const struct libscols_column *column, const char *text, void *nothing)
{
	(void)column;
	(void)nothing;
	return text_columns(text, strlen(text));
}

/* Cuts text behind the last word that fits into the column, and returns the rest: the library by itself cuts words. */
static char *chunk_next(const struct libscols_column *column, char *text, void *nothing)
{
	size_t width = scols_column_get_width(column);
	char *cut = NULL;

	(void)nothing;
	if (text == NULL || text_columns(text, strlen(text)) <= width)
		return NULL;
	for (char *space = strchr(text, ' '); space != NULL; space = strchr(space + 1, ' ')) {
		if (cut != NULL && text_columns(text, (size_t)(space - text)) > width)
			break;
		cut = space;
	}
	if (cut == NULL)
		return NULL;
	*cut = '\0';
	return cut + 1;
}

static char *chunk_none(const struct libscols_column *column, char *text, void *nothing)
{
	(void)column;
	(void)text;
	(void)nothing;
	return NULL;
}

static void add_columns(struct libscols_table *to, const struct table *table)
{
	for (size_t c = 0; c < table->column_count; c++) {
		bool name = (table->columns[c].flags & COLUMN_NAME) != 0;
		bool wrap = name || (table->columns[c].flags & COLUMN_WRAP) != 0;
		bool right = (table->columns[c].flags & COLUMN_RIGHT) != 0;
		struct libscols_column *column = scols_table_new_column(to, table->columns[c].title,
			wrap ? 0.1 : 0, (right ? SCOLS_FL_RIGHT : 0) | (wrap ? SCOLS_FL_WRAP : 0));

		if (column == NULL)
			return;
		scols_column_set_safechars(column, "\\"); /* names are escaped once, by us */
		if (wrap)
			scols_column_set_wrapfunc(
				column, chunk_columns, name ? chunk_none : chunk_next, NULL);
	}
}

static void add_rows(struct libscols_table *to, const struct table *table)
{
	struct libscols_line *line = NULL;

	for (size_t i = 0; i < table->cell_count; i++) {
		size_t c = i % table->column_count;

		if (c == 0)
			line = scols_table_new_line(to, NULL);
		if (line == NULL)
			return;
		scols_line_set_data(line, c, table->cells[i].text);
		if (table->screen->color && ink_sequences[table->cells[i].ink] != NULL)
			scols_cell_set_color(
				scols_line_get_cell(line, c), ink_sequences[table->cells[i].ink]);
	}
}

void table_lay_out(struct table *table)
{
	struct libscols_table *to = scols_new_table();

	if (to == NULL)
		return;
	scols_table_enable_colors(to, table->screen->color);
	scols_table_enable_ascii(to, !table->screen->unicode);
	scols_table_set_termforce(to, SCOLS_TERMFORCE_ALWAYS);
	scols_table_set_termwidth(to, table->screen->width);
	scols_table_set_stream(to, table->screen->out);
	add_columns(to, table);
	add_rows(to, table);
	scols_print_table(to);
	scols_unref_table(to);
}
