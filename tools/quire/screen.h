/* SPDX-License-Identifier: Apache-2.0 */
/*
 * screen.h - text for people: words in colour, numbers with units, bars and strips, tables.
 *
 * Colour is only ever said twice: what a colour means, a letter, a height or a word means too. Into a pipe goes plain
 * text of 80 columns.
 */
#ifndef QUIRE_TOOL_SCREEN_H
#define QUIRE_TOOL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

/** Where text goes and what may be written there. */
struct screen {
	FILE *out;
	unsigned int width; /* columns: of the terminal, of $COLUMNS, or 80 */
	bool terminal;
	bool color;
	bool unicode; /* blocks and braille; else ASCII */
};

/** What a colour stands for (the palette of Okabe and Ito, which colour-blind people can tell apart). */
enum ink {
	INK_PLAIN,
	INK_STRONG,  /* bold */
	INK_FAINT,   /* grey: absent, or less important */
	INK_PRESENT, /* blue */
	INK_DIRTY,   /* orange */
	INK_PROBLEM, /* vermillion */
	INK_GOOD,    /* bluish green: also huge pages */
	INK_SWAPPED, /* reddish purple */
};

void screen_open(struct screen *screen, FILE *out, enum when color, bool ascii);

/* printf in one ink. */
void say(struct screen *screen, enum ink ink, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same as a paragraph: broken between words at the width, every line indented; ends the line. */
void say_paragraph(struct screen *screen, enum ink ink, unsigned int indent, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A paragraph that hangs on its mark: "  ok  words and more words", with the lines below starting under "words". */
void say_item(struct screen *screen, enum ink mark_ink, const char *mark, enum ink ink, const char *format,
	...) __attribute__((format(printf, 5, 6)));

/* " next  quire sum FILE": the last line of a screen; a name from the world comes as text_operand(). */
void say_next(struct screen *screen, const char *what, const char *command, ...)
	__attribute__((format(printf, 3, 4)));

/* A bar of so many cells, filled from the left: |####      |, in eighths of a cell. */
void draw_gauge(struct screen *screen, enum ink ink, unsigned int cells, double fraction);

/* One cell a level (0 to 1): height where there is Unicode, density in ASCII. A level above 0 is never blank. */
void draw_strip(struct screen *screen, enum ink ink, const double *levels, size_t count);

/* The same in what a line of a narrow terminal has beside so many columns: then each cell is the mean of some levels. */
void draw_strip_beside(
	struct screen *screen, unsigned int columns, enum ink ink, const double *levels, size_t count);

/* Eight bins a character (two columns of four, read down, then right); a bin is a dot when its level is above 0 and at
 * least this. ASCII has no such letter and shows the mean of eight. */
void draw_braille(struct screen *screen, enum ink ink, const double *levels, size_t count, double least);

/** A short text by value: say(s, INK_PLAIN, "%s", text_bytes(n).s); lives until the end of the full expression. */
struct text {
	char s[32];
};

struct text text_bytes(uint64_t bytes);          /* 213.4 MiB */
struct text text_count(uint64_t count);          /* 1,234,567 */
struct text text_seconds(double seconds);        /* 1.25 s, 38 ms, 4.1 us */
struct text text_speed(double bytes_per_second); /* 1.53 GB/s */
struct text text_percent(double fraction);       /* 64 %, <1 %, >99 % */

/** A name from the world, made safe for a terminal: control characters and invalid UTF-8 as \n, \x1b ... */
struct shown_name {
	char s[512];
};

struct shown_name text_name(const char *name);

/* The same of any length, as a sentence with names from the world in it. */
void put_safe(FILE *out, const char *text);

/* text_name() of any length; allocated. */
char *text_path(const char *path);

/* A path as one word of a command that can be typed as it stands, whatever is in the name; allocated. */
char *text_operand(const char *path);

/* Cuts a path in its middle to so many columns (8 at least); false when it was no longer. */
bool text_cut(char *text, size_t columns);

/* Columns that UTF-8 text takes on a terminal. */
size_t text_columns(const char *text, size_t bytes);

/* Bytes of the character that text begins with; 0 when that is no UTF-8, or the end. */
size_t utf8_length(const char *text);

/** Rows and columns, laid out at the end. */
struct table;

enum {
	COLUMN_LEFT = 0,
	COLUMN_RIGHT = 1,
	COLUMN_WRAP = 2, /* sentences, broken between words */
	/* Names are never broken, and into a pipe they go whole. On a terminal a long one is cut in its middle: */
	COLUMN_PATH = 4, /* the last column: to what the others leave */
	COLUMN_NAME = 8, /* any other: to the line, which it then has for itself */
};

struct column {
	const char *title;
	unsigned int flags;
};

struct table *table_new(struct screen *screen, const struct column *columns, size_t count);

/* The next cell of the current row; a row ends when it is full. */
void table_cell(struct table *table, enum ink ink, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints and frees; true when names were cut. */
bool table_print(struct table *table);

#endif
