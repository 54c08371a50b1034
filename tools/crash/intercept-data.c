/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intercept-data.c - the calls that change what is in a file, or make it durable.
 *
 * A definition in the program (or in a preloaded library) stands before the C library's of the same name, so the same
 * code is the seam below our own src/sys and the spy in any other program. What the C library calls inside itself is
 * not seen: a program that writes with stdio must be recorded another way.
 */
#include "intercept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "record.h"

enum { AT_POSITION = -1 };

static int fail(enum rec_fault fault)
{
	errno = rec_errno(fault);
	return -1;
}

static size_t iov_bytes(const struct iovec *iov, int count)
{
	size_t total = 0;

	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	return total;
}

/* One piece of memory with everything; freed by the caller when it is not the first part itself. */
static uint8_t *gather(const struct iovec *iov, int count, size_t bytes)
{
	uint8_t *all, *to;

	if (count == 1)
		return iov[0].iov_base;
	all = to = malloc(bytes + 1);
	for (int i = 0; i < count && all; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	return all;
}

static bool is_synchronous(int fd, int flags)
{
	return (flags & (RWF_DSYNC | RWF_SYNC)) || (fcntl(fd, F_GETFL) & O_DSYNC);
}

/* Where did it go? O_APPEND wins over any offset, on Linux even over pwrite's. */
static uint64_t landed(int fd, off_t offset, ssize_t done)
{
	struct stat s;

	if ((fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &s) == 0)
		return (uint64_t)(s.st_size - done);
	return (uint64_t)(offset == AT_POSITION ? lseek(fd, 0, SEEK_CUR) - done : offset);
}

static ssize_t write_real(int fd, const void *data, size_t bytes, off_t offset, int flags)
{
	struct iovec one = { (void *)(uintptr_t)data, bytes };

	if (offset == AT_POSITION && flags == 0)
		return syscall(SYS_write, fd, data, bytes);
	if (flags == 0)
		return syscall(SYS_pwrite64, fd, data, bytes, offset);
	return syscall(SYS_pwritev2, fd, &one, 1, offset, 0, flags);
}

static ssize_t write_recorded(
	int fd, uint64_t file, const uint8_t *data, size_t bytes, off_t offset, int flags)
{
	struct crash_record r = { .kind = CRASH_WRITE, .file = file };
	enum rec_fault fault = rec_fault(REC_WRITE);
	ssize_t done;

	if (rec_errno(fault))
		return fail(fault);
	if (fault == FAULT_SHORT && bytes > 1)
		bytes /= 2;
	done = write_real(fd, data, bytes, offset, flags);
	if (done <= 0)
		return done;
	r.flags = is_synchronous(fd, flags) ? CRASH_F_SYNC : 0;
	r.offset = landed(fd, offset, done);
	r.length = r.data_bytes = (uint32_t)done;
	rec_append(&r, NULL, data);
	stores_agree(file, r.offset, r.length);
	return done;
}

static ssize_t write_seen(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	size_t bytes = iov_bytes(iov, count);
	uint64_t file;
	uint8_t *data;
	ssize_t done;

	if (!rec_enter())
		return syscall(SYS_pwritev2, fd, iov, count, offset, 0, flags);
	data = rec_inside_fd(fd, &file) ? gather(iov, count, bytes) : NULL;
	if (data)
		done = write_recorded(fd, file, data, bytes, offset, flags);
	else
		done = syscall(SYS_pwritev2, fd, iov, count, offset, 0, flags);
	if (!data && fd == STDOUT_FILENO && count > 0)
		rec_heard(iov[0].iov_base, iov[0].iov_len);
	if (data && count != 1)
		free(data);
	rec_leave();
	return done;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
	struct iovec one = { (void *)(uintptr_t)data, bytes };

	return write_seen(fd, &one, 1, AT_POSITION, 0);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	return write_seen(fd, iov, count, AT_POSITION, 0);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
	struct iovec one = { (void *)(uintptr_t)data, bytes };

	if (offset < 0)
		return syscall(SYS_pwrite64, fd, data, bytes, offset);
	return write_seen(fd, &one, 1, offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	return write_seen(fd, iov, count, offset, 0);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return write_seen(fd, iov, count, offset, flags);
}

/* The kernel copies; what it copied is read back. */
ssize_t copy_file_range(
	int in, off_t *in_offset, int out, off_t *out_offset, size_t bytes, unsigned int flags)
{
	struct crash_record r = { .kind = CRASH_WRITE };
	bool seen = rec_enter();
	void *data = NULL;
	ssize_t done;

	done = syscall(SYS_copy_file_range, in, in_offset, out, out_offset, bytes, flags);
	if (seen && done > 0 && rec_inside_fd(out, &r.file)) {
		r.offset = (uint64_t)((out_offset ? *out_offset : lseek(out, 0, SEEK_CUR)) - done);
		data = malloc((size_t)done);
		if (!data || pread(out, data, (size_t)done, (off_t)r.offset) != done)
			abort();
		r.length = r.data_bytes = (uint32_t)done;
		rec_append(&r, NULL, data);
		stores_agree(r.file, r.offset, r.length);
	}
	free(data);
	if (seen)
		rec_leave();
	return done;
}

/* --- size ------------------------------------------------------------------------------------------------------- */

static int truncate_recorded(int fd, off_t length)
{
	struct crash_record r = { .kind = CRASH_TRUNCATE, .length = (uint64_t)length };
	enum rec_fault fault;
	int error;

	if (!rec_inside_fd(fd, &r.file))
		return (int)syscall(SYS_ftruncate, fd, length);
	fault = rec_fault(REC_SPACE);
	if (rec_errno(fault))
		return fail(fault);
	error = (int)syscall(SYS_ftruncate, fd, length);
	if (error == 0) {
		rec_append(&r, NULL, NULL);
		stores_agree(r.file, 0, UINT64_MAX);
	}
	return error;
}

int ftruncate(int fd, off_t length)
{
	int error;

	if (!rec_enter())
		return (int)syscall(SYS_ftruncate, fd, length);
	error = truncate_recorded(fd, length);
	rec_leave();
	return error;
}

int truncate(const char *path, off_t length)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error;

	if (fd < 0)
		return -1;
	error = ftruncate(fd, length);
	(void)close(fd);
	return error;
}

static void allocate_append(struct crash_record *r, int mode)
{
	r->kind = CRASH_ALLOCATE;
	r->flags = mode & FALLOC_FL_KEEP_SIZE ? CRASH_F_KEEP_SIZE : 0;
	rec_append(r, NULL, NULL);
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		return;
	r->kind = CRASH_ZERO;
	rec_append(r, NULL, NULL);
	stores_agree(r->file, r->offset, r->length);
}

static int allocate_recorded(int fd, int mode, off_t offset, off_t length)
{
	struct crash_record r = { .offset = (uint64_t)offset, .length = (uint64_t)length };
	enum rec_fault fault;
	int error;

	if (!rec_inside_fd(fd, &r.file))
		return (int)syscall(SYS_fallocate, fd, mode, offset, length);
	fault = rec_fault(REC_SPACE);
	if (rec_errno(fault))
		return fail(fault);
	/* These move bytes; a program under the recorder finds a file system that cannot. */
	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	error = (int)syscall(SYS_fallocate, fd, mode, offset, length);
	if (error == 0)
		allocate_append(&r, mode);
	return error;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	int error;

	if (!rec_enter())
		return (int)syscall(SYS_fallocate, fd, mode, offset, length);
	error = allocate_recorded(fd, mode, offset, length);
	rec_leave();
	return error;
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
	int saved = errno, error = fallocate(fd, 0, offset, length) < 0 ? errno : 0;

	errno = saved;
	return error;
}

/* --- durability ------------------------------------------------------------------------------------------------- */

struct sync_call {
	int number, fd;
	uintptr_t address; /* of msync */
	size_t length;
	int flags;
};

static int sync_real(const struct sync_call *c)
{
	if (c->number == SYS_msync)
		return (int)syscall(SYS_msync, c->address, c->length, c->flags);
	return (int)syscall(c->number, c->fd);
}

static bool sync_inside(const struct sync_call *c, struct crash_record *r)
{
	if (c->number != SYS_msync)
		return rec_inside_fd(c->fd, &r->file);
	r->length = c->length;
	return (c->flags & MS_SYNC) && stores_find(c->address, &r->file, &r->offset);
}

/* No lock while the device works. */
static int sync_seen(const struct sync_call *c, enum crash_kind begin, enum crash_kind end)
{
	struct crash_record r = { .kind = (uint16_t)begin };
	enum rec_fault fault = FAULT_NONE;
	int error;
	bool inside;

	if (!rec_enter())
		return sync_real(c);
	inside = sync_inside(c, &r);
	if (inside) {
		fault = rec_fault(REC_SYNC);
		rec_append(&r, NULL, NULL);
	}
	rec_leave();

	error = rec_errno(fault) ? fail(fault) : sync_real(c);

	if (inside && rec_enter()) {
		r.kind = (uint16_t)end;
		r.result = error < 0 ? -errno : 0;
		rec_append(&r, NULL, NULL);
		rec_leave();
	}
	return error;
}

int fsync(int fd)
{
	return sync_seen(
		&(struct sync_call){ .number = SYS_fsync, .fd = fd }, CRASH_SYNC_BEGIN, CRASH_SYNC_END);
}

int fdatasync(int fd)
{
	return sync_seen(
		&(struct sync_call){ .number = SYS_fdatasync, .fd = fd }, CRASH_SYNC_BEGIN, CRASH_SYNC_END);
}

int msync(void *address, size_t length, int flags)
{
	struct sync_call c = {
		.number = SYS_msync, .address = (uintptr_t)address, .length = length, .flags = flags
	};

	return sync_seen(&c, CRASH_SYNC_BEGIN, CRASH_SYNC_END);
}

int syncfs(int fd)
{
	return sync_seen(&(struct sync_call){ .number = SYS_syncfs, .fd = fd }, CRASH_SYNC_ALL_BEGIN,
		CRASH_SYNC_ALL_END);
}

/* --- the names of the large-file interface ------------------------------------------------------------------------- */

ALIAS(ssize_t, pwrite64, (int, const void *, size_t, off_t), "pwrite");
ALIAS(ssize_t, pwritev64, (int, const struct iovec *, int, off_t), "pwritev");
ALIAS(ssize_t, pwritev64v2, (int, const struct iovec *, int, off_t, int), "pwritev2");
ALIAS(int, ftruncate64, (int, off_t), "ftruncate");
ALIAS(int, truncate64, (const char *, off_t), "truncate");
ALIAS(int, fallocate64, (int, int, off_t, off_t), "fallocate");
ALIAS(int, posix_fallocate64, (int, off_t, off_t), "posix_fallocate");
