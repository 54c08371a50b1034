/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/segments.c - every piece of shared memory, and who uses it.
 *
 * Three kinds have names of their own (files of /dev/shm and of hugetlbfs, System V numbers); a memfd exists only in the
 * descriptors and mappings of processes. So the named ones are listed first, and one pass over all processes finds the
 * memfds and everybody's users.
 */
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/align.h"
#include "base/error.h"
#include "inspect/lines.h"
#include "inspect/look.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/pids.h"

/* A segment as it was found. */
struct found {
	struct quire_segment segment; /* .name is its own */
	char *name;
	struct quire_segment_user *users;
	size_t users_room;
	uint64_t attached; /* System V: by the kernel's count, hidden processes too */
};

struct quire_segments {
	struct found *all;
	size_t count;
	size_t room;
	uint64_t hidden;
	bool swaps;     /* blocks of memory files may be in swap */
	size_t next;    /* to be handed out */
	size_t user_at; /* of all[next - 1] */
};

/* While the segments are gathered; too large for a stack of a small thread. */
struct gathering {
	struct quire_segments *to;
	int pid; /* whose */
	uint32_t user;
	char name[64];
	struct pids pids;
	struct lines lines;
	char names[16384];
	char target[PAGE_BYTES + 64];
};

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static const char deleted[] = " (deleted)";

/* Memory that no folder lists, by the name in maps and links; -1 for all else. The kernel says of every memfd, and of shared
 * memory without a file, that it was deleted: it never had a name. */
static int unlisted_kind(const char *name)
{
	size_t length = strlen(name);

	if (length <= strlen(deleted) || strcmp(name + length - strlen(deleted), deleted) != 0)
		return -1;
	return starts_with(name, "/memfd:")                ? QUIRE_SEGMENT_MEMFD
		: strcmp(name, "/dev/zero (deleted)") == 0 ? QUIRE_SEGMENT_ANONYMOUS
		: starts_with(name, "/dev/shm/")           ? QUIRE_SEGMENT_POSIX
							   : -1;
}

/* A memfd goes by the name it was given. */
static size_t shown_length(const char *name, int kind)
{
	return strlen(name) - (kind == QUIRE_SEGMENT_MEMFD ? strlen(deleted) : 0);
}

/* NULL: no memory. */
static struct found *add_segment(
	struct quire_segments *segments, const struct quire_segment *segment, const char *name, size_t length)
{
	struct found *new;

	if (segments->count == segments->room) {
		size_t room = segments->room == 0 ? 16 : segments->room * 2;

		new = reallocarray(segments->all, room, sizeof(*new));
		if (new == NULL)
			return NULL;
		segments->all = new;
		segments->room = room;
	}
	new = &segments->all[segments->count];
	*new = (struct found){ .segment = *segment, .name = strndup(name, length) };
	if (new->name == NULL)
		return NULL;
	new->segment.name = new->name;
	segments->count++;
	return new;
}

/* Blocks of tmpfs are pages in memory or in swap, those of hugetlbfs in memory. */
static void set_resident(const struct quire_segments *segments, const struct stat *about,
	const struct quire_presence *presence, struct quire_segment *segment)
{
	segment->resident_bytes = (uint64_t)about->st_blocks * 512;
	segment->why = "";
	if (presence != NULL && presence->cached != QUIRE_UNKNOWN) {
		segment->resident_bytes = presence->cached << PAGE_SHIFT;
	} else if (segments->swaps && segment->kind != QUIRE_SEGMENT_HUGETLBFS && about->st_blocks != 0) {
		segment->resident_bytes = QUIRE_UNKNOWN;
		segment->why = "this user is told how much it holds, but not how much of that is in swap";
	}
}

static void describe(const struct stat *about, struct quire_segment *segment)
{
	segment->device = about->st_dev;
	segment->inode = about->st_ino;
	segment->length_bytes = (uint64_t)about->st_size;
	segment->owner = about->st_uid;
	segment->mode = about->st_mode & 0777;
}

