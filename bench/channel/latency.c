/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Round trips: against the bounce of two cache lines, against a blocking pipe, and from sleep; what attaching costs, what
 * idling costs, how soon a death is known.
 */
#include <bench.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <quire/quire.h>

#include "carry.h"

enum { TRIPS = 4000, SLEEPY_TRIPS = 400, NAP_US = 300, RING = 1 << 20, WINDOW = 1 << 16, ATTACHES = 99 };

static double median_of(double *ns, int n)
{
	return bench_quantile(ns, n, 0.5);
}

/* ---- the machine: two lines, one for each direction ---- */

static double bounce(void *arg)
{
	struct lines {
		_Alignas(128) atomic_uint there;
		_Alignas(128) atomic_uint back;
	} *l = shared_memory(4096);
	static double ns[TRIPS];
	int pid = child();

	(void)arg;
	if (pid == 0) {
		pin(1);
		for (unsigned int i = 1; i <= TRIPS; i++) {
			while (atomic_load_explicit(&l->there, memory_order_acquire) != i)
				spin_pause();
			atomic_store_explicit(&l->back, i, memory_order_release);
		}
		_exit(0);
	}
	pin(0);
	for (unsigned int i = 1; i <= TRIPS; i++) {
		uint64_t began = bench_ns();

		atomic_store_explicit(&l->there, i, memory_order_release);
		while (atomic_load_explicit(&l->back, memory_order_acquire) != i)
			spin_pause();
		ns[i - 1] = (double)(bench_ns() - began);
	}
	reap(pid);
	unshare_memory(l, 4096);
	return median_of(ns, TRIPS);
}

/* ---- ours ---- */

static void answer(const char *name)
{
	struct quire_channel *c;
	const void *seen;
	void *record;

	fail_if(quire_channel_connect(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_BOTH), &c) < 0,
		"connect");
	pin(1);
	while (quire_channel_peek(c, QUIRE_FOREVER, &seen) == 8) {
		uint64_t number = *(const uint64_t *)seen;

		quire_channel_release(c, 1);
		fail_if(quire_channel_reserve(c, 8, QUIRE_FOREVER, &record) < 0, "reserve");
		*(uint64_t *)record = number;
		quire_channel_publish(c, 8);
	}
	_exit(0);
}

static struct quire_channel *meet(int *pid, struct quire_listener **l)
{
	static int number;
	struct quire_channel *c;
	char name[64];

	snprintf(name, sizeof(name), "@quire-rtt-%d-%d", (int)getpid(), number++);
	fail_if(quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_BOTH), l) < 0,
		"listen");
	*pid = child();
	if (*pid == 0)
		answer(name);
	fail_if(quire_channel_accept(*l, QUIRE_FOREVER, &c) < 0, "accept");
	pin(0);
	return c;
}

static double trips_of_channel(int trips, int nap_us)
{
	static double ns[TRIPS];
	struct quire_listener *l;
	int pid;
	struct quire_channel *c = meet(&pid, &l);

	for (int i = 0; i < trips; i++) {
		uint64_t number = (uint64_t)i, began;
		const void *seen;
		void *record;

		if (nap_us > 0)
			usleep((useconds_t)nap_us); /* the other side falls asleep */
		began = bench_ns();
		fail_if(quire_channel_reserve(c, 8, QUIRE_FOREVER, &record) < 0, "reserve");
		*(uint64_t *)record = number;
		quire_channel_publish(c, 8);
		fail_if(quire_channel_peek(c, QUIRE_FOREVER, &seen) != 8 || *(const uint64_t *)seen != number,
			"answer");
		quire_channel_release(c, 1);
		ns[i] = (double)(bench_ns() - began);
	}
	quire_channel_close(c);
	reap(pid);
	quire_channel_unlisten(l);
	return median_of(ns, trips);
}

static double trip(void *arg)
{
	(void)arg;
	return trips_of_channel(TRIPS, 0);
}

static double trip_from_sleep(void *arg)
{
	(void)arg;
	return trips_of_channel(SLEEPY_TRIPS, NAP_US);
}

/* ---- a pipe in each direction ---- */

static double trips_of_pipe(int trips, int nap_us)
{
	static double ns[TRIPS];
	int there[2], back[2], pid;
	uint64_t number;

	fail_if(pipe(there) < 0 || pipe(back) < 0, "pipe");
	pid = child();
	if (pid == 0) {
		close(there[1]);
		pin(1);
		while (read(there[0], &number, 8) == 8)
			fail_if(write(back[1], &number, 8) != 8, "write");
		_exit(0);
	}
	close(there[0]);
	pin(0);
	for (int i = 0; i < trips; i++) {
		uint64_t began;

		if (nap_us > 0)
			usleep((useconds_t)nap_us);
		began = bench_ns();
		number = (uint64_t)i;
		fail_if(write(there[1], &number, 8) != 8 || read(back[0], &number, 8) != 8, "trip");
		ns[i] = (double)(bench_ns() - began);
	}
	close(there[1]);
	reap(pid);
	close(back[0]);
	close(back[1]);
	return median_of(ns, trips);
}

static double pipe_trip(void *arg)
{
	(void)arg;
	return trips_of_pipe(SLEEPY_TRIPS, 0);
}

static double pipe_from_sleep(void *arg)
{
	(void)arg;
	return trips_of_pipe(SLEEPY_TRIPS, NAP_US);
}

/* ---- attaching, idling, dying ---- */

