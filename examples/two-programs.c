/* SPDX-License-Identifier: Apache-2.0 */
/* Two programs that know nothing of each other but a file's name exchange integers through it. Without argument it
 * starts itself a second time, as an unrelated program, with the file's name. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

enum { NUMBERS = 10000 };

/** What lies in the file. turn: whose number is in the box, 0 nobody's, 1 the asker's, 2 the answerer's. */
struct box {
	atomic_uint turn;
	unsigned int number;
};

static struct box *box_open(const char *path, struct quire_map **map)
{
	assert(quire_map_file(NULL, path, QUIRE_READ | QUIRE_WRITE, map) == 0);
	return quire_map_address(*map);
}

static void await_turn(struct box *box, unsigned int turn)
{
	while (atomic_load(&box->turn) != turn)
		sched_yield();
}

static int answerer(const char *path)
{
	struct quire_map *map;
	struct box *box = box_open(path, &map);

	for (int i = 0; i < NUMBERS; i++) {
		await_turn(box, 1);
		box->number *= 2;
		atomic_store(&box->turn, 2);
	}
	return quire_unmap(map);
}

int main(int argc, char **argv)
{
	char path[] = "/tmp/two-programs-XXXXXX";
	char *arguments[] = { argv[0], path, NULL };
	unsigned long long sum = 0;
	struct quire_map *map;
	struct box *box;
	int fd, status;
	pid_t other;

	if (argc == 2)
		return answerer(argv[1]);

	fd = mkstemp(path);
	assert(fd >= 0 && ftruncate(fd, sizeof(struct box)) == 0);
	box = box_open(path, &map);
	assert(posix_spawn(&other, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
	for (unsigned int i = 0; i < NUMBERS; i++) {
		box->number = i;
		atomic_store(&box->turn, 1);
		await_turn(box, 2);
		sum += box->number;
	}
	assert(waitpid(other, &status, 0) == other && status == 0);
	printf("%d integers went there and came back doubled; their sum is %llu\n", NUMBERS, sum);
	assert(sum == 2ULL * NUMBERS * (NUMBERS - 1) / 2);
	assert(quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC) == 0 && quire_unmap(map) == 0);
	return unlink(path);
}
