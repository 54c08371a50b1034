/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire sum --by auto beside the best of mmap, read and uring: on a cached file, and on one that lies on the disk alone.
 *
 * Every turn runs each way, warm the quicker of two. The best way is the one with the best median; the value is the median of the turns'
 * ratios to it. The seconds are
 * those the command measures from open to close; the checksums must be equal. Before each cold run the file is dropped
 * from the page cache and mincore must agree.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bench.h"

enum { WAYS = 4, TURNS_MAX = 21, STEP = 1 << 20 };

static const char *const ways[WAYS] = { "auto", "mmap", "read", "uring" };

static const char *command;
static char path[4096];
static uint64_t bytes;
static char checksum[64]; /* of the first run; all others must find the same */

static void remove_file(void)
{
	(void)unlink(path);
}

/* Bytes that no filesystem can compress or leave out, on the disk for good. */
static void make_file(void)
{
	const char *directory = getenv("TMPDIR");
	uint64_t *block = malloc(STEP);
	uint64_t state = 88172645463325252U;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/quire-bench-sum-XXXXXX", directory ? directory : "/var/tmp");
	fd = mkstemp(path);
	bench_must(fd >= 0 && block != NULL, "no scratch file: set TMPDIR");
	bench_must(atexit(remove_file) == 0, "atexit");
	for (uint64_t done = 0; done < bytes; done += STEP) {
		for (int i = 0; i < STEP / 8; i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			block[i] = state;
		}
		bench_must(write(fd, block, STEP) == STEP, "the disk is full");
	}
	bench_must(fsync(fd) == 0, "fsync");
	free(block);
	close(fd);
}

static double resident(int fd)
{
	uint64_t pages = bytes / 4096, found = 0;
	unsigned char *in = malloc(pages);
	void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	bench_must(in != NULL && at != MAP_FAILED && mincore(at, bytes, in) == 0, "mincore");
	for (uint64_t i = 0; i < pages; i++)
		found += in[i] & 1;
	munmap(at, bytes);
	free(in);
	return (double)found / (double)pages;
}

static void drop_cache(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	bench_must(fd >= 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise");
	bench_must(resident(fd) < 0.01, "the file stays in the page cache");
	close(fd);
}

static void fill_cache(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *block = malloc(STEP);

	bench_must(fd >= 0 && block != NULL, "open");
	while (read(fd, block, STEP) > 0)
		continue;
	bench_must(resident(fd) > 0.99, "the file does not fit in memory");
	free(block);
	close(fd);
}

/* The value behind "key": in the command's JSON, without quotes. */
static void json_value(const char *json, const char *key, char *value, size_t room)
{
	char quoted[64];
	const char *at;
	size_t length;

	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", key);
	at = strstr(json, quoted);
	bench_must(at != NULL, key);
	at += strlen(quoted) + strspn(at + strlen(quoted), ": \"");
	length = strcspn(at, ",\"}\n ");
	bench_must(length < room, key);
	memcpy(value, at, length);
	value[length] = '\0';
}

/* Seconds of one run. */
static double run(const char *way, bool cold)
{
	char line[8192], json[8192], value[64];
	FILE *pipe;
	size_t n;

	if (cold)
		drop_cache();
	(void)snprintf(line, sizeof(line), "'%s' sum --json --by %s '%s'", command, way, path);
	pipe = popen(line, "r");
	bench_must(pipe != NULL, line);
	n = fread(json, 1, sizeof(json) - 1, pipe);
	json[n] = '\0';
	bench_must(pclose(pipe) == 0, line);

	json_value(json, "bytes", value, sizeof(value));
	bench_must(strtoull(value, NULL, 10) == bytes, "not all bytes were summed");
	json_value(json, "checksum", value, sizeof(value));
	if (checksum[0] == '\0')
		memcpy(checksum, value, sizeof(value));
	bench_must(strcmp(checksum, value) == 0, "two ways found different checksums");
	json_value(json, "seconds", value, sizeof(value));
	return strtod(value, NULL);
}

/* A cached file takes so short that one preemption shows. */
static double run_best(const char *way, bool cold)
{
	double first = run(way, cold);
	double second = cold ? first : run(way, cold);

	return first < second ? first : second;
}

static void measure(const char *goal, int turns, bool cold)
{
	double seconds[WAYS][TURNS_MAX], sorted[WAYS][TURNS_MAX], ratio[TURNS_MAX];
	struct bench_pairs pairs = { .n = turns };
	char name[64];
	int best = 1;

	/* Another way begins each turn. */
	for (int turn = 0; turn < turns; turn++)
		for (int i = 0; i < WAYS; i++)
			seconds[(i + turn) % WAYS][turn] = run_best(ways[(i + turn) % WAYS], cold);

	memcpy(sorted, seconds, sizeof(sorted));
	for (int way = 1; way < WAYS; way++)
		if (bench_quantile(sorted[way], turns, 0.5) < bench_quantile(sorted[best], turns, 0.5))
			best = way;
	for (int turn = 0; turn < turns; turn++)
		ratio[turn] = seconds[best][turn] / seconds[0][turn];
	pairs.ratio = bench_quantile(ratio, turns, 0.5);
	pairs.spread = (bench_quantile(ratio, turns, 0.75) - bench_quantile(ratio, turns, 0.25)) /
		pairs.ratio;
	pairs.ours_ns = bench_quantile(sorted[0], turns, 0.5) * 1e9;
	pairs.theirs_ns = pairs.ours_ns * pairs.ratio;
	bench_goal(goal, pairs.ratio, &pairs);
	for (int way = 0; way < WAYS; way++) {
		(void)snprintf(name, sizeof(name), "%s.%s", goal, ways[way]);
		bench_figure(name, (double)bytes / bench_quantile(sorted[way], turns, 0.5) / 1e9, "GB/s");
	}
}

int main(void)
{
	int quick = bench_quick();

	command = getenv("QUIRE_COMMAND");
	bench_must(command != NULL, "QUIRE_COMMAND says where the command is; bench/run sets it");
	bytes = (uint64_t)(quick ? 256 : 1024) << 20;
	make_file();
	fill_cache();
	(void)run("auto", false); /* the command's own pages */
	measure("mapping.sum.warm", quick ? 13 : TURNS_MAX, false);
	measure("mapping.sum.cold", quick ? 9 : TURNS_MAX, true);
	return 0;
}
