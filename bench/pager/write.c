/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores that are noticed: the first one into a page, beside ext4's own first write fault; and the look for what was
 * written in 1 GiB of which every hundredth page was, beside the kernel's part of it: one PAGEMAP_SCAN of the same mapping.
 */
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "common.h"

struct setup {
	int fd;
	uint64_t bytes;
};

enum { CHUNK = 64 };

static void load_all(const struct setup *s, const unsigned char *bytes)
{
	for (uint64_t at = 0; at < s->bytes; at += PAGE)
		bench_must(*(const volatile uint64_t *)(const void *)(bytes + at) == word_of(at / 8),
			"a page was wrong");
}

/* What is there already, so that the file stays known. Median of chunks, per page. */
static double store_all(const struct setup *s, unsigned char *bytes)
{
	size_t count = s->bytes / PAGE / CHUNK;
	double *chunks = malloc(count * sizeof(*chunks));
	double ns;

	bench_must(chunks != NULL, "memory");
	for (size_t i = 0; i < count; i++) {
		uint64_t began = bench_ns();

		for (uint64_t at = i * CHUNK * PAGE; at < (i + 1) * CHUNK * PAGE; at += PAGE)
			*(volatile uint64_t *)(void *)(bytes + at) = word_of(at / 8);
		chunks[i] = (double)(bench_ns() - began) / CHUNK;
	}
	ns = bench_quantile(chunks, (int)count, 0.5);
	free(chunks);
	return ns;
}

static double tracked(void *arg)
{
	const struct setup *s = arg;
	struct paged paged;
	uint64_t put;
	double ns;

	paged_pool(&paged, s->bytes * 2, 0, QUIRE_DELIVERY_INLINE);
	paged_file(&paged, s->fd, QUIRE_READ | QUIRE_WRITE, QUIRE_SEQUENTIAL);
	load_all(s, paged.bytes);
	ns = store_all(s, paged.bytes);
	put = paged_stats(&paged).put;
	must(quire_map_flush(paged.map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC));
	put = paged_stats(&paged).put - put;
	bench_must(put == s->bytes / PAGE, "a store was not noticed");
	paged_close(&paged);
	return ns;
}

