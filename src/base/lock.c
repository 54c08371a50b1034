/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

#include <assert.h>

struct lock_class lock_checkpoint;
struct lock_class lock_region;
struct lock_class lock_quire;
struct lock_class lock_as;
struct lock_class lock_object;
struct lock_class lock_pool;

enum { HELD_MAX = 8, TRIES_MAX = 1000000 };

static struct lock *held[HELD_MAX]; /* those to be held over a fork */
static unsigned int held_count;
static struct spin held_spin; /* of the two above; held over forks as well */
static _Thread_local bool holding;

static bool try_all(void)
{
	unsigned int n = 0;

	if (!spin_try(&held_spin))
		return false;
	while (n < held_count && pthread_mutex_trylock(&held[n]->mutex) == 0)
		n++;
	if (n == held_count)
		return true;
	while (n > 0)
		lock_give(held[--n]);
	spin_give(&held_spin);
	return false;
}

/* All or none, so that it does not matter in which order others take them. Not for ever: a signal handler that forks may
 * have interrupted the very thread that has one. */
static void before_fork(void)
{
	for (int i = 0; i < TRIES_MAX && !holding; i++) {
		holding = try_all();
		if (!holding)
			lock_yield();
	}
}

static void after_fork(void)
{
	if (!holding)
		return;
	for (unsigned int i = 0; i < held_count; i++)
		lock_give(held[i]);
	spin_give(&held_spin);
	holding = false;
}

static void ask_to_be_told(void)
{
	/* Fails without memory only; then it is as it was without. */
	(void)pthread_atfork(before_fork, after_fork, after_fork);
}

void lock_hold_over_fork(struct lock *lock)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	unsigned int i = 0;

	(void)pthread_once(&once, ask_to_be_told);
	spin_take(&held_spin);
	while (i < held_count && held[i] != lock)
		i++;
	assert(i < HELD_MAX);
	if (i == held_count)
		held[held_count++] = lock;
	spin_give(&held_spin);
}
