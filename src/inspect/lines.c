/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/lines.h"

#include <fcntl.h>
#include <string.h>

#include "sys/directory.h"
#include "sys/file.h"
#include "sys/proc.h"

int lines_open(struct lines *lines, int directory, const char *path)
{
	int fd = sys_openat(directory, path, O_RDONLY);

	if (fd < 0)
		return fd;
	lines->fd = fd;
	lines->error = 0;
	lines->at = lines->filled = 0;
	return 0;
}

void lines_close(struct lines *lines)
{
	sys_close(lines->fd);
}

/* Moves what is unread to the front and reads behind it; false when nothing more comes or there is no room. */
static bool fill(struct lines *lines)
{
	size_t left = lines->filled - lines->at;
	ssize_t n;

	if (lines->at != 0)
		memmove(lines->text, lines->text + lines->at, left);
	lines->at = 0;
	lines->filled = left;
	if (left == sizeof(lines->text) - 1)
		return false;

	n = sys_read(lines->fd, lines->text + left, sizeof(lines->text) - 1 - left);
	if (n < 0)
		lines->error = (int)n;
	if (n <= 0)
		return false;
	lines->filled += (size_t)n;
	return true;
}

char *lines_next(struct lines *lines, size_t *length)
{
	char *line, *end;
	size_t seen = 0;

	for (;;) {
		line = lines->text + lines->at;
		end = memchr(line + seen, '\n', lines->filled - lines->at - seen);
		if (end != NULL)
			break;
		seen = lines->filled - lines->at;
		if (fill(lines))
			continue;
		if (lines->filled == lines->at)
			return NULL;
		line = lines->text + lines->at;
		end = lines->text + lines->filled;
		break;
	}
	*end = '\0';
	*length = (size_t)(end - line);
	lines->at += *length + 1;
	if (lines->at > lines->filled)
		lines->at = lines->filled;
	return line;
}

static unsigned int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10 : 16;
}

uint64_t read_hex(const char **at)
{
	uint64_t n = 0;
	unsigned int digit;

	while (**at == ' ')
		(*at)++;
	while ((digit = hex_digit(**at)) < 16) {
		n = n << 4 | digit;
		(*at)++;
	}
	return n;
}

uint64_t read_decimal(const char **at)
{
	uint64_t n = 0;

	while (**at == ' ' || **at == '\t')
		(*at)++;
	while (**at >= '0' && **at <= '9')
		n = n * 10 + (uint64_t)(*(*at)++ - '0');
	return n;
}

uint64_t field_bytes(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line != NULL && *line != '\0';) {
		if (strncmp(line, key, length) == 0 && line[length] == ':') {
			const char *at = line + length + 1;

			return read_decimal(&at) << 10;
		}
		line = strchr(line, '\n');
		line = line == NULL ? NULL : line + 1;
	}
	return UINT64_MAX;
}
