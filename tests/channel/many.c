/* SPDX-License-Identifier: Apache-2.0 */
/* Queues and topics: many at one end. */
#include "channel/peers.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CLIENTS = 3, EACH = 3000 };

struct parcel {
	uint32_t client;
	uint32_t number;
};

static struct quire_listener *listen_many(const char *name, uint32_t role, uint32_t pattern, uint32_t policy)
{
	struct quire_listener *l = NULL;

	assert_int_equal(quire_channel_listen(NULL, name,
				 QUIRE_OPTIONS(channel, .role = role, .pattern = pattern, .policy = policy,
					 .ring_bytes = 4096),
				 &l),
		0);
	return l;
}

static void write_parcels(const char *name, uint32_t client)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_SEND);

	for (uint32_t i = 0; i < EACH; i++) {
		const struct parcel p = { .client = client, .number = i };

		MUST(quire_channel_send(c, &p, sizeof(p), in_ms(PATIENCE_MS)) == sizeof(p));
	}
	quire_channel_close(c);
	_exit(0);
}

static void a_queue_keeps_the_order_of_each_writer(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(name, QUIRE_CHANNEL_RECEIVE, QUIRE_CHANNEL_QUEUE, 0);
	struct quire_channel *q = NULL;
	struct quire_channel_stat st = { .size = sizeof(st) };
	uint32_t next[CLIENTS] = { 0 };
	pid_t pids[CLIENTS];

	(void)state;
	for (uint32_t i = 0; i < CLIENTS; i++) {
		pids[i] = spawn();
		if (pids[i] == 0)
			write_parcels(name, i);
	}
	assert_int_equal(quire_channel_gather(l, 0, QUIRE_NOW, &q) >= 0, 1);
	for (int i = 0; i < CLIENTS * EACH; i++) {
		struct parcel p;

		assert_int_equal(quire_channel_recv(q, &p, sizeof(p), in_ms(PATIENCE_MS)), sizeof(p));
		assert_true(p.client < CLIENTS);
		assert_int_equal(p.number, next[p.client]);
		next[p.client]++;
	}
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(exit_of(pids[i]), 0);
	assert_int_equal(quire_channel_recv(q, next, sizeof(next), in_ms(20)), -ETIMEDOUT);
	assert_int_equal(quire_channel_stat(q, &st), 0);
	assert_int_equal(st.received_records, CLIENTS * EACH); /* by lanes that are gone */
	assert_true(st.peers == 0 && st.lost_peers == 0);
	assert_int_equal(quire_channel_unlisten(l), -EBUSY);
	quire_channel_close(q);
	assert_int_equal(quire_channel_unlisten(l), 0);
}

static void a_writer_that_went_before_it_was_read_is_let_go_when_it_is(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(name, QUIRE_CHANNEL_RECEIVE, QUIRE_CHANNEL_QUEUE, 0);
	struct quire_channel *q = NULL;
	struct quire_channel_stat st = { .size = sizeof(st) };
	pid_t pid = spawn();
	uint32_t word;

	(void)state;
	if (pid == 0) {
		struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_SEND);

		for (word = 0; word < CLIENTS; word++)
			MUST(quire_channel_send(c, &word, sizeof(word), in_ms(PATIENCE_MS)) == sizeof(word));
		quire_channel_close(c);
		_exit(0);
	}
	assert_int_equal(quire_channel_gather(l, 1, in_ms(PATIENCE_MS), &q), 1);
	assert_int_equal(exit_of(pid), 0);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		assert_int_equal(
			quire_channel_recv(q, &word, sizeof(word), in_ms(PATIENCE_MS)), sizeof(word));
		assert_int_equal(word, i);
	}
	assert_int_equal(quire_channel_recv(q, &word, sizeof(word), in_ms(20)), -ETIMEDOUT);
	assert_int_equal(quire_channel_stat(q, &st), 0);
	assert_true(st.peers == 0 && st.lost_peers == 0 && st.received_records == CLIENTS);
	quire_channel_close(q);
	assert_int_equal(quire_channel_unlisten(l), 0);
}

