/* SPDX-License-Identifier: Apache-2.0 */
/* sys/signal.h - signal actions and masks, as -errno. */
#ifndef SYS_SIGNAL_H
#define SYS_SIGNAL_H

#include <signal.h>

int sys_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int sys_thread_mask(sigset_t *mask); /* what the calling thread blocks */
int sys_thread_block(const sigset_t *mask, sigset_t *old);
int sys_thread_set_mask(const sigset_t *mask);
void sys_raise(int number); /* to the calling thread */

/* A signal handler leaves errno as it found it. */
int sys_errno_save(void);
void sys_errno_restore(int saved);

#endif
