/* SPDX-License-Identifier: Apache-2.0 */
#include "seen.h"

#include <stdatomic.h>
#include <sys/mman.h>

/* 4 million: a hunt sees two. Untouched slots cost nothing. */
enum { SLOTS = 1 << 22 };

struct crash_seen {
	atomic_flag busy;
	uint32_t count[SEEN_SETS];
	struct hash128 slots[SEEN_SETS][SLOTS]; /* zero: free */
};

struct crash_seen *crash_seen_new(void)
{
	void *p = mmap(NULL, sizeof(struct crash_seen), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void crash_seen_free(struct crash_seen *seen)
{
	if (seen)
		(void)munmap(seen, sizeof(*seen));
}

bool seen_full(const struct crash_seen *seen)
{
	return seen->count[SEEN_CHECKS] > SLOTS / 4 * 3;
}

bool seen_add(struct crash_seen *seen, enum seen_set set, struct hash128 h)
{
	struct hash128 *slots = seen->slots[set];
	size_t i = (h.low ^ h.high * 0x9e3779b97f4a7c15U) % SLOTS;
	bool is_new;

	h.low |= 1; /* never zero */
	/* Held for a memory access or two; nobody dies in here, for checks run outside. */
	while (atomic_flag_test_and_set_explicit(&seen->busy, memory_order_acquire))
		;
	while (slots[i].low && (slots[i].low != h.low || slots[i].high != h.high))
		i = (i + 1) % SLOTS;
	is_new = slots[i].low == 0;
	if (is_new) {
		slots[i] = h;
		seen->count[set]++;
	}
	atomic_flag_clear_explicit(&seen->busy, memory_order_release);
	return is_new;
}
