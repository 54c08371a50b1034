/* SPDX-License-Identifier: Apache-2.0 */
/* screen.c - words in colour, bars and strips. */
#include "screen.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* 24-bit colours of the palette; the bright sky blue stands in for its dark blue, which no dark terminal shows. */
static const char *const ink_codes[] = {
	[INK_PLAIN] = "",
	[INK_STRONG] = "\033[1m",
	[INK_FAINT] = "\033[2m",
	[INK_PRESENT] = "\033[38;2;86;180;233m",
	[INK_DIRTY] = "\033[38;2;230;159;0m",
	[INK_PROBLEM] = "\033[38;2;213;94;0m",
	[INK_GOOD] = "\033[38;2;0;158;115m",
	[INK_SWAPPED] = "\033[38;2;204;121;167m",
};

/* Most terminals without 24-bit colour have the palette of 256. */
static const char *const ink_codes_256[] = {
	[INK_PLAIN] = "",
	[INK_STRONG] = "\033[1m",
	[INK_FAINT] = "\033[2m",
	[INK_PRESENT] = "\033[38;5;74m",
	[INK_DIRTY] = "\033[38;5;214m",
	[INK_PROBLEM] = "\033[38;5;166m",
	[INK_GOOD] = "\033[38;5;36m",
	[INK_SWAPPED] = "\033[38;5;175m",
};

static const char *ink_code(enum ink ink)
{
	const char *depth = getenv("COLORTERM");
	bool full = depth != NULL && (strcmp(depth, "truecolor") == 0 || strcmp(depth, "24bit") == 0);

	return full ? ink_codes[ink] : ink_codes_256[ink];
}

static bool set_in_environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0';
}

static unsigned int width_of(const struct screen *screen)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (columns != NULL) {
		unsigned long n = strtoul(columns, NULL, 10);

		if (n >= 20 && n <= 1000)
			return (unsigned int)n;
	}
	if (screen->terminal && ioctl(fileno(screen->out), TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
		return size.ws_col;
	return 80;
}

void screen_open(struct screen *screen, FILE *out, enum when color, bool ascii)
{
	const char *term = getenv("TERM");
	bool dumb = term != NULL && strcmp(term, "dumb") == 0;

	screen->out = out;
	screen->terminal = isatty(fileno(out)) == 1;
	screen->width = width_of(screen);
	screen->unicode = !ascii && !dumb && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	screen->color = color == WHEN_ALWAYS ||
		(color == WHEN_AUTO && screen->terminal && !dumb && !set_in_environment("NO_COLOR"));
}

static void ink_on(struct screen *screen, enum ink ink)
{
	if (screen->color && ink != INK_PLAIN)
		fputs(ink_code(ink), screen->out);
}

static void ink_off(struct screen *screen, enum ink ink)
{
	if (screen->color && ink != INK_PLAIN)
		fputs("\033[0m", screen->out);
}

void say(struct screen *screen, enum ink ink, const char *format, ...)
{
	va_list list;

	ink_on(screen, ink);
	va_start(list, format);
	vfprintf(screen->out, format, list);
	va_end(list);
	ink_off(screen, ink);
}

/* Bytes of the next word; a number and its unit ("2.00 MiB", "64 %)") are one word, for a line that ends in between is hard
 * to read. */
static size_t word_length(const char *text)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "%", "s", "ms", "us",
		"ns", "GB/s", "MB/s", "kB/s" };
	size_t bytes = strcspn(text, " \n");
	const char *next = text + bytes + 1;
	size_t unit = text[bytes] == ' ' ? strcspn(next, " \n.,:;()") : 0;

	if (unit == 0 || bytes == 0 || text[bytes - 1] < '0' || text[bytes - 1] > '9')
		return bytes;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i]) == unit && memcmp(next, units[i], unit) == 0)
			return bytes + 1 + strcspn(next, " \n");
	return bytes;
}

