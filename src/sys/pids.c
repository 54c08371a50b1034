/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/pids.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* The process number that a name in /proc is, or 0. */
static int pid_of(const char *name)
{
	char *end;
	long pid;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	pid = strtol(name, &end, 10);
	return *end == '\0' && pid <= INT_MAX ? (int)pid : 0;
}

static int add(struct pids *pids, size_t *room, int pid)
{
	if (pids->count == *room) {
		size_t more = *room == 0 ? 1024 : *room * 2;
		int *all = reallocarray(pids->all, more, sizeof(*all));

		if (all == NULL)
			return -ENOMEM;
		pids->all = all;
		*room = more;
	}
	pids->all[pids->count++] = pid;
	return 0;
}

int pids_open(struct pids *pids)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	size_t room = 0;
	int pid, r = 0;

	*pids = (struct pids){ .count = 0 };
	if (directory == NULL)
		return -errno;
	while (r == 0 && (entry = readdir(directory)) != NULL)
		if ((pid = pid_of(entry->d_name)) != 0)
			r = add(pids, &room, pid);
	(void)closedir(directory);
	if (r < 0)
		pids_close(pids);
	return r;
}

int pids_next(struct pids *pids)
{
	return pids->next < pids->count ? pids->all[pids->next++] : 0;
}

void pids_close(struct pids *pids)
{
	free(pids->all);
	*pids = (struct pids){ .count = 0 };
}
