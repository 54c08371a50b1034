/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - time that only goes forward. */
#ifndef QUIRE_CLOCK_H
#define QUIRE_CLOCK_H

#include <stdint.h>
#include <time.h>

enum { NS_A_SECOND = 1000000000 };

static inline uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
	return (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec;
}

static inline double now_seconds(void)
{
	return (double)now_ns() / NS_A_SECOND;
}

#endif
