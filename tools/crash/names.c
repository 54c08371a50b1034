/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - which name stands for which file. */
#include <string.h>

#include "model.h"

static size_t find(const struct names *n, const char *path)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->list[i].path, path) == 0)
			return i;
	return n->count;
}

static void set(struct names *n, const char *path, int file)
{
	size_t i = find(n, path);

	if (i == n->count) {
		n->list = model_room(n->list, &n->room, n->count + 1, sizeof(*n->list));
		n->count++;
	}
	n->list[i] = (struct name){ .path = path, .file = file };
}

static void drop(struct names *n, const char *path)
{
	size_t i = find(n, path);

	if (i < n->count)
		n->list[i] = n->list[--n->count];
}

void names_apply(struct names *n, const struct crash_op *op)
{
	size_t from;

	switch ((int)op->kind) {
	case CRASH_INITIAL:
	case CRASH_CREATE:
	case CRASH_LINK: set(n, op->name, op->file); break;
	case CRASH_INITIAL_DIR:
	case CRASH_MKDIR: set(n, op->name, FILE_IS_DIR); break;
	case CRASH_UNLINK:
	case CRASH_RMDIR: drop(n, op->name); break;
	case CRASH_RENAME:
		from = find(n, op->name);
		if (from == n->count)
			break; /* its creation was lost, so there is nothing to rename */
		set(n, op->name2, n->list[from].file);
		drop(n, op->name);
		break;
	default: break; /* nothing else has a name */
	}
}

void names_copy(struct names *to, const struct names *from)
{
	to->list = model_room(to->list, &to->room, from->count, sizeof(*to->list));
	if (from->count)
		memcpy(to->list, from->list, from->count * sizeof(*to->list));
	to->count = from->count;
}
