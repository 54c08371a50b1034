/* SPDX-License-Identifier: Apache-2.0 */
/* doctor-limits.c - limits of processes and of their groups: mappings, locked memory, address space, cgroups. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "clock.h"
#include "doctor.h"
#include "process.h"
#include "room.h"

/* doctor has 50 ms in all; processes with the most mappings are found long before. */
#define SEARCH_SECONDS 0.015

/* Lines of the process's maps; 0 when they are not shown to us. */
static uint64_t count_mappings(int pid, double until)
{
	char path[40], buffer[65536];
	uint64_t lines = 0;
	size_t n;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while ((n = fread(buffer, 1, sizeof(buffer), file)) != 0 && now_seconds() < until)
		for (const char *at = buffer; (at = memchr(at, '\n', n - (size_t)(at - buffer))) != NULL;
			at++)
			lines++;
	fclose(file);
	return lines;
}

/* The process with the most mappings, or the one that was asked about. */
static uint64_t most_mappings(const struct doctor *d, int *pid)
{
	double until = now_seconds() + SEARCH_SECONDS;
	const struct dirent *entry;
	uint64_t most = 0;
	DIR *proc;

	*pid = d->pid;
	if (d->pid != 0)
		return count_mappings(d->pid, until + 1);
	proc = opendir("/proc");
	while (proc != NULL && (entry = readdir(proc)) != NULL && now_seconds() < until) {
		int candidate = process_number(entry->d_name);
		uint64_t n = candidate <= 0 ? 0 : count_mappings(candidate, until);

		if (n > most) {
			most = n;
			*pid = candidate;
		}
	}
	if (proc != NULL)
		closedir(proc);
	return most;
}

static void check_map_count(struct doctor *d)
{
	uint64_t limit, most;
	int pid;
	struct finding *f;
	bool few, near;

	if (!doctor_sysctl(d, "vm/max_map_count", &limit))
		return;
	most = most_mappings(d, &pid);
	few = limit < 262144 && doctor_is_for(d, FOR_ELASTICSEARCH);
	near = limit != 0 && (double)most / (double)limit > 0.7;
	f = doctor_find(d,
		few            ? LEVEL_FAIL
			: near ? LEVEL_WARN
			       : LEVEL_OK,
		"max-map-count", "vm.max_map_count = %s; process %d uses %s (%s)", text_count(limit).s, pid,
		text_count(most).s, text_percent(limit == 0 ? 1 : (double)most / (double)limit).s);
	doctor_meaning(f,
		few ? "Elasticsearch and OpenSearch refuse to start below 262,144"
		    : "beyond it mmap, munmap and mprotect fail with \"out of memory\" though memory is free");
	if (few || near) {
		doctor_fix(f, "raise it; memory is only used by mappings that exist");
		doctor_setting(f, "vm.max_map_count = 1048576");
	}
}

/** One line of /proc/PID/limits. */
static bool read_limit(const struct doctor *d, const char *name, int resource, uint64_t *soft)
{
	char path[64], line[200];
	size_t length = strlen(name);
	struct rlimit limit;
	bool found = false;
	FILE *file;

	if (d->pid == 0) {
		if (getrlimit((__rlimit_resource_t)resource, &limit) != 0)
			return false;
		*soft = limit.rlim_cur == RLIM_INFINITY ? QUIRE_UNKNOWN : limit.rlim_cur;
		return true;
	}
	snprintf(path, sizeof(path), "/proc/%d/limits", d->pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		char *end;
		unsigned long long value;

		if (strncmp(line, name, length) != 0)
			continue;
		value = strtoull(line + length, &end, 10);
		found = true;
		*soft = end != line + length ? value : QUIRE_UNKNOWN; /* "unlimited" */
	}
	if (file != NULL)
		fclose(file);
	return found;
}

static struct text limit_text(uint64_t limit)
{
	struct text unlimited = { "unlimited" };

	return limit == QUIRE_UNKNOWN ? unlimited : text_bytes(limit);
}

