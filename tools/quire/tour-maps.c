/* SPDX-License-Identifier: Apache-2.0 */
/* tour-maps.c - one mapping of each kind, as the kernel lists it in /proc/self/maps, and what the line means. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "tour.h"

/** One line of /proc/self/maps. */
struct line {
	uintptr_t start;
	uintptr_t end;
	char permissions[5]; /* "rw-p" */
	char name[256];      /* "" for memory without one */
};

enum { STACK_GUARD = 64 << 10 };

/** A kind of mapping: how to make it, and what its line must say. */
struct exhibit {
	const char *what;
	const char *permissions; /* of the line with its first byte */
	const char *name;        /* in the name of that line; NULL: whatever it is */
	size_t below;            /* bytes below its first byte that belong to it too */
	int (*open)(const struct tour *tour, struct quire_map **map);
};

static int open_file(const struct tour *tour, struct quire_map **map)
{
	return quire_map_file(NULL, tour->corpus, QUIRE_READ, map);
}

static int open_private(const struct tour *tour, struct quire_map **map)
{
	int r = quire_map(NULL,
		QUIRE_OPTIONS(map, .kind = QUIRE_FILE, .path = tour->corpus,
			.protection = QUIRE_READ | QUIRE_WRITE, .sharing = QUIRE_PRIVATE),
		map);

	if (r == 0)
		*(char *)quire_map_address(*map) ^= 1; /* ours alone: the file keeps its byte */
	return r;
}

static int open_anon(const struct tour *tour, struct quire_map **map)
{
	(void)tour;
	return quire_map(NULL,
		QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .path = "tour-memory", .length = 8 << 20,
			.flags = QUIRE_POPULATE_WRITE),
		map);
}

static int open_shared(const struct tour *tour, struct quire_map **map)
{
	(void)tour;
	return quire_map_shared(NULL, "tour-exhibit", 4 << 20, map);
}

static int open_reserved(const struct tour *tour, struct quire_map **map)
{
	(void)tour;
	return quire_reserve(NULL, (size_t)1 << 30, map);
}

static int open_stack(const struct tour *tour, struct quire_map **map)
{
	(void)tour;
	return quire_map(NULL,
		QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = 256 << 10, .flags = QUIRE_STACK,
			.guard_bytes = STACK_GUARD),
		map);
}

static const struct exhibit exhibits[] = {
	{ "a file, shared", "r--s", "", 0, open_file },
	{ "a file, private: stores stay here", "rw-p", "", 0, open_private },
	{ "memory without a file", "rw-p", NULL, 0, open_anon },
	{ "memory to share, with a descriptor", "rw-s", "memfd:tour-exhibit", 0, open_shared },
	{ "addresses kept free, to grow into", "---p", NULL, 0, open_reserved },
	{ "a stack with a guard below it", "rw-p", NULL, STACK_GUARD, open_stack },
};

enum { EXHIBITS = sizeof(exhibits) / sizeof(exhibits[0]) };

static bool read_line(FILE *maps, struct line *line)
{
	char text[4400];
	unsigned long start, end;
	int name = 0;

	if (fgets(text, sizeof(text), maps) == NULL)
		return false;
	*line = (struct line){ 0 };
	if (sscanf(text, "%lx-%lx %4s %*s %*s %*s %n", &start, &end, line->permissions, &name) < 3)
		return false;
	line->start = start;
	line->end = end;
	text[strcspn(text, "\n")] = '\0';
	snprintf(line->name, sizeof(line->name), "%s", name > 0 ? text + name : "");
	return true;
}

/* The lines of a mapping, and of so many bytes below it; their number. */
static size_t lines_of(const struct quire_map *map, size_t below, struct line *lines, size_t room)
{
	uintptr_t first = (uintptr_t)quire_map_address(map), end = first + quire_map_length(map);
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t count = 0;
	struct line line;

	while (maps != NULL && count < room && read_line(maps, &line))
		if (line.end > first - below && line.start < end)
			lines[count++] = line;
	if (maps != NULL)
		fclose(maps);
	return count;
}

