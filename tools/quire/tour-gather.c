/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tour-gather.c - real files, one after the other in one big one.
 *
 * Invented data would be kind to us; a machine's own files are not: long and short, text and other. Text comes first,
 * so that lines and words mean something; other files fill up what is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "progress.h"
#include "scratch.h"
#include "tour.h"

static const uint64_t corpus_wanted = 208 << 20; /* a little more than the 200 MiB that are promised */
static const uint64_t file_most = 32 << 20;      /* one giant shall not be all of the corpus */

enum { BUFFER = 1 << 20, SNIFF = 4096 };

/** A corpus being written. */
struct gather {
	struct tour *tour;
	const char *path;
	int fd;
	char *buffer;
	uint64_t wanted;
	uint64_t bytes;
	uint64_t files;
	uint64_t text_files;
	bool text;       /* the pass takes text files alone; the next one all others */
	bool everything; /* a directory of the user's: all of it, whatever its size */
};

static int write_all(struct gather *gather, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(gather->fd, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			complain("cannot write %s: %s", text_name(gather->path).s, strerror(errno));
			return -errno;
		}
		bytes += n;
		length -= (size_t)n;
		gather->bytes += (uint64_t)n;
	}
	return 0;
}

static bool looks_like_text(const char *bytes, ssize_t length)
{
	return memchr(bytes, '\0', length < SNIFF ? (size_t)length : SNIFF) == NULL;
}

/* A file that vanishes, or cannot be read, is left out: the machine lives on while we walk. */
static int add_open_file(struct gather *gather, int fd)
{
	ssize_t n = read(fd, gather->buffer, BUFFER);
	int r = 0;

	if (n <= 0 || looks_like_text(gather->buffer, n) != gather->text)
		return 0;
	for (; r == 0 && n > 0; n = read(fd, gather->buffer, BUFFER))
		r = write_all(gather, gather->buffer, (size_t)n);
	gather->files++;
	gather->text_files += gather->text;
	progress_at(gather->bytes);
	return r;
}

static int add_file(struct gather *gather, const char *path)
{
	/* not following links: what a link points at is found under its own name, once */
	int r, fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME);

	if (fd < 0 && errno == EPERM) /* O_NOATIME is the owner's */
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return 0;
	r = add_open_file(gather, fd);
	close(fd);
	return r;
}

static bool enough(const struct gather *gather)
{
	return !gather->everything && gather->bytes >= gather->wanted;
}

static bool is_wanted(const struct gather *gather, const FTSENT *entry)
{
	const struct stat *st = entry->fts_statp;

	return entry->fts_info == FTS_F && S_ISREG(st->st_mode) && st->st_size > 0 &&
		(gather->everything || (uint64_t)st->st_size <= file_most);
}

/* The same order every time. */
static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int walk(struct gather *gather, char *const roots[])
{
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_name);
	const FTSENT *entry;
	int r = 0;

	if (fts == NULL)
		return -errno;
	while (r == 0 && !enough(gather) && (entry = fts_read(fts)) != NULL) {
		if (entry->fts_info == FTS_D &&
			strncmp(entry->fts_path, gather->path, strlen(entry->fts_path)) == 0 &&
			strcmp(entry->fts_path, scratch_directory()) == 0)
			fts_set(fts, (FTSENT *)(uintptr_t)entry, FTS_SKIP); /* not the corpus into itself */
		else if (is_wanted(gather, entry))
			r = add_file(gather, entry->fts_path);
	}
	fts_close(fts);
	return r;
}

/* A machine with few files: what there is, once more. */
static int repeat(struct gather *gather)
{
	uint64_t once = gather->bytes;
	int r = 0;

	while (r == 0 && once != 0 && !enough(gather)) {
		off_t from = (off_t)(gather->bytes - once);
		ssize_t n = pread(gather->fd, gather->buffer, BUFFER, from);

		if (n <= 0)
			return -EIO;
		r = write_all(gather, gather->buffer, (size_t)n);
	}
	return r;
}

static int gather_all(struct gather *gather)
{
	char *const system_roots[] = { (char[]){ "/usr/include" }, (char[]){ "/usr/share/doc" },
		(char[]){ "/usr/share" }, (char[]){ "/usr/lib" }, (char[]){ "/etc" }, (char[]){ "/usr" },
		NULL };
	char *const own_roots[] = { (char *)(uintptr_t)gather->tour->settings->corpus, NULL };
	int r;

	gather->text = true;
	r = walk(gather, gather->everything ? own_roots : system_roots);
	gather->text = false;
	if (r == 0 && !enough(gather))
		r = walk(gather, gather->everything ? own_roots : system_roots);
	if (r == 0 && !gather->everything)
		r = repeat(gather);
	return r;
}

/* Before hours of work end in ENOSPC: the copy that the station truncate makes needs room too. */
static int check_room(const char *path, uint64_t wanted)
{
	struct statvfs fs;
	uint64_t room;

	if (statvfs(scratch_directory(), &fs) != 0)
		return 0; /* then writing will tell */
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= wanted)
		return 0;
	complain("%s: the filesystem has %s left, and the tour needs %s; set TMPDIR to a directory with room",
		text_name(path).s, text_bytes(room).s, text_bytes(wanted).s);
	return -ENOSPC;
}

static int gather_open(struct gather *gather)
{
	int r;

	gather->path = scratch_path("corpus");
	if (gather->path == NULL)
		return -ENAMETOOLONG;
	r = check_room(gather->path, gather->wanted + (48 << 20));
	if (r < 0)
		return r;
	gather->buffer = malloc(BUFFER);
	if (gather->buffer == NULL)
		return -ENOMEM;
	gather->fd = open(gather->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return gather->fd < 0 ? -errno : 0;
}

static void check(struct tour *tour, const struct gather *gather)
{
	struct stat st = { 0 };

	(void)fstat(gather->fd, &st);
	tour_check(tour, (uint64_t)st.st_size == gather->bytes && gather->bytes > 0,
		"%s files (%s of them text) are one file of %s bytes now, %s.", text_count(gather->files).s,
		text_count(gather->text_files).s, text_count(gather->bytes).s, text_bytes(gather->bytes).s);
	if (!gather->everything)
		tour_check(tour, gather->bytes >= 200 << 20, "That is at least 200 MiB.");
}

static int run_gather(struct tour *tour, json_t *object)
{
	struct gather gather = { .tour = tour, .fd = -1, .wanted = corpus_wanted };
	int r;

	gather.everything = tour->settings->corpus != NULL;
	tour_say(tour, "Gathering files from %s into one corpus.",
		gather.everything ? text_name(tour->settings->corpus).s
				  : "/usr/include, /usr/share, /usr/lib ...");
	r = gather_open(&gather);
	progress_begin("gathering", gather.everything ? 0 : gather.wanted, true);
	if (r == 0)
		r = gather_all(&gather);
	progress_end();
	if (r == 0 && gather.bytes == 0) {
		complain("%s: there is no file with bytes that can be read",
			gather.everything ? text_name(tour->settings->corpus).s : "/usr");
		r = -ENOENT;
	}
	if (r == 0) {
		check(tour, &gather);
		json_put_name(object, "corpus", gather.path);
		json_put_count(object, "bytes", gather.bytes);
		json_put_count(object, "files", gather.files);
		json_put_count(object, "text_files", gather.text_files);
		tour->corpus = gather.path;
		tour->corpus_bytes = gather.bytes;
	}
	if (gather.fd >= 0)
		close(gather.fd);
	free(gather.buffer);
	return r;
}

const struct station station_gather = {
	.name = "gather",
	.title = "Real files of this machine",
	.run = run_gather,
};
