/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmarks of regions share: a region with dirty pages, and the peers' files. */
#ifndef QUIRE_BENCH_REGION_H
#define QUIRE_BENCH_REGION_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <quire/quire.h>

#include "bench.h"

enum { PAGE = 4096 };

static inline void must(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench: %s: %s\n", what,
		*quire_error_text() != '\0' ? quire_error_text() : strerror(errno));
	exit(1);
}

static inline uint64_t bench_random(void)
{
	static uint64_t state = 88172645463325252U;

	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

/* A region or a peer's file of `bytes`, and how many pages of it each operation dirties. */
struct setup {
	struct quire_region *region;
	unsigned char *bytes;
	size_t length;
	int fd;              /* of the peer */
	unsigned char *peer; /* its mapping */
	uint64_t appended;
	void *buffer;
	unsigned int pages;
	bool hinted;
	const char *clone; /* where the reflink snapshot goes */
};

/* The ring holds a whole comparison, so that what is timed is a commit and not the disk's random writes, which have a figure
 * of their own (sustained). */
static inline struct quire_region *region_make(const char *path, size_t length, uint32_t flags)
{
	struct quire_region *region;
	char name[256];
	const char *const endings[] = { "", ".journal", ".lock" };

	for (int i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		(void)unlink(name);
	}
	must(quire_region_open(NULL, path,
		     QUIRE_OPTIONS(region, .flags = flags | QUIRE_REGION_CREATE, .length = length,
			     .journal_bytes = (size_t)256 << 20),
		     &region),
		path);
	return region;
}

/* Every page read once: page cache and page tables are as full as they get. */
static inline void warm(const unsigned char *bytes, size_t length)
{
	static volatile unsigned int sink;

	for (size_t i = 0; i < length; i += PAGE)
		sink += bytes[i];
}

/* Stores to `pages` random pages; those of a region are announced when it is hinted. */
static inline void dirty(struct setup *s, unsigned char *bytes, bool announce)
{
	for (unsigned int i = 0; i < s->pages; i++) {
		unsigned char *at = bytes + bench_random() % (s->length / PAGE) * PAGE;

		*(uint64_t *)(void *)at = bench_random();
		if (announce)
			must(quire_region_touch(s->region, at, 8), "touch");
	}
}

enum { REPEAT = 3 };

/* Commit of what was just stored; the stores are not in the time: write faults have a goal of their own. */
static inline double run_commit(void *arg)
{
	struct setup *s = arg;
	uint64_t sum = 0;

	for (int i = 0; i < REPEAT; i++) {
		uint64_t began;

		dirty(s, s->bytes, s->hinted);
		began = bench_ns();
		must(quire_region_commit(s->region, NULL), "commit");
		sum += bench_ns() - began;
	}
	return (double)sum / REPEAT;
}

#endif
