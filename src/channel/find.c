/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/find.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "channel/segment.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/pids.h"

static const char prefix[] = "/memfd:quire-channel:";

enum { LINK_BYTES = 160, STAT_BYTES = 512, PATH_BYTES = 64, LISTING_BYTES = 4096 };

/* search: one look through /proc */
struct search {
	const char *name; /* NULL: all */
	sighting_fn *fn;
	void *user;
	uint32_t pid;
	uint32_t hidden;
	int found;
	bool enough;
	uint64_t seen[64]; /* inodes of this process: two descriptors may show one segment */
	unsigned int seen_count;
};

static bool is_stopped(uint32_t pid)
{
	char path[PATH_BYTES];
	char text[STAT_BYTES];
	const char *state;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (sys_read_small(path, text, sizeof(text)) <= 0)
		return false;
	state = strrchr(text, ')'); /* the name before it may hold anything */
	return state != NULL && state[1] == ' ' && (state[2] == 'T' || state[2] == 't');
}

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* By pread: not one of these lines becomes part of our address space, and the writer's stores go on undisturbed. */
static int look_at(struct search *s, int fd, struct sighting *out)
{
	struct layout_control control;
	uint64_t bytes;
	struct stat stat;

	if (sys_pread(fd, &out->header, sizeof(out->header), 0) != sizeof(out->header) ||
		sys_pread(fd, &control, sizeof(control), LAYOUT_CONTROL) != sizeof(control) ||
		sys_fstat(fd, &stat) < 0)
		return -EBADMSG;
	bytes = (uint64_t)stat.st_size;
	out->header.name[LAYOUT_TEXT - 1] = out->header.schema[LAYOUT_TEXT - 1] = '\0';
	if (segment_check(&out->header, bytes) < 0)
		return -EBADMSG;
	out->pid = s->pid;
	out->stopped = is_stopped(s->pid);
	out->closed = LOAD(control.state) == LAYOUT_CLOSED;
	out->waits_data = LOAD(control.armed_data) != 0;
	out->waits_space = LOAD(control.armed_space) != 0;
	out->tail = LOAD(control.tail);
	out->head = LOAD(control.head);
	out->records = LOAD(control.records);
	out->bytes = LOAD(control.bytes);
	out->taken_records = LOAD(control.taken_records);
	out->taken_bytes = LOAD(control.taken_bytes);
	out->lost_records = LOAD(control.lost_records);
	out->data_sleeps = LOAD(control.data_sleeps);
	out->data_sleep_ns = LOAD(control.data_sleep_ns);
	out->space_sleeps = LOAD(control.space_sleeps);
	out->space_sleep_ns = LOAD(control.space_sleep_ns);
	out->bells = LOAD(control.bells);
	return 0;
}

static bool seen_before(struct search *s, int fd)
{
	struct stat stat;

	if (sys_fstat(fd, &stat) < 0)
		return true;
	for (unsigned int i = 0; i < s->seen_count; i++)
		if (s->seen[i] == stat.st_ino)
			return true;
	if (s->seen_count < sizeof(s->seen) / sizeof(s->seen[0]))
		s->seen[s->seen_count++] = stat.st_ino;
	return false;
}

/* A segment of its own, not one that a peer has handed to it: those carry the owner's pid and are seen there. */
static void visit_segment(struct search *s, const char *path)
{
	struct sighting sighting;
	int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0)
		return;
	if (!seen_before(s, fd) && look_at(s, fd, &sighting) == 0 && sighting.header.pid == s->pid &&
		sighting.header.id != LAYOUT_NOBODY &&
		(s->name == NULL || strcmp(sighting.header.name, s->name) == 0)) {
		s->found++;
		s->enough = s->fn(&sighting, s->user);
	}
	sys_close(fd);
}

static void visit_descriptor(struct search *s, const char *entry)
{
	char path[PATH_BYTES];
	char target[LINK_BYTES];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%u/fd/%.16s", s->pid, entry);
	n = sys_readlinkat(AT_FDCWD, path, target, sizeof(target));
	if (n > 0 && strncmp(target, prefix, sizeof(prefix) - 1) == 0)
		visit_segment(s, path);
}

/* Stops when it was told enough. */
static int each_descriptor(const char *path, struct search *s)
{
	_Alignas(8) char buffer[LISTING_BYTES];
	struct sys_name name;
	ssize_t n = 1;
	int fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	while (n > 0 && !s->enough) {
		size_t at = 0;

		n = sys_getdents(fd, buffer, sizeof(buffer));
		while (n > 0 && !s->enough && sys_next_name(buffer, (size_t)n, &at, &name))
			if (name.name[0] != '.')
				visit_descriptor(s, name.name);
	}
	sys_close(fd);
	return n < 0 ? (int)n : 0;
}

static void visit_process(struct search *s)
{
	char path[PATH_BYTES];
	int r;

	s->seen_count = 0;
	(void)snprintf(path, sizeof(path), "/proc/%u/fd", s->pid);
	r = each_descriptor(path, s);
	s->hidden += r == -EACCES || r == -EPERM;
}

int find_channels(const char *name, sighting_fn *fn, void *user, uint32_t *hidden)
{
	struct search s = { .name = name, .fn = fn, .user = user };
	struct pids pids;
	int r = pids_open(&pids);

	if (r < 0)
		return error_set(r, "cannot look into /proc: %s", strerror(-r));
	while (!s.enough && (s.pid = (uint32_t)pids_next(&pids)) != 0)
		visit_process(&s);
	pids_close(&pids);
	*hidden = s.hidden;
	return s.found;
}
