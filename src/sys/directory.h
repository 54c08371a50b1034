/* SPDX-License-Identifier: Apache-2.0 */
/* sys/directory.h - names and directories, as -errno; nothing here follows what it was not told to follow. */
#ifndef SYS_DIRECTORY_H
#define SYS_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* One name of a directory; type is a DT_ constant, DT_UNKNOWN where the filesystem does not say. */
struct sys_name {
	uint64_t inode;
	const char *name;
	unsigned char type;
};

int sys_openat(int directory, const char *path, int flags);
int sys_fstatat(int directory, const char *path, struct stat *stat, int flags);
int sys_faccessat(int directory, const char *path, int mode, int flags);
ssize_t sys_readlinkat(
	int directory, const char *path, char *target, size_t target_bytes); /* NUL-terminated */
int sys_is_dax(int fd);                                                      /* 1, 0, or -errno */

/* Fills buffer with packed names; 0 at the end. sys_next_name() takes them out: *at starts at 0. */
ssize_t sys_getdents(int fd, void *buffer, size_t buffer_bytes);
bool sys_next_name(const void *buffer, size_t filled, size_t *at, struct sys_name *name);

/* A descriptor that is readable when names come, go, or get other permissions. */
int sys_directory_changes(const char *path);
bool sys_directory_changed(int changes); /* since the last time it was asked */

#endif
