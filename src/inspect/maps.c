/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/maps.c - the mappings of a process, from the kernel's text.
 *
 * maps is one line a mapping. smaps is the same line and behind it about two dozen lines "Key:   1234 kB", always in
 * the same order within one kernel. 50,000 mappings are 36 MB of that, so the order is learned from the first mapping
 * and only checked afterwards: no line is compared with more than one key. Nearly all lines have the same columns, and
 * most of their figures are 0; such a line is taken without looking for its end.
 *
 * The kernel makes the text while it is read. A process that changes its mappings meanwhile is seen partly before and
 * partly after the change; each line is true for its moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "inspect/lines.h"
#include "sys/directory.h"
#include "sys/file.h"

enum {
	KEYS_MAX = 48,         /* Linux 6.18 has 25 */
	NAME_BYTES = 17 << 10, /* a path of 4096 bytes, each escaped to four, and " (deleted)" */
	KEY_COLUMNS = 16,      /* "Rss:            " */
	LINE_COLUMNS = 27,     /* "Rss:                1234 kB"; more from 100 GB on */
};

/* A key of smaps and where its figure goes. */
struct key {
	const char *name;
	size_t field;
	bool adds; /* several keys make up one figure */
};

#define FIELD(member) offsetof(struct quire_mapping, member)

static const struct key keys[] = {
	{ "Rss:", FIELD(resident_bytes), false },
	{ "Pss:", FIELD(share_bytes), false },
	{ "Shared_Clean:", FIELD(shared_clean_bytes), false },
	{ "Shared_Dirty:", FIELD(dirty_bytes), true },
	{ "Private_Clean:", FIELD(private_clean_bytes), false },
	{ "Private_Dirty:", FIELD(dirty_bytes), true },
	{ "Anonymous:", FIELD(anonymous_bytes), false },
	{ "AnonHugePages:", FIELD(huge_bytes), true },
	{ "ShmemPmdMapped:", FIELD(huge_bytes), true },
	{ "FilePmdMapped:", FIELD(huge_bytes), true },
	{ "Shared_Hugetlb:", FIELD(pool_bytes), true },
	{ "Private_Hugetlb:", FIELD(pool_bytes), true },
	{ "Swap:", FIELD(swap_bytes), false },
	{ "SwapPss:", FIELD(swap_share_bytes), false },
	{ "KernelPageSize:", FIELD(page_bytes), false },
};

/* What stands on the n-th line behind a mapping's first; key NULL: nothing we want. */
struct learned {
	const struct key *key;
	size_t length;
	bool usual; /* a figure in the kernel's columns */
	char name[32];
};

struct quire_maps {
	struct lines lines;
	unsigned int detail;
	bool more; /* first[] holds the first line of the next mapping */
	unsigned int learned_count;
	struct learned learned[KEYS_MAX];
	char first[NAME_BYTES];
	char name[NAME_BYTES];
};

/* "r-xp" */
static uint32_t read_protection(const char *at)
{
	return (at[0] == 'r' ? QUIRE_MAPPING_READ : 0U) | (at[1] == 'w' ? QUIRE_MAPPING_WRITE : 0U) |
		(at[2] == 'x' ? QUIRE_MAPPING_EXECUTE : 0U) | (at[3] == 's' ? QUIRE_MAPPING_SHARED : 0U);
}

/* "55d0-55d4 r-xp 00002000 fe:00 2228325    /usr/bin/cat"; false when it is something else, e.g. the end of a dump. */
static bool read_first_line(struct quire_maps *maps, struct quire_mapping *mapping)
{
	const char *at = maps->first;

	mapping->start = read_hex(&at);
	if (*at++ != '-')
		return false;
	mapping->end = read_hex(&at);
	if (*at++ != ' ' || strnlen(at, 5) < 5)
		return false;
	mapping->flags = read_protection(at);
	at += 5;
	mapping->offset = read_hex(&at);
	mapping->device_major = (uint32_t)read_hex(&at);
	at += *at == ':';
	mapping->device_minor = (uint32_t)read_hex(&at);
	mapping->inode = read_decimal(&at);
	while (*at == ' ')
		at++;
	memcpy(maps->name, at, strlen(at) + 1); /* first[] is as large, and ends */
	mapping->name = maps->name;
	return mapping->start < mapping->end;
}

