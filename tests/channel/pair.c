/* SPDX-License-Identifier: Apache-2.0 */
/* One writer, one reader, everything in order. */
#include "channel/peers.h"

static void a_message_arrives_as_it_was_sent(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	pid_t pid = spawn();
	struct quire_channel *c;
	char text[32];

	(void)state;
	if (pid == 0) {
		c = connect_to(name, QUIRE_CHANNEL_SEND);
		MUST(quire_channel_send(c, "hello", 5, QUIRE_FOREVER) == 5);
		MUST(quire_channel_send(c, "", 0, QUIRE_FOREVER) == 0);
		quire_channel_close(c);
		_exit(0);
	}
	c = accept_from(l);
	assert_int_equal(quire_channel_recv(c, text, sizeof(text), in_ms(PATIENCE_MS)), 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(quire_channel_recv(c, text, sizeof(text), in_ms(PATIENCE_MS)), 0);
	assert_int_equal(quire_channel_recv(c, text, sizeof(text), in_ms(PATIENCE_MS)), -EPIPE);
	assert_int_equal(exit_of(pid), 0);
	quire_channel_close(c);
	quire_channel_unlisten(l);
}

enum { MANY = 200000, LONGEST = 5000 };

/* Lengths and bytes that both sides can compute. */
static size_t length_of(uint64_t *seed)
{
	uint64_t r = random_next(seed);

	return r % 16 == 0 ? r / 16 % LONGEST : r / 16 % 100;
}

static void send_many(const char *name)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_SEND);
	uint64_t seed = 1;

	for (int i = 0; i < MANY; i++) {
		size_t length = length_of(&seed);
		void *record;

		MUST(quire_channel_reserve(c, length, in_ms(PATIENCE_MS), &record) == 0);
		memset(record, i, length);
		MUST(quire_channel_publish(c, length) == 0);
	}
	quire_channel_close(c);
	_exit(0);
}

static bool all_equal(const unsigned char *bytes, size_t length, unsigned char value)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static void messages_of_every_length_stay_in_order(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	pid_t pid = spawn();
	struct quire_channel *c;
	uint64_t seed = 1;

	(void)state;
	if (pid == 0)
		send_many(name);
	c = accept_from(l);
	for (int i = 0; i < MANY; i++) {
		const void *record;
		int64_t n = quire_channel_peek(c, in_ms(PATIENCE_MS), &record);

		assert_int_equal(n, length_of(&seed));
		assert_true(all_equal(record, (size_t)n, (unsigned char)i));
		assert_int_equal(quire_channel_release(c, 1), 0);
	}
	assert_int_equal(exit_of(pid), 0);
	quire_channel_close(c);
	quire_channel_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_arrives_as_it_was_sent),
		cmocka_unit_test(messages_of_every_length_stay_in_order),
	};

	return RUN(tests);
}