/* Is the first byte in a line that says what it must? */
static bool is_listed(
	const struct exhibit *exhibit, const struct quire_map *map, const struct line *lines, size_t count)
{
	uintptr_t first = (uintptr_t)quire_map_address(map);

	for (size_t i = 0; i < count; i++)
		if (lines[i].start <= first && first < lines[i].end)
			return strcmp(lines[i].permissions, exhibit->permissions) == 0 &&
				(exhibit->name == NULL || strstr(lines[i].name, exhibit->name) != NULL);
	return false;
}

static const char *access_words(const char *permissions)
{
	if (permissions[2] == 'x')
		return "can be executed";
	if (permissions[1] == 'w')
		return "can be read and written";
	if (permissions[0] == 'r')
		return "can be read; a store would be a fault";
	return "cannot be touched: every access is a fault";
}

static const char *sharing_words(const struct line *line)
{
	if (line->permissions[3] == 's')
		return strstr(line->name, "memfd:") != NULL
			? "every process that has the descriptor sees the same bytes"
			: "what anybody writes to the file shows here at once";
	if (line->name[0] == '/')
		return "the first store to a page makes a copy of it for us alone";
	return "nobody else sees it";
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static void show_line(struct tour *tour, const struct line *line)
{
	struct screen *screen = tour->screen;

	say(screen, INK_PRESENT, "     %lx-%lx %s", (unsigned long)line->start, (unsigned long)line->end,
		line->permissions);
	say(screen, INK_PLAIN, "  %s  %.28s\n", text_bytes(line->end - line->start).s,
		text_name(base_name(line->name)).s);
	say_paragraph(
		screen, INK_FAINT, 5, "It %s; %s.", access_words(line->permissions), sharing_words(line));
}

static void put_line(json_t *array, const struct line *line)
{
	json_t *object = json_add_object(array);

	json_put_count(object, "start", line->start);
	json_put_count(object, "end", line->end);
	json_put_text(object, "permissions", line->permissions);
	json_put_name(object, "name", line->name);
	json_put_text(object, "access", access_words(line->permissions));
	json_put_text(object, "sharing", sharing_words(line));
}

static void show_lines(struct tour *tour, const struct exhibit *exhibit, struct quire_map *map, json_t *array)
{
	json_t *object = json_add_object(array);
	json_t *lines_array;
	struct line lines[8];
	size_t count = lines_of(map, exhibit->below, lines, 8);
	char description[256];

	quire_map_describe(map, description, sizeof(description));
	json_put_text(object, "what", exhibit->what);
	json_put_text(object, "description", description);
	lines_array = json_put_array(object, "lines");
	tour_check(tour, is_listed(exhibit, map, lines, count), "%c%s: the kernel lists it as %s.",
		exhibit->what[0] & ~0x20, exhibit->what + 1, exhibit->permissions);
	for (size_t i = 0; i < count; i++) {
		put_line(lines_array, &lines[i]);
		if (tour_for_people(tour))
			show_line(tour, &lines[i]);
	}
}

static int run_maps(struct tour *tour, json_t *object)
{
	struct quire_map *maps[EXHIBITS] = { NULL };
	json_t *array = json_put_array(object, "mappings");
	int r = 0;

	tour_say(tour, "One mapping of each kind, its line in /proc/self/maps, and what the line means.");
	for (unsigned int i = 0; r == 0 && i < EXHIBITS; i++) {
		r = exhibits[i].open(tour, &maps[i]);
		if (r < 0)
			complain("%s: %s", exhibits[i].what, quire_error_text());
	}
	for (unsigned int i = 0; r == 0 && i < EXHIBITS; i++)
		show_lines(tour, &exhibits[i], maps[i], array);
	for (unsigned int i = 0; i < EXHIBITS; i++)
		quire_unmap(maps[i]);
	return r;
}

const struct station station_maps = {
	.name = "maps",
	.title = "Every mapping, as the kernel lists it, in words",
	.run = run_maps,
};
