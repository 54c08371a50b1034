/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - the test that a workload becomes: states, faults, mutants; one line of TAP each.
 *
 *	PROGRAM                       all of it
 *	PROGRAM states|faults|mutants a part
 *	PROGRAM mutant NAME           one mutant, with its report
 *	PROGRAM log [MUTANT]          the recorded operations as text
 *	PROGRAM state P.I [ROUND] [FAULT] [MUTANT]   one state alone; "-" for no fault
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "log.h"

enum { ROUNDS_MAX = 100000, FAULT_KINDS = 5, MUTANT_ROUNDS = 3 };

static const char *const fault_kinds[FAULT_KINDS] = { "EIO", "ENOSPC", "EINTR", "SHORT", "TWICE" };

void crash_set_round(uint64_t number);

/* One test in progress. */
struct test {
	const struct crash_workload *w;
	const char *program;
	struct crash_options options;
	char scratch[64];
	char log_path[96];
	uint64_t faultable; /* calls of the last recorded run that could have been failed */
	uint64_t round;
	const char *mutant;
	int number; /* of the TAP line */
	int failed;
};

static bool quick(void)
{
	return getenv("QUIRE_TEST_QUICK") != NULL;
}

static bool hunt(void)
{
	return getenv("QUIRE_HUNT") != NULL;
}

static void tap(struct test *t, bool good, const char *text)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++t->number, text);
	(void)fflush(stdout);
	t->failed += !good;
}

static void add(struct crash_result *total, const struct crash_result *r)
{
	total->states += r->states;
	total->distinct += r->distinct;
	total->checked += r->checked;
	total->points += r->points;
	total->seconds += r->seconds;
	total->violation_count += r->violation_count;
}

static void explain(
	const struct test *t, const struct crash_log *log, const struct crash_result *r, const char *fault)
{
	char again[400];

	for (uint32_t i = 0; i < r->violation_count && i < 3; i++) {
		(void)snprintf(again, sizeof(again), "%s state %u.%u %" PRIu64 " %s %s", t->program,
			r->violations[i].point, r->violations[i].index, t->round, fault ? fault : "-",
			t->mutant ? t->mutant : "");
		crash_report(log, &r->violations[i], &t->options, t->w->invariants, again);
	}
}

enum outcome { FINE, VIOLATED, NOT_INJECTED, BROKEN };

/* Records one run and replays it. result->violations[0] is set when VIOLATED. */
static enum outcome one(struct test *t, const char *fault, bool verbose, struct crash_result *result)
{
	struct crash_log log;
	enum outcome outcome = FINE;
	uint32_t injected = 0;
	int r = crash_record(t->w, t->log_path, t->scratch, fault);

	*result = (struct crash_result){ .states = 0 };
	if (r > 0 || r == -EFAULT) {
		result->violation_count = 1;
		result->violations[0] = (struct crash_violation){ .invariant = r > 0 ? r : 0 };
		if (verbose)
			printf("# violation: %s invariant %d (%s)\n#   round %" PRIu64 ", fault %s\n",
				r > 0 ? "the run itself found" : "the run itself died:", r > 0 ? r : 0,
				crash_words(t->w->invariants, r > 0 ? r : 0), t->round,
				fault ? fault : "none");
		return VIOLATED;
	}
	if ((r < 0 && !(r == -ECANCELED && fault)) || crash_log_load(&log, t->log_path) < 0)
		return BROKEN;
	for (uint32_t i = 0; fault && i < log.op_count && injected == 0; i++)
		if (log.ops[i].kind == CRASH_FAULT)
			injected = i;
	t->options.from_point = injected;
	if (fault && !injected)
		outcome = NOT_INJECTED;
	else if (crash_replay(&log, t->w->check, t->w->arg, &t->options, result) < 0)
		outcome = BROKEN;
	else if (result->violation_count)
		outcome = VIOLATED;
	if (outcome == VIOLATED && verbose)
		explain(t, &log, result, fault);
	t->faultable = log.faultable;
	crash_log_free(&log);
	return outcome;
}

