/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/uapi.h"

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

int sys_open(const char *path, int flags, mode_t mode)
{
	int r;

	do
		r = result(open(path, flags | O_CLOEXEC, mode));
	while (r == -EINTR);
	return r;
}

void sys_close(int fd)
{
	(void)close(fd); /* write errors were for fsync to report; the descriptor is gone in any case */
}

int sys_dup(int fd)
{
	return result(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int sys_status_flags(int fd)
{
	return result(fcntl(fd, F_GETFL));
}

int sys_next_data(int fd, uint64_t *from, uint64_t *end)
{
	off_t data = lseek(fd, (off_t)*from, SEEK_DATA);
	off_t hole = data < 0 ? data : lseek(fd, data, SEEK_HOLE);

	if (hole < 0)
		return errno == ENXIO ? 0 : -errno; /* ENXIO also when the file became shorter in between */
	*from = (uint64_t)data;
	*end = (uint64_t)hole;
	return 1;
}

int sys_set_direct(int fd)
{
	int flags = sys_status_flags(fd);

	return flags < 0 ? flags : result(fcntl(fd, F_SETFL, flags | O_DIRECT));
}

int sys_fstat(int fd, struct stat *stat)
{
	return result(fstat(fd, stat));
}

int sys_fstatfs(int fd, struct statfs *statfs)
{
	return result(fstatfs(fd, statfs));
}

int sys_unlink(const char *path)
{
	return result(unlink(path));
}

int sys_rename(const char *from, const char *to, bool replace)
{
	int r = result(renameat2(AT_FDCWD, from, AT_FDCWD, to, replace ? 0 : RENAME_NOREPLACE));

	if (r == -EINVAL && !replace) /* the filesystem knows no flags */
		r = faccessat(AT_FDCWD, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST
									    : result(rename(from, to));
	return r;
}

int sys_sync_directory(const char *path)
{
	int fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd < 0)
		return fd;
	r = sys_fsync(fd);
	sys_close(fd);
	return r;
}

int sys_truncate(int fd, uint64_t length)
{
	int r;

	if (length > INT64_MAX)
		return -EFBIG;

	do
		r = result(ftruncate(fd, (off_t)length));
	while (r == -EINTR);
	return r;
}

int sys_fallocate(int fd, int mode, uint64_t offset, uint64_t length)
{
	int r;

	if (offset > INT64_MAX || length > INT64_MAX)
		return -EFBIG;

	do
		r = result(fallocate(fd, mode, (off_t)offset, (off_t)length));
	while (r == -EINTR);
	return r;
}

ssize_t sys_pread(int fd, void *buffer, size_t length, uint64_t offset)
{
	ssize_t r;

	do
		r = pread(fd, buffer, length, (off_t)offset);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t sys_pwrite(int fd, const void *buffer, size_t length, uint64_t offset)
{
	ssize_t r;

	do
		r = pwrite(fd, buffer, length, (off_t)offset);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t sys_preadv(int fd, const struct iovec *parts, unsigned int count, uint64_t offset)
{
	ssize_t r;

	do
		r = preadv(fd, parts, (int)count, (off_t)offset);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t sys_pwritev(int fd, const struct iovec *parts, unsigned int count, uint64_t offset)
{
	ssize_t r;

	do
		r = pwritev(fd, parts, (int)count, (off_t)offset);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

void sys_forget(int fd, uint64_t offset, uint64_t length)
{
	(void)posix_fadvise(
		fd, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED); /* a hint: nothing depends on it */
}

int sys_reopen_direct(int fd, bool write)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return sys_open(path, (write ? O_RDWR : O_RDONLY) | O_DIRECT, 0);
}

int sys_start_write(int fd, uint64_t offset, uint64_t length)
{
	return result(sync_file_range(fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE));
}

int sys_fsync(int fd)
{
	return result(fsync(fd));
}

int sys_fdatasync(int fd)
{
	return result(fdatasync(fd));
}

int sys_memfd_create(const char *name, unsigned int flags)
{
	return result(syscall(SYS_memfd_create, name, flags));
}

int sys_memfd_secret(unsigned int flags)
{
	return result(syscall(SYS_memfd_secret, flags));
}

int sys_shm_open(const char *name, int flags, mode_t mode)
{
	int r;

	do
		r = result(shm_open(name, flags | O_CLOEXEC, mode));
	while (r == -EINTR);
	return r;
}

int sys_shm_unlink(const char *name)
{
	return result(shm_unlink(name));
}

int sys_add_seals(int fd, unsigned int seals)
{
	return result(fcntl(fd, F_ADD_SEALS, seals));
}

int sys_get_seals(int fd)
{
	return result(fcntl(fd, F_GET_SEALS));
}

bool sys_may_know_cache(int fd)
{
	struct sys_cachestat_range range = { .off = 0, .len = 0 };
	struct sys_cachestat stat;
	struct stat file;
	char path[32];

	/* cachestat refuses what mincore answers falsely (6.5). */
	if (syscall(SYS_cachestat, fd, &range, &stat, 0) == 0)
		return true;
	if (errno == EPERM)
		return false;
	if (fstat(fd, &file) < 0)
		return false;
	if (file.st_uid == geteuid() || geteuid() == 0)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

int sys_random(void *bytes, size_t length)
{
	ssize_t n;

	do
		n = getrandom(bytes, length, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int sys_process_id(void)
{
	return (int)getpid();
}

ssize_t sys_read_small(const char *path, char *text, size_t text_bytes)
{
	size_t done = 0;
	int fd = sys_open(path, O_RDONLY, 0);

	if (fd < 0)
		return fd;

	while (done < text_bytes - 1) {
		ssize_t n = read(fd, text + done, text_bytes - 1 - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			sys_close(fd);
			return n;
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	text[done] = '\0';
	sys_close(fd);
	return (ssize_t)done;
}
