/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/pids.h - the numbers of all processes there are.
 *
 * The list is read whole before anybody looks at the first process: while one is looked at, others are born with higher
 * numbers, and who lists as he goes may run behind them without ever reaching the end.
 */
#ifndef SYS_PIDS_H
#define SYS_PIDS_H

#include <stddef.h>

/* The processes there were at pids_open(). */
struct pids {
	int *all;
	size_t count;
	size_t next;
};

int pids_open(struct pids *pids); /* 0, -ENOMEM, or why /proc cannot be read */
void pids_close(struct pids *pids);

/* The next number, or 0 at the end. */
int pids_next(struct pids *pids);

#endif
