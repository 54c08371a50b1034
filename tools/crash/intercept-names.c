/* SPDX-License-Identifier: Apache-2.0 */
/* intercept-names.c - the calls that change directories. The header of intercept-data.c says how they come to be here. */
#include "intercept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "record.h"

static int fail(enum rec_fault fault)
{
	errno = rec_errno(fault);
	return -1;
}

static bool makes_unnamed(int flags)
{
	return (flags & O_TMPFILE) == O_TMPFILE;
}

/* What did this open change? */
static void open_append(int fd, int flags, bool existed, off_t size_before, const char *relative)
{
	struct crash_record r = { .kind = CRASH_TRUNCATE };
	struct stat s;

	if (fstat(fd, &s) < 0 || !S_ISREG(s.st_mode))
		return;
	r.file = s.st_ino;
	if (makes_unnamed(flags) || !existed) {
		r.kind = CRASH_CREATE;
		rec_know(s.st_ino, true);
		rec_append(&r, makes_unnamed(flags) ? NULL : relative, NULL);
	} else if ((flags & O_TRUNC) && size_before > 0 && rec_inside_fd(fd, &r.file)) {
		rec_append(&r, NULL, NULL);
		stores_agree(r.file, 0, UINT64_MAX);
	}
}

static int open_recorded(int dir, const char *path, int flags, mode_t mode, const char *relative)
{
	struct stat before = { .st_size = 0 };
	bool existed = !makes_unnamed(flags) && fstatat(dir, path, &before, 0) == 0;
	enum rec_fault fault = FAULT_NONE;
	int fd;

	if ((flags & O_CREAT) && !existed)
		fault = rec_fault(REC_NAME);
	if (rec_errno(fault))
		return fail(fault);
	fd = (int)syscall(SYS_openat, dir, path, flags, mode);
	if (fd >= 0)
		open_append(fd, flags, existed, before.st_size, relative);
	return fd;
}

static int open_seen(int dir, const char *path, int flags, mode_t mode)
{
	char relative[REC_PATH_MAX];
	int fd;

	if (!((flags & (O_CREAT | O_TRUNC)) || makes_unnamed(flags)) || !rec_enter())
		return (int)syscall(SYS_openat, dir, path, flags, mode);
	if (rec_inside_path(dir, path, relative))
		fd = open_recorded(dir, path, flags, mode, relative);
	else
		fd = (int)syscall(SYS_openat, dir, path, flags, mode);
	rec_leave();
	return fd;
}

