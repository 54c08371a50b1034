/* SPDX-License-Identifier: Apache-2.0 */
#include "seen.h"

#include <stdatomic.h>
#include <sys/mman.h>

struct crash_seen {
	atomic_flag busy;
	uint32_t count[SEEN_SETS];
	size_t slots;         /* of each set, a power of two */
	struct hash128 all[]; /* zero: free */
};

static size_t bytes_of(size_t slots)
{
	return sizeof(struct crash_seen) + SEEN_SETS * slots * sizeof(struct hash128);
}

struct crash_seen *crash_seen_new(uint32_t slots)
{
	struct crash_seen *seen = mmap(NULL, bytes_of(slots), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (seen == MAP_FAILED)
		return NULL;
	seen->slots = slots;
	return seen;
}

void crash_seen_free(struct crash_seen *seen)
{
	if (seen)
		(void)munmap(seen, bytes_of(seen->slots));
}

bool seen_full(const struct crash_seen *seen)
{
	return seen->count[SEEN_CHECKS] > seen->slots / 4 * 3;
}

bool seen_add(struct crash_seen *seen, enum seen_set set, struct hash128 h)
{
	struct hash128 *slots = seen->all + (size_t)set * seen->slots;
	size_t i = (h.low ^ h.high * 0x9e3779b97f4a7c15U) & (seen->slots - 1);
	bool is_new;

	h.low |= 1; /* never zero */
	/* Held for a memory access or two; nobody dies in here, for checks run outside. */
	while (atomic_flag_test_and_set_explicit(&seen->busy, memory_order_acquire))
		;
	while (slots[i].low && (slots[i].low != h.low || slots[i].high != h.high))
		i = (i + 1) & (seen->slots - 1);
	is_new = slots[i].low == 0;
	if (is_new) {
		slots[i] = h;
		seen->count[set]++;
	}
	atomic_flag_clear_explicit(&seen->busy, memory_order_release);
	return is_new;
}