static void states(struct test *t)
{
	uint64_t goal = hunt() ? t->w->hunt_goal : t->w->distinct_goal / (quick() ? 10 : 1);
	struct crash_result total = { .states = 0 }, r;
	enum outcome outcome = FINE;
	char line[200];

	t->options.distinct_max = goal;
	t->options.seen = crash_seen_new(goal > 100000 ? 1U << 22 : 1U << 19);
	for (t->round = 0; t->round < ROUNDS_MAX && outcome == FINE; t->round++) {
		crash_set_round(t->round);
		t->options.seed = t->round + 1;
		t->options.distinct_max = goal ? goal - total.distinct : 0;
		outcome = one(t, NULL, true, &r);
		add(&total, &r);
		if (total.distinct >= goal)
			break;
	}
	(void)snprintf(line, sizeof(line),
		"%s: %" PRIu64 " distinct states of %" PRIu64 " in %" PRIu64
		" rounds (seeds from 1 on), %.0f checks/s, %u violations%s",
		t->w->name, total.distinct, total.states, t->round + 1, (double)total.checked / total.seconds,
		total.violation_count, outcome == BROKEN ? ", and the run failed" : "");
	tap(t, outcome == FINE && total.distinct >= goal, line);
	t->options.distinct_max = 0;
	crash_seen_free(t->options.seen);
	t->options.seen = NULL;
	t->round = 0;
	crash_set_round(0);
}

/* There are hundreds of such runs, and what matters is what comes after the fault: few states of each. */
static void fault_budget(struct crash_options *o)
{
	o->per_point = 4;
	o->exhaust_max = 16;
	o->thin_after = 24;
	o->jobs = 1;
}

/* Which faults are tried: under a hunt all; else each kind at every ninth call; quickly, few. Mutants name theirs. */
static bool chosen(uint64_t call, int kind, const char *only)
{
	if (only)
		return strcmp(only, fault_kinds[kind]) == 0;
	if (hunt())
		return true;
	if (quick())
		return (call + (uint64_t)kind) % 29 == 0;
	return (call + (uint64_t)kind) % 9 == 0;
}

/* A prime: multiples of it go over all calls in an order that is soon everywhere, for what a mutant does wrong may be at the
 * end of the run. */
enum { STRIDE = 7919 };

/* Faults at every call; one kind, or those chosen. Stops at the first violation. */
static enum outcome all_faults(struct test *t, const char *only, bool verbose, struct crash_result *total,
	struct crash_result *bad, unsigned int *injected)
{
	enum outcome outcome = FINE;
	struct crash_result r;
	uint64_t calls;
	char fault[40];

	t->options.distinct_max = 1; /* we only ask how many calls there are */
	outcome = one(t, NULL, false, &r);
	t->options.distinct_max = 0;
	calls = t->faultable;
	if (outcome != FINE)
		*bad = r;
	for (uint64_t i = 0; i < calls && outcome == FINE; i++) {
		uint64_t call = calls % STRIDE == 0 ? i : i * STRIDE % calls;

		for (int kind = 0; kind < FAULT_KINDS && outcome == FINE; kind++) {
			if (!chosen(call, kind, only))
				continue;
			(void)snprintf(fault, sizeof(fault), "%" PRIu64 ":%s", call, fault_kinds[kind]);
			outcome = one(t, fault, verbose, &r);
			add(total, &r);
			*injected += outcome != NOT_INJECTED;
			if (outcome == VIOLATED)
				*bad = r;
			if (outcome == NOT_INJECTED)
				outcome = FINE;
		}
	}
	return outcome;
}

static void faults(struct test *t)
{
	struct crash_options before = t->options;
	struct crash_result total = { .states = 0 }, bad;
	unsigned int injected = 0;
	enum outcome outcome;
	char line[200];

	fault_budget(&t->options);
	t->options.seen = crash_seen_new(1U << 20);
	outcome = all_faults(t, NULL, true, &total, &bad, &injected);
	(void)snprintf(line, sizeof(line),
		"%s: %u faults injected, %" PRIu64 " distinct states, %u violations%s", t->w->name, injected,
		total.distinct, total.violation_count, outcome == BROKEN ? ", and a run failed" : "");
	tap(t, outcome == FINE && injected > 0, line);
	crash_seen_free(t->options.seen);
	t->options = before;
}

/* --- mutants -------------------------------------------------------------------------------------------------------- */

static enum outcome hunt_mutant(struct test *t, const struct crash_mutant *m, bool verbose,
	struct crash_result *bad, unsigned int *injected)
{
	struct crash_result total = { .states = 0 };
	struct crash_options before = t->options;
	enum outcome outcome = FINE;

	t->mutant = m->name;
	t->options.violations_max = 1;
	crash_mutate(m->name);
	for (t->round = 0; t->round < MUTANT_ROUNDS && outcome == FINE && !m->fault; t->round++) {
		crash_set_round(t->round);
		outcome = one(t, NULL, verbose, bad);
	}
	t->round = 0;
	crash_set_round(0);
	fault_budget(&t->options);
	if (m->fault)
		outcome = all_faults(t, m->fault, verbose, &total, bad, injected);
	crash_mutate(NULL);
	t->mutant = NULL;
	t->options = before;
	return outcome;
}

