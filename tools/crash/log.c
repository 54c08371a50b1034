/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - reads a log and makes its records ready for the model: inode numbers become files, synchronous writes become a
 * write and a sync, each sync learns what it covers. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const kind_names[CRASH_KINDS] = {
	"?",
	"initial",
	"initial-dir",
	"create",
	"link",
	"unlink",
	"rename",
	"mkdir",
	"rmdir",
	"write",
	"store",
	"truncate",
	"allocate",
	"zero",
	"sync",
	"synced",
	"sync-all",
	"synced-all",
	"begun",
	"ACKED",
	"note",
	"fault",
	"end",
};

const char *crash_kind_name(enum crash_kind kind)
{
	return kind < CRASH_KINDS ? kind_names[kind] : "?";
}

/* While loading: which file has this inode number now? */
struct inode {
	uint64_t number;
	int file; /* or -1: a directory */
	int dir;
};

struct loading {
	struct crash_log *log;
	struct inode *inodes;
	size_t inode_count;
	uint32_t *open_syncs; /* indices of SYNC_BEGIN without their end */
	size_t open_count;
	size_t room; /* of ops */
};

static int refuse(struct crash_log *log, int error, const char *what)
{
	(void)snprintf(log->error, sizeof(log->error), "%s: %s", log->path, what);
	return error;
}

static void *grow(void *array, size_t count, size_t size)
{
	/* Doubles at each power of two; a tool that has no memory cannot go on. */
	if (count & (count - 1))
		return array;
	array = realloc(array, (count ? 2 * count : 1) * size);
	if (!array)
		abort();
	return array;
}

static struct inode *inode_of(struct loading *l, uint64_t number, bool make)
{
	for (size_t i = l->inode_count; i-- > 0;)
		if (l->inodes[i].number == number)
			return &l->inodes[i];
	if (!make)
		return NULL;
	l->inodes = grow(l->inodes, l->inode_count, sizeof(*l->inodes));
	l->inodes[l->inode_count] = (struct inode){ .number = number, .file = -1, .dir = -1 };
	return &l->inodes[l->inode_count++];
}

static int file_new(struct loading *l, uint64_t number, const char *name)
{
	struct crash_log *log = l->log;
	struct inode *inode = inode_of(l, number, true);

	log->files = grow((void *)(uintptr_t)log->files, (size_t)log->file_count, sizeof(*log->files));
	log->files[log->file_count] = name ? name : "";
	inode->dir = -1;
	inode->file = log->file_count;
	return log->file_count++;
}

static int dir_of(struct crash_log *log, const char *path, size_t length)
{
	for (int i = 0; i < log->dir_count; i++)
		if (strlen(log->dirs[i]) == length && memcmp(log->dirs[i], path, length) == 0)
			return i;
	log->dirs = grow((void *)(uintptr_t)log->dirs, (size_t)log->dir_count, sizeof(*log->dirs));
	log->dirs[log->dir_count] = strndup(path, length);
	return log->dir_count++;
}

static int parent_of(struct crash_log *log, const char *name)
{
	const char *slash = strrchr(name, '/');

	return dir_of(log, name, slash ? (size_t)(slash - name) : 0);
}

static struct crash_op *op_new(struct loading *l)
{
	struct crash_log *log = l->log;

	log->ops = grow(log->ops, log->op_count, sizeof(*log->ops));
	log->ops[log->op_count] = (struct crash_op){ .file = -1, .dir = -1, .dir2 = -1 };
	return &log->ops[log->op_count++];
}

/* People know a file by the name it got last. */
static void relabel(struct crash_log *log, const char *from, const char *to)
{
	for (int i = log->file_count; i-- > 0;) {
		if (strcmp(log->files[i], from) != 0)
			continue;
		log->files[i] = to;
		return;
	}
}

static void take_names(struct crash_log *log, struct crash_op *op, const struct crash_record *r)
{
	const char *names = (const char *)(r + 1);

	if (r->name_bytes == 0)
		return;
	op->name = names;
	op->dir = parent_of(log, op->name);
	if (r->kind == CRASH_RENAME) {
		op->name2 = names + strlen(names) + 1;
		op->dir2 = parent_of(log, op->name2);
		relabel(log, op->name, op->name2);
	}
}

