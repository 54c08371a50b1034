/* SPDX-License-Identifier: Apache-2.0 */
/* verb-tour.c - quire tour: every promise shown on real files of this machine, every figure checked. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <quire/quire.h>

#include "clock.h"
#include "scratch.h"
#include "tour.h"

/* In the order of the walk; later floors add theirs before the last. */
static const struct station *const stations[] = {
	&station_gather,
	&station_count,
	&station_truncate,
	&station_share,
	&station_maps,
	&station_cache,
	&station_commit,
	&station_channel,
};

enum { STATIONS = sizeof(stations) / sizeof(stations[0]) };

bool tour_for_people(const struct tour *tour)
{
	return !tour->call->json;
}

void tour_say(struct tour *tour, const char *format, ...)
{
	va_list list;
	char text[1024];

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (tour_for_people(tour))
		say_paragraph(tour->screen, INK_PLAIN, 2, "%s", text);
	fflush(tour->screen->out);
}

bool tour_check(struct tour *tour, bool right, const char *format, ...)
{
	json_t *object = json_add_object(tour->checks);
	va_list list;
	char text[1024];

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	json_put_bool(object, "ok", right);
	json_put_text(object, "what", text);
	tour->checked++;
	tour->failed += !right;
	if (tour_for_people(tour)) {
		say_item(tour->screen, right ? INK_GOOD : INK_PROBLEM, right ? "  ok  " : "  WRONG  ",
			right ? INK_PLAIN : INK_STRONG, "%s", text);
		fflush(tour->screen->out);
	}
	return right;
}

struct tour_faults tour_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (struct tour_faults){ .minor = (uint64_t)usage.ru_minflt, .major = (uint64_t)usage.ru_majflt };
}

static const struct station *station_find(const char *name)
{
	for (unsigned int i = 0; i < STATIONS; i++)
		if (strcmp(stations[i]->name, name) == 0)
			return stations[i];
	return NULL;
}

static bool station_wanted(const struct tour *tour, const struct station *station)
{
	const struct option_list *list = &tour->settings->stations;

	if (station == &station_gather) /* all others look at what it gathers */
		return tour->corpus == NULL;
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->words[i], station->name) == 0)
			return true;
	return list->count == 0;
}

static bool stations_exist(const struct tour *tour)
{
	const struct option_list *list = &tour->settings->stations;

	for (size_t i = 0; i < list->count; i++) {
		if (station_find(list->words[i]) != NULL)
			continue;
		complain(
			"there is no station '%s'; there are: gather, count, truncate, share, maps, cache, commit, channel",
			text_name(list->words[i]).s);
		return false;
	}
	return true;
}

/* --corpus FILE: its own, never written to. */
static int adopt_corpus(struct tour *tour)
{
	const char *path = tour->settings->corpus;
	struct stat st;

	if (path == NULL)
		return 0;
	if (stat(path, &st) != 0) {
		complain("%s: %s", text_name(path).s, strerror(errno));
		return -errno;
	}
	if (S_ISDIR(st.st_mode)) /* to be gathered from */
		return 0;
	if (!S_ISREG(st.st_mode) || st.st_size == 0) {
		complain("%s: the tour needs a regular file that is not empty, or a directory",
			text_name(path).s);
		return -EINVAL;
	}
	tour->corpus = path;
	tour->corpus_bytes = (uint64_t)st.st_size;
	return 0;
}

static void print_title(struct tour *tour, unsigned int number, const struct station *station)
{
	if (!tour_for_people(tour))
		return;
	say(tour->screen, INK_STRONG, "\n%u  %s\n", number, station->title);
	fflush(tour->screen->out);
}

static int run_station(struct tour *tour, const struct station *station, json_t *array)
{
	json_t *object = json_add_object(array);
	double began = now_seconds();
	unsigned int failed = tour->failed;
	int r;

	json_put_text(object, "name", station->name);
	tour->checks = json_put_array(object, "checks");
	r = station->run(tour, object);
	json_put_real(object, "seconds", now_seconds() - began);
	json_put_bool(object, "ok", r == 0 && tour->failed == failed);
	return r;
}

static int run_stations(struct tour *tour, json_t *array)
{
	unsigned int number = 0;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < STATIONS; i++) {
		if (!station_wanted(tour, stations[i]))
			continue;
		print_title(tour, ++number, stations[i]);
		r = run_station(tour, stations[i], array);
	}
	return r;
}

