/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the replayer for programs that know nothing of it: record, replay, report, show. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"
#include "log.h"

enum { USAGE = 64, BROKEN_MAX = 100 };

static const char help[] =
	"crash - what could a power cut have left of this program's files?\n"
	"\n"
	"  crash record --root DIR --log FILE [--fault N:KIND] [--ignore GLOB[:GLOB]] -- PROGRAM [ARGUMENT...]\n"
	"      Runs PROGRAM and records what it does to files below DIR. A line \"begun N\" or \"acked N\" that it writes\n"
	"      to its standard output is a promise. KIND is EIO, ENOSPC, EINTR, SHORT or TWICE; call number N suffers it.\n"
	"\n"
	"  crash replay LOG --check COMMAND [options]\n"
	"      Makes every state the model allows and runs COMMAND with the directory as $1 and what had been promised in\n"
	"      CRASH_ACKED and CRASH_BEGUN. It exits with 0 when all is well, else with the number of what is broken.\n"
	"        --seed N            of the samples (1)\n"
	"        --per-point N       samples of a window too large to exhaust (64)\n"
	"        --exhaust N         windows of so many states are exhausted (4096)\n"
	"        --distinct N        stop after so many distinct states\n"
	"        --violations N      stop after so many violations (8)\n"
	"        --jobs N            processes (2)\n"
	"        --entry-with-file   fsync of a new file makes its name durable, as ext4, xfs and btrfs do\n"
	"        --keep DIR          keep the images of violations there\n"
	"        --state P.I         this state alone\n"
	"\n"
	"  crash report LOG          the recorded operations as text\n"
	"  crash show LOG --state P.I --to DIR    makes one image; the options of replay choose the same state\n"
	"\n"
	"Exit status: 0 all is well, 1 an error, 2 a violation was found, 64 usage.\n"
	"The model, the log and the report are described in docs/crash.md.\n";

/* What the command line said. */
struct words {
	struct crash_options options;
	const char *root, *log, *fault, *ignore, *check, *to;
};

static int bad_usage(const char *why)
{
	(void)fprintf(stderr, "crash: %s; crash --help says how\n", why);
	return USAGE;
}

/* --- record --------------------------------------------------------------------------------------------------------- */

/* The preload stands beside this program. */
static bool preload_path(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 32);
	char *slash;

	if (n < 0)
		return false;
	path[n] = '\0';
	slash = strrchr(path, '/');
	(void)snprintf(slash, 32, "/libcrash-preload.so");
	return access(path, R_OK) == 0;
}

static int record(const struct words *w, char **program)
{
	char preload[PATH_MAX], log[PATH_MAX];
	FILE *f;

	if (!w->root || !w->log || !*program)
		return bad_usage("record needs --root, --log and a program");
	if (!preload_path(preload))
		return bad_usage("libcrash-preload.so is not beside this program");
	/* The recorded program may change directory, and makes the log itself. */
	f = fopen(w->log, "we");
	if (!f || !realpath(w->log, log)) {
		perror(w->log);
		return 1;
	}
	(void)fclose(f);
	(void)unlink(log);
	(void)setenv("LD_PRELOAD", preload, 1);
	(void)setenv("CRASH_ROOT", w->root, 1);
	(void)setenv("CRASH_LOG", log, 1);
	if (w->fault)
		(void)setenv("CRASH_FAULT", w->fault, 1);
	if (w->ignore)
		(void)setenv("CRASH_IGNORE", w->ignore, 1);
	(void)execvp(program[0], program);
	perror(program[0]);
	return 1;
}

/* --- replay --------------------------------------------------------------------------------------------------------- */

static int check_command(void *arg, const char *dir, const struct crash_history *h)
{
	char number[32];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)snprintf(number, sizeof(number), "%" PRIu64, h->acked);
		(void)setenv("CRASH_ACKED", number, 1);
		(void)snprintf(number, sizeof(number), "%" PRIu64, h->begun);
		(void)setenv("CRASH_BEGUN", number, 1);
		(void)execl("/bin/sh", "sh", "-c", (const char *)arg, "crash-check", dir, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		abort();
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	crash_explain("the command died of %s", strsignal(WTERMSIG(status)));
	return BROKEN_MAX;
}

static void print_violations(const struct words *w, const struct crash_log *log, const struct crash_result *r)
{
	char again[PATH_MAX + 300];

	for (uint32_t i = 0; i < r->violation_count && i < 16; i++) {
		const struct crash_violation *v = &r->violations[i];

		(void)snprintf(again, sizeof(again),
			"crash replay %s --check '%s' --seed %" PRIu64
			" --per-point %u --exhaust %u%s --state %u.%u",
			log->path, w->check, w->options.seed, w->options.per_point, w->options.exhaust_max,
			w->options.entry_with_file ? " --entry-with-file" : "", v->point, v->index);
		crash_report(log, v, &w->options, NULL, again);
	}
}