static void one_mutant(struct test *t, const struct crash_mutant *m, bool verbose)
{
	struct crash_result bad = { .states = 0 };
	unsigned int injected = 0;
	enum outcome outcome = hunt_mutant(t, m, verbose, &bad, &injected);
	char line[500];

	if (outcome == VIOLATED)
		(void)snprintf(line, sizeof(line), "mutant %s: caught by invariant %d (%s)%s%s", m->name,
			bad.violations[0].invariant,
			crash_words(t->w->invariants, bad.violations[0].invariant),
			injected ? " under a fault" : "",
			bad.violations[0].signal == SIGALRM ? " (hung)" : "");
	else
		(void)snprintf(line, sizeof(line), "mutant %s: %s", m->name,
			outcome == BROKEN ? "the run failed" : "NOT CAUGHT");
	tap(t, outcome == VIOLATED, line);
}

static unsigned int mutant_count(const struct crash_workload *w)
{
	unsigned int n = 0;

	while (w->mutants && w->mutants[n].name)
		n++;
	return n;
}

static void mutants(struct test *t, const char *only)
{
	for (unsigned int i = 0; i < mutant_count(t->w); i++)
		if (!only || strcmp(only, t->w->mutants[i].name) == 0)
			one_mutant(t, &t->w->mutants[i], only != NULL);
}

/* --- single questions -------------------------------------------------------------------------------------------------- */

static int print_log(struct test *t, const char *mutant)
{
	struct crash_log log;

	crash_mutate(mutant);
	if (crash_record(t->w, t->log_path, t->scratch, NULL) < 0 || crash_log_load(&log, t->log_path) < 0)
		return 1;
	crash_print_log(&log);
	crash_log_free(&log);
	return 0;
}

static int one_state(struct test *t, char **argv, int argc)
{
	const char *fault = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
	struct crash_result r;
	char *rest;

	if (fault)
		fault_budget(&t->options);
	t->options.only = true;
	t->options.only_point = (uint32_t)strtoul(argv[0], &rest, 10);
	t->options.only_index = *rest == '.' ? (uint32_t)strtoul(rest + 1, NULL, 10) : 0;
	t->round = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	crash_set_round(t->round);
	t->options.seed = t->round + 1;
	t->mutant = argc > 3 && *argv[3] ? argv[3] : NULL;
	crash_mutate(t->mutant);
	if (one(t, fault, true, &r) == FINE)
		printf("# this state is fine\n");
	return r.violation_count ? 1 : 0;
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [states | faults | mutants | mutant NAME | log [MUTANT] | state P.I [ROUND] [FAULT] "
		"[MUTANT]]\n",
		program);
	return 64;
}

static int dispatch(struct test *t, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "all";
	bool all = strcmp(what, "all") == 0;

	if (strcmp(what, "log") == 0)
		return print_log(t, argc > 2 ? argv[2] : NULL);
	if (strcmp(what, "state") == 0 && argc > 2)
		return one_state(t, argv + 2, argc - 2);
	if (strcmp(what, "mutant") == 0 && argc > 2) {
		mutants(t, argv[2]);
		return t->failed > 0 || t->number == 0;
	}
	if (all)
		printf("1..%u\n", (t->w->no_faults ? 1 : 2) + mutant_count(t->w));
	if (all || strcmp(what, "states") == 0)
		states(t);
	if ((all && !t->w->no_faults) || strcmp(what, "faults") == 0)
		faults(t);
	if (all || strcmp(what, "mutants") == 0)
		mutants(t, NULL);
	return t->number ? t->failed > 0 : usage(t->program);
}

int crash_main(int argc, char **argv, const struct crash_workload *w)
{
	struct test t = { .w = w, .program = argv[0], .options = crash_defaults() };
	const char *keep = getenv("CRASH_KEEP");
	int status, scratch_fd;

	t.options.entry_with_file = w->entry_with_file;
	t.options.keep = keep;
	scratch_fd = crash_scratch(t.scratch);
	if (scratch_fd < 0) {
		perror("crash: no scratch directory");
		return 1;
	}
	(void)snprintf(t.log_path, sizeof(t.log_path), "%s/log", t.scratch);
	status = dispatch(&t, argc, argv);
	crash_scratch_end(t.scratch, scratch_fd);
	return status;
}
