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

void table_print(struct table *table)
{
	while (table->cell_count % table->column_count != 0)
		table_cell(table, INK_PLAIN, "%s", "");
	table_lay_out(table);
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}
