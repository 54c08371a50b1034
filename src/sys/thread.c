/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/thread.h"

#include <errno.h>
#include <pthread.h>
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

void sys_sleep(uint64_t ns)
{
	struct timespec left = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}
