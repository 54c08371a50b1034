/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/signal.h"

#include <errno.h>
#include <stddef.h>

int sys_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	return sigaction(number, action, old) < 0 ? -errno : 0;
}

int sys_thread_mask(sigset_t *mask)
{
	return -pthread_sigmask(SIG_BLOCK, NULL, mask);
}

int sys_thread_block(const sigset_t *mask, sigset_t *old)
{
	return -pthread_sigmask(SIG_BLOCK, mask, old);
}

int sys_thread_set_mask(const sigset_t *mask)
{
	return -pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void sys_raise(int number)
{
	(void)raise(number);
}

int sys_errno_save(void)
{
	return errno;
}

void sys_errno_restore(int saved)
{
	errno = saved;
}
