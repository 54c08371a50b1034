/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel says ENOMEM for six different limits. Which one it was is found by comparing figures, in the order in which
 * the kernel checks them (kernel 6.12, mm/mmap.c): mappings, address space, data, huge pool, overcommit.
 *
 * Only runs after a refusal, so it may read /proc.
 */
#include "pmap/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "pmap/pmap.h"
#include "sys/file.h"
#include "sys/limit.h"

/* The number after `key` in a /proc file of "Key: number" lines, or `missing`. */
static uint64_t figure(const char *path, const char *key, uint64_t missing)
{
	char text[8192]; /* meminfo and status are below 2 KiB today */
	const char *at;

	if (sys_read_small(path, text, sizeof(text)) < 0)
		return missing;
	at = key[0] == '\0' ? text : strstr(text, key);
	return at == NULL ? missing : strtoull(at + strlen(key), NULL, 10);
}

static uint64_t mappings_now(void)
{
	char text[65536];
	uint64_t lines = 0;
	int fd = sys_open("/proc/self/maps", 0, 0);
	uint64_t at = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = sys_pread(fd, text, sizeof(text), at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
		at += (uint64_t)n;
	}
	sys_close(fd);
	return lines;
}

bool limits_locked_full(uint64_t length)
{
	uint64_t limit;
	uint64_t now = figure("/proc/self/status", "VmLck:", 0) << 10;

	return sys_limit(RLIMIT_MEMLOCK, &limit) == 0 && limit != SYS_NO_LIMIT && now + length > limit;
}

static int explain_map_count(int error)
{
	uint64_t limit = figure("/proc/sys/vm/max_map_count", "", 65530);
	uint64_t now = mappings_now();

	/* A split needs one or two more than there are. */
	if (now + 2 < limit)
		return 0;
	return error_set(error,
		"the process has %" PRIu64 " mappings and vm.max_map_count is %" PRIu64
		": raise it with sysctl -w vm.max_map_count=%" PRIu64 ", or use fewer, larger mappings",
		now, limit, limit * 4);
}

static int explain_size(
	int error, uint64_t length, int resource, const char *name, const char *key, const char *letter)
{
	uint64_t limit;
	uint64_t now = figure("/proc/self/status", key, 0) << 10;

	if (sys_limit(resource, &limit) < 0 || limit == SYS_NO_LIMIT || now + length <= limit)
		return 0;
	return error_set(error,
		"%" PRIu64 " KiB more would exceed %s: %" PRIu64 " of %" PRIu64
		" KiB are in use; raise it with ulimit -%s or Limit%s= of the service",
		length >> 10, name, now >> 10, limit >> 10, letter, name + strlen("RLIMIT_"));
}

static int explain_huge(int error, const struct pmap_range *range)
{
	uint64_t page_kib = (uint64_t)1 << (range->page_shift - 10);
	char path[96];
	uint64_t total;
	uint64_t free_pages;

	(void)snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages",
		page_kib);
	total = figure(path, "", 0);
	(void)snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/free_hugepages",
		page_kib);
	free_pages = figure(path, "", 0);
	return error_set(error,
		"%" PRIu64 " huge pages of %" PRIu64 " KiB are needed, the pool has %" PRIu64
		" free of %" PRIu64 ": write a larger number to /sys/kernel/mm/hugepages/hugepages-%" PRIu64
		"kB/nr_hugepages, or allow a fallback with .huge",
		(range->end - range->start) >> range->page_shift, page_kib, free_pages, total, page_kib);
}

static int explain_overcommit(int error, uint64_t length)
{
	uint64_t mode = figure("/proc/sys/vm/overcommit_memory", "", 0);
	uint64_t limit = figure("/proc/meminfo", "CommitLimit:", 0);
	uint64_t committed = figure("/proc/meminfo", "Committed_AS:", 0);

	if (mode == 2)
		return error_set(error,
			"vm.overcommit_memory is 2 and %" PRIu64 " of %" PRIu64 " KiB are committed, %" PRIu64
			" KiB more do not fit: raise vm.overcommit_ratio, or map a file or memfd shared",
			committed, limit, length >> 10);
	if (mode == 0 && (length >> 10) > figure("/proc/meminfo", "MemTotal:", UINT64_MAX))
		return error_set(error,
			"%" PRIu64 " KiB are more than this machine has, and vm.overcommit_memory is 0: "
			"use QUIRE_NO_RESERVE if you will touch only part of it",
			length >> 10);
	return 0;
}

