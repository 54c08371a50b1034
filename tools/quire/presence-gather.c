/* SPDX-License-Identifier: Apache-2.0 */
/* presence-gather.c - many files: those of trees, of a process, or of the whole machine. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "pools-brief.h"
#include "presence-list.h"
#include "progress.h"

#define PAGE 4096U

/* Largest part of the cache first; unknown ones last, by size. */
static int compare(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	uint64_t cx = known_or_zero(sure_pages(&x->figures)), cy = known_or_zero(sure_pages(&y->figures));

	if (cx != cy)
		return cx < cy ? 1 : -1;
	if (x->figures.file_bytes != y->figures.file_bytes)
		return x->figures.file_bytes < y->figures.file_bytes ? 1 : -1;
	return strcmp(x->path, y->path);
}

/* Sorts, and forgets what nobody will see. */
static void prune(struct list *list)
{
	if (list->used != 0)
		qsort(list->lines, list->used, sizeof(*list->lines), compare);
	for (size_t i = list->rows; i < list->used; i++)
		free(list->lines[i].path);
	if (list->used > list->rows)
		list->used = list->rows;
}

/* Few of many files are shown, so the others are neither kept nor sorted: one that comes after the last row of a full list
 * is only counted. */
static void keep(struct list *list, const char *path, const struct quire_presence *figures)
{
	struct line line = { .figures = *figures };

	list->listed++;
	if (list->pruned &&
		known_or_zero(sure_pages(figures)) <
			known_or_zero(sure_pages(&list->lines[list->rows - 1].figures)))
		return;
	if (list->used == list->room && list->room / 4 >= list->rows && list->rows != 0) {
		prune(list);
		list->pruned = true;
	} else if (list->used == list->room) {
		list->room = list->room == 0 ? 256 : list->room * 2;
		list->lines = allocate(list->lines, list->room, sizeof(*list->lines));
	}
	line.path = strdup(path);
	if (line.path == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	list->lines[list->used++] = line;
}

static void add(struct list *list, const char *path, const struct quire_presence *figures)
{
	uint64_t cached = sure_pages(figures);

	list->files++;
	/* The frames of a pool are addresses, not bytes: what is in memory is all there is. */
	list->size += strncmp(path, POOL_FRAMES, strlen(POOL_FRAMES)) == 0 ? known_or_zero(cached) * PAGE
									   : figures->file_bytes;
	if (figures->cached == QUIRE_UNKNOWN) {
		list->files_unknown++;
		list->why = figures->why;
	} else {
		list->dirty += figures->dirty;
		list->writing += figures->writing;
		list->evicted += figures->evicted;
	}
	if (cached != QUIRE_UNKNOWN) {
		list->cached += cached;
		list->cached_bytes += bytes_of_pages(cached, figures->file_bytes);
	} else {
		list->files_hidden++;
		list->size_hidden += figures->file_bytes;
	}
	if (cached != QUIRE_UNKNOWN && cached != 0)
		list->files_cached++;
	if (list->all || cached != 0)
		keep(list, path, figures);
}

/** A walk, or one of several hands of it, and what it found. */
struct hand {
	struct list list;
	struct quire_walk *walk;
	_Atomic(uint64_t) *files; /* of all hands */
	pthread_t thread;
	int error;
	bool tells; /* progress: one of them, for it is one line */
};

static void *walk_on(void *of)
{
	struct hand *hand = of;
	struct quire_walk_entry entry = { .size = sizeof(entry) };
	struct quire_walk_tally tally = { .size = sizeof(tally) };
	uint64_t entries = 0;

	while ((hand->error = quire_walk_next(hand->walk, &entry)) == 1) {
		if (entry.error == 0)
			add(&hand->list, entry.path, &entry.presence);
		if ((++entries & 1023) == 0) { /* so often the clock is looked at */
			uint64_t files = atomic_fetch_add(hand->files, 1024) + 1024;

			if (hand->tells)
				progress_at(files);
		}
	}
	if (hand->error < 0)
		complain("%s", quire_error_text());
	quire_walk_tally(hand->walk, &tally);
	hand->list.unreadable += tally.unreadable;
	hand->list.skipped += tally.skipped;
	hand->list.directories += tally.directories;
	quire_walk_close(hand->walk);
	return NULL;
}

static void merge(struct list *to, const struct list *from)
{
	for (size_t i = 0; i < from->used; i++) {
		keep(to, from->lines[i].path, &from->lines[i].figures);
		free(from->lines[i].path);
	}
	free(from->lines);
	to->listed += from->listed - from->used; /* keep() has counted the rest */
	to->files += from->files;
	to->files_cached += from->files_cached;
	to->files_unknown += from->files_unknown;
	to->files_hidden += from->files_hidden;
	to->size += from->size;
	to->size_hidden += from->size_hidden;
	to->cached += from->cached;
	to->cached_bytes += from->cached_bytes;
	to->dirty += from->dirty;
	to->writing += from->writing;
	to->evicted += from->evicted;
	to->unreadable += from->unreadable;
	to->skipped += from->skipped;
	to->directories += from->directories;
	if (from->files_unknown != 0)
		to->why = from->why;
}

enum { HANDS_MOST = 4 }; /* more gain little: they meet in the table of descriptors */

/* One thread a processor for the whole machine, whose million files take seconds. */
static unsigned int hands_for(unsigned int flags)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if ((flags & QUIRE_WALK_SYSTEM) == 0 || processors < 1)
		return 1;
	return processors < HANDS_MOST ? (unsigned int)processors : HANDS_MOST;
}

