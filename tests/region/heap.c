/* SPDX-License-Identifier: Apache-2.0 */
/* The heap inside a region: it commits and is undone with the data, and is sound after any sequence (H1 to H3). */
#include "support/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quire/quire.h>

#include "support/scratch.h"

enum { SLOTS = 400, RESERVE = 64 << 20 };

static struct quire_region *region;

static void open_again(uint32_t flags)
{
	assert_int_equal(
		quire_region_open(NULL, scratch_path("h"),
			QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE | QUIRE_REGION_HEAP | flags,
				.reserve_bytes = RESERVE),
			&region),
		0);
}

static int begin(void **state)
{
	(void)state;
	if (scratch_make() == NULL)
		return 1;
	open_again(0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	(void)quire_region_close(region);
	scratch_remove();
	return 0;
}

static void assert_sound(void)
{
	int r = quire_region_check(region, NULL);

	if (r < 0)
		print_message("# %s\n", quire_error_text());
	assert_int_equal(r, 0);
}

/* An allocation of the model: n bytes of value v. */
struct slot {
	uint64_t offset;
	size_t bytes;
	unsigned char value;
};

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

static void fill(struct slot *slot, uint32_t *seed)
{
	uint32_t size = next_random(seed);
	unsigned char *memory;
	void *got;

	slot->bytes = 1 + (size % 10 == 0 ? next_random(seed) % 30000 : next_random(seed) % 600);
	slot->value = (unsigned char)next_random(seed);
	assert_int_equal(quire_region_alloc(region, slot->bytes, &got), 0);
	memory = got;
	assert_int_equal((uintptr_t)memory % 16, 0);
	for (size_t i = 0; i < slot->bytes; i++)
		assert_int_equal(memory[i], 0);
	memset(memory, slot->value, slot->bytes);
	assert_int_equal(quire_region_touch(region, memory, slot->bytes), 0);
	slot->offset = quire_region_offset(region, memory);
}

static void verify(const struct slot *slots)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		const unsigned char *memory = quire_region_pointer(region, slots[i].offset);

		if (slots[i].offset == 0)
			continue;
		for (size_t k = 0; k < slots[i].bytes; k += 97)
			assert_int_equal(memory[k], slots[i].value);
		assert_int_equal(memory[slots[i].bytes - 1], slots[i].value);
	}
}

