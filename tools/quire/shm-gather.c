/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm-gather.c - every piece of shared memory, and who uses it.
 *
 * Three kinds have names of their own (files of /dev/shm and of hugetlbfs, System V numbers); a memfd exists only in the
 * descriptors and mappings of processes. So the named ones are listed first, and one pass over all processes finds the
 * memfds and everybody's users.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "file-view.h"
#include "process.h"
#include "shm.h"

#define PAGE 4096U

static struct segment *add_segment(struct segments *segments, const struct segment *segment)
{
	size_t n = segments->count;

	if ((n & (n - 1)) == 0)
		segments->all = allocate(segments->all, n == 0 ? 1 : n * 2, sizeof(*segment));
	segments->all[n] = *segment;
	segments->count++;
	return &segments->all[n];
}

static void add_tree(struct segments *segments, const char *path, enum segment_kind kind)
{
	struct quire_walk_entry entry = { .size = sizeof(entry) };
	struct quire_walk *walk;

	if (quire_walk_open(path, QUIRE_WALK_ONE_FILESYSTEM, &walk) < 0)
		return;
	while (quire_walk_next(walk, &entry) == 1) {
		struct segment segment = {
			.kind = kind, .device = entry.device, .inode = entry.inode, .why = ""
		};
		struct stat about;

		if (entry.error != 0) {
			/* What may not be opened still has a size and an owner. */
			segments->unreadable++;
			if (lstat(entry.path, &about) != 0 || !S_ISREG(about.st_mode))
				continue;
			segment.device = about.st_dev;
			segment.inode = about.st_ino;
			segment.resident = (uint64_t)about.st_blocks * 512;
		} else if (fstat(entry.fd, &about) != 0) {
			continue;
		} else {
			segment.resident = entry.presence.cached == QUIRE_UNKNOWN
				? (uint64_t)about.st_blocks * 512
				: entry.presence.cached * PAGE;
		}
		snprintf(segment.name, sizeof(segment.name), "%s", entry.path);
		segment.size = (uint64_t)about.st_size;
		segment.owner = about.st_uid;
		segment.mode = about.st_mode & 0777;
		add_segment(segments, &segment);
	}
	quire_walk_close(walk);
}

/* Mount points of /proc/self/mounts have blanks as \040. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; to++) {
		if (from[0] == '\\' && isdigit((unsigned char)from[1]) && isdigit((unsigned char)from[2]) &&
			isdigit((unsigned char)from[3])) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static void add_hugetlbfs(struct segments *segments)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char *line = NULL, where[4096], kind[64];
	size_t room = 0;

	if (mounts == NULL)
		return;
	while (getline(&line, &room, mounts) > 0) {
		if (sscanf(line, "%*s %4095s %63s", where, kind) != 2 || strcmp(kind, "hugetlbfs") != 0)
			continue;
		unescape(where);
		add_tree(segments, where, SEGMENT_HUGETLB);
	}
	free(line);
	fclose(mounts);
}

/* Fields of a line of /proc/sysvipc/shm: key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss
 * swap. */
enum {
	FIELD_KEY,
	FIELD_ID,
	FIELD_MODE,
	FIELD_SIZE,
	FIELD_ATTACHED = 6,
	FIELD_USER = 7,
	FIELD_RSS = 14,
	FIELD_COUNT = 16
};

/* How many numbers a line has; the title has none. */
static unsigned int read_fields(const char *line, uint64_t fields[FIELD_COUNT])
{
	unsigned int n = 0;

	while (n < FIELD_COUNT) {
		char *end;
		int base = n == FIELD_MODE ? 8 : 10;

		fields[n] = n == FIELD_KEY ? (uint64_t)strtoll(line, &end, base) : strtoull(line, &end, base);
		if (end == line)
			break;
		line = end;
		n++;
	}
	return n;
}

static void add_sysv(struct segments *segments)
{
	FILE *table = fopen("/proc/sysvipc/shm", "re");
	uint64_t fields[FIELD_COUNT];
	char *line = NULL;
	size_t room = 0;

	if (table == NULL)
		return;
	while (getline(&line, &room, table) > 0) {
		struct segment segment = { .kind = SEGMENT_SYSV, .why = "" };
		unsigned int n = read_fields(line, fields);

		if (n <= FIELD_USER)
			continue;
		snprintf(segment.name, sizeof(segment.name), "shmid %u, key 0x%08x",
			(unsigned int)fields[FIELD_ID], (unsigned int)fields[FIELD_KEY]);
		segment.inode = fields[FIELD_ID];
		segment.size = fields[FIELD_SIZE];
		segment.attached = fields[FIELD_ATTACHED];
		segment.resident = n > FIELD_RSS ? fields[FIELD_RSS] : QUIRE_UNKNOWN;
		segment.why = n > FIELD_RSS ? "" : "this kernel does not tell";
		segment.owner = (uid_t)fields[FIELD_USER];
		segment.mode = (unsigned int)fields[FIELD_MODE] & 0777;
		add_segment(segments, &segment);
	}
	free(line);
	fclose(table);
}

static struct segment *find(struct segments *segments, enum segment_kind kind, dev_t device, uint64_t inode)
{
	for (size_t i = 0; i < segments->count; i++) {
		struct segment *s = &segments->all[i];

		if (s->inode == inode &&
			(s->kind == SEGMENT_SYSV ? kind == SEGMENT_SYSV : s->device == device))
			return s;
	}
	return NULL;
}

