/* SPDX-License-Identifier: Apache-2.0 */
/* Queues and topics against plain channels, the processor that messages cost, and what being looked at costs. */
#include <bench.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "carry.h"

enum { MESSAGES = 1 << 19, BATCH = 64, SIZE = 64 };

static const char *fresh(void)
{
	static char name[64];
	static int number;

	snprintf(name, sizeof(name), "@quire-many-%d-%d", (int)getpid(), number++);
	return name;
}

static double children_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- processor seconds a byte ---- */

struct load {
	const struct transport *t;
	uint64_t count;
};

static double cpu_of(const struct load *l)
{
	double before = children_cpu();

	carry(l->t, 65536, l->count);
	return (children_cpu() - before) / (double)l->count;
}

static double our_cpu(void *arg)
{
	return cpu_of(&((struct load *)arg)[0]);
}

static double their_cpu(void *arg)
{
	return cpu_of(&((struct load *)arg)[1]);
}

/* ---- writers and readers of small messages ---- */

static void write_many(struct quire_channel *c, uint64_t count)
{
	for (uint64_t i = 0; i < count; i += BATCH) {
		unsigned char *first;
		size_t stride;

		fail_if(quire_channel_reserve_batch(c, SIZE, BATCH, QUIRE_FOREVER, (void **)&first, &stride) <
				0,
			"reserve");
		for (uint64_t b = 0; b < BATCH; b++)
			fill_words(first + b * stride, SIZE, i + b);
		quire_channel_publish_batch(c, BATCH);
	}
}

static uint64_t read_many(struct quire_channel *c, uint64_t count)
{
	struct iovec records[BATCH];
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count;) {
		int64_t n = quire_channel_peek_batch(c, records, BATCH, QUIRE_FOREVER);

		fail_if(n < 0, "peek");
		for (int64_t b = 0; b < n; b++)
			sum += sum_words(records[b].iov_base, records[b].iov_len);
		quire_channel_release(c, (size_t)n);
		i += (uint64_t)n;
	}
	return sum;
}

static int start_writer(const char *name, uint64_t count)
{
	int pid = child();
	struct quire_channel *c;

	if (pid != 0)
		return pid;
	while (quire_channel_connect(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &c) < 0)
		usleep(100);
	pin(1);
	write_many(c, count);
	quire_channel_close(c);
	_exit(0);
}

static struct quire_listener *listen_as(const char *name, uint32_t role, uint32_t pattern)
{
	struct quire_listener *l;

	fail_if(quire_channel_listen(
			NULL, name, QUIRE_OPTIONS(channel, .role = role, .pattern = pattern), &l) < 0,
		"listen");
	return l;
}

static uint64_t sum_of(uint64_t count)
{
	uint64_t words = SIZE / 8;

	return words * (count * (count - 1) / 2) + count * (words * (words - 1) / 2);
}

/* Two writers, read in turn by one reader: as a queue, and as two channels. */
static double two_by_queue(void *arg)
{
	const char *name = fresh();
	struct quire_listener *l = listen_as(name, QUIRE_CHANNEL_RECEIVE, QUIRE_CHANNEL_QUEUE);
	struct quire_channel *q = NULL;
	int pids[2] = { start_writer(name, MESSAGES), start_writer(name, MESSAGES) };
	uint64_t began;
	double ns;

	(void)arg;
	pin(0);
	fail_if(quire_channel_gather(l, 1, QUIRE_FOREVER, &q) < 1, "gather");
	began = bench_ns();
	fail_if(read_many(q, 2 * MESSAGES) != 2 * sum_of(MESSAGES), "sum");
	ns = (double)(bench_ns() - began);
	reap(pids[0]);
	reap(pids[1]);
	quire_channel_close(q);
	quire_channel_unlisten(l);
	return ns;
}

