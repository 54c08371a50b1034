/* SPDX-License-Identifier: Apache-2.0 */
/* support/vma.h - what the kernel itself says of an address: /proc/self/smaps and status. */
#ifndef TESTS_SUPPORT_VMA_H
#define TESTS_SUPPORT_VMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vma {
	uintptr_t start;
	uintptr_t end;
	uint64_t offset;
	char permissions[8]; /* "rw-p" */
	char name[256];
	char flags[128]; /* VmFlags, e.g. " rd wr mr mw me ac sd " */
	uint64_t rss_kib;
	uint64_t locked_kib;
	uint64_t referenced_kib; /* touched since the kernel last looked, or was told that it is cold */
	uint64_t huge_kib;       /* AnonHugePages + ShmemPmdMapped + FilePmdMapped */
	uint64_t page_kib;       /* KernelPageSize */
};

/* The kernel's mapping that holds this address; false when nothing is mapped there. */
bool vma_at(const void *at, struct vma *vma);

/* Is this two-letter flag among the VmFlags there? */
bool vma_flag(const void *at, const char *flag);
bool vma_permits(const void *at, const char *permissions); /* "rw-p" */

/* How many kernel mappings lie in, or reach into, [start, start + length); and in the whole process. */
unsigned int vma_count(const void *start, size_t length);
unsigned int vma_total(void);

/* "VmLck:" of /proc/self/status, in KiB. */
uint64_t status_kib(const char *key);

/* Is this page in memory (mincore)? */
bool page_resident(const void *at);

/* A number in a file, e.g. under /proc/sys; -1 when it cannot be read. */
long long number_in(const char *path);
bool number_write(const char *path, long long number);

#endif