/* Exits with the number of parcels it got, in thousandths of all. */
static void read_parcels(const char *name)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_RECEIVE);
	struct parcel p;
	uint32_t last = 0;
	int n = 0;
	int64_t r;

	while ((r = quire_channel_recv(c, &p, sizeof(p), in_ms(PATIENCE_MS))) == sizeof(p)) {
		MUST(n == 0 || p.number > last);
		last = p.number;
		n++;
	}
	MUST(r == -EPIPE);
	quire_channel_close(c);
	_exit(n / (CLIENTS * EACH / 100));
}

static void a_queue_gives_each_message_to_one_reader(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(name, QUIRE_CHANNEL_SEND, QUIRE_CHANNEL_QUEUE, 0);
	struct quire_channel *q = NULL;
	pid_t pids[CLIENTS];
	int percent = 0;

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		pids[i] = spawn();
		if (pids[i] == 0)
			read_parcels(name);
	}
	assert_int_equal(quire_channel_gather(l, CLIENTS, in_ms(PATIENCE_MS), &q), CLIENTS);
	for (uint32_t i = 0; i < CLIENTS * EACH; i++) {
		const struct parcel p = { .number = i };

		assert_int_equal(quire_channel_send(q, &p, sizeof(p), in_ms(PATIENCE_MS)), sizeof(p));
	}
	quire_channel_close(q);
	for (int i = 0; i < CLIENTS; i++) {
		int part = exit_of(pids[i]);

		assert_true(part > 0 && part <= 100);
		percent += part;
	}
	assert_true(percent >= 97 && percent <= 100); /* each rounds down */
	quire_channel_unlisten(l);
}

/* It may die between the moment at which its lane is chosen and the one at which the message goes in: in so many turns, one
 * does. */
static void a_reader_that_dies_while_we_send_is_no_error(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(name, QUIRE_CHANNEL_SEND, QUIRE_CHANNEL_QUEUE, 0);
	struct quire_channel_stat st = { .size = sizeof(st) };
	struct quire_channel *q = NULL;

	(void)state;
	assert_int_equal(quire_channel_gather(l, 0, QUIRE_NOW, &q), 0);
	for (int i = 0; i < 40; i++) {
		void *record;
		pid_t pid = spawn();
		int r;

		if (pid == 0) {
			(void)connect_to(name, QUIRE_CHANNEL_RECEIVE);
			for (;;)
				(void)pause();
		}
		assert_int_equal(quire_channel_gather(l, 1, in_ms(PATIENCE_MS), &q), 1);
		(void)kill(pid, SIGKILL);
		while ((r = quire_channel_reserve(q, 8, QUIRE_NOW, &record)) == 0)
			assert_int_equal(quire_channel_abandon(q), 0);
		assert_int_equal(r, -EAGAIN); /* nobody is there any more */
		assert_int_equal(exit_of(pid), 128 + SIGKILL);
	}
	assert_int_equal(quire_channel_stat(q, &st), 0);
	assert_int_equal(st.lost_peers, 40);
	assert_int_equal(st.peers, 0);
	quire_channel_close(q);
	quire_channel_unlisten(l);
}

static void read_all_numbers(const char *name)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_RECEIVE);
	struct parcel p;

	for (uint32_t i = 0; i < EACH; i++) {
		MUST(quire_channel_recv(c, &p, sizeof(p), in_ms(PATIENCE_MS)) == sizeof(p));
		MUST(p.number == i);
	}
	MUST(quire_channel_recv(c, &p, sizeof(p), in_ms(PATIENCE_MS)) == -EPIPE);
	quire_channel_close(c);
	_exit(0);
}

static void every_reader_of_a_blocking_topic_gets_everything(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(
		name, QUIRE_CHANNEL_SEND, QUIRE_CHANNEL_TOPIC, QUIRE_CHANNEL_BLOCK);
	struct quire_channel *t = NULL;
	pid_t pids[CLIENTS];

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		pids[i] = spawn();
		if (pids[i] == 0)
			read_all_numbers(name);
	}
	assert_int_equal(quire_channel_gather(l, CLIENTS, in_ms(PATIENCE_MS), &t), CLIENTS);
	for (uint32_t i = 0; i < EACH; i++) {
		const struct parcel p = { .number = i };

		assert_int_equal(quire_channel_send(t, &p, sizeof(p), in_ms(PATIENCE_MS)), sizeof(p));
	}
	quire_channel_close(t);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(exit_of(pids[i]), 0);
	quire_channel_unlisten(l);
}

