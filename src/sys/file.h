/* SPDX-License-Identifier: Apache-2.0 */
/* sys/file.h - the system calls about files, as -errno; EINTR is retried where nothing is lost by it. */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/uio.h>

int sys_open(const char *path, int flags, mode_t mode);
void sys_close(int fd);
int sys_dup(int fd);                      /* close-on-exec */
int sys_status_flags(int fd);             /* O_ACCMODE and friends */
int sys_set_direct(int fd);               /* O_DIRECT from now on */
int sys_fstat(int fd, struct stat *stat); /* async-signal-safe */
int sys_fstatfs(int fd, struct statfs *statfs);
int sys_unlink(const char *path);
int sys_rename(const char *from, const char *to,
	bool replace);                    /* -EEXIST without replace, where the filesystem can tell */
int sys_sync_directory(const char *path); /* makes names in it durable */
int sys_truncate(int fd, uint64_t length);
int sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length);
ssize_t sys_pread(int fd, void *buffer, size_t length, uint64_t offset);
ssize_t sys_pwrite(int fd, const void *buffer, size_t length, uint64_t offset);
ssize_t sys_preadv(int fd, const struct iovec *parts, unsigned int count, uint64_t offset);
ssize_t sys_pwritev(int fd, const struct iovec *parts, unsigned int count, uint64_t offset);
void sys_forget(int fd, uint64_t offset, uint64_t length); /* clean pages of the range leave the page cache */
int sys_reopen_direct(int fd, bool write); /* another description of the same file, with O_DIRECT */

/* The next bytes at or after *from that are no hole become [*from, *end): 1; 0 without any. Moves the position of fd. */
int sys_next_data(int fd, uint64_t *from, uint64_t *end);
int sys_start_write(int fd, uint64_t offset, uint64_t length); /* of dirty pages; does not wait */
int sys_fsync(int fd);
int sys_fdatasync(int fd);
int sys_memfd_create(const char *name, unsigned int flags);
int sys_memfd_secret(unsigned int flags);
int sys_shm_open(const char *name, int flags, mode_t mode);
int sys_shm_unlink(const char *name);
int sys_add_seals(int fd, unsigned int seals);
int sys_get_seals(int fd);

/* Does the kernel tell this process the truth about which pages of the file are cached? It does to the owner, to who could
 * write it, and to CAP_FOWNER (mm/mincore.c); to others mincore says "resident". */
bool sys_may_know_cache(int fd);

int sys_random(void *bytes, size_t length);
int sys_process_id(void);

/* Reads a small file of numbers or text (as under /proc/sys) whole; the result is NUL-terminated. */
ssize_t sys_read_small(const char *path, char *text, size_t text_bytes);

#endif
