/* SPDX-License-Identifier: Apache-2.0 */
/* support/map.h - mappings in one line. */
#ifndef TESTS_SUPPORT_MAP_H
#define TESTS_SUPPORT_MAP_H

#include <quire/map.h>

#include "support/child.h"
#include "support/files.h"

static inline char *at(struct quire_map *map, size_t page)
{
	return (char *)quire_map_address(map) + page * PAGE;
}

static inline struct quire_map *make(struct quire_map_options options)
{
	struct quire_map *map = NULL;

	options.size = sizeof(options);
	EXPECT_IS(quire_map(NULL, &options, &map), 0);
	return map;
}

#define MAKE(...) make((struct quire_map_options){ __VA_ARGS__ })

static inline void gone(struct quire_map *map)
{
	EXPECT_IS(quire_unmap(map), 0);
}

#endif