static int replay(const struct words *w, struct crash_log *log)
{
	struct crash_result r;
	int error;

	if (!w->check)
		return bad_usage("replay needs --check");
	error = crash_replay(log, check_command, (void *)(uintptr_t)w->check, &w->options, &r);
	if (error < 0) {
		(void)fprintf(stderr, "crash: %s\n", strerror(-error));
		return 1;
	}
	print_violations(w, log, &r);
	printf("%" PRIu64 " distinct states of %" PRIu64
	       " at %u points, %.0f checks/s, %u violations (seed %" PRIu64 ")\n",
		r.distinct, r.states, r.points, (double)r.checked / r.seconds, r.violation_count,
		w->options.seed);
	return r.violation_count ? 2 : 0;
}

static int show_state(const struct words *w, const struct crash_log *log)
{
	int error;

	if (!w->to || !w->options.only)
		return bad_usage("show needs --state and --to");
	(void)mkdir(w->to, 0777);
	error = crash_show(log, &w->options, w->options.only_point, w->options.only_index, w->to);
	if (error < 0)
		(void)fprintf(stderr, "crash: %s\n",
			error == -ENOENT ? "there is no such state with these options" : strerror(-error));
	return error < 0;
}

static int with_log(const char *what, const struct words *w, const char *path)
{
	struct crash_log log;
	int status;

	if (crash_log_load(&log, path) < 0) {
		(void)fprintf(stderr, "crash: %s\n", log.error);
		return 1;
	}
	if (strcmp(what, "replay") == 0) {
		status = replay(w, &log);
	} else if (strcmp(what, "show") == 0) {
		status = show_state(w, &log);
	} else {
		crash_print_log(&log);
		status = 0;
	}
	crash_log_free(&log);
	return status;
}

/* --- words ---------------------------------------------------------------------------------------------------------- */

static void take_state(struct crash_options *o, const char *text)
{
	char *rest;

	o->only = true;
	o->only_point = (uint32_t)strtoul(text, &rest, 10);
	o->only_index = *rest == '.' ? (uint32_t)strtoul(rest + 1, NULL, 10) : 0;
}

static bool take_word(struct words *w, int word)
{
	uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

	switch (word) {
	case 'r': w->root = optarg; break;
	case 'l': w->log = optarg; break;
	case 'f': w->fault = optarg; break;
	case 'i': w->ignore = optarg; break;
	case 'c': w->check = optarg; break;
	case 't': w->to = optarg; break;
	case 's': w->options.seed = number; break;
	case 'p': w->options.per_point = (uint32_t)number; break;
	case 'x': w->options.exhaust_max = (uint32_t)number; break;
	case 'd': w->options.distinct_max = number; break;
	case 'v': w->options.violations_max = (uint32_t)number; break;
	case 'j': w->options.jobs = (uint32_t)number; break;
	case 'e': w->options.entry_with_file = true; break;
	case 'k': w->options.keep = optarg; break;
	case 'S': take_state(&w->options, optarg); break;
	default: return false;
	}
	return true;
}

static bool take_words(struct words *w, int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", 1, NULL, 'r' },
		{ "log", 1, NULL, 'l' },
		{ "fault", 1, NULL, 'f' },
		{ "ignore", 1, NULL, 'i' },
		{ "check", 1, NULL, 'c' },
		{ "to", 1, NULL, 't' },
		{ "seed", 1, NULL, 's' },
		{ "per-point", 1, NULL, 'p' },
		{ "exhaust", 1, NULL, 'x' },
		{ "distinct", 1, NULL, 'd' },
		{ "violations", 1, NULL, 'v' },
		{ "jobs", 1, NULL, 'j' },
		{ "entry-with-file", 0, NULL, 'e' },
		{ "keep", 1, NULL, 'k' },
		{ "state", 1, NULL, 'S' },
		{ NULL, 0, NULL, 0 },
	};
	int word;

	/* + : what follows the first word that is no option belongs to the recorded program. */
	while ((word = getopt_long(argc, argv, "+", options, NULL)) >= 0)
		if (!take_word(w, word))
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct words w = { .options = crash_defaults() };
	const char *what = argc > 1 ? argv[1] : "";
	bool records = strcmp(what, "record") == 0;
	const char *path = NULL;

	if (strcmp(what, "--help") == 0 || strcmp(what, "help") == 0) {
		(void)fputs(help, stdout);
		return 0;
	}
	if (!records && strcmp(what, "replay") != 0 && strcmp(what, "report") != 0 &&
		strcmp(what, "show") != 0)
		return bad_usage("record, replay, report or show?");
	/* LOG stands before the options. */
	if (!records && argc > 2 && argv[2][0] != '-')
		path = argv[2];
	optind = 1;
	if (!take_words(&w, argc - (path ? 2 : 1), argv + (path ? 2 : 1)))
		return USAGE;
	if (records)
		return record(&w, argv + 1 + optind);
	return path ? with_log(what, &w, path) : bad_usage("which log?");
}
