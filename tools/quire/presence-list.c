/* SPDX-License-Identifier: Apache-2.0 */
/* presence-list.c - many files: those of trees, of a process, or of the whole machine, and their sums. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file-view.h"
#include "pools-brief.h"
#include "presence.h"
#include "progress.h"

#define PAGE 4096U

/** One line of the table. */
struct line {
	char *path;
	struct quire_presence figures;
};

/** Lines worth showing, and the sums of all. */
struct list {
	struct line *lines;
	size_t used;
	size_t room;
	size_t rows;   /* that will be shown */
	size_t listed; /* that could be */
	bool pruned;   /* lines[rows - 1] is the last row so far */
	bool all;      /* keep files with nothing cached, too */

	uint64_t files;
	uint64_t files_cached;
	uint64_t files_unknown;
	uint64_t files_hidden; /* of these: not even what is ready is known */
	uint64_t size;
	uint64_t size_hidden;
	uint64_t cached;       /* pages, of files where it is known */
	uint64_t cached_bytes; /* the same, without what the last page of a file has behind its end */
	uint64_t dirty;
	uint64_t writing;
	uint64_t evicted;
	uint64_t unreadable;
	uint64_t skipped;
	uint64_t directories;
	const char *why; /* of the first unknown */
	double seconds;
	struct quire_memory before;
	struct quire_memory after;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t known_or_zero(uint64_t figure)
{
	return figure == QUIRE_UNKNOWN ? 0 : figure;
}

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

static enum status gather(struct list *list, const struct call *call)
{
	const struct presence_settings *settings = call->settings;
	double began = now();
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
	list->seconds = now() - began;
	prune(list);
	return list->files_unknown + list->unreadable != 0 ? status_worse(status, STATUS_FORBIDDEN) : status;
}

/* What the walk should have found: the cache without memory that has no file on a disk. */
static uint64_t to_explain(const struct quire_memory *memory)
{
	return memory->cached_bytes > memory->shared_bytes ? memory->cached_bytes - memory->shared_bytes : 0;
}

static double explained(const struct list *list)
{
	uint64_t all = to_explain(&list->after);

	return all == 0 ? 1 : (double)(list->cached * PAGE) / (double)all;
}

static void show_answer(
	struct screen *screen, const struct list *list, const struct presence_settings *settings)
{
	uint64_t size = list->size - list->size_hidden, files = list->files - list->files_hidden;
	char whose[600] = "", rest[100] = ".";

