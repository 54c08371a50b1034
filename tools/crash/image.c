/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - a directory that shows one state after the other.
 *
 * A check may do what it likes to the files, so nothing is believed of what they hold: every page is compared with what
 * it should be, and written when it differs. On a tmpfs that costs a memory read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"
#include "show.h"

/* A file of the directory that we keep open and mapped. */
struct opened {
	const char *path;
	ino_t inode;
	int fd;
	uint8_t *map;
	size_t map_bytes;
};

struct image {
	char dir[REC_PATH_MAX];
	int dir_fd;
	struct opened *files;
	size_t file_count, file_room;
};

struct image *image_new(const char *dir)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		abort();
	(void)snprintf(image->dir, sizeof(image->dir), "%s", dir);
	image->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return image;
}

static void forget(struct opened *o)
{
	if (o->map)
		(void)munmap(o->map, o->map_bytes);
	if (o->fd >= 0)
		(void)close(o->fd);
	*o = (struct opened){ .path = o->path, .fd = -1 };
}

void image_free(struct image *image)
{
	for (size_t i = 0; i < image->file_count; i++)
		forget(&image->files[i]);
	free(image->files);
	(void)close(image->dir_fd);
	free(image);
}

static struct opened *opened_of(struct image *image, const char *path)
{
	for (size_t i = 0; i < image->file_count; i++)
		if (strcmp(image->files[i].path, path) == 0)
			return &image->files[i];
	image->files = model_room(
		image->files, &image->file_room, image->file_count + 1, sizeof(*image->files));
	image->files[image->file_count] = (struct opened){ .path = path, .fd = -1 };
	return &image->files[image->file_count++];
}

/* The check may have removed the file, or put another in its place. */
static int reopen(const struct image *image, struct opened *o, struct stat *s)
{
	if (fstatat(image->dir_fd, o->path, s, AT_SYMLINK_NOFOLLOW) == 0) {
		if (o->fd >= 0 && o->inode == s->st_ino)
			return 0;
		if (s->st_nlink > 1 || !S_ISREG(s->st_mode))
			(void)unlinkat(image->dir_fd, o->path, S_ISDIR(s->st_mode) ? AT_REMOVEDIR : 0);
	}
	forget(o);
	o->fd = openat(image->dir_fd, o->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (o->fd < 0 || fstat(o->fd, s) < 0)
		return -errno;
	o->inode = s->st_ino;
	return 0;
}

static int remap(struct opened *o, size_t room)
{
	void *p;

	if (room <= o->map_bytes)
		return 0;
	if (o->map)
		(void)munmap(o->map, o->map_bytes);
	o->map = NULL;
	o->map_bytes = 0;
	p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	o->map = p;
	o->map_bytes = room;
	return 0;
}

/* Where the image has data at or behind an offset; to look at its holes through the mapping would fill them. */
static uint64_t next_data(const struct opened *o, uint64_t at, uint64_t *end)
{
	off_t from = lseek(o->fd, (off_t)at, SEEK_DATA);

	*end = from < 0 ? UINT64_MAX : (uint64_t)lseek(o->fd, from, SEEK_HOLE);
	return from < 0 ? UINT64_MAX : (uint64_t)from;
}

static bool page_is_zero(const struct file *f, size_t page)
{
	return !f->is_touched[page] && f->page_hash[page].low == 0 && f->page_hash[page].high == 0;
}

static int write_file(struct image *image, const char *path, const struct file *f)
{
	struct opened *o = opened_of(image, path);
	struct stat s;
	uint64_t data = 0, data_end = 0;
	int error = reopen(image, o, &s);

	if (error == 0 && (uint64_t)s.st_size != f->size && ftruncate(o->fd, (off_t)f->size) < 0)
		error = -errno;
	if (error == 0 && f->size)
		error = remap(o, f->room);
	for (size_t at = 0; error == 0 && at < f->size; at += PAGE) {
		size_t n = f->size - at < PAGE ? f->size - at : PAGE;

		if (at >= data_end)
			data = next_data(o, at, &data_end);
		if (at + PAGE <= data && page_is_zero(f, at / PAGE))
			continue;
		if (memcmp(o->map + at, f->live + at, n) != 0)
			memcpy(o->map + at, f->live + at, n);
	}
	return error;
}

static bool wanted(const struct shown *s, const char *path)
{
	for (size_t i = 0; i < s->names.count; i++)
		if (strcmp(s->names.list[i].path, path) == 0)
			return true;
	return false;
}

/* below: a path in the directory, "" for itself */
static void remove_others(const struct image *image, const struct shown *s, const char *below)
{
	char path[REC_PATH_MAX];
	int fd = openat(image->dir_fd, *below ? below : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir)
		return;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s%s%s", below, *below ? "/" : "", e->d_name);
		if (e->d_type == DT_DIR)
			remove_others(image, s, path);
		if (!wanted(s, path))
			(void)unlinkat(image->dir_fd, path, e->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	}
	(void)closedir(dir);
}

/* A name in a directory that did not persist is not there. */
static bool has_parent(const struct shown *s, const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[REC_PATH_MAX];

	if (!slash)
		return true;
	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	return wanted(s, parent) && has_parent(s, parent);
}

/* In no order: a directory may be listed before its parent, so again while one was made. */
static void make_dirs(const struct image *image, const struct shown *s)
{
	bool made = true;

	while (made) {
		made = false;
		for (size_t i = 0; i < s->names.count; i++)
			if (s->names.list[i].file == FILE_IS_DIR && has_parent(s, s->names.list[i].path))
				made |= mkdirat(image->dir_fd, s->names.list[i].path, 0777) == 0;
	}
}

int image_write(struct image *image, const struct model *m, const struct shown *s)
{
	remove_others(image, s, "");
	make_dirs(image, s);
	for (size_t i = 0; i < s->names.count; i++) {
		const struct name *n = &s->names.list[i];
		int error;

		if (n->file < 0 || !has_parent(s, n->path))
			continue;
		error = write_file(image, n->path, &m->files[n->file]);
		if (error < 0)
			return error;
	}
	return 0;
}
