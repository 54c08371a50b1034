/* SPDX-License-Identifier: Apache-2.0 */
/* presence-snapshot.c - quire presence --save and --diff: what came into memory and what went, page by page. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file-view.h"
#include "presence.h"

#define PAGE 4096U

static const struct view_wish exact = { .bins = 64, .runs = true };

enum status presence_save(struct call *call, const char *to)
{
	json_t *document = json_document("presence");
	json_t *files = json_put_array(document, "files");
	enum status status = STATUS_OK;
	struct file_view view;
	int failed;

	for (unsigned int i = 0; i < call->operand_count; i++) {
		view_gather(&view, call->operands[i], &exact);
		view_put(json_add_object(files), &view);
		if (view.error != 0)
			complain("%s", view.error_text);
		status = status_worse(status, view_status(&view));
		view_done(&view);
	}
	failed = json_dump_file(document, to, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	json_decref(document);
	if (failed != 0)
		return fail(STATUS_SYSTEM, "%s cannot be written: %s", to, strerror(errno));
	if (!call->json) {
		say(&call->screen, INK_STRONG, "The maps of %u %s are in %s.\n\n", call->operand_count,
			call->operand_count == 1 ? "file" : "files", text_name(to).s);
		say_next(&call->screen, "see what changed since",
			QUIRE_PROGRAM " presence --diff FILE PATH...");
	}
	return status;
}

/** What differs between a saved map and now. */
struct difference {
	uint64_t came;
	uint64_t went;
	uint64_t stayed;
	size_t bins;
	double *came_bins;
	double *went_bins;
	uint64_t pages;
};

static void add_part(double *bins, const struct difference *d, uint64_t from, uint64_t to)
{
	double scale = (double)d->bins / (double)d->pages;

	for (size_t bin = (size_t)((double)from * scale); bin < d->bins && (double)bin < (double)to * scale;
		bin++) {
		double low = (double)from * scale > (double)bin ? (double)from * scale : (double)bin;
		double high = (double)to * scale < (double)bin + 1 ? (double)to * scale : (double)bin + 1;

		bins[bin] += high - low;
	}
}

/* Two maps, run against run: [at, end) is alike in both. */
static void account(struct difference *d, uint64_t at, uint64_t end, bool was, bool is)
{
	if (was && is)
		d->stayed += end - at;
	if (is && !was) {
		d->came += end - at;
		add_part(d->came_bins, d, at, end);
	}
	if (was && !is) {
		d->went += end - at;
		add_part(d->went_bins, d, at, end);
	}
}

static uint64_t number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void compare_maps(struct difference *d, const struct file_view *view, const json_t *saved)
{
	size_t old = 0, old_count = json_array_size(saved);
	uint64_t old_end = 0, at = 0;
	bool was = false;

	for (size_t i = 0; i < view->runs_used; i++) {
		const struct quire_run *run = &view->runs[i];
		uint64_t end = run->page + run->pages;

		while (at < end) {
			uint64_t to;

			if (at >= old_end && old < old_count) {
				const json_t *entry = json_array_get(saved, old++);

				old_end = (number_of(entry, "offset") + number_of(entry, "length")) / PAGE;
				was = json_is_true(json_object_get(entry, "cached"));
				continue;
			}
			was = at < old_end && was; /* the file has grown: what is new was not there */
			to = at < old_end && old_end < end ? old_end : end;
			account(d, at, to, was, (run->state & QUIRE_PAGE_CACHED) != 0);
			at = to;
		}
	}
}

static const json_t *find_saved(const json_t *document, const char *path)
{
	const json_t *files = json_object_get(document, "files");

	for (size_t i = 0; i < json_array_size(files); i++) {
		const json_t *file = json_array_get(files, i);
		const char *name = json_string_value(json_object_get(file, "path"));

		if (name != NULL && strcmp(name, path) == 0)
			return file;
	}
	return NULL;
}

static void show_difference(struct screen *screen, const char *path, const struct difference *d, bool braille)
{
	(void)braille;
	say_paragraph(screen, INK_STRONG, 0, "%s: %s came into memory, %s went, %s stayed.",
		text_name(path).s, text_pages(d->came).s, text_pages(d->went).s, text_pages(d->stayed).s);
	say(screen, INK_PLAIN, "\n  came    |");
	draw_strip(screen, INK_PRESENT, d->came_bins, d->bins);
	say(screen, INK_PLAIN, "|\n  went    |");
	draw_strip(screen, INK_DIRTY, d->went_bins, d->bins);
	say(screen, INK_PLAIN, "|\n");
}

static void put_difference(json_t *array, const char *path, const struct difference *d)
{
	json_t *object = json_add_object(array);

	json_put_name(object, "path", path);
	json_put_count(object, "came", d->came * PAGE);
	json_put_count(object, "went", d->went * PAGE);
	json_put_count(object, "stayed", d->stayed * PAGE);
}

static enum status compare_file(struct call *call, const char *path, const json_t *before, json_t *out)
{
	const json_t *saved = find_saved(before, path);
	struct difference d = { .bins = call->screen.width - 12 };
	struct file_view view;
	enum status status;

	if (saved == NULL || !json_is_array(json_object_get(saved, "runs")))
		return fail(STATUS_NOT_FOUND, "%s has no map in the saved file", path);
	view_gather(&view, path, &exact);
	status = view_status(&view);
	if (view.error != 0 || view.run_count == QUIRE_UNKNOWN) {
		complain("%s", view.error != 0 ? view.error_text : view.map_why);
		view_done(&view);
		return status;
	}
	d.pages = view.figures.pages == 0 ? 1 : view.figures.pages;
	d.bins = d.bins < d.pages ? d.bins : (size_t)d.pages;
	d.came_bins = calloc(d.bins + 1, sizeof(double));
	d.went_bins = calloc(d.bins + 1, sizeof(double));
	if (d.came_bins != NULL && d.went_bins != NULL) {
		compare_maps(&d, &view, json_object_get(saved, "runs"));
		if (call->json)
			put_difference(out, path, &d);
		else
			show_difference(&call->screen, path, &d, false);
	}
	free(d.came_bins);
	free(d.went_bins);
	view_done(&view);
	return status;
}

enum status presence_diff(struct call *call, const char *from)
{
	enum status status = STATUS_OK;
	json_error_t error;
	json_t *before = json_load_file(from, 0, &error);
	json_t *document, *files;

	if (before == NULL)
		return fail(access(from, F_OK) != 0 ? STATUS_NOT_FOUND : STATUS_SYSTEM,
			"%s is no saved map: %s", from, error.text);
	document = json_document("presence");
	files = json_put_array(document, "changes");
	for (unsigned int i = 0; i < call->operand_count; i++)
		status = status_worse(status, compare_file(call, call->operands[i], before, files));
	if (call->json)
		json_print(call, document);
	else
		json_decref(document);
	json_decref(before);
	return status;
}
