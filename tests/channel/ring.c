/* SPDX-License-Identifier: Apache-2.0 */
/* The reading end of a ring, over plain memory: many records at once are what one after the other would have been. */
#include "support/run.h"

#include <string.h>

#include "channel/ring.h"

enum { CAPACITY = 4096, ROOM = 2 * CAPACITY, MANY = 512 };

static _Alignas(64) unsigned char memory[ROOM];
static struct layout_control control;

static struct ring_reader reader_of(uint64_t from)
{
	struct ring_reader r;

	ring_reader_init(&r, &control, &control, memory, CAPACITY);
	r.next = r.tail = r.told = from;
	return r;
}

/* Lengths that stay the same for a while, and change; past the end of the ring; and a 0 behind the last. */
static size_t fill(uint64_t from)
{
	static const uint64_t lengths[] = { 8, 8, 8, 0, 0, 300, 300, 1, 8, 8, 1500, 8 };
	uint64_t at = from;

	memset(memory, 0xff, sizeof(memory));
	for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
		atomic_store(ring_header(memory, CAPACITY, at), lengths[i] + 1);
		at += record_step(lengths[i]);
	}
	atomic_store(ring_header(memory, CAPACITY, at), 0);
	return ARRAY_COUNT(lengths);
}

static void a_batch_is_what_one_after_the_other_is(void **state)
{
	(void)state;
	for (uint64_t from = 0; from < CAPACITY; from += RECORD_ALIGN)
		for (size_t most = 1; most < 16; most++) {
			size_t count = fill(from);
			struct ring_reader one = reader_of(from), many = reader_of(from);
			struct iovec records[16] = { { .iov_base = NULL } };
			struct record record = { .bytes = NULL };
			int64_t n = ring_peek_batch(&many, records, most);

			assert_int_equal(n, most < count ? most : count);
			for (int64_t i = 0; i < n; i++) {
				assert_int_equal(ring_peek(&one, &record), 1);
				assert_ptr_equal(records[i].iov_base, record.bytes);
				assert_int_equal(records[i].iov_len, record.length);
			}
			assert_int_equal(many.next, one.next);
			assert_int_equal(many.held, one.held);
			assert_int_equal(many.bytes, one.bytes);
		}
}

static void a_length_that_cannot_be_is_refused(void **state)
{
	struct iovec records[16];
	struct ring_reader r = reader_of(0);

	(void)state;
	(void)fill(0);
	atomic_store(ring_header(memory, CAPACITY, 2 * record_step(8)), record_max(CAPACITY) + 2);
	assert_int_equal(ring_peek_batch(&r, records, 16), -EPROTO);
	atomic_store(ring_header(memory, CAPACITY, 2 * record_step(8)), UINT64_MAX);
	assert_int_equal(ring_peek_batch(&r, records, 16), -EPROTO);
}

/* Each header may stand where it is; all of them together are more than a ring. */
static void a_ring_without_an_end_is_refused(void **state)
{
	static struct iovec records[MANY];
	struct ring_reader r = reader_of(64);

	(void)state;
	for (uint64_t at = 0; at < CAPACITY; at += record_step(8))
		atomic_store(ring_header(memory, CAPACITY, at), 8 + 1);
	assert_int_equal(ring_peek_batch(&r, records, MANY), -EPROTO);
	assert_int_equal(ring_peek_batch(&r, records, CAPACITY / record_step(8)), CAPACITY / record_step(8));
	assert_int_equal(ring_peek_batch(&r, records, 1), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_is_what_one_after_the_other_is),
		cmocka_unit_test(a_length_that_cannot_be_is_refused),
		cmocka_unit_test(a_ring_without_an_end_is_refused),
	};

	return RUN(tests);
}
