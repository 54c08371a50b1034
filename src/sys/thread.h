/* SPDX-License-Identifier: Apache-2.0 */
/* sys/thread.h - who is running. */
#ifndef SYS_THREAD_H
#define SYS_THREAD_H

#include <stdint.h>

/* The kernel's id of the calling thread; remembered, so it costs a load. Async-signal-safe; right in fork children. */
int sys_thread_id(void);

/* How many forks lie between this process and the one in which sys_thread_id() was first called. */
uint32_t sys_forks(void);

void sys_sleep(uint64_t ns); /* async-signal-safe */

#endif