/* The least that a ring of 1 MiB costs: pages taken, cleared, and entered once, by nobody but the kernel, in the cheapest way
 * that we know (fallocate and MAP_POPULATE take 1.8 times as long). */
static double populate_us(void)
{
	static unsigned char zeros[RING];
	uint64_t began = bench_ns();
	int fd = memfd_create("limit", MFD_CLOEXEC);
	const volatile unsigned char *ring;

	fail_if(fd < 0 || ftruncate(fd, RING) < 0 || pwrite(fd, zeros, RING, 0) != RING, "memfd");
	ring = mmap(NULL, RING, PROT_READ, MAP_SHARED, fd, 0);
	fail_if(ring == MAP_FAILED, "mmap");
	for (size_t i = 0; i < RING; i += WINDOW)
		(void)ring[i];
	began = bench_ns() - began;
	munmap((void *)(uintptr_t)ring, RING);
	close(fd);
	return (double)began / 1000;
}

/* A client on a processor of its own. Both processes have a channel already, and with it the watcher's thread. */
static void welcome_clients(const char *name, int n)
{
	struct quire_listener *l;
	struct quire_channel *first, *c;

	pin(1);
	fail_if(quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l) <
			0,
		"listen");
	fail_if(quire_channel_accept(l, QUIRE_FOREVER, &first) < 0, "accept");
	for (int i = 0; i < n; i++) {
		fail_if(quire_channel_accept(l, QUIRE_FOREVER, &c) < 0, "accept");
		quire_channel_close(c);
	}
	quire_channel_close(first);
	quire_channel_unlisten(l);
	_exit(0);
}

static struct quire_channel *attach_to(const char *name)
{
	struct quire_channel *c;

	while (quire_channel_connect(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &c) < 0)
		usleep(100); /* nobody listens yet */
	return c;
}

static void attach(void)
{
	static double us[ATTACHES];
	static double least[ATTACHES];
	struct quire_channel *first;
	char name[64];
	int pid;

	snprintf(name, sizeof(name), "@quire-attach-%d", (int)getpid());
	pid = child();
	if (pid == 0)
		welcome_clients(name, ATTACHES);
	pin(0);
	first = attach_to(name);
	for (int i = 0; i < ATTACHES; i++) {
		uint64_t began = bench_ns();
		struct quire_channel *c = attach_to(name);

		us[i] = (double)(bench_ns() - began) / 1000;
		quire_channel_close(c);
		(void)populate_us(); /* what the other processor has just freed is slow to take: not the next one's burden */
		least[i] = populate_us();
	}
	quire_channel_close(first);
	reap(pid);
	bench_goal("channel.attach", median_of(us, ATTACHES), NULL);
	bench_goal("channel.attach.limit", median_of(least, ATTACHES), NULL);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void idle(void)
{
	struct quire_listener *l;
	int pid;
	struct quire_channel *c = meet(&pid, &l);
	struct timespec now;
	const void *seen;
	double before = cpu_seconds();

	clock_gettime(CLOCK_MONOTONIC, &now);
	quire_channel_peek(
		c, (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec + 1000000000U, &seen);
	bench_goal("channel.idle", (cpu_seconds() - before) * 100, NULL);
	quire_channel_close(c);
	reap(pid);
	quire_channel_unlisten(l);
}

/* From the kill to the news: by the channel, or by a pipe that only the killed one had open for writing and that we sleep on.
 * No news is faster than that: the kernel takes a process's memory down before it closes its descriptors. */
static double death_us(bool pipe_tells)
{
	struct quire_listener *l;
	uint64_t *killed = shared_memory(4096);
	int pid, killer, ends[2];
	struct quire_channel *c;
	const void *seen;
	double us;
	char byte;

	fail_if(pipe(ends) < 0, "pipe");
	c = meet(&pid, &l);
	close(ends[1]);
	killer = child();
	if (killer == 0) {
		usleep(2000);
		*killed = bench_ns();
		kill(pid, SIGKILL);
		_exit(0);
	}
	if (pipe_tells)
		fail_if(read(ends[0], &byte, 1) != 0, "pipe");
	else
		fail_if(quire_channel_peek(c, QUIRE_FOREVER, &seen) >= 0, "death");
	us = (double)(bench_ns() - *killed) / 1000;
	reap(killer);
	quire_channel_close(c);
	quire_channel_unlisten(l);
	close(ends[0]);
	unshare_memory(killed, 4096);
	return us;
}

static void death(void)
{
	double us[BENCH_PAIRS_FULL];
	double least[BENCH_PAIRS_FULL];
	int n = bench_quick() ? BENCH_PAIRS_QUICK : BENCH_PAIRS_FULL;

	for (int i = 0; i < n; i++) {
		us[i] = death_us(false);
		least[i] = death_us(true);
	}
	bench_goal("channel.death", median_of(us, n), NULL);
	bench_goal("channel.death.limit", median_of(least, n), NULL);
}

int main(void)
{
	struct bench_pairs p = bench_pairs(trip, bounce, NULL);

	bench_goal("channel.rtt.bounce", p.ratio, &p);
	p = bench_pairs(trip, pipe_trip, NULL);
	bench_goal("channel.rtt.pipe", 1 / p.ratio, &p);
	p = bench_pairs(bounce, pipe_trip, NULL); /* no program can be faster than its cache lines */
	bench_goal("channel.rtt.pipe.limit", 1 / p.ratio, &p);
	p = bench_pairs(trip_from_sleep, pipe_from_sleep, NULL);
	bench_goal("channel.sleep.pipe", p.ratio, &p);
	attach();
	idle();
	death();
	return 0;
}
