/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is killed before its 1st, 2nd, 3rd ... store into shared memory, until it gets to its end alive.
 *
 * Built with src/channel compiled once more with CHANNEL_STEPS=1 (channel/step.h). After each kill the survivor must have
 * got every message whose publication was finished, none twice, none torn, none that was not published, and must have
 * been told within the deadline.
 */
#include "channel/peers.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { MESSAGES = 12, BATCH = 4, WORDS_MAX = 60, STEPS_MAX = 5000 };

/* In the victim only. */
static int kill_at;
static int steps;

void channel_step(void); /* called before each store */

void channel_step(void)
{
	if (kill_at != 0 && ++steps == kill_at)
		(void)kill(getpid(), SIGKILL);
}

/* What the victim is sure of, in memory that outlives it. */
static struct diary {
	atomic_uint published; /* finished */
	atomic_uint begun;     /* handed to the library */
	atomic_uint taken;
} * diary;

static size_t words_of(uint64_t number)
{
	return 1 + number * 13 % WORDS_MAX; /* a few of them wrap around in a ring of 4 KiB */
}

static void fill(uint64_t *words, uint64_t number)
{
	for (size_t i = 0; i < words_of(number); i++) {
		channel_step(); /* a store of the program's own into the ring */
		words[i] = number * 1000 + i;
	}
}

static bool is_whole(const uint64_t *words, size_t bytes, uint64_t number)
{
	if (bytes != words_of(number) * sizeof(*words))
		return false;
	for (size_t i = 0; i < words_of(number); i++)
		if (words[i] != number * 1000 + i)
			return false;
	return true;
}

/* Now and then the other one gets time to fall asleep, so that the bells are among the steps. */
static void doze(unsigned int number)
{
	const struct timespec nap = { .tv_nsec = 400000 };

	if (number % 4 == 1)
		(void)nanosleep(&nap, NULL);
}

/* ---- victims that write ---- */

static void write_singly(struct quire_channel *c)
{
	for (unsigned int i = 0; i < MESSAGES; i++) {
		void *record;

		doze(i);
		MUST(quire_channel_reserve(c, sizeof(uint64_t) * WORDS_MAX, in_ms(PATIENCE_MS), &record) ==
			0);
		fill(record, i);
		atomic_store(&diary->begun, i + 1);
		MUST(quire_channel_publish(c, words_of(i) * sizeof(uint64_t)) == 0);
		atomic_store(&diary->published, i + 1);
	}
}

static void write_in_batches(struct quire_channel *c)
{
	for (unsigned int i = 0; i < MESSAGES; i += BATCH) {
		unsigned char *first;
		size_t stride;

		doze(i + 1);
		MUST(quire_channel_reserve_batch(c, words_of(0) * sizeof(uint64_t), BATCH, in_ms(PATIENCE_MS),
			     (void **)&first, &stride) == 0);
		for (unsigned int b = 0; b < BATCH; b++) {
			channel_step();
			*(uint64_t *)(void *)(first + b * stride) = (i + b) * 1000;
		}
		atomic_store(&diary->begun, i + BATCH);
		MUST(quire_channel_publish_batch(c, BATCH) == 0);
		atomic_store(&diary->published, i + BATCH);
	}
}

static void write_by_copy(struct quire_channel *c)
{
	uint64_t words[WORDS_MAX];

	for (unsigned int i = 0; i < MESSAGES; i++) {
		doze(i);
		for (size_t w = 0; w < words_of(i); w++)
			words[w] = i * 1000 + w;
		atomic_store(&diary->begun, i + 1);
		MUST(quire_channel_send(c, words, words_of(i) * sizeof(*words), in_ms(PATIENCE_MS)) > 0);
		atomic_store(&diary->published, i + 1);
	}
}

typedef void victim_fn(struct quire_channel *c);

static pid_t start_victim(const char *name, uint32_t role, victim_fn *act, int step)
{
	pid_t pid;

	atomic_store(&diary->published, 0);
	atomic_store(&diary->begun, 0);
	atomic_store(&diary->taken, 0);
	pid = spawn();
	if (pid == 0) {
		struct quire_channel *c = NULL;

		kill_at = step;
		MUST(quire_channel_connect(NULL, name,
			     QUIRE_OPTIONS(channel, .role = role, .ring_bytes = 4096,
				     .deadline_ns = in_ms(PATIENCE_MS)),
			     &c) == 0);
		act(c);
		quire_channel_close(c);
		_exit(0);
	}
	return pid;
}

