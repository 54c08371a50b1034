/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "screen.h"

/* Shorter waits need no explanation; more often than ten times a second nobody can read. */
static const double quiet_seconds = 1.0, redraw_seconds = 0.1;

static struct {
	struct screen screen;
	bool wanted;
	bool shown;
	bool running;
	const char *what;
	char note[80];
	uint64_t total;
	bool bytes;
	double began;
	double drawn;
} progress;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void progress_choose(int when, bool unicode)
{
	screen_open(&progress.screen, stderr, WHEN_AUTO, !unicode);
	progress.wanted = when > 0 || (when == 0 && progress.screen.terminal);
}

void progress_begin(const char *what, uint64_t total, bool bytes)
{
	progress.what = what;
	progress.note[0] = '\0';
	progress.total = total;
	progress.bytes = bytes;
	progress.began = now();
	progress.drawn = 0;
	progress.running = true;
}

static struct text amount(uint64_t n)
{
	return progress.bytes ? text_bytes(n) : text_count(n);
}

static void draw(uint64_t done, double elapsed)
{
	double rate = (double)done / elapsed;

	fprintf(stderr, "\r\033[K%s ", progress.what);
	if (progress.total != 0) {
		draw_gauge(&progress.screen, INK_PRESENT, 20, (double)done / (double)progress.total);
		fprintf(stderr, " %s of %s", amount(done).s, amount(progress.total).s);
	} else {
		fputs(amount(done).s, stderr);
	}
	fprintf(stderr, "  %s/s", amount((uint64_t)rate).s);
	if (progress.total > done && done > 0)
		fprintf(stderr, "  ETA %s", text_seconds((double)(progress.total - done) / rate).s);
	if (progress.note[0] != '\0')
		fprintf(stderr, "  %s", progress.note);
	fflush(stderr);
	progress.shown = true;
}

void progress_note(const char *note)
{
	snprintf(progress.note, sizeof(progress.note), "%s", note);
}

void progress_at(uint64_t done)
{
	double t;

	if (!progress.wanted || !progress.running)
		return;
	t = now();
	if (t - progress.began < quiet_seconds || t - progress.drawn < redraw_seconds)
		return;
	progress.drawn = t;
	draw(done, t - progress.began);
}

void progress_clear(void)
{
	if (!progress.shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress.shown = false;
}

void progress_end(void)
{
	progress_clear();
	progress.running = false;
}
