/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages-look.c - each page of a mapping: what the page tables hold, and behind that, what the cache holds.
 *
 * Two sequences of runs are walked together: the process's page tables, and the map of the file's cache. Where the
 * tables have a page, they say whose it is; where they have none, the cache decides between a cheap fault and a read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file-view.h"
#include "pages.h"

#define PAGE 4096U

/** Runs that are read one after the other, by the pages of the mapping: 0 is its first. */
struct stream {
	struct quire_runs *runs;
	uint64_t origin;
	struct quire_run run;
	uint64_t end; /* of run, in pages of the mapping */
	bool over;
};

static void add(struct pages_view *view, uint64_t page, uint64_t pages, enum page_kind kind)
{
	view->sums[kind] += pages;
	while (pages > 0) {
		size_t cell = (size_t)(page * view->cells / view->pages);
		/* the first page of the next cell */
		uint64_t next = ((cell + 1) * view->pages + view->cells - 1) / view->cells;
		uint64_t n = next - page < pages ? next - page : pages;

		view->counts[cell][kind] += n;
		page += n;
		pages -= n;
	}
}

static void note(struct pages_view *view, uint64_t page, uint64_t pages, enum page_kind kind)
{
	static const char *const names[KIND_COUNT] = { "absent", "unknown", "cached", "file", "dirty",
		"anonymous", "zero", "huge", "swapped" };
	json_t *object;

	add(view, page, pages, kind);
	if (view->runs == NULL)
		return;
	object = json_add_object(view->runs);
	put_address(object, "address", view->mapping.start + page * PAGE);
	json_put_count(object, "length", pages * PAGE);
	json_put_text(object, "state", names[kind]);
}

/* State of the cache at a page of the mapping, and up to where it is the same. */
static uint32_t cache_at(struct stream *cache, uint64_t page, uint64_t *end)
{
	while (!cache->over && page >= cache->end) {
		cache->over = quire_runs_next(cache->runs, &cache->run) != 1;
		cache->end = cache->over ? UINT64_MAX : cache->run.page + cache->run.pages - cache->origin;
	}
	*end = cache->end;
	return cache->over ? 0 : cache->run.state;
}

static enum page_kind kind_of(const struct pages_view *view, uint32_t table, uint32_t cache, bool cache_known)
{
	if ((table & QUIRE_PAGE_SWAPPED) != 0)
		return KIND_SWAPPED;
	if ((table & QUIRE_PAGE_HUGE) != 0)
		return KIND_HUGE;
	if ((table & QUIRE_PAGE_ZERO) != 0)
		return KIND_ZERO;
	if ((table & QUIRE_PAGE_PRESENT) != 0 && (table & QUIRE_PAGE_FILE) == 0)
		return KIND_ANON;
	if ((table & QUIRE_PAGE_PRESENT) != 0)
		return (cache & (QUIRE_PAGE_DIRTY | QUIRE_PAGE_WRITING)) != 0 ? KIND_DIRTY : KIND_FILE;
	if (view->mapping.inode == 0)
		return KIND_ABSENT;
	if (!cache_known)
		return KIND_UNKNOWN;
	return (cache & QUIRE_PAGE_CACHED) != 0 ? KIND_CACHED : KIND_ABSENT;
}

static void walk(struct pages_view *view, struct quire_pages *tables, struct stream *cache)
{
	uint64_t first = view->mapping.start / PAGE;
	struct quire_run run;

	while (quire_pages_next(tables, &run) == 1) {
		uint64_t at = run.page - first, end = at + run.pages;

		while (at < end) {
			uint64_t to = UINT64_MAX;
			uint32_t cached = cache->runs == NULL ? 0 : cache_at(cache, at, &to);

			to = to < end ? to : end;
			note(view, at, to - at, kind_of(view, run.state, cached, cache->runs != NULL));
			at = to;
		}
	}
}

/* The mapped file: the kernel's own link to it, which also leads to deleted files; else its name. */
static int open_file(struct pages_view *view, int pid)
{
	const struct quire_mapping *m = &view->mapping;
	char link[4500];
	int fd;

	snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)m->start,
		(unsigned long long)m->end);
	if (quire_presence_open(AT_FDCWD, link, &fd) == 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/%d/root%s", pid, view->name);
	return quire_presence_open(AT_FDCWD, link, &fd) == 0 ? fd : -1;
}

static int open_cache(struct pages_view *view, int pid, struct stream *cache)
{
	const struct quire_mapping *m = &view->mapping;
	unsigned int states = QUIRE_PAGE_DIRTY | QUIRE_PAGE_WRITING;
	int fd, r;

	*cache = (struct stream){ .origin = m->offset / PAGE };
	if (m->inode == 0)
		return -1;
	fd = open_file(view, pid);
	r = fd;
	if (fd >= 0)
		r = quire_runs_open(fd, m->offset, m->end - m->start, states, &cache->runs);
	if (fd >= 0 && r < 0) /* where dirty is not told, cached may be */
		r = quire_runs_open(fd, m->offset, m->end - m->start, 0, &cache->runs);
	if (r < 0) {
		snprintf(view->cache_text, sizeof(view->cache_text), "%s", quire_error_text());
		view->cache_why = view->cache_text;
	}
	return fd;
}

void pages_look(struct pages_view *view, int pid, const struct quire_mapping *mapping, size_t cells)
{
	struct quire_pages *tables;
	struct stream cache;
	json_t *runs = view->runs;
	int fd;

	memset(view, 0, sizeof(*view));
	view->runs = runs;
	view->mapping = *mapping;
	snprintf(view->name, sizeof(view->name), "%s", mapping->name);
	view->mapping.name = view->name;
	view->cache_why = "";
	view->pages = (mapping->end - mapping->start) / PAGE;
	view->cells = cells < view->pages ? cells : (size_t)view->pages;
	if (view->cells > CELLS_MAX)
		view->cells = CELLS_MAX;

	if (quire_pages_open(pid, mapping->start, mapping->end - mapping->start, &tables) < 0) {
		snprintf(view->cache_text, sizeof(view->cache_text), "%s", quire_error_text());
		view->cache_why = view->cache_text;
		note(view, 0, view->pages, KIND_UNKNOWN);
		return;
	}
	fd = open_cache(view, pid, &cache);
	view->kinds_known = (quire_pages_known(tables) & QUIRE_PAGE_HUGE) != 0;
	walk(view, tables, &cache);
	quire_runs_close(cache.runs);
	quire_pages_close(tables);
	if (fd >= 0)
		close(fd);
}

/* A cell's most telling page: a rare kind must not vanish among many absent ones. */
enum page_kind pages_cell(const struct pages_view *view, size_t cell)
{
	enum page_kind best = KIND_ABSENT;
	uint64_t most = 0;

	for (int kind = KIND_UNKNOWN; kind < KIND_COUNT; kind++) {
		if (view->counts[cell][kind] > most) {
			most = view->counts[cell][kind];
			best = (enum page_kind)kind;
		}
	}
	return best;
}
