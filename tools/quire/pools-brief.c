/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pools-brief.c - the page caches that a process publishes, beside what the kernel shows of it.
 *
 * The kernel sees frames: memory without the name of a file. Which file's pages they are, only the pool knows.
 */
#include <string.h>

#include <quire/quire.h>

#include "pools-brief.h"

void pools_say(struct screen *screen, int pid)
{
	struct quire_pool_stats pool = { .size = sizeof(pool) };
	struct quire_map_stats map = { .size = sizeof(map) };
	struct quire_pools *pools;
	const char *name;
	int r;

	if (quire_pools_open(pid, &pools) < 0)
		return;
	while ((r = quire_pools_next(pools, &name, &pool)) != 0) {
		if (r < 0) {
			say_paragraph(screen, INK_PROBLEM, 2,
				"? A page cache of this process cannot be read: %s.", quire_error_text());
			continue;
		}
		say_paragraph(screen, INK_PLAIN, 2,
			"Its own page cache %s holds %s of at most %s (" QUIRE_PROGRAM " pool %d):",
			text_name(name).s, text_bytes(pool.used_bytes).s, text_bytes(pool.cache_bytes).s,
			pid);
		while (quire_pools_next_map(pools, &name, &map) == 1)
			say_paragraph(screen, INK_PRESENT, 4, "%s of %s: %s",
				text_bytes(map.resident_bytes).s, text_bytes(map.mapped_bytes).s,
				name[0] == '\0' ? "(no file)" : text_name(name).s);
	}
	quire_pools_close(pools);
}

void pools_put(json_t *document, int pid)
{
	struct quire_pool_stats pool = { .size = sizeof(pool) };
	struct quire_map_stats map = { .size = sizeof(map) };
	struct quire_pools *pools;
	json_t *array;
	const char *name;
	int r = quire_pools_open(pid, &pools);

	if (r < 0) {
		json_put_unknown(document, "pools", quire_error_text());
		return;
	}
	array = json_put_array(document, "pools");
	while ((r = quire_pools_next(pools, &name, &pool)) != 0) {
		json_t *object = json_add_object(array), *mappings;

		if (r < 0) {
			json_put_unknown(object, "name", quire_error_text());
			continue;
		}
		json_put_name(object, "name", name);
		json_put_count(object, "cache_bytes", pool.cache_bytes);
		json_put_count(object, "used_bytes", pool.used_bytes);
		mappings = json_put_array(object, "mappings");
		while (quire_pools_next_map(pools, &name, &map) == 1) {
			json_t *one = json_add_object(mappings);

			json_put_name(one, "name", name);
			json_put_count(one, "mapped_bytes", map.mapped_bytes);
			json_put_count(one, "resident_bytes", map.resident_bytes);
		}
	}
	quire_pools_close(pools);
}

bool pools_have(int pid, const char *text)
{
	struct quire_pool_stats pool = { .size = sizeof(pool) };
	struct quire_map_stats map = { .size = sizeof(map) };
	struct quire_pools *pools;
	const char *name;
	bool found = false;
	int r;

	if (quire_pools_open(pid, &pools) < 0)
		return false;
	while (!found && (r = quire_pools_next(pools, &name, &pool)) != 0)
		while (r == 1 && !found && quire_pools_next_map(pools, &name, &map) == 1)
			found = strstr(name, text) != NULL;
	quire_pools_close(pools);
	return found;
}
