/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/lock.h - byte-range locks on open files (OFD locks), as -errno. The kernel drops them when the last descriptor of
 * the opening is closed, so also when a process dies. Nothing waits.
 */
#ifndef SYS_LOCK_H
#define SYS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* [start, start + length). exclusive needs a descriptor open for writing, shared one open for reading. -EAGAIN: taken. */
int sys_lock_take(int fd, uint64_t start, uint64_t length, bool exclusive);
int sys_lock_give(int fd, uint64_t start, uint64_t length);

/* Would an exclusive lock by another opening meet one? 1 with the first byte of one in *taken, else 0. */
int sys_lock_test(int fd, uint64_t start, uint64_t length, uint64_t *taken);

/* The process that holds a lock which begins at `start` of this file, found in /proc/PID/fdinfo, as the kernel names no
 * holder of such locks. -ESRCH when none is visible to us. Slow: a file a descriptor and process. */
int sys_lock_holder(int fd, uint64_t start);

#endif
