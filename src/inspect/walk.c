/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/walk.c - every regular file of a tree, once, and what of it is cached.
 *
 * Directories wait on a stack of paths and are opened one at a time, so a deep tree needs memory but no descriptors.
 * Nothing is followed: a symbolic link is not a file of this tree, so there are no loops. A name that is gone by the
 * time we come to it never was. The type in the directory entry tells what not to open: FIFOs, sockets, devices.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/align.h"
#include "base/error.h"
#include "base/lock.h"
#include "inspect/identity.h"
#include "inspect/look.h"
#include "inspect/presence.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/probe.h"
#include "sys/proc.h"

enum {
	PATH_BYTES = 8192,      /* a directory of PATH_MAX and a name of NAME_MAX */
	NAMES_BYTES = 64 << 10, /* some 2,000 names a call */
};

/* A directory that is still to be read. */
struct waiting {
	struct waiting *below;
	uint64_t device; /* of the directory above it */
	uint32_t backing;
	char path[];
};

/** What the hands of one walk have in common. */
struct common {
	struct lock lock;
	struct condition changed; /* a directory came onto the stack, or the last one was read */
	struct waiting *stack;
	struct identity_set seen; /* files with several names, and directories */
	unsigned int hands;
	unsigned int reading; /* hands with an open directory: there may be more to come */
};

struct quire_walk {
	unsigned int flags;
	struct common *common;
	struct quire_walk_tally tally;

	int directory; /* -1: none is being read */
	uint64_t device;
	uint32_t backing;
	bool counts; /* this kernel has cachestat, as far as is known */
	bool dax_checked;
	bool dax;
	size_t path_length; /* of the directory, with its slash */
	size_t at;
	size_t filled;
	int file; /* of the last entry, -1: none */
	uint64_t names[NAMES_BYTES / sizeof(uint64_t)];
	char path[PATH_BYTES];
};

static int push(struct quire_walk *walk, const char *path, uint64_t device, uint32_t backing)
{
	size_t bytes = strlen(path) + 1;
	struct waiting *new = malloc(sizeof(*new) + bytes);

	if (new == NULL)
		return -ENOMEM;
	new->device = device;
	new->backing = backing;
	memcpy(new->path, path, bytes);
	lock_take(&walk->common->lock);
	new->below = walk->common->stack;
	walk->common->stack = new;
	if (walk->common->hands > 1)
		condition_wake_all(&walk->common->changed);
	lock_give(&walk->common->lock);
	return 0;
}

/* The directory on top of the stack; NULL when none waits and no other hand may still find one. */
static struct waiting *pop(struct quire_walk *walk)
{
	struct common *common = walk->common;
	struct waiting *waiting;

	lock_take(&common->lock);
	while (common->stack == NULL && common->reading != 0)
		condition_wait(&common->changed, &common->lock);
	waiting = common->stack;
	if (waiting != NULL) {
		common->stack = waiting->below;
		common->reading++;
	}
	lock_give(&common->lock);
	return waiting;
}

/* The other end of pop(): nothing more comes from that directory. */
static void done_reading(struct quire_walk *walk)
{
	lock_take(&walk->common->lock);
	if (--walk->common->reading == 0)
		condition_wake_all(&walk->common->changed);
	lock_give(&walk->common->lock);
}

/* 1 when it comes for the first time. */
static int remember(struct quire_walk *walk, const struct stat *stat)
{
	int r;

	lock_take(&walk->common->lock);
	r = identity_add(&walk->common->seen, stat->st_dev, stat->st_ino);
	lock_give(&walk->common->lock);
	return r;
}

/* Whether a directory that lies on another filesystem than the one above it shall be read. */
static bool cross(const struct quire_walk *walk, uint32_t backing)
{
	if (backing == QUIRE_BACKING_PSEUDO)
		return false;
	if ((walk->flags & QUIRE_WALK_ONE_FILESYSTEM) != 0)
		return false;
	/* The same pages are found below, through the filesystems that the overlay is made of. */
	if ((walk->flags & QUIRE_WALK_SYSTEM) != 0)
		return backing != QUIRE_BACKING_OVERLAY && backing != QUIRE_BACKING_TMPFS &&
			backing != QUIRE_BACKING_HUGETLBFS;
	return true;
}

/* 1: go on with it, 0: not ours. */
static int enter(struct quire_walk *walk, const struct waiting *waiting)
{
	struct statfs filesystem;
	struct stat stat;
	bool top = waiting->device == UINT64_MAX;
	int r = sys_fstat(walk->directory, &stat);

	walk->backing = waiting->backing;
	walk->device = stat.st_dev;
	if (r == 0 && stat.st_dev != waiting->device) {
		r = sys_fstatfs(walk->directory, &filesystem);
		if (r == 0)
			walk->backing = look_backing(&filesystem);
		if (r == 0 && !top && !cross(walk, walk->backing))
			return 0;
		walk->dax_checked = false;
	}
	if (r == 0) /* a bind mount shows a directory twice */
		r = remember(walk, &stat);
	return r;
}

