/* SPDX-License-Identifier: Apache-2.0 */
/* presence-list.h - many files and their sums: gathered by presence-gather.c, shown by presence-list.c. */
#ifndef QUIRE_TOOL_PRESENCE_LIST_H
#define QUIRE_TOOL_PRESENCE_LIST_H

#include "file-view.h"
#include "presence.h"

/** One line of the table. */
struct line {
	char *path;
	struct quire_presence figures;
};

/** Lines worth showing, and the sums of all. */
struct list {
	struct line *lines;
	size_t used;
	size_t room;
	size_t rows;   /* that will be shown */
	size_t listed; /* that could be */
	bool pruned;   /* lines[rows - 1] is the last row so far */
	bool all;      /* keep files with nothing cached, too */

	uint64_t files;
	uint64_t files_cached;
	uint64_t files_unknown;
	uint64_t files_hidden; /* of these: not even what is ready is known */
	uint64_t size;
	uint64_t size_hidden;
	uint64_t cached;       /* pages, of files where it is known */
	uint64_t cached_bytes; /* the same, without what the last page of a file has behind its end */
	uint64_t dirty;
	uint64_t writing;
	uint64_t evicted;
	uint64_t unreadable;
	uint64_t skipped;
	uint64_t directories;
	const char *why; /* of the first unknown */
	double seconds;
	struct quire_memory before;
	struct quire_memory after;
};

/* Looks at what the command line names; complains of what cannot be found, and hands back the worst of it. */
enum status presence_gather(struct list *list, const struct call *call);
void presence_forget(struct list *list);

/* For sums: what is not known is counted apart. */
static inline uint64_t known_or_zero(uint64_t figure)
{
	return figure == QUIRE_UNKNOWN ? 0 : figure;
}

#endif
