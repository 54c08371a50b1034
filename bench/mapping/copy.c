/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire_copy_out beside memcpy, out of a mapped file, on warm bytes.
 *
 * The hardest case for us is the one measured: source and destination in the nearest cache that holds them, where
 * nothing hides an instruction. Both are called as a program calls them, through the dynamic linker's table, with a length
 * the compiler does not know.
 */
#include <stdbool.h>
#include <string.h>

#include <quire/quire.h>

#include "bench.h"

enum { MAX = 1 << 20, ROUNDS = 9 };

struct copy {
	const char *source;
	char *destination;
	size_t length;
	uint64_t turns;
};

/* Whoever comes after needs the bytes: no copy is dropped. */
static void use_bytes(void)
{
	__asm__ volatile("" ::: "memory");
}

static double best_of(double best, uint64_t begin, const struct copy *copy)
{
	double ns = (double)(bench_ns() - begin) / (double)copy->turns;

	bench_must(memcmp(copy->destination, copy->source, copy->length) == 0, "the copy differs");
	memset(copy->destination, 0, copy->length);
	return ns < best ? ns : best;
}

static double ours(void *arg)
{
	const struct copy *copy = arg;
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t begin = bench_ns();
		int failed = 0;

		for (uint64_t i = 0; i < copy->turns; i++) {
			failed |= quire_copy_out(copy->destination, copy->source, copy->length);
			use_bytes();
		}
		best = best_of(best, begin, copy);
		bench_must(failed == 0, quire_error_text());
	}
	return best;
}

static double theirs(void *arg)
{
	const struct copy *copy = arg;
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t begin = bench_ns();

		for (uint64_t i = 0; i < copy->turns; i++) {
			memcpy(copy->destination, copy->source, copy->length);
			use_bytes();
		}
		best = best_of(best, begin, copy);
	}
	return best;
}

static void measure(const char *goal, struct copy *copy, size_t length)
{
	struct bench_pairs pairs;

	copy->length = length;
	copy->turns = (bench_quick() ? 16U << 20 : 64U << 20) / (length + 192); /* some ms a round */
	pairs = bench_pairs(ours, theirs, copy);
	if (goal != NULL)
		bench_goal(goal, pairs.ratio, &pairs);
	else
		fprintf(stderr, "copy of %7zu bytes: %8.1f ns, memcpy %8.1f ns, x %.3f\n", length,
			pairs.ours_ns, pairs.theirs_ns, pairs.ratio);
}

int main(int argc, char **argv)
{
	struct quire_map *map;
	struct copy copy;
	char *bytes;
	int fd = bench_file(MAX);

	bench_pin(1);
	bench_must(quire_map_fd(NULL, fd,
			   QUIRE_OPTIONS(
				   map, .protection = QUIRE_READ | QUIRE_WRITE, .guard = QUIRE_GUARD_ZEROS),
			   &map) == 0,
		quire_error_text());
	bytes = quire_map_address(map);
	for (uint32_t i = 0; i < MAX; i++)
		bytes[i] = (char)(i * 2654435761U >> 24);
	copy.source = bytes;
	copy.destination = aligned_alloc(4096, MAX + 4096);
	bench_must(copy.destination != NULL, "memory");
	memset(copy.destination, 0, MAX);

	/* With arguments LENGTH or LENGTH+SHIFT of the destination: where two ways of copying meet. */
	for (int i = 1; i < argc; i++) {
		char *shift;
		size_t length = strtoul(argv[i], &shift, 10);

		copy.destination += strtoul(shift, NULL, 10);
		measure(NULL, &copy, length);
		copy.destination -= strtoul(shift, NULL, 10);
	}
	if (argc == 1) {
		measure("mapping.copy.64", &copy, 64);
		measure("mapping.copy.4k", &copy, 4096);
		measure("mapping.copy.1m", &copy, MAX);
	}
	free(copy.destination);
	bench_must(quire_unmap(map) == 0, quire_error_text());
	return 0;
}
