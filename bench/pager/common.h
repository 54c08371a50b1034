/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmarks of the pager share: a file whose every word is known, a paged mapping of it, and a second thread. */
#ifndef QUIRE_BENCH_PAGER_H
#define QUIRE_BENCH_PAGER_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/quire.h>

#include "bench.h"

enum { PAGE = 4096, PAGE_WORDS = PAGE / 8, MIB = 1 << 20, BLOCK = 4 * MIB };

static inline void must(int r)
{
	bench_must(r >= 0, quire_error_text());
}

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

/* The processor time of this thread, in ns: for what only computes. Waiting for another processor to answer counts, the turn
 * of another process does not. */
static inline uint64_t cpu_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* cannot fail with this clock */
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- a file whose every word is known ---- */

/* Word i of the file. */
static inline uint64_t word_of(uint64_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15U;
}

static inline void fill_words(uint64_t *words, uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		words[i] = word_of(first + i);
}

/* What all words of a file of so many bytes add up to. */
static inline uint64_t sum_of_file(uint64_t bytes)
{
	uint64_t n = bytes / 8;

	return (n % 2 == 0 ? n / 2 * (n + 1) : (n + 1) / 2 * n) * 0x9e3779b97f4a7c15U;
}

/* On the disk for good, so that it can be dropped from the page cache. */
static inline int known_file(uint64_t bytes)
{
	uint64_t *block = aligned_alloc(PAGE, BLOCK);
	int fd = bench_file(bytes);

	bench_must(block != NULL, "memory");
	for (uint64_t at = 0; at < bytes; at += BLOCK) {
		fill_words(block, at / 8, BLOCK / 8);
		bench_must(pwrite(fd, block, BLOCK, (off_t)at) == BLOCK, "the disk is full: set TMPDIR");
	}
	bench_must(fsync(fd) == 0, "fsync");
	free(block);
	return fd;
}

/* The same file, opened for reading. */
static inline int reopen(int fd, int flags)
{
	char path[64];
	int again;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC | flags);
	bench_must(again >= 0, "cannot open the scratch file again: set TMPDIR");
	return again;
}

/* ---- a paged mapping ---- */

struct paged {
	struct quire_pool *pool;
	struct quire_map *map;
	unsigned char *bytes;
};

static inline void paged_pool(
	struct paged *paged, uint64_t cache_bytes, uint32_t unit_bytes, uint32_t delivery)
{
	must(quire_pool_open(
		QUIRE_OPTIONS(pool, .cache_bytes = cache_bytes, .unit_bytes = unit_bytes,
			.delivery = delivery, .syscalls_only_pinned = delivery == QUIRE_DELIVERY_INLINE),
		&paged->pool));
}

static inline void paged_file(struct paged *paged, int fd, uint32_t protection, uint32_t advice)
{
	must(quire_map_fd(NULL, fd,
		QUIRE_OPTIONS(map, .engine = QUIRE_ENGINE_PAGED, .pool = paged->pool,
			.protection = protection, .sharing = QUIRE_SHARED, .advice = advice),
		&paged->map));
	paged->bytes = quire_map_address(paged->map);
}

static inline struct quire_pool_stats paged_stats(const struct paged *paged)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };

	must(quire_pool_stats(paged->pool, &stats));
	return stats;
}

static inline void paged_close(struct paged *paged)
{
	must(quire_unmap(paged->map));
	must(quire_pool_close(paged->pool));
}

/* ---- memory ---- */

/* This process's memory, each page counted once, however often it is mapped; without pages of files, which are the code of the
 * library: 300 KiB, of a bound of 16 MiB. In bytes. */
static inline int64_t memory_of_process(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	int64_t sum = 0;
	int found = 0;

	bench_must(file != NULL, "/proc/self/smaps_rollup");
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "Pss_Anon:", 9) == 0 || strncmp(line, "Pss_Shmem:", 10) == 0) {
			sum += strtol(strchr(line, ':') + 1, NULL, 10);
			found++;
		}
	(void)fclose(file);
	bench_must(found == 2, "no Pss_Anon and Pss_Shmem in smaps_rollup");
	return sum * 1024;
}

/* ---- a second thread of the process, running: who unmaps has to tell it ---- */

struct company {
	pthread_t thread;
	atomic_bool stop;
	unsigned int processor;
};

static inline void *company_run(void *user)
{
	struct company *company = user;

	bench_pin(company->processor);
	while (!atomic_load_explicit(&company->stop, memory_order_relaxed))
		;
	return NULL;
}

static inline void company_begin(struct company *company, unsigned int processor)
{
	*company = (struct company){ .processor = processor };
	bench_must(pthread_create(&company->thread, NULL, company_run, company) == 0, "pthread_create");
}

static inline void company_end(struct company *company)
{
	atomic_store(&company->stop, true);
	pthread_join(company->thread, NULL);
}

#endif