/* Reads to the end; returns how many messages came. */
static unsigned int read_all(struct quire_channel *c, bool batches, int64_t *end)
{
	unsigned int n = 0;

	for (;;) {
		const void *record;
		int64_t bytes = quire_channel_peek(c, in_ms(PATIENCE_MS), &record);

		if (bytes < 0) {
			*end = bytes;
			return n;
		}
		if (batches) {
			assert_int_equal(bytes, sizeof(uint64_t));
			assert_int_equal(*(const uint64_t *)record, n * 1000);
		} else {
			assert_true(is_whole(record, (size_t)bytes, n));
		}
		assert_int_equal(quire_channel_release(c, 1), 0);
		n++;
	}
}

static void kill_the_writer(victim_fn *act, bool batches)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	bool alive = false;
	int step;

	for (step = 1; !alive; step++) {
		pid_t pid = start_victim(name, QUIRE_CHANNEL_SEND, act, step);
		struct quire_channel *c = accept_from(l);
		int64_t end;
		unsigned int got = read_all(c, batches, &end);
		int status = wait_for(pid);

		alive = WIFEXITED(status);
		assert_true(alive || WTERMSIG(status) == SIGKILL);
		assert_int_equal(alive ? WEXITSTATUS(status) : 0, 0);
		/* The store that says "closed" is the last one: a victim killed right behind it has closed. */
		assert_true(end == -EOWNERDEAD || end == -EPIPE);
		assert_true(!alive || end == -EPIPE);
		assert_true(got >= atomic_load(&diary->published));
		assert_true(got <= atomic_load(&diary->begun));
		assert_true(!alive || got == MESSAGES);
		quire_channel_close(c);
		assert_true(step < STEPS_MAX);
	}
	print_message("# killed at each of %d stores\n", step - 2);
	quire_channel_unlisten(l);
}

static void a_writer_killed_at_any_store_loses_nothing(void **state)
{
	(void)state;
	kill_the_writer(write_singly, false);
}

static void a_writer_of_batches_killed_at_any_store_loses_nothing(void **state)
{
	(void)state;
	kill_the_writer(write_in_batches, true);
}

static void a_writer_by_copy_killed_at_any_store_loses_nothing(void **state)
{
	(void)state;
	kill_the_writer(write_by_copy, false);
}

/* ---- a victim that reads ---- */

static void read_some(struct quire_channel *c)
{
	for (unsigned int i = 0;; i++) {
		uint64_t words[WORDS_MAX];
		int64_t n;

		doze(i);
		n = quire_channel_recv(c, words, sizeof(words), in_ms(PATIENCE_MS));
		if (n == -EPIPE)
			return;
		MUST(n > 0 && is_whole(words, (size_t)n, i));
		atomic_store(&diary->taken, i + 1);
	}
}

/* More than the ring holds, so that the writer waits for room. */
enum { FLOOD = 40 };

static int64_t flood(struct quire_channel *c, unsigned int *sent)
{
	uint64_t words[WORDS_MAX];

	for (*sent = 0; *sent < FLOOD; (*sent)++) {
		int64_t r;

		doze(*sent);
		for (size_t w = 0; w < words_of(*sent); w++)
			words[w] = (uint64_t)*sent * 1000 + w;
		r = quire_channel_send(c, words, words_of(*sent) * sizeof(*words), in_ms(PATIENCE_MS));
		if (r < 0)
			return r;
	}
	return 0;
}

static void a_reader_killed_at_any_store_stops_its_writer(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = NULL;
	bool alive = false;
	int step;

	(void)state;
	assert_int_equal(quire_channel_listen(NULL, name,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .ring_bytes = 4096), &l),
		0);
	for (step = 1; !alive; step++) {
		pid_t pid = start_victim(name, QUIRE_CHANNEL_RECEIVE, read_some, step);
		struct quire_channel *c = accept_from(l);
		unsigned int sent;
		int64_t end = flood(c, &sent);
		int status;

		quire_channel_close(c);
		status = wait_for(pid);
		alive = WIFEXITED(status);
		assert_int_equal(alive ? WEXITSTATUS(status) : 0, 0);
		assert_true(end == 0 || end == -EOWNERDEAD || end == -EPIPE);
		assert_true(atomic_load(&diary->taken) <= sent + 1);
		assert_true(!alive || atomic_load(&diary->taken) == FLOOD);
		assert_true(step < STEPS_MAX);
	}
	print_message("# killed at each of %d stores\n", step - 2);
	quire_channel_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_writer_killed_at_any_store_loses_nothing),
		cmocka_unit_test(a_writer_of_batches_killed_at_any_store_loses_nothing),
		cmocka_unit_test(a_writer_by_copy_killed_at_any_store_loses_nothing),
		cmocka_unit_test(a_reader_killed_at_any_store_stops_its_writer),
	};
	int failed;

	diary = mmap(NULL, sizeof(*diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (diary == MAP_FAILED)
		return 1;
	failed = RUN(tests);
	(void)munmap(diary, sizeof(*diary));
	return failed;
}
