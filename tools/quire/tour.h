/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tour.h - what a station of the tour is, and what it can use.
 *
 * A station shows one promise on real data and checks every figure it shows. It is one file tour-NAME.c with one
 * struct station, listed in verb-tour.c. It speaks through tour_say(), tour_check() and the JSON object it is given,
 * and needs not ask for whom: people hear nothing in JSON, and machines no prose.
 */
#ifndef QUIRE_TOOL_TOUR_H
#define QUIRE_TOOL_TOUR_H

#include <time.h>

#include "json.h"
#include "verbs.h"

struct tour_settings {
	const char *corpus;
	bool keep;
	struct option_list stations;
};

/** The tour while it goes on. */
struct tour {
	struct call *call;
	struct screen *screen;
	const struct tour_settings *settings;
	json_t *checks; /* of the current station */
	unsigned int checked;
	unsigned int failed;

	/* set by the station gather, or by --corpus FILE */
	const char *corpus;
	uint64_t corpus_bytes;
};

/** One stop. */
struct station {
	const char *name;
	const char *title;

	/* 0, or the negative errno of what kept it from being shown, after a complain(). A figure that is wrong is no
	 * such error, but a failed check. */
	int (*run)(struct tour *tour, json_t *object);
};

extern const struct station station_gather;
extern const struct station station_count;
extern const struct station station_truncate;
extern const struct station station_share;
extern const struct station station_maps;
extern const struct station station_cache;
extern const struct station station_commit;
extern const struct station station_channel;

/* A paragraph for people. */
void tour_say(struct tour *tour, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "  ok  sentence", or "  WRONG  sentence": counted, and in the JSON too. Returns right. */
bool tour_check(struct tour *tour, bool right, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Is anybody watching? Pictures are for people. */
bool tour_for_people(const struct tour *tour);

/* Seconds of the monotonic clock. */

/* Page faults of this process so far. */
struct tour_faults {
	uint64_t minor;
	uint64_t major;
};

struct tour_faults tour_faults(void);

#endif
