/* SPDX-License-Identifier: Apache-2.0 */
/* file-list.h - the files that a verb shall change something about: operands, and with -r what is below them. */
#ifndef QUIRE_TOOL_FILE_LIST_H
#define QUIRE_TOOL_FILE_LIST_H

#include "verbs.h"

/** Paths of regular files, each once. */
struct file_list {
	char **paths;
	uint64_t *bytes;
	size_t count;
	size_t room;
	uint64_t bytes_all;
	uint64_t unreadable;
};

/* Collects; complains of what cannot be found, and hands back the worst of it. */
enum status file_list_fill(struct file_list *list, const struct call *call, bool recursive);
void file_list_done(struct file_list *list);

#endif
