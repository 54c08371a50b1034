/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/pids.h"

static int lock_call(int fd, int command, struct flock *lock)
{
	int r;

	do
		r = fcntl(fd, command, lock) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r == -EACCES ? -EAGAIN : r;
}

static struct flock range(short type, uint64_t start, uint64_t length)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)length
	};
}

int sys_lock_take(int fd, uint64_t start, uint64_t length, bool exclusive)
{
	struct flock lock = range(exclusive ? F_WRLCK : F_RDLCK, start, length);

	return lock_call(fd, F_OFD_SETLK, &lock);
}

int sys_lock_give(int fd, uint64_t start, uint64_t length)
{
	struct flock lock = range(F_UNLCK, start, length);

	return lock_call(fd, F_OFD_SETLK, &lock);
}

int sys_lock_test(int fd, uint64_t start, uint64_t length, uint64_t *taken)
{
	struct flock lock = range(F_WRLCK, start, length);
	int r = lock_call(fd, F_OFD_GETLK, &lock);

	if (r < 0 || lock.l_type == F_UNLCK)
		return r;
	*taken = (uint64_t)lock.l_start;
	return 1;
}

/* A line of fdinfo: "lock:\t1: OFDLCK  ADVISORY  READ -1 08:02:1234567 4103 4103". The inode is compared, and the device by
 * a descriptor's own: btrfs shows another one here than fstat does. */
static bool line_holds(const char *line, const struct stat *file, uint64_t start)
{
	unsigned long inode;
	uint64_t first;

	return sscanf(line, "lock:\t%*u: OFDLCK %*s %*s %*d %*x:%*x:%lu %" SCNu64, &inode, &first) == 2 &&
		inode == file->st_ino && first == start;
}

static bool descriptor_holds(const char *path, const struct stat *file, uint64_t start)
{
	char text[2048];
	ssize_t n = sys_read_small(path, text, sizeof(text));
	char *rest = text;
	char *line;

	while (n > 0 && (line = strsep(&rest, "\n")) != NULL)
		if (line_holds(line, file, start))
			return true;
	return false;
}

static bool process_holds(int pid, const struct stat *file, uint64_t start)
{
	char path[300];
	const struct dirent *entry;
	bool found = false;
	DIR *directory;

	(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	directory = opendir(path);
	if (directory == NULL)
		return false;
	while (!found && (entry = readdir(directory)) != NULL) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", pid, entry->d_name);
		found = entry->d_name[0] != '.' && descriptor_holds(path, file, start);
	}
	(void)closedir(directory);
	return found;
}

int sys_lock_holder(int fd, uint64_t start)
{
	struct pids pids;
	struct stat file;
	int pid;

	if (fstat(fd, &file) < 0)
		return -errno;
	if (pids_open(&pids) < 0)
		return -ESRCH;
	while ((pid = pids_next(&pids)) != 0)
		if (process_holds(pid, &file, start))
			break;
	pids_close(&pids);
	return pid != 0 ? pid : -ESRCH;
}
