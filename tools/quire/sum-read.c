/* SPDX-License-Identifier: Apache-2.0 */
/* sum-read.c - read(2): through the page cache, or past it with O_DIRECT. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "sum.h"

/* Through the cache 256 KiB: the copy is still in the processor's cache when it is summed. Past it 4 MiB: every call
 * waits for the device, so few calls. */
enum { CACHED_CHUNK = 256 << 10, DIRECT_CHUNK = 4 << 20 };

static int fail_read(struct sum *sum, uint64_t offset)
{
	return sum_fail(sum, -errno, "%s: cannot be read at offset %llu: %s", text_name(sum->path).s,
		(unsigned long long)offset, strerror(errno));
}

static ssize_t read_some(const struct sum *sum, int fd, void *to, size_t room, uint64_t offset)
{
	ssize_t n;

	do
		n = sum->has_size ? pread(fd, to, room, (off_t)offset) : read(fd, to, room);
	while (n < 0 && errno == EINTR);
	return n;
}

static int stream_chunks(struct sum *sum, int fd, void *buffer, size_t chunk, uint64_t at, uint64_t end)
{
	while (at < end) {
		/* Not cut to the end of the range: O_DIRECT wants whole blocks. Behind a short read the offset is no
		 * multiple of one, and the cache tells whether the file ends there. */
		ssize_t n = read_some(sum, at % SUM_BLOCK == 0 ? fd : sum->fd, buffer, chunk, at);

		if (n < 0)
			return fail_read(sum, at);
		if (n == 0)
			return sum->has_size ? sum_fail_cut(sum, at) : 0;
		if ((uint64_t)n > end - at)
			n = (ssize_t)(end - at);
		digest_stream(&sum->digest, buffer, (size_t)n);
		at += (uint64_t)n;
		progress_at(at);
	}
	return 0;
}

static int block_read(struct sum *sum, int fd, void *buffer, uint64_t block)
{
	size_t length = sum_block_length(sum, block);
	ssize_t n = read_some(sum, fd, buffer, SUM_BLOCK, block * SUM_BLOCK);

	if (n < 0)
		return fail_read(sum, block * SUM_BLOCK);
	if ((size_t)n < length)
		return sum_fail_cut(sum, block * SUM_BLOCK + (uint64_t)n);
	digest_block(&sum->digest, block, buffer, length);
	return 0;
}

static int random_blocks(struct sum *sum, int fd, void *buffer)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < sum->random; i++) {
		r = block_read(sum, fd, buffer, sum_random_block(sum, i));
		progress_at(sum->digest.bytes);
	}
	return r;
}

static void *buffer_new(struct sum *sum, size_t bytes, int *r)
{
	void *buffer = aligned_alloc(SUM_BLOCK, bytes);

	*r = buffer == NULL ? sum_fail(sum, -ENOMEM, "no memory for a buffer") : 0;
	return buffer;
}

static int advise(struct sum *sum)
{
	/* in the order of enum quire_advice: normal, random, sequential, willneed, dontneed */
	static const int advices[] = { POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL,
		POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED };

	if (sum->has_size && sum->advice < sizeof(advices) / sizeof(advices[0]))
		return -posix_fadvise(sum->fd, 0, 0, advices[sum->advice]);
	return 0;
}

static int read_stream(struct sum *sum, uint64_t first, uint64_t end)
{
	int r;
	void *buffer = buffer_new(sum, CACHED_CHUNK, &r);

	(void)advise(sum); /* advice is no order */
	if (r == 0)
		r = stream_chunks(sum, sum->fd, buffer, CACHED_CHUNK, first, end);
	free(buffer);
	return r;
}

static int read_blocks(struct sum *sum)
{
	int r;
	void *buffer = buffer_new(sum, SUM_BLOCK, &r);

	(void)advise(sum);
	if (r == 0)
		r = random_blocks(sum, sum->fd, buffer);
	free(buffer);
	return r;
}

static int direct_fd(struct sum *sum)
{
	int fd = sum_open_direct(sum);

	if (fd == -EINVAL)
		return sum_fail(sum, fd,
			"%s: lies on a filesystem that cannot bypass the page cache (no O_DIRECT)",
			text_name(sum->path).s);
	if (fd < 0)
		return sum_fail(sum, fd, "%s: cannot be opened past the page cache: %s",
			text_name(sum->path).s, strerror(-fd));
	return fd;
}

static int direct_stream(struct sum *sum, uint64_t first, uint64_t end)
{
	int r, fd = direct_fd(sum);
	void *buffer;

	if (fd < 0)
		return fd;
	buffer = buffer_new(sum, DIRECT_CHUNK, &r);
	if (r == 0)
		r = stream_chunks(sum, fd, buffer, DIRECT_CHUNK, first, end);
	free(buffer);
	close(fd);
	return r;
}

static int direct_blocks(struct sum *sum)
{
	int r, fd = direct_fd(sum);
	void *buffer;

	if (fd < 0)
		return fd;
	buffer = buffer_new(sum, SUM_BLOCK, &r);
	if (r == 0)
		r = random_blocks(sum, fd, buffer);
	free(buffer);
	close(fd);
	return r;
}

const struct sum_method sum_by_read = {
	.name = "read",
	.what = "read(2) through the page cache",
	.pipes = true,
	.stream = read_stream,
	.blocks = read_blocks,
};

const struct sum_method sum_by_direct = {
	.name = "direct",
	.what = "read(2) past the page cache (O_DIRECT)",
	.stream = direct_stream,
	.blocks = direct_blocks,
};
