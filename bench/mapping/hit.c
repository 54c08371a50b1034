/* SPDX-License-Identifier: Apache-2.0 */
/* Loads through a guarded handle's pointer beside loads through raw mmap's: the same code, the same cached file. */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/quire.h>

#include "bench.h"

/* Sixteen times the second-level cache, so that loads go through page tables; in the page cache all the time. */
static const uint64_t file_bytes = 32 << 20;
enum {
	LOADS = 1 << 16,
	ROUNDS = 25
}; /* a millisecond a round: between two preemptions there is a quiet one */

struct hit {
	const uint64_t *ours;
	const uint64_t *theirs;
	uint64_t words;
	uint64_t expected; /* the sum of the loads */
};

static uint64_t random_loads(const uint64_t *words, uint64_t count)
{
	uint64_t at = 88172645463325252U;
	uint64_t sum = 0;

	for (int i = 0; i < LOADS; i++) {
		at ^= at << 13;
		at ^= at >> 7;
		at ^= at << 17;
		sum += words[at & (count - 1)];
	}
	return sum;
}

/* The quickest of a few rounds, per load. */
static double run(const struct hit *hit, const uint64_t *words)
{
	double best = 1e18;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t begin = bench_ns();
		uint64_t sum = random_loads(words, hit->words);
		double ns = (double)(bench_ns() - begin) / LOADS;

		bench_must(sum == hit->expected, "a load was wrong");
		best = ns < best ? ns : best;
	}
	return best;
}

static double ours(void *arg)
{
	const struct hit *hit = arg;

	return run(hit, hit->ours);
}

static double theirs(void *arg)
{
	const struct hit *hit = arg;

	return run(hit, hit->theirs);
}

int main(void)
{
	struct quire_map *map;
	struct bench_pairs pairs;
	struct hit hit = { .words = file_bytes / sizeof(uint64_t) };
	int fd = bench_file(file_bytes);
	uint64_t *fill;

	bench_pin(1);
	fill = mmap(NULL, file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bench_must(fill != MAP_FAILED, "mmap");
	for (uint64_t i = 0; i < hit.words; i++)
		fill[i] = i * 0x9e3779b97f4a7c15U;
	hit.expected = random_loads(fill, hit.words);
	munmap(fill, file_bytes);

	hit.theirs = mmap(NULL, file_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	bench_must(hit.theirs != MAP_FAILED, "mmap");
	bench_must(quire_map_fd(NULL, fd,
			   QUIRE_OPTIONS(map, .protection = QUIRE_READ, .guard = QUIRE_GUARD_ZEROS,
				   .flags = QUIRE_POPULATE_READ),
			   &map) == 0,
		quire_error_text());
	hit.ours = quire_map_address(map);
	pairs = bench_pairs(ours, theirs, &hit);
	bench_goal("mapping.hit", 1 / pairs.ratio, &pairs);
	bench_must(quire_unmap(map) == 0, quire_error_text());
	return 0;
}
