/* SPDX-License-Identifier: Apache-2.0 */
/* maps-gather.c - the mappings of a process, grouped by what they are of. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file-view.h"
#include "maps.h"

/* More groups than these are no overview: files of one folder and one ending are then put together. */
#define GROUPS_MANY 40
#define FILES_MANY 8

static const char deleted[] = " (deleted)";

static bool ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);

	return a >= b && strcmp(text + a - b, end) == 0;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

const char *mapping_kind(const struct quire_mapping *mapping)
{
	static const struct {
		const char *start;
		const char *kind;
	} kinds[] = {
		{ "[heap]", "malloc's heap (brk)" },
		{ "[stack]", "stack of the main thread" },
		{ "[vdso]", "the kernel's code for fast calls" },
		{ "[vvar", "the kernel's data for fast calls" },
		{ "[vsyscall]", "the kernel's old fast calls" },
		{ "/memfd:quire-pages", "Quire: page frames of a pool, behind paged mappings" },
		{ "/memfd:quire-pool", "Quire: figures of a pool, for who looks from outside" },
		{ "/memfd:quire-channel", "Quire: a channel's ring" },
		{ "/memfd:quire-probe", "Quire: trying out what this kernel can" },
		{ "[anon:quire", "Quire" },
		{ "[anon_shmem:", "shared anonymous memory, named" },
		{ "[anon:", "anonymous memory, named" },
		{ "/memfd:", "memfd" },
		{ "/dev/zero (deleted)", "shared anonymous memory" },
		{ "/SYSV", "System V shared memory" },
		{ "/anon_hugepage", "huge pages of the pool" },
		{ "/dev/shm/", "POSIX shared memory" },
		{ "/secretmem", "secret memory" },
		{ "anon_inode:[io_uring]", "queues of io_uring" },
		{ "anon_inode:[perf_event]", "events of perf" },
		{ "anon_inode:", "kernel object" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (starts_with(mapping->name, kinds[i].start))
			return kinds[i].kind;
	return ends_with(mapping->name, deleted) ? "deleted file" : "";
}

/* Memory without a name is told apart by what may be done with it. */
static const char *group_name(const struct quire_mapping *mapping)
{
	unsigned int access = QUIRE_MAPPING_READ | QUIRE_MAPPING_WRITE | QUIRE_MAPPING_EXECUTE;

	if (starts_with(mapping->name, "[vvar") || strcmp(mapping->name, "[vdso]") == 0 ||
		strcmp(mapping->name, "[vsyscall]") == 0)
		return "[kernel]";
	if (mapping->name[0] != '\0')
		return mapping->name;
	if ((mapping->flags & access) ==
		0) /* glibc's guard below a thread's stack is a page, Go's and Java's some more */
		return mapping->end - mapping->start <= 1 << 20 ? "[guard pages]" : "[reserved addresses]";
	return (mapping->flags & QUIRE_MAPPING_GROWS_DOWN) != 0 ? "[stacks]" : "[anonymous]";
}

/* What a group is whose name is ours, not the kernel's. */
static const char *kind_of_group(const char *name)
{
	static const char *const kinds[][2] = {
		{ "[kernel]", "vdso and vvar: the kernel's code and data for fast calls" },
		{ "[guard pages]", "nobody may touch them: a stack that grows too large ends here" },
		{ "[reserved addresses]", "room that is kept free, without memory" },
		{ "[stacks]", "stacks that grow downwards" },
		{ "[anonymous]", "its own: large blocks of malloc, stacks of threads, heaps of languages" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(name, kinds[i][0]) == 0)
			return kinds[i][1];
	return "";
}

static size_t hash_of(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a */

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3U;
	return (size_t)(hash >> 16 ^ hash);
}

static void rehash(struct maps_view *view)
{
	free(view->places);
	view->place_count = view->place_count == 0 ? 256 : view->place_count * 4;
	view->places = calloc(view->place_count, sizeof(*view->places));
	if (view->places == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	for (size_t i = 0; i < view->group_count; i++) {
		size_t at = hash_of(view->groups[i].name) & (view->place_count - 1);

		while (view->places[at] != 0)
			at = (at + 1) & (view->place_count - 1);
		view->places[at] = (unsigned int)i + 1;
	}
}

unsigned int group_of(struct maps_view *view, const char *name)
{
	size_t at;

	if (view->group_count * 2 >= view->place_count)
		rehash(view);
	for (at = hash_of(name) & (view->place_count - 1); view->places[at] != 0;
		at = (at + 1) & (view->place_count - 1))
		if (strcmp(view->groups[view->places[at] - 1].name, name) == 0)
			return view->places[at] - 1;

	if (view->group_count == view->group_room) {
		view->group_room = view->group_room == 0 ? 64 : view->group_room * 2;
		view->groups = allocate(view->groups, view->group_room, sizeof(*view->groups));
	}
	view->groups[view->group_count] = (struct group){ .name = strdup(name), .kind = "" };
	if (view->groups[view->group_count].name == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	view->places[at] = (unsigned int)++view->group_count;
	return (unsigned int)view->group_count - 1;
}

static bool is_kind_of_memory(const char *name)
{
	static const char *const kinds[] = { "/memfd:", "/dev/zero", "/SYSV", "/dev/shm/", "/anon_hugepage",
		"/secretmem" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (starts_with(name, kinds[i]))
			return true;
	return false;
}

static bool is_memory(const struct quire_mapping *mapping)
{
	return mapping->inode == 0 || is_kind_of_memory(mapping->name);
}

/* What could be dropped: clean pages that are not the process's own, of something that has a home on a disk. */
static uint64_t clean_of(const struct quire_mapping *m)
{
	uint64_t clean = m->shared_clean_bytes + m->private_clean_bytes;
	uint64_t of_file = m->resident_bytes -
		(m->anonymous_bytes < m->resident_bytes ? m->anonymous_bytes : 0);

	if (is_memory(m) || m->locked_bytes != 0)
		return 0;
	return clean < of_file ? clean : of_file;
}

static void add(struct group *group, const struct quire_mapping *m)
{
	if (group->count++ == 0 || m->start < group->start)
		group->start = m->start;
	group->size += m->end - m->start;
	group->ram += m->resident_bytes + m->pool_bytes;
	group->share += m->share_bytes;
	group->anonymous += m->anonymous_bytes;
	group->dirty += m->dirty_bytes;
	group->clean += clean_of(m);
	group->swap += m->swap_bytes;
	group->huge += m->huge_bytes;
	group->pool += m->pool_bytes;
	group->locked += m->locked_bytes;
	group->deleted |= ends_with(m->name, deleted);
}

static uint64_t read_limit(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long long limit = QUIRE_UNKNOWN;
	char text[32];

	if (file == NULL)
		return QUIRE_UNKNOWN;
	if (fgets(text, sizeof(text), file) != NULL)
		limit = strtoull(text, NULL, 10);
	fclose(file);
	return limit;
}

static void keep(struct maps_view *view, const struct quire_mapping *mapping)
{
	const unsigned int both = QUIRE_MAPPING_WRITE | QUIRE_MAPPING_EXECUTE;
	const char *name = group_name(mapping);
	struct row *last = view->row_count == 0 ? NULL : &view->rows[view->row_count - 1];
	unsigned int group;

	/* Neighbours are often of one file: no need to look it up again. */
	if (last != NULL && strcmp(view->groups[last->group].name, name) == 0)
		group = last->group;
	else
		group = group_of(view, name);
	if (view->row_count == view->row_room) {
		view->row_room = view->row_room == 0 ? 256 : view->row_room * 2;
		view->rows = allocate(view->rows, view->row_room, sizeof(*view->rows));
	}
	if (view->groups[group].count == 0) {
		view->groups[group].first = view->row_count;
		view->groups[group].kind = mapping_kind(mapping);
		if (name != mapping->name)
			view->groups[group].kind = kind_of_group(name);
	}
	view->rows[view->row_count] = (struct row){ .m = *mapping, .group = group };
	view->rows[view->row_count++].m.name = mapping->name[0] == '\0' ? "" : NULL; /* the group has it */
	add(&view->groups[group], mapping);
	add(&view->sum, mapping);
	view->write_execute += (mapping->flags & both) == both;
	view->answered += (mapping->flags & QUIRE_MAPPING_USERFAULT) != 0;
}

/* "/srv/db/17.sst" -> "/srv/db/[star].sst", "/lib/libz.so.1" -> "/lib/[star].so.[star]"; false for what is no file on a disk. */
static bool pattern_of(const struct group *group, char *pattern, size_t bytes)
{
	const char *slash = strrchr(group->name, '/');
	const char *library = slash == NULL ? NULL : strstr(slash, ".so.");
	const char *dot = slash == NULL ? NULL : strrchr(slash, '.');
	bool gone = ends_with(group->name, deleted);

	if (slash == NULL || group->name[0] != '/' || (group->kind[0] != '\0' && !gone) ||
		is_kind_of_memory(group->name))
		return false;
	snprintf(pattern, bytes, "%.*s*%s", (int)(slash - group->name) + 1, group->name,
		library != NULL       ? ".so.*"
			: dot != NULL ? dot
			: gone        ? deleted
				      : "");
	return true;
}

static void merge(struct group *into, const struct group *from)
{
	if (into->count == 0)
		into->start = from->start;
	into->count += from->count;
	into->size += from->size;
	into->ram += from->ram;
	into->share += from->share;
	into->anonymous += from->anonymous;
	into->dirty += from->dirty;
	into->clean += from->clean;
	into->swap += from->swap;
	into->huge += from->huge;
	into->pool += from->pool;
	into->locked += from->locked;
	into->deleted |= from->deleted;
}

static void free_groups(struct maps_view *view)
{
	for (size_t i = 0; i < view->group_count; i++)
		free(view->groups[i].name);
	free(view->groups);
	free(view->places);
}

/* Puts files of one folder and ending together, where there are many of them; the rows follow. */
static void merge_groups(struct maps_view *view)
{
	struct maps_view merged = { .rows = NULL }, patterns = { .rows = NULL };
	unsigned int *now = allocate(NULL, view->group_count, sizeof(*now));
	char pattern[20000];

	for (size_t i = 0; i < view->group_count; i++) /* how many files have each pattern? */
		if (pattern_of(&view->groups[i], pattern, sizeof(pattern))) {
			now[i] = group_of(&patterns, pattern);
			patterns.groups[now[i]].count++;
		} else {
			now[i] = UINT32_MAX;
		}
	for (size_t i = 0; i < view->group_count; i++) {
		bool many = now[i] != UINT32_MAX && patterns.groups[now[i]].count >= FILES_MANY;
		struct group *group;

		now[i] = group_of(&merged, many ? patterns.groups[now[i]].name : view->groups[i].name);
		group = &merged.groups[now[i]];
		if (group->count == 0) {
			group->first = view->groups[i].first;
			group->kind = view->groups[i].kind;
		} else if (group->count == 1 || strcmp(group->kind, view->groups[i].kind) != 0) {
			group->kind = strcmp(group->kind, view->groups[i].kind) == 0 ? group->kind : "";
		}
		merge(group, &view->groups[i]);
	}
	for (size_t i = 0; i < view->row_count; i++)
		view->rows[i].group = now[view->rows[i].group];
	free_groups(view);
	free_groups(&patterns);
	free(now);
	view->groups = merged.groups;
	view->group_count = merged.group_count;
	view->group_room = merged.group_room;
	view->places = merged.places;
	view->place_count = merged.place_count;
}

enum status maps_gather(struct maps_view *view, int pid, const struct maps_settings *settings)
{
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps = NULL;
	int r;

	*view = (struct maps_view){ .process = { .size = sizeof(view->process) }, .limit = read_limit() };
	r = quire_process_read(pid, 0, &view->process);
	if (r == 0)
		r = quire_maps_open(pid, QUIRE_MAPS_FIGURES, &maps);
	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	while (quire_maps_next(maps, &mapping) == 1) {
		view->mappings++;
		if (settings->filter == NULL || strstr(group_name(&mapping), settings->filter) != NULL)
			keep(view, &mapping);
	}
	quire_maps_close(maps);
	if (view->group_count > GROUPS_MANY && !settings->all)
		merge_groups(view);
	return STATUS_OK;
}

void maps_done(struct maps_view *view)
{
	for (size_t i = 0; i < view->group_count; i++)
		free(view->groups[i].name);
	free(view->groups);
	free(view->places);
	free(view->rows);
	free(view->warnings);
}

/* Who, besides root and the process's own user, can change what this process executes. */
static const char *danger_of(const struct stat *file, uint32_t user)
{
	if ((file->st_mode & S_IWOTH) != 0)
		return "everybody may write it";
	if (file->st_uid != 0 && file->st_uid != user)
		return "its owner is another user";
	if ((file->st_mode & S_IWGRP) != 0 && file->st_gid != 0)
		return "its group may write it";
	return NULL;
}

static void warn(struct maps_view *view, const char *group, const char *danger)
{
	view->warnings = allocate(view->warnings, view->warning_count + 2, sizeof(*view->warnings));
	view->warnings[view->warning_count++] = group;
	view->warnings[view->warning_count++] = danger;
}

void maps_find_warnings(struct maps_view *view)
{
	size_t last = SIZE_MAX;

	for (size_t i = 0; i < view->row_count; i++) {
		const struct row *row = &view->rows[i];
		struct stat file;
		char link[96];
		const char *danger;

		if ((row->m.flags & QUIRE_MAPPING_EXECUTE) == 0 || row->m.inode == 0 || row->group == last)
			continue;
		last = row->group;
		snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", view->process.pid,
			(unsigned long long)row->m.start, (unsigned long long)row->m.end);
		if (stat(link, &file) != 0 && stat(view->groups[row->group].name, &file) != 0)
			continue;
		danger = file.st_ino == row->m.inode ? danger_of(&file, view->process.user) : NULL;
		if (danger != NULL)
			warn(view, view->groups[row->group].name, danger);
	}
}
