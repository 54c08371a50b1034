/* SPDX-License-Identifier: Apache-2.0 */
/* sum.c - what all ways to sum a file share: the digest, opening, measuring. */
#include "sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"

void digest_begin(struct digest *digest, bool blocks)
{
	*digest = (struct digest){ .blocks = blocks };
	XXH3_64bits_reset(&digest->state);
}

void digest_stream(struct digest *digest, const void *bytes, size_t length)
{
	XXH3_64bits_update(&digest->state, bytes, length);
	digest->bytes += length;
}

/* The block's number is the seed, so that swapped blocks are noticed though addition has no order. */
void digest_block(struct digest *digest, uint64_t block, const void *bytes, size_t length)
{
	digest->added += XXH3_64bits_withSeed(bytes, length, block);
	digest->bytes += length;
}

uint64_t digest_value(const struct digest *digest)
{
	return digest->blocks ? digest->added : XXH3_64bits_digest(&digest->state);
}

/* splitmix64: any i gives its number at once, so methods may ask in any order. */
uint64_t sum_random_block(const struct sum *sum, uint64_t i)
{
	uint64_t blocks = (sum->size + SUM_BLOCK - 1) / SUM_BLOCK;
	uint64_t z = sum->seed + (i + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % blocks;
}

size_t sum_block_length(const struct sum *sum, uint64_t block)
{
	uint64_t rest = sum->size - block * SUM_BLOCK;

	return rest < SUM_BLOCK ? (size_t)rest : SUM_BLOCK;
}

int sum_fail(struct sum *sum, int error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(sum->text, sizeof(sum->text), format, list);
	va_end(list);
	return error;
}

int sum_fail_cut(struct sum *sum, uint64_t offset)
{
	return sum_fail(sum, -ENODATA,
		"%s: was cut off while it was being read: there is nothing at offset %llu any more",
		text_name(sum->path).s, (unsigned long long)offset);
}

int sum_open_direct(const struct sum *sum)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", sum->fd);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd;
}

/* Samples instead of cachestat: a read that may not wait says whether the byte is there. It starts read-ahead where it
 * is not, which we are about to ask for anyway. */
static double residency_by_sampling(const struct sum *sum, uint64_t first, uint64_t end)
{
	enum { SAMPLES = 16 };
	unsigned int there = 0;

	for (unsigned int i = 0; i < SAMPLES; i++) {
		char byte;
		struct iovec to = { .iov_base = &byte, .iov_len = 1 };
		ssize_t n = preadv2(
			sum->fd, &to, 1, (off_t)(first + (end - first) / SAMPLES * i), RWF_NOWAIT);

		if (n < 0 && errno != EAGAIN)
			return -1;
		there += n == 1;
	}
	return (double)there / SAMPLES;
}

/* How many pages of a range are cached; negative where the kernel has no cachestat(2): it came with Linux 6.5, and
 * Debian 12 has no header for it. */
static int64_t cached_pages(const struct sum *sum, uint64_t offset, uint64_t length)
{
	enum { CACHESTAT = 451 };
	struct {
		uint64_t offset, length;
	} range = { .offset = offset, .length = length };
	struct {
		uint64_t cached, dirty, writeback, evicted, recently_evicted;
	} pages = { 0 };

	return syscall(CACHESTAT, sum->fd, &range, &pages, 0) != 0 ? -1 : (int64_t)pages.cached;
}

/* In stripes: cachestat takes 8 ns a page, and asking for each would be 3 % of the time in which a cached file is summed. */
double sum_residency(const struct sum *sum, uint64_t first, uint64_t end)
{
	enum { STRIPES = 16, STRIPE_BYTES = 256 << 10 };
	uint64_t step = (end - first) / STRIPES / SUM_BLOCK * SUM_BLOCK;
	uint64_t stripe = step < STRIPE_BYTES ? step : STRIPE_BYTES;
	int64_t there = 0;

	if (end <= first || step == 0)
		return end <= first ? 1 : residency_by_sampling(sum, first, end);
	for (uint64_t i = 0; i < STRIPES; i++) {
		int64_t n = cached_pages(sum, first + i * step, stripe);

		if (n < 0)
			return residency_by_sampling(sum, first, end);
		there += n;
	}
	return (double)there * SUM_BLOCK / ((double)STRIPES * (double)stripe);
}

