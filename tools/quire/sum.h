/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum.h - one checksum, many ways to get at the bytes.
 *
 * Every way delivers the same bytes to the same digest, so equal checksums prove that it works and the clock says what
 * it costs. A file is summed up to the size it has when it is opened: what is appended later does not count, and what
 * is cut off is an error.
 */
#ifndef QUIRE_TOOL_SUM_H
#define QUIRE_TOOL_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "verbs.h"

enum { SUM_BLOCK = 4096 }; /* what --random reads at once, and what O_DIRECT is aligned to */

/** The sum of bytes in order, or of blocks in any order (then the blocks' sums are added). */
struct digest {
	XXH3_state_t state;
	uint64_t added;
	uint64_t bytes;
	bool blocks;
};

void digest_begin(struct digest *digest, bool blocks);
void digest_stream(struct digest *digest, const void *bytes, size_t length);
void digest_block(struct digest *digest, uint64_t block, const void *bytes, size_t length);
uint64_t digest_value(const struct digest *digest);

struct sum;

/** A way to get at the bytes. */
struct sum_method {
	const char *name;
	const char *what;
	bool pipes; /* can it do without a size? */

	/* Bytes from first to end, in order; end is UINT64_MAX for what has no size. 0 or a negative errno, after
	 * sum_fail(). */
	int (*stream)(struct sum *sum, uint64_t first, uint64_t end);

	/* sum->random blocks, chosen by sum_random_block(). */
	int (*blocks)(struct sum *sum);
};

extern const struct sum_method sum_by_mmap;
extern const struct sum_method sum_by_read;
extern const struct sum_method sum_by_direct;
extern const struct sum_method sum_by_uring;
extern const struct sum_method sum_by_paged;
extern const struct sum_method sum_by_auto;

/** One file being summed in one way. */
struct sum {
	/* in */
	const char *path;
	const struct sum_method *method;
	uint64_t random; /* blocks; 0: all bytes in order */
	uint64_t seed;
	uint32_t advice; /* an enum quire_advice */
	bool populate;
	bool cold;
	uint64_t cache_bytes; /* paged: the most it may hold */

	/* set by sum_open() */
	int fd;
	bool has_size;
	uint64_t size;

	/* out */
	struct digest digest;
	double seconds;
	uint64_t minor_faults;
	uint64_t major_faults;
	bool paged;            /* these three are set */
	uint64_t faults;       /* that the pool answered */
	uint64_t waits;        /* of them, those that found no frame free */
	uint64_t resident_max; /* what the kernel counted at most, beyond what was there before */
	int error;             /* 0 or a negative errno */
	char why[256];         /* what auto did, and why */
	char text[512];        /* what went wrong */
};

/* Opens, sums, closes and measures; the outcome is in *sum. */
void sum_run(struct sum *sum);

/* Notes what went wrong; returns error. */
int sum_fail(struct sum *sum, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a file that turned out to be shorter than it was. */
int sum_fail_cut(struct sum *sum, uint64_t offset);

/* The i-th block of a --random run; the same for every method. */
uint64_t sum_random_block(const struct sum *sum, uint64_t i);

/* Length of a block: shorter at the end of the file. */
size_t sum_block_length(const struct sum *sum, uint64_t block);

/* A second descriptor of the file, past the page cache; a negative errno when the filesystem has no such thing. */
int sum_open_direct(const struct sum *sum);

/* How much of a range is in the page cache, 0 to 1; -1 when that cannot be known. */
double sum_residency(const struct sum *sum, uint64_t first, uint64_t end);

#endif
