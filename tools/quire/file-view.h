/* SPDX-License-Identifier: Apache-2.0 */
/* file-view.h - one file's page cache, gathered once and shown as text or as JSON. */
#ifndef QUIRE_TOOL_FILE_VIEW_H
#define QUIRE_TOOL_FILE_VIEW_H

#include <quire/quire.h>

#include "json.h"
#include "verbs.h"

/** What of a file's view to gather, besides its figures. */
struct view_wish {
	unsigned int bins; /* of the picture; 0: none */
	bool ready;        /* tell ready pages from those being read, however long that takes */
	bool runs;         /* the exact map, run by run */
	bool folios;       /* in what pieces it lies, and on which nodes; however long that takes */
	bool mappers;      /* which processes map the file */
};

/** One file. */
struct file_view {
	const char *path;
	int error; /* it could not be opened: a negative errno */
	char error_text[512];
	struct quire_presence figures;
	const char *ready_why; /* why .figures.ready is not known */

	size_t bin_count;
	double *cached; /* share of each bin */
	double *dirty;
	double *evicted;
	uint64_t run_count; /* of cached pages; QUIRE_UNKNOWN without a map */
	char map_why[256];
	struct quire_run *runs;
	size_t runs_used;
	size_t runs_room;

	bool placed; /* .folios was read */
	bool folios_asked;
	struct quire_folios folios;

	struct quire_mapper *mappers;
	size_t mapper_count;
	uint64_t mappers_hidden;
	bool mappers_asked;
};

/* Gathers; never fails: what could not be had is said in the view. */
void view_gather(struct file_view *view, const char *path, const struct view_wish *wish);
void view_done(struct file_view *view);

/* How the command ends when this was all. */
enum status view_status(const struct file_view *view);

/* The worse of two: no such file, before not permitted, before anything else. */
enum status status_worse(enum status a, enum status b);

void view_show(struct screen *screen, const struct file_view *view, bool braille);
void view_put(json_t *object, const struct file_view *view);

/* A number of pages as bytes, or null and why. */
void put_pages(json_t *object, const char *name, uint64_t pages, const char *why);

/* An address: a text in hexadecimal, for most readers of JSON know no integers above 2^53. */
void put_address(json_t *object, const char *name, uint64_t address);

/* "4.00 KiB" of so many pages, or "?". */
struct text text_pages(uint64_t pages);

/* Bytes of so many pages of a file, never more than the file has. */
uint64_t bytes_of_pages(uint64_t pages, uint64_t file_bytes);

void *allocate(void *old, size_t count, size_t bytes);

/* What is in the cache for sure: where pages cannot be counted, those that are ready. */
static inline uint64_t sure_pages(const struct quire_presence *figures)
{
	return figures->cached != QUIRE_UNKNOWN ? figures->cached : figures->ready;
}

#endif
