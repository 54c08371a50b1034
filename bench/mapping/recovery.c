/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a guarded mapping goes on after a page has died, and how many kernel mappings that costs.
 *
 *	tail        512 pages are cut off at once; each is stored to: one signal, then ordinary faults on fresh memory
 *	isolated    each page costs a signal of its own: pages cut off one after the other, and single poisoned pages
 *	            between living ones. The goal takes the slower of the two.
 *
 * All times are of stores: they also allocate and clear the page that stands in.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/quire.h>

#include "bench.h"
#include "poison.h"

enum { PAGE = 4096, PAGES = 1024, DEAD = 512, ROUNDS = 21, ROUNDS_QUICK = 9, TRIES = 5 };

static int rounds;

static struct quire_map *map_guarded(int fd)
{
	struct quire_map *map;

	bench_must(quire_map_fd(NULL, fd,
			   QUIRE_OPTIONS(
				   map, .protection = QUIRE_READ | QUIRE_WRITE, .guard = QUIRE_GUARD_ZEROS),
			   &map) == 0,
		quire_error_text());
	return map;
}

/* Stores to every page of [from, to); returns nanoseconds. */
static double store_all(volatile char *bytes, int from, int to)
{
	uint64_t begin = bench_ns();

	for (int i = from; i < to; i++)
		bytes[i * PAGE] = (char)(i | 1);
	return (double)(bench_ns() - begin);
}

static void check_all(const volatile char *bytes, int from, int to)
{
	for (int i = from; i < to; i++)
		bench_must(bytes[i * PAGE] == (char)(i | 1), "a store was lost");
}

/* ---- a dead tail ---- */

static double tail_once(void)
{
	struct quire_fault fault = { .size = sizeof(fault) };
	int fd = bench_file(PAGES * PAGE);
	struct quire_map *map = map_guarded(fd);
	volatile char *bytes = quire_map_address(map);
	double ns;

	(void)store_all(bytes, 0, PAGES);
	bench_must(ftruncate(fd, (PAGES - DEAD) * PAGE) == 0, "ftruncate");
	ns = store_all(bytes, PAGES - DEAD, PAGES);
	check_all(bytes, 0, PAGES); /* the living half too */
	bench_must(quire_map_error(map, &fault) == -ENODATA, "no error was recorded");
	bench_must(fault.offset == (PAGES - DEAD) * PAGE && fault.count == 1,
		"not one patch for the whole tail");
	bench_must(quire_unmap(map) == 0, quire_error_text());
	close(fd);
	return ns / DEAD / 1000;
}

/* The quickest of a few: one preemption is as long as all of it. */
static double quickest(double (*once)(void))
{
	double best = once();

	for (int i = 1; i < TRIES; i++) {
		double us = once();

		best = us < best ? us : best;
	}
	return best;
}

