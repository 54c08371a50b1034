/* SPDX-License-Identifier: Apache-2.0 */
/* object/filter-checksum.c - a flipped bit is an error, not data. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/align.h"
#include "base/error.h"
#include "object/filter.h"
#include "sys/file.h"

/*
 * The file of checksums: 16 bytes "QUIRESUM" and a version, little-endian, then 8 bytes a page; 0: not known. A page whose
 * checksum happens to be 0 is taken as 1: it is verified all the same, against one value in 2^64 that it could share.
 */
enum { HEAD_BYTES = 16, VERSION = 1 };

struct checksum {
	struct filter filter;
	_Atomic uint64_t *sums;
	uint64_t pages;
	char *path;
};

static struct checksum *of(struct filter *filter)
{
	return CONTAINER_OF(filter, struct checksum, filter);
}

static uint64_t sum_page(const struct io *io, uint32_t i)
{
	size_t start = (size_t)i * PAGE_BYTES;
	size_t there = io->length > start ? min_u64(io->length - start, PAGE_BYTES) : 0;
	uint64_t sum = XXH3_64bits(io->memory[i], there);

	return sum == 0 ? 1 : sum;
}

/* What is put is what must come back. */
static int remember(struct filter *filter, struct io *io)
{
	struct checksum *checksum = of(filter);

	for (uint32_t i = 0; io->kind == IO_PUT && i < io->count; i++)
		if (io->first + i < checksum->pages)
			atomic_store(&checksum->sums[io->first + i], sum_page(io, i));
	return 0;
}

static void verify(struct filter *filter, struct io *io)
{
	struct checksum *checksum = of(filter);

	if (io->kind != IO_GET || io->error < 0)
		return;
	for (uint32_t i = 0; i < io->count && io->first + i < checksum->pages; i++) {
		uint64_t sum = sum_page(io, i);
		uint64_t known = 0;

		if (!atomic_compare_exchange_strong(&checksum->sums[io->first + i], &known, sum) &&
			known != sum)
			io->error = -EBADMSG;
	}
}

/* ---- between runs ---- */

static int load(struct checksum *checksum)
{
	char head[HEAD_BYTES] = { 0 };
	int fd = sys_open(checksum->path, O_RDONLY, 0);
	ssize_t n;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return error_set(fd, "cannot open checksums %s: %s", checksum->path, strerror(-fd));
	n = sys_pread(fd, head, sizeof(head), 0);
	if (n != HEAD_BYTES || memcmp(head, "QUIRESUM", 8) != 0 || head[8] != VERSION) {
		sys_close(fd);
		return error_set(
			-EBADMSG, "%s is no file of checksums (version %d)", checksum->path, VERSION);
	}
	n = sys_pread(fd, (void *)(uintptr_t)checksum->sums, checksum->pages * sizeof(uint64_t), HEAD_BYTES);
	sys_close(fd);
	return n < 0 ? error_set((int)n, "cannot read %s: %s", checksum->path, strerror((int)-n)) : 0;
}

static void save(const struct checksum *checksum)
{
	char head[HEAD_BYTES] = "QUIRESUM";
	int fd = sys_open(checksum->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		return; /* the pages are right; only their checksums are forgotten, and learned again */
	head[8] = VERSION;
	(void)sys_pwrite(fd, head, sizeof(head), 0);
	(void)sys_pwrite(
		fd, (const void *)(uintptr_t)checksum->sums, checksum->pages * sizeof(uint64_t), HEAD_BYTES);
	sys_close(fd);
}

static void checksum_close(struct filter *filter)
{
	struct checksum *checksum = of(filter);

	if (checksum->path != NULL && checksum->sums != NULL)
		save(checksum);
	free((void *)(uintptr_t)checksum->sums);
	free(checksum->path);
}

static const struct filter_kind checksum_kind = {
	.before = remember, .after = verify, .close = checksum_close
};

int filter_checksum(struct object *next, const char *path, struct object **object)
{
	struct checksum *checksum = calloc(1, sizeof(*checksum));
	uint64_t bytes;
	int r;

	if (checksum == NULL)
		return error_set(-ENOMEM, "no memory for a filter");
	r = object_size(next, &bytes);
	if (r == 0) {
		checksum->pages = align_up(bytes, PAGE_BYTES) >> PAGE_SHIFT;
		checksum->sums = calloc(max_u64(checksum->pages, 1), sizeof(*checksum->sums));
		checksum->path = path == NULL ? NULL : strdup(path);
		if (checksum->sums == NULL || (path != NULL && checksum->path == NULL))
			r = error_set(
				-ENOMEM, "no memory for %llu checksums", (unsigned long long)checksum->pages);
	}
	if (r == 0 && path != NULL)
		r = load(checksum);
	if (r < 0) {
		free((void *)(uintptr_t)checksum->sums);
		free(checksum->path);
		free(checksum);
		return r;
	}
	filter_init(&checksum->filter, &checksum_kind, next, true);
	*object = &checksum->filter.object;
	return 0;
}
