/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tour-cache.c - a corpus of eight times the cache, scanned and read at random through plain pointers; what the kernel says
 * it takes; and a bit that flips on the way from the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "clock.h"
#include "resident.h"
#include "sum.h"
#include "tour.h"

enum { PAGE = 4096, TIMES = 8, CACHE_MIN = 64 << 10, LOOKS = 4, BINS = 60, RANDOM_READS = 20000, AHEAD = 64 };

/* Of the process beside its pages: stacks of the pool's threads, and what the C library keeps. */
static const uint64_t beside_bytes = 512 << 10;

/** A disk between the corpus and us, which lies about one page when it is told to. */
struct disk {
	int fd;
	uint64_t bytes;
	int64_t flipped; /* page; -1: none */
};

struct station_cache {
	struct tour *tour;
	struct disk disk;
	uint64_t cache_bytes;
	struct quire_pool *pool;
	struct quire_object *checked;
	struct quire_map *map;
	const char *bytes;
	uint64_t before;
	uint64_t most;
};

/* May run in a signal handler: pread and nothing else. */
static int disk_get(void *user, uint64_t offset, void *memory, size_t length)
{
	const struct disk *disk = user;
	uint64_t at = (uint64_t)disk->flipped * PAGE;
	size_t done = 0;

	while (done < length) {
		ssize_t n = pread(disk->fd, (char *)memory + done, length - done, (off_t)(offset + done));

		if (n <= 0)
			return n < 0 ? -EIO : -ENODATA;
		done += (size_t)n;
	}
	if (disk->flipped >= 0 && at >= offset && at < offset + length)
		((char *)memory)[at - offset] ^= 1;
	return 0;
}

/* ---- open ---- */

static int open_objects(struct station_cache *s)
{
	struct quire_object *disk;
	int r = quire_object_open(QUIRE_OPTIONS(object, .user = &s->disk, .get = disk_get,
					  .length = s->disk.bytes, .signal_safe = 1),
		&disk);

	if (r == 0)
		r = quire_object_checksum(disk, NULL, &s->checked);
	return r;
}

static int open_cache(struct station_cache *s)
{
	int r = quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = s->cache_bytes, .syscalls_only_pinned = 1,
					.publish = "tour"),
		&s->pool);

	if (r == 0)
		r = open_objects(s);
	if (r == 0)
		r = quire_map(NULL,
			QUIRE_OPTIONS(map, .object = s->checked, .engine = QUIRE_ENGINE_PAGED,
				.pool = s->pool, .protection = QUIRE_READ, .sharing = QUIRE_SHARED,
				.guard = QUIRE_GUARD_ZEROS, .advice = QUIRE_SEQUENTIAL),
			&s->map);
	if (r < 0) {
		complain("%s", quire_error_text());
		return r;
	}
	s->bytes = quire_map_address(s->map);
	s->before = resident_now();
	return 0;
}

static void close_cache(struct station_cache *s)
{
	if (s->map != NULL)
		quire_unmap(s->map);
	quire_object_close(s->checked);
	if (s->pool != NULL)
		quire_pool_close(s->pool);
	close(s->disk.fd);
}

static struct quire_pool_stats stats_of(const struct station_cache *s)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };

	(void)quire_pool_stats(s->pool, &stats); /* fails on a wrong size only */
	return stats;
}

/* ---- scan ---- */

/* One cell a sixtieth of the corpus: how much of it is in the pool now. */
static void draw_resident(struct station_cache *s, unsigned int percent)
{
	size_t pages = (s->disk.bytes + PAGE - 1) / PAGE;
	unsigned char *in = malloc(pages + 1);
	double levels[BINS] = { 0 };
	uint64_t beyond = resident_beyond(s->before, &s->most);

	if (in == NULL || !tour_for_people(s->tour) ||
		quire_map_residency(s->map, 0, s->disk.bytes, in, NULL) < 0) {
		free(in);
		return;
	}
	for (size_t i = 0; i < pages; i++)
		levels[i * BINS / pages] += (in[i] & 1) * (double)BINS / (double)pages;
	say(s->tour->screen, INK_FAINT, "  %3u %% ", percent);
	draw_strip_beside(s->tour->screen, 18, INK_PRESENT, levels, BINS);
	say(s->tour->screen, INK_PLAIN, " %9s\n", text_bytes(beyond).s);
	fflush(s->tour->screen->out);
	free(in);
}

static uint64_t sum_mapped(struct station_cache *s)
{
	struct digest digest;
	uint64_t step = s->disk.bytes / LOOKS + 1;

	digest_begin(&digest, false);
	for (unsigned int i = 0; i < LOOKS; i++) {
		uint64_t end = (i + 1) * step < s->disk.bytes ? (i + 1) * step : s->disk.bytes;

		for (uint64_t at = i * step; at < end; at += CACHE_MIN) {
			digest_stream(&digest, s->bytes + at, end - at < CACHE_MIN ? end - at : CACHE_MIN);
			if (at % (16 * CACHE_MIN) < CACHE_MIN)
				(void)resident_beyond(s->before, &s->most);
		}
		draw_resident(s, (i + 1) * 100 / LOOKS);
	}
	return digest_value(&digest);
}

static uint64_t sum_read(const struct station_cache *s)
{
	char buffer[CACHE_MIN];
	struct digest digest;
	ssize_t n;
	uint64_t at = 0;

	digest_begin(&digest, false);
	while ((n = pread(s->disk.fd, buffer, sizeof(buffer), (off_t)at)) > 0) {
		digest_stream(&digest, buffer, (size_t)n);
		at += (uint64_t)n;
	}
	return digest_value(&digest);
}