/* What a regular file of no size, as in /proc, would give to read(2). */
static int check_empty(struct sum *sum)
{
	char byte;

	if (!sum->has_size || sum->size != 0 || pread(sum->fd, &byte, 1, 0) <= 0)
		return 0;
	if (!sum->method->pipes)
		return sum_fail(sum, -EINVAL,
			"%s: has no size but has content, as files in /proc do; only --by read can sum it",
			text_name(sum->path).s);
	sum->has_size = false;
	return 0;
}

/* Asked before opening: to open a pipe waits for its other end. */
static int check_kind(struct sum *sum, const struct stat *st)
{
	const char *name = text_name(sum->path).s;
	bool sized = S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);

	if (S_ISDIR(st->st_mode))
		return sum_fail(sum, -EISDIR, "%s: is a directory; name the files in it", name);
	if (S_ISSOCK(st->st_mode))
		return sum_fail(sum, -EINVAL, "%s: is a socket, not a file", name);
	if (!sized && (!sum->method->pipes || sum->random != 0))
		return sum_fail(sum, -ESPIPE,
			"%s: is a %s, which can only be read from start to end: --by read", name,
			S_ISFIFO(st->st_mode) ? "pipe" : "device without a size");
	sum->has_size = sized;
	return 0;
}

static int sum_open(struct sum *sum)
{
	bool standard_input = strcmp(sum->path, "-") == 0;
	struct stat st;
	off_t end;
	int r;

	if ((standard_input ? fstat(STDIN_FILENO, &st) : stat(sum->path, &st)) != 0)
		return sum_fail(sum, -errno, "%s: %s", text_name(sum->path).s, strerror(errno));
	r = check_kind(sum, &st);
	if (r < 0)
		return r;
	sum->fd = standard_input ? dup(STDIN_FILENO) : open(sum->path, O_RDONLY | O_CLOEXEC);
	if (sum->fd < 0)
		return sum_fail(
			sum, -errno, "%s: cannot be opened: %s", text_name(sum->path).s, strerror(errno));
	if (sum->has_size) {
		end = lseek(sum->fd, 0, SEEK_END); /* knows the size of block devices too */
		sum->size = end < 0 ? 0 : (uint64_t)end;
	}
	return check_empty(sum);
}

static void forget_cached(const struct sum *sum)
{
	/* advice may be ignored, and nothing is promised */
	if (sum->has_size) {
		(void)fdatasync(sum->fd);
		(void)posix_fadvise(sum->fd, 0, 0, POSIX_FADV_DONTNEED);
	}
}

static int sum_bytes(struct sum *sum)
{
	digest_begin(&sum->digest, sum->random != 0);
	if (sum->random == 0)
		return sum->method->stream(sum, 0, sum->has_size ? sum->size : UINT64_MAX);
	if (sum->size == 0)
		return 0;
	return sum->method->blocks(sum);
}

void sum_run(struct sum *sum)
{
	struct rusage before, after;
	double began;

	sum->fd = -1;
	sum->error = sum_open(sum);
	if (sum->error == 0) {
		if (sum->cold)
			forget_cached(sum);
		getrusage(RUSAGE_SELF, &before);
		began = now_seconds();
		sum->error = sum_bytes(sum);
		sum->seconds = now_seconds() - began;
		getrusage(RUSAGE_SELF, &after);
		sum->minor_faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
		sum->major_faults = (uint64_t)(after.ru_majflt - before.ru_majflt);
	}
	if (sum->fd >= 0)
		close(sum->fd);
}
