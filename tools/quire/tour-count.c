/* SPDX-License-Identifier: Apache-2.0 */
/* tour-count.c - lines, words and bytes through the pointers of a mapping; read(2) and wc(1) must find the same. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "clock.h"
#include "count.h"
#include "file-view.h"
#include "tour.h"

enum { BUFFER = 256 << 10 };

/** One way to count, and what it cost. */
struct run {
	const char *name;
	struct counts counts;
	double seconds;
	struct tour_faults faults;
};

static int count_mapped(const char *path, struct counts *counts)
{
	struct quire_map *map;
	int r = quire_map_file(NULL, path, QUIRE_READ, &map);

	if (r < 0) {
		complain("%s", quire_error_text());
		return r;
	}
	counts_add(counts, quire_map_address(map), quire_map_length(map));
	r = quire_map_error(map, NULL); /* were zeros counted in place of missing pages? */
	if (r < 0)
		complain("%s", quire_error_text());
	quire_unmap(map);
	return r;
}

static int count_read(const char *path, struct counts *counts)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *buffer = malloc(BUFFER);
	ssize_t n = fd < 0 || buffer == NULL ? -1 : 0;

	while (n >= 0 && (n = read(fd, buffer, BUFFER)) > 0)
		counts_add(counts, buffer, (size_t)n);
	if (fd >= 0)
		close(fd);
	free(buffer);
	if (n < 0)
		complain("%s cannot be read", text_name(path).s);
	return n < 0 ? -EIO : 0;
}

static int measure_once(struct run *run, const char *path, int count(const char *, struct counts *))
{
	struct tour_faults before = tour_faults(), after;
	double began = now_seconds();
	int r = count(path, &run->counts);

	run->seconds = now_seconds() - began;
	after = tour_faults();
	run->faults.minor = after.minor - before.minor;
	run->faults.major = after.major - before.major;
	return r;
}

/* What is over in a second is measured three times, and the best counts: the first pays for what others did. */
static int measure(struct run *run, const char *path, int count(const char *, struct counts *))
{
	const struct run fresh = *run;
	int r = measure_once(run, path, count);

	for (int i = 0; r == 0 && i < 2 && run->seconds < 1; i++) {
		struct run another = fresh;

		r = measure_once(&another, path, count);
		if (r == 0 && another.seconds < run->seconds)
			*run = another;
	}
	return r;
}

static bool equal(const struct counts *a, const struct counts *b)
{
	return a->lines == b->lines && a->words == b->words && a->bytes == b->bytes;
}

static void put_run(json_t *object, const struct run *run, bool faults)
{
	json_t *own = json_put_object(object, run->name);

	json_put_count(own, "lines", run->counts.lines);
	json_put_count(own, "words", run->counts.words);
	json_put_count(own, "bytes", run->counts.bytes);
	json_put_real(own, "seconds", run->seconds);
	if (!faults)
		return;
	json_put_count(own, "minor_faults", run->faults.minor);
	json_put_count(own, "major_faults", run->faults.major);
}

static void show_run(struct tour *tour, const struct run *run, double best, bool faults)
{
	double speed = (double)run->counts.bytes / run->seconds;

	say(tour->screen, INK_PLAIN, "  %-5s", run->name);
	draw_gauge(tour->screen, INK_PRESENT, 16, speed / best);
	say(tour->screen, INK_PLAIN, " %9s %9s", text_speed(speed).s, text_seconds(run->seconds).s);
	if (faults)
		say(tour->screen, INK_FAINT, "  faults %s minor, %s major", text_count(run->faults.minor).s,
			text_count(run->faults.major).s);
	say(tour->screen, INK_PLAIN, "\n");
}

/* Pointers beside read; wc takes its time, so its line comes when it is done. */
static void show_both(struct tour *tour, const struct run *mapped, const struct run *plain)
{
	double best = (double)mapped->counts.bytes /
		(mapped->seconds < plain->seconds ? mapped->seconds : plain->seconds);

	if (!tour_for_people(tour))
		return;
	show_run(tour, mapped, best, true);
	show_run(tour, plain, best, true);
	fflush(tour->screen->out);
}

static void show_wc(struct tour *tour, const struct run *mapped, const struct run *wc)
{
	if (tour_for_people(tour))
		show_run(tour, wc, (double)mapped->counts.bytes / mapped->seconds, false);
}

