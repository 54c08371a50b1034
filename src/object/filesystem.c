/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The questions are asked of an O_TMPFILE in the path's directory, so that nothing of the user's is touched. Where no file
 * can be made there, what needs one is unknown, and says so.
 */
#include "object/filesystem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "pmap/probe.h"
#include "sys/file.h"

static int ask_shared_write(int fd)
{
	return probe_map(fd, true, false);
}

static int ask_sync(int fd)
{
	return probe_map(fd, true, true);
}

static int ask_preallocate(int fd)
{
	return sys_fallocate(fd, 0, 0, PAGE_BYTES);
}

static int ask_hole(int fd)
{
	return sys_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE_BYTES);
}

static int ask_direct(int fd)
{
	return sys_set_direct(fd);
}

static const struct {
	const char *name;
	const char *what;
	const char *why;
	int (*ask)(int fd);
} questions[] = {
	{ "fs-map-shared", "stores through a mapping reach the file",
		"the filesystem does not allow shared writable mappings", ask_shared_write },
	{ "fs-sync", "QUIRE_SYNC: stores are durable without a system call",
		"the filesystem gives no direct access (DAX)", ask_sync },
	{ "fs-preallocate", "a full disk is an error when allocating, not when storing",
		"the filesystem cannot preallocate: a store may still meet a full disk", ask_preallocate },
	{ "fs-holes", "parts of a file can be freed (QUIRE_REMOVE)", "the filesystem cannot punch holes",
		ask_hole },
	{ "fs-direct", "reads that pass the page cache by (O_DIRECT)",
		"the filesystem has no O_DIRECT: paged mappings will be cached twice", ask_direct },
};

/* A file without a name in the directory, or -errno. */
static int scratch_file(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);
	int fd;

	fd = sys_open(path, O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0 || length >= sizeof(directory))
		return fd;
	memcpy(directory, path, length);
	directory[length] = '\0';
	return sys_open(length == 0 ? (slash == NULL ? "." : "/") : directory, O_TMPFILE | O_RDWR, 0600);
}

int filesystem_ask(const char *path, unsigned int index, struct filesystem_answer *answer)
{
	int fd;
	int r;

	if (index >= ARRAY_COUNT(questions))
		return 0;
	fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return error_set(fd, "cannot open %s: %s", path, strerror(-fd));
	sys_close(fd);

	answer->name = questions[index].name;
	answer->what = questions[index].what;
	fd = scratch_file(path);
	if (fd < 0) {
		answer->available = -1;
		answer->error = fd;
		answer->why = "no file can be made there to try it with";
		return 1;
	}
	r = sys_truncate(fd, PAGE_BYTES);
	if (r == 0)
		r = questions[index].ask(fd);
	sys_close(fd);
	answer->available = r >= 0;
	answer->error = r < 0 ? r : 0;
	answer->why = r < 0 ? questions[index].why : "";
	return 1;
}
