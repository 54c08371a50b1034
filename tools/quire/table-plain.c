/* SPDX-License-Identifier: Apache-2.0 */
/* table-plain.c - tables without libsmartcols: columns as wide as their widest cell, the last one as it comes. */
#include <stdlib.h>
#include <string.h>

#include "table.h"

static void put_cell(const struct table *table, size_t column, size_t width, enum ink ink, const char *text)
{
	int blanks = (int)(width - text_columns(text, strlen(text)));
	bool right = (table->columns[column].flags & COLUMN_RIGHT) != 0;
	bool last = column + 1 == table->column_count;

	say(table->screen, INK_PLAIN, "%*s", right ? blanks : 0, "");
	say(table->screen, ink, "%s", text);
	say(table->screen, INK_PLAIN, "%*s", right || last ? 0 : blanks, "");
	fputs(last ? "\n" : " ", table->screen->out);
}

void table_lay_out(struct table *table)
{
	size_t *widths = calloc(table->column_count, sizeof(*widths));

	if (widths == NULL)
		return;
	for (size_t c = 0; c < table->column_count; c++) {
		widths[c] = table_widest(table, c);
		put_cell(table, c, widths[c], INK_STRONG, table->columns[c].title);
	}
	for (size_t i = 0; i < table->cell_count; i++) {
		size_t c = i % table->column_count;

		put_cell(table, c, widths[c], table->cells[i].ink, table->cells[i].text);
	}
	free(widths);
}
