/* SPDX-License-Identifier: Apache-2.0 */
/* api/simple.c - the everyday mappings in one line. */
#include <quire/map.h>

#include "api/handle.h"

int quire_map_file(struct quire *quire, const char *path, unsigned int protection, struct quire_map **map)
{
	struct quire_map_options options = {
		.size = sizeof(options),
		.kind = QUIRE_FILE,
		.path = path,
		.protection = protection,
		.sharing = QUIRE_SHARED,
	};

	/* Calling this is asking for the guard, unless the address space was opened with a policy of its own. */
	if (quire == NULL || quire->guard == QUIRE_GUARD_DEFAULT)
		options.guard = QUIRE_GUARD_ZEROS;
	return quire_map(quire, &options, map);
}

int quire_map_anon(struct quire *quire, size_t length, struct quire_map **map)
{
	return quire_map(quire, QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = length), map);
}

int quire_map_shared(struct quire *quire, const char *name, size_t length, struct quire_map **map)
{
	return quire_map(quire,
		QUIRE_OPTIONS(
			map, .kind = QUIRE_MEMFD, .path = name, .length = length, .flags = QUIRE_SEALABLE),
		map);
}

int quire_reserve(struct quire *quire, size_t length, struct quire_map **map)
{
	return quire_map(quire, QUIRE_OPTIONS(map, .kind = QUIRE_RESERVED, .length = length), map);
}

void *quire_map_address(const struct quire_map *map)
{
	return (void *)(map->start + map->skew);
}

size_t quire_map_length(const struct quire_map *map)
{
	return map->length;
}
