/* SPDX-License-Identifier: Apache-2.0 */
/* tree.c - directories that come and go. A scratch directory is locked by those who use it: one whose users were killed is
 * removed by the next test. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *walk)
{
	(void)s;
	(void)type;
	(void)walk;
	return remove(path);
}

void crash_remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Room enough for logs and images; a tmpfs of a container may have 64 MiB. */
static bool has_room(const char *place)
{
	enum { ROOM = 1 << 30 };
	struct statvfs s;

	return statvfs(place, &s) == 0 && s.f_bavail * s.f_frsize >= ROOM;
}

static int lock(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* Not one that was just born, and is about to be locked. */
static bool is_old(const char *path)
{
	enum { OLD_SECONDS = 900 };
	struct stat s;

	return stat(path, &s) == 0 && time(NULL) - s.st_mtime > OLD_SECONDS;
}

void crash_scratch_end(const char *path, int fd)
{
	crash_remove_tree(path);
	(void)close(fd);
}

static void sweep(const char *place)
{
	DIR *dir = opendir(place);
	char path[300];
	int fd;

	if (!dir)
		return;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		(void)snprintf(path, sizeof(path), "%s/%s", place, e->d_name);
		if (strncmp(e->d_name, "crash-", 6) != 0 || !is_old(path))
			continue;
		fd = lock(path);
		if (fd >= 0)
			crash_scratch_end(path, fd);
	}
	(void)closedir(dir);
}

int crash_scratch(char path[64])
{
	static const char *const places[] = { "/dev/shm", "/tmp" };
	const char *chosen = getenv("CRASH_SCRATCH");

	for (size_t i = 0; i < 3; i++) {
		const char *place = i == 0 ? chosen : places[i - 1];

		if (!place || (i == 1 && !has_room(place)))
			continue;
		sweep(place);
		if (snprintf(path, 64, "%s/crash-XXXXXX", place) < 64 && mkdtemp(path))
			return lock(path);
	}
	return -1;
}
