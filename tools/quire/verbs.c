/* SPDX-License-Identifier: Apache-2.0 */
/* verbs.c - the table of verbs, and what they all share. */
#include "verbs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

extern const struct verb verb_tour;
extern const struct verb verb_sum;
extern const struct verb verb_stranger;
extern const struct verb verb_presence;
extern const struct verb verb_pages;
extern const struct verb verb_maps;
extern const struct verb verb_pool;
extern const struct verb verb_shm;
extern const struct verb verb_touch;
extern const struct verb verb_evict;
extern const struct verb verb_lock;
extern const struct verb verb_why;
extern const struct verb verb_doctor;
extern const struct verb verb_choose;
extern const struct verb verb_send;
extern const struct verb verb_recv;
extern const struct verb verb_channel;
extern const struct verb verb_region;
extern const struct verb verb_features;
extern const struct verb verb_help;

/* In the order in which a newcomer wants to read them. */
static const struct verb *const verbs[] = {
	&verb_tour,
	&verb_sum,
	&verb_presence,
	&verb_pages,
	&verb_maps,
	&verb_pool,
	&verb_shm,
	&verb_touch,
	&verb_evict,
	&verb_lock,
	&verb_why,
	&verb_doctor,
	&verb_choose,
	&verb_send,
	&verb_recv,
	&verb_channel,
	&verb_region,
	&verb_features,
	&verb_help,
	&verb_stranger,
};

const struct verb *verb_at(unsigned int index)
{
	return index < sizeof(verbs) / sizeof(verbs[0]) ? verbs[index] : NULL;
}

const struct verb *verb_find(const char *name)
{
	const struct verb *verb;

	for (unsigned int i = 0; (verb = verb_at(i)) != NULL; i++)
		if (strcmp(verb->name, name) == 0)
			return verb;
	return NULL;
}

enum { WORD_MAX = 32 };

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's distance, row by row. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[WORD_MAX + 1];
	size_t width = strlen(b);

	if (width > WORD_MAX)
		return WORD_MAX;
	for (unsigned int j = 0; j <= width; j++)
		row[j] = j;
	for (unsigned int i = 0; a[i] != '\0'; i++) {
		unsigned int diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < width; j++) {
			unsigned int above = row[j + 1];

			row[j + 1] = least(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
			diagonal = above;
		}
	}
	return row[width];
}

const struct verb *verb_guess(const char *name)
{
	const struct verb *verb, *best = NULL;
	unsigned int best_distance = 3; /* three wrong letters are another word */

	for (unsigned int i = 0; (verb = verb_at(i)) != NULL; i++) {
		unsigned int d = distance(name, verb->name);

		if (!verb->hidden && d < best_distance && d < strlen(verb->name)) {
			best = verb;
			best_distance = d;
		}
	}
	return best;
}

static char *complaint;

__attribute__((format(printf, 1, 0))) static void complain_list(const char *format, va_list list)
{
	int error = errno; /* callers return what they have just complained of */
	struct screen screen;
	char *text, *safe;

	progress_clear();
	fflush(stdout); /* so that a terminal shows both in the order in which they happened */
	screen_open(&screen, stderr, WHEN_NEVER, false);
	if (vasprintf(&text, format, list) < 0)
		return;
	safe = text_path(text); /* names and the library's sentences may have any bytes */
	if (screen.terminal)
		say_paragraph(&screen, INK_PLAIN, 0, QUIRE_PROGRAM ": %s", safe);
	else
		fprintf(stderr, QUIRE_PROGRAM ": %s\n", safe);
	free(safe);
	if (complaint == NULL)
		complaint = text;
	else
		free(text);
	errno = error;
}

const char *first_complaint(void)
{
	return complaint;
}

void complain(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	complain_list(format, list);
	va_end(list);
}

enum status fail(enum status status, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	complain_list(format, list);
	va_end(list);
	return status;
}

enum status status_of(int error)
{
	switch (error) {
	case 0: return STATUS_OK;
	case -ENOENT:
	case -ENOTDIR:
	case -ESRCH: return STATUS_NOT_FOUND;
	case -EACCES:
	case -EPERM: return STATUS_FORBIDDEN;
	case -EPIPE:
	case -ECONNRESET: return STATUS_PEER_DIED;
	default: return STATUS_SYSTEM;
	}
}
