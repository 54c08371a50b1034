/* SPDX-License-Identifier: Apache-2.0 */
/* Who is killed, stopped or seen from outside, and how soon the other one knows. */
#include "channel/peers.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

enum { KILLS = 15, RING = 4096, WAITS = 20, WAIT_MS = 100 };

/* The goal is well under a millisecond on an idle machine (bench/channel measures it); here it must only be no timeout: a
 * last look at the deadline would find the death too. */
struct killer {
	pid_t pid;
	uint64_t killed_ns;
};

static void *kill_soon(void *arg)
{
	const struct timespec nap = { .tv_nsec = 3000000 };
	struct killer *k = arg;

	(void)nanosleep(&nap, NULL);
	k->killed_ns = now_ns();
	(void)kill(k->pid, SIGKILL);
	return NULL;
}

static void live_until_killed(const char *name, uint32_t role)
{
	struct quire_channel *c = connect_to(name, role);

	if (role == QUIRE_CHANNEL_SEND)
		MUST(quire_channel_send(c, "x", 1, QUIRE_NOW) == 1);
	for (;;)
		(void)pause();
}

typedef int64_t blocked_fn(struct quire_channel *c);

static int64_t in_recv(struct quire_channel *c)
{
	char byte;

	return quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS));
}

static int64_t in_send(struct quire_channel *c)
{
	static const char block[512];
	int64_t r = 0;

	while (r >= 0)
		r = quire_channel_send(c, block, sizeof(block), in_ms(PATIENCE_MS));
	return r;
}

static int64_t in_poll(struct quire_channel *c)
{
	struct pollfd p = { .fd = quire_channel_fd(c), .events = POLLIN };
	char byte;
	int64_t r;

	while ((r = quire_channel_recv(c, &byte, 1, QUIRE_NOW)) == -EAGAIN)
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	return r;
}

static int64_t in_a_loop(struct quire_channel *c)
{
	uint64_t until = in_ms(PATIENCE_MS);
	char byte;
	int64_t r;

	do
		r = quire_channel_recv(c, &byte, 1, QUIRE_NOW);
	while (r == -EAGAIN && now_ns() < until);
	return r;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void time_of_death(const char *what, uint32_t role, blocked_fn *wait_in)
{
	uint64_t ns[KILLS];

	for (int i = 0; i < KILLS; i++) {
		const char *name = fresh_name();
		uint32_t theirs = role == QUIRE_CHANNEL_SEND ? QUIRE_CHANNEL_RECEIVE : QUIRE_CHANNEL_SEND;
		struct quire_listener *l = NULL;
		struct killer k = { .pid = 0 };
		struct quire_channel *c;
		pthread_t thread;
		char byte;

		assert_int_equal(quire_channel_listen(NULL, name,
					 QUIRE_OPTIONS(channel, .role = role, .ring_bytes = RING), &l),
			0);
		k.pid = spawn();
		if (k.pid == 0)
			live_until_killed(name, theirs);
		c = accept_from(l);
		if (role == QUIRE_CHANNEL_RECEIVE)
			assert_int_equal(quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS)), 1);
		assert_int_equal(pthread_create(&thread, NULL, kill_soon, &k), 0);
		assert_int_equal(wait_in(c), -EOWNERDEAD);
		ns[i] = now_ns();
		assert_int_equal(pthread_join(thread, NULL), 0);
		ns[i] = ns[i] > k.killed_ns ? ns[i] - k.killed_ns : 0;
		assert_non_null(strstr(quire_error_text(), "died"));
		(void)wait_for(k.pid);
		quire_channel_close(c);
		quire_channel_unlisten(l);
	}
	qsort(ns, KILLS, sizeof(ns[0]), compare);
	print_message("# %s: told after %llu us (median of %d), %llu us at most\n", what,
		(unsigned long long)ns[KILLS / 2] / 1000, KILLS, (unsigned long long)ns[KILLS - 1] / 1000);
	assert_true(ns[KILLS / 2] < PATIENCE_MS / 2 * 1000000ULL);
}

static void a_dead_peer_is_known_in_every_blocking_call(void **state)
{
	(void)state;
	time_of_death("recv", QUIRE_CHANNEL_RECEIVE, in_recv);
	time_of_death("send", QUIRE_CHANNEL_SEND, in_send);
	time_of_death("poll", QUIRE_CHANNEL_RECEIVE, in_poll);
	time_of_death("a loop of its own", QUIRE_CHANNEL_RECEIVE, in_a_loop);
}

