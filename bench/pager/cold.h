/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of a file that lies on the disk alone, each way in a process of its own, so that no way leaves anything behind for
 * the next, and a way can be put into a memory cgroup. A way returns its reads in a second; the first word of every page
 * that is read must be right. The file is dropped from the page cache before each.
 */
#ifndef QUIRE_BENCH_COLD_H
#define QUIRE_BENCH_COLD_H

#include <sys/wait.h>

#include "common.h"

enum { AHEAD = 64, WAYS_MAX = 8, READERS_MAX = 16 };

struct cold {
	int fd;     /* read only */
	int direct; /* past the page cache */
	uint64_t bytes;
	uint64_t bound;  /* of our pool */
	uint64_t run_ns; /* how long a way runs */
	unsigned int readers;
	uint64_t seed;
};

typedef double cold_way(const struct cold *cold);

/* What a way has to say beside its speed. */
struct cold_result {
	double speed;
	double over; /* most memory in use, of the bound */
	uint64_t waits;
};

extern struct cold_result *cold_shared; /* between a way's process and us */

cold_way cold_ours_listed, cold_ours, cold_ours_sequential;
cold_way cold_mmap, cold_mmap_random, cold_mmap_willneed, cold_mmap_sequential, cold_mmap_sequential_hinted;
cold_way cold_ring, cold_pread, cold_pread_sequential;
cold_way cold_floor, cold_floor_sequential; /* of floor.c */

/* A way: loads of random pages of what is mapped there, by all readers. */
double cold_read_pages(const struct cold *cold, const unsigned char *bytes);

/* Runs a way in a child, in the group unless that is NULL. */
double cold_run(cold_way *way, struct cold *cold, const char *group);

#endif
