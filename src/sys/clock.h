/* SPDX-License-Identifier: Apache-2.0 */
/* sys/clock.h - time. */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stdint.h>

uint64_t sys_now_ns(void); /* CLOCK_MONOTONIC */

unsigned int sys_cpu_online(void); /* processors there are; at least 1 */

#endif
