/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support/files.h - files to map, and small filesystems.
 *
 * A filesystem is mounted in a mount namespace of the calling child: when the child ends, however it ends, the kernel
 * unmounts it and frees its loop device.
 */
#ifndef TESTS_SUPPORT_FILES_H
#define TESTS_SUPPORT_FILES_H

#include <stddef.h>
#include <stdint.h>

enum { PAGE = 4096 };

/* An unlinked file of so many bytes: page i is filled with 'a' + i % 26. Never returns a bad descriptor. */
int file_of(size_t bytes);

/* The same with a name, written to path (at least 64 bytes); to be unlinked by the caller. */
int named_file_of(size_t bytes, char *path);

void fill_pages(int fd, size_t bytes);

/* Mounts a tmpfs, ext4, xfs or btrfs of so many bytes and writes its directory to path (at least 64 bytes). Skips the
 * case without the right to mount. Only in a child. */
void small_filesystem(const char *kind, size_t bytes, char *path);

/* Runs "WHATFIRST SECOND" as the shell does; skips the case when it fails. Only in a child. */
void run_command(const char *what, const char *first, const char *second);

/* Fills a filesystem up to its last block. */
void fill_filesystem(const char *path);

#endif