static enum status add_tree(struct list *list, const char *path, unsigned int flags)
{
	struct hand hands[HANDS_MOST];
	unsigned int count = hands_for(flags), begun = 1;
	enum status status = STATUS_OK;
	_Atomic(uint64_t) files = list->files;
	int r;

	for (unsigned int i = 0; i < count; i++)
		hands[i] = (struct hand){ .files = &files,
			.tells = i == 0,
			.list = { .rows = list->rows, .all = list->all, .why = "" } };
	r = quire_walk_open(path, flags, &hands[0].walk);
	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	/* A thread less is only slower. */
	for (; begun < count && quire_walk_share(hands[0].walk, &hands[begun].walk) == 0; begun++)
		if (pthread_create(&hands[begun].thread, NULL, walk_on, &hands[begun]) != 0) {
			quire_walk_close(hands[begun].walk);
			break;
		}
	walk_on(&hands[0]);
	for (unsigned int i = 0; i < begun; i++) {
		if (i != 0)
			pthread_join(hands[i].thread, NULL);
		if (hands[i].error < 0)
			status = STATUS_SYSTEM;
		merge(list, &hands[i].list);
	}
	return status;
}

static enum status add_file(struct list *list, const char *path)
{
	struct quire_presence figures = { .size = sizeof(figures) };
	int fd, r = quire_presence_open(AT_FDCWD, path, &fd);

	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	r = quire_presence_read(fd, 0, QUIRE_UNKNOWN, 0, &figures);
	if (r == 0)
		add(list, path, &figures);
	close(fd);
	return r < 0 ? fail(status_of(r), "%s", quire_error_text()) : STATUS_OK;
}

static enum status add_operands(struct list *list, const struct call *call)
{
	const struct presence_settings *settings = call->settings;
	enum status status = STATUS_OK;
	struct stat about;

	for (unsigned int i = 0; i < call->operand_count; i++) {
		const char *path = call->operands[i];
		bool tree = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
		enum status one = tree
			? add_tree(list, path, settings->one_filesystem ? QUIRE_WALK_ONE_FILESYSTEM : 0)
			: add_file(list, path);

		status = status_worse(status, one);
	}
	return status;
}

/** Which files of a process were looked at. */
struct seen_files {
	struct stat *files;
	size_t count;
};

static bool seen_before(struct seen_files *seen, const struct stat *file)
{
	for (size_t i = 0; i < seen->count; i++)
		if (seen->files[i].st_ino == file->st_ino && seen->files[i].st_dev == file->st_dev)
			return true;
	seen->files = allocate(seen->files, seen->count + 1, sizeof(*seen->files));
	seen->files[seen->count++] = *file;
	return false;
}

