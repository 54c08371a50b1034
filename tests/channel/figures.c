/* SPDX-License-Identifier: Apache-2.0 */
/* A third thread asks what a channel has done while its two ends are at work: under ThreadSanitizer. */
#include "channel/peers.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MESSAGES = 2000, CLIENTS = 8, EACH = 100, ENDS = 2, ASKED_LEAST = 20 };

/* asker: the thread that asks */
struct asker {
	struct quire_channel *ends[ENDS]; /* NULL: none */
	atomic_uint asked;
	atomic_bool stop;
	int error;
	bool went_back; /* a figure that only grows was less than before */
	pthread_t thread;
};

static bool grew(const struct quire_channel_stat *before, const struct quire_channel_stat *now)
{
	return now->sent_records >= before->sent_records && now->sent_bytes >= before->sent_bytes &&
		now->received_records >= before->received_records &&
		now->data_sleeps >= before->data_sleeps && now->bells >= before->bells;
}

static void *ask(void *user)
{
	struct asker *asker = user;
	struct quire_channel_stat before[ENDS] = { { .size = 0 }, { .size = 0 } };

	while (!atomic_load(&asker->stop)) {
		for (int i = 0; i < ENDS && asker->error == 0; i++) {
			struct quire_channel_stat now = { .size = sizeof(now) };

			if (asker->ends[i] == NULL)
				continue;
			asker->error = quire_channel_stat(asker->ends[i], &now);
			asker->went_back = asker->went_back || !grew(&before[i], &now);
			before[i] = now;
		}
		atomic_fetch_add(&asker->asked, 1);
	}
	return NULL;
}

static void begin(struct asker *asker)
{
	assert_int_equal(pthread_create(&asker->thread, NULL, ask, asker), 0);
}

static void end(struct asker *asker)
{
	atomic_store(&asker->stop, true);
	assert_int_equal(pthread_join(asker->thread, NULL), 0);
	assert_int_equal(asker->error, 0);
	assert_false(asker->went_back);
}

static void *connect_in_a_thread(void *name)
{
	return connect_to(name, QUIRE_CHANNEL_SEND);
}

static void *send_all(void *channel)
{
	uint64_t message[8] = { 0 };

	for (; message[0] < MESSAGES; message[0]++)
		MUST(quire_channel_send(channel, message, sizeof(message), in_ms(PATIENCE_MS)) ==
			sizeof(message));
	return NULL;
}

static void of_both_ends_of_a_pair(void **state)
{
	char name[64];
	struct quire_listener *l;
	struct asker asker = { .error = 0 };
	struct quire_channel_stat st = { .size = sizeof(st) };
	uint64_t message[8];
	pthread_t sender;
	void *client;

	(void)state;
	(void)snprintf(name, sizeof(name), "%s", fresh_name());
	l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	assert_int_equal(pthread_create(&sender, NULL, connect_in_a_thread, name), 0);
	asker.ends[0] = accept_from(l);
	assert_int_equal(pthread_join(sender, &client), 0);
	asker.ends[1] = client;
	begin(&asker);
	for (int round = 0; round == 0 || atomic_load(&asker.asked) < ASKED_LEAST; round++) {
		assert_int_equal(pthread_create(&sender, NULL, send_all, client), 0);
		for (uint64_t i = 0; i < MESSAGES; i++) {
			assert_int_equal(quire_channel_recv(
						 asker.ends[0], message, sizeof(message), in_ms(PATIENCE_MS)),
				sizeof(message));
			assert_int_equal(message[0], i);
		}
		assert_int_equal(pthread_join(sender, NULL), 0);
	}
	end(&asker);
	assert_int_equal(quire_channel_stat(asker.ends[0], &st), 0);
	assert_int_equal(st.received_bytes, st.received_records * sizeof(message));
	quire_channel_close(client);
	quire_channel_close(asker.ends[0]);
	quire_channel_unlisten(l);
}

static void *come_send_and_go(void *name)
{
	for (int client = 0; client < CLIENTS; client++) {
		struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_SEND);

		for (uint32_t i = 0; i < EACH; i++)
			MUST(quire_channel_send(c, &i, sizeof(i), in_ms(PATIENCE_MS)) == sizeof(i));
		quire_channel_close(c);
	}
	return NULL;
}

/* Lanes come, and go with what they had counted. */
static void of_a_queue_whose_writers_come_and_go(void **state)
{
	char name[64];
	struct quire_listener *l = NULL;
	struct asker asker = { .error = 0 };
	struct quire_channel_stat st = { .size = sizeof(st) };
	pthread_t writers;

	(void)state;
	(void)snprintf(name, sizeof(name), "%s", fresh_name());
	assert_int_equal(quire_channel_listen(NULL, name,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE,
					 .pattern = QUIRE_CHANNEL_QUEUE, .ring_bytes = 4096),
				 &l),
		0);
	assert_true(quire_channel_gather(l, 0, QUIRE_NOW, &asker.ends[0]) >= 0);
	begin(&asker);
	assert_int_equal(pthread_create(&writers, NULL, come_send_and_go, name), 0);
	for (int i = 0; i < CLIENTS * EACH; i++) {
		uint32_t number;

		assert_int_equal(
			quire_channel_recv(asker.ends[0], &number, sizeof(number), in_ms(PATIENCE_MS)),
			sizeof(number));
	}
	assert_int_equal(pthread_join(writers, NULL), 0);
	end(&asker);
	assert_int_equal(quire_channel_stat(asker.ends[0], &st), 0);
	assert_int_equal(st.received_records, CLIENTS * EACH);
	quire_channel_close(asker.ends[0]);
	quire_channel_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_both_ends_of_a_pair),
		cmocka_unit_test(of_a_queue_whose_writers_come_and_go),
	};

	return RUN(tests);
}
