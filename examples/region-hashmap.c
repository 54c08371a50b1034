/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map in a file, filled by a process that is killed in the middle, again and again. Argument: how many pairs. */
#include <quire/quire.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUCKETS = 1 << 17, BATCH = 5000 };

struct pair {
	uint64_t next, key, value; /* next: an offset, true wherever the file is mapped */
};

struct map {
	uint64_t count, buckets[BUCKETS];
};

static struct quire_region *region;
static struct map *map;

static void must(int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s\n", quire_error_text());
	exit(1);
}

static void open_map(const char *path)
{
	void *root;

	must(quire_region_open(NULL, path,
		QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE | QUIRE_REGION_HEAP), &region));
	must(quire_region_root(region, sizeof(*map), &root));
	map = root;
}

static uint64_t hash(uint64_t key)
{
	return (key * 0x9E3779B97F4A7C15U) >> 47;
}

static void put(uint64_t key, uint64_t value)
{
	void *memory;
	struct pair *pair;

	must(quire_region_alloc(region, sizeof(*pair), &memory));
	pair = memory;
	*pair = (struct pair){ map->buckets[hash(key)], key, value };
	map->buckets[hash(key)] = quire_region_offset(region, pair);
	map->count++;
}

static const struct pair *get(uint64_t key)
{
	const struct pair *pair = quire_region_pointer(region, map->buckets[hash(key)]);

	while (pair != NULL && pair->key != key)
		pair = quire_region_pointer(region, pair->next);
	return pair;
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000, kills = 0;
	char path[64] = "", name[80];
	const char *const endings[] = { "", ".journal", ".lock" };

	snprintf(path, sizeof(path), "hashmap-%d", (int)getpid());
	for (pid_t child; (child = fork()) >= 0; kills++) {
		if (child == 0) {
			for (open_map(path); map->count < wanted; must(quire_region_commit(region, NULL)))
				for (uint64_t i = 0, key = map->count; i < BATCH; i++, key++)
					put(key, key * key);
			_exit(0);
		}
		usleep((unsigned int)(50000 +
			kills * 50000)); /* and then in the middle of whatever it does */
		kill(child, SIGKILL);
		wait(NULL);
		open_map(path);
		for (uint64_t key = 0; key < map->count; key++)
			if (get(key) == NULL || get(key)->value != key * key)
				return 1;
		must(quire_region_check(region, NULL));
		printf("after %lu kills: %lu pairs, all right\n", kills + 1, map->count);
		if (map->count >= wanted)
			break;
		must(quire_region_abort(region)); /* the root of an empty map was made and not committed */
		must(quire_region_close(region));
	}
	must(quire_region_close(region));
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		unlink(name);
	}
	return map == NULL || wanted == 0;
}
