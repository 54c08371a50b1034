/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the kernel writes; glibc offers it under no name that C17 code may use with getdents64's own buffer rules. */
struct packed_name {
	uint64_t inode;
	int64_t offset;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

int sys_openat(int directory, const char *path, int flags)
{
	int r;

	do
		r = result(openat(directory, path, flags | O_CLOEXEC));
	while (r == -EINTR);
	return r;
}

int sys_fstatat(int directory, const char *path, struct stat *stat, int flags)
{
	return result(fstatat(directory, path, stat, flags));
}

int sys_faccessat(int directory, const char *path, int mode, int flags)
{
	return result(faccessat(directory, path, mode, flags));
}

ssize_t sys_readlinkat(int directory, const char *path, char *target, size_t target_bytes)
{
	ssize_t n = readlinkat(directory, path, target, target_bytes - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return n;
}

int sys_is_dax(int fd)
{
	struct statx about;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &about) < 0)
		return -errno;
	return (about.stx_attributes & STATX_ATTR_DAX) != 0;
}

ssize_t sys_getdents(int fd, void *buffer, size_t buffer_bytes)
{
	long n = syscall(SYS_getdents64, fd, buffer, buffer_bytes);

	return n < 0 ? -errno : (ssize_t)n;
}

bool sys_next_name(const void *buffer, size_t filled, size_t *at, struct sys_name *name)
{
	const struct packed_name *packed;

	if (*at >= filled)
		return false;
	packed = (const struct packed_name *)(const void *)((const char *)buffer + *at);
	name->inode = packed->inode;
	name->name = packed->name;
	name->type = packed->type;
	*at += packed->bytes;
	return true;
}

int sys_directory_changes(const char *path)
{
	int fd = result(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	int r;

	if (fd < 0)
		return fd;
	r = result(inotify_add_watch(fd, path, IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR));
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

bool sys_directory_changed(int changes)
{
	char events[4096];
	bool any = false;

	while (read(changes, events, sizeof(events)) > 0)
		any = true;
	return any;
}
