/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/lines.h - kernel text, line by line, whatever bytes are in it.
 *
 * /proc/PID/maps escapes a newline in a path, so a line is a line; everything else stands there raw. A process that
 * dies while it is read ends the text early, or makes a read fail with -ESRCH: both are an end.
 */
#ifndef INSPECT_LINES_H
#define INSPECT_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LINES_BYTES =
		64 << 10, /* a path of 4096 bytes can be escaped to four times that; the rest is for speed */
};

/* A text that is being read. */
struct lines {
	int fd;
	int error; /* of the read that ended it, 0 at a true end */
	size_t at;
	size_t filled;
	char text[LINES_BYTES];
};

int lines_open(struct lines *lines, int directory, const char *path);
void lines_close(struct lines *lines);

/* The next line without its newline; NULL at the end. Valid until the next call. A longer line comes in pieces. */
char *lines_next(struct lines *lines, size_t *length);

/* Numbers at *at, which moves behind them; blanks before them are skipped. */
uint64_t read_hex(const char **at);
uint64_t read_decimal(const char **at);

/* The field called "Key:" of a text such as meminfo, in bytes (the kernel writes kB); QUIRE_UNKNOWN without it. */
uint64_t field_bytes(const char *text, const char *key);

#endif
