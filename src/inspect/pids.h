/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/pids.h - the numbers of all processes, however many, without memory of its own. */
#ifndef INSPECT_PIDS_H
#define INSPECT_PIDS_H

#include <stddef.h>

/* A list of /proc that is being read. */
struct pids {
	int directory;
	size_t at;
	size_t filled;
	char names[16384];
};

int pids_open(struct pids *pids);
void pids_close(struct pids *pids);

/* The next number, 0 at the end, or a negative errno. */
int pids_next(struct pids *pids);

#endif
