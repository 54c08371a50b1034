/* SPDX-License-Identifier: Apache-2.0 */
#include "support/vma.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static bool is_head(const char *line, struct vma *vma)
{
	int name = 0;

	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s %" SCNx64 " %*s %*s %n", &vma->start, &vma->end,
		    vma->permissions, &vma->offset, &name) != 4 ||
		name == 0)
		return false;
	(void)snprintf(vma->name, sizeof(vma->name), "%.*s", (int)strcspn(line + name, "\n"), line + name);
	return true;
}

static void take_line(struct vma *vma, const char *line)
{
	uint64_t kib;

	if (sscanf(line, "Rss: %" SCNu64, &kib) == 1)
		vma->rss_kib = kib;
	else if (sscanf(line, "Locked: %" SCNu64, &kib) == 1)
		vma->locked_kib = kib;
	else if (sscanf(line, "Referenced: %" SCNu64, &kib) == 1)
		vma->referenced_kib = kib;
	else if (sscanf(line, "KernelPageSize: %" SCNu64, &kib) == 1)
		vma->page_kib = kib;
	else if (sscanf(line, "AnonHugePages: %" SCNu64, &kib) == 1 ||
		sscanf(line, "ShmemPmdMapped: %" SCNu64, &kib) == 1 ||
		sscanf(line, "FilePmdMapped: %" SCNu64, &kib) == 1)
		vma->huge_kib += kib;
	else if (strncmp(line, "VmFlags:", 8) == 0)
		(void)snprintf(
			vma->flags, sizeof(vma->flags), "%.*s ", (int)strcspn(line + 8, "\n"), line + 8);
}

bool vma_at(const void *at, struct vma *vma)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[1024];
	bool here = false;

	if (!smaps)
		abort();
	while (fgets(line, sizeof(line), smaps)) {
		struct vma head = { 0 };

		if (is_head(line, &head)) {
			if (here)
				break;
			here = head.start <= (uintptr_t)at && (uintptr_t)at < head.end;
			if (here)
				*vma = head;
		} else if (here) {
			take_line(vma, line);
		}
	}
	(void)fclose(smaps);
	return here;
}

bool vma_flag(const void *at, const char *flag)
{
	struct vma vma;
	char wanted[8];

	(void)snprintf(wanted, sizeof(wanted), " %s ", flag);
	return vma_at(at, &vma) && strstr(vma.flags, wanted);
}

bool vma_permits(const void *at, const char *permissions)
{
	struct vma vma;

	return vma_at(at, &vma) && strcmp(vma.permissions, permissions) == 0;
}

unsigned int vma_count(const void *start, size_t length)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t first = (uintptr_t)start;
	unsigned int count = 0;
	char line[1024];

	if (!maps)
		abort();
	while (fgets(line, sizeof(line), maps)) {
		struct vma vma;

		count += is_head(line, &vma) && vma.end > first && vma.start < first + length;
	}
	(void)fclose(maps);
	return count;
}

unsigned int vma_total(void)
{
	return vma_count(NULL, SIZE_MAX);
}

uint64_t status_kib(const char *key)
{
	FILE *status = fopen("/proc/self/status", "re");
	uint64_t kib = 0;
	char line[256];

	if (!status)
		abort();
	while (fgets(line, sizeof(line), status))
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtoull(line + strlen(key), NULL, 10);
	(void)fclose(status);
	return kib;
}

bool page_resident(const void *at)
{
	unsigned char bit;

	return mincore((void *)((uintptr_t)at & ~(uintptr_t)4095), 4096, &bit) == 0 && (bit & 1);
}

long long number_in(const char *path)
{
	FILE *file = fopen(path, "re");
	long long number = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%lld", &number) != 1)
		number = -1;
	(void)fclose(file);
	return number;
}

bool number_write(const char *path, long long number)
{
	FILE *file = fopen(path, "we");

	return file && fprintf(file, "%lld\n", number) > 0 && fclose(file) == 0;
}
