/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map and unmap without a touch: what a handle costs beside the kernel's own work.
 *
 * The file's peer does by hand what a careful program does: it asks for the size, keeps a descriptor of its own, maps,
 * unmaps and closes. It checks nothing else and cannot recover from a truncation.
 */
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <quire/quire.h>

#include "bench.h"

/* Not a multiple of 2 MiB, which the kernel aligns at a price. */
enum { BYTES = 1 << 20, TURNS = 300, ROUNDS = 15, CROWD = 1000 };

static int fd;
static uint32_t guard;

static void anon_ours(void)
{
	struct quire_map *map;

	bench_must(quire_map_anon(NULL, BYTES, &map) == 0, quire_error_text());
	bench_must(quire_unmap(map) == 0, quire_error_text());
}

static void anon_theirs(void)
{
	void *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bench_must(at != MAP_FAILED, "mmap");
	bench_must(munmap(at, BYTES) == 0, "munmap");
}

static void file_ours(void)
{
	struct quire_map *map;

	bench_must(quire_map_fd(
			   NULL, fd, QUIRE_OPTIONS(map, .protection = QUIRE_READ, .guard = guard), &map) == 0,
		quire_error_text());
	bench_must(quire_map_length(map) == BYTES, "the length is wrong");
	bench_must(quire_unmap(map) == 0, quire_error_text());
}

static void file_theirs(void)
{
	struct stat stat;
	void *at;
	int own;

	bench_must(fstat(fd, &stat) == 0, "fstat");
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	bench_must(own >= 0, "dup");
	at = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, own, 0);
	bench_must(at != MAP_FAILED, "mmap");
	bench_must(stat.st_size == BYTES, "the length is wrong");
	bench_must(munmap(at, (size_t)stat.st_size) == 0, "munmap");
	close(own);
}

/* The quickest of a few rounds, per turn. */
static double run(void (*turn)(void))
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t begin = bench_ns();
		double ns;

		for (int i = 0; i < TURNS; i++)
			turn();
		ns = (double)(bench_ns() - begin) / TURNS;
		best = ns < best ? ns : best;
	}
	return best;
}

static double run_anon_ours(void *unused)
{
	(void)unused;
	return run(anon_ours);
}

static double run_anon_theirs(void *unused)
{
	(void)unused;
	return run(anon_theirs);
}

static double run_file_ours(void *unused)
{
	(void)unused;
	return run(file_ours);
}

static double run_file_theirs(void *unused)
{
	(void)unused;
	return run(file_theirs);
}

/* The same with a thousand mappings open: each change copies the list of them. */
static void measure_crowd(void)
{
	static struct quire_map *crowd[CROWD];
	struct bench_pairs pairs;

	for (int i = 0; i < CROWD; i++)
		bench_must(quire_map_anon(NULL, 4096, &crowd[i]) == 0, quire_error_text());
	pairs = bench_pairs(run_anon_ours, run_anon_theirs, NULL);
	bench_figure("mapping.open.anon.crowd", pairs.ratio, "x of mmap, beside 1,000 mappings");
	for (int i = 0; i < CROWD; i++)
		bench_must(quire_unmap(crowd[i]) == 0, quire_error_text());
}

int main(void)
{
	struct bench_pairs pairs;

	bench_pin(1);
	fd = bench_file(BYTES);
	pairs = bench_pairs(run_anon_ours, run_anon_theirs, NULL);
	bench_goal("mapping.open.anon", pairs.ratio, &pairs);

	guard = QUIRE_GUARD_OFF;
	pairs = bench_pairs(run_file_ours, run_file_theirs, NULL);
	bench_goal("mapping.open.file", pairs.ratio, &pairs);

	guard = QUIRE_GUARD_ZEROS;
	pairs = bench_pairs(run_file_ours, run_file_theirs, NULL);
	bench_figure("mapping.open.file.guarded", pairs.ratio, "x of open-coded");
	measure_crowd();
	return 0;
}
