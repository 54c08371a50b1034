/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/look.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/align.h"
#include "base/error.h"

#include "sys/directory.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/probe.h"
#include "sys/proc.h"

/* The user who stands in for those that a user namespace cannot name: being him is no ownership. */
#define NOBODY_KNOWS 65534U

const char look_why_permission[] = "the kernel only tells the owner, or who may write the file";
static const char why_kernel[] = "this kernel has no cachestat (Linux 6.5 has)";
static const char why_overlay[] = "on overlayfs the kernel counts no pages (cachestat sees the wrong inode)";
static const char why_dax[] = "DAX: the file is memory itself, no page cache lies between";
static const char why_access_time[] = "asking would change the file's access time";

/* Another description of the same file, or -errno. */
static int open_again(int fd)
{
	char same[32];
	int r;

	(void)snprintf(same, sizeof(same), "/proc/self/fd/%d", fd);
	r = sys_open(same, O_RDONLY | O_NOATIME | O_NONBLOCK, 0);
	if (r == -EPERM) /* only the owner may ask for O_NOATIME */
		r = sys_open(same, O_RDONLY | O_NONBLOCK, 0);
	return r;
}

/* O_PATH touches nothing, so a FIFO gets no reader and a tape does not rewind while we find out what the name is. */
int look_open(int directory, const char *path, int *fd)
{
	struct stat stat;
	int place = sys_openat(directory, path, O_PATH);
	int r;

	if (place < 0)
		return place;

	r = sys_fstat(place, &stat);
	if (r == 0 && S_ISDIR(stat.st_mode))
		r = error_set(-EISDIR, "%s is a directory", path);
	else if (r == 0 && !S_ISREG(stat.st_mode))
		r = error_set(-ENODEV, "%s is no regular file: it was not opened", path);
	if (r < 0)
		goto close_place;

	r = open_again(place);
	if (r >= 0)
		*fd = r;

close_place:
	sys_close(place);
	return r < 0 ? r : 0;
}

/* The kernel's own rule for mincore: the owner, or who may write. cachestat had no such rule before 6.15. */
static bool may_know(int fd, const struct stat *stat)
{
	unsigned int me = sys_effective_user();

	if (me == stat->st_uid && me != NOBODY_KNOWS)
		return true;
	if (me == 0 && stat->st_uid != NOBODY_KNOWS)
		return true;
	return sys_faccessat(fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) == 0;
}

static void refuse(struct look *look, const char *why)
{
	look->counts = false;
	look->bits = false;
	look->why = why;
}

/* Small enough to be asked at every file: who may not know gets EPERM for every range. */
static void ask_permission(struct look *look)
{
	struct sys_cachestat counts;
	int r = sys_probe(PROBE_CACHESTAT).masked ? -ENOSYS : sys_cachestat(look->fd, 0, 1, &counts);

	look->counts = r == 0 && look->backing != QUIRE_BACKING_OVERLAY;
	if (r == -EPERM)
		refuse(look, look_why_permission);
	else if (r < 0)
		look->why = why_kernel;
	else if (look->backing == QUIRE_BACKING_OVERLAY)
		look->why = why_overlay;
}

void look_know(int fd, const struct stat *stat, uint32_t backing, bool quiet, struct look *look)
{
	*look = (struct look){ .fd = fd, .backing = backing, .bytes = (uint64_t)stat->st_size, .why = "" };
	if (backing == QUIRE_BACKING_HUGETLBFS) {
		look->held_pages = (uint64_t)stat->st_blocks / (PAGE_BYTES / 512);
		return;
	}
	if (backing == QUIRE_BACKING_DAX) {
		refuse(look, why_dax);
		return;
	}

	look->bits = may_know(fd, stat);
	ask_permission(look);
	if (look->bits && !quiet) {
		look->bits = false;
		if (!look->counts)
			look->why = why_access_time;
	}
	if (!look->bits && !look->counts && look->why != why_access_time)
		look->why = look_why_permission;
}