static void check_wc(struct tour *tour, const struct run *mapped, const struct run *wc, int error)
{
	if (error == -ENOENT) {
		tour_say(tour, "This machine has no wc to compare with.");
		return;
	}
	tour_check(tour, error == 0 && equal(&mapped->counts, &wc->counts),
		"wc says the same: %s lines, %s words, %s bytes.", text_count(wc->counts.lines).s,
		text_count(wc->counts.words).s, text_count(wc->counts.bytes).s);
}

/* A file that others move in and out of memory is looked at until it keeps still for a moment. */
static bool gather_steady(struct file_view *view, const char *path)
{
	const struct view_wish wish = { .bins = 64, .runs = true };
	struct quire_presence after = { .size = sizeof(after) };

	for (int i = 0; i < 10; i++) {
		int fd;

		view_gather(view, path, &wish);
		if (view->error != 0 || view->run_count == QUIRE_UNKNOWN ||
			quire_presence_open(AT_FDCWD, path, &fd) < 0)
			return false;
		if (quire_presence_read(fd, 0, QUIRE_UNKNOWN, 0, &after) < 0)
			after.cached = QUIRE_UNKNOWN;
		close(fd);
		if (after.cached == view->figures.cached)
			return true;
		if (i < 9)
			view_done(view);
	}
	return false;
}

/* What the counting has left behind: the file in the page cache, as quire presence shows it. */
static void show_presence(struct tour *tour, json_t *object)
{
	struct file_view view;
	bool steady = gather_steady(&view, tour->corpus);
	uint64_t pages = 0;

	for (size_t i = 0; i < view.runs_used; i++)
		pages += (view.runs[i].state & QUIRE_PAGE_CACHED) != 0 ? view.runs[i].pages : 0;
	put_pages(object, "cached", view.figures.cached, view.figures.why);
	if (view.run_count == QUIRE_UNKNOWN) {
		tour_say(tour, "What of it is in memory is not known here: %s.", view.map_why);
	} else if (tour_for_people(tour)) {
		say(tour->screen, INK_PLAIN, "  cached   |");
		draw_strip_beside(tour->screen, 13, INK_PRESENT, view.cached, view.bin_count);
		say(tour->screen, INK_PLAIN, "|\n");
	}
	if (steady && view.figures.cached != QUIRE_UNKNOWN)
		tour_check(tour, pages == view.figures.cached,
			"In memory now: %s of it; the kernel's count and the exact map agree (quire presence).",
			text_bytes(bytes_of_pages(view.figures.cached, view.figures.file_bytes)).s);
	view_done(&view);
}

static int run_count(struct tour *tour, json_t *object)
{
	struct run runs[3] = { { .name = "mmap" }, { .name = "read" }, { .name = "wc" } };
	struct run *mapped = &runs[0], *plain = &runs[1], *wc = &runs[2];
	int r, wc_error = wc_is_printable_only(&mapped->counts.printable_only);

	plain->counts.printable_only = mapped->counts.printable_only;
	tour_say(tour,
		"Counting lines, words and bytes of %s: through pointers into the mapped file, and through read "
		"with a buffer of 256 KiB.",
		text_bytes(tour->corpus_bytes).s);
	r = measure(mapped, tour->corpus, count_mapped);
	if (r == 0)
		r = measure(plain, tour->corpus, count_read);
	if (r < 0)
		return r;
	show_both(tour, mapped, plain);
	if (wc_error == 0)
		wc_error = measure_once(wc, tour->corpus, counts_by_wc);
	if (wc_error == 0)
		show_wc(tour, mapped, wc);
	for (int i = 0; i < (wc_error == 0 ? 3 : 2); i++)
		put_run(object, &runs[i], i < 2);
	if (wc_error == -ENOENT)
		json_put_unknown(object, "wc", "this machine has no wc");
	tour_check(tour, mapped->counts.bytes == tour->corpus_bytes, "Every byte was counted: %s.",
		text_count(mapped->counts.bytes).s);
	tour_check(tour, equal(&mapped->counts, &plain->counts), "Pointers and read agree on every figure.");
	check_wc(tour, mapped, wc, wc_error);
	show_presence(tour, object);
	return 0;
}

const struct station station_count = {
	.name = "count",
	.title = "A mapped file is memory: lines, words and bytes, equal to wc's",
	.run = run_count,
};