static void check_memlock(struct doctor *d)
{
	uint64_t limit;
	bool needed = d->profile == FOR_ELASTICSEARCH || d->profile == FOR_QUIRE;
	struct finding *f;

	if (!read_limit(d, "Max locked memory", RLIMIT_MEMLOCK, &limit)) {
		doctor_find(d, LEVEL_UNKNOWN, "memlock", "the limit of locked memory cannot be read");
		return;
	}
	f = doctor_find(d, needed && limit < 64 << 20 ? LEVEL_WARN : LEVEL_OK, "memlock",
		"locked memory up to %s", limit_text(limit).s);
	doctor_meaning(f,
		"mlock, QUIRE_LOCKED, and buffers registered with io_uring fail beyond it (root is exempt)");
	if (f->level == LEVEL_WARN)
		doctor_fix(f, "ulimit -l, LimitMEMLOCK= of systemd, or /etc/security/limits.conf");
}

static void check_address_space(struct doctor *d)
{
	uint64_t limit;
	struct finding *f;

	if (!read_limit(d, "Max address space", RLIMIT_AS, &limit)) {
		doctor_find(d, LEVEL_UNKNOWN, "address-space", "the limit of addresses cannot be read");
		return;
	}
	f = doctor_find(d, limit == QUIRE_UNKNOWN ? LEVEL_OK : LEVEL_WARN, "address-space",
		"addresses up to %s", limit_text(limit).s);
	doctor_meaning(f,
		"mappings count by their addresses, touched or not: a reserved terabyte is refused under a limit");
	if (limit != QUIRE_UNKNOWN)
		doctor_fix(f, "ulimit -v unlimited; bound memory by a cgroup instead");
}

static void check_open_files(struct doctor *d)
{
	uint64_t limit;
	bool few;
	struct finding *f;

	if (!read_limit(d, "Max open files", RLIMIT_NOFILE, &limit)) {
		doctor_find(d, LEVEL_UNKNOWN, "open-files", "the limit of open files cannot be read");
		return;
	}
	few = limit < 65535 && doctor_is_for(d, FOR_ELASTICSEARCH);
	f = doctor_find(
		d, few ? LEVEL_FAIL : LEVEL_OK, "open-files", "open files up to %s", text_count(limit).s);
	doctor_meaning(f,
		few ? "Elasticsearch refuses to start below 65,535" : "a mapping needs none once it is made");
	if (few)
		doctor_fix(f, "ulimit -n 65535, or LimitNOFILE= of systemd");
}

static void check_cgroup(struct doctor *d)
{
	struct cgroup group;
	uint64_t limit, used, file, inactive, working;
	struct finding *f;

	if (!cgroup_find(d->root, d->pid, &group) ||
		!cgroup_number(d->root, &group, "memory.current", "memory.usage_in_bytes", &used)) {
		doctor_find(d, LEVEL_SKIPPED, "cgroup", "no memory limit of a group is in force here");
		return;
	}
	if (!cgroup_number(d->root, &group, "memory.max", "memory.limit_in_bytes", &limit) ||
		limit == QUIRE_UNKNOWN) {
		doctor_find(d, LEVEL_OK, "cgroup", "the group uses %s and has no limit", text_bytes(used).s);
		return;
	}
	file = cgroup_stat(d->root, &group, group.unified ? "file" : "total_cache");
	inactive = cgroup_stat(d->root, &group, group.unified ? "inactive_file" : "total_inactive_file");
	working = used > inactive ? used - inactive : 0;
	f = doctor_find(d, working > limit / 10 * 9 ? LEVEL_WARN : LEVEL_OK, "cgroup",
		"the group uses %s of %s: working set %s", text_bytes(used).s, text_bytes(limit).s,
		text_bytes(working).s);
	doctor_meaning(f,
		"%s is cache of files, of which %s is inactive: it is dropped before anybody is killed, and not part of "
		"the working set by which containers are evicted; active cache is",
		text_bytes(file).s, text_bytes(inactive).s);
	if (f->level == LEVEL_WARN)
		doctor_fix(f, "raise the limit, or map less: mapped pages of files are active and count");
}

doctor_check *const doctor_limit_checks[] = { check_map_count, check_memlock, check_address_space,
	check_open_files, check_cgroup, NULL };
