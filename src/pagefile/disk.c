/* SPDX-License-Identifier: Apache-2.0 */
#include "pagefile/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "base/mutant.h"
#include "sys/directory.h"
#include "sys/file.h"

static const char new_suffix[] = ".new";

static char *path_of(const char *path, const char *suffix, const char *more)
{
	size_t bytes = strlen(path) + strlen(suffix) + strlen(more) + 1;
	char *whole = malloc(bytes);

	if (whole != NULL)
		(void)snprintf(whole, bytes, "%s%s%s", path, suffix, more);
	return whole;
}

static int open_whole(struct disk *disk, int flags, uint32_t mode)
{
	disk->fd = sys_open(disk->path, flags | O_NOCTTY | O_NONBLOCK, mode);
	if (disk->fd >= 0)
		return 0;
	error_set(disk->fd, "cannot open %s: %s", disk->path, strerror(-disk->fd));
	free(disk->path);
	disk->path = NULL;
	return disk->fd;
}

int disk_open(struct disk *disk, const char *path, const char *suffix, unsigned int flags, uint32_t mode)
{
	int how = (flags & DISK_WRITE) != 0 ? O_RDWR : O_RDONLY;

	if ((flags & DISK_CREATE) != 0)
		how |= O_CREAT;
	disk->path = path_of(path, suffix, "");
	if (disk->path == NULL)
		return error_set(-ENOMEM, "no memory for a name");
	return open_whole(disk, how, mode);
}

void disk_close(struct disk *disk)
{
	if (disk->path == NULL)
		return;
	sys_close(disk->fd);
	free(disk->path);
	disk->path = NULL;
}

/* ---- transfers ---- */

static int refuse(const struct disk *disk, const char *verb, uint64_t offset, int error)
{
	return error_set(error, "%s: cannot %s at offset %" PRIu64 ": %s", disk->path, verb, offset,
		error == -ENODATA ? "the file ends before" : strerror(-error));
}

int disk_read(const struct disk *disk, void *bytes, size_t length, uint64_t offset)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = sys_pread(disk->fd, (char *)bytes + done, length - done, offset + done);

		if (n <= 0)
			return refuse(disk, "read", offset + done, n == 0 ? -ENODATA : (int)n);
		done += (size_t)n;
	}
	return 0;
}

int disk_write(const struct disk *disk, const void *bytes, size_t length, uint64_t offset)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = sys_pwrite(disk->fd, (const char *)bytes + done, length - done, offset + done);

		if (n <= 0)
			return refuse(disk, "write", offset + done, n == 0 ? -EIO : (int)n);
		done += MUTANT("short-write-is-done") ? length : (size_t)n;
	}
	return 0;
}

int disk_zero(const struct disk *disk, uint64_t from, uint64_t to)
{
	enum { AT_ONCE = 256 << 10 };
	char *zeros = calloc(1, AT_ONCE);
	int r = 0;

	if (zeros == NULL)
		return error_set(-ENOMEM, "no memory for a buffer");
	for (uint64_t at = from; r == 0 && at < to; at += AT_ONCE)
		r = disk_write(disk, zeros, min_u64(AT_ONCE, to - at), at);
	free(zeros);
	return r;
}

void disk_cut(const struct disk *disk, uint64_t bytes)
{
	(void)sys_truncate(disk->fd, bytes);
}

bool disk_is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

int disk_allocate(const struct disk *disk, uint64_t from, uint64_t to)
{
	int r;

	if (from >= to)
		return 0;
	r = sys_fallocate(disk->fd, 0, from, to - from);
	if (r == -EOPNOTSUPP)
		return disk_zero(disk, from, to); /* the long way to real blocks */
	return r < 0 ? refuse(disk, "allocate blocks", from, r) : 0;
}

int disk_flush(const struct disk *disk)
{
	int r = sys_fdatasync(disk->fd);

	if (r < 0 && MUTANT("retry-flush"))
		r = sys_fdatasync(disk->fd);
	return r < 0 && !MUTANT("ignore-flush-error")
		? error_set(r, "%s: cannot be flushed: %s", disk->path, strerror(-r))
		: 0;
}

int disk_size(const struct disk *disk, uint64_t *bytes)
{
	struct stat stat;
	int r = sys_fstat(disk->fd, &stat);

	if (r < 0)
		return error_set(r, "%s: %s", disk->path, strerror(-r));
	if (!S_ISREG(stat.st_mode))
		return error_set(-EINVAL, "%s is not a regular file", disk->path);
	*bytes = (uint64_t)stat.st_size;
	return 0;
}

/* ---- birth ---- */

int disk_create_begin(struct disk *disk, const char *path, const char *suffix, uint32_t mode)
{
	disk->path = path_of(path, suffix, new_suffix);
	if (disk->path == NULL)
		return error_set(-ENOMEM, "no memory for a name");
	return open_whole(disk, O_RDWR | O_CREAT | O_TRUNC, mode);
}

static int sync_directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *directory;
	int r;

	if (MUTANT("forget-directory"))
		return 0;
	if (slash == NULL)
		return sys_sync_directory(".");
	if (slash == path)
		return sys_sync_directory("/");
	directory = strndup(path, (size_t)(slash - path));
	if (directory == NULL)
		return -ENOMEM;
	r = sys_sync_directory(directory);
	free(directory);
	return r;
}

int disk_flush_name(const struct disk *disk)
{
	int r = sync_directory_of(disk->path);

	if (r == 0 || r == -EACCES) /* who may not read the directory has not made the file either */
		return 0;
	return error_set(r, "the directory of %s cannot be flushed: %s", disk->path, strerror(-r));
}

int disk_create_finish(struct disk *disk, bool replace)
{
	char *name = strndup(disk->path, strlen(disk->path) - strlen(new_suffix));
	int r;

	if (name == NULL)
		return error_set(-ENOMEM, "no memory for a name");
	r = MUTANT("create-no-fsync") ? 0 : sys_fsync(disk->fd);
	if (r == 0)
		r = sys_rename(disk->path, name, replace);
	if (r < 0) {
		error_set(r, "%s cannot be created: %s", name, strerror(-r));
		free(name);
		return r;
	}
	free(disk->path);
	disk->path = name;
	r = sync_directory_of(name);
	return r < 0 ? error_set(r, "the directory of %s cannot be flushed: %s", name, strerror(-r)) : 0;
}

void disk_create_undo(struct disk *disk)
{
	if (disk->path == NULL)
		return;
	if (strcmp(disk->path + strlen(disk->path) - strlen(new_suffix), new_suffix) == 0)
		(void)sys_unlink(disk->path); /* what stays is found and cut by the next who creates */
	disk_close(disk);
}

void disk_remove_orphan(const char *path, const char *suffix)
{
	char *name = path_of(path, suffix, "");
	struct stat stat;

	if (name != NULL && sys_fstatat(AT_FDCWD, path, &stat, AT_SYMLINK_NOFOLLOW) == -ENOENT)
		(void)sys_unlink(name);
	free(name);
}

int disk_random(void *bytes, size_t length)
{
	int r = sys_random(bytes, length);

	return r < 0 ? error_set(r, "no random numbers: %s", strerror(-r)) : 0;
}

int disk_process(void)
{
	return sys_process_id();
}
