/* SPDX-License-Identifier: Apache-2.0 */
/* bench/inspect/fragmented.c - the worst case of an exact map: every second page, at random; against one bare mincore. */
#include <string.h>
#include <sys/mman.h>

#include <quire/quire.h>

#include "bench.h"

enum { CACHESTAT = 451 }; /* the system call; newer than the C library's list on many machines */

/* A file whose pages are single, and the answers of both ways. */
struct setup {
	int fd;
	uint64_t pages;
	void *mapped;
	unsigned char *bits; /* of mincore */
	unsigned char *map;  /* of ours */
};

static double ours(void *arg)
{
	struct setup *s = arg;
	struct quire_runs *runs;
	struct quire_run run;
	uint64_t began = bench_ns();

	bench_must(quire_runs_open(s->fd, 0, QUIRE_UNKNOWN, 0, &runs) == 0, "no map");
	while (quire_runs_next(runs, &run) == 1)
		memset(s->map + run.page, run.state != 0, run.pages);
	quire_runs_close(runs);
	return (double)(bench_ns() - began);
}

static double theirs(void *arg)
{
	struct setup *s = arg;
	uint64_t began = bench_ns();

	bench_must(mincore(s->mapped, s->pages * 4096, s->bits) == 0, "mincore");
	return (double)(bench_ns() - began);
}

/* What an exact map cannot do without: which pages are in (mincore), and whether some of them are still being read
 * (their count, cachestat). */
static double least(void *arg)
{
	struct setup *s = arg;
	uint64_t began = bench_ns(), range[2] = { 0, s->pages * 4096 }, counts[5];

	bench_must(mincore(s->mapped, s->pages * 4096, s->bits) == 0, "mincore");
	bench_must(syscall(CACHESTAT, s->fd, range, counts, 0) == 0, "cachestat");
	return (double)(bench_ns() - began);
}

/* Written page by page, so that folios are small; then every second one is dropped. */
static void fragment(struct setup *s)
{
	static char page[4096];
	uint64_t seed = 7;

	for (uint64_t i = 0; i < s->pages; i++)
		bench_must(pwrite(s->fd, page, sizeof(page), (off_t)(i * 4096)) == 4096, "the disk is full");
	bench_must(fdatasync(s->fd) == 0, "cannot write");
	for (uint64_t i = 0; i < s->pages; i++) {
		seed = seed * 6364136223846793005U + 1442695040888963407U;
		if (seed >> 63 != 0)
			(void)posix_fadvise(s->fd, (off_t)(i * 4096), 4096, POSIX_FADV_DONTNEED);
	}
}

int main(void)
{
	struct setup s = { .pages = bench_quick() ? 1 << 17 : 1 << 19 };
	struct bench_pairs pairs;
	uint64_t cached = 0;

	s.fd = bench_file(s.pages * 4096);
	bench_must(fcntl(s.fd, F_SETFL, O_NOATIME) == 0, "not the owner");
	fragment(&s);
	s.mapped = mmap(NULL, s.pages * 4096, PROT_READ, MAP_SHARED, s.fd, 0);
	s.bits = malloc(s.pages);
	s.map = malloc(s.pages);
	bench_must(s.mapped != MAP_FAILED && s.bits != NULL && s.map != NULL, "no memory");
	(void)ours(&s);
	(void)theirs(&s);
	for (uint64_t i = 0; i < s.pages; i++) {
		bench_must((s.bits[i] & 1) == s.map[i], "the map is wrong");
		cached += s.map[i];
	}
	bench_must(cached > s.pages / 4 && cached < s.pages * 3 / 4, "the file is not fragmented");
	pairs = bench_pairs(ours, theirs, &s);
	bench_goal("inspect.fragmented", pairs.ratio, &pairs);
	bench_figure("inspect.fragmented.floor", bench_pairs(least, theirs, &s).ratio, "x mincore");
	return 0;
}
