/* SPDX-License-Identifier: Apache-2.0 */
/* sys/thread.h - who is running. */
#ifndef SYS_THREAD_H
#define SYS_THREAD_H

#include <stdint.h>

/* The kernel's id of the calling thread; remembered, so it costs a load. Async-signal-safe; right in fork children. */
int sys_thread_id(void);

/* How many forks lie between this process and the one in which sys_thread_id() was first called. */
uint32_t sys_forks(void);

/* From now on the calling thread has a table of descriptors of its own, with `count` of the present ones and no other: what
 * the program closes stays open here. -ENOSYS: Linux older than 5.9. */
int sys_keep_descriptors(const int *fds, unsigned int count);

/* How often the calling thread has lost its processor to another since it began. */
uint64_t sys_thread_preempted(void);

void sys_sleep(uint64_t ns); /* async-signal-safe */

#endif