int look_at(int fd, struct look *look)
{
	struct stat stat;
	struct statfs filesystem = { .f_type = 0 };
	uint32_t backing;
	bool quiet;
	int r;

	r = sys_fstat(fd, &stat);
	if (r == 0 && !S_ISREG(stat.st_mode))
		r = error_set(-ENODEV, "the descriptor is no regular file");
	if (r == 0)
		r = sys_fstatfs(fd, &filesystem);
	if (r < 0)
		return r;

	backing = look_backing(&filesystem);
	if (backing == QUIRE_BACKING_DISK && sys_is_dax(fd) == 1)
		backing = QUIRE_BACKING_DAX;

	r = sys_status_flags(fd);
	if (r < 0)
		return r;
	quiet = (r & O_NOATIME) != 0 || ((unsigned long)filesystem.f_flags & (ST_NOATIME | ST_RDONLY)) != 0;
	look_know(fd, &stat, backing, quiet, look);
	return 0;
}

int look_counts(const struct look *look, uint64_t page, uint64_t pages, struct sys_cachestat *counts)
{
	assert(pages != 0);
	return sys_cachestat(look->fd, page << PAGE_SHIFT, pages << PAGE_SHIFT, counts);
}

/* A mapping without any permission: it can be asked about, and never be touched by mistake. */
int look_bits(const struct look *look, uint64_t page, uint64_t pages, unsigned char *bits)
{
	uintptr_t at;
	/* A probe mapping. */
	int r = sys_mmap(0, pages << PAGE_SHIFT, PROT_NONE, MAP_SHARED, look->fd, page << PAGE_SHIFT, &at);

	if (r < 0)
		return r;
	do
		r = sys_mincore(at, pages << PAGE_SHIFT, bits);
	while (r == -EAGAIN); /* the kernel lacked a page for its answer, for the moment */
	(void)sys_munmap(at, pages << PAGE_SHIFT); /* a probe mapping of our own can be unmapped */
	return r;
}

/* Eight pages at a time: each byte of bits is 0 or 1, so the product's top byte is their sum. */
static uint64_t count_bits(const unsigned char *bits, size_t n)
{
	uint64_t sum = 0;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t eight;

		memcpy(&eight, bits + i, 8);
		sum += ((eight & 0x0101010101010101U) * 0x0101010101010101U) >> 56;
	}
	for (; i < n; i++)
		sum += bits[i] & 1U;
	return sum;
}

enum { BITS_AT_ONCE = 8192 }; /* 32 MiB of file a call: the call itself is then below 0.1 % of the cost */

static int64_t ready_of(const struct look *look, uint64_t page, uint64_t end)
{
	unsigned char bits[BITS_AT_ONCE];
	uint64_t ready = 0;

	for (; page < end; page += sizeof(bits)) {
		uint64_t n = min_u64(end - page, sizeof(bits));
		int r = look_bits(look, page, n, bits);

		if (r < 0)
			return r;
		ready += count_bits(bits, n);
	}
	return (int64_t)ready;
}

/*
 * A file of memory has nothing in its holes, and mincore takes 7 seconds for a hole of 1 TiB. `own` is a descriptor
 * with a position of its own.
 */
static int64_t ready_of_data(const struct look *look, int own, uint64_t page, uint64_t end)
{
	uint64_t data = page << PAGE_SHIFT, hole;
	int64_t ready = 0;
	int r;

	while ((r = sys_next_data(own, &data, &hole)) > 0 && data >> PAGE_SHIFT < end) {
		int64_t n = ready_of(
			look, data >> PAGE_SHIFT, min_u64(end, align_up(hole, PAGE_BYTES) >> PAGE_SHIFT));

		if (n < 0)
			return n;
		ready += n;
		data = align_up(hole, PAGE_BYTES);
	}
	return r < 0 ? r : ready;
}

int64_t look_ready(const struct look *look, uint64_t page, uint64_t pages)
{
	int64_t ready;
	int own = -1;

	if (look->backing == QUIRE_BACKING_TMPFS && pages > BITS_AT_ONCE)
		own = open_again(look->fd);
	if (own < 0)
		return ready_of(look, page, page + pages);
	ready = ready_of_data(look, own, page, page + pages);
	sys_close(own);
	return ready;
}
