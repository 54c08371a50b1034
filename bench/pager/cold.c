/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cold reads: with the list known ahead, under a bound, with no hints, in order. Every turn runs each way once, in a process
 * of its own; a value is the median of the turns' ratios of our speed to a peer's.
 * `bench-pager-cold sequential` runs that race alone.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cgroup.h"
#include "cold.h"

enum { TURNS_MAX = 21 };

static int turns(void)
{
	return bench_quick() ? 5 : 9;
}

struct way {
	const char *name;
	cold_way *run;
	const char *group; /* cgroup, or NULL */
};

/* ways[0] is ours. Prints each median; ratios[k] is the median of ours / k's. */
static void race(
	struct cold *cold, const char *what, const struct way *ways, int count, struct bench_pairs *ratios)
{
	double speed[WAYS_MAX][TURNS_MAX], ratio[WAYS_MAX][TURNS_MAX];

	for (int turn = 0; turn < turns(); turn++)
		for (int k = 0; k < count; k++) {
			int way = turn % 2 == 0 ? k : count - 1 - k;

			speed[way][turn] = cold_run(ways[way].run, cold, ways[way].group);
		}
	for (int k = 0; k < count; k++) {
		char name[64];

		for (int turn = 0; turn < turns(); turn++)
			ratio[k][turn] = speed[0][turn] / speed[k][turn];
		(void)snprintf(name, sizeof(name), "pager.%s.%s", what, ways[k].name);
		ratios[k] = (struct bench_pairs){ .n = turns(),
			.ratio = bench_quantile(ratio[k], turns(), 0.5) };
		ratios[k].spread = (bench_quantile(ratio[k], turns(), 0.75) -
					   bench_quantile(ratio[k], turns(), 0.25)) /
			ratios[k].ratio;
		ratios[k].theirs_ns = 1e9 / bench_quantile(speed[k], turns(), 0.5);
		ratios[k].ours_ns = ratios[0].theirs_ns;
		bench_figure(name, bench_quantile(speed[k], turns(), 0.5), "/s");
	}
}

static void goal(const char *name, const struct bench_pairs *pairs)
{
	bench_goal(name, pairs->ratio, pairs);
}

static void listed(struct cold *cold)
{
	static const struct way ways[] = { { "ours", cold_ours_listed, NULL },
		{ "mmap", cold_mmap_random, NULL }, { "mmap-willneed", cold_mmap_willneed, NULL },
		{ "uring", cold_ring, NULL } };
	struct bench_pairs ratios[WAYS_MAX];

	cold->bound = cold->bytes / 2;
	race(cold, "listed", ways, 4, ratios);
	goal("pager.listed.mmap", &ratios[1]);
	goal("pager.listed.willneed", &ratios[2]);
	goal("pager.listed.uring", &ratios[3]);
}

/* ---- under a bound ---- */

static char read_ahead_path[256];

static int read_ahead(void)
{
	FILE *file = fopen(read_ahead_path, "re");
	char line[32] = "-1";

	if (file != NULL && fgets(line, sizeof(line), file) == NULL)
		(void)snprintf(line, sizeof(line), "-1");
	if (file != NULL)
		(void)fclose(file);
	return (int)strtol(line, NULL, 10);
}

static bool set_read_ahead(int kib)
{
	FILE *file = fopen(read_ahead_path, "we");
	bool done = file != NULL && fprintf(file, "%d", kib) > 0;

	return file != NULL && fclose(file) == 0 && done;
}

static void find_read_ahead(int fd)
{
	struct stat stat;

	bench_must(fstat(fd, &stat) == 0, "fstat");
	(void)snprintf(read_ahead_path, sizeof(read_ahead_path), "/sys/dev/block/%u:%u/queue/read_ahead_kb",
		major(stat.st_dev), minor(stat.st_dev));
	if (access(read_ahead_path, R_OK) != 0) /* a partition: the disk has the queue */
		(void)snprintf(read_ahead_path, sizeof(read_ahead_path),
			"/sys/dev/block/%u:%u/../queue/read_ahead_kb", major(stat.st_dev),
			minor(stat.st_dev));
	bench_figure("pager.read_ahead_kb", read_ahead(), "KiB");
}