static double two_channels(void *arg)
{
	const char *name = fresh();
	struct quire_listener *l = listen_as(name, QUIRE_CHANNEL_RECEIVE, QUIRE_CHANNEL_PAIR);
	struct quire_channel *c[2];
	int pids[2] = { start_writer(name, MESSAGES), start_writer(name, MESSAGES) };
	uint64_t began, sum = 0;
	double ns;

	(void)arg;
	pin(0);
	fail_if(quire_channel_accept(l, QUIRE_FOREVER, &c[0]) < 0, "accept");
	began = bench_ns();
	fail_if(quire_channel_accept(l, QUIRE_FOREVER, &c[1]) < 0, "accept");
	for (uint64_t i = 0; i < MESSAGES; i += BATCH)
		for (int k = 0; k < 2; k++)
			sum += read_many(c[k], BATCH);
	ns = (double)(bench_ns() - began);
	fail_if(sum != 2 * sum_of(MESSAGES), "sum");
	for (int k = 0; k < 2; k++) {
		quire_channel_close(c[k]);
		reap(pids[k]);
	}
	quire_channel_unlisten(l);
	return ns;
}

/* The listener writes, one client reads. */
static double one_reader(uint32_t pattern)
{
	const char *name = fresh();
	struct quire_listener *l = listen_as(name, QUIRE_CHANNEL_SEND, pattern);
	struct quire_channel *c = NULL;
	atomic_int *ready = shared_memory(4096);
	int pid = child();
	uint64_t began;
	double ns;

	if (pid == 0) {
		fail_if(quire_channel_connect(
				NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &c) < 0,
			"connect");
		pin(1);
		atomic_store(ready, 1);
		fail_if(read_many(c, 2 * MESSAGES) != sum_of(2 * MESSAGES), "sum");
		quire_channel_close(c);
		_exit(0);
	}
	if (pattern == QUIRE_CHANNEL_TOPIC)
		fail_if(quire_channel_gather(l, 1, QUIRE_FOREVER, &c) < 1, "gather");
	else
		fail_if(quire_channel_accept(l, QUIRE_FOREVER, &c) < 0, "accept");
	pin(0);
	/* The listener of a topic is ready before its reader, that of a pair is not: attaching is measured elsewhere. */
	while (atomic_load(ready) == 0)
		spin_pause();
	began = bench_ns();
	write_many(c, 2 * MESSAGES);
	reap(pid);
	ns = (double)(bench_ns() - began);
	quire_channel_close(c);
	quire_channel_unlisten(l);
	unshare_memory(ready, 4096);
	return ns;
}

static double by_topic(void *arg)
{
	(void)arg;
	return one_reader(QUIRE_CHANNEL_TOPIC);
}

static double by_pair(void *arg)
{
	(void)arg;
	return one_reader(QUIRE_CHANNEL_PAIR);
}

/* ---- being looked at ---- */

static int look(const struct quire_channel_sight *sight, void *user)
{
	*(uint64_t *)user += sight->sent_bytes;
	return 0;
}

static double writer_cpu(int watched)
{
	struct load l = { &by_channel, 4096 };
	int pid = watched ? child() : 0;
	double ns;

	if (watched && pid == 0) {
		uint64_t seen = 0;

		for (;;) {
			quire_channel_find(NULL, look, &seen, NULL);
			usleep(10000); /* a hundred looks a second */
		}
	}
	ns = cpu_of(&l);
	if (watched) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0); /* counted later, so it is measured before */
	}
	return ns;
}

static double watched(void *arg)
{
	(void)arg;
	return writer_cpu(1);
}

static double unwatched(void *arg)
{
	(void)arg;
	return writer_cpu(0);
}

int main(void)
{
	struct load loads[2] = { { &by_channel, bench_quick() ? 4096 : 16384 },
		{ &by_stream, bench_quick() ? 2048 : 8192 } };
	struct bench_pairs p = bench_pairs(our_cpu, their_cpu, loads);

	bench_goal("channel.cpu.unix-stream", p.ratio, &p);
	p = bench_pairs(two_by_queue, two_channels, NULL);
	bench_goal("channel.queue", 1 / p.ratio, &p);
	p = bench_pairs(by_topic, by_pair, NULL);
	bench_goal("channel.topic", 1 / p.ratio, &p);
	p = bench_pairs(watched, unwatched, NULL);
	bench_goal("channel.stat", p.ratio, &p);
	return 0;
}