/* A descriptor or a mapping of a process; what is no regular file is passed over. -ENOENT: it leads nowhere. */
static int add_link(struct list *list, struct seen_files *seen, const char *link, const char *name)
{
	struct quire_presence figures = { .size = sizeof(figures) };
	struct stat about;
	int fd, r = quire_presence_open(AT_FDCWD, link, &fd);

	if (r < 0) {
		list->unreadable += r == -EACCES || r == -EPERM;
		return r;
	}
	if (fstat(fd, &about) == 0 && !seen_before(seen, &about) &&
		quire_presence_read(fd, 0, QUIRE_UNKNOWN, 0, &figures) == 0 &&
		figures.backing != QUIRE_BACKING_PSEUDO)
		add(list, name, &figures);
	close(fd);
	return 0;
}

static void add_descriptors(struct list *list, struct seen_files *seen, uint64_t pid)
{
	char folder[64], link[512], name[4200];
	const struct dirent *entry;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%llu/fd", (unsigned long long)pid);
	dir = opendir(folder);
	if (dir == NULL) {
		list->unreadable++;
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		ssize_t n;

		snprintf(link, sizeof(link), "%s/%s", folder, entry->d_name);
		n = readlink(link, name, sizeof(name) - 1);
		if (n < 0)
			continue;
		name[n] = '\0';
		(void)add_link(list, seen, link, name);
	}
	closedir(dir);
}

/* The file itself where the kernel allows (deleted ones, too), else what has its name in the process's root. Of what was
 * deleted, only root can follow the mapping. */
static void add_mapping(
	struct list *list, struct seen_files *seen, uint64_t pid, const struct quire_mapping *mapping)
{
	char link[4400];

	snprintf(link, sizeof(link), "/proc/%llu/map_files/%llx-%llx", (unsigned long long)pid,
		(unsigned long long)mapping->start, (unsigned long long)mapping->end);
	if (access(link, F_OK) != 0)
		snprintf(link, sizeof(link), "/proc/%llu/root%s", (unsigned long long)pid, mapping->name);
	list->unreadable += add_link(list, seen, link, mapping->name) == -ENOENT;
}

static enum status add_process(struct list *list, uint64_t pid)
{
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct seen_files seen = { .files = NULL };
	struct quire_maps *maps;
	uint64_t last_inode = 0;
	int r = pid > INT32_MAX ? -ESRCH : quire_maps_open((int)pid, 0, &maps);

	if (r < 0)
		return fail(status_of(r), "%s",
			pid > INT32_MAX ? "there is no such process" : quire_error_text());
	while (quire_maps_next(maps, &mapping) == 1) {
		if (mapping.inode != 0 && mapping.name[0] == '/' && mapping.inode != last_inode)
			add_mapping(list, &seen, pid, &mapping);
		last_inode = mapping.inode;
	}
	quire_maps_close(maps);
	add_descriptors(list, &seen, pid);
	free(seen.files);
	return STATUS_OK;
}

enum status presence_gather(struct list *list, const struct call *call)
{
	const struct presence_settings *settings = call->settings;
	double began = now_seconds();
	enum status status;

	*list = (struct list){ .rows = settings->all ? SIZE_MAX : (size_t)settings->top,
		.all = settings->all || (settings->pid == 0 && !settings->system && !settings->recursive),
		.why = "",
		.before = { .size = sizeof(list->before) },
		.after = { .size = sizeof(list->after) } };
	quire_memory_read(&list->before);
	progress_begin("looking at files", 0, false);
	if (settings->system)
		status = add_tree(list, "/", QUIRE_WALK_SYSTEM);
	else if (settings->pid != 0)
		status = add_process(list, settings->pid);
	else
		status = add_operands(list, call);
	progress_end();
	quire_memory_read(&list->after);
	list->seconds = now_seconds() - began;
	prune(list);
	return list->files_unknown + list->unreadable != 0 ? status_worse(status, STATUS_FORBIDDEN) : status;
}

void presence_forget(struct list *list)
{
	for (size_t i = 0; i < list->used; i++)
		free(list->lines[i].path);
	free(list->lines);
}
