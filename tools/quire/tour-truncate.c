/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tour-truncate.c - the file is cut while a thread reads its mapping.
 *
 * With mmap alone the thread, and the program with it, would die of SIGBUS. Here it reads zeros and goes on, the handle
 * says what is missing, everything before the cut is intact, and when the file has grown back the same pointers show it.
 *
 *	blocks   0                      cut                    last
 *	before   |######################|######################|
 *	cut      |######################|                      |   zeros, and an error
 *	regrown  |######################|                      |   still zeros: nothing changes behind your back
 *	repaired |######################|######################|
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "clock.h"
#include "scratch.h"
#include "tour.h"

enum { BLOCK = 64 << 10, BLOCKS_MAX = 512 }; /* 32 MiB */

/** The copy that is cut, its mapping, and its reader. */
struct victim {
	struct tour *tour;
	const char *path;
	int fd;
	size_t bytes;
	size_t blocks;
	char *original; /* what the file held */
	uint64_t sums[BLOCKS_MAX];
	struct quire_map *map;
	const char *address;

	pthread_t thread;
	atomic_bool stop;
	atomic_ulong passes;
	atomic_ulong missing; /* blocks that were not what they had been, over all passes */
	atomic_ulong strange; /* blocks that were neither the original, nor the original and then zeros */
};

static size_t block_bytes(const struct victim *victim, size_t block)
{
	size_t rest = victim->bytes - block * BLOCK;

	return rest < BLOCK ? rest : BLOCK;
}

static uint64_t block_sum(const struct victim *victim, size_t block)
{
	return XXH3_64bits(victim->address + block * BLOCK, block_bytes(victim, block));
}

static bool block_intact(const struct victim *victim, size_t block)
{
	return block_sum(victim, block) == victim->sums[block];
}

/* A block that is cut shows what it held up to some byte, and zeros from there. */
static bool block_explained(const struct victim *victim, size_t block)
{
	const char *now = victim->address + block * BLOCK, *then = victim->original + block * BLOCK;
	size_t length = block_bytes(victim, block), same = 0;

	while (same < length && now[same] == then[same])
		same++;
	while (same < length && now[same] == 0)
		same++;
	return same == length;
}

/* The file changes three times while we look, and a look takes time: one that saw the change itself is repeated. */
static bool block_strange(const struct victim *victim, size_t block)
{
	for (int i = 0; i < 4; i++)
		if (block_explained(victim, block) || block_intact(victim, block))
			return false;
	return true;
}

static void *reader(void *argument)
{
	struct victim *victim = argument;

	while (!atomic_load(&victim->stop)) {
		for (size_t i = 0; i < victim->blocks; i++) {
			if (block_intact(victim, i))
				continue;
			atomic_fetch_add(&victim->missing, 1);
			if (block_strange(victim, i))
				atomic_fetch_add(&victim->strange, 1);
		}
		atomic_fetch_add(&victim->passes, 1);
	}
	return NULL;
}

/* Until the reader has gone all over it once more; 0, or -ETIMEDOUT when it stopped. */
static int await_pass(struct victim *victim)
{
	/* the pass that is under way may have begun before */
	unsigned long goal = atomic_load(&victim->passes) + 2;
	double began = now_seconds();

	while (atomic_load(&victim->passes) < goal) {
		if (now_seconds() - began > 20) {
			complain("the reading thread does not go on");
			return -ETIMEDOUT;
		}
		usleep(1000);
	}
	return 0;
}

static int copy_in(struct victim *victim)
{
	int fd = open(victim->tour->corpus, O_RDONLY | O_CLOEXEC);
	size_t wanted = (size_t)BLOCK * BLOCKS_MAX;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	victim->original = malloc(wanted);
	while (victim->original != NULL && victim->bytes < wanted &&
		(n = read(fd, victim->original + victim->bytes, wanted - victim->bytes)) > 0)
		victim->bytes += (size_t)n;
	close(fd);
	victim->blocks = (victim->bytes + BLOCK - 1) / BLOCK;
	return victim->original == NULL ? -ENOMEM : n < 0 || victim->bytes == 0 ? -EIO : 0;
}

/* From an offset to the end, what it held. */
static int write_back(struct victim *victim, size_t from)
{
	while (from < victim->bytes) {
		ssize_t n = pwrite(victim->fd, victim->original + from, victim->bytes - from, (off_t)from);

		if (n < 0)
			return -errno;
		from += (size_t)n;
	}
	return 0;
}

