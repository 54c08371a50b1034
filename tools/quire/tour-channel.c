/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tour-channel.c - the corpus goes from one process to another through shared memory, beside what two processors of this
 * machine can exchange at all; and a writer is killed, to see what its reader gets.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "clock.h"
#include "tour.h"

enum {
	PIECE = 64 << 10,
	BLOCK = 1 << 20,
	TURNS = 400,
	ROUNDS = 3,
	WINDOW = 4 << 20,
	KILLS = 5,
	ENOUGH = 20000
};

/** What parent and child tell each other beside the channel. */
struct desk {
	_Alignas(128) uint64_t block[BLOCK / sizeof(uint64_t)];
	_Alignas(128) _Atomic uint64_t published; /* by the writer, before it was killed */
	_Atomic uint64_t checksum;                /* of what the writer has sent */
	atomic_uint filled;
	_Alignas(128) atomic_uint taken;
};

static char name[64];

/* The writer on one processor, the reader on another, where there are two. */
static void stay_on(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

typedef void child_fn(struct desk *desk, struct quire_map *corpus);

static pid_t start(child_fn *act, struct desk *desk, struct quire_map *corpus)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	stay_on(1);
	act(desk, corpus);
	_exit(0);
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/* ---- what the machine can do ---- */

static void fill_blocks(struct desk *desk, struct quire_map *corpus)
{
	(void)corpus;
	for (unsigned int turn = 1; turn <= TURNS; turn++) {
		while (atomic_load(&desk->taken) != turn - 1)
			sched_yield();
		for (size_t i = 0; i < BLOCK / sizeof(uint64_t); i++)
			desk->block[i] = turn + i;
		atomic_store(&desk->filled, turn);
	}
}

/* One processor fills a block, another adds it up: the time of the adding is what the caches need to hand it over. */
static double exchange_limit(struct desk *desk)
{
	pid_t pid;
	double best = 0;
	bool right = true;

	atomic_store(&desk->filled, 0);
	atomic_store(&desk->taken, 0);
	pid = start(fill_blocks, desk, NULL);
	if (pid < 0)
		return 0;
	for (unsigned int turn = 1; turn <= TURNS; turn++) {
		uint64_t n = BLOCK / sizeof(uint64_t), sum = 0, began;
		double rate;

		while (atomic_load(&desk->filled) != turn)
			sched_yield();
		began = now_ns();
		for (size_t i = 0; i < n; i++)
			sum += desk->block[i];
		rate = (double)BLOCK / (double)(now_ns() - began);
		best = rate > best ? rate : best;
		right = right && sum == n * turn + n * (n - 1) / 2;
		atomic_store(&desk->taken, turn);
	}
	reap(pid);
	return right ? best : 0;
}

/* ---- the corpus ---- */

static void send_corpus(struct desk *desk, struct quire_map *corpus)
{
	const unsigned char *bytes = quire_map_address(corpus);
	size_t length = quire_map_length(corpus);
	struct quire_channel *c;

	(void)quire_map_advise(corpus, 0, QUIRE_TO_END, QUIRE_POPULATE); /* before the clock runs */
	if (quire_channel_connect(NULL, name,
		    QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .mode = QUIRE_CHANNEL_STREAM), &c) < 0)
		_exit(1);
	for (size_t at = 0; at < length; at += PIECE)
		if (quire_channel_send(
			    c, bytes + at, length - at < PIECE ? length - at : PIECE, QUIRE_FOREVER) < 0)
			_exit(1);
	quire_channel_close(c);
	atomic_store(&desk->checksum,
		XXH3_64bits(bytes, length)); /* of its own bytes, when the clock has stopped */
}

/** What came over, and how fast; at best: in the best window, which others on this machine disturbed least. */
struct arrival {
	uint64_t bytes;
	uint64_t checksum;
	double rate; /* GB/s */
	double best;
};

/* Takes all there is; looked at where it lies. */
static int receive_corpus(struct quire_channel *c, struct arrival *a)
{
	uint64_t began = now_ns(), window_ns = began, window = 0;
	XXH3_state_t state;
	const void *piece;
	int64_t n;

	XXH3_64bits_reset(&state);
	a->bytes = 0;
	while ((n = quire_channel_peek(c, QUIRE_FOREVER, &piece)) > 0) {
		XXH3_64bits_update(&state, piece, (size_t)n);
		a->bytes += (uint64_t)n;
		quire_channel_release(c, 1);
		if (a->bytes - window >= WINDOW) {
			uint64_t now = now_ns();
			double rate = (double)(a->bytes - window) / (double)(now - window_ns);

			a->best = rate > a->best ? rate : a->best;
			window = a->bytes;
			window_ns = now;
		}
	}
	a->rate = (double)a->bytes / (double)(now_ns() - began);
	a->checksum = XXH3_64bits_digest(&state);
	return n == -EPIPE ? 0 : (int)n;
}

static int meet(child_fn *act, uint32_t mode, struct desk *desk, struct quire_map *corpus,
	struct quire_channel **c, pid_t *pid)
{
	static unsigned int number;
	struct quire_listener *l;
	int r;

	snprintf(name, sizeof(name), "@quire-tour-%d-%u", (int)getpid(), number++);
	r = quire_channel_listen(
		NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .mode = mode), &l);
	if (r < 0)
		return r;
	*pid = start(act, desk, corpus);
	r = *pid < 0 ? -EAGAIN : quire_channel_accept(l, now_ns() + 10 * (uint64_t)NS_A_SECOND, c);
	quire_channel_unlisten(l);
	return r;
}