static const struct key *key_of(const char *line, size_t length)
{
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
		if (strlen(keys[i].name) == length && memcmp(line, keys[i].name, length) == 0)
			return &keys[i];
	return NULL;
}

/* Finds out what the n-th line is, if it is not what was learned. */
static const struct learned *learn(
	struct quire_maps *maps, unsigned int n, const char *line, size_t line_length)
{
	struct learned *entry = &maps->learned[n < KEYS_MAX ? n : KEYS_MAX - 1];
	const char *colon;

	if (n < maps->learned_count && entry->length <= line_length &&
		memcmp(line, entry->name, entry->length) == 0)
		return entry;

	colon = memchr(line, ':', line_length);
	entry->length = colon == NULL ? 0 : (size_t)(colon - line) + 1;
	entry->key = entry->length >= sizeof(entry->name) ? NULL : key_of(line, entry->length);
	if (entry->length >= sizeof(entry->name))
		entry->length = 0;
	entry->usual = entry->length != 0 && entry->length <= KEY_COLUMNS && line_length == LINE_COLUMNS;
	memcpy(entry->name, line, entry->usual ? KEY_COLUMNS : entry->length);
	if (n == maps->learned_count && n < KEYS_MAX)
		maps->learned_count++;
	return entry;
}

/* "VmFlags: rd wr mr mw me ac sd": two letters each. */
static uint32_t read_vm_flags(const char *at)
{
	static const struct {
		char letters[3];
		uint32_t flag;
	} known[] = {
		{ "lo", QUIRE_MAPPING_LOCKED },
		{ "ht", QUIRE_MAPPING_HUGETLB },
		{ "gd", QUIRE_MAPPING_GROWS_DOWN },
		{ "um", QUIRE_MAPPING_USERFAULT },
		{ "uw", QUIRE_MAPPING_USERFAULT },
		{ "ui", QUIRE_MAPPING_USERFAULT },
		{ "dd", QUIRE_MAPPING_NO_DUMP },
		{ "io", QUIRE_MAPPING_DEVICE },
		{ "gu", QUIRE_MAPPING_GUARDED },
		{ "sf", QUIRE_MAPPING_SYNC },
	};
	uint32_t flags = 0;

	for (; at[0] != '\0' && at[1] != '\0'; at += at[2] == ' ' ? 3 : 2)
		for (size_t i = 0; i < ARRAY_COUNT(known); i++)
			if (memcmp(at, known[i].letters, 2) == 0)
				flags |= known[i].flag;
	return flags;
}

static void add_figure(struct quire_mapping *mapping, const struct key *key, const char *at)
{
	uint64_t figure, kib = read_decimal(&at);

	if (kib == 0) /* most are, and all start at 0 */
		return;
	memcpy(&figure, (char *)mapping + key->field, sizeof(figure));
	figure = (key->adds ? figure : 0) + (kib << 10);
	memcpy((char *)mapping + key->field, &figure, sizeof(figure));
}

static void zero_figures(struct quire_mapping *mapping, uint64_t value)
{
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
		memcpy((char *)mapping + keys[i].field, &value, sizeof(value));
	mapping->locked_bytes = value;
}

static void keep_first_line(struct quire_maps *maps, const char *line, size_t length)
{
	maps->more = line != NULL;
	if (line == NULL)
		return;
	if (length >= sizeof(maps->first))
		length = sizeof(maps->first) - 1;
	memcpy(maps->first, line, length);
	maps->first[length] = '\0';
}