/* No advice at all: what the page cache does by itself, with the system's read-ahead and with the kernel's default one. */
static void unadvised(struct cold *cold, const char *group)
{
	int kib = read_ahead();

	cold->readers = 4;
	bench_figure("pager.bounded.unadvised", cold_run(cold_mmap, cold, group), "/s");
	if (kib >= 0 && set_read_ahead(128)) {
		bench_figure("pager.bounded.unadvised.128k", cold_run(cold_mmap, cold, group), "/s");
		(void)set_read_ahead(kib);
	} else {
		fprintf(stderr, "bench: read_ahead_kb cannot be set to 128: %s\n", strerror(errno));
	}
	cold->readers = 1;
}

static void bounded(struct cold *cold)
{
	char group[256];
	struct way ways[] = { { "ours", cold_ours_listed, NULL },
		{ "mmap-willneed", cold_mmap_willneed, group }, { "mmap", cold_mmap_random, group } };
	struct bench_pairs ratios[WAYS_MAX];
	const char *why;
	uint64_t time = cold->run_ns;

	cold->bound = cold->bytes / (bench_quick() ? 32 : 8);
	cold->run_ns = time * 3; /* long enough to fill the bound and go on */
	why = cgroup_make(group, cold->bound);
	if (why != NULL) {
		fprintf(stderr, "bench: no memory cgroup, so the kernel's cache is not bounded: %s\n", why);
		ways[1].group = ways[2].group = NULL;
	}
	race(cold, "bounded", ways, 3, ratios);
	goal("pager.bounded.willneed", &ratios[1]);
	(void)cold_run(cold_ours_listed, cold, NULL);
	bench_goal("pager.bounded.memory", cold_shared->over, NULL);
	bench_figure("pager.bounded.waits", (double)cold_shared->waits, "faults");
	unadvised(cold, why == NULL ? group : NULL);
	if (why == NULL)
		cgroup_remove(group);
	cold->run_ns = time;
}

/* ---- no hints, and in order ---- */

static void unhinted(struct cold *cold)
{
	static const struct way ways[] = { { "ours", cold_ours, NULL }, { "mmap", cold_mmap_random, NULL },
		{ "pread", cold_pread, NULL }, { "floor", cold_floor, NULL } };
	struct bench_pairs ratios[WAYS_MAX];

	cold->bound = cold->bytes / 2;
	race(cold, "random.1", ways, 4, ratios);
	goal("pager.random.1", &ratios[1]);
	cold->readers = 16;
	race(cold, "random.16", ways, 4, ratios);
	goal("pager.random.16", &ratios[1]);
	cold->readers = 1;
}

static void in_order(struct cold *cold)
{
	static const struct way ways[] = { { "ours", cold_ours_sequential, NULL },
		{ "mmap", cold_mmap_sequential, NULL },
		{ "mmap-sequential", cold_mmap_sequential_hinted, NULL },
		{ "pread", cold_pread_sequential, NULL }, { "floor", cold_floor_sequential, NULL } };
	struct bench_pairs ratios[WAYS_MAX];
	uint64_t bytes = cold->bytes;

	cold->bytes = bench_quick() ? bytes / 4 : bytes / 2;
	cold->bound = cold->bytes / 4;
	race(cold, "sequential", ways, 5, ratios);
	/* Against the better of plain and advised. */
	goal("pager.sequential", ratios[1].ratio < ratios[2].ratio ? &ratios[1] : &ratios[2]);
	cold->bytes = bytes;
}

/* Is this race to be run? All are, or the one that is named. */
static bool wanted(char **argv, const char *race)
{
	return argv[1] == NULL || strcmp(argv[1], race) == 0;
}

int main(int argc, char **argv)
{
	struct cold cold = { .readers = 1, .seed = bench_ns() };
	int fd;

	cold.bytes = (uint64_t)(bench_quick() ? 512 : 4096) * MIB;
	cold.run_ns = bench_quick() ? 150000000 : 1000000000;
	fprintf(stderr, "bench: seed %llu\n", (unsigned long long)cold.seed);
	fd = known_file(cold.bytes);
	cold.fd = reopen(fd, 0);
	cold.direct = reopen(fd, O_DIRECT);
	cold_shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench_must(
		cold.fd >= 0 && cold.direct >= 0 && cold_shared != MAP_FAILED, "no scratch file: set TMPDIR");
	find_read_ahead(cold.fd);
	(void)argc;
	if (wanted(argv, "listed"))
		listed(&cold);
	if (wanted(argv, "bounded"))
		bounded(&cold);
	if (wanted(argv, "random"))
		unhinted(&cold);
	if (wanted(argv, "sequential"))
		in_order(&cold);
	return 0;
}