/* Only what the caller named may be a symbolic link. */
static int open_directory(const struct waiting *waiting)
{
	int flags = O_RDONLY | O_DIRECTORY | (waiting->device == UINT64_MAX ? 0 : O_NOFOLLOW);
	int fd = sys_open(waiting->path, flags | O_NOATIME, 0);

	return fd == -EPERM ? sys_open(waiting->path, flags, 0) : fd;
}

/* Opens a directory that waited; 1 when there is one to read, 0 when it was left out. */
static int open_next(struct quire_walk *walk, struct waiting *waiting)
{
	size_t length = strlen(waiting->path);
	int r;

	memcpy(walk->path, waiting->path, length + 1);
	r = open_directory(waiting);
	if (r >= 0) {
		walk->directory = r;
		r = enter(walk, waiting);
		if (r <= 0) {
			sys_close(walk->directory);
			walk->directory = -1;
		}
	}
	free(waiting);
	if (r <= 0) {
		done_reading(walk);
		return r;
	}

	if (length != 0 && walk->path[length - 1] != '/')
		walk->path[length++] = '/';
	walk->path_length = length;
	walk->at = walk->filled = 0;
	walk->tally.directories++;
	return 1;
}

static int open_file(struct quire_walk *walk, const char *name, bool *quiet)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = sys_openat(walk->directory, name, flags | O_NOATIME);

	*quiet = fd >= 0;
	return fd == -EPERM ? sys_openat(walk->directory, name, flags) : fd;
}

/* A flag of each file, but of one filesystem in practice: asked of its first file. */
static uint32_t backing_of(struct quire_walk *walk)
{
	if (walk->backing != QUIRE_BACKING_DISK)
		return walk->backing;
	if (!walk->dax_checked) {
		walk->dax = sys_is_dax(walk->file) == 1;
		walk->dax_checked = true;
	}
	return walk->dax ? QUIRE_BACKING_DAX : QUIRE_BACKING_DISK;
}

/* 1: an entry, 0: no file of ours, -errno: it could not be opened. */
static int look_at_file(struct quire_walk *walk, const char *name, struct quire_walk_entry *entry)
{
	struct stat stat;
	bool quiet;
	int r = open_file(walk, name, &quiet);

	if (r < 0)
		return r;
	walk->file = r;
	r = sys_fstat(walk->file, &stat);
	if (r < 0 || !S_ISREG(stat.st_mode)) /* it was exchanged between our two looks */
		return r;
	if (stat.st_nlink > 1) {
		r = remember(walk, &stat);
		if (r <= 0)
			return r;
	}

	walk->tally.files++;
	entry->path = walk->path;
	entry->fd = walk->file;
	entry->error = 0;
	entry->device = stat.st_dev;
	entry->inode = stat.st_ino;
	entry->presence.size = sizeof(entry->presence);
	return presence_quick(walk->file, &stat, backing_of(walk), quiet, walk->counts, &entry->presence) < 0
		? 0
		: 1;
}

static int report(struct quire_walk *walk, int error, struct quire_walk_entry *entry)
{
	/* What vanished is no error, and ELOOP is a link where a file was. */
	if (error == -ENOENT || error == -ELOOP || error == -ESTALE)
		return 0;
	if (error == -ENOMEM)
		return error;
	walk->tally.unreadable++;
	entry->path = walk->path;
	entry->fd = -1;
	entry->error = error;
	return 1;
}