static int add_tree(struct quire_segments *segments, const char *path, uint32_t kind)
{
	struct quire_walk_entry entry = { .size = sizeof(entry) };
	struct quire_walk *walk;
	int r = quire_walk_open(path, QUIRE_WALK_ONE_FILESYSTEM, &walk);

	if (r < 0) /* this machine has none, or shows none */
		return r == -ENOMEM ? r : 0;
	while ((r = quire_walk_next(walk, &entry)) == 1) {
		struct quire_segment segment = { .kind = kind };
		struct stat about;
		/* What may not be opened still has a size and an owner. */
		int known = entry.error == 0 ? sys_fstat(entry.fd, &about)
					     : sys_fstatat(AT_FDCWD, entry.path, &about, AT_SYMLINK_NOFOLLOW);

		if (known < 0 || !S_ISREG(about.st_mode))
			continue;
		describe(&about, &segment);
		set_resident(segments, &about, entry.error == 0 ? &entry.presence : NULL, &segment);
		if (add_segment(segments, &segment, entry.path, strlen(entry.path)) == NULL) {
			r = -ENOMEM;
			break;
		}
	}
	quire_walk_close(walk);
	return r;
}

/* Mount points of /proc/self/mounts have blanks as \040. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
			from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* "nodev /mnt/huge hugetlbfs rw,relatime 0 0" */
static int add_hugetlbfs(struct gathering *g)
{
	size_t length;
	char *line;
	int r = 0;

	if (lines_open(&g->lines, AT_FDCWD, "/proc/self/mounts") < 0)
		return 0;
	while (r == 0 && (line = lines_next(&g->lines, &length)) != NULL) {
		char *where = strchr(line, ' ');
		char *kind = where == NULL ? NULL : strchr(where + 1, ' ');

		if (kind == NULL || !starts_with(kind, " hugetlbfs "))
			continue;
		*kind = '\0';
		unescape(where + 1);
		r = add_tree(g->to, where + 1, QUIRE_SEGMENT_HUGETLBFS);
	}
	lines_close(&g->lines);
	return r;
}

/* Columns of /proc/sysvipc/shm: key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap. */
enum {
	COLUMN_KEY,
	COLUMN_ID,
	COLUMN_MODE,
	COLUMN_SIZE,
	COLUMN_ATTACHED = 6,
	COLUMN_USER,
	COLUMN_RSS = 14,
	COLUMNS = 16
};

/* How many numbers a line has; the title has none. */
static unsigned int read_columns(const char *line, uint64_t columns[COLUMNS])
{
	unsigned int n = 0;

	while (n < COLUMNS) {
		char *end;
		int base = n == COLUMN_MODE ? 8 : 10;

		columns[n] = n == COLUMN_KEY ? (uint64_t)strtoll(line, &end, base)
					     : strtoull(line, &end, base);
		if (end == line)
			break;
		line = end;
		n++;
	}
	return n;
}

static int add_sysv_line(struct quire_segments *segments, const char *line)
{
	struct quire_segment segment = { .kind = QUIRE_SEGMENT_SYSV, .why = "" };
	uint64_t columns[COLUMNS];
	unsigned int n = read_columns(line, columns);
	struct found *found;
	char name[64];

	if (n <= COLUMN_USER)
		return 0;
	(void)snprintf(name, sizeof(name), "shmid %u, key 0x%08x", (unsigned int)columns[COLUMN_ID],
		(unsigned int)columns[COLUMN_KEY]);
	segment.inode = columns[COLUMN_ID];
	segment.length_bytes = columns[COLUMN_SIZE];
	segment.owner = (uint32_t)columns[COLUMN_USER];
	segment.mode = (uint32_t)columns[COLUMN_MODE] & 0777;
	segment.resident_bytes = n > COLUMN_RSS ? columns[COLUMN_RSS] : QUIRE_UNKNOWN;
	if (n <= COLUMN_RSS)
		segment.why = "this kernel does not tell";
	found = add_segment(segments, &segment, name, strlen(name));
	if (found == NULL)
		return -ENOMEM;
	found->attached = columns[COLUMN_ATTACHED];
	return 0;
}

static int add_sysv(struct gathering *g)
{
	size_t length;
	char *line;
	int r = 0;

	if (lines_open(&g->lines, AT_FDCWD, "/proc/sysvipc/shm") < 0)
		return 0;
	while (r == 0 && (line = lines_next(&g->lines, &length)) != NULL)
		r = add_sysv_line(g->to, line);
	lines_close(&g->lines);
	return r;
}

/* A file's device and inode, or a System V segment's number. */
static struct found *find(struct quire_segments *segments, bool sysv, uint64_t device, uint64_t inode)
{
	for (size_t i = 0; i < segments->count; i++) {
		const struct quire_segment *s = &segments->all[i].segment;

		if (s->inode == inode &&
			(s->kind == QUIRE_SEGMENT_SYSV ? sysv : !sysv && s->device == device))
			return &segments->all[i];
	}
	return NULL;
}