static int stream(struct tour *tour, json_t *object, struct desk *desk, struct quire_map *corpus)
{
	struct arrival a = { 0 };
	double limit = exchange_limit(desk), rate = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct quire_channel *c;
		pid_t pid;
		int r = meet(send_corpus, QUIRE_CHANNEL_STREAM, desk, corpus, &c, &pid);

		if (r == 0) {
			r = receive_corpus(c, &a);
			quire_channel_close(c);
			reap(pid);
		}
		if (r < 0)
			return r;
		rate = a.rate > rate ? a.rate : rate;
	}
	a.best = a.best > rate ? a.best : rate;
	json_put_count(object, "bytes", a.bytes);
	json_put_real(object, "gb_per_second", rate);
	json_put_real(object, "best_gb_per_second", a.best);
	json_put_real(object, "limit_gb_per_second", limit);
	tour_check(tour, a.checksum == atomic_load(&desk->checksum) && a.bytes == tour->corpus_bytes,
		"%s went over; the reader's checksum is the writer's: %016llx.", text_bytes(a.bytes).s,
		(unsigned long long)a.checksum);
	tour_check(tour, limit > 0,
		"%.1f GB/s, and %.1f GB/s in the best %d MiB, copied in and checksummed in place; what one processor can take "
		"over from another at all is %.1f GB/s.",
		rate, a.best, WINDOW >> 20, limit);
	return 0;
}

/* ---- the end of a writer ---- */

static void write_until_killed(struct desk *desk, struct quire_map *corpus)
{
	struct quire_channel *c;

	(void)corpus;
	if (quire_channel_connect(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &c) < 0)
		_exit(1);
	for (uint64_t n = 0;; n++) {
		uint64_t words[8];

		for (size_t i = 0; i < 8; i++)
			words[i] = n * 8 + i;
		if (quire_channel_send(c, words, sizeof(words), QUIRE_FOREVER) < 0)
			_exit(1);
		atomic_store(&desk->published, n + 1);
	}
}

/** How the reader of a killed writer fared. */
struct fate {
	uint64_t received;
	uint64_t told_ns; /* from the kill to the return of the call that says so */
	bool whole;       /* each message untorn, each once, in order */
	int64_t end;
	char why[200];
};

static int kill_one(struct desk *desk, unsigned int round, struct fate *fate)
{
	struct quire_channel *c;
	uint64_t words[8], killed = 0;
	pid_t pid;
	int r;

	*fate = (struct fate){ .whole = true };
	atomic_store(&desk->published, 0);
	r = meet(write_until_killed, QUIRE_CHANNEL_MESSAGES, desk, NULL, &c, &pid);
	if (r < 0)
		return r;
	while ((fate->end = quire_channel_recv(c, words, sizeof(words), QUIRE_FOREVER)) == sizeof(words)) {
		for (size_t i = 0; i < 8; i++)
			fate->whole = fate->whole && words[i] == fate->received * 8 + i;
		if (++fate->received == ENOUGH + 997 * round) {
			killed = now_ns();
			kill(pid, SIGKILL);
		}
	}
	fate->told_ns = now_ns() - killed;
	snprintf(fate->why, sizeof(fate->why), "%s", quire_error_text());
	quire_channel_close(c);
	reap(pid);
	return 0;
}

static int kill_writers(struct tour *tour, json_t *object, struct desk *desk)
{
	json_t *array = json_put_array(object, "kills");
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < KILLS; i++) {
		struct fate fate;
		uint64_t published;
		json_t *one;

		r = kill_one(desk, i, &fate);
		if (r < 0)
			break;
		published = atomic_load(&desk->published);
		one = json_add_object(array);
		json_put_count(one, "published", published);
		json_put_count(one, "received", fate.received);
		json_put_count(one, "told_ns", fate.told_ns);
		/* One more may have been published before its writer could note it. */
		tour_check(tour,
			fate.end == -EOWNERDEAD && fate.whole &&
				(fate.received == published || fate.received == published + 1),
			"Killed; it had published %s messages, %s came, whole and in order; %.2f ms after the kill: \"%s\".",
			text_count(published).s, text_count(fate.received).s, (double)fate.told_ns / 1e6,
			fate.why);
	}
	return r;
}

static int run_channel(struct tour *tour, json_t *object)
{
	struct quire_map *corpus = NULL, *shared = NULL;
	cpu_set_t before;
	int r = quire_map_file(NULL, tour->corpus, QUIRE_READ, &corpus);

	if (r == 0) {
		r = quire_map_shared(NULL, "tour-desk", sizeof(struct desk), &shared);
		if (r < 0)
			quire_unmap(corpus);
	}
	if (r < 0) {
		complain("%s", quire_error_text());
		return r;
	}
	tour_say(tour,
		"A child maps the corpus and sends it; this process takes it where it lies. Then a writer is killed with "
		"SIGKILL wherever it is, %d times, and its reader reads on.",
		KILLS);
	sched_getaffinity(0, sizeof(before), &before);
	stay_on(0);
	r = stream(tour, object, quire_map_address(shared), corpus);
	if (r == 0)
		r = kill_writers(tour, object, quire_map_address(shared));
	sched_setaffinity(0, sizeof(before), &before);
	if (r < 0)
		complain("channel: %s", quire_error_text()[0] != '\0' ? quire_error_text() : strerror(-r));
	quire_unmap(shared);
	quire_unmap(corpus);
	return r;
}

const struct station station_channel = {
	.name = "channel",
	.title = "Messages between processes, and what is left of a writer that is killed",
	.run = run_channel,
};