/* The folios that a fault finds are those of the read before: of 4 KiB with MADV_RANDOM. */
static double kernel_stores(const struct setup *s, int advice)
{
	unsigned char *bytes = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	double ns;

	bench_must(bytes != MAP_FAILED && madvise(bytes, s->bytes, advice) == 0, "mmap");
	bench_must(fdatasync(s->fd) == 0, "fdatasync"); /* every page is clean */
	bench_must(posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise");
	load_all(s, bytes);
	ns = store_all(s, bytes);
	munmap(bytes, s->bytes);
	return ns;
}

static double kernel(void *arg)
{
	return kernel_stores(arg, MADV_RANDOM);
}

/* ---- the look ---- */

static int get_zeros(void *user, uint64_t offset, void *memory, size_t length)
{
	(void)user;
	(void)offset;
	memset(memory, 0, length);
	return 0;
}

static int put_nowhere(void *user, uint64_t offset, const void *memory, size_t length)
{
	(void)offset;
	(void)memory;
	atomic_fetch_add((atomic_ulong *)user, length / PAGE);
	return 0;
}

/* The headers may be older than the kernel (6.7). */
#ifndef PAGEMAP_SCAN
struct page_region {
	uint64_t start, end, categories;
};
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN (1 << 1)
#endif

struct look {
	struct quire_map *map;
	unsigned char *bytes;
	uint64_t length;
	atomic_ulong *put;
	uint64_t state;
};

static uint64_t store_some(struct look *l)
{
	uint64_t written = 0;

	for (uint64_t page = next_random(&l->state) % 200; page < l->length / PAGE;
		page += 1 + next_random(&l->state) % 200, written++)
		l->bytes[page * PAGE]++;
	return written;
}

/* ASYNC: finds out what was written, and has it written back by others. */
static double look(void *arg)
{
	struct look *l = arg;
	uint64_t written;
	uint64_t before;
	uint64_t began;
	double ns;

	must(quire_map_flush(l->map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC));
	before = atomic_load(l->put);
	written = store_some(l);
	began = bench_ns();
	must(quire_map_flush(l->map, 0, QUIRE_TO_END, QUIRE_FLUSH_ASYNC));
	ns = (double)(bench_ns() - began);
	must(quire_map_flush(l->map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC));
	bench_must(atomic_load(l->put) - before == written, "a store was not noticed, or noticed twice");
	return ns;
}

/* The whole of a flush, with a device that takes no time. */
static double whole(void *arg)
{
	struct look *l = arg;
	uint64_t began;

	(void)store_some(l);
	began = bench_ns();
	must(quire_map_flush(l->map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC));
	return (double)(bench_ns() - began);
}

/* The kernel alone: one pass over the same page table, with room for every answer. Median of rounds. */
static double bare_look(struct look *l)
{
	enum { ROUNDS = 9, ROOM = 1 << 14 };
	static struct page_region regions[ROOM];
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct pm_scan_arg scan = { .size = sizeof(scan),
		.start = (uintptr_t)l->bytes,
		.end = (uintptr_t)l->bytes + l->length,
		.vec = (uintptr_t)regions,
		.vec_len = ROOM,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN };
	double times[ROUNDS];

	bench_must(pagemap >= 0, "/proc/self/pagemap");
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t began;
		int n;

		must(quire_map_flush(l->map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC));
		(void)store_some(l);
		began = bench_ns();
		n = ioctl(pagemap, PAGEMAP_SCAN, &scan);
		times[i] = (double)(bench_ns() - began);
		bench_must(n > 0 && n < ROOM, "PAGEMAP_SCAN");
	}
	close(pagemap);
	return bench_quantile(times, ROUNDS, 0.5);
}

static void scan(uint64_t length)
{
	double per_gib = (double)length / (1 << 30);
	struct bench_pairs pairs;
	struct quire_object *object;
	struct paged paged;
	atomic_ulong put = 0;
	struct look l = { .length = length, .put = &put, .state = 88172645463325252U };

	paged_pool(&paged, length + length / 8, 0, QUIRE_DELIVERY_INLINE);
	must(quire_object_open(QUIRE_OPTIONS(object, .user = &put, .get = get_zeros, .put = put_nowhere,
				       .length = length, .signal_safe = 1),
		&object));
	must(quire_map(NULL,
		QUIRE_OPTIONS(map, .object = object, .engine = QUIRE_ENGINE_PAGED, .pool = paged.pool,
			.sharing = QUIRE_SHARED, .protection = QUIRE_READ | QUIRE_WRITE,
			.advice = QUIRE_SEQUENTIAL),
		&paged.map));
	quire_object_close(object);
	l.map = paged.map;
	l.bytes = quire_map_address(paged.map);
	for (uint64_t at = 0; at < length; at += PAGE)
		bench_must(((volatile unsigned char *)l.bytes)[at] == 0, "a page was wrong");
	pairs = bench_pairs(look, whole, &l);
	bench_goal("pager.scan", pairs.ours_ns / 1e6 / per_gib, &pairs);
	bench_figure("pager.scan.floor", bare_look(&l) / 1e6 / per_gib, "ms/GiB");
	bench_figure("pager.scan.flush", pairs.theirs_ns / 1e6 / per_gib, "ms/GiB");
	paged_close(&paged);
}

int main(void)
{
	struct setup s = { .bytes = bench_quick() ? 16 * MIB : 64 * MIB };
	struct bench_pairs pairs;

	bench_pin(0);
	s.fd = known_file(s.bytes);
	pairs = bench_pairs(tracked, kernel, &s);
	bench_goal("pager.write", pairs.ratio, &pairs);
	bench_figure("pager.write.folios", kernel_stores(&s, MADV_NORMAL), "ns");
	scan((uint64_t)(bench_quick() ? 256 : 1024) * MIB);
	return 0;
}