static void any_sequence(uint32_t flags)
{
	static struct slot slots[SLOTS];
	static struct slot committed[SLOTS];
	unsigned int steps = getenv("QUIRE_TEST_QUICK") != NULL ? 20 : 100;
	uint32_t seed = 20261121;

	print_message("# seed %u\n", seed);
	memset(slots, 0, sizeof(slots));
	memset(committed, 0, sizeof(committed));
	assert_int_equal(quire_region_close(region), 0);
	open_again(flags);
	for (unsigned int step = 0; step < steps; step++) {
		for (unsigned int k = 0; k < 60; k++) {
			struct slot *slot = &slots[next_random(&seed) % SLOTS];

			if (slot->offset == 0) {
				fill(slot, &seed);
				continue;
			}
			assert_int_equal(
				quire_region_free(region, quire_region_pointer(region, slot->offset)), 0);
			slot->offset = 0;
		}
		verify(slots);
		if (step % 3 == 0) {
			assert_int_equal(quire_region_abort(region), 0);
			memcpy(slots, committed, sizeof(slots));
		} else {
			assert_int_equal(quire_region_commit(region, NULL), 0);
			memcpy(committed, slots, sizeof(slots));
		}
		if (step % 10 == 9) {
			assert_int_equal(quire_region_close(region), 0);
			open_again(flags);
			memcpy(slots, committed, sizeof(slots));
		}
		verify(slots);
		if (step % 20 == 0)
			assert_sound();
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		if (slots[i].offset != 0)
			assert_int_equal(
				quire_region_free(region, quire_region_pointer(region, slots[i].offset)), 0);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	assert_sound();
}

static void any_sequence_of_alloc_free_commit_and_abort_is_sound(void **state)
{
	struct quire_region_stat stat = { .size = sizeof(stat) };

	(void)state;
	any_sequence(0);
	assert_int_equal(quire_region_stat(region, &stat), 0);
	assert_int_equal(stat.heap_objects, 0);
	assert_int_equal(stat.heap_used_bytes, 0);
}

static void the_heap_announces_its_own_stores(void **state)
{
	(void)state;
	any_sequence(QUIRE_REGION_HINTED);
}

static void the_root_is_made_once(void **state)
{
	void *root;
	void *again;

	(void)state;
	assert_int_equal(quire_region_root(region, 40, &root), 0);
	memcpy(root, "hello", 6);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	assert_int_equal(quire_region_close(region), 0);
	open_again(0);
	assert_int_equal(quire_region_root(region, 40, &again), 0);
	assert_string_equal(again, "hello");
	assert_int_equal(quire_region_root(region, 41, &again), -EINVAL);
}

static void what_was_not_allocated_cannot_be_freed(void **state)
{
	void *memory;
	void *large;

	(void)state;
	assert_int_equal(quire_region_alloc(region, 100, &memory), 0);
	assert_int_equal(quire_region_alloc(region, 100000, &large), 0);
	assert_int_equal(quire_region_free(region, (char *)memory + 16), -EINVAL);
	assert_int_equal(quire_region_free(region, (char *)large + 4096), -EINVAL);
	assert_int_equal(quire_region_free(region, &memory), -EINVAL);
	assert_int_equal(quire_region_free(region, NULL), 0);
	assert_int_equal(quire_region_free(region, memory), 0);
	assert_int_equal(quire_region_free(region, memory), -EINVAL);
	assert_int_equal(quire_region_free(region, large), 0);
	assert_int_equal(quire_region_free(region, large), -EINVAL);
	assert_int_equal(quire_region_alloc(region, 0, &memory), -EINVAL);
	assert_int_equal(quire_region_alloc(region, RESERVE, &memory), -ENOMEM);
}

/* A word of page 0 or of a head becomes anything: whatever is asked then, the answer is an answer, and abort mends it. */
static void a_heap_that_makes_no_sense_is_refused(void **state)
{
	static const uint16_t words[] = { 0, 1, 2, 4096, 0x8000, 0xffff };
	unsigned int rounds = getenv("QUIRE_TEST_QUICK") != NULL ? 100 : 500, refused = 0;
	unsigned char *start = quire_map_address(quire_region_map(region));
	uint32_t seed = 20261121;
	void *memory[60];

	(void)state;
	print_message("# seed %u\n", seed);
	for (unsigned int i = 0; i < 60; i++)
		assert_int_equal(quire_region_alloc(region, 1 + i * i * 3, &memory[i]), 0);
	for (unsigned int i = 0; i < 60; i += 3)
		assert_int_equal(quire_region_free(region, memory[i]), 0);
	assert_int_equal(quire_region_commit(region, NULL), 0);
	for (unsigned int round = 0; round < rounds; round++) {
		uint32_t page = next_random(&seed) % 40;
		uint32_t at = page == 0 ? 24 + next_random(&seed) % 248 * 2 : next_random(&seed) % 16 * 2;
		uint16_t word = words[next_random(&seed) % 6];
		void *got = memory[0];
		int worst = 0;

		memcpy(start - 4096 + page * 4096 + at, &word, sizeof(word));
		for (unsigned int i = 0; i < 60; i++) {
			int r = i % 2 == 0 ? quire_region_alloc(region, 1 + i * 90, &got)
					   : quire_region_free(region, memory[next_random(&seed) % 60]);

			assert_true(r == 0 || r == -EBADMSG || r == -EINVAL || r == -ENOMEM);
			worst = r == -EBADMSG ? r : worst;
		}
		(void)quire_region_root(region, 100, &got);
		(void)quire_region_check(region, NULL);
		refused += worst < 0;
		assert_int_equal(quire_region_abort(region), 0);
		assert_sound();
	}
	assert_true(refused > rounds / 10);
}

/* Free memory that is in no list would never be found again. */
static void lost_memory_is_seen_by_a_check(void **state)
{
	unsigned char *page0 = (unsigned char *)quire_map_address(quire_region_map(region)) - 4096;
	void *memory;

	(void)state;
	assert_int_equal(quire_region_alloc(region, 100, &memory), 0);
	assert_sound();
	memset(page0 + 64, 0, 16 * 8); /* docs/format.md, section 7: the first slab of each class */
	assert_int_equal(quire_region_check(region, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			any_sequence_of_alloc_free_commit_and_abort_is_sound, begin, end),
		cmocka_unit_test_setup_teardown(the_heap_announces_its_own_stores, begin, end),
		cmocka_unit_test_setup_teardown(the_root_is_made_once, begin, end),
		cmocka_unit_test_setup_teardown(what_was_not_allocated_cannot_be_freed, begin, end),
		cmocka_unit_test_setup_teardown(a_heap_that_makes_no_sense_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(lost_memory_is_seen_by_a_check, begin, end),
	};

	return RUN(tests);
}
