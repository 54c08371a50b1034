/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support/child.h - cases that touch signals, limits or mounts run in a child of their own.
 *
 * cmocka puts handlers of its own on SIGBUS and SIGSEGV, so a child first puts the default actions back. EXPECT works on
 * both sides: in a child it prints and exits, in the runner it fails the case.
 */
#ifndef TESTS_SUPPORT_CHILD_H
#define TESTS_SUPPORT_CHILD_H

#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPECT(what)                                              \
	do {                                                      \
		if (!(what))                                      \
			expect_failed(__FILE__, __LINE__, #what); \
	} while (0)

/* An integer, printed when it is another one. */
#define EXPECT_IS(got, wanted)                                                    \
	do {                                                                      \
		long long got_ = (long long)(got), wanted_ = (long long)(wanted); \
		if (got_ != wanted_)                                              \
			expect_differs(__FILE__, __LINE__, #got, got_, wanted_);  \
	} while (0)

__attribute__((noreturn)) void expect_failed(const char *file, int line, const char *what);
__attribute__((noreturn)) void expect_differs(
	const char *file, int line, const char *what, long long got, long long wanted);

/* Exits the child so that child_passes() skips the case. */
__attribute__((noreturn)) void child_skips(const char *why);

/* Runs body in a child; returns its wait status. 60 s at most. */
int child_status(void (*body)(void *), void *argument);

/* The case fails when the child does, and is skipped when the child says so. */
void child_passes(void (*body)(void *), void *argument);

/* The child must die of this signal. */
void child_dies_of(int signal, void (*body)(void *), void *argument);

/* A case whose body is void NAME_body(void *). */
#define CHILD_CASE(name)                         \
	static void name(void **state)           \
	{                                        \
		(void)state;                     \
		child_passes(name##_body, NULL); \
	}

/* Small counts (QUIRE_TEST_QUICK), ordinary ones, large ones (QUIRE_HUNT). */
long count_of(long quick, long normal, long hunt);

/* The seed of a random test: QUIRE_SEED, or the clock's; printed. */
unsigned long seed_of(const char *test);

#endif
