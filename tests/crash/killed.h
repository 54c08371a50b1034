/* SPDX-License-Identifier: Apache-2.0 */
/*
 * killed.h - a victim of the kill loops (tests/crash/kill): a process that commits until it is killed, and one that looks
 * after it.
 *
 *	VICTIM run DIR                says "begun N" and "acked N" on its standard output
 *	VICTIM check DIR ACKED BEGUN
 */
#ifndef TESTS_CRASH_KILLED_H
#define TESTS_CRASH_KILLED_H

#include "crash.h"

enum { COMMITS_MAX = 30, CLOSE_EVERY = 7 };

void say(const char *what, uint64_t commit);

/* What a victim is. check: 0, or the number of the invariant that is broken; it commits once more. */
int victim_run(const char *dir);
int victim_check(const char *dir, const struct crash_history *h);

#endif
