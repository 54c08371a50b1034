/* SPDX-License-Identifier: Apache-2.0 */
/* api/stats.c - what pools and paged mappings have done so far. */
#include <errno.h>
#include <string.h>

#include <quire/pool.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "base/tally.h"
#include "inspect/stats.h"

int quire_pool_stats(struct quire_pool *pool, struct quire_pool_stats *out)
{
	struct quire_pool_stats stats;
	struct tally sum;
	size_t room;

	error_clear();
	if (pool == NULL || out == NULL || out->size < sizeof(out->size))
		return error_set(-EINVAL, "quire_pool_stats: no pool, or stats.size is not set");
	if (pool_is_ours(pool) < 0)
		return -ECHILD; /* its locks may be held for ever here */
	room = min_u64(out->size, sizeof(stats));
	ledger_sum(pool->ledger, &sum);
	stats_of_pool(pool->ledger, &sum, &stats);
	stats.size = room;
	stats.why = pool->why;
	stats.maps = atomic_load(&pool->maps);
	memcpy(out, &stats, room);
	return 0;
}

int quire_map_stats(struct quire_map *map, struct quire_map_stats *out)
{
	struct quire_map_stats stats;
	size_t room;

	error_clear();
	if (map == NULL || out == NULL || out->size < sizeof(out->size))
		return error_set(-EINVAL, "quire_map_stats: no mapping, or stats.size is not set");
	if (map->pool == NULL)
		return error_set(-EINVAL,
			"the mapping is not paged (QUIRE_ENGINE_PAGED): quire_map_stat() describes it");
	if (pool_is_ours(map->pool) < 0)
		return -ECHILD;
	if (map->tally == 0)
		return error_set(
			-EMFILE, "the pool counts for so many mappings apart, and this one is beyond them");
	room = min_u64(out->size, sizeof(stats));
	stats_of_map(ledger_tally(map->pool->ledger, map->tally), &stats);
	stats.size = room;
	stats.dirty_bytes = front_dirty(map_as(map), map->start, map->end);
	memcpy(out, &stats, room);
	return 0;
}
