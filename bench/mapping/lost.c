/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads store, at the same moment, to each of many dead pages: not one store may vanish. (The usual cure, mapping
 * fresh memory over the page in the handler, loses 28 of 40,000: the second thread wipes what the first one stored.)
 *
 *	cut      the file loses a page, both store to it, and so on downwards: each page is one race for one patch
 *	tail     64 pages are cut off at once and both run through them in opposite directions
 *	poison   single poisoned pages between living ones
 *
 * QUIRE_BENCH_PAGES says how many pages are cut (10^5; the hunt takes 10^7).
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/quire.h>

#include "bench.h"
#include "poison.h"

enum { PAGE = 4096, WALK = 50000, TAIL = 64, POISONED = 2000 };

/* What the second thread shall do: store to pages first, first + step, ... as soon as `turn` moves. */
static volatile char *bytes;
static atomic_ulong turn, done;
static atomic_long first_page, step, count;

static uint64_t lost, pages;

static void wait_for(atomic_ulong *what, uint64_t value)
{
	for (unsigned int spins = 0; atomic_load(what) != value; spins++)
		if (spins > 10000)
			(void)sched_yield(); /* the other one may have no processor */
}

static void store(volatile char *at, long first, long stride, long n)
{
	for (long i = 0; i < n; i++)
		at[(first + i * stride) * PAGE] = 1;
}

static void *second(void *unused)
{
	(void)unused;
	bench_pin(0);
	for (uint64_t t = 1;; t++) {
		wait_for(&turn, t);
		if (atomic_load(&count) == 0)
			return NULL;
		store(bytes + 8, atomic_load(&first_page), atomic_load(&step), atomic_load(&count));
		atomic_store(&done, t);
	}
}

/* Both threads store to pages [first, first + n), the second one downwards; then all must be there. */
static void race(long first, long n)
{
	uint64_t t = atomic_load(&turn) + 1;

	atomic_store(&first_page, first + n - 1);
	atomic_store(&step, -1);
	atomic_store(&count, n);
	atomic_store(&turn, t);
	store(bytes, first, 1, n);
	wait_for(&done, t);
	for (long i = first; i < first + n; i++)
		lost += (uint64_t)(bytes[i * PAGE] != 1) + (uint64_t)(bytes[i * PAGE + 8] != 1);
	pages += (uint64_t)n;
}

/* The file is cut by `cut` pages again and again. */
static void walk_down(long cut)
{
	int fd = memfd_create("lost", MFD_CLOEXEC);
	struct quire_map *map;

	bench_must(fd >= 0 && ftruncate(fd, (off_t)WALK * PAGE) == 0, "memfd");
	bench_must(quire_map_fd(NULL, fd,
			   QUIRE_OPTIONS(
				   map, .protection = QUIRE_READ | QUIRE_WRITE, .guard = QUIRE_GUARD_ZEROS),
			   &map) == 0,
		quire_error_text());
	bytes = quire_map_address(map);
	for (long page = WALK - cut; page >= 0; page -= cut) {
		bench_must(ftruncate(fd, page * PAGE) == 0, "ftruncate");
		race(page, cut);
	}
	bench_must(quire_map_error(map, NULL) == -ENODATA, "no error was recorded");
	bench_must(quire_unmap(map) == 0, quire_error_text());
	close(fd);
}

static void poison(void)
{
	struct quire_map *map;
	char *at;
	int uffd;

	bench_must(quire_map(NULL,
			   QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = 2 * POISONED * PAGE,
				   .guard = QUIRE_GUARD_ZEROS),
			   &map) == 0,
		quire_error_text());
	bytes = at = quire_map_address(map);
	uffd = poison_open(at, 2 * POISONED * PAGE);
	for (long i = 0; uffd >= 0 && i < POISONED; i++) {
		bench_must(poison_page(uffd, at + 2 * i * PAGE), "UFFDIO_POISON");
		race(2 * i, 1);
	}
	if (uffd >= 0)
		close(uffd);
	else
		fprintf(stderr, "no UFFDIO_POISON here: no race for a single page between living ones\n");
	bench_must(quire_unmap(map) == 0, quire_error_text());
}

int main(void)
{
	const char *wanted = getenv("QUIRE_BENCH_PAGES");
	uint64_t cut_pages = wanted ? strtoull(wanted, NULL, 10) : 100000;
	pthread_t other;

	bench_pin(1);
	bench_must(pthread_create(&other, NULL, second, NULL) == 0, "pthread_create");
	while (pages < cut_pages)
		walk_down(1);
	walk_down(TAIL);
	poison();
	atomic_store(&count, 0);
	atomic_fetch_add(&turn, 1);
	pthread_join(other, NULL);

	bench_goal("mapping.recovery.lost", (double)lost, NULL);
	bench_figure("mapping.recovery.lost.of", 2 * (double)pages, "stores");
	return 0;
}
