/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/fork.h - am I still the process that opened this?
 *
 * The rings are not there in a child made by fork (DONTFORK); touching one would be SIGSEGV. A page that the kernel
 * empties in a child (WIPEONFORK) tells, at the price of one load.
 */
#ifndef CHANNEL_FORK_H
#define CHANNEL_FORK_H

#include <stdbool.h>
#include <stdint.h>

/* 0 in a child that has not opened anything yet. */
extern const volatile uint32_t *fork_page;

/* This process's mark, for a handle to remember; > 0. The first call of a process maps the page. */
int fork_mark(uint32_t *mark);

static inline bool fork_is_mine(uint32_t mark)
{
	return *fork_page == mark;
}

#endif