static void scan(struct station_cache *s, json_t *object)
{
	double began = now_seconds();
	uint64_t mapped = sum_mapped(s);
	double seconds = now_seconds() - began;

	json_put_real(object, "scan_seconds", seconds);
	tour_check(s->tour, mapped == sum_read(s),
		"Every byte read through the pointers, in %s: the checksum is "
		"that of read(2).",
		text_seconds(seconds).s);
}

/* ---- random ---- */

static uint64_t nth_page(const struct station_cache *s, uint64_t i)
{
	const struct sum like = { .size = s->disk.bytes, .seed = 4 };

	return sum_random_block(&like, i);
}

static void read_at_random(struct station_cache *s, json_t *object)
{
	double began = now_seconds();
	uint64_t wrong = 0;

	quire_map_advise(s->map, 0, quire_map_length(s->map), QUIRE_RANDOM);
	for (uint64_t i = 0; i < RANDOM_READS; i++) {
		uint64_t offset = nth_page(s, i) * PAGE;
		size_t length = s->disk.bytes - offset < PAGE ? s->disk.bytes - offset : PAGE;
		const struct quire_range ahead = { nth_page(s, i + AHEAD) * PAGE, 1 };
		char page[PAGE];

		if (pread(s->disk.fd, page, length, (off_t)offset) != (ssize_t)length)
			wrong++;
		(void)quire_map_prefetch(s->map, &ahead, 1);
		wrong += memcmp(s->bytes + offset, page, length) != 0;
		if (i % 256 == 0)
			(void)resident_beyond(s->before, &s->most);
	}
	json_put_count(object, "random_reads", RANDOM_READS);
	json_put_real(object, "random_seconds", now_seconds() - began);
	tour_check(s->tour, wrong == 0, "%s random pages, asked for %d ahead, are those of the file.",
		text_count(RANDOM_READS).s, AHEAD);
}

static void check_bound(struct station_cache *s, json_t *object)
{
	struct quire_pool_stats stats = stats_of(s);
	uint64_t allowed = s->cache_bytes + s->cache_bytes / 50 + beside_bytes;

	json_put_count(object, "cache_bytes", s->cache_bytes);
	json_put_count(object, "resident_max_bytes", s->most);
	json_put_count(object, "faults", stats.faults);
	json_put_count(object, "evicted", stats.evicted);
	json_put_text(object, "delivery_why", stats.why);
	tour_check(s->tour, s->most <= allowed,
		"/proc never showed more than %s beyond what was there before; the bound is %s.",
		text_bytes(s->most).s, text_bytes(s->cache_bytes).s);
	tour_check(s->tour, s->disk.bytes <= s->cache_bytes || stats.evicted > 0,
		"%s pages were read and %s evicted for it.", text_count(stats.fills).s,
		text_count(stats.evicted).s);
}

/* ---- a flipped bit ---- */

static void flip_a_bit(struct station_cache *s, json_t *object)
{
	uint64_t pages = (s->disk.bytes + PAGE - 1) / PAGE;
	uint64_t page = pages / 3;
	uint64_t beside = page > 0 ? page - 1 : pages - 1;
	char before = s->bytes[page * PAGE];
	int error;

	quire_map_advise(s->map, 0, quire_map_length(s->map), QUIRE_PAGEOUT); /* so that it is read again */
	s->disk.flipped = (int64_t)page;
	json_put_count(object, "flipped_offset", page * PAGE);
	error = s->bytes[page * PAGE] == 0 ? quire_map_error(s->map, NULL) : 0;
	json_put_count(object, "flip_errno", (uint64_t)-error);
	tour_check(s->tour, error == -EBADMSG,
		"One bit flipped on its way from the disk: the page's checksum is wrong, and the mapping says so instead of "
		"showing it.");
	tour_check(s->tour, pages == 1 || quire_map_try_read(s->map, beside * PAGE, &(char){ 0 }, 1) == 0,
		"The page beside it can be read.");
	s->disk.flipped = -1;
	error = quire_map_repair(s->map);
	tour_check(s->tour, error == 0 && s->bytes[page * PAGE] == before,
		"Repaired: the same pointer shows what is right.");
}

static int run_cache(struct tour *tour, json_t *object)
{
	struct station_cache s = { .tour = tour,
		.disk = { .fd = open(tour->corpus, O_RDONLY | O_CLOEXEC),
			.bytes = tour->corpus_bytes,
			.flipped = -1 } };
	int r;

	if (s.disk.fd < 0) {
		complain("%s: %s", text_name(tour->corpus).s, strerror(errno));
		return -errno;
	}
	s.cache_bytes = tour->corpus_bytes / TIMES / PAGE * PAGE;
	if (s.cache_bytes < CACHE_MIN)
		s.cache_bytes = CACHE_MIN;
	tour_say(tour,
		"%s mapped through a cache of %s that Quire fills and empties itself. The strip shows what of the corpus is in "
		"memory, and the figure beside it what the kernel counts.",
		text_bytes(tour->corpus_bytes).s, text_bytes(s.cache_bytes).s);
	r = open_cache(&s);
	if (r == 0) {
		json_put_count(object, "bytes", tour->corpus_bytes);
		scan(&s, object);
		read_at_random(&s, object);
		check_bound(&s, object);
		flip_a_bit(&s, object);
	}
	close_cache(&s);
	return r;
}

const struct station station_cache = {
	.name = "cache",
	.title = "More than memory: a page cache of our own, with a bound",
	.run = run_cache,
};
