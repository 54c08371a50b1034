/* SPDX-License-Identifier: Apache-2.0 */
/* How fast messages of 8 B, 64 KiB and 1 MiB go over, against every other way and against the machine. */
#include <bench.h>
#include <string.h>

#include "carry.h"

struct match {
	const struct transport *theirs;
	size_t bytes;
	uint64_t our_count;
	uint64_t their_count;
};

static double ours(void *arg)
{
	const struct match *m = arg;

	return carry(&by_channel, m->bytes, m->our_count);
}

static double theirs(void *arg)
{
	const struct match *m = arg;

	return carry(m->theirs, m->bytes, m->their_count);
}

static double limit(void *arg)
{
	const struct match *m = arg;

	return limit_ns_a_byte(1 << 20) * (double)m->bytes;
}

static void print(const char *goal, const struct bench_pairs *p)
{
	struct bench_pairs up = *p;

	bench_goal(goal, 1 / p->ratio, &up);
}

/* An argument measures only the goals it is a part of. */
int main(int argc, char **argv)
{
	static const struct {
		const char *goal;
		size_t bytes;
		const struct transport *theirs;
	} matches[] = {
		{ "channel.64k.pipe", 65536, &by_pipe },
		{ "channel.64k.unix-stream", 65536, &by_stream },
		{ "channel.64k.unix-seqpacket", 65536, &by_seqpacket },
		{ "channel.64k.boost", 65536, &by_boost },
		{ "channel.64k.zeromq", 65536, &by_zmq },
		{ "channel.64k.nng", 65536, &by_nng },
		{ "channel.64k.posix-mq", 65536, &by_queue },
		{ "channel.64k.shm-semaphores", 65536, &by_semaphores },
		{ "channel.1m.pipe", 1 << 20, &by_pipe },
		{ "channel.1m.unix-stream", 1 << 20, &by_stream },
		{ "channel.8b.pipe", 8, &by_pipe },
		{ "channel.8b.boost", 8, &by_boost },
		{ "channel.8b.zeromq", 8, &by_zmq },
	};
	double ms = bench_quick() ? 6 : 60;
	struct match m = { .bytes = 65536 };
	struct bench_pairs p;

	if (argc < 2 || strstr("channel.64k.limit", argv[1]) != NULL) {
		m.our_count = carry_count(&by_channel, m.bytes, ms);
		p = bench_pairs(ours, limit, &m);
		print("channel.64k.limit", &p);
	}
	for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		if (argc > 1 && strstr(matches[i].goal, argv[1]) == NULL)
			continue;
		if (matches[i].theirs == &by_queue && !queue_allows(matches[i].bytes)) {
			fprintf(stderr, "%s: this user may not have such a queue\n", matches[i].goal);
			continue;
		}
		m = (struct match){ .theirs = matches[i].theirs, .bytes = matches[i].bytes };
		m.our_count = carry_count(&by_channel, m.bytes, ms);
		m.their_count = carry_count(m.theirs, m.bytes, ms);
		p = bench_pairs(ours, theirs, &m);
		print(matches[i].goal, &p);
	}
	return 0;
}