static void read_nothing_until_told(const char *name, int go)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_RECEIVE);
	struct parcel p;
	uint32_t n = 0;
	char byte;
	int64_t r;

	MUST(read(go, &byte, 1) == 1);
	while ((r = quire_channel_recv(c, &p, sizeof(p), in_ms(PATIENCE_MS))) == sizeof(p))
		MUST(p.number == n++);
	MUST(r == -ENOBUFS);
	MUST(n < EACH);
	quire_channel_close(c);
	_exit(0);
}

static void the_slowest_reader_is_dropped_and_told_so(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(
		name, QUIRE_CHANNEL_SEND, QUIRE_CHANNEL_TOPIC, QUIRE_CHANNEL_DROP_SLOWEST);
	struct quire_channel_stat st = { .size = sizeof(st) };
	struct quire_channel *t = NULL;
	pid_t pid;
	int go[2];

	(void)state;
	assert_int_equal(pipe(go), 0);
	pid = spawn();
	if (pid == 0)
		read_nothing_until_told(name, go[0]);
	assert_int_equal(quire_channel_gather(l, 1, in_ms(PATIENCE_MS), &t), 1);
	for (uint32_t i = 0; i < EACH; i++) {
		const struct parcel p = { .number = i };

		assert_int_equal(quire_channel_send(t, &p, sizeof(p), QUIRE_NOW), sizeof(p));
	}
	assert_int_equal(quire_channel_stat(t, &st), 0);
	assert_int_equal(st.dropped_readers, 1);
	assert_int_equal(st.peers, 0);
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(exit_of(pid), 0);
	assert_int_equal(close(go[0]) | close(go[1]), 0);
	quire_channel_close(t);
	quire_channel_unlisten(l);
}

enum { LOSSY_MESSAGES = 200000 };

static void read_lossy(const char *name)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_RECEIVE);
	struct quire_channel_stat st = { .size = sizeof(st) };
	uint64_t words[4];
	uint64_t n = 0, last = 0;
	int64_t r;

	while ((r = quire_channel_recv(c, words, sizeof(words), in_ms(PATIENCE_MS))) == sizeof(words)) {
		/* Never torn, always in order, and what is missing is what is counted. */
		MUST(words[1] == ~words[0] && words[2] == words[0] * 3 && words[3] == words[0] + 7);
		MUST(n == 0 || words[0] > last);
		last = words[0];
		n++;
		MUST(quire_channel_stat(c, &st) == 0);
		MUST(words[0] == n - 1 + st.lost_records);
	}
	MUST(r == -EPIPE);
	quire_channel_close(c);
	_exit(n > 0 ? 0 : 98);
}

static void a_lossy_reader_knows_exactly_what_it_lost(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(
		name, QUIRE_CHANNEL_SEND, QUIRE_CHANNEL_TOPIC, QUIRE_CHANNEL_LOSSY);
	struct quire_channel *t = NULL;
	pid_t pid = spawn();

	(void)state;
	if (pid == 0)
		read_lossy(name);
	assert_int_equal(quire_channel_gather(l, 1, in_ms(PATIENCE_MS), &t), 1);
	for (uint64_t i = 0; i < LOSSY_MESSAGES; i++) {
		const uint64_t words[4] = { i, ~i, i * 3, i + 7 };

		assert_int_equal(quire_channel_send(t, words, sizeof(words), QUIRE_NOW), sizeof(words));
	}
	quire_channel_close(t);
	assert_int_equal(exit_of(pid), 0);
	quire_channel_unlisten(l);
}

/* A message of nearly the whole ring that is not finished yet lies over what the reader has not read: nothing is there for
 * it, and it waits as for any message. */
static void read_around_a_large_one(const char *name, int go, int seen)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_RECEIVE);
	struct quire_channel_stat st = { .size = sizeof(st) };
	char bytes[4096];

	(void)alarm(PATIENCE_MS / 1000);
	MUST(read(go, bytes, 1) == 1);
	MUST(quire_channel_recv(c, bytes, sizeof(bytes), QUIRE_NOW) == -EAGAIN);
	MUST(quire_channel_recv(c, bytes, sizeof(bytes), in_ms(50)) == -ETIMEDOUT);
	MUST(write(seen, "s", 1) == 1);
	MUST(quire_channel_recv(c, bytes, sizeof(bytes), in_ms(PATIENCE_MS)) == 4);
	MUST(memcmp(bytes, "next", 4) == 0);
	MUST(quire_channel_stat(c, &st) == 0 && st.lost_records == 3);
	_exit(0);
}

