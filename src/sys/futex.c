/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/futex.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NS_A_SECOND = 1000000000 };

int sys_futex_wait_any(const struct sys_word *words, size_t count, uint64_t deadline_ns)
{
	struct futex_waitv waiters[SYS_WORDS_MAX] = { { 0 } };
	struct timespec until = {
		.tv_sec = (time_t)(deadline_ns / NS_A_SECOND),
		.tv_nsec = (long)(deadline_ns % NS_A_SECOND),
	};
	long r;

	assert(count <= SYS_WORDS_MAX);
	for (size_t i = 0; i < count; i++) {
		waiters[i].val = words[i].value;
		waiters[i].uaddr = (uintptr_t)words[i].word;
		waiters[i].flags = FUTEX_32 | (words[i].shared ? 0U : FUTEX_PRIVATE_FLAG);
	}
	r = syscall(SYS_futex_waitv, waiters, (unsigned int)count, 0,
		deadline_ns == SYS_NEVER ? NULL : &until, CLOCK_MONOTONIC);
	if (r >= 0 || errno == EAGAIN || errno == EINTR)
		return 0;
	return -errno;
}

void sys_futex_wake(const atomic_uint *word, bool shared)
{
	/* Fails only on an address that is not mapped, which is the caller's mistake. */
	(void)syscall(
		SYS_futex, word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), INT_MAX, NULL, NULL, 0);
}

static int membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) < 0 ? -errno : 0;
}

int sys_barrier_register(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

int sys_barrier(void)
{
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}