/* The kernel says ENOMEM for a limit, and for pages that cannot be brought in. */
static int explain_locked(int error, uint64_t length)
{
	uint64_t limit;
	uint64_t now = figure("/proc/self/status", "VmLck:", 0) << 10;

	if (!limits_locked_full(length) || sys_limit(RLIMIT_MEMLOCK, &limit) < 0)
		return 0;
	return error_set(error,
		"locking %" PRIu64 " KiB: %" PRIu64 " of RLIMIT_MEMLOCK's %" PRIu64
		" KiB are in use; raise it with ulimit -l or LimitMEMLOCK= of the service",
		length >> 10, now >> 10, limit >> 10);
}

/* Does it count against the overcommit limit? */
static bool accounted(const struct pmap_range *range)
{
	bool file = range->window != NULL && range->window->fd >= 0;

	return (range->flags & (PMAP_NORESERVE | PMAP_RESERVED)) == 0 &&
		(!file || (range->flags & PMAP_SHARED) == 0);
}

static int explain_no_memory(int error, const struct pmap_range *range)
{
	uint64_t length = range->end - range->start;
	int r = 0;

	if ((range->flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0)
		r = explain_locked(error, length);
	if (r == 0)
		r = explain_map_count(error);
	if (r == 0)
		r = explain_size(error, length, RLIMIT_AS, "RLIMIT_AS", "VmSize:", "v");
	if (r == 0)
		r = explain_size(error, length, RLIMIT_DATA, "RLIMIT_DATA", "VmData:", "d");
	if (r == 0 && range->page_shift != 0)
		r = explain_huge(error, range);
	if (r == 0 && accounted(range))
		r = explain_overcommit(error, length);
	if (r == 0 && (range->flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0)
		r = error_set(error,
			"some of the %" PRIu64
			" KiB cannot be brought into memory: they lie behind the end of the file, or cannot be read",
			length >> 10);
	if (r == 0)
		r = error_set(error,
			"no free range of %" PRIu64
			" KiB in the address space, or the kernel is out of memory",
			length >> 10);
	return r;
}

static int explain_not_permitted(int error, const struct pmap_range *range)
{
	uint64_t lowest = figure("/proc/sys/vm/mmap_min_addr", "", 65536);

	if ((range->flags & (PMAP_LOCKED | PMAP_LOCK_ONFAULT)) != 0)
		return error_set(error,
			"this user may lock no memory: RLIMIT_MEMLOCK is 0; raise it with ulimit -l or LimitMEMLOCK=");
	if (range->start != 0 && range->start < lowest)
		return error_set(error,
			"address 0x%" PRIxPTR " lies below vm.mmap_min_addr (%" PRIu64
			"): choose a higher one",
			range->start, lowest);
	return error_set(error,
		"refused: the file carries a seal, or its filesystem is mounted noexec, or a security module "
		"(SELinux, AppArmor) forbids it; its log (journalctl -k, ausearch) names the rule");
}

int limits_explain(int error, const struct pmap_range *range)
{
	switch (error) {
	case -ENOMEM: return explain_no_memory(error, range);
	case -EAGAIN: (void)explain_locked(error, range->end - range->start); return error;
	case -EPERM: return explain_not_permitted(error, range);
	case -EACCES:
		return error_set(error,
			"the descriptor's open mode, or a security module, does not allow this protection: a shared "
			"writable mapping needs a file opened for reading and writing");
	case -EEXIST:
		return error_set(error, "something is mapped already between 0x%" PRIxPTR " and 0x%" PRIxPTR,
			range->start, range->end);
	case -ENODEV:
		return error_set(
			error, "this kind of file, or its filesystem, cannot be mapped: read it instead");
	case -EOPNOTSUPP:
		return error_set(error,
			"the filesystem gives no direct access (DAX), so QUIRE_SYNC cannot hold: flush with "
			"QUIRE_FLUSH_DURABLE instead");
	case -EOVERFLOW: return error_set(error, "offset and length go beyond what a file offset can say");
	default: return error_default(error, "the kernel refused the mapping: %s", strerror(-error));
	}
}