/* A process's mappings and descriptors come one after the other, so its entry is the last one. */
static int add_user(const struct gathering *g, struct found *found, uint64_t mapped)
{
	size_t n = found->segment.users;
	struct quire_segment_user *users = found->users;

	if (n != 0 && users[n - 1].pid == g->pid) {
		users[n - 1].mapped_bytes += mapped;
		return 0;
	}
	if (n == found->users_room) {
		size_t room = n == 0 ? 2 : n * 2;

		users = reallocarray(found->users, room, sizeof(*users));
		if (users == NULL)
			return -ENOMEM;
		found->users = users;
		found->users_room = room;
	}
	users[n] = (struct quire_segment_user){ .pid = g->pid, .mapped_bytes = mapped };
	memcpy(users[n].name, g->name, sizeof(users[n].name));
	found->segment.users++;
	return 0;
}

/* What no folder lists is met for the first time; a link of the process leads to it. */
static struct found *add_unlisted(struct gathering *g, const char *name, int kind, int directory,
	const char *link, const struct stat *about)
{
	struct quire_presence presence = { .size = sizeof(presence), .cached = QUIRE_UNKNOWN };
	struct quire_segment segment = { .kind = (uint32_t)kind };
	int fd;

	if (look_open(directory, link, &fd) == 0) {
		(void)quire_presence_read(fd, 0, QUIRE_UNKNOWN, 0, &presence);
		sys_close(fd);
	}
	describe(about, &segment);
	set_resident(g->to, about, &presence, &segment);
	return add_segment(g->to, &segment, name, shown_length(name, kind));
}

/* Mapped and not open. Only root may follow the mapping; to others, what is mapped is what is known of it. */
static struct found *add_mapped(struct gathering *g, const struct quire_mapping *m, int kind)
{
	struct quire_segment segment = { .kind = (uint32_t)kind };
	struct stat about;
	char link[96];

	(void)snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", g->pid,
		(unsigned long long)m->start, (unsigned long long)m->end);
	if (sys_readlinkat(AT_FDCWD, link, g->target, sizeof(g->target)) > 0 &&
		unlisted_kind(g->target) == kind && sys_fstatat(AT_FDCWD, link, &about, 0) == 0)
		return add_unlisted(g, g->target, kind, AT_FDCWD, link, &about);

	segment.device = makedev(m->device_major, m->device_minor);
	segment.inode = m->inode;
	segment.owner = g->user;
	segment.length_bytes = m->offset + (m->end - m->start);
	segment.resident_bytes = QUIRE_UNKNOWN;
	segment.why = "it is mapped, but not open any more: only root may look at it";
	return add_segment(g->to, &segment, m->name, shown_length(m->name, kind));
}

static int look_at_mapping(struct gathering *g, const struct quire_mapping *m)
{
	struct found *found;
	int kind;

	if (m->inode == 0)
		return 0;
	found = find(
		g->to, starts_with(m->name, "/SYSV"), makedev(m->device_major, m->device_minor), m->inode);
	kind = unlisted_kind(m->name);
	if (found == NULL && kind >= 0) {
		found = add_mapped(g, m, kind);
		if (found == NULL)
			return -ENOMEM;
	}
	return found == NULL ? 0 : add_user(g, found, m->end - m->start);
}

static int look_at_descriptor(struct gathering *g, int directory, const char *link)
{
	struct found *found;
	struct stat about;
	int kind;

	if (sys_readlinkat(directory, link, g->target, sizeof(g->target)) <= 0)
		return 0;
	kind = unlisted_kind(g->target);
	if (g->target[0] != '/' || sys_fstatat(directory, link, &about, 0) < 0 || !S_ISREG(about.st_mode))
		return 0;
	found = find(g->to, false, about.st_dev, about.st_ino);
	if (found == NULL && kind >= 0) {
		found = add_unlisted(g, g->target, kind, directory, link, &about);
		if (found == NULL)
			return -ENOMEM;
	}
	return found == NULL ? 0 : add_user(g, found, 0);
}

static int look_at_descriptors(struct gathering *g)
{
	struct sys_name name;
	char folder[32];
	size_t at, filled;
	ssize_t n;
	int directory, r = 0;

	(void)snprintf(folder, sizeof(folder), "/proc/%d/fd", g->pid);
	directory = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
	if (directory < 0)
		return 0;
	while (r == 0 && (n = sys_getdents(directory, g->names, sizeof(g->names))) > 0) {
		at = 0;
		filled = (size_t)n;
		while (r == 0 && sys_next_name(g->names, filled, &at, &name))
			if (name.name[0] != '.')
				r = look_at_descriptor(g, directory, name.name);
	}
	sys_close(directory);
	return r;
}

