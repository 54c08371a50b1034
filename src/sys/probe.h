/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/probe.h - what this kernel and this user allow, asked by doing it.
 *
 * Version numbers are not believed: distributions move features back and forth, and seccomp filters, sysctls and security
 * modules take them away. Each probe is a real call, made once; its result is remembered.
 *
 * QUIRE_MASK=6.1 in the environment hides every feature that came after that version, as an older kernel would: for tests
 * on kernels we have not. It can only take away.
 */
#ifndef SYS_PROBE_H
#define SYS_PROBE_H

#include <stdbool.h>

enum probe {
	PROBE_UFFD,        /* userfaultfd at all */
	PROBE_UFFD_KERNEL, /* also for faults of the kernel (system calls into a range) */
	PROBE_UFFD_SIGBUS,
	PROBE_UFFD_MINOR, /* CONTINUE on shared memory */
	PROBE_UFFD_WP_UNPOPULATED,
	PROBE_UFFD_POISON,
	PROBE_UFFD_WP_ASYNC,
	PROBE_UFFD_MOVE,
	PROBE_PAGEMAP_SCAN,
	PROBE_PROCESS_MADVISE, /* on ourselves: batched eviction */
	PROBE_POPULATE,
	PROBE_COLLAPSE,
	PROBE_CACHESTAT,
	PROBE_PROCMAP_QUERY,
	PROBE_GUARD_INSTALL,
	PROBE_SECRETMEM,
	PROBE_ANON_NAME,
	PROBE_SEAL_EXEC,
	PROBE_HUGE_2M,
	PROBE_HUGE_1G,
	PROBE_THP,
	PROBE_NUMA,
	PROBE_MEMBARRIER,
	PROBE_IO_URING,
	PROBE_COUNT,
};

struct probe_result {
	bool available;
	int error; /* 0, or the negative errno the probe met; -ENOSYS when hidden by QUIRE_MASK */
	bool masked;
};

/* Any thread; probes at the first call for each feature. Not async-signal-safe the first time. */
struct probe_result sys_probe(enum probe what);

static inline bool sys_has(enum probe what)
{
	return sys_probe(what).available;
}

/* Name, use, reason of a no and first kernel version: for people. */
struct probe_words {
	const char *name;
	const char *what;
	const char *why_not;
	const char *since; /* "" when it does not depend on the kernel's version */
};

const struct probe_words *sys_probe_words(enum probe what);

#endif
