/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/futex.h - sleeping on words, and the fence that one thread executes on behalf of all, as -errno.
 *
 * The words need only be readable: a process may sleep on memory that it cannot write.
 */
#ifndef SYS_FUTEX_H
#define SYS_FUTEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYS_NEVER UINT64_MAX /* a deadline that does not come */

/* The kernel's limit of one FUTEX_WAITV. */
enum { SYS_WORDS_MAX = 128 };

/* One word to sleep on: as long as it holds the value. */
struct sys_word {
	const atomic_uint *word;
	uint32_t value;
	bool shared; /* with other processes */
};

/* Sleeps until one of the words is woken or changed, or until the deadline (CLOCK_MONOTONIC, in ns). 0 also when it was
 * woken for nothing; -ETIMEDOUT; -ENOSYS or -EPERM where it is refused. EINTR is not retried: it returns 0. */
int sys_futex_wait_any(const struct sys_word *words, size_t count, uint64_t deadline_ns);

/* Wakes everybody who sleeps on the word. */
void sys_futex_wake(const atomic_uint *word, bool shared);

/* Lets other processes fence this one (sys_barrier); once a process. */
int sys_barrier_register(void);

/* A full fence on every processor that runs a process which has registered. */
int sys_barrier(void);

#endif
