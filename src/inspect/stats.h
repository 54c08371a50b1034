/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/stats.h - a ledger's figures as the public structs have them: of our own pools, and of strangers'. */
#ifndef INSPECT_STATS_H
#define INSPECT_STATS_H

#include <quire/pool.h>

#include "base/tally.h"

/* sum: of all tallies; .why and .maps are the caller's to set. */
void stats_of_pool(const struct ledger *ledger, const struct tally *sum, struct quire_pool_stats *stats);

/* .dirty_bytes is the caller's to set. */
void stats_of_map(const struct tally *tally, struct quire_map_stats *stats);

#endif
