/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include <quire/quire.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where version 1 and version 2 of control groups are mounted. */
#define GROUPS "/sys/fs/cgroup"
#define GROUPS_V1 GROUPS "/memory"

const char *system_root(void)
{
	const char *root = getenv("QUIRE_SYSTEM_ROOT");

	return root == NULL ? "" : root;
}

/* "0::/user.slice" or "4:memory:/docker/ab12" */
bool cgroup_find(const char *root, int pid, struct cgroup *group)
{
	char path[400], line[4200];
	FILE *file;
	bool found = false;

	if (pid == 0)
		snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	else
		snprintf(path, sizeof(path), "%s/proc/%d/cgroup", root, pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		const char *colon = strchr(line, ':'),
			   *second = colon == NULL ? NULL : strchr(colon + 1, ':');
		bool memory = second != NULL && strncmp(colon, ":memory:", 8) == 0;

		line[strcspn(line, "\n")] = '\0';
		if (second == NULL || (!memory && (found || second != colon + 1)))
			continue;
		group->unified = !memory;
		snprintf(group->path, sizeof(group->path), "%s%.3900s", memory ? GROUPS_V1 : GROUPS,
			strcmp(second + 1, "/") == 0 ? "" : second + 1);
		found = true;
		if (memory)
			break;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

uint64_t cgroup_stat(const char *root, const struct cgroup *group, const char *key)
{
	char path[4400], line[200];
	size_t length = strlen(key);
	unsigned long long value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s%s/memory.stat", root, group->path);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			value = strtoull(line + length, NULL, 10);
	if (file != NULL)
		fclose(file);
	return value;
}

bool cgroup_number(
	const char *root, const struct cgroup *group, const char *v2, const char *v1, uint64_t *number)
{
	char path[4600], line[64], *end = line;
	bool got;
	FILE *file;

	snprintf(path, sizeof(path), "%s%s/%s", root, group->path, group->unified ? v2 : v1);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	got = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	if (got && strcmp(line, "max\n") == 0) {
		*number = QUIRE_UNKNOWN;
		return true;
	}
	if (got)
		*number = strtoull(line, &end, 10);
	/* Version 1 writes "no limit" as the largest number of pages. */
	if (got && *number > UINT64_C(1) << 60)
		*number = QUIRE_UNKNOWN;
	return got && end != line;
}

/* To the group around it; false when it was the outermost. */
static bool widen(struct cgroup *group)
{
	char *slash = strrchr(group->path, '/');

	if (strcmp(group->path, group->unified ? GROUPS : GROUPS_V1) == 0 || slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

/* What a group with a limit can still take: its cache of files gives way. */
static uint64_t room_in(const char *root, const struct cgroup *group, uint64_t *limit)
{
	uint64_t used, files;

	if (!cgroup_number(root, group, "memory.max", "memory.limit_in_bytes", limit) ||
		*limit == QUIRE_UNKNOWN ||
		!cgroup_number(root, group, "memory.current", "memory.usage_in_bytes", &used))
		return QUIRE_UNKNOWN;
	files = cgroup_stat(root, group, group->unified ? "active_file" : "total_active_file") +
		cgroup_stat(root, group, group->unified ? "inactive_file" : "total_inactive_file");
	used -= files < used ? files : used;
	return used < *limit ? *limit - used : 0;
}

void room_read(struct room *room)
{
	struct quire_memory memory = { .size = sizeof(memory) };
	const char *root = system_root();
	struct cgroup group;

	*room = (struct room){ .bytes = QUIRE_UNKNOWN };
	if (quire_memory_read(&memory) == 0) {
		room->bytes = memory.available_bytes;
		room->limit = memory.total_bytes;
	}
	for (bool more = cgroup_find(root, 0, &group); more; more = widen(&group)) {
		uint64_t limit, bytes = room_in(root, &group, &limit);

		if (bytes != QUIRE_UNKNOWN && bytes < room->bytes)
			*room = (struct room){ .bytes = bytes, .limit = limit, .of_group = true };
	}
}

enum status room_refuse(const struct room *room, uint64_t bytes, const char *advice)
{
	return fail(STATUS_PARTLY, "%s do not fit into memory: %s %s, of which %s can be had; %s",
		text_bytes(bytes).s,
		room->of_group ? "the limit of this process's control group is" : "this machine has",
		text_bytes(room->limit).s, text_bytes(room->bytes).s, advice);
}
