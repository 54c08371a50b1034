/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tally.h"

#include <stdio.h>
#include <string.h>

#include "base/align.h"

void tally_name(char *to, size_t room, const char *name)
{
	memset(to, 0, room);
	(void)snprintf(to, room, "%s", name == NULL ? "" : name);
}

void ledger_init(struct ledger *ledger, uint32_t room)
{
	ledger->magic = LEDGER_MAGIC;
	ledger->version = LEDGER_VERSION;
	ledger->tally_bytes = sizeof(struct tally);
	ledger->tallies_room = room;
	atomic_store(&ledger->tallies_end, 1);
	atomic_store(&ledger_tally(ledger, 0)->state, TALLY_OPEN);
}

static void raise_to(atomic_uint_fast64_t *max, uint64_t ns)
{
	uint_fast64_t seen = atomic_load_explicit(max, memory_order_relaxed);

	while (seen < ns && !atomic_compare_exchange_weak(max, &seen, ns))
		continue;
}

void tally_took(struct tally *tally, enum tally_time what, uint64_t ns)
{
	struct tally_times *times = &tally->times[what];
	unsigned int bucket = 63 - (unsigned int)__builtin_clzll(ns | 1);

	bucket = (unsigned int)min_u64(bucket, TALLY_BUCKETS - 1);
	atomic_fetch_add_explicit(&times->buckets[bucket], 1, memory_order_relaxed);
	raise_to(&times->max_ns, ns);
}

void tally_sum(struct tally *to, const struct tally *from)
{
	for (unsigned int i = 0; i < TALLY_FIGURES; i++)
		tally_add(to, (enum tally_figure)i, tally_get(from, (enum tally_figure)i));
	for (unsigned int t = 0; t < TALLY_TIMES; t++) {
		for (unsigned int b = 0; b < TALLY_BUCKETS; b++)
			atomic_fetch_add_explicit(&to->times[t].buckets[b],
				atomic_load_explicit(&from->times[t].buckets[b], memory_order_relaxed),
				memory_order_relaxed);
		raise_to(&to->times[t].max_ns, atomic_load(&from->times[t].max_ns));
	}
}

uint64_t tally_count(const struct tally_times *times)
{
	uint64_t count = 0;

	for (unsigned int b = 0; b < TALLY_BUCKETS; b++)
		count += atomic_load_explicit(&times->buckets[b], memory_order_relaxed);
	return count;
}

uint64_t tally_quantile(const struct tally_times *times, unsigned int thousandths)
{
	uint64_t count = tally_count(times);
	uint64_t most = atomic_load(&times->max_ns);
	uint64_t wanted = (uint64_t)((double)count * thousandths / 1000 + 0.999999);
	uint64_t seen = 0;

	for (unsigned int b = 0; b + 1 < TALLY_BUCKETS && wanted > 0; b++) {
		seen += atomic_load_explicit(&times->buckets[b], memory_order_relaxed);
		if (seen >= wanted)
			return min_u64(most, ((uint64_t)2 << b) - 1);
	}
	return count == 0 ? 0 : most;
}

/* ---- tallies of mappings ---- */

uint16_t ledger_take(struct ledger *ledger, const char *name)
{
	uint32_t end = atomic_load(&ledger->tallies_end);
	uint32_t number = (uint32_t)max_u64(1, ledger->hint);

	while (number < end && atomic_load(&ledger_tally(ledger, number)->state) != TALLY_FREE)
		number++;
	ledger->hint = number;
	if (number >= min_u64(ledger->tallies_room, UINT16_MAX))
		return 0;
	tally_name(ledger_tally(ledger, number)->name, TALLY_NAME, name);
	atomic_store(&ledger_tally(ledger, number)->state, TALLY_OPEN);
	atomic_store(&ledger->tallies_end, (uint32_t)max_u64(end, number + 1));
	return (uint16_t)number;
}

/* To the last count: somebody who was on the way when the mapping closed may still add. */
static void move_figures(struct tally *to, struct tally *from)
{
	for (unsigned int i = 0; i < TALLY_FIGURES; i++)
		tally_add(to, (enum tally_figure)i, atomic_exchange(&from->figures[i], 0));
	for (unsigned int t = 0; t < TALLY_TIMES; t++) {
		for (unsigned int b = 0; b < TALLY_BUCKETS; b++)
			atomic_fetch_add_explicit(&to->times[t].buckets[b],
				atomic_exchange(&from->times[t].buckets[b], 0), memory_order_relaxed);
		raise_to(&to->times[t].max_ns, atomic_exchange(&from->times[t].max_ns, 0));
	}
}

/* A closed mapping's figures go where nobody's are, and its place is free. */
static void fold(struct ledger *ledger, uint32_t number)
{
	struct tally *tally = ledger_tally(ledger, number);

	atomic_fetch_add(&ledger->turn, 1);
	move_figures(ledger_tally(ledger, 0), tally);
	atomic_store(&tally->state, TALLY_FREE);
	atomic_fetch_add(&ledger->turn, 1);
	ledger->hint = (uint32_t)min_u64(ledger->hint, number);
}

void ledger_give(struct ledger *ledger, uint16_t number)
{
	struct tally *tally = ledger_tally(ledger, number);

	if (number == 0)
		return;
	atomic_store(&tally->mapped_bytes, 0);
	atomic_store(&tally->state, TALLY_CLOSED);
	if (tally_get(tally, TALLY_RESIDENT) == 0)
		fold(ledger, number);
}

void ledger_uncharge(struct ledger *ledger, uint16_t number)
{
	struct tally *tally = ledger_tally(ledger, number);

	tally_add(tally, TALLY_RESIDENT, UINT64_MAX); /* one less */
	if (atomic_load(&tally->state) == TALLY_CLOSED && tally_get(tally, TALLY_RESIDENT) == 0)
		fold(ledger, number);
}

void ledger_sum(struct ledger *ledger, struct tally *sum)
{
	uint64_t turn;

	do {
		uint32_t end = atomic_load(&ledger->tallies_end);

		turn = atomic_load(&ledger->turn);
		memset(sum, 0, sizeof(*sum));
		for (uint32_t i = 0; i < end; i++)
			tally_sum(sum, ledger_tally(ledger, i));
	} while (turn % 2 != 0 || turn != atomic_load(&ledger->turn));
}