/* The floor of it: the same stores to fresh anonymous memory. */
static double fresh_once(void)
{
	char *bytes = mmap(NULL, DEAD * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double ns;

	bench_must(bytes != MAP_FAILED, "mmap");
	ns = store_all(bytes, 0, DEAD);
	munmap(bytes, DEAD * PAGE);
	return ns / DEAD / 1000;
}

static void measure_tail(void)
{
	double ours[ROUNDS], floor[ROUNDS];
	struct bench_pairs spread = { .n = rounds };

	(void)tail_once();
	for (int i = 0; i < rounds; i++) {
		ours[i] = quickest(tail_once);
		floor[i] = quickest(fresh_once);
	}
	spread.ours_ns = bench_quantile(ours, rounds, 0.5) * 1000;
	spread.theirs_ns = bench_quantile(floor, rounds, 0.5) * 1000;
	spread.spread = (bench_quantile(ours, rounds, 0.75) - bench_quantile(ours, rounds, 0.25)) * 1000 /
		spread.ours_ns;
	bench_goal("mapping.recovery.tail", spread.ours_ns / 1000, &spread);
	bench_figure(
		"mapping.recovery.floor", spread.theirs_ns / 1000, "us: store to fresh anonymous memory");
}

/* ---- isolated pages ---- */

/* Time of one store, in microseconds. */
static double store_one(volatile char *byte)
{
	uint64_t begin = bench_ns();

	*byte = 1;
	return (double)(bench_ns() - begin) / 1000;
}

/* The file loses its last page again and again, and each is touched before the next goes. Median of the pages. */
static double cut_once(void)
{
	double each[DEAD];
	int fd = bench_file(PAGES * PAGE);
	struct quire_map *map = map_guarded(fd);
	volatile char *bytes = quire_map_address(map);
	struct quire_fault fault = { .size = sizeof(fault) };

	(void)store_all(bytes, 0, PAGES);
	for (int i = 0; i < DEAD; i++) {
		int page = PAGES - 1 - i;

		bench_must(ftruncate(fd, page * PAGE) == 0, "ftruncate");
		each[i] = store_one(bytes + page * PAGE);
		bench_must(bytes[page * PAGE] == 1, "a store was lost");
	}
	check_all(bytes, 0, PAGES - DEAD);
	bench_must(quire_map_error(map, &fault) == -ENODATA && fault.count == DEAD, "not one fault a page");
	bench_must(quire_unmap(map) == 0, quire_error_text());
	close(fd);
	return bench_quantile(each, DEAD, 0.5);
}

/* The floor, which is also the usual cure: the handler maps fresh memory over the page and asks nothing, records nothing,
 * and loses stores when two threads meet. What a signal, one mmap and the store's second fault cost, nobody can save. */
static void bare(int number, siginfo_t *info, void *context)
{
	void *page = (void *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
	void *fresh = mmap(
		page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	(void)number;
	(void)context;
	(void)fresh; /* when it fails the store faults again, for ever: the timeout of bench/run says so */
}

static double bare_once(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO }, ours;
	double each[DEAD];
	int fd = bench_file(PAGES * PAGE);
	void *at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	volatile char *bytes = at;

	action.sa_sigaction = bare;
	bench_must(at != MAP_FAILED && sigaction(SIGBUS, &action, &ours) == 0, "mmap");
	(void)store_all(bytes, 0, PAGES);
	for (int i = 0; i < DEAD; i++) {
		int page = PAGES - 1 - i;

		bench_must(ftruncate(fd, page * PAGE) == 0, "ftruncate");
		each[i] = store_one(bytes + page * PAGE);
	}
	bench_must(sigaction(SIGBUS, &ours, NULL) == 0, "sigaction");
	munmap(at, PAGES * PAGE);
	close(fd);
	return bench_quantile(each, DEAD, 0.5);
}

/* Every second page is poisoned. Median of the pages; negative where this machine cannot. */
static double poison_once(void)
{
	double each[DEAD];
	struct quire_map *map;
	struct quire_fault fault = { .size = sizeof(fault) };
	char fill[PAGE];
	char *bytes;
	int uffd;

	bench_must(quire_map(NULL,
			   QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = 2 * DEAD * PAGE,
				   .guard = QUIRE_GUARD_ZEROS),
			   &map) == 0,
		quire_error_text());
	bytes = quire_map_address(map);
	uffd = poison_open(bytes, 2 * DEAD * PAGE);
	if (uffd < 0) {
		bench_must(quire_unmap(map) == 0, quire_error_text());
		return -1;
	}
	for (int i = 0; i < DEAD; i++) {
		memset(fill, i, PAGE);
		bench_must(poison_fill(uffd, bytes + 2 * i * PAGE, fill), "UFFDIO_COPY");
		bench_must(poison_page(uffd, bytes + (2 * i + 1) * PAGE), "UFFDIO_POISON");
	}
	for (int i = 0; i < DEAD; i++)
		each[i] = store_one(bytes + (2 * i + 1) * PAGE);
	for (int i = 0; i < DEAD; i++) {
		bench_must(bytes[2 * i * PAGE] == (char)i, "a neighbour was hurt");
		bench_must(bytes[(2 * i + 1) * PAGE] == 1, "a store was lost");
	}
	bench_must(quire_map_error(map, &fault) == -EHWPOISON && fault.count == DEAD, "not one fault a page");
	close(uffd);
	bench_must(quire_unmap(map) == 0, quire_error_text());
	return bench_quantile(each, DEAD, 0.5);
}

static void measure_isolated(void)
{
	double cut[ROUNDS], poison[ROUNDS], peer[ROUNDS], cut_us, poison_us;
	struct bench_pairs pairs = { .n = rounds };

	(void)cut_once();
	for (int i = 0; i < rounds; i++) {
		cut[i] = cut_once();
		peer[i] = bare_once();
		poison[i] = poison_once();
	}
	cut_us = bench_quantile(cut, rounds, 0.5);
	poison_us = bench_quantile(poison, rounds, 0.5);
	pairs.ours_ns = (cut_us > poison_us ? cut_us : poison_us) * 1000;
	pairs.theirs_ns = bench_quantile(peer, rounds, 0.5) * 1000;
	pairs.spread = (bench_quantile(cut, rounds, 0.75) - bench_quantile(cut, rounds, 0.25)) / cut_us;
	bench_goal("mapping.recovery.isolated", pairs.ours_ns / 1000, &pairs);
	bench_figure("mapping.recovery.isolated.cut", cut_us, "us");
	bench_figure("mapping.recovery.isolated.bare", pairs.theirs_ns / 1000,
		"us: the floor, a handler that does one mmap and nothing else");
	if (poison_us >= 0)
		bench_figure("mapping.recovery.isolated.poisoned", poison_us, "us");
	else
		fprintf(stderr,
			"no UFFDIO_POISON here: isolated pages are those of a file cut page by page\n");
}

/* ---- kernel mappings ---- */

static int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int lines = 0;
	int c;

	bench_must(maps != NULL, "/proc/self/maps");
	while ((c = getc(maps)) != EOF)
		lines += c == '\n';
	(void)fclose(maps);
	return lines;
}

static void measure_mappings(void)
{
	const uint64_t bytes = (uint64_t)10 << 30, cut = (uint64_t)7 << 30;
	int fd = bench_file(bytes);
	struct quire_map *map = map_guarded(fd);
	volatile char *at = quire_map_address(map);
	int before, after;

	for (uint64_t i = 0; i < bytes; i += 256 << 20)
		at[i] = 1;
	before = count_mappings();
	bench_must(ftruncate(fd, (off_t)cut) == 0, "ftruncate");
	/* Touched in an order that a page by page cure would pay for. */
	for (uint64_t i = 1; i < 1000; i++)
		at[cut + i * 1234577 % (bytes - cut)] = 1;
	after = count_mappings();
	for (uint64_t i = 0; i < cut; i += 256 << 20)
		bench_must(at[i] == 1, "the living part was hurt");
	bench_goal("mapping.recovery.vmas", after - before, NULL);
	bench_must(quire_unmap(map) == 0, quire_error_text());
	close(fd);
}

int main(void)
{
	bench_pin(1);
	rounds = bench_quick() ? ROUNDS_QUICK : ROUNDS;
	measure_tail();
	measure_isolated();
	measure_mappings();
	return 0;
}