/* Which file or directory is meant? False: the record says nothing new. */
static bool take_file(struct loading *l, struct crash_op *op, const struct crash_record *r)
{
	struct inode *inode = r->file ? inode_of(l, r->file, false) : NULL;
	bool is_new = r->kind == CRASH_CREATE || r->kind == CRASH_INITIAL;

	if (r->kind == CRASH_CREATE && (r->flags & CRASH_F_MET) && inode)
		return false;
	if (is_new) {
		op->file = file_new(l, r->file, op->name);
	} else if (r->kind == CRASH_MKDIR || r->kind == CRASH_INITIAL_DIR) {
		inode = inode_of(l, r->file, true);
		inode->file = -1;
		inode->dir = dir_of(l->log, op->name, strlen(op->name));
	} else if (inode) {
		op->file = inode->file;
		/* A sync of a directory: op->dir says which. */
		if (inode->file < 0)
			op->dir = inode->dir;
	}
	return true;
}

static void pair_sync(struct loading *l, struct crash_op *op, uint32_t index)
{
	if (op->kind == CRASH_SYNC_BEGIN || op->kind == CRASH_SYNC_ALL_BEGIN) {
		l->open_syncs = grow(l->open_syncs, l->open_count, sizeof(*l->open_syncs));
		l->open_syncs[l->open_count++] = index;
		return;
	}
	if (op->kind != CRASH_SYNC_END && op->kind != CRASH_SYNC_ALL_END)
		return;
	for (size_t i = l->open_count; i-- > 0;) {
		if (l->log->ops[l->open_syncs[i]].thread != op->thread)
			continue;
		op->covers = l->open_syncs[i];
		l->open_syncs[i] = l->open_syncs[--l->open_count];
		return;
	}
}

/* O_DSYNC: the write, and a sync of what it wrote. */
static void add_sync(struct loading *l)
{
	size_t at = l->log->op_count;
	struct crash_op *op = op_new(l), *write = &l->log->ops[at - 1];

	*op = (struct crash_op){ .kind = CRASH_SYNC_END,
		.thread = write->thread,
		.file = write->file,
		.dir = -1,
		.dir2 = -1,
		.covers = (uint32_t)at,
		.offset = write->offset,
		.length = write->length };
}

static void take(struct loading *l, const struct crash_record *r)
{
	struct crash_op *op = op_new(l);

	op->kind = r->kind;
	op->flags = r->flags;
	op->result = r->result;
	op->thread = r->thread;
	op->offset = r->offset;
	op->length = r->length;
	op->data = (const uint8_t *)(r + 1) + r->name_bytes;
	op->data_bytes = r->data_bytes;
	take_names(l->log, op, r);
	if (!take_file(l, op, r)) {
		l->log->op_count--;
		return;
	}
	pair_sync(l, op, (uint32_t)(l->log->op_count - 1));
	if (op->kind == CRASH_WRITE && (op->flags & CRASH_F_SYNC))
		add_sync(l);
	if (r->kind == CRASH_END)
		l->log->faultable = r->length;
}

static int parse(struct loading *l)
{
	struct crash_log *log = l->log;
	size_t at = 8;

	if (log->bytes_count < 8 || memcmp(log->bytes, CRASH_MAGIC, 8) != 0)
		return refuse(log, -EINVAL, "not a log of the crash recorder");
	while (at < log->bytes_count) {
		const struct crash_record *r = (const void *)(log->bytes + at);
		size_t left = log->bytes_count - at;

		/* A recorder that was killed leaves a short tail; what stands before it is whole. */
		if (left < sizeof(*r) || r->bytes > left)
			break;
		if (r->bytes < sizeof(*r) || r->bytes % 8 || r->kind == 0 || r->kind >= CRASH_KINDS ||
			(uint64_t)r->name_bytes + r->data_bytes > r->bytes - sizeof(*r))
			return refuse(log, -EINVAL, "a record makes no sense");
		take(l, r);
		at += r->bytes;
	}
	return 0;
}

static int slurp(struct crash_log *log)
{
	struct stat s;
	int fd = open(log->path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd < 0 || fstat(fd, &s) < 0)
		return refuse(log, -errno, "cannot be opened");
	log->bytes = malloc((size_t)s.st_size + 1);
	if (log->bytes)
		n = read(fd, log->bytes, (size_t)s.st_size);
	(void)close(fd);
	if (n != s.st_size)
		return refuse(log, -EIO, "cannot be read");
	log->bytes_count = (size_t)n;
	return 0;
}

int crash_log_load(struct crash_log *log, const char *path)
{
	struct loading l = { .log = log };
	int error;

	*log = (struct crash_log){ .path = path };
	(void)dir_of(log, "", 0);
	error = slurp(log);
	if (error == 0)
		error = parse(&l);
	free(l.inodes);
	free(l.open_syncs);
	return error;
}

void crash_log_free(struct crash_log *log)
{
	for (int i = 0; i < log->dir_count; i++)
		free(log->dirs[i]);
	free((void *)(uintptr_t)log->dirs);
	free((void *)(uintptr_t)log->files);
	free(log->ops);
	free(log->bytes);
}
