/* SPDX-License-Identifier: Apache-2.0 */
/*
 * count.c - counts 16 bytes at a time.
 *
 * A word begins where a word byte follows another byte; so the bytes are compared with themselves, one to the left, and
 * no state is carried from byte to byte. Under the older rule a chunk with bytes that are neither white nor printable
 * goes the slow way: they are rare in text.
 */
#include "count.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* 255 steps fit into counters of one byte; a chunk is the grain of the slow way too, so it is small. */
enum { LANES = 16, STEPS = 16, CHUNK = LANES * STEPS };

static bool is_white(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_printable(uint8_t c)
{
	return c > ' ' && c < 0x7f;
}

static void add_slowly(struct counts *counts, const uint8_t *p, size_t length)
{
	bool in_word = counts->in_word;

	for (size_t i = 0; i < length; i++) {
		bool white = is_white(p[i]);

		counts->lines += p[i] == '\n';
		if (white) {
			in_word = false;
		} else if (!counts->printable_only || is_printable(p[i])) {
			counts->words += !in_word;
			in_word = true;
		}
	}
	counts->in_word = in_word;
}

static bytes16 load(const uint8_t *p)
{
	bytes16 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Lanes are 0xff where it is true, 0 where it is not. */
static bytes16 white16(bytes16 v)
{
	return (bytes16)(v == ' ') | (bytes16)((v - '\t') < 5);
}

static bytes16 odd16(bytes16 v)
{
	return ~white16(v) & (bytes16)((v - '!') >= 0x7f - '!');
}

/* Neighbours are added to sums of 16 bits, and a multiplication adds up the four of a word in its topmost. */
static uint64_t lanes_sum(bytes16 v)
{
	const uint64_t even = 0x00ff00ff00ff00ff, ones = 0x0001000100010001;
	uint64_t halves[2], pairs;

	memcpy(halves, &v, sizeof(halves));
	pairs = (halves[0] & even) + (halves[0] >> 8 & even) + (halves[1] & even) + (halves[1] >> 8 & even);
	return pairs * ones >> 48;
}

static bool any_lane(bytes16 v)
{
	uint64_t halves[2];

	memcpy(halves, &v, sizeof(halves));
	return (halves[0] | halves[1]) != 0;
}

/* One chunk; p[-1] must be readable. False when it has to go the slow way; nothing was counted then. */
static bool add_chunk(struct counts *counts, const uint8_t *p)
{
	bytes16 lines = { 0 }, words = { 0 }, odd = { 0 };

	for (int i = 0; i < STEPS; i++, p += LANES) {
		bytes16 v = load(p), before = load(p - 1);

		lines -= (bytes16)(v == '\n');
		words -= ~white16(v) & white16(before);
		odd |= odd16(v);
	}
	if (counts->printable_only && any_lane(odd))
		return false;
	counts->lines += lanes_sum(lines);
	counts->words += lanes_sum(words);
	counts->in_word = !is_white(p[-1]);
	return true;
}

void counts_add(struct counts *counts, const void *bytes, size_t length)
{
	const uint8_t *p = bytes, *end = p + length;

	counts->bytes += length;
	if (length == 0)
		return;
	/* the first byte has none before it */
	add_slowly(counts, p++, 1);
	while (end - p >= CHUNK) {
		/* after an odd byte, "are we in a word?" and "was the last byte white?" may differ */
		if (counts->in_word == is_white(p[-1]) || !add_chunk(counts, p))
			add_slowly(counts, p, CHUNK);
		p += CHUNK;
	}
	add_slowly(counts, p, (size_t)(end - p));
}

/* Reads all that wc prints. */
static int run_wc(char *const argv[], int input, char *text, size_t room)
{
	char *environment[] = { (char[]){ "LC_ALL=C" }, (char[]){ "PATH=/usr/local/bin:/usr/bin:/bin" },
		NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], r, status = 0;
	ssize_t n;
	size_t used = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (input >= 0)
		posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	r = -posix_spawnp(&pid, "wc", &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	while (r == 0 && used < room - 1 && (n = read(ends[0], text + used, room - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(ends[0]);
	if (r == 0 && (waitpid(pid, &status, 0) != pid || status != 0))
		r = -EIO;
	return r;
}

int counts_by_wc(const char *path, struct counts *counts)
{
	char *argv[] = { (char[]){ "wc" }, (char[]){ "-lwc" }, NULL };
	char text[128], *rest = text;
	int r, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	r = run_wc(argv, fd, text, sizeof(text));
	close(fd);
	if (r < 0)
		return r;
	*counts = (struct counts){ 0 };
	counts->lines = strtoull(rest, &rest, 10);
	counts->words = strtoull(rest, &rest, 10);
	counts->bytes = strtoull(rest, &rest, 10);
	return rest == text ? -EPROTO : 0;
}

int wc_is_printable_only(bool *printable_only)
{
	static const char probe[] = "\001 \xe2\x80\x94\n";
	char *argv[] = { (char[]){ "wc" }, (char[]){ "-w" }, NULL };
	char text[64];
	int r, ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	r = write(ends[1], probe, sizeof(probe) - 1) < 0 ? -errno : 0;
	close(ends[1]);
	if (r == 0)
		r = run_wc(argv, ends[0], text, sizeof(text));
	close(ends[0]);
	if (r == 0)
		*printable_only = strtoul(text, NULL, 10) == 0;
	return r;
}
