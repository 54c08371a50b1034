/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/clock.h"

#include <sched.h>
#include <time.h>

uint64_t sys_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

unsigned int sys_cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1; /* more processors than the set holds is many, but 1 is the careful answer */
	return (unsigned int)CPU_COUNT(&set);
}
