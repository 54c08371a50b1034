/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/inspect/files.c - files: sparse, cached whole, trees, touched warm and cold; against vmtouch and fincore.
 *
 * Ours prints figures, the exact map, dirty and evicted pages; the peers print what they can: totals. Files are holes
 * that were read, so that nothing of the disk is measured where the disk is not the question.
 */
#include <quire/quire.h>

#include "inspect/command.h"

static char folder[256];

static void name_in(char *path, size_t bytes, const char *name)
{
	(void)snprintf(path, bytes, "%s/%s", folder, name);
}

/** A file that is all hole, and the part of it that is in the cache. */
struct hole {
	char path[300];
	uint64_t bytes;
	uint64_t cached_from;
	uint64_t cached;
};

static void fill_hole(void *of)
{
	static char block[1 << 20];
	const struct hole *hole = of;
	int fd = open(hole->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	bench_must(fd >= 0 && ftruncate(fd, (off_t)hole->bytes) == 0, "no scratch file");
	for (uint64_t done = 0; done < hole->cached; done += sizeof(block))
		bench_must(pread(fd, block, sizeof(block), (off_t)(hole->cached_from + done)) > 0,
			"a hole cannot be read");
	close(fd);
}

static void make_hole(
	struct hole *hole, const char *name, uint64_t bytes, uint64_t cached_from, uint64_t cached)
{
	*hole = (struct hole){ .bytes = bytes, .cached_from = cached_from, .cached = cached };
	name_in(hole->path, sizeof(hole->path), name);
	fill_hole(hole);
}

/* All three must count the same pages before a figure counts. */
static void check_counts(struct hole *hole, bool with_fincore)
{
	struct command ours = { { NULL, "presence", "--json", hole->path } };
	struct command vmtouch = { { "vmtouch", hole->path } };
	struct command fincore = { { "fincore", "-n", "-b", "-o", "PAGES", hole->path } };

	command_agree(&ours, "\"cached\"", 4096, &vmtouch, "Resident Pages:", fill_hole, hole);
	if (with_fincore)
		command_agree(&ours, "\"cached\"", 4096, &fincore, "", fill_hole, hole);
}

static void compare(
	const char *goal, const char *peer, const struct command *ours, const struct command *theirs, int n)
{
	struct bench_pairs pairs;
	char name[80];

	(void)command_pairs(ours, theirs, n, NULL, NULL, &pairs);
	(void)snprintf(name, sizeof(name), "%s.%s", goal, peer);
	bench_goal(name, pairs.ratio, &pairs);
}

/* Two to six seconds a run of a peer: one pair is what a quick run can afford, and the goal is a factor of hundreds. */
static void sparse(void)
{
	struct bench_pairs pairs;
	struct hole hole;
	struct command ours = { { NULL, "presence", "--json", "--runs", hole.path } };
	struct command vmtouch = { { "vmtouch", hole.path } }, fincore = { { "fincore", "-b", hole.path } };
	int n = bench_quick() ? 1 : 9;

	make_hole(&hole, "sparse", UINT64_C(1) << 40, UINT64_C(1) << 39, 64 << 20);
	check_counts(&hole, false);
	compare("inspect.sparse", "vmtouch", &ours, &vmtouch, n);
	compare("inspect.sparse", "fincore", &ours, &fincore, n);
	(void)command_pairs(&ours, &ours, bench_quick() ? 9 : 21, NULL, NULL, &pairs);
	bench_goal("inspect.sparse.time", pairs.ours_ns / 1e6, &pairs);
	(void)unlink(hole.path);
}

/* Filling the cache with 10 GiB takes longer than all that is measured on it: a quick run has 3. */
static uint64_t size_of_cached(void)
{
	struct quire_memory memory = { .size = sizeof(memory) };
	uint64_t most = (bench_quick() ? UINT64_C(3) : UINT64_C(10)) << 30;

	bench_must(quire_memory_read(&memory) == 0, "no memory figures");
	while (most > memory.available_bytes / 2)
		most /= 2;
	return most;
}

static void cached(void)
{
	struct hole hole;
	struct command ours = { { NULL, "presence", "--json", "--runs", hole.path } };
	struct command vmtouch = { { "vmtouch", hole.path } }, fincore = { { "fincore", "-b", hole.path } };
	struct command touch = { { NULL, "touch", "--missing", hole.path } },
		       vmtouch_t = { { "vmtouch", "-t", hole.path } }, nothing = { { NULL, "--version" } };
	struct bench_pairs pairs;
	uint64_t bytes = size_of_cached();
	int n = bench_quick() ? 9 : 21;

	make_hole(&hole, "cached", bytes, 0, bytes);
	check_counts(&hole, true);
	compare("inspect.cached", "vmtouch", &ours, &vmtouch, n);
	compare("inspect.cached", "fincore", &ours, &fincore, n);
	compare("inspect.touch", "cached", &touch, &vmtouch_t, n);
	/* What a command that does nothing would reach: with a quick run's 3 GiB, starting is most of the time. */
	(void)command_pairs(&nothing, &vmtouch_t, n, NULL, NULL, &pairs);
	bench_figure("inspect.touch.cached.floor", pairs.ratio, "x vmtouch -t");
	(void)unlink(hole.path);
}

static void drop(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	bench_must(fd >= 0 && fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0,
		"cannot drop a file");
	close(fd);
}

/* From the disk: bytes that are there, random so that nothing below can compress them. */
static void cold(void)
{
	static uint64_t block[1 << 17];
	char path[300];
	struct command ours = { { NULL, "touch", path } }, theirs = { { "vmtouch", "-t", path } };
	struct bench_pairs pairs;
	uint64_t seed = 1, bytes = (bench_quick() ? UINT64_C(256) : UINT64_C(2048)) << 20;
	int fd;

	name_in(path, sizeof(path), "cold");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bench_must(fd >= 0, "no scratch file");
	for (uint64_t done = 0; done < bytes; done += sizeof(block)) {
		for (size_t i = 0; i < sizeof(block) / sizeof(block[0]); i++)
			block[i] = seed = seed * 6364136223846793005U + 1442695040888963407U;
		bench_must(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block), "the disk is full");
	}
	bench_must(fsync(fd) == 0, "cannot write");
	close(fd);
	(void)command_pairs(&ours, &theirs, 9, drop, path, &pairs);
	bench_goal("inspect.touch.cold", pairs.ratio, &pairs);
	(void)unlink(path);
}

