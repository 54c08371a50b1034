/* SPDX-License-Identifier: Apache-2.0 */
#include "carry.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bench.h>
#include <quire/quire.h>

/* The widest registers there are: what is measured is the way, not the loop. */
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))

void fail_if(int bad, const char *what)
{
	if (!bad)
		return;
	fprintf(stderr, "bench: %s (%s)\n", what, quire_error_text());
	exit(1);
}

WIDE uint64_t sum_words(const void *bytes, size_t length)
{
	const uint64_t *words = bytes;
	uint64_t sum = 0;

	for (size_t i = 0; i < length / 8; i++)
		sum += words[i];
	return sum;
}

WIDE void fill_words(void *bytes, size_t length, uint64_t first)
{
	uint64_t *words = bytes;

	for (size_t i = 0; i < length / 8; i++)
		words[i] = first + i;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

int child(void)
{
	int pid = fork();

	fail_if(pid < 0, "fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

void reap(int pid)
{
	int status;

	fail_if(waitpid(pid, &status, 0) != pid || status != 0, "the other process failed");
}

void spin_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

void *shared_memory(size_t bytes)
{
	void *memory = mmap(
		NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	fail_if(memory == MAP_FAILED, "mmap");
	return memory;
}

void unshare_memory(void *memory, size_t bytes)
{
	munmap(memory, bytes);
}

/* ---- one run ---- */

enum { READER_CPU = 0, WRITER_CPU = 1 };

static uint64_t expected(size_t bytes, uint64_t count)
{
	uint64_t words = bytes / 8;

	return words * (count * (count - 1) / 2) + count * (words * (words - 1) / 2);
}

struct stage {
	atomic_int at; /* 0 the reader joins, 1 the writer has joined, 2 go, 3 all is read */
	atomic_int reader_is_there;
	double ns;
};

static void be_writer(const struct transport *t, struct route *r, uint64_t count, struct stage *stage)
{
	while (atomic_load(&stage->reader_is_there) == 0)
		usleep(50);
	t->join_writer(r);
	pin(WRITER_CPU); /* after the library has made its threads: they may run where they like */
	atomic_store(&stage->at, 1);
	while (atomic_load(&stage->at) != 2)
		spin_pause();
	t->write(r, count);
	while (atomic_load(&stage->at) != 3) /* some transports lose what is in flight when they close */
		usleep(100);
	t->done(r);
	_exit(0);
}

static void be_reader(const struct transport *t, struct route *r, uint64_t count, struct stage *stage)
{
	uint64_t began, sum;

	if (t->listen != NULL)
		t->listen(r);
	atomic_store(&stage->reader_is_there, 1);
	t->join_reader(r);
	pin(READER_CPU);
	while (atomic_load(&stage->at) != 1)
		spin_pause();
	began = bench_ns();
	atomic_store(&stage->at, 2);
	sum = t->read(r, count);
	stage->ns = (double)(bench_ns() - began);
	atomic_store(&stage->at, 3);
	fail_if(sum != expected(r->bytes, count), t->name);
	t->done(r);
	_exit(0);
}

/* Both ends are children: no library of a peer has to survive a fork. */
double carry(const struct transport *t, size_t bytes, uint64_t count)
{
	static int number;
	struct route r = { .bytes = bytes };
	struct stage *stage = shared_memory(4096);
	double ns;
	int writer, reader;

	snprintf(r.name, sizeof(r.name), "quire-bench-%d-%d", (int)getpid(), number++);
	t->make(&r);
	writer = child();
	if (writer == 0)
		be_writer(t, &r, count, stage);
	reader = child();
	if (reader == 0)
		be_reader(t, &r, count, stage);
	reap(reader);
	reap(writer);
	if (t->unmake != NULL)
		t->unmake(&r);
	ns = stage->ns;
	unshare_memory(stage, 4096);
	return ns / (double)count;
}

uint64_t carry_count(const struct transport *t, size_t bytes, double ms)
{
	double ns = carry(t, bytes, bytes >= 65536 ? 64 : 4096);
	double count = ms * 1e6 / ns;

	ns = carry(t, bytes, count < 64 ? 64 : (uint64_t)count / 64 * 64); /* warm */
	count = ms * 1e6 / ns;
	return (count < 64 ? 64 : (uint64_t)count) / 64 * 64;
}

/* ---- our own ---- */

enum { BATCH = 64, SMALL = 256 };

static struct quire_listener *listener;

static void channel_make(struct route *r)
{
	(void)r;
}

static void channel_listen(struct route *r)
{
	char name[80];

	snprintf(name, sizeof(name), "@%s", r->name);
	fail_if(quire_channel_listen(
			NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &listener) < 0,
		"listen");
}

static void channel_join_writer(struct route *r)
{
	/* 1 MiB, the default; 4 MiB for messages of 1 MiB: three are in flight, and stay near the processors (8 MiB: half as
	 * fast). */
	uint64_t ring = r->bytes > 100000 ? 4 << 20 : 0;
	char name[80];

	snprintf(name, sizeof(name), "@%s", r->name);
	fail_if(quire_channel_connect(NULL, name,
			QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .ring_bytes = ring),
			(struct quire_channel **)&r->peer) < 0,
		"connect");
}

static void channel_join_reader(struct route *r)
{
	fail_if(quire_channel_accept(listener, QUIRE_FOREVER, (struct quire_channel **)&r->peer) < 0,
		"accept");
}

static void channel_write_batches(struct route *r, uint64_t count)
{
	for (uint64_t i = 0; i < count; i += BATCH) {
		unsigned char *first;
		size_t stride;

		fail_if(quire_channel_reserve_batch(
				r->peer, r->bytes, BATCH, QUIRE_FOREVER, (void **)&first, &stride) < 0,
			"reserve");
		for (uint64_t b = 0; b < BATCH; b++)
			for (size_t w = 0; w < r->bytes / 8; w++)
				((uint64_t *)(void *)(first + b * stride))[w] = i + b + w;
		quire_channel_publish_batch(r->peer, BATCH);
	}
}

static void channel_write(struct route *r, uint64_t count)
{
	if (r->bytes <= SMALL) {
		channel_write_batches(r, count);
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		void *record;

		fail_if(quire_channel_reserve(r->peer, r->bytes, QUIRE_FOREVER, &record) < 0, "reserve");
		fill_words(record, r->bytes, i);
		quire_channel_publish(r->peer, r->bytes);
	}
}

static uint64_t channel_read(struct route *r, uint64_t count)
{
	struct iovec records[BATCH];
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count;) {
		int64_t n = quire_channel_peek_batch(
			r->peer, records, r->bytes <= SMALL ? BATCH : 1, QUIRE_FOREVER);

		fail_if(n < 0, "peek");
		for (int64_t b = 0; b < n; b++) {
			fail_if(records[b].iov_len != r->bytes, "length");
			if (r->bytes <= SMALL)
				for (size_t w = 0; w < r->bytes / 8; w++)
					sum += ((const uint64_t *)records[b].iov_base)[w];
			else
				sum += sum_words(records[b].iov_base, r->bytes);
		}
		quire_channel_release(r->peer, (size_t)n);
		i += (uint64_t)n;
	}
	return sum;
}

static void channel_done(struct route *r)
{
	quire_channel_close(r->peer);
	quire_channel_unlisten(listener);
}

const struct transport by_channel = { "quire", channel_make, channel_join_writer, channel_join_reader,
	channel_write, channel_read, channel_done, channel_listen, NULL };

/* ---- the limit ---- */

struct limit {
	_Alignas(128) atomic_uint turn;
	_Alignas(128) double read_ns;
	_Alignas(128) uint64_t sum;
};

double limit_ns_a_byte(size_t block)
{
	enum { ROUNDS = 60 };
	struct limit *l = shared_memory(4096);
	unsigned char *bytes = shared_memory(block);
	double fill = 1e300, read = 1e300;
	int pid = child();

	/* The best of the rounds for each side: a limit is what was possible. */
	if (pid == 0) {
		pin(READER_CPU);
		l->read_ns = 1e300;
		for (unsigned int i = 0; i < ROUNDS; i++) {
			uint64_t began;
			double ns;

			while (atomic_load_explicit(&l->turn, memory_order_acquire) != 2 * i + 1)
				spin_pause();
			began = bench_ns();
			l->sum += sum_words(bytes, block);
			ns = (double)(bench_ns() - began);
			l->read_ns = ns < l->read_ns ? ns : l->read_ns;
			atomic_store_explicit(&l->turn, 2 * i + 2, memory_order_release);
		}
		_exit(0);
	}
	pin(WRITER_CPU);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t began = bench_ns();
		double ns;

		fill_words(bytes, block, i);
		ns = (double)(bench_ns() - began);
		fill = ns < fill ? ns : fill;
		atomic_store_explicit(&l->turn, 2 * i + 1, memory_order_release);
		while (atomic_load_explicit(&l->turn, memory_order_acquire) != 2 * i + 2)
			spin_pause();
	}
	reap(pid);
	read = l->read_ns;
	unshare_memory(bytes, block);
	unshare_memory(l, 4096);
	return (fill > read ? fill : read) / (double)block;
}
