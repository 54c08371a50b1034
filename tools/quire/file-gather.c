/* SPDX-License-Identifier: Apache-2.0 */
/* file-gather.c - what is to be known of one file's page cache. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file-view.h"

#define PAGE 4096U

/* Telling ready from cached costs 30 ns a page: up to this it is below 8 ms and done unasked. */
#define READY_UNASKED_PAGES (UINT64_C(1) << 18)

/* Finding folios costs up to 400 ns a page. */
#define FOLIOS_UNASKED_PAGES (UINT64_C(1) << 16)

void *allocate(void *old, size_t count, size_t bytes)
{
	void *new = reallocarray(old, count, bytes);

	if (new == NULL && count != 0)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	return new;
}

/* Adds a run to the bins that it covers. */
static void add_to_bins(double *bins, size_t count, uint64_t pages, const struct quire_run *run)
{
	double scale = (double)count / (double)pages;
	double at = (double)run->page * scale, end = (double)(run->page + run->pages) * scale;

	for (size_t bin = (size_t)at; bin < count && (double)bin < end; bin++) {
		double from = at > (double)bin ? at : (double)bin;
		double to = end < (double)bin + 1 ? end : (double)bin + 1;

		bins[bin] += to - from;
	}
}

static void keep_run(struct file_view *view, const struct quire_run *run)
{
	if (view->runs_used == view->runs_room) {
		view->runs_room = view->runs_room == 0 ? 64 : view->runs_room * 2;
		view->runs = allocate(view->runs, view->runs_room, sizeof(*view->runs));
	}
	view->runs[view->runs_used++] = *run;
}

static void gather_map(struct file_view *view, int fd, const struct view_wish *wish)
{
	struct quire_runs *runs;
	struct quire_run run;

	view->run_count = QUIRE_UNKNOWN;
	if (quire_runs_open(fd, 0, QUIRE_UNKNOWN, 0, &runs) < 0) {
		snprintf(view->map_why, sizeof(view->map_why), "%s", quire_error_text());
		return;
	}
	view->run_count = 0;
	while (quire_runs_next(runs, &run) == 1) {
		if (wish->runs)
			keep_run(view, &run);
		if (run.state == 0)
			continue;
		view->run_count++;
		if (view->bin_count != 0)
			add_to_bins(view->cached, view->bin_count, view->figures.pages, &run);
	}
	quire_runs_close(runs);
}

/* One count a bin; only asked when the sum says that there is something to see. */
static void gather_shares(struct file_view *view, int fd)
{
	struct quire_presence part = { .size = sizeof(part) };

	for (size_t bin = 0; bin < view->bin_count; bin++) {
		uint64_t first = bin * view->figures.pages / view->bin_count;
		uint64_t end = (bin + 1) * view->figures.pages / view->bin_count;

		if (end == first)
			end = first + 1;
		if (quire_presence_read(fd, first * PAGE, (end - first) * PAGE, 0, &part) < 0 ||
			part.cached == QUIRE_UNKNOWN)
			return;
		view->dirty[bin] = (double)(part.dirty + part.writing) / (double)part.pages;
		view->evicted[bin] = (double)part.evicted / (double)part.pages;
	}
}

static void gather_picture(struct file_view *view, int fd, const struct view_wish *wish)
{
	const struct quire_presence *figures = &view->figures;

	view->bin_count = wish->bins < figures->pages ? wish->bins : (size_t)figures->pages;
	view->cached = calloc(view->bin_count + 1, sizeof(double));
	view->dirty = calloc(view->bin_count + 1, sizeof(double));
	view->evicted = calloc(view->bin_count + 1, sizeof(double));
	if (view->cached == NULL || view->dirty == NULL || view->evicted == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));

	gather_map(view, fd, wish);
	if (figures->dirty != QUIRE_UNKNOWN && figures->dirty + figures->writing + figures->evicted != 0)
		gather_shares(view, fd);
}