/* Takes the n-th line if it has the columns that were learned. */
static bool read_usual(struct quire_maps *maps, unsigned int n, struct quire_mapping *mapping)
{
	static const char zero[] = "       0 kB";
	const struct learned *entry = &maps->learned[n < KEYS_MAX ? n : 0];
	const char *line = maps->lines.text + maps->lines.at;

	if (n >= maps->learned_count || !entry->usual ||
		maps->lines.filled - maps->lines.at <= LINE_COLUMNS ||
		memcmp(line, entry->name, KEY_COLUMNS) != 0 ||
		memcmp(line + LINE_COLUMNS - 3, " kB\n", 4) != 0)
		return false;
	if (entry->key != NULL && memcmp(line + KEY_COLUMNS, zero, sizeof(zero) - 1) != 0)
		add_figure(mapping, entry->key, line + KEY_COLUMNS);
	maps->lines.at += LINE_COLUMNS + 1;
	return true;
}

/* Reads lines up to the first line of the next mapping. Keys begin with a capital, addresses never do. */
static void read_details(struct quire_maps *maps, struct quire_mapping *mapping)
{
	const struct learned *entry;
	size_t length;
	char *line;

	for (unsigned int n = 0;; n++) {
		if (read_usual(maps, n, mapping))
			continue;
		line = lines_next(&maps->lines, &length);
		if (line == NULL || *line < 'A' || *line > 'Z')
			break;
		entry = learn(maps, n, line, length);
		if (entry->key != NULL)
			add_figure(mapping, entry->key, line + entry->length);
		else if (length > 9 && memcmp(line, "VmFlags: ", 9) == 0)
			mapping->flags |= read_vm_flags(line + 9);
	}
	/* The kernel's own line "Locked" is a share of the pages, divided by who else maps them. */
	if ((mapping->flags & QUIRE_MAPPING_LOCKED) != 0)
		mapping->locked_bytes = mapping->resident_bytes;
	keep_first_line(maps, line, length);
}

int quire_maps_next(struct quire_maps *maps, struct quire_mapping *mapping)
{
	struct quire_mapping found = { .size = sizeof(found) };
	size_t length;
	char *line;

	if (maps == NULL || mapping == NULL || mapping->size < sizeof(*mapping))
		return error_set(-EINVAL, "quire_maps_next: mapping.size is not set");
	if (!maps->more || !read_first_line(maps, &found))
		return 0;

	if ((maps->detail & QUIRE_MAPS_FIGURES) != 0) {
		zero_figures(&found, 0);
		read_details(maps, &found);
	} else {
		zero_figures(&found, QUIRE_UNKNOWN);
		line = lines_next(&maps->lines, &length);
		keep_first_line(maps, line, length);
	}
	found.size = mapping->size;
	*mapping = found;
	return 1;
}

static int open_text(struct quire_maps *maps, int pid)
{
	const char *what = (maps->detail & QUIRE_MAPS_FIGURES) != 0 ? "smaps" : "maps";
	char path[40];

	if (pid == 0)
		(void)snprintf(path, sizeof(path), "/proc/self/%s", what);
	else
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return lines_open(&maps->lines, AT_FDCWD, path);
}

int quire_maps_open(int pid, unsigned int detail, struct quire_maps **maps)
{
	struct quire_maps *new;
	size_t length;
	char *line;
	int r;

	if (maps == NULL || pid < 0 || (detail & ~(unsigned int)QUIRE_MAPS_FIGURES) != 0)
		return error_set(-EINVAL, "quire_maps_open: no such process or detail");
	new = malloc(sizeof(*new));
	if (new == NULL)
		return error_set(-ENOMEM, "no memory for the text of a process");

	new->detail = detail;
	new->learned_count = 0;
	r = open_text(new, pid);
	if (r < 0) {
		free(new);
		return error_set(r == -ENOENT ? -ESRCH : r,
			r == -EACCES || r == -EPERM
				? "the kernel does not show the mappings of process %d to this user"
				: "there is no process %d",
			pid);
	}
	line = lines_next(&new->lines, &length);
	keep_first_line(new, line, length);
	r = new->lines.error;
	if (line == NULL && r < 0) {
		quire_maps_close(new);
		return error_set(r,
			r == -ESRCH ? "process %d is gone"
				    : "the kernel does not show the mappings of process %d to this user",
			pid);
	}
	*maps = new;
	return 0;
}

void quire_maps_close(struct quire_maps *maps)
{
	if (maps == NULL)
		return;
	lines_close(&maps->lines);
	free(maps);
}