/* A child of the dead one keeps the socket open; its pidfd tells all the same. */
static void a_child_of_the_dead_hides_nothing(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	pid_t pid = spawn();
	struct quire_channel *c;
	char byte;
	int64_t orphan;

	(void)state;
	if (pid == 0) {
		c = connect_to(name, QUIRE_CHANNEL_SEND);
		orphan = spawn();
		if (orphan == 0) {
			const struct timespec nap = { .tv_sec = 20 };

			(void)prctl(PR_SET_PDEATHSIG, 0); /* ends by the test's signal, or by itself */
			(void)nanosleep(&nap, NULL);
			_exit(0);
		}
		MUST(quire_channel_send(c, &orphan, sizeof(orphan), QUIRE_NOW) == sizeof(orphan));
		for (;;)
			(void)pause();
	}
	c = accept_from(l);
	assert_int_equal(quire_channel_recv(c, &orphan, sizeof(orphan), in_ms(PATIENCE_MS)), sizeof(orphan));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS)), -EOWNERDEAD);
	(void)wait_for(pid);
	(void)kill((pid_t)orphan, SIGKILL);
	quire_channel_close(c);
	quire_channel_unlisten(l);
}

/* ---- seen from outside ---- */

struct seen {
	pid_t pid;
	struct quire_channel_sight sight;
	int count;
};

static int note(const struct quire_channel_sight *sight, void *user)
{
	struct seen *s = user;

	if (sight->pid == (uint32_t)s->pid) {
		s->sight = *sight;
		s->count++;
	}
	return 0;
}

static void a_stranger_sees_who_is_stopped_and_how_far_it_is(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	const struct timespec nap = { .tv_nsec = 10000000 };
	struct seen s = { .count = 0 };
	struct quire_channel *c;

	(void)state;
	s.pid = spawn();
	if (s.pid == 0)
		live_until_killed(name, QUIRE_CHANNEL_SEND);
	c = accept_from(l);
	while (quire_channel_find(name, note, &s, NULL) > 0 &&
		s.sight.sent_bytes == 0) /* the last to be stored */
		(void)nanosleep(&nap, NULL);
	assert_int_equal(s.sight.sent_records, 1);
	assert_int_equal(s.sight.sent_bytes, 1);
	assert_int_equal(s.sight.stopped, 0);
	assert_int_equal(s.sight.role, QUIRE_CHANNEL_SEND);
	assert_int_equal(kill(s.pid, SIGSTOP), 0);
	do {
		s.count = 0;
		assert_true(quire_channel_find(NULL, note, &s, NULL) >= 2);
	} while (s.sight.stopped == 0 && nanosleep(&nap, NULL) == 0);
	assert_int_equal(s.count, 1);
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	(void)wait_for(s.pid);
	quire_channel_close(c);
	quire_channel_unlisten(l);
}

static long us_of(const struct timeval *time)
{
	return time->tv_sec * 1000000 + time->tv_usec;
}

/* What this process used of a processor while it waited. */
static long us_used_waiting(struct quire_channel *c)
{
	struct rusage before, after;
	char byte;

	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	assert_int_equal(quire_channel_recv(c, &byte, 1, in_ms(WAIT_MS)), -ETIMEDOUT);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	return us_of(&after.ru_utime) + us_of(&after.ru_stime) - us_of(&before.ru_utime) -
		us_of(&before.ru_stime);
}

static void whoever_waits_uses_no_processor(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	long least = LONG_MAX;
	struct quire_channel *c;
	pid_t pid = spawn();
	char byte;

	(void)state;
	if (pid == 0)
		live_until_killed(name, QUIRE_CHANNEL_SEND);
	c = accept_from(l);
	assert_int_equal(quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS)), 1);
	/* The least of many: who spins does it each time, and what a virtual machine's host takes away is counted too. */
	for (int i = 0; i < WAITS && least >= WAIT_MS * 10; i++) {
		long us = us_used_waiting(c);

		least = us < least ? us : least;
	}
	assert_true(least < WAIT_MS * 10); /* 1 % of the time it waited; the spinning before it is 50 us */
	(void)kill(pid, SIGKILL);
	(void)wait_for(pid);
	quire_channel_close(c);
	quire_channel_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_peer_is_known_in_every_blocking_call),
		cmocka_unit_test(a_child_of_the_dead_hides_nothing),
		cmocka_unit_test(a_stranger_sees_who_is_stopped_and_how_far_it_is),
		cmocka_unit_test(whoever_waits_uses_no_processor),
	};

	return RUN(tests);
}
