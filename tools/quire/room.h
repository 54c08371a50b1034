/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room.h - how much memory can be had: by the machine, and by the control groups that a process is in.
 *
 * Programs in containers see the memory of the whole machine in /proc/meminfo, and are killed by their group's limit.
 */
#ifndef QUIRE_TOOL_ROOM_H
#define QUIRE_TOOL_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "verbs.h"

/** Where the memory controller of a process's group is. */
struct cgroup {
	char path[4096];
	bool unified; /* version 2 */
};

/* What stands in front of /proc and /sys: "", or for tests a copy of a few files ($QUIRE_SYSTEM_ROOT). */
const char *system_root(void);

/* pid 0: this process; false when there is no such controller. */
bool cgroup_find(const char *root, int pid, struct cgroup *group);

/* One number of the group, by its name in version 2 and 1; false when it is not told. "max" is QUIRE_UNKNOWN. */
bool cgroup_number(
	const char *root, const struct cgroup *group, const char *v2, const char *v1, uint64_t *number);

/* One line of memory.stat; 0 when it is not there. */
uint64_t cgroup_stat(const char *root, const struct cgroup *group, const char *key);

/** What can be had, of how much. */
struct room {
	uint64_t bytes; /* QUIRE_UNKNOWN: nobody says, so everything fits */
	uint64_t limit;
	bool of_group; /* the limit is that of a control group, not the machine's */
};

void room_read(struct room *room);

/* Says that so much does not fit, with the figures, and what to do. */
enum status room_refuse(const struct room *room, uint64_t bytes, const char *advice);

#endif
