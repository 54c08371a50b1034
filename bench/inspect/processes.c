/* SPDX-License-Identifier: Apache-2.0 */
/* bench/inspect/processes.c - a process with 50,000 mappings, against pmap -X; the whole page cache; doctor. */
#include <signal.h>
#include <unistd.h>

#include "inspect/command.h"

enum { MAPPINGS = 50000 };

/* Every second page has another permission, so that no two mappings merge; one page each is touched. */
static pid_t start_process(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	bench_must(pipe(ready) == 0, "no pipe");
	pid = fork();
	if (pid == 0) {
		char *at = mmap(NULL, (size_t)MAPPINGS * 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (at == MAP_FAILED)
			_exit(1);
		for (size_t i = 0; i < MAPPINGS; i++)
			at[i * 4096] = 1;
		for (size_t i = 0; i < MAPPINGS; i += 2)
			if (mprotect(at + i * 4096, 4096, PROT_READ) != 0)
				_exit(1);
		(void)!write(ready[1], "x", 1);
		(void)pause();
		_exit(0);
	}
	bench_must(read(ready[0], &byte, 1) == 1, "50,000 mappings are not allowed: vm.max_map_count");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* What whoever prints these figures must at least do: have the kernel write them. */
static void floor_of(const char *name, pid_t pid, const char *file, struct command *pmap)
{
	struct bench_pairs pairs;
	char path[64];
	struct command cat = { { "cat", path } };

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	bench_figure(name, command_pairs(&cat, pmap, bench_quick() ? 1 : 5, NULL, NULL, &pairs), "x pmap -X");
}

static void mappings(void)
{
	pid_t child = start_process();
	char pid[16];
	struct command full = { { NULL, "maps", "--all", pid } },
		       summary = { { NULL, "maps", "--summary", pid } };
	struct command json = { { NULL, "maps", "--json", pid } }, pmap = { { "pmap", "-X", pid } };
	struct bench_pairs pairs;
	int n = bench_quick() ? 3 : 21; /* pmap takes one to two seconds */

	(void)snprintf(pid, sizeof(pid), "%d", child);
	bench_must(command_number(&json, "\"mappings\"") >= MAPPINGS, "mappings are missing");
	(void)command_pairs(&full, &pmap, n, NULL, NULL, &pairs);
	bench_goal("inspect.maps.full", pairs.ratio, &pairs);
	floor_of("inspect.maps.full.floor", child, "smaps", &pmap);
	(void)command_pairs(&summary, &pmap, n, NULL, NULL, &pairs);
	bench_goal("inspect.maps.summary", pairs.ratio, &pairs);
	floor_of("inspect.maps.summary.floor", child, "smaps_rollup", &pmap);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

static double real_behind(const char *text, const char *word)
{
	const char *at = strstr(text, word);

	bench_must(at != NULL, word);
	return strtod(at + strlen(word) + 2, NULL);
}

/* The first walk reads inodes from the disk; the second finds them, and is what counts. */
static void whole_machine(void)
{
	static char text[OUTPUT_MAX];
	struct command ours = { { NULL, "presence", "--system", "--json", "--top", "1" } };
	struct bench_pairs pairs = { .n = bench_quick() ? 2 : 3, .spread = 0 };
	double best = 1e9, named = 0;

	(void)command_run(&ours, NULL);
	for (int i = 0; i < pairs.n; i++) {
		double each;

		(void)command_run(&ours, text);
		each = real_behind(text, "\"seconds\"") * 1e6 /
			real_behind(strstr(text, "\"sums\""), "\"files\"");
		best = each < best ? each : best;
		named = real_behind(text, "\"explained\"");
	}
	bench_goal("inspect.system.file", best, &pairs);
	bench_goal("inspect.system.named", named, &pairs);
}

static void doctor(void)
{
	struct command ours = { { NULL, "doctor", "/" } };
	struct bench_pairs pairs;

	(void)command_pairs(&ours, &ours, bench_quick() ? 9 : 21, NULL, NULL, &pairs);
	bench_goal("inspect.doctor", pairs.ours_ns / 1e6, &pairs);
}

int main(void)
{
	mappings();
	whole_machine();
	doctor();
	return 0;
}
