/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - what the two ways to lay out a table share: table-smartcols.c and table-plain.c. */
#ifndef QUIRE_TOOL_TABLE_H
#define QUIRE_TOOL_TABLE_H

#include "screen.h"

struct cell {
	char *text;
	enum ink ink;
};

/** Cells, row after row. */
struct table {
	struct screen *screen;
	const struct column *columns;
	size_t column_count;
	struct cell *cells;
	size_t cell_count;
	size_t room;
};

/* Columns that the widest cell or the title of a column takes. */
size_t table_widest(const struct table *table, size_t column);

/* Prints; one of the two is built. */
void table_lay_out(struct table *table);

#endif