static int victim_open(struct victim *victim)
{
	int r = copy_in(victim);

	if (r < 0)
		return r;
	victim->path = scratch_path("victim");
	if (victim->path == NULL)
		return -ENAMETOOLONG;
	victim->fd = open(victim->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (victim->fd < 0)
		return -errno;
	r = write_back(victim, 0);
	if (r < 0)
		return r;
	r = quire_map_file(NULL, victim->path, QUIRE_READ, &victim->map);
	if (r < 0)
		return r;
	victim->address = quire_map_address(victim->map);
	for (size_t i = 0; i < victim->blocks; i++)
		victim->sums[i] = block_sum(victim, i);
	return 0;
}

static void victim_close(struct victim *victim)
{
	quire_unmap(victim->map);
	if (victim->fd >= 0)
		close(victim->fd);
	free(victim->original);
}

static size_t count_intact(const struct victim *victim, size_t from, size_t to)
{
	size_t intact = 0;

	for (size_t i = from; i < to; i++)
		intact += block_intact(victim, i);
	return intact;
}

static void picture(struct victim *victim, const char *what)
{
	struct screen *screen = victim->tour->screen;
	double levels[64];

	if (!tour_for_people(victim->tour))
		return;
	for (size_t i = 0; i < 64; i++) {
		size_t from = i * victim->blocks / 64, to = (i + 1) * victim->blocks / 64;

		levels[i] = to > from ? (double)count_intact(victim, from, to) / (double)(to - from) : 1;
	}
	say(screen, INK_PLAIN, "  %-9s|", what);
	draw_strip_beside(screen, 13, INK_PRESENT, levels, 64);
	say(screen, INK_PLAIN, "|\n");
	fflush(screen->out);
}

static const char *cause_name(unsigned int cause)
{
	return cause == QUIRE_CAUSE_TRUNCATED ? "truncated" : "another cause";
}

static int cut(struct victim *victim, size_t at, json_t *object)
{
	struct quire_fault fault = { .size = sizeof(fault) };
	struct tour *tour = victim->tour;
	int r;

	if (ftruncate(victim->fd, (off_t)at) != 0)
		return -errno;
	r = await_pass(victim);
	if (r < 0)
		return r;
	picture(victim, "cut");
	r = quire_map_error(victim->map, &fault);
	tour_say(tour, "The handle says: \"%s\"", r < 0 ? quire_error_text() : "no error");
	json_put_text(object, "error", quire_error_text());
	json_put_count(object, "fault_offset", fault.offset);
	json_put_text(object, "cause", cause_name(fault.cause));
	tour_check(tour, r == -ENODATA && fault.cause == QUIRE_CAUSE_TRUNCATED,
		"The error is known, with its cause: %s.", cause_name(fault.cause));
	tour_check(tour, fault.offset >= at && fault.offset < victim->bytes,
		"It names a byte behind the cut: offset %s, cut at %s.", text_count(fault.offset).s,
		text_count(at).s);
	tour_check(tour, count_intact(victim, 0, at / BLOCK) == at / BLOCK,
		"All %zu blocks before the cut have their checksum.", at / BLOCK);
	tour_check(tour,
		count_intact(victim, at / BLOCK + 1, victim->blocks) == 0 &&
			atomic_load(&victim->missing) > 0,
		"The blocks behind it read as zeros, and the reading thread is alive.");
	return 0;
}

static int mend(struct victim *victim, size_t at, json_t *object)
{
	struct tour *tour = victim->tour;
	int r = write_back(victim, at);

	if (r < 0)
		return r;
	tour_say(tour,
		"Now the file grows back to its %s. Nothing changes behind the reader's back, until "
		"quire_map_repair() is called.",
		text_bytes(victim->bytes).s);
	picture(victim, "regrown");
	tour_check(tour, count_intact(victim, at / BLOCK + 1, victim->blocks) == 0,
		"The blocks behind the cut are still zeros.");
	r = quire_map_repair(victim->map);
	json_put_count(object, "repair_errno", (uint64_t)-r);
	tour_check(tour, r == 0, "The repair succeeds%s%s.", r == 0 ? "" : ": ",
		r == 0 ? "" : quire_error_text());
	picture(victim, "repaired");
	tour_check(tour, count_intact(victim, 0, victim->blocks) == victim->blocks,
		"All %zu blocks have their checksum again.", victim->blocks);
	tour_check(tour, quire_map_address(victim->map) == victim->address, "At the same pointers.");
	tour_check(
		tour, quire_map_error(victim->map, NULL) == 0, "And the handle carries no error any more.");
	return await_pass(victim);
}

/* The cut is in the middle of a page, to be unkind. */
static int show(struct victim *victim, json_t *object)
{
	size_t at = victim->bytes / 2 + 1234;
	int r;

	if (at > victim->bytes)
		at = victim->bytes / 2;
	json_put_count(object, "bytes", victim->bytes);
	json_put_count(object, "cut_at", at);
	picture(victim, "before");
	r = await_pass(victim);
	if (r == 0)
		r = cut(victim, at, object);
	if (r == 0)
		r = mend(victim, at, object);
	return r;
}

static int show_with_reader(struct victim *victim, json_t *object)
{
	struct tour *tour = victim->tour;
	int r = -pthread_create(&victim->thread, NULL, reader, victim);

	if (r < 0)
		return r;
	r = show(victim, object);
	atomic_store(&victim->stop, true);
	pthread_join(victim->thread, NULL);
	json_put_count(object, "reader_passes", atomic_load(&victim->passes));
	json_put_count(object, "reader_blocks_missing", atomic_load(&victim->missing));
	tour_check(tour, atomic_load(&victim->strange) == 0,
		"Meanwhile the thread went over all of it %s times, met %s missing blocks, and never a wrong byte.",
		text_count(atomic_load(&victim->passes)).s, text_count(atomic_load(&victim->missing)).s);
	return r;
}

static int run_truncate(struct tour *tour, json_t *object)
{
	struct victim *victim = calloc(1, sizeof(*victim));
	int r;

	if (victim == NULL)
		return -ENOMEM;
	victim->tour = tour;
	victim->fd = -1;
	r = victim_open(victim);
	if (r < 0) {
		complain("the file to be cut cannot be made: %s", strerror(-r));
	} else {
		tour_say(tour,
			"A copy of %s is mapped, and a thread reads it without end. Then the file is cut in half. "
			"With mmap alone, the program would die of SIGBUS here.",
			text_bytes(victim->bytes).s);
		r = show_with_reader(victim, object);
	}
	victim_close(victim);
	free(victim);
	return r;
}

const struct station station_truncate = {
	.name = "truncate",
	.title = "A file cut under its reader is an error, not the end",
	.run = run_truncate,
};
