/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - numbers with units, and names that are safe to show. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "screen.h"
#include "verbs.h"

struct text text_bytes(uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	struct text text = { 0 };
	int unit = -1;

	if (bytes < 1024) {
		snprintf(text.s, sizeof(text.s), "%u B", (unsigned int)bytes);
		return text;
	}
	/* 1023.95 would be printed as 1024.0 */
	while (unit < 5 && (unit < 0 || value >= 1023.95)) {
		value /= 1024;
		unit++;
	}
	snprintf(text.s, sizeof(text.s), "%.*f %s", value < 9.995 ? 2 : 1, value, units[unit]);
	return text;
}

struct text text_count(uint64_t count)
{
	struct text text = { 0 };
	char digits[24];
	size_t length = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
	char *to = text.s;

	for (size_t i = 0; i < length; i++) {
		if (i != 0 && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

struct text text_seconds(double seconds)
{
	struct text text = { 0 };

	if (seconds >= 100)
		snprintf(text.s, sizeof(text.s), "%.0f min %02.0f s", floor(seconds / 60),
			floor(fmod(seconds, 60)));
	else if (seconds >= 0.9995)
		snprintf(text.s, sizeof(text.s), "%.2f s", seconds);
	else if (seconds >= 0.0009995)
		snprintf(text.s, sizeof(text.s), "%.3g ms", seconds * 1e3);
	else
		snprintf(text.s, sizeof(text.s), "%.3g us", seconds * 1e6);
	return text;
}

struct text text_speed(double bytes_per_second)
{
	struct text text = { 0 };

	if (!(bytes_per_second > 0))
		snprintf(text.s, sizeof(text.s), "-");
	else if (bytes_per_second >= 1e9)
		snprintf(text.s, sizeof(text.s), "%.2f GB/s", bytes_per_second / 1e9);
	else if (bytes_per_second >= 1e6)
		snprintf(text.s, sizeof(text.s), "%.0f MB/s", bytes_per_second / 1e6);
	else
		snprintf(text.s, sizeof(text.s), "%.0f kB/s", bytes_per_second / 1e3);
	return text;
}

struct text text_percent(double fraction)
{
	struct text text = { 0 };

	if (fraction > 0 && fraction < 0.01)
		snprintf(text.s, sizeof(text.s), "<1 %%");
	else if (fraction > 0.99 && fraction < 1)
		snprintf(text.s, sizeof(text.s), ">99 %%");
	else
		snprintf(text.s, sizeof(text.s), "%.0f %%", fraction * 100);
	return text;
}

size_t utf8_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t length = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;

	if (s[0] == '\0' || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, and what lies above U+10FFFF */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

static bool is_control(const char *text, size_t length)
{
	const unsigned char *s = (const unsigned char *)text;

	if (length == 1)
		return s[0] < 0x20 || s[0] == 0x7f;
	if (length == 2) /* C1 controls, U+0080 to U+009F, move the cursor of some terminals too */
		return s[0] == 0xc2 && s[1] < 0xa0;
	/* What has no width or turns the writing around can make one name look like another: U+200B to U+200F, U+2028 to
	 * U+202E, U+2060 to U+2069, U+FEFF. */
	if (length == 3 && s[0] == 0xe2 && s[1] == 0x80)
		return (s[2] >= 0x8b && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae);
	if (length == 3 && s[0] == 0xe2 && s[1] == 0x81)
		return s[2] >= 0xa0 && s[2] <= 0xa9;
	return length == 3 && s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf;
}

static int escape(char *to, size_t room, unsigned char byte)
{
	static const char letters[] = "\nn\tt\rr";
	const char *at = strchr(letters, byte);

	if (at != NULL && byte < 0x20 && byte != '\0')
		return snprintf(to, room, "\\%c", at[1]);
	return snprintf(to, room, "\\x%02x", byte);
}

struct shown_name text_name(const char *name)
{
	struct shown_name shown;
	size_t used = 0;

	while (*name != '\0' && used < sizeof(shown.s) - 8) {
		size_t length = utf8_length(name);

		if (length == 0 || is_control(name, length)) {
			used += (size_t)escape(shown.s + used, sizeof(shown.s) - used, (unsigned char)*name);
			name++;
			continue;
		}
		memcpy(shown.s + used, name, length);
		used += length;
		name += length;
	}
	memcpy(shown.s + used, *name != '\0' ? "..." : "", *name != '\0' ? 4 : 1);
	return shown;
}

/* Columns that one character takes on a terminal, and its bytes: none for an accent that joins the letter before it, two for a
 * Chinese one. What the locale does not know takes one. */
static size_t character_columns(const char *text, size_t *bytes)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t length = utf8_length(text);
	uint32_t code = s[0];
	int columns;

	*bytes = length == 0 ? 1 : length;
	if (length < 2)
		return 1;
	code &= 0x7fU >> length;
	for (size_t i = 1; i < length; i++)
		code = code << 6 | (s[i] & 0x3f);
	columns = wcwidth((wchar_t)code);
	return columns < 0 ? 1 : (size_t)columns;
}

size_t text_columns(const char *text, size_t bytes)
{
	size_t columns = 0, length;

	for (size_t i = 0; i < bytes; i += length)
		columns += character_columns(text + i, &length);
	return columns;
}

/* The first letter that has at least so many columns before it. */
static char *after_columns(char *text, size_t columns)
{
	size_t before = 0, length;

	for (; *text != '\0'; text += length) {
		size_t own = character_columns(text, &length);

		if (before >= columns && own != 0)
			break;
		before += own;
	}
	return text;
}

/* The name behind the last slash says most, so it stays whole where it leaves room for the beginning of the way to it. */
bool text_cut(char *text, size_t columns)
{
	const char *slash = strrchr(text, '/');
	size_t all = text_columns(text, strlen(text)), room = columns - 3;
	size_t tail = slash == NULL ? 0 : text_columns(slash, strlen(slash));
	char *gap, *rest;

	if (all <= columns)
		return false;
	if (tail < room / 2 || tail > room - room / 4)
		tail = room / 2;
	gap = after_columns(text, room - tail);
	if (text_columns(text, (size_t)(gap - text)) > room - tail) /* its last letter has two */
		gap = after_columns(text, room - tail - 1);
	rest = after_columns(text, all - tail);
	memset(gap, '.', 3); /* more than three columns are cut */
	memmove(gap + 3, rest, strlen(rest) + 1);
	return true;
}

char *text_path(const char *path)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (out != NULL) {
		put_safe(out, path);
		fclose(out);
	}
	if (text == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	return text;
}

/* Writes what a shell reads as that text: within '...', or, where something must not reach the terminal as it is, $'...'. */
static void put_quoted(FILE *out, const char *text, bool escaped)
{
	char bytes[8];
	size_t length;

	fputs(escaped ? "$'" : "'", out);
	for (; *text != '\0'; text += length) {
		length = utf8_length(text);
		if (length == 0 || is_control(text, length)) {
			escape(bytes, sizeof(bytes), (unsigned char)*text);
			fputs(bytes, out);
			length = 1;
			continue;
		}
		if (escaped && (*text == '\'' || *text == '\\'))
			fputc('\\', out);
		else if (*text == '\'')
			fputs("'\\'", out);
		fwrite(text, 1, length, out);
	}
	fputc('\'', out);
}

char *text_operand(const char *path)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./,:+@%=-";
	bool quoted = path[0] == '\0', escaped = false;
	char *text = NULL;
	size_t bytes, length;
	FILE *out = open_memstream(&text, &bytes);

	for (const char *at = path; *at != '\0'; at += length == 0 ? 1 : length) {
		length = utf8_length(at);
		escaped = escaped || length == 0 || is_control(at, length);
		quoted = quoted || (length < 2 && strchr(plain, *at) == NULL);
	}
	if (out != NULL) {
		fputs(path[0] == '-' ? "./" : "", out); /* no option */
		if (quoted || escaped)
			put_quoted(out, path, escaped);
		else
			fputs(path, out);
		fclose(out);
	}
	if (text == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	return text;
}

void put_safe(FILE *out, const char *text)
{
	char escaped[8];
	size_t length;

	for (; *text != '\0'; text += length) {
		length = utf8_length(text);
		if (length != 0 && !is_control(text, length)) {
			fwrite(text, 1, length, out);
			continue;
		}
		escape(escaped, sizeof(escaped), (unsigned char)*text);
		fputs(escaped, out);
		length = 1;
	}
}
