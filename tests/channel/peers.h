/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/peers.h - two processes that talk: what the tests of the channel share.
 *
 * Children die with their parent (PR_SET_PDEATHSIG): a spinning orphan would disturb every later test.
 */
#ifndef TESTS_CHANNEL_PEERS_H
#define TESTS_CHANNEL_PEERS_H

#include "support/run.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <quire/quire.h>

/* Reached only by what hangs: on a busy machine a process may not run for seconds. */
enum { PATIENCE_MS = 60000 };

static inline uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline uint64_t in_ms(uint64_t ms)
{
	return now_ns() + ms * 1000000U;
}

/* A name that no other test has: abstract names are of a network, in which processes of several pid namespaces may be. */
static inline const char *fresh_name(void)
{
	static char name[64];
	static int number;

	(void)snprintf(name, sizeof(name), "@quire-test-%d-%llx-%d", (int)getpid(),
		(unsigned long long)now_ns(), number++);
	return name;
}

/* 0 in the child, which ends with its parent and never returns into cmocka: it must _exit(). */
static inline pid_t spawn(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Killed before it was said: nobody would end us, and our output is waited for. 0: of another namespace. */
		if (getppid() != parent && getppid() != 0)
			_exit(1);
	}
	return pid;
}

static inline int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static inline int exit_of(pid_t pid)
{
	int status = wait_for(pid);

	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* In a child: what cmocka's assertions are in the parent. */
#define MUST(condition)                                                                           \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			(void)fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
				quire_error_text());                                              \
			_exit(99);                                                                \
		}                                                                                 \
	} while (0)

static inline struct quire_channel *connect_to(const char *name, uint32_t role)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	uint64_t until = in_ms(PATIENCE_MS);
	struct quire_channel *c = NULL;
	int r;

	/* The listener may be a process that has not come so far yet. */
	while ((r = quire_channel_connect(NULL, name,
			QUIRE_OPTIONS(channel, .role = role, .deadline_ns = until), &c)) == -ENOENT &&
		now_ns() < until)
		(void)nanosleep(&nap, NULL);
	MUST(r == 0);
	return c;
}

static inline struct quire_listener *listen_on(const char *name, uint32_t role)
{
	struct quire_listener *l = NULL;

	assert_int_equal(quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = role), &l), 0);
	return l;
}

static inline struct quire_channel *accept_from(struct quire_listener *l)
{
	struct quire_channel *c = NULL;

	assert_int_equal(quire_channel_accept(l, in_ms(PATIENCE_MS), &c), 0);
	return c;
}

/* A small generator with a seed that the test prints. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
