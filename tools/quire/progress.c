/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "screen.h"

/* Shorter waits need no explanation; more often than ten times a second nobody can read. */
enum { GAUGE_CELLS = 20, GAUGE_FRAME = 3 };

static const double quiet_seconds = 1.0, redraw_seconds = 0.1;

static struct {
	struct screen screen;
	bool wanted;
	bool shown;
	bool running;
	const char *what;
	char note[160];
	uint64_t total;
	bool bytes;
	double began;
	double drawn;
} progress;

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
	progress.began = now_seconds();
	progress.drawn = 0;
	progress.running = true;
}

static struct text amount(uint64_t n)
{
	return progress.bytes ? text_bytes(n) : text_count(n);
}

/* Everything but the gauge; brief 1: without the total, 2: and without the time that is left. */
static void compose(char *line, size_t room, uint64_t done, double elapsed, int brief)
{
	double rate = (double)done / elapsed;
	size_t n = (size_t)snprintf(line, room, "%s", amount(done).s);

	if (progress.total != 0 && brief < 1)
		n += (size_t)snprintf(line + n, room - n, " of %s", amount(progress.total).s);
	n += (size_t)snprintf(line + n, room - n, "  %s/s", amount((uint64_t)rate).s);
	if (progress.total > done && done > 0 && brief < 2)
		n += (size_t)snprintf(line + n, room - n, "  ETA %s",
			text_seconds((double)(progress.total - done) / rate).s);
	if (progress.note[0] != '\0')
		(void)snprintf(line + n, room - n, "  %s", progress.note);
}

/* On one line, or redrawing it would fill the screen: the gauge goes first, then the total, then the time left. */
static void draw(uint64_t done, double elapsed)
{
	size_t width = progress.screen.width - 1 - strlen(progress.what) - 1;
	bool gauge;
	char line[320];

	compose(line, sizeof(line), done, elapsed, 0);
	gauge = progress.total != 0 && strlen(line) + GAUGE_CELLS + GAUGE_FRAME <= width;
	for (int brief = 1; brief <= 2 && strlen(line) > width; brief++)
		compose(line, sizeof(line), done, elapsed, brief);
	fprintf(stderr, "\r\033[K%s ", progress.what);
	if (gauge) {
		draw_gauge(&progress.screen, INK_PRESENT, GAUGE_CELLS, (double)done / (double)progress.total);
		fputc(' ', stderr);
	}
	fprintf(stderr, "%.*s", (int)width, line);
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
	t = now_seconds();
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
