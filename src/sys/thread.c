/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/thread.h"

#include <errno.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Thread_local __attribute__((tls_model("initial-exec"))) int thread_id;

static uint32_t forks;

static void in_child(void)
{
	thread_id = 0;
	forks++;
}

static void at_fork(void)
{
	(void)pthread_atfork(
		NULL, NULL, in_child); /* fails without memory only; then the id of the parent is kept */
}

int sys_thread_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (thread_id == 0) {
		(void)pthread_once(&once, at_fork);
		thread_id = (int)syscall(SYS_gettid);
	}
	return thread_id;
}

uint32_t sys_forks(void)
{
	return forks;
}

/* The least of fds that is above `above`, or -1. */
static int next_above(const int *fds, unsigned int count, int above)
{
	int next = -1;

	for (unsigned int i = 0; i < count; i++)
		if (fds[i] > above && (next < 0 || fds[i] < next))
			next = fds[i];
	return next;
}

static int close_between(int after, int before)
{
	unsigned int first = (unsigned int)after + 1;
	unsigned int last = before < 0 ? ~0U : (unsigned int)before - 1;

	if (before >= 0 && before <= after + 1)
		return 0;
	return syscall(SYS_close_range, first, last, 0) < 0 ? -errno : 0;
}

int sys_keep_descriptors(const int *fds, unsigned int count)
{
	int kept = -1, next, r = 0;

	/* Closes nothing: it is the call that seccomp filters allow where they forbid unshare(2). */
	if (syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_UNSHARE) < 0)
		return -errno;
	do {
		next = next_above(fds, count, kept);
		r = close_between(kept, next);
		kept = next;
	} while (r == 0 && next >= 0);
	return r;
}

uint64_t sys_thread_preempted(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_nivcsw : 0;
}

void sys_sleep(uint64_t ns)
{
	struct timespec left = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}