static mode_t mode_of(int flags, va_list more)
{
	/* cppcheck-suppress va_list_usedBeforeStarted ; the caller started it */
	return (flags & O_CREAT) || makes_unnamed(flags) ? va_arg(more, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	return open_seen(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	return open_seen(dir, path, flags, mode);
}

int creat(const char *path, mode_t mode)
{
	return open_seen(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* --- names that come and go ----------------------------------------------------------------------------------------- */

struct name_call {
	enum crash_kind kind;
	int number;
	int dir, dir2;
	const char *path, *path2;
	int flags; /* of renameat2, linkat, unlinkat; the mode of mkdirat */
};

static int name_real(const struct name_call *c)
{
	switch (c->number) {
	case SYS_renameat2: return (int)syscall(c->number, c->dir, c->path, c->dir2, c->path2, c->flags);
	case SYS_linkat: return (int)syscall(c->number, c->dir, c->path, c->dir2, c->path2, c->flags);
	default: return (int)syscall(c->number, c->dir, c->path, c->flags);
	}
}

/* The file behind a name, when this name is its last. */
static uint64_t last_name_of(int dir, const char *path)
{
	struct stat s;

	if (!path || fstatat(dir, path, &s, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(s.st_mode) ||
		s.st_nlink != 1)
		return 0;
	return s.st_ino;
}

static uint64_t file_at(int dir, const char *path)
{
	struct stat s;

	return fstatat(dir, path, &s, AT_SYMLINK_NOFOLLOW) == 0 ? s.st_ino : 0;
}

/* in: the call succeeded. from, to: below the root, or NULL when outside. */
static void name_append(const struct name_call *c, const char *from, const char *to)
{
	struct crash_record r = { .kind = (uint16_t)c->kind };

	if (c->kind == CRASH_RENAME && from && to) {
		rec_append2(&r, from, to);
	} else if (c->kind == CRASH_RENAME && from) {
		r.kind = CRASH_UNLINK; /* it left */
		rec_append(&r, from, NULL);
	} else if (c->kind == CRASH_RENAME || c->kind == CRASH_LINK) {
		r.kind = CRASH_LINK;
		r.file = file_at(c->dir2, c->path2);
		rec_append(&r, to, NULL);
	} else {
		if (c->kind == CRASH_MKDIR) {
			r.file = file_at(c->dir, c->path);
			rec_know(r.file, true);
		}
		rec_append(&r, from, NULL);
	}
}

static int name_recorded(const struct name_call *c, const char *from, const char *to)
{
	enum rec_fault fault = rec_fault(REC_NAME);
	uint64_t gone = 0;
	int error;

	if (rec_errno(fault))
		return fail(fault);
	if (c->kind == CRASH_UNLINK)
		gone = last_name_of(c->dir, c->path);
	else if (c->kind == CRASH_RENAME)
		gone = last_name_of(c->dir2, c->path2);
	error = name_real(c);
	if (error < 0)
		return error;
	name_append(c, from, to);
	if (gone)
		rec_forget(gone);
	return 0;
}

static int name_seen(const struct name_call *c)
{
	char from[REC_PATH_MAX], to[REC_PATH_MAX];
	bool from_inside, to_inside;
	int error;

	if (!rec_enter())
		return name_real(c);
	from_inside = rec_inside_path(c->dir, c->path, from);
	to_inside = c->path2 && rec_inside_path(c->dir2, c->path2, to);
	if (to_inside || (from_inside && (c->kind != CRASH_LINK)))
		error = name_recorded(c, from_inside ? from : NULL, to_inside ? to : NULL);
	else
		error = name_real(c);
	rec_leave();
	return error;
}

int renameat2(int dir, const char *path, int dir2, const char *path2, unsigned int flags)
{
	return name_seen(
		&(struct name_call){ CRASH_RENAME, SYS_renameat2, dir, dir2, path, path2, (int)flags });
}

int renameat(int dir, const char *path, int dir2, const char *path2)
{
	return renameat2(dir, path, dir2, path2, 0);
}

int rename(const char *path, const char *path2)
{
	return renameat2(AT_FDCWD, path, AT_FDCWD, path2, 0);
}

int linkat(int dir, const char *path, int dir2, const char *path2, int flags)
{
	return name_seen(&(struct name_call){ CRASH_LINK, SYS_linkat, dir, dir2, path, path2, flags });
}

int link(const char *path, const char *path2)
{
	return linkat(AT_FDCWD, path, AT_FDCWD, path2, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
	enum crash_kind kind = flags & AT_REMOVEDIR ? CRASH_RMDIR : CRASH_UNLINK;

	return name_seen(&(struct name_call){ kind, SYS_unlinkat, dir, -1, path, NULL, flags });
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
	int error = unlink(path);

	return error < 0 && errno == EISDIR ? rmdir(path) : error;
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return name_seen(&(struct name_call){ CRASH_MKDIR, SYS_mkdirat, dir, -1, path, NULL, (int)mode });
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

ALIAS(int, open64, (const char *, int, ...), "open");
ALIAS(int, openat64, (int, const char *, int, ...), "openat");
ALIAS(int, creat64, (const char *, mode_t), "creat");

/* What programs call that were built with -D_FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open_seen(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
	return open_seen(dir, path, flags, 0);
}

ALIAS(int, __open64_2, (const char *, int), "__open_2");
ALIAS(int, __openat64_2, (int, const char *, int), "__openat_2");
