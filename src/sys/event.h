/* SPDX-License-Identifier: Apache-2.0 */
/* sys/event.h - a wake-up that can be polled (eventfd). */
#ifndef SYS_EVENT_H
#define SYS_EVENT_H

#include <stdint.h>

struct pollfd;

int sys_event_open(void);         /* close-on-exec, non-blocking */
void sys_event_signal(int event); /* async-signal-safe */

/* Which one it is, of all there are: a number of the kernel's that another never gets, while the descriptor's number may be
 * anybody's once it was closed. 0: it is no event, or there is no /proc; -errno: it cannot be found out now. */
int64_t sys_event_identity(int event);

/* Waits for several at once. `fds` stay open for as long. A descriptor, to be closed, or -errno. */
int sys_watch_open(const int *fds, unsigned int count);

/* Until one is readable: bit i for fds[i]. 0: the watch is no descriptor any more. */
unsigned int sys_watch_wait(int watch);

/* poll(2), gone on with after a signal; timeout_ms -1: for ever. */
int sys_poll(struct pollfd *fds, unsigned int count, int timeout_ms);

#endif