static void add_user(struct segment *segment, int pid, const char *name, uint64_t mapped)
{
	struct user *last = segment->user_count == 0 ? NULL : &segment->users[segment->user_count - 1];

	if (last != NULL && last->pid == pid) {
		last->mapped += mapped;
		return;
	}
	segment->users = allocate(segment->users, segment->user_count + 1, sizeof(*segment->users));
	last = &segment->users[segment->user_count++];
	*last = (struct user){ .pid = pid, .mapped = mapped };
	snprintf(last->name, sizeof(last->name), "%s", name);
}

/* A memfd is met for the first time in a process; the link of that process leads to it. */
static struct segment *add_memfd(
	struct segments *segments, const char *name, const char *link, const struct stat *about)
{
	struct quire_presence figures = { .size = sizeof(figures) };
	struct segment segment = { .kind = SEGMENT_MEMFD,
		.device = about->st_dev,
		.inode = about->st_ino,
		.size = (uint64_t)about->st_size,
		.owner = about->st_uid,
		.mode = about->st_mode & 0777,
		.why = "" };
	const char *end = strstr(name, " (deleted)");
	int fd;

	snprintf(segment.name, sizeof(segment.name), "%.*s",
		(int)(end == NULL ? strlen(name) : (size_t)(end - name)), name);
	segment.resident = (uint64_t)about->st_blocks * 512;
	if (quire_presence_open(AT_FDCWD, link, &fd) == 0) {
		if (quire_presence_read(fd, 0, QUIRE_UNKNOWN, 0, &figures) == 0 &&
			figures.cached != QUIRE_UNKNOWN)
			segment.resident = figures.cached * PAGE;
		close(fd);
	}
	return add_segment(segments, &segment);
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static void look_at_mapping(
	struct segments *segments, int pid, const char *who, const struct quire_mapping *m)
{
	struct segment *segment;
	bool sysv = starts_with(m->name, "/SYSV");

	if (m->inode == 0)
		return;
	segment = find(segments, sysv ? SEGMENT_SYSV : SEGMENT_POSIX,
		makedev(m->device_major, m->device_minor), m->inode);
	if (segment == NULL && starts_with(m->name, "/memfd:")) {
		struct stat about = { .st_dev = makedev(m->device_major, m->device_minor),
			.st_ino = m->inode,
			.st_size = (off_t)(m->end - m->start) };
		char link[96];

		snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", pid,
			(unsigned long long)m->start, (unsigned long long)m->end);
		(void)stat(link, &about); /* without permission, the mapping is what is known of its size */
		segment = add_memfd(segments, m->name, link, &about);
	}
	if (segment != NULL)
		add_user(segment, pid, who, m->end - m->start);
}

static void look_at_descriptors(struct segments *segments, int pid, const char *who)
{
	char folder[64], link[400], name[4200];
	const struct dirent *entry;
	struct stat about;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", pid);
	dir = opendir(folder);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct segment *segment;
		ssize_t n;

		snprintf(link, sizeof(link), "%s/%s", folder, entry->d_name);
		n = readlink(link, name, sizeof(name) - 1);
		if (n <= 0)
			continue;
		name[n] = '\0';
		if ((!starts_with(name, "/memfd:") && !starts_with(name, "/dev/shm/")) ||
			stat(link, &about) != 0)
			continue;
		segment = find(segments, SEGMENT_POSIX, about.st_dev, about.st_ino);
		if (segment == NULL && starts_with(name, "/memfd:"))
			segment = add_memfd(segments, name, link, &about);
		if (segment != NULL)
			add_user(segment, pid, who, 0);
	}
	if (dir != NULL)
		closedir(dir);
}

static void look_at_process(struct segments *segments, int pid)
{
	struct quire_process process = { .size = sizeof(process) };
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps;
	int r = quire_maps_open(pid, 0, &maps);

	if (r < 0) {
		segments->hidden += status_of(r) == STATUS_FORBIDDEN;
		return;
	}
	if (quire_process_read(pid, 0, &process) < 0)
		process.name[0] = '\0';
	while (quire_maps_next(maps, &mapping) == 1)
		look_at_mapping(segments, pid, process.name, &mapping);
	quire_maps_close(maps);
	look_at_descriptors(segments, pid, process.name);
}

void shm_gather(struct segments *segments)
{
	const struct dirent *entry;
	DIR *proc = opendir("/proc");

	*segments = (struct segments){ .count = 0 };
	add_tree(segments, "/dev/shm", SEGMENT_POSIX);
	add_sysv(segments);
	add_hugetlbfs(segments);
	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		int pid = process_number(entry->d_name);

		if (pid > 0)
			look_at_process(segments, pid);
	}
	if (proc != NULL)
		closedir(proc);
}

void shm_done(struct segments *segments)
{
	for (size_t i = 0; i < segments->count; i++)
		free(segments->all[i].users);
	free(segments->all);
}

int shm_orphan(const struct segments *segments, const struct segment *segment)
{
	if (segment->kind == SEGMENT_SYSV)
		return segment->attached == 0;
	if (segment->user_count != 0)
		return 0;
	return segments->hidden != 0 ? -1 : 1;
}