/* The first line begins where the cursor is, at column `indent` already. */
static void put_words(struct screen *screen, unsigned int indent, const char *text)
{
	size_t column = indent;

	while (*(text += strspn(text, " \n")) != '\0') {
		size_t bytes = word_length(text);
		size_t columns = text_columns(text, bytes);

		if (column != indent && column + 1 + columns > screen->width) {
			fprintf(screen->out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column != indent) {
			fputc(' ', screen->out);
			column++;
		}
		fwrite(text, 1, bytes, screen->out);
		column += columns;
		text += bytes;
	}
}

__attribute__((format(printf, 4, 0))) static void put_paragraph(
	struct screen *screen, enum ink ink, unsigned int indent, const char *format, va_list list)
{
	char *text;

	if (vasprintf(&text, format, list) < 0)
		return;
	ink_on(screen, ink);
	put_words(screen, indent, text);
	ink_off(screen, ink);
	fputc('\n', screen->out);
	free(text);
}

void say_paragraph(struct screen *screen, enum ink ink, unsigned int indent, const char *format, ...)
{
	va_list list;

	fprintf(screen->out, "%*s", (int)indent, "");
	va_start(list, format);
	put_paragraph(screen, ink, indent, format, list);
	va_end(list);
}

void say_item(
	struct screen *screen, enum ink mark_ink, const char *mark, enum ink ink, const char *format, ...)
{
	va_list list;

	say(screen, mark_ink, "%s", mark);
	va_start(list, format);
	put_paragraph(screen, ink, (unsigned int)text_columns(mark, strlen(mark)), format, list);
	va_end(list);
}

void say_next(struct screen *screen, const char *what, const char *command, ...)
{
	size_t columns, column;
	va_list list;
	char *text;
	int bytes;

	va_start(list, command);
	bytes = vasprintf(&text, command, list);
	va_end(list);
	if (bytes < 0)
		return;
	columns = text_columns(text, (size_t)bytes);
	column = 8 + columns < 38 ? 40 : 11 + columns;
	say(screen, INK_FAINT, "  next  ");
	say(screen, INK_STRONG, "%s", text);
	if (column + text_columns(what, strlen(what)) <= screen->width) {
		say(screen, INK_PLAIN, "%*s%s\n", (int)(column - 8 - columns), "", what);
	} else {
		say(screen, INK_PLAIN, "\n");
		say_paragraph(screen, INK_PLAIN, 12, "%s", what);
	}
	free(text);
}

static const char *const eighths_across[] = { " ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" };
static const char *const eighths_up[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
static const char density[] = " .:-=+*#%@";

static double clamp(double level)
{
	return level > 1 ? 1 : level > 0 ? level : 0; /* NaN is 0 */
}

/* A step from 0 to most; only nothing is 0, and only everything is most. */
static unsigned int step_of(double level, unsigned int most)
{
	unsigned int step = (unsigned int)(clamp(level) * most + 0.5);

	if (step == 0 && level > 0)
		return 1;
	if (step == most && level < 1)
		return most - 1;
	return step;
}

void draw_gauge(struct screen *screen, enum ink ink, unsigned int cells, double fraction)
{
	unsigned int steps = step_of(fraction, cells * 8);

	fputc('|', screen->out);
	ink_on(screen, ink);
	for (unsigned int i = 0; i < cells; i++) {
		unsigned int step = steps > i * 8 ? steps - i * 8 : 0;

		if (step > 8)
			step = 8;
		fputs(screen->unicode       ? eighths_across[step]
				: step >= 4 ? "#"
				: step > 0  ? "-"
					    : " ",
			screen->out);
	}
	ink_off(screen, ink);
	fputc('|', screen->out);
}

static void put_level(struct screen *screen, double level)
{
	if (screen->unicode)
		fputs(eighths_up[step_of(level, 8)], screen->out);
	else
		fputc(density[step_of(level, sizeof(density) - 2)], screen->out);
}

void draw_strip(struct screen *screen, enum ink ink, const double *levels, size_t count)
{
	ink_on(screen, ink);
	for (size_t i = 0; i < count; i++)
		put_level(screen, levels[i]);
	ink_off(screen, ink);
}

static double mean(const double *levels, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += clamp(levels[i]);
	return count == 0 ? 0 : sum / (double)count;
}

void draw_strip_beside(
	struct screen *screen, unsigned int columns, enum ink ink, const double *levels, size_t count)
{
	size_t cells = screen->width > columns + 8 ? screen->width - columns : 8;

	cells = cells < count ? cells : count;
	ink_on(screen, ink);
	for (size_t i = 0; i < cells; i++) {
		size_t from = i * count / cells, to = (i + 1) * count / cells;

		put_level(screen, mean(levels + from, to - from));
	}
	ink_off(screen, ink);
}

/* U+2800 and up; the dots of one cell are numbered 1 2 3 7 down the left column and 4 5 6 8 down the right. */
static void put_braille(FILE *out, const double *levels, size_t count, double least)
{
	static const unsigned char dots[] = { 0x01, 0x02, 0x04, 0x40, 0x08, 0x10, 0x20, 0x80 };
	unsigned int cell = 0;

	for (size_t i = 0; i < count; i++)
		if (levels[i] > 0 && levels[i] >= least)
			cell |= dots[i];
	fprintf(out, "%c%c%c", 0xe2, 0xa0 | (int)(cell >> 6), 0x80 | (int)(cell & 0x3f));
}

void draw_braille(struct screen *screen, enum ink ink, const double *levels, size_t count, double least)
{
	ink_on(screen, ink);
	for (size_t i = 0; i < count; i += 8) {
		size_t n = count - i < 8 ? count - i : 8;

		if (screen->unicode)
			put_braille(screen->out, levels + i, n, least);
		else
			put_level(screen, mean(levels + i, n));
	}
	ink_off(screen, ink);
}
