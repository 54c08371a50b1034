/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/stats.h"

#include "base/align.h"

_Static_assert((int)QUIRE_LATENCY_BUCKETS == (int)TALLY_BUCKETS, "buckets go out as they are");

static struct quire_latency latency(const struct tally *tally, enum tally_time what)
{
	const struct tally_times *times = &tally->times[what];
	struct quire_latency latency = {
		.count = tally_count(times),
		.p50_ns = tally_quantile(times, 500),
		.p99_ns = tally_quantile(times, 990),
		.max_ns = atomic_load(&times->max_ns),
	};

	for (unsigned int i = 0; i < TALLY_BUCKETS; i++)
		latency.buckets[i] = atomic_load(&times->buckets[i]);
	return latency;
}

void stats_of_pool(const struct ledger *ledger, const struct tally *sum, struct quire_pool_stats *stats)
{
	*stats = (struct quire_pool_stats){
		.size = sizeof(*stats),
		.delivery = ledger->delivery,
		.policy = ledger->policy,
		.cache_bytes = atomic_load(&ledger->cache_bytes),
		.used_bytes = tally_get(sum, TALLY_RESIDENT) << PAGE_SHIFT,
		.faults = tally_get(sum, TALLY_FAULTS),
		.minor = tally_get(sum, TALLY_MINOR),
		.fills = tally_get(sum, TALLY_FILLS),
		.zeros = tally_get(sum, TALLY_ZEROS),
		.copies = tally_get(sum, TALLY_COPIES),
		.ahead = tally_get(sum, TALLY_AHEAD),
		.ahead_used = tally_get(sum, TALLY_AHEAD_USED),
		.ahead_wasted = tally_get(sum, TALLY_AHEAD_WASTED),
		.evicted = tally_get(sum, TALLY_EVICTED),
		.put = tally_get(sum, TALLY_PUT),
		.put_errors = tally_get(sum, TALLY_PUT_ERRORS),
		.fill_errors = tally_get(sum, TALLY_FILL_ERRORS),
		.waits = tally_get(sum, TALLY_WAITS),
		.by_signal = tally_get(sum, TALLY_BY_SIGNAL),
		.by_thread = tally_get(sum, TALLY_BY_THREAD),
		.by_pin = tally_get(sum, TALLY_BY_PIN),
		.fault_time = latency(sum, TALLY_TIME_FAULT),
		.fill_time = latency(sum, TALLY_TIME_FILL),
		.put_time = latency(sum, TALLY_TIME_PUT),
		.evict_time = latency(sum, TALLY_TIME_EVICT),
	};
}

void stats_of_map(const struct tally *tally, struct quire_map_stats *stats)
{
	*stats = (struct quire_map_stats){
		.size = sizeof(*stats),
		.mapped_bytes = atomic_load(&tally->mapped_bytes),
		.resident_bytes = tally_get(tally, TALLY_RESIDENT) << PAGE_SHIFT,
		.faults = tally_get(tally, TALLY_FAULTS),
		.minor = tally_get(tally, TALLY_MINOR),
		.fills = tally_get(tally, TALLY_FILLS),
		.zeros = tally_get(tally, TALLY_ZEROS),
		.copies = tally_get(tally, TALLY_COPIES),
		.ahead = tally_get(tally, TALLY_AHEAD),
		.ahead_used = tally_get(tally, TALLY_AHEAD_USED),
		.ahead_wasted = tally_get(tally, TALLY_AHEAD_WASTED),
		.evicted = tally_get(tally, TALLY_EVICTED),
		.put = tally_get(tally, TALLY_PUT),
		.put_errors = tally_get(tally, TALLY_PUT_ERRORS),
		.fill_errors = tally_get(tally, TALLY_FILL_ERRORS),
		.waits = tally_get(tally, TALLY_WAITS),
		.by_signal = tally_get(tally, TALLY_BY_SIGNAL),
		.by_thread = tally_get(tally, TALLY_BY_THREAD),
		.by_pin = tally_get(tally, TALLY_BY_PIN),
		.fault_time = latency(tally, TALLY_TIME_FAULT),
		.fill_time = latency(tally, TALLY_TIME_FILL),
		.put_time = latency(tally, TALLY_TIME_PUT),
	};
}
