/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "verbs.h"

static void *must(void *memory)
{
	if (memory == NULL) {
		complain("no memory");
		exit(STATUS_SYSTEM);
	}
	return memory;
}

struct table *table_new(struct screen *screen, const struct column *columns, size_t count)
{
	struct table *table = must(calloc(1, sizeof(*table)));

	*table = (struct table){ .screen = screen, .columns = columns, .column_count = count };
	return table;
}

void table_cell(struct table *table, enum ink ink, const char *format, ...)
{
	struct cell *cell;
	va_list list;
	int length;

	if (table->cell_count == table->room) {
		table->room = table->room == 0 ? 64 : table->room * 2;
		table->cells = must(realloc(table->cells, table->room * sizeof(*table->cells)));
	}
	cell = &table->cells[table->cell_count++];
	cell->ink = ink;
	va_start(list, format);
	length = vasprintf(&cell->text, format, list);
	va_end(list);
	if (length < 0)
		cell->text = must(NULL);
}

size_t table_widest(const struct table *table, size_t column)
{
	size_t most = text_columns(table->columns[column].title, strlen(table->columns[column].title));

	for (size_t i = column; i < table->cell_count; i += table->column_count) {
		size_t columns = text_columns(table->cells[i].text, strlen(table->cells[i].text));

		if (columns > most)
			most = columns;
	}
	return most;
}

static bool cut_column(struct table *table, size_t column, size_t columns)
{
	bool cut = false;

	for (size_t i = column; i < table->cell_count; i += table->column_count)
		cut = text_cut(table->cells[i].text, columns < 20 ? 20 : columns) || cut;
	return cut;
}

static bool cut_names(struct table *table)
{
	size_t width = table->screen->width, used = 0;
	bool cut = false;

	for (size_t c = 0; c < table->column_count && table->screen->terminal; c++) {
		if ((table->columns[c].flags & COLUMN_PATH) != 0)
			cut = cut_column(table, c, width > used ? width - used : 0) || cut;
		else if ((table->columns[c].flags & COLUMN_NAME) != 0)
			cut = cut_column(table, c, width) || cut;
		used += table_widest(table, c) + 1;
	}
	return cut;
}

bool table_print(struct table *table)
{
	bool cut;

	while (table->cell_count % table->column_count != 0)
		table_cell(table, INK_PLAIN, "%s", "");
	cut = cut_names(table);
	table_lay_out(table);
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
	return cut;
}