/* The same files, and the same pages of them. */
static void check_tree(const struct command *ours, const struct command *theirs, uint64_t files)
{
	static char text[OUTPUT_MAX];
	const char *sums;

	(void)command_run(ours, text);
	sums = strstr(text, "\"sums\"");
	sums = sums == NULL ? NULL : strstr(sums, "\"files\": ");
	bench_must(sums != NULL && strtoull(sums + 9, NULL, 10) == files, "ours counts other files");
	bench_must(command_number(theirs, "Files:") == files, "vmtouch counts other files");
	command_agree(ours, "\"cached_pages\"", 1, theirs, "Resident Pages:", NULL, NULL);
}

static void tree(void)
{
	static char text[10000];
	struct command ours = { { NULL, "presence", "--json", "-r", folder } },
		       theirs = { { "vmtouch", folder } };
	struct command remove_all = { { "rm", "-rf", folder } };
	struct bench_pairs pairs;
	int files = bench_quick() ? 20000 : 100000;
	char path[300];

	for (int i = 0; i < files; i++) {
		int fd;

		if (i % 100 == 0) {
			(void)snprintf(path, sizeof(path), "%s/%d", folder, i / 100);
			bench_must(mkdir(path, 0700) == 0, "no folder");
		}
		(void)snprintf(path, sizeof(path), "%s/%d/%d", folder, i / 100, i % 100);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		bench_must(fd >= 0 && write(fd, text, (size_t)(1 + i % 9000)) > 0, "the disk is full");
		close(fd);
	}
	check_tree(&ours, &theirs, (uint64_t)files);
	(void)command_pairs(&ours, &theirs, bench_quick() ? 9 : 21, NULL, NULL, &pairs);
	bench_goal("inspect.tree", pairs.ratio, &pairs);
	(void)command_run(&remove_all, NULL);
}

int main(void)
{
	command_folder(folder, sizeof(folder));
	sparse();
	cached();
	cold();
	tree();
	return 0;
}