static unsigned char type_of(struct quire_walk *walk, const struct sys_name *name)
{
	struct stat stat;

	if (name->type != DT_UNKNOWN)
		return name->type;
	if (sys_fstatat(walk->directory, name->name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return (unsigned char)IFTODT(stat.st_mode);
}

/* One name of the directory: 1 and an entry, 0 and nothing, or -ENOMEM. */
static int look_at_name(struct quire_walk *walk, const struct sys_name *name, struct quire_walk_entry *entry)
{
	size_t length = strlen(name->name);
	unsigned char type;
	int r;

	if (strcmp(name->name, ".") == 0 || strcmp(name->name, "..") == 0)
		return 0;
	if (walk->path_length + length >= PATH_BYTES)
		return report(walk, -ENAMETOOLONG, entry);
	memcpy(walk->path + walk->path_length, name->name, length + 1);

	type = type_of(walk, name);
	if (type == DT_DIR)
		return push(walk, walk->path, walk->device, walk->backing);
	if (type != DT_REG) {
		walk->tally.skipped += type != DT_UNKNOWN;
		return 0;
	}
	r = look_at_file(walk, name->name, entry);
	return r < 0 ? report(walk, r, entry) : r;
}

static void close_file(struct quire_walk *walk)
{
	if (walk->file >= 0)
		sys_close(walk->file);
	walk->file = -1;
}

/* Reads on in the open directory; 1 and an entry, 0 at its end. */
static int next_in_directory(struct quire_walk *walk, struct quire_walk_entry *entry)
{
	struct sys_name name;
	ssize_t n;
	int r;

	for (;;) {
		while (sys_next_name(walk->names, walk->filled, &walk->at, &name)) {
			r = look_at_name(walk, &name, entry);
			if (r != 0)
				return r;
			close_file(walk);
		}
		n = sys_getdents(walk->directory, walk->names, sizeof(walk->names));
		if (n <= 0)
			break;
		walk->at = 0;
		walk->filled = (size_t)n;
	}
	sys_close(walk->directory);
	walk->directory = -1;
	done_reading(walk);
	walk->path[walk->path_length] = '\0';
	return n < 0 ? report(walk, (int)n, entry) : 0;
}

int quire_walk_next(struct quire_walk *walk, struct quire_walk_entry *entry)
{
	struct quire_walk_entry found = { .size = 0 };
	struct waiting *waiting;
	int r = 0;

	if (walk == NULL || entry == NULL || entry->size < sizeof(*entry))
		return error_set(-EINVAL, "quire_walk_next: entry.size is not set");
	close_file(walk);

	while (r == 0) {
		if (walk->directory >= 0) {
			r = next_in_directory(walk, &found);
		} else if ((waiting = pop(walk)) != NULL) {
			r = open_next(walk, waiting);
			r = r < 0 ? report(walk, r, &found) : 0;
		} else {
			return 0;
		}
	}
	if (r < 0)
		return error_set(r, "no memory for the rest of the tree");
	found.size = entry->size;
	*entry = found;
	return 1;
}

static struct quire_walk *new_hand(unsigned int flags, struct common *common)
{
	struct quire_walk *new = malloc(sizeof(*new));

	if (new == NULL)
		return NULL;
	memset(new, 0, offsetof(struct quire_walk, names));
	new->flags = flags;
	new->common = common;
	new->counts = !sys_probe(PROBE_CACHESTAT).masked; /* asked once: it reads the environment */
	new->directory = new->file = -1;
	new->tally.size = sizeof(new->tally);
	return new;
}

static struct quire_walk *first_hand(unsigned int flags)
{
	struct common *common = calloc(1, sizeof(*common));
	struct quire_walk *new = common == NULL ? NULL : new_hand(flags, common);

	if (new == NULL) {
		free(common);
		return NULL;
	}
	lock_init(&common->lock);
	condition_init(&common->changed);
	common->hands = 1;
	return new;
}

int quire_walk_open(const char *path, unsigned int flags, struct quire_walk **walk)
{
	struct quire_walk *new;
	int r;

	if (path == NULL || walk == NULL ||
		(flags & ~(unsigned int)(QUIRE_WALK_ONE_FILESYSTEM | QUIRE_WALK_SYSTEM)) != 0)
		return error_set(-EINVAL, "quire_walk_open: no path, or unknown flags %#x", flags);
	if (strlen(path) >= PATH_BYTES / 2)
		return error_set(-ENAMETOOLONG, "the path is longer than a path can be");
	r = sys_open(path, O_PATH | O_DIRECTORY, 0);
	if (r < 0)
		return error_set(r, "%s cannot be opened as a directory", path);
	sys_close(r);

	new = first_hand(flags);
	r = new == NULL ? -ENOMEM : push(new, path, UINT64_MAX, QUIRE_BACKING_DISK);
	if (r < 0) {
		quire_walk_close(new);
		return error_set(r, "no memory for a walk");
	}
	*walk = new;
	return 0;
}

int quire_walk_share(struct quire_walk *walk, struct quire_walk **other)
{
	struct quire_walk *new;

	if (walk == NULL || other == NULL)
		return error_set(-EINVAL, "quire_walk_share: no walk, or no place for another hand");
	new = new_hand(walk->flags, walk->common);
	if (new == NULL)
		return error_set(-ENOMEM, "no memory for another hand of a walk");
	lock_take(&walk->common->lock);
	walk->common->hands++;
	lock_give(&walk->common->lock);
	*other = new;
	return 0;
}

int quire_walk_tally(const struct quire_walk *walk, struct quire_walk_tally *tally)
{
	size_t size;

	if (walk == NULL || tally == NULL || tally->size < sizeof(*tally))
		return error_set(-EINVAL, "quire_walk_tally: tally.size is not set");
	size = tally->size;
	*tally = walk->tally;
	tally->size = size;
	return 0;
}

static void free_common(struct common *common)
{
	while (common->stack != NULL) {
		struct waiting *below = common->stack->below;

		free(common->stack);
		common->stack = below;
	}
	identity_done(&common->seen);
	condition_done(&common->changed);
	lock_done(&common->lock);
	free(common);
}

void quire_walk_close(struct quire_walk *walk)
{
	bool last;

	if (walk == NULL)
		return;
	close_file(walk);
	if (walk->directory >= 0) {
		sys_close(walk->directory);
		done_reading(walk);
	}
	lock_take(&walk->common->lock);
	last = --walk->common->hands == 0;
	lock_give(&walk->common->lock);
	if (last)
		free_common(walk->common);
	free(walk);
}
