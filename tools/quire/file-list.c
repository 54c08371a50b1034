/* SPDX-License-Identifier: Apache-2.0 */
#include "file-list.h"

#include <errno.h>
#include <fcntl.h>
#include <quire/quire.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file-view.h"

static void add(struct file_list *list, const char *path, uint64_t bytes)
{
	if (list->count == list->room) {
		list->room = list->room == 0 ? 64 : list->room * 2;
		list->paths = allocate(list->paths, list->room, sizeof(*list->paths));
		list->bytes = allocate(list->bytes, list->room, sizeof(*list->bytes));
	}
	list->paths[list->count] = strdup(path);
	if (list->paths[list->count] == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	list->bytes[list->count++] = bytes;
	list->bytes_all += bytes;
}

static enum status add_file(struct file_list *list, const char *path)
{
	struct stat about;
	int fd, r = quire_presence_open(AT_FDCWD, path, &fd);

	if (r == -EISDIR)
		return fail(STATUS_USAGE, "%s is a directory: -r takes the files in it", text_name(path).s);
	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	if (fstat(fd, &about) == 0)
		add(list, path, (uint64_t)about.st_size);
	close(fd);
	return STATUS_OK;
}

static enum status add_tree(struct file_list *list, const char *path)
{
	struct quire_walk_entry entry = { .size = sizeof(entry) };
	struct quire_walk *walk;
	int r = quire_walk_open(path, 0, &walk);

	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	while ((r = quire_walk_next(walk, &entry)) == 1) {
		if (entry.error == 0)
			add(list, entry.path, entry.presence.file_bytes);
		else
			list->unreadable++;
	}
	quire_walk_close(walk);
	if (r < 0)
		return fail(STATUS_SYSTEM, "%s", quire_error_text());
	return list->unreadable != 0 ? STATUS_FORBIDDEN : STATUS_OK;
}

enum status file_list_fill(struct file_list *list, const struct call *call, bool recursive)
{
	enum status status = STATUS_OK;
	struct stat about;

	*list = (struct file_list){ .count = 0 };
	for (unsigned int i = 0; i < call->operand_count; i++) {
		const char *path = call->operands[i];
		bool tree = recursive && stat(path, &about) == 0 && S_ISDIR(about.st_mode);

		status = status_worse(status, tree ? add_tree(list, path) : add_file(list, path));
	}
	return status;
}

void file_list_done(struct file_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->paths[i]);
	free(list->paths);
	free(list->bytes);
}