static void who_is_overtaken_by_an_unfinished_message_waits(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(
		name, QUIRE_CHANNEL_SEND, QUIRE_CHANNEL_TOPIC, QUIRE_CHANNEL_LOSSY);
	struct quire_channel *t = NULL;
	void *record;
	int go[2], seen[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(go) | pipe(seen), 0);
	pid = spawn();
	if (pid == 0)
		read_around_a_large_one(name, go[0], seen[1]);
	assert_int_equal(quire_channel_gather(l, 1, in_ms(PATIENCE_MS), &t), 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(quire_channel_send(t, "small", 5, QUIRE_NOW), 5);
	assert_int_equal(quire_channel_reserve(t, 4096 - 16, QUIRE_NOW, &record), 0);
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(read(seen[0], &byte, 1), 1);
	assert_int_equal(quire_channel_publish(t, 4096 - 16), 0);
	assert_int_equal(quire_channel_send(t, "next", 4, QUIRE_NOW), 4);
	assert_int_equal(exit_of(pid), 0);
	quire_channel_close(t);
	quire_channel_unlisten(l);
	assert_int_equal(close(go[0]) | close(go[1]) | close(seen[0]) | close(seen[1]), 0);
}

/* ---- figures, from another thread ---- */

static struct quire_channel *asked;
static atomic_bool answered;

static void *ask_for_figures(void *arg)
{
	struct quire_channel_stat st = { .size = sizeof(st) };
	int r = 0;

	while (!atomic_load(&answered) && r == 0)
		r = quire_channel_stat(asked, &st);
	return r == 0 ? arg : NULL;
}

static void come_and_go(const char *name)
{
	struct quire_channel *c = NULL;
	char bytes[8];

	for (;;) {
		c = connect_to(name, QUIRE_CHANNEL_RECEIVE);
		(void)quire_channel_recv(c, bytes, sizeof(bytes), in_ms(PATIENCE_MS));
		quire_channel_close(c);
	}
}

static void ask_while_they_come_and_go(uint32_t pattern)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_many(name, QUIRE_CHANNEL_SEND, pattern, 0);
	struct quire_channel_stat st = { .size = sizeof(st) };
	uint64_t until;
	pthread_t thread;
	void *fine = NULL;
	pid_t pids[2];

	for (int i = 0; i < 2; i++) {
		pids[i] = spawn();
		if (pids[i] == 0)
			come_and_go(name);
	}
	asked = NULL;
	assert_int_equal(quire_channel_gather(l, 2, in_ms(PATIENCE_MS), &asked), 2);
	atomic_store(&answered, false);
	assert_int_equal(pthread_create(&thread, NULL, ask_for_figures, asked), 0);
	for (until = in_ms(300); now_ns() < until;)
		(void)quire_channel_send(asked, "x", 1, in_ms(10));
	atomic_store(&answered, true);
	assert_int_equal(pthread_join(thread, &fine), 0);
	assert_ptr_equal(fine, asked);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kill(pids[i], SIGKILL), 0);
		(void)wait_for(pids[i]);
	}
	assert_int_equal(quire_channel_stat(asked, &st), 0);
	assert_true(st.sent_records > 0);
	quire_channel_close(asked);
	quire_channel_unlisten(l);
}

/* What is counted may go away at that very moment. */
static void figures_are_for_any_thread(void **state)
{
	(void)state;
	ask_while_they_come_and_go(QUIRE_CHANNEL_TOPIC);
	ask_while_they_come_and_go(QUIRE_CHANNEL_QUEUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_keeps_the_order_of_each_writer),
		cmocka_unit_test(a_writer_that_went_before_it_was_read_is_let_go_when_it_is),
		cmocka_unit_test(a_queue_gives_each_message_to_one_reader),
		cmocka_unit_test(a_reader_that_dies_while_we_send_is_no_error),
		cmocka_unit_test(every_reader_of_a_blocking_topic_gets_everything),
		cmocka_unit_test(the_slowest_reader_is_dropped_and_told_so),
		cmocka_unit_test(a_lossy_reader_knows_exactly_what_it_lost),
		cmocka_unit_test(who_is_overtaken_by_an_unfinished_message_waits),
		cmocka_unit_test(figures_are_for_any_thread),
	};

	return RUN(tests);
}