	if (list->files != 0 && list->files_hidden == list->files) {
		say_paragraph(screen, INK_STRONG, 0,
			"How much of the %s in %s %s is cached is not known to this user.",
			text_bytes(list->size).s, text_count(list->files).s,
			list->files == 1 ? "file" : "files");
		return;
	}
	if (list->files_hidden != 0)
		snprintf(rest, sizeof(rest), "; of %s more this user may not know.",
			text_count(list->files_hidden).s);
	if (settings->system) {
		say_paragraph(screen, INK_STRONG, 0,
			"%s of the page cache of %s has a name here (%s), in %s of %s files%s",
			text_pages(list->cached).s, text_bytes(to_explain(&list->after)).s,
			text_percent(explained(list) > 1 ? 1 : explained(list)).s,
			text_count(list->files_cached).s, text_count(files).s, rest);
		return;
	}
	if (list->files == 0) {
		say_paragraph(screen, INK_STRONG, 0, "%s",
			list->unreadable != 0 ? "None of it could be looked at by this user."
					      : "There is no file in it.");
		return;
	}
	if (settings->pid != 0)
		snprintf(whose, sizeof(whose), "process %llu: ", (unsigned long long)settings->pid);
	say_paragraph(screen, INK_STRONG, 0, "%s%s of %s is cached (%s), in %s of %s files%s", whose,
		text_bytes(list->cached_bytes).s, text_bytes(size).s,
		text_percent(size == 0 ? 0 : (double)list->cached_bytes / (double)size).s,
		text_count(list->files_cached).s, text_count(files).s, rest);
}

/** Columns of the table; what would be empty leaves its room to the names. */
struct wanted {
	bool dirty;
	bool evicted;
};

static void show_line(struct table *table, const struct line *line, struct wanted wanted)
{
	const struct quire_presence *f = &line->figures;
	uint64_t cached = sure_pages(f), dirty = known_or_zero(f->dirty) + known_or_zero(f->writing);
	bool known = cached != QUIRE_UNKNOWN;
	char *path = text_path(line->path);

	table_cell(table, known ? INK_PRESENT : INK_PROBLEM, "%s",
		known ? text_bytes(bytes_of_pages(cached, f->file_bytes)).s : "?");
	table_cell(table, INK_PLAIN, "%s", text_bytes(f->file_bytes).s);
	table_cell(table, INK_PLAIN, "%s",
		!known || f->pages == 0 ? "" : text_percent((double)cached / (double)f->pages).s);
	if (wanted.dirty)
		table_cell(table, INK_DIRTY, "%s",
			dirty == 0 ? "" : text_bytes(bytes_of_pages(dirty, f->file_bytes)).s);
	if (wanted.evicted)
		table_cell(table, INK_SWAPPED, "%s",
			known_or_zero(f->evicted) == 0
				? ""
				: text_bytes(bytes_of_pages(f->evicted, f->file_bytes)).s);
	table_cell(table, INK_PLAIN, "%s", path);
	free(path);
}

static void show_table(struct screen *screen, const struct list *list)
{
	struct column columns[6] = { { "CACHED", COLUMN_RIGHT }, { "OF", COLUMN_RIGHT },
		{ "SHARE", COLUMN_RIGHT } };
	struct wanted wanted = { .dirty = false };
	struct table *table;
	size_t count = 3;

	if (list->used == 0)
		return;
	for (size_t i = 0; i < list->used; i++) {
		const struct quire_presence *f = &list->lines[i].figures;

		wanted.dirty = wanted.dirty || known_or_zero(f->dirty) + known_or_zero(f->writing) != 0;
		wanted.evicted = wanted.evicted || known_or_zero(f->evicted) != 0;
	}
	if (wanted.dirty)
		columns[count++] = (struct column){ "DIRTY", COLUMN_RIGHT };
	if (wanted.evicted)
		columns[count++] = (struct column){ "EVICTED", COLUMN_RIGHT };
	columns[count++] = (struct column){ "FILE", COLUMN_PATH };
	say(screen, INK_PLAIN, "\n");
	table = table_new(screen, columns, count);
	for (size_t i = 0; i < list->used; i++)
		show_line(table, &list->lines[i], wanted);
	if (table_print(table))
		say_paragraph(screen, INK_FAINT, 2,
			"Long names are cut here; in a pipe, and with --json, they are whole.");
}

static uint64_t growth(uint64_t before, uint64_t after)
{
	return after > before ? after - before : 0;
}

static void show_costs(struct screen *screen, const struct list *list)
{
	uint64_t blocks = growth(list->before.buffer_bytes, list->after.buffer_bytes);
	uint64_t names = growth(list->before.reclaimable_bytes, list->after.reclaimable_bytes);

	say_paragraph(screen, INK_FAINT, 2,
		"The walk took %s (%s a file) and itself filled %s with blocks of directories "
		"and inodes, and %s with names.",
		text_seconds(list->seconds).s,
		text_seconds(list->files == 0 ? 0 : list->seconds / (double)list->files).s,
		text_bytes(blocks).s, text_bytes(names).s);
	say_paragraph(screen, INK_FAINT, 2,
		"Not looked at: tmpfs and shared memory (%s: quire shm), block devices (%s), "
		"files that were deleted while open, and what lies below a mount point.",
		text_bytes(list->after.shared_bytes).s, text_bytes(list->after.buffer_bytes).s);
}

static void show_gaps(struct screen *screen, const struct list *list)
{
	uint64_t ready_only = list->files_unknown - list->files_hidden;

	if (list->files_hidden != 0)
		say_paragraph(screen, INK_PROBLEM, 2, "? %s of the files %s not in these sums: %s.",
			text_count(list->files_hidden).s, list->files_hidden == 1 ? "is" : "are", list->why);
	if (ready_only != 0)
		say_paragraph(screen, INK_PROBLEM, 2, "? Of %s %s only what is ready is known: %s.",
			text_count(ready_only).s, ready_only == 1 ? "file" : "files", list->why);
	if (list->unreadable != 0)
		say_paragraph(screen, INK_PROBLEM, 2, "? %s %s could not be opened by this user.",
			text_count(list->unreadable).s,
			list->unreadable == 1 ? "file or directory" : "files or directories");
	if (list->skipped != 0)
		say_paragraph(screen, INK_FAINT, 2, "%s links, FIFOs, sockets and devices were not opened.",
			text_count(list->skipped).s);
}

static void show(struct call *call, const struct list *list)
{
	const struct presence_settings *settings = call->settings;
	struct screen *screen = &call->screen;

	show_answer(screen, list, settings);
	show_table(screen, list);
	if (list->used < list->listed)
		say(screen, INK_FAINT, "  ... and %s more (--all)\n",
			text_count(list->listed - list->used).s);
	if (list->files != 0)
		say(screen, INK_PLAIN, "\n");
	if (list->files != list->files_unknown)
		say_paragraph(screen, INK_PLAIN, 2, "Dirty %s, writing %s, evicted %s.",
			text_pages(list->dirty).s, text_pages(list->writing).s, text_pages(list->evicted).s);
	else if (list->files != 0)
		say_paragraph(screen, INK_PLAIN, 2, "Dirty ?, writing ?, evicted ?.");
	if (settings->pid != 0)
		pools_say(screen, (int)settings->pid);
	show_gaps(screen, list);
	if (settings->system)
		show_costs(screen, list);
	if (list->files == 0)
		return;
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "where in one of them", QUIRE_PROGRAM " presence FILE");
}

