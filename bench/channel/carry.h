/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry.h - one way to bring messages from one process to another, and how it is measured.
 *
 * Two processes, each on a processor of its own; every message is filled with numbers by the writer and added up by the
 * reader, so each byte is written once and read once, and a wrong sum ends the benchmark. The clock runs from the moment
 * both are connected until the reader has the last message.
 */
#ifndef BENCH_CHANNEL_CARRY_H
#define BENCH_CHANNEL_CARRY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct route {
	char name[64];
	size_t bytes;
	void *peer; /* the transport's own */
};

struct transport {
	const char *name;
	void (*make)(struct route *r); /* before the fork */
	void (*join_writer)(struct route *r);
	void (*join_reader)(struct route *r);
	void (*write)(struct route *r, uint64_t count); /* message i holds i, i + 1, i + 2 ... */
	uint64_t (*read)(struct route *r, uint64_t count);
	void (*done)(struct route *r);   /* in both */
	void (*listen)(struct route *r); /* in the reader, before the writer joins; NULL: nothing */
	void (*unmake)(struct route *r); /* where it was made; NULL: nothing */
};

/* Time of a message, in ns. */
double carry(const struct transport *t, size_t bytes, uint64_t count);

/* A count that takes about so long. */
uint64_t carry_count(const struct transport *t, size_t bytes, double ms);

uint64_t sum_words(const void *bytes, size_t length);
void fill_words(void *bytes, size_t length, uint64_t first);
void fail_if(int bad, const char *what);
void pin(int cpu);
int child(void); /* fork; the child dies with its parent */
void reap(int pid);
void spin_pause(void);

/* Memory both processes of a benchmark share. */
void *shared_memory(size_t bytes);
void unshare_memory(void *memory, size_t bytes);

/* The limit of the machine: one processor fills a block, the other one adds it up: the slower of the two, in ns a byte. */
double limit_ns_a_byte(size_t block);

/* May this user have a message queue of such messages? Others get 8 KiB at most (fs.mqueue.msgsize_max). */
int queue_allows(size_t bytes);

extern const struct transport by_channel, by_pipe, by_stream, by_seqpacket, by_queue, by_semaphores, by_zmq,
	by_nng, by_boost;

#ifdef __cplusplus
}
#endif

#endif
