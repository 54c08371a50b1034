/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores that are noticed: the first one into a page, beside ext4's own first write fault; and the look for what was
 * written in 1 GiB of which every hundredth page was, beside one PAGEMAP_SCAN of as much.
 */
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

static double kernel(void *arg)
{
	const struct setup *s = arg;
	unsigned char *bytes = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	double ns;

	bench_must(bytes != MAP_FAILED, "mmap");
	bench_must(fdatasync(s->fd) == 0, "fdatasync"); /* every page is clean */
	load_all(s, bytes);
	ns = store_all(s, bytes);
	munmap(bytes, s->bytes);
	return ns;
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

struct look {
	struct quire_map *map;
	unsigned char *bytes;
	uint64_t length;
	atomic_ulong *put;
	uint64_t state;
};

/* ASYNC: finds out what was written, and has it written back by others. */
static double look(void *arg)
{
	struct look *l = arg;
	uint64_t pages = l->length / PAGE;
	uint64_t written = 0;
	uint64_t before;
	uint64_t began;
	double ns;

	must(quire_map_flush(l->map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC));
	before = atomic_load(l->put);
	for (uint64_t page = next_random(&l->state) % 200; page < pages;
		page += 1 + next_random(&l->state) % 200) {
		l->bytes[page * PAGE]++;
		written++;
	}
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
	uint64_t pages = l->length / PAGE;
	uint64_t began;

	for (uint64_t page = next_random(&l->state) % 200; page < pages;
		page += 1 + next_random(&l->state) % 200)
		l->bytes[page * PAGE]++;
	began = bench_ns();
	must(quire_map_flush(l->map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC));
	return (double)(bench_ns() - began);
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
	bench_figure("pager.scan.flush", pairs.theirs_ns / 1e6 / per_gib, "ms/GiB");
	paged_close(&paged);
}

int main(void)
{
	struct setup s = { .bytes = bench_quick() ? 16 * MIB : 128 * MIB };
	struct bench_pairs pairs;

	bench_pin(0);
	s.fd = known_file(s.bytes);
	pairs = bench_pairs(tracked, kernel, &s);
	bench_goal("pager.write", pairs.ratio, &pairs);
	scan((uint64_t)(bench_quick() ? 256 : 1024) * MIB);
	return 0;
}
