/* SPDX-License-Identifier: Apache-2.0 */
/* maps.h - what the parts of quire maps share. */
#ifndef QUIRE_TOOL_MAPS_H
#define QUIRE_TOOL_MAPS_H

#include <quire/quire.h>

#include "json.h"
#include "verbs.h"

enum maps_sort {
	SORT_RAM,
	SORT_SIZE,
	SORT_SHARE,
	SORT_DIRTY,
	SORT_SWAP,
	SORT_COUNT,
	SORT_NAME,
	SORT_ADDRESS
};

struct maps_settings {
	bool all;
	bool summary;
	bool no_map;
	unsigned int sort;
	uint64_t top;
	const char *filter;
	const char *save;
	const char *diff;
};

/** One mapping, with a name of its own. */
struct row {
	struct quire_mapping m;
	unsigned int group;
};

/** Mappings that belong together: of one file, of one kind of files, or of one kind of memory. */
struct group {
	char *name;
	const char *kind; /* what it is, in words, or "" */
	uint64_t count;
	uint64_t size;
	uint64_t ram;
	uint64_t share;
	uint64_t anonymous;
	uint64_t dirty;
	uint64_t clean; /* of files, not locked: can be dropped at any time */
	uint64_t swap;
	uint64_t huge;
	uint64_t pool;
	uint64_t locked;
	uint64_t start; /* lowest address */
	size_t first;   /* its first row */
	bool deleted;
};

/** All that is shown of one process. */
struct maps_view {
	struct quire_process process;
	struct row *rows;
	size_t row_count;
	size_t row_room;
	struct group *groups;
	size_t group_count;
	size_t group_room;
	unsigned int *places; /* hash of the groups by name: index + 1 */
	size_t place_count;
	uint64_t mappings; /* all of them, --filter or not */
	uint64_t limit;    /* vm.max_map_count, QUIRE_UNKNOWN when it cannot be read */
	struct group sum;
	uint64_t write_execute; /* mappings that are writable and executable */
	uint64_t answered;      /* mappings whose faults a program answers (userfaultfd) */
	const char **warnings;
	size_t warning_count;
};

/* Reads all mappings and groups them; a status when the process cannot be read. */
enum status maps_gather(struct maps_view *view, int pid, const struct maps_settings *settings);
void maps_done(struct maps_view *view);

/* Groups by name, in places[]; made when it is not there yet. */
unsigned int group_of(struct maps_view *view, const char *name);

/* What a mapping's name means, in words; "" when the name says it. */
const char *mapping_kind(const struct quire_mapping *mapping);

/* Looks at the files that are executed: who else may write them. */
void maps_find_warnings(struct maps_view *view);

void maps_show(struct call *call, struct maps_view *view);
void maps_put(struct call *call, const struct maps_view *view);
enum status maps_summary(struct call *call, int pid);
enum status maps_save(const struct maps_view *view, const char *to);
enum status maps_diff(struct call *call, const struct maps_view *view, const char *from);

#endif
