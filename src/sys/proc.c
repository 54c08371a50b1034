/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

int sys_cachestat(int fd, uint64_t offset, uint64_t length, struct sys_cachestat *counts)
{
	struct sys_cachestat_range range = { .off = offset, .len = length };

	return result(syscall(SYS_cachestat, fd, &range, counts, 0));
}

int sys_pagemap_scan(int fd, struct pm_scan_arg *scan)
{
	int r;

	do
		r = result(ioctl(fd, PAGEMAP_SCAN, scan));
	while (r == -EINTR);
	return r;
}

int sys_procmap_query(int fd, struct procmap_query *query)
{
	int r;

	do
		r = result(ioctl(fd, PROCMAP_QUERY, query));
	while (r == -EINTR);
	return r;
}

int sys_page_nodes(int pid, size_t count, const uintptr_t *pages, int *nodes)
{
	return result(syscall(SYS_move_pages, pid, count, pages, NULL, nodes, 0));
}

ssize_t sys_read(int fd, void *buffer, size_t length)
{
	ssize_t n;

	do
		n = read(fd, buffer, length);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int sys_fadvise(int fd, uint64_t offset, uint64_t length, int advice)
{
	return -posix_fadvise(fd, (off_t)offset, (off_t)length, advice);
}

unsigned int sys_effective_user(void)
{
	return geteuid();
}
