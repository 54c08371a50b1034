/* SPDX-License-Identifier: Apache-2.0 */
/* tour-maps.c - one mapping of each kind, as the kernel lists it, what the line means, and which of its pages are there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "tour.h"

enum { STACK_GUARD = 64 << 10, CELLS = 64 };

/** One line of /proc/self/maps, and what its page tables say. */
struct line {
	uint64_t start;
	uint64_t end;
	char permissions[5]; /* "rw-p" */
	char name[256];      /* "" for memory without one */
	uint64_t present;    /* bytes that can be reached without a fault */
	double cells[CELLS];
};

/** How much of a mapping must be there. */
enum presence { PRESENCE_ANY, PRESENCE_NONE, PRESENCE_ALL };

/** A kind of mapping: how to make it, and what its line must say. */
struct exhibit {
	const char *what;
	const char *permissions; /* of the line with its first byte */
	const char *name;        /* in the name of that line; NULL: whatever it is */
	size_t below;            /* bytes below its first byte that belong to it too */
	enum presence presence;
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
	{ "a file, shared", "r--s", "", 0, PRESENCE_ANY, open_file },
	{ "a file, private: stores stay here", "rw-p", "", 0, PRESENCE_ANY, open_private },
	{ "memory without a file", "rw-p", NULL, 0, PRESENCE_ALL, open_anon },
	{ "memory to share, with a descriptor", "rw-s", "memfd:tour-exhibit", 0, PRESENCE_ANY, open_shared },
	{ "addresses kept free, to grow into", "---p", NULL, 0, PRESENCE_NONE, open_reserved },
	{ "a stack with a guard below it", "rw-p", NULL, STACK_GUARD, PRESENCE_ANY, open_stack },
};

enum { EXHIBITS = sizeof(exhibits) / sizeof(exhibits[0]) };

static void add_to_cells(struct line *line, const struct quire_run *run)
{
	double scale = (double)CELLS / (double)(line->end - line->start);
	double low = (double)(run->page * 4096 - line->start) * scale,
	       high = low + (double)(run->pages * 4096) * scale;

	for (size_t cell = (size_t)low; cell < CELLS && (double)cell < high; cell++) {
		double from = low > (double)cell ? low : (double)cell;
		double to = high < (double)cell + 1 ? high : (double)cell + 1;

		line->cells[cell] += to - from;
	}
}

/* As quire pages does. */
static void look_at_pages(struct line *line)
{
	struct quire_pages *pages;
	struct quire_run run;

	if (quire_pages_open(0, line->start, line->end - line->start, &pages) < 0)
		return;
	while (quire_pages_next(pages, &run) == 1) {
		/* What is in swap was there, and comes back by itself. */
		if ((run.state & (QUIRE_PAGE_PRESENT | QUIRE_PAGE_SWAPPED)) == 0)
			continue;
		line->present += run.pages * 4096;
		add_to_cells(line, &run);
	}
	quire_pages_close(pages);
}

static void line_of(const struct quire_mapping *mapping, struct line *line)
{
	*line = (struct line){ .start = mapping->start, .end = mapping->end };
	snprintf(line->permissions, sizeof(line->permissions), "%c%c%c%c",
		(mapping->flags & QUIRE_MAPPING_READ) != 0 ? 'r' : '-',
		(mapping->flags & QUIRE_MAPPING_WRITE) != 0 ? 'w' : '-',
		(mapping->flags & QUIRE_MAPPING_EXECUTE) != 0 ? 'x' : '-',
		(mapping->flags & QUIRE_MAPPING_SHARED) != 0 ? 's' : 'p');
	snprintf(line->name, sizeof(line->name), "%s", mapping->name);
	look_at_pages(line);
}

/* The lines of a mapping, and of so many bytes below it; their number. As quire maps finds them. */
static size_t lines_of(const struct quire_map *map, size_t below, struct line *lines, size_t room)
{
	uintptr_t first = (uintptr_t)quire_map_address(map), end = first + quire_map_length(map);
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps;
	size_t count = 0;

	if (quire_maps_open(0, 0, &maps) < 0)
		return 0;
	while (count < room && quire_maps_next(maps, &mapping) == 1)
		if (mapping.end > first - below && mapping.start < end)
			line_of(&mapping, &lines[count++]);
	quire_maps_close(maps);
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

	struct shown_name name = text_name(base_name(line->name));

	(void)text_cut(name.s, screen->width > 64 ? screen->width - 52 : 12);
	say(screen, INK_PRESENT, "     %lx-%lx %s", (unsigned long)line->start, (unsigned long)line->end,
		line->permissions);
	say(screen, INK_PLAIN, "  %s  %s\n", text_bytes(line->end - line->start).s, name.s);
	say_paragraph(
		screen, INK_FAINT, 5, "It %s; %s.", access_words(line->permissions), sharing_words(line));
	say(screen, INK_PLAIN, "     |");
	draw_strip_beside(screen, 7, INK_PRESENT, line->cells, CELLS);
	say(screen, INK_PLAIN, "|\n");
}

static void put_line(json_t *array, const struct line *line)
{
	json_t *object = json_add_object(array);

	json_put_count(object, "start", line->start);
	json_put_count(object, "end", line->end);
	json_put_text(object, "permissions", line->permissions);
	json_put_name(object, "name", line->name);
	json_put_count(object, "present", line->present);
	json_put_text(object, "access", access_words(line->permissions));
	json_put_text(object, "sharing", sharing_words(line));
}

/* Of the mapping alone: the kernel may list it together with a neighbour. */
static void check_presence(struct tour *tour, const struct exhibit *exhibit, const struct quire_map *map)
{
	struct line own = { .start = (uintptr_t)quire_map_address(map) };

	own.end = own.start + quire_map_length(map);
	look_at_pages(&own);
	if (exhibit->presence != PRESENCE_ANY)
		tour_check(tour, own.present == (exhibit->presence == PRESENCE_ALL ? own.end - own.start : 0),
			"Its page tables agree: %s of %s is there.", text_bytes(own.present).s,
			text_bytes(own.end - own.start).s);
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
	check_presence(tour, exhibit, map);
}

static int run_maps(struct tour *tour, json_t *object)
{
	struct quire_map *maps[EXHIBITS] = { NULL };
	json_t *array = json_put_array(object, "mappings");
	int r = 0;

	tour_say(tour,
		"One mapping of each kind, its line in /proc/self/maps, what the line means, and which of its pages are there, "
		"from the lowest address to the highest. quire maps and quire pages show the same of every process.");
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