static void put_line(json_t *array, const struct line *line)
{
	json_t *object = json_add_object(array);

	json_put_name(object, "path", line->path);
	json_put_count(object, "size", line->figures.file_bytes);
	put_pages(object, "cached", line->figures.cached, line->figures.why);
	if (line->figures.cached == QUIRE_UNKNOWN && line->figures.ready != QUIRE_UNKNOWN)
		put_pages(object, "ready", line->figures.ready, "");
	put_pages(object, "dirty", line->figures.dirty, line->figures.why);
	put_pages(object, "writing", line->figures.writing, line->figures.why);
	put_pages(object, "evicted", line->figures.evicted, line->figures.why);
	put_pages(object, "evicted_recently", line->figures.evicted_recently, line->figures.why);
}

static void put(struct call *call, const struct list *list)
{
	const struct presence_settings *settings = call->settings;
	json_t *document = json_document("presence");
	json_t *files = json_put_array(document, "files");
	json_t *sums = json_put_object(document, "sums");

	for (size_t i = 0; i < list->used; i++)
		put_line(files, &list->lines[i]);
	json_put_count(sums, "files", list->files);
	json_put_count(sums, "files_cached", list->files_cached);
	json_put_count(sums, "files_unknown", list->files_unknown);
	json_put_count(sums, "unreadable", list->unreadable);
	json_put_count(sums, "skipped", list->skipped);
	json_put_count(sums, "directories", list->directories);
	json_put_count(sums, "size", list->size);
	json_put_count(sums, "cached", list->cached_bytes);
	json_put_count(sums, "cached_pages", list->cached);
	json_put_count(sums, "dirty", list->dirty * PAGE);
	json_put_count(sums, "writing", list->writing * PAGE);
	json_put_count(sums, "evicted", list->evicted * PAGE);
	json_put_real(sums, "seconds", list->seconds);
	if (settings->system) {
		json_put_count(sums, "to_explain", to_explain(&list->after));
		json_put_real(sums, "explained", explained(list));
		json_put_count(
			sums, "cost_buffers", growth(list->before.buffer_bytes, list->after.buffer_bytes));
		json_put_count(sums, "cost_names",
			growth(list->before.reclaimable_bytes, list->after.reclaimable_bytes));
	}
	if (settings->pid != 0)
		pools_put(document, (int)settings->pid);
	json_print(call, document);
}

enum status presence_list(struct call *call)
{
	struct list list;
	enum status status = gather(&list, call);

	if (list.files + list.unreadable != 0 || status == STATUS_OK) {
		if (call->json)
			put(call, &list);
		else
			show(call, &list);
	}
	for (size_t i = 0; i < list.used; i++)
		free(list.lines[i].path);
	free(list.lines);
	return status;
}