static void print_end(struct tour *tour, double seconds)
{
	struct screen *screen = tour->screen;

	say(screen, INK_PLAIN, "\n");
	if (tour->failed == 0)
		say(screen, INK_GOOD, "All %u figures are right.", tour->checked);
	else
		say(screen, INK_PROBLEM, "%u of %u figures are WRONG.", tour->failed, tour->checked);
	say(screen, INK_PLAIN, " The tour took %s.\n", text_seconds(seconds).s);
	if (tour->settings->keep && scratch_directory()[0] != '\0')
		say(screen, INK_PLAIN, "The files are kept in %s\n", text_name(scratch_directory()).s);
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "which way to a file's bytes is fastest?", QUIRE_PROGRAM " sum --by all FILE");
	say_next(screen, "what this machine allows, and why not", QUIRE_PROGRAM " features");
	say_next(screen, "everything else", QUIRE_PROGRAM " help");
	say_next(screen, "the truncated file, in your own program", "examples/guarded-reader.c");
}

static enum status finish(struct tour *tour, json_t *document, int r, double seconds)
{
	json_put_real(document, "seconds", seconds);
	json_put_count(document, "checked", tour->checked);
	json_put_count(document, "failed", tour->failed);
	json_put_bool(document, "ok", r == 0 && tour->failed == 0);
	if (!tour_for_people(tour))
		json_print(tour->call, json_incref(document));
	else if (r == 0)
		print_end(tour, seconds);
	json_decref(document);
	if (tour->failed != 0)
		return STATUS_FAILURE;
	return r == -EINVAL ? STATUS_USAGE : status_of(r);
}

static enum status run_tour(struct call *call)
{
	struct tour tour = { .call = call, .screen = &call->screen, .settings = call->settings };
	json_t *document, *array;
	double began = now_seconds();
	int r;

	if (!stations_exist(&tour))
		return STATUS_USAGE;
	r = scratch_open();
	if (r < 0)
		return fail(STATUS_SYSTEM, "cannot make a temporary directory (TMPDIR says where): %s",
			strerror(-r));
	document = json_document("tour");
	array = json_put_array(document, "stations");
	if (tour_for_people(&tour))
		say(tour.screen, INK_STRONG, "A tour of Quire %s, on real files of this machine.\n",
			quire_version());
	r = adopt_corpus(&tour);
	if (r == 0)
		r = run_stations(&tour, array);
	scratch_close(tour.settings->keep);
	return finish(&tour, document, r, now_seconds() - began);
}

static const char *const description[] = {
	"Shows on real files what the library promises, and checks every figure it prints.",
	"gather: collects files of this machine, text first, into one corpus of at least 200 MiB in a temporary "
	"directory ($TMPDIR). count: maps it and counts lines, words and bytes through the pointers; the figures must be "
	"those of wc(1), and page faults and speed stand beside those of read(2). truncate: cuts a mapped copy while a thread "
	"reads it, shows the error, the intact neighbours, and the repair at the same pointers. share: the same memory in a "
	"child, and in a stranger that was sent the descriptor. maps: each mapping's line in /proc/self/maps, in words. "
	"cache: the corpus through a page cache of an eighth of its size, scanned and read at random, with what /proc says it "
	"takes, and a bit that flips on the way from the disk. "
	"commit: a bank whose process is killed while it commits; what was acknowledged is there. channel: the corpus goes to "
	"another process through shared memory, its rate stands beside what two processors can hand over at all; then writers "
	"are killed, and everything that they had published arrives.",
	"Ends in less than a minute and removes what it made, also when it is interrupted.",
	NULL,
};

static const struct verb_option options[] = {
	{ "corpus", 'c', OPTION_TEXT, offsetof(struct tour_settings, corpus), "PATH",
		"a file to use, or a directory to gather from, instead; it is only read", NULL },
	{ "station", 's', OPTION_LIST, offsetof(struct tour_settings, stations), "NAME",
		"only this station: gather, count, truncate, share, maps, cache, commit or channel; may be given again",
		NULL },
	{ "keep", 'k', OPTION_FLAG, offsetof(struct tour_settings, keep), NULL,
		"leave the temporary directory", NULL },
	{ 0 },
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " tour", "all of it" },
	{ QUIRE_PROGRAM " tour --station truncate", "only the file that is cut under its reader" },
	{ QUIRE_PROGRAM " tour --corpus data.bin --json", "on a file of one's own, for a program" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FAILURE, "a figure was wrong; the sentence says which" },
	{ STATUS_NOT_FOUND, "there is no such PATH" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire(1)", "quire-sum(1)", "quire_map(3)", "quire_map_repair(3)",
	NULL };

const struct verb verb_tour = {
	.name = "tour",
	.summary = "see it work on the files of this machine",
	.usage = "",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.settings_bytes = sizeof(struct tour_settings),
	.run = run_tour,
};
