/* SPDX-License-Identifier: Apache-2.0 */
/* presence.h - what the parts of quire presence share. */
#ifndef QUIRE_TOOL_PRESENCE_H
#define QUIRE_TOOL_PRESENCE_H

#include "verbs.h"

enum map_kind { MAP_BLOCKS, MAP_BRAILLE };

struct presence_settings {
	bool recursive;
	bool system;
	bool all;
	bool one_filesystem;
	bool ready;
	bool runs;
	bool folios;
	bool mappers;
	bool no_mappers;
	bool watch;
	unsigned int map;
	uint64_t pid;
	uint64_t top;
	uint64_t interval_ms;
	uint64_t count;
	const char *save;
	const char *diff;
};

enum status presence_files(struct call *call); /* one screen a file */
enum status presence_list(struct call *call);  /* -r, --pid, --system, many files */
enum status presence_watch(struct call *call);
enum status presence_save(struct call *call, const char *to);
enum status presence_diff(struct call *call, const char *from);

#endif
