/* SPDX-License-Identifier: Apache-2.0 */
/* bench/inspect/command.h - whole commands, ours and the peers', from start to exit. */
#ifndef BENCH_INSPECT_COMMAND_H
#define BENCH_INSPECT_COMMAND_H

#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bench.h"

extern char **environ;

enum { ARGUMENTS_MAX = 10, OUTPUT_MAX = 1 << 16, AGREE_TURNS = 10 };

/* A command line; the first word NULL means our command. */
struct command {
	const char *words[ARGUMENTS_MAX];
};

/* Runs it; the time in ns. The first bytes of its output go to text, when that is not NULL. */
static inline double command_run(const struct command *command, char *text)
{
	union {
		const char *const *given;
		char *const *wanted; /* posix_spawn does not change them */
	} words;
	const char *list[ARGUMENTS_MAX];
	posix_spawn_file_actions_t actions;
	int output = memfd_create("output", MFD_CLOEXEC), status = -1;
	uint64_t began;
	ssize_t n;
	pid_t pid;

	memcpy(list, command->words, sizeof(list));
	if (list[0] == NULL)
		list[0] = getenv("QUIRE_COMMAND");
	bench_must(list[0] != NULL, "QUIRE_COMMAND is not set");
	words.given = list;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, output, 1);
	began = bench_ns();
	bench_must(posix_spawnp(&pid, list[0], &actions, NULL, words.wanted, environ) == 0, list[0]);
	bench_must(waitpid(pid, &status, 0) == pid, "no such child");
	began = bench_ns() - began;
	(void)posix_spawn_file_actions_destroy(&actions);
	if (text != NULL) {
		n = pread(output, text, OUTPUT_MAX - 1, 0);
		text[n < 0 ? 0 : n] = '\0';
	}
	close(output);
	bench_must(WIFEXITED(status) && WEXITSTATUS(status) != 127, list[0]);
	return (double)began;
}

/* The number behind a word of a command's output. */
static inline uint64_t command_number(const struct command *command, const char *word)
{
	static char text[OUTPUT_MAX];
	const char *at;

	(void)command_run(command, text);
	at = strstr(text, word);
	bench_must(at != NULL, word);
	at += strlen(word);
	at += strspn(at, " \t\":");
	return strtoull(at, NULL, 10);
}

/*
 * Both must count the same pages before a figure counts. Pages come and go where memory is short or somebody drops the
 * caches, and a peer takes seconds for a large file, so ours is asked before and after it: when these two differ, the
 * machine moved, and settle, which may be NULL, puts back what is missing. A peer that differs while ours stands still
 * counts other pages, and that is an end.
 */
static inline void command_agree(const struct command *ours, const char *our_word, uint64_t unit,
	const struct command *theirs, const char *their_word, void (*settle)(void *), void *argument)
{
	for (int i = 0; i < AGREE_TURNS; i++) {
		uint64_t before = command_number(ours, our_word) / unit;
		uint64_t other = command_number(theirs, their_word);
		uint64_t after = command_number(ours, our_word) / unit;

		if (before == other && other == after)
			return;
		fprintf(stderr, "bench: ours counts %llu pages, %s %llu, ours again %llu\n",
			(unsigned long long)before, theirs->words[0], (unsigned long long)other,
			(unsigned long long)after);
		bench_must(before != after, "a peer counts other pages");
		if (settle != NULL)
			settle(argument);
	}
	bench_must(false, "pages come and go all the time: measure when the machine is quiet");
}

/* Median of theirs over ours, of so many interleaved pairs: above 1 we are faster. before runs ahead of each command. */
static inline double command_pairs(const struct command *ours, const struct command *theirs, int n,
	void (*before)(void *), void *argument, struct bench_pairs *pairs)
{
	double ratio[64], mine[64], other[64];

	for (int i = 0; i < n; i++) {
		double time[2];

		for (int k = 0; k < 2; k++) {
			int which = (i + k) % 2;

			if (before != NULL)
				before(argument);
			time[which] = command_run(which == 0 ? ours : theirs, NULL);
		}
		ratio[i] = time[1] / time[0];
		mine[i] = time[0];
		other[i] = time[1];
	}
	*pairs = (struct bench_pairs){
		.ours_ns = bench_quantile(mine, n, 0.5),
		.theirs_ns = bench_quantile(other, n, 0.5),
		.ratio = bench_quantile(ratio, n, 0.5),
		.n = n,
	};
	pairs->spread = (bench_quantile(ratio, n, 0.75) - bench_quantile(ratio, n, 0.25)) / pairs->ratio;
	return pairs->ratio;
}

/* A folder of our own on a disk; removed by the caller. */
static inline void command_folder(char *path, size_t bytes)
{
	(void)snprintf(
		path, bytes, "%s/quire-bench-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	bench_must(mkdtemp(path) != NULL, "no scratch folder: set TMPDIR");
}

#endif
