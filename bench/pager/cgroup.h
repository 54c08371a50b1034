/* SPDX-License-Identifier: Apache-2.0 */
/* A memory cgroup for a peer: the only way to bound the kernel's page cache. Version 2 where it has the memory controller,
 * else version 1. */
#ifndef QUIRE_BENCH_CGROUP_H
#define QUIRE_BENCH_CGROUP_H

#include <sys/stat.h>

#include "common.h"

static inline int cgroup_write(const char *folder, const char *name, const char *text)
{
	char path[512];
	int fd;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -errno : 0;
}

static inline const char *cgroup_try(char *folder, const char *root, const char *limit, const char *bytes)
{
	static char why[600];

	(void)snprintf(folder, 256, "%s/quire-bench-%d", root, (int)getpid());
	if (mkdir(folder, 0755) < 0 && errno != EEXIST) {
		(void)snprintf(why, sizeof(why), "mkdir %s: %s", folder, strerror(errno));
		return why;
	}
	int r = cgroup_write(folder, limit, bytes);

	if (r < 0) {
		(void)snprintf(why, sizeof(why), "%s/%s: %s", folder, limit, strerror(-r));
		(void)rmdir(folder);
		return why;
	}
	return NULL;
}

/* NULL, and folder is a group with that limit; or why there is none. */
static inline const char *cgroup_make(char *folder, uint64_t limit)
{
	char bytes[32];

	(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)limit);
	if (cgroup_try(folder, "/sys/fs/cgroup", "memory.max", bytes) == NULL)
		return NULL;
	return cgroup_try(folder, "/sys/fs/cgroup/memory", "memory.limit_in_bytes", bytes);
}

static inline int cgroup_enter(const char *folder)
{
	return cgroup_write(folder, "cgroup.procs", "0");
}

static inline void cgroup_remove(const char *folder)
{
	for (int i = 0; i < 100 && rmdir(folder) < 0; i++)
		(void)usleep(10000); /* until its last process is gone */
}

#endif
