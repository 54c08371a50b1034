/* SPDX-License-Identifier: Apache-2.0 */
/* sys/proc.h - what the kernel tells of files and processes, as -errno. Nothing here changes what it looks at. */
#ifndef SYS_PROC_H
#define SYS_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sys/uapi.h"

/* length 0 means to the end of the cache, which may lie behind the end of the file. */
int sys_cachestat(int fd, uint64_t offset, uint64_t length, struct sys_cachestat *counts);

/* Both on a descriptor of /proc/PID/pagemap or /proc/PID/maps. pagemap_scan returns the number of regions. */
int sys_pagemap_scan(int fd, struct pm_scan_arg *scan);
int sys_procmap_query(int fd, struct procmap_query *query);

/* The node of each page, or a negative errno: nothing is moved. pid 0 is the caller. */
int sys_page_nodes(int pid, size_t count, const uintptr_t *pages, int *nodes);

/* Reads on from where the descriptor stands. */
ssize_t sys_read(int fd, void *buffer, size_t length);

int sys_fadvise(int fd, uint64_t offset, uint64_t length, int advice);
unsigned int sys_effective_user(void);

#endif
