/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/lock.h - locks, and lock classes that clang checks.
 *
 * C17 and clang 14 cannot name a struct's member in an attribute, so what is named is the class: one global variable
 * for all locks of one kind. A function that takes a lock of class lock_as says acquires(lock_as); one that needs it
 * held says must_hold(lock_as); what stands under it says guarded_by(lock_as), but for what is reached by its address alone,
 * which is not seen. gcc sees nothing. The order is declared here, in one place:
 *
 *	lock_checkpoint  ->  lock_region  ->  lock_quire  ->  lock_as  ->  lock_object  ->  lock_pool
 *
 * This is the only place in base that parks a thread.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#if defined(__clang__)
#define LOCK_ATTRIBUTE(x) __attribute__((x))
#else
#define LOCK_ATTRIBUTE(x)
#endif

#define acquires(class) LOCK_ATTRIBUTE(acquire_capability(class))
#define releases(class) LOCK_ATTRIBUTE(release_capability(class))
#define must_hold(class) LOCK_ATTRIBUTE(requires_capability(class))
#define must_not_hold(class) LOCK_ATTRIBUTE(locks_excluded(class))
#define guarded_by(class) LOCK_ATTRIBUTE(guarded_by(class))
#define acquired_after(class) LOCK_ATTRIBUTE(acquired_after(class))
#define lock_check_off LOCK_ATTRIBUTE(no_thread_safety_analysis)

struct LOCK_ATTRIBUTE(capability("lock")) lock_class {
	char unused;
};

extern struct lock_class lock_checkpoint;
extern struct lock_class lock_region acquired_after(lock_checkpoint);
extern struct lock_class lock_quire acquired_after(lock_region);
extern struct lock_class lock_as acquired_after(lock_quire);
extern struct lock_class lock_object acquired_after(lock_as);
extern struct lock_class lock_pool acquired_after(lock_object);

struct lock {
	pthread_mutex_t mutex;
};

#define LOCK_INIT                                  \
	{                                          \
		.mutex = PTHREAD_MUTEX_INITIALIZER \
	}

static inline void lock_init(struct lock *lock)
{
	(void)pthread_mutex_init(&lock->mutex, NULL); /* cannot fail with default attributes */
}

static inline void lock_done(struct lock *lock)
{
	(void)pthread_mutex_destroy(&lock->mutex);
}

/* The two functions below are wrapped by one pair for each class, which carries the attributes. */
static inline void lock_take(struct lock *lock)
{
	(void)pthread_mutex_lock(&lock->mutex);
}

static inline void lock_give(struct lock *lock)
{
	(void)pthread_mutex_unlock(&lock->mutex);
}

/*
 * For a lock that belongs to the process, not to a handle: whoever forks takes it first, so that a child never finds it
 * taken by a thread that it has not got. Once a lock is enough. Handles of a parent are not for its children.
 */
void lock_hold_over_fork(struct lock *lock);

/* What a thread waits for while it holds a lock: given up while it sleeps, held again when it wakes. */
struct condition {
	pthread_cond_t cond;
};

static inline void condition_init(struct condition *condition)
{
	(void)pthread_cond_init(&condition->cond, NULL);
}

static inline void condition_done(struct condition *condition)
{
	(void)pthread_cond_destroy(&condition->cond);
}

/* May wake without a reason: call it in a loop that looks again. */
static inline void condition_wait(struct condition *condition, struct lock *lock)
{
	(void)pthread_cond_wait(&condition->cond, &lock->mutex);
}

static inline void condition_wake_all(struct condition *condition)
{
	(void)pthread_cond_broadcast(&condition->cond);
}

/* In a loop that asks again and again: the processor's other half gets more of it. */
#if defined(__x86_64__)
#define lock_relax() __builtin_ia32_pause()
#else
#define lock_relax() ((void)0)
#endif

/* Let others run while waiting for something that is about to happen. Async-signal-safe. */
static inline void lock_yield(void)
{
	(void)sched_yield();
}

/* For waiting on another process that does not wake us. */
static inline void lock_nap(long nanoseconds)
{
	const struct timespec span = { .tv_nsec = nanoseconds };

	(void)nanosleep(&span, NULL);
}

/*
 * A lock for a few hundred nanoseconds that may be taken in a signal handler. Who holds one touches no memory that can
 * fault, waits for nothing, and calls nothing that might take it: so a fault's handler never meets its own thread's lock.
 * Zero is a free one.
 */
struct spin {
	atomic_int taken;
};

/* Who holds it gives it in less time than a call of the kernel takes, unless it has lost its processor. */
enum { SPIN_LOOKS = 20 };

static inline void spin_take(struct spin *spin)
{
	while (atomic_exchange_explicit(&spin->taken, 1, memory_order_acquire) != 0) {
		for (int i = 0;
			i < SPIN_LOOKS && atomic_load_explicit(&spin->taken, memory_order_relaxed) != 0; i++)
			lock_relax();
		if (atomic_load_explicit(&spin->taken, memory_order_relaxed) != 0)
			lock_yield();
	}
}

static inline bool spin_try(struct spin *spin)
{
	return atomic_exchange_explicit(&spin->taken, 1, memory_order_acquire) == 0;
}

static inline void spin_give(struct spin *spin)
{
	atomic_store_explicit(&spin->taken, 0, memory_order_release);
}

#endif
