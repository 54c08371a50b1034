/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map in a file that may be killed at any moment: the next start goes on. Arguments: the file, how many pairs. */
#include <quire/quire.h>
#include <stdio.h>
#include <stdlib.h>

struct pair {
	uint64_t next, key, value; /* next: an offset, true wherever the file is mapped */
};

static struct quire_region *region;
static struct {
	uint64_t count, buckets[1 << 17];
} * map;

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

static uint64_t *bucket(uint64_t key)
{
	return &map->buckets[(key * 0x9E3779B97F4A7C15U) >> 47];
}

static void put(uint64_t key, uint64_t value)
{
	void *pair;

	must(quire_region_alloc(region, sizeof(struct pair), &pair));
	*(struct pair *)pair = (struct pair){ *bucket(key), key, value };
	*bucket(key) = quire_region_offset(region, pair);
	map->count++;
}

static uint64_t get(uint64_t key)
{
	const struct pair *pair = quire_region_pointer(region, *bucket(key));

	while (pair != NULL && pair->key != key)
		pair = quire_region_pointer(region, pair->next);
	return pair == NULL ? 0 : pair->value;
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;

	open_map(argc > 1 ? argv[1] : "hashmap");
	for (uint64_t key = 0; key < map->count; key++)
		if (get(key) != ~key)
			return 1;
	must(quire_region_check(region, NULL));
	printf("found %lu pairs, all right\n", map->count);
	fflush(stdout);
	while (map->count < wanted) {
		for (unsigned int i = 0; i < 5000; i++)
			put(map->count, ~map->count);
		must(quire_region_commit(region, NULL));
	}
	printf("left %lu pairs\n", map->count);
	must(quire_region_close(region));
	return 0;
}