static void gather_mappers(struct file_view *view, int fd)
{
	struct quire_mapper mapper = { .size = sizeof(mapper) };
	struct quire_mappers *mappers;

	if (quire_mappers_open(fd, &mappers) < 0)
		return;
	view->mappers_asked = true;
	while (quire_mappers_next(mappers, &mapper) == 1) {
		view->mappers = allocate(view->mappers, view->mapper_count + 1, sizeof(mapper));
		view->mappers[view->mapper_count++] = mapper;
	}
	view->mappers_hidden = quire_mappers_hidden(mappers);
	quire_mappers_close(mappers);
}

/* Asked, or unasked for people where it is quick: below 30 ms. */
static void gather_folios(struct file_view *view, int fd, const struct view_wish *wish)
{
	const struct quire_presence *figures = &view->figures;
	bool quick = wish->mappers && figures->cached <= FOLIOS_UNASKED_PAGES;

	view->folios_asked = wish->folios;
	view->folios.size = sizeof(view->folios);
	if (figures->pages != 0 && (wish->folios || quick))
		view->placed = quire_folios_read(fd, 0, QUIRE_UNKNOWN, &view->folios) == 0;
}

static int gather_figures(struct file_view *view, int fd, bool ready)
{
	struct quire_presence *figures = &view->figures;
	int r = quire_presence_read(fd, 0, QUIRE_UNKNOWN, 0, figures);
	bool cheap = figures->cached != QUIRE_UNKNOWN && figures->pages <= READY_UNASKED_PAGES;

	view->ready_why = figures->why;
	if (r < 0 || figures->ready != QUIRE_UNKNOWN)
		return r;
	if (figures->cached == 0) {
		figures->ready = 0;
		return 0;
	}
	if (ready || cheap) {
		r = quire_presence_read(fd, 0, QUIRE_UNKNOWN, QUIRE_PRESENCE_READY, figures);
		view->ready_why = figures->why;
	} else if (figures->cached != QUIRE_UNKNOWN) {
		view->ready_why = "not asked: it takes 30 ns a page; --ready asks";
	}
	return r;
}

void view_gather(struct file_view *view, const char *path, const struct view_wish *wish)
{
	int fd = -1;

	*view = (struct file_view){ .path = path, .figures = { .size = sizeof(view->figures) } };
	view->error = quire_presence_open(AT_FDCWD, path, &fd);
	if (view->error == 0)
		view->error = gather_figures(view, fd, wish->ready);
	if (view->error < 0)
		snprintf(view->error_text, sizeof(view->error_text), "%s", quire_error_text());
	else if (wish->bins != 0 || wish->runs)
		gather_picture(view, fd, wish);
	if (view->error == 0)
		gather_folios(view, fd, wish);
	if (view->error == 0 && wish->mappers)
		gather_mappers(view, fd);
	if (fd >= 0)
		close(fd);
}

void view_done(struct file_view *view)
{
	free(view->cached);
	free(view->dirty);
	free(view->evicted);
	free(view->runs);
	free(view->mappers);
}

enum status status_worse(enum status a, enum status b)
{
	static const enum status order[] = { STATUS_USAGE, STATUS_NOT_FOUND, STATUS_FORBIDDEN, STATUS_SYSTEM,
		STATUS_FAILURE, STATUS_PARTLY };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return STATUS_OK;
}

enum status view_status(const struct file_view *view)
{
	const struct quire_presence *figures = &view->figures;

	if (view->error != 0)
		return status_of(view->error);
	if (figures->cached == QUIRE_UNKNOWN || figures->dirty == QUIRE_UNKNOWN ||
		figures->evicted == QUIRE_UNKNOWN)
		return STATUS_FORBIDDEN;
	/* What was asked for, and could not be known. */
	if (figures->ready == QUIRE_UNKNOWN && figures->why[0] != '\0')
		return STATUS_FORBIDDEN;
	if (view->folios_asked && view->placed &&
		(view->folios.folios_why[0] != '\0' || view->folios.nodes_why[0] != '\0'))
		return STATUS_FORBIDDEN;
	return view->run_count == QUIRE_UNKNOWN ? STATUS_FORBIDDEN : STATUS_OK;
}