static int look_at_process(struct gathering *g)
{
	struct quire_process process = { .size = sizeof(process) };
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps;
	int r = quire_maps_open(g->pid, 0, &maps);

	if (r < 0) {
		g->to->hidden += r == -EACCES || r == -EPERM;
		return r == -ENOMEM ? r : 0;
	}
	memset(g->name, 0, sizeof(g->name));
	g->user = UINT32_MAX;
	if (quire_process_read(g->pid, 0, &process) == 0) {
		memcpy(g->name, process.name, sizeof(g->name));
		g->user = process.user;
	}
	r = look_at_descriptors(g); /* first: they lead to the memfd itself */
	while (r == 0 && (r = quire_maps_next(maps, &mapping)) == 1)
		r = look_at_mapping(g, &mapping);
	quire_maps_close(maps);
	return r;
}

static int look_at_processes(struct gathering *g)
{
	int r = pids_open(&g->pids);

	if (r < 0)
		return r;
	while (r == 0 && (g->pid = pids_next(&g->pids)) > 0)
		r = look_at_process(g);
	pids_close(&g->pids);
	return r;
}

/* System V counts who is attached, hidden ones too; of the others nobody knows more than we saw. */
static void decide_orphans(struct quire_segments *segments)
{
	for (size_t i = 0; i < segments->count; i++) {
		struct found *found = &segments->all[i];

		if (found->segment.kind == QUIRE_SEGMENT_SYSV)
			found->segment.orphan = found->attached == 0;
		else if (found->segment.users != 0)
			found->segment.orphan = 0;
		else
			found->segment.orphan = segments->hidden != 0 ? -1 : 1;
	}
}

static int gather(struct quire_segments *segments)
{
	struct quire_memory memory = { .size = sizeof(memory) };
	struct gathering *g = malloc(sizeof(*g));
	int r;

	if (g == NULL)
		return -ENOMEM;
	g->to = segments;
	segments->swaps = quire_memory_read(&memory) < 0 || memory.swap_bytes != 0;
	r = add_tree(segments, "/dev/shm", QUIRE_SEGMENT_POSIX);
	if (r == 0)
		r = add_sysv(g);
	if (r == 0)
		r = add_hugetlbfs(g);
	if (r == 0)
		r = look_at_processes(g);
	decide_orphans(segments);
	free(g);
	return r;
}

int quire_segments_open(struct quire_segments **segments)
{
	struct quire_segments *new;
	int r;

	if (segments == NULL)
		return error_set(-EINVAL, "quire_segments_open: no place for the handle");
	new = calloc(1, sizeof(*new));
	r = new == NULL ? -ENOMEM : gather(new);
	if (r < 0) {
		quire_segments_close(new);
		return error_set(r,
			r == -ENOMEM ? "no memory for the list of shared memory"
				     : "/proc is not there: nobody can say who uses what");
	}
	*segments = new;
	return 0;
}

int quire_segments_next(struct quire_segments *segments, struct quire_segment *segment)
{
	size_t size;

	if (segments == NULL || segment == NULL || segment->size < sizeof(*segment))
		return error_set(-EINVAL, "quire_segments_next: segment.size is not set");
	if (segments->next == segments->count)
		return 0;
	size = segment->size;
	*segment = segments->all[segments->next++].segment;
	segment->size = size;
	segments->user_at = 0;
	return 1;
}

int quire_segments_user(struct quire_segments *segments, struct quire_segment_user *user)
{
	const struct found *found;
	size_t size;

	if (segments == NULL || user == NULL || user->size < sizeof(*user))
		return error_set(-EINVAL, "quire_segments_user: user.size is not set");
	if (segments->next == 0)
		return 0;
	found = &segments->all[segments->next - 1];
	if (segments->user_at == found->segment.users)
		return 0;
	size = user->size;
	*user = found->users[segments->user_at++];
	user->size = size;
	return 1;
}

uint64_t quire_segments_hidden(const struct quire_segments *segments)
{
	return segments == NULL ? 0 : segments->hidden;
}

void quire_segments_close(struct quire_segments *segments)
{
	if (segments == NULL)
		return;
	for (size_t i = 0; i < segments->count; i++) {
		free(segments->all[i].name);
		free(segments->all[i].users);
	}
	free(segments->all);
	free(segments);
}
