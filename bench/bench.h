/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmarks share: a clock, interleaved pairs, and one line of JSON.
 *
 *	static double ours(void *arg) { ... return nanoseconds of one operation; }
 *	static double theirs(void *arg) { ... }
 *
 *	struct bench_pairs p = bench_pairs(ours, theirs, &setup);
 *	bench_goal("mapping.copy.4k", p.ratio, &p);
 *
 * Ours and theirs run in turn, and every second pair the other way round, so that a machine that slows down slows both.
 * The value is the median of the pairs' ratios, not the ratio of two medians: a pair shares its moment. What a goal must
 * reach stands in goals.txt alone; bench/run joins the two. Check results before the clock counts: a wrong answer is
 * fast.
 */
#ifndef QUIRE_BENCH_H
#define QUIRE_BENCH_H

#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_PAIRS_QUICK = 9, BENCH_PAIRS_FULL = 21 };

typedef double bench_run(void *arg); /* the time of one operation, in ns */

struct bench_pairs {
	double ours_ns;   /* median */
	double theirs_ns; /* median */
	double ratio;     /* median of ours / theirs: below 1 we are faster */
	double spread;    /* of the ratio: distance of its quartiles over its median */
	int n;
};

static inline uint64_t bench_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* bench/run --quick: fewer pairs, and the program may choose smaller inputs. */
static inline int bench_quick(void)
{
	return getenv("QUIRE_BENCH_QUICK") != NULL;
}

/* What must hold before a figure counts: a wrong answer is fast. */
#define bench_must(condition, what) ((condition) ? (void)0 : bench_die(__FILE__, __LINE__, #condition, what))

static inline void bench_die(const char *file, int line, const char *condition, const char *what)
{
	fprintf(stderr, "bench: %s:%d: %s: %s\n", file, line, what, condition);
	exit(1);
}

/* Keeps this thread on one processor: a migration in the middle of a pair is not what we compare. */
static inline void bench_pin(unsigned int processor)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	(void)sched_setaffinity(0, sizeof(one), &one); /* a machine with one processor measures unpinned */
}

/* A file of so many bytes on a real filesystem, without a name, so that nothing stays behind. */
static inline int bench_file(uint64_t bytes)
{
	const char *directory = getenv("TMPDIR");
	int fd = open(directory ? directory : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	bench_must(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "no scratch file: set TMPDIR");
	return fd;
}

static inline int bench_compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts the values; part 0.5 is the median. */
static inline double bench_quantile(double *values, int n, double part)
{
	qsort(values, (size_t)n, sizeof(*values), bench_compare);
	return values[(int)(part * (n - 1) + 0.5)];
}

static inline struct bench_pairs bench_pairs(bench_run *ours, bench_run *theirs, void *arg)
{
	double a[BENCH_PAIRS_FULL], b[BENCH_PAIRS_FULL], ratio[BENCH_PAIRS_FULL];
	struct bench_pairs p = { .n = bench_quick() ? BENCH_PAIRS_QUICK : BENCH_PAIRS_FULL };

	(void)ours(arg); /* one of each, uncounted: the first touch of code and data is not what we compare */
	(void)theirs(arg);
	for (int i = 0; i < p.n; i++) {
		if (i % 2 == 0)
			a[i] = ours(arg);
		b[i] = theirs(arg);
		if (i % 2 == 1)
			a[i] = ours(arg);
		ratio[i] = a[i] / b[i];
	}
	p.ours_ns = bench_quantile(a, p.n, 0.5);
	p.theirs_ns = bench_quantile(b, p.n, 0.5);
	p.ratio = bench_quantile(ratio, p.n, 0.5);
	p.spread = (bench_quantile(ratio, p.n, 0.75) - bench_quantile(ratio, p.n, 0.25)) / p.ratio;
	return p;
}

/* A figure that is no goal, such as a physical limit of the machine: printed beside. */
static inline void bench_figure(const char *name, double value, const char *unit)
{
	printf("{\"figure\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"}\n", name, value, unit);
	(void)fflush(stdout);
}

/* One line of JSON. pairs may be NULL for a count or a figure that is not a comparison. */
static inline void bench_goal(const char *goal, double value, const struct bench_pairs *pairs)
{
	printf("{\"goal\":\"%s\",\"value\":%.6g", goal, value);
	if (pairs)
		printf(",\"n\":%d,\"spread\":%.3g,\"ours_ns\":%.6g,\"theirs_ns\":%.6g", pairs->n,
			pairs->spread, pairs->ours_ns, pairs->theirs_ns);
	printf("}\n");
	(void)fflush(stdout); /* what was measured stands, even if the next benchmark dies */
}

#endif
