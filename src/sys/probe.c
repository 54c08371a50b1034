/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/file.h"
#include "sys/uapi.h"
#include "sys/userfaultfd.h"

enum { PAGE = 4096 };

/* ---- the probes: 0 or -errno ---- */

static int with_page(int (*ask)(void *page, int argument), int argument)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (page == MAP_FAILED)
		return -errno;
	r = ask(page, argument);
	(void)munmap(page, PAGE);
	return r;
}

static int advise_page(void *page, int advice)
{
	return madvise(page, PAGE, advice) < 0 ? -errno : 0;
}

static int probe_advice(int advice)
{
	return with_page(advise_page, advice);
}

/* COLLAPSE wants a huge page's worth: what counts is whether one page is refused as too short or as unknown. A length of 0
 * is accepted for known advice only. */
static int advise_nothing(void *page, int advice)
{
	return madvise(page, 0, advice) < 0 ? -errno : 0;
}

static int probe_collapse(int unused)
{
	(void)unused;
	return with_page(advise_nothing, MADV_COLLAPSE);
}

static int madvise_self(void *page, int unused)
{
	struct iovec part = { .iov_base = page, .iov_len = PAGE };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	long r;

	(void)unused;
	if (pidfd < 0)
		return -errno;
	r = syscall(SYS_process_madvise, pidfd, &part, 1UL, MADV_DONTNEED, 0U);
	r = r < 0 ? -errno : 0;
	sys_close(pidfd);
	return (int)r;
}

static int probe_process_madvise(int unused)
{
	return with_page(madvise_self, unused);
}

static int name_page(void *page, int unused)
{
	(void)unused;
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, (unsigned long)PAGE, "quire probe") < 0 ? -errno
												     : 0;
}

static int probe_name(int unused)
{
	return with_page(name_page, unused);
}

static int probe_uffd(int unused)
{
	uint64_t features;
	int fd = sys_userfaultfd(true, 0, &features);

	(void)unused;
	if (fd >= 0)
		sys_close(fd);
	return fd < 0 ? fd : 0;
}

static int probe_uffd_kernel(int unused)
{
	uint64_t features;
	int fd = sys_userfaultfd(false, 0, &features);

	(void)unused;
	if (fd >= 0)
		sys_close(fd);
	return fd < 0 ? fd : 0;
}

static int probe_uffd_feature(int feature)
{
	uint64_t features = 0;
	int fd = sys_userfaultfd(true, 0, &features);

	if (fd < 0)
		return fd;
	sys_close(fd);
	return (features & (uint64_t)(unsigned int)feature) != 0 ? 0 : -ENOSYS;
}

/* An empty scan of an empty range: EINVAL and ENOTTY mean unknown. */
static int probe_scan(int unused)
{
	struct pm_scan_arg scan = {
		.size = sizeof(scan), .category_mask = PAGE_IS_PRESENT, .return_mask = PAGE_IS_PRESENT
	};
	int fd = sys_open("/proc/self/pagemap", O_RDONLY, 0);
	int r;

	(void)unused;
	if (fd < 0)
		return fd;
	r = ioctl(fd, PAGEMAP_SCAN, &scan) < 0 ? -errno : 0;
	sys_close(fd);
	return r == -ENOTTY || r == -EINVAL ? -ENOSYS : r;
}

static int probe_query(int unused)
{
	struct procmap_query query = { .size = sizeof(query), .query_flags = 0x10 /* covering or next */ };
	int fd = sys_open("/proc/self/maps", O_RDONLY, 0);
	int r;

	(void)unused;
	if (fd < 0)
		return fd;
	r = ioctl(fd, PROCMAP_QUERY, &query) < 0 ? -errno : 0;
	sys_close(fd);
	return r == -ENOTTY ? -ENOSYS : r == -ENOENT ? 0 : r;
}

static int probe_cachestat(int unused)
{
	struct sys_cachestat_range range = { .off = 0, .len = 0 };
	struct sys_cachestat stat;
	int fd = sys_memfd_create("quire-probe", MFD_CLOEXEC);
	int r;

	(void)unused;
	if (fd < 0)
		return fd;
	r = syscall(SYS_cachestat, fd, &range, &stat, 0) < 0 ? -errno : 0;
	sys_close(fd);
	return r;
}

static int probe_secret(int unused)
{
	int fd = sys_memfd_secret(0);

	(void)unused;
	if (fd >= 0)
		sys_close(fd);
	return fd < 0 ? fd : 0;
}

static int probe_seal_exec(int unused)
{
	int fd = sys_memfd_create("quire-probe", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	(void)unused;
	if (fd >= 0)
		sys_close(fd);
	return fd < 0 ? fd : 0;
}

static int read_setting(const char *path, char *text, size_t text_bytes)
{
	ssize_t n = sys_read_small(path, text, text_bytes);

	return n >= 0 ? 0 : error_is_want((int)n) ? (int)n : -ENOSYS;
}

static int probe_huge(int shift)
{
	char path[80];
	char text[32];
	int r;

	(void)snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%lukB/free_hugepages",
		1UL << (shift - 10));
	r = read_setting(path, text, sizeof(text));
	return r < 0 ? r : strtoul(text, NULL, 10) > 0 ? 0 : -ENOMEM;
}

static int probe_thp(int unused)
{
	char text[64];
	int r = read_setting("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));

	(void)unused;
	if (r < 0)
		return r;
	return strstr(text, "[never]") != NULL ? -EPERM : 0;
}

static int probe_numa(int unused)
{
	(void)unused;
	return syscall(SYS_get_mempolicy, NULL, NULL, 0UL, NULL, 0UL) < 0 ? -errno : 0;
}

static int probe_membarrier(int unused)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	(void)unused;
	if (commands < 0)
		return -errno;
	return (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 ? 0 : -ENOSYS;
}

/* Bad arguments on purpose: EFAULT or EINVAL say that io_uring is there. */
static int probe_uring(int unused)
{
	(void)unused;
	if (syscall(SYS_io_uring_setup, 0U, NULL) >= 0 || errno == EFAULT || errno == EINVAL)
		return 0;
	return -errno;
}

/* ---- the table ---- */

struct feature {
	struct probe_words words;
	int (*ask)(int argument);
	int argument;
};

#define UFFD_WHY                                                                                                        \
	"the kernel, a seccomp filter (containers often have one) or vm.unprivileged_userfaultfd forbids userfaultfd; " \
	"allow the system call, or give access to /dev/userfaultfd"

static const struct feature table[PROBE_COUNT] = {
	[PROBE_UFFD] = { { "userfaultfd", "paging under your control", UFFD_WHY, "4.3" }, probe_uffd, 0 },
	[PROBE_UFFD_KERNEL] = { { "userfaultfd-kernel",
					"system calls may touch paged memory that is not there yet",
					"this user may handle faults of user code only: sysctl vm.unprivileged_userfaultfd=1, "
					"CAP_SYS_PTRACE, or access to /dev/userfaultfd would allow more",
					"4.3" },
		probe_uffd_kernel, 0 },
	[PROBE_UFFD_SIGBUS] = { { "uffd-sigbus", "faults answered in the faulting thread, the fastest way",
					UFFD_WHY, "4.14" },
		probe_uffd_feature, UFFD_FEATURE_SIGBUS },
	[PROBE_UFFD_MINOR] = { { "uffd-minor",
				       "writable paged memory: pages of a memfd are mapped without a copy",
				       UFFD_WHY, "5.14" },
		probe_uffd_feature, UFFD_FEATURE_MINOR_SHMEM },
	[PROBE_UFFD_WP_UNPOPULATED] = { { "uffd-wp-unpopulated", "write tracking of pages never touched",
						UFFD_WHY, "6.4" },
		probe_uffd_feature, UFFD_FEATURE_WP_UNPOPULATED },
	[PROBE_UFFD_POISON] = { { "uffd-poison", "a bad page is an error for every access to it", UFFD_WHY,
					"6.6" },
		probe_uffd_feature, UFFD_FEATURE_POISON },
	[PROBE_UFFD_WP_ASYNC] = { { "wp-async",
					  "finding out which pages were written, without a fault for each",
					  UFFD_WHY, "6.7" },
		probe_uffd_feature, UFFD_FEATURE_WP_ASYNC },
	[PROBE_UFFD_MOVE] = { { "uffd-move", "pages moved in and out without copying", UFFD_WHY, "6.8" },
		probe_uffd_feature, UFFD_FEATURE_MOVE },
	[PROBE_PAGEMAP_SCAN] = { { "pagemap-scan", "the written pages of a gigabyte in half a millisecond",
					 "the kernel is too old, or /proc is not mounted", "6.7" },
		probe_scan, 0 },
	[PROBE_PROCESS_MADVISE] = { { "process-madvise", "evicting 512 scattered pages with one TLB flush",
					    "the kernel does not let a process advise itself in batches",
					    "6.13" },
		probe_process_madvise, 0 },
	[PROBE_POPULATE] = { { "populate", "bringing pages in with an error instead of a signal",
				     "the kernel is too old", "5.14" },
		probe_advice, MADV_POPULATE_READ },
	[PROBE_COLLAPSE] = { { "collapse", "making huge pages of what is there",
				     "the kernel has no transparent huge pages", "6.1" },
		probe_collapse, 0 },
	[PROBE_CACHESTAT] = { { "cachestat",
				      "how much of a file is cached and dirty, and whether this user may know",
				      "the kernel is too old, or a seccomp filter forbids it", "6.5" },
		probe_cachestat, 0 },
	[PROBE_PROCMAP_QUERY] = { { "procmap-query", "finding one mapping without reading the whole list",
					  "the kernel is too old", "6.11" },
		probe_query, 0 },
	[PROBE_GUARD_INSTALL] = { { "guard-pages", "guard pages without a mapping of their own",
					  "the kernel is too old", "6.13" },
		probe_advice, MADV_GUARD_INSTALL },
	[PROBE_SECRETMEM] = { { "secret", "memory the kernel itself does not see (QUIRE_SECRET)",
				      "CONFIG_SECRETMEM is off, or before 6.5 secretmem.enable=1 is not on the kernel's command "
				      "line",
				      "5.14" },
		probe_secret, 0 },
	[PROBE_ANON_NAME] = { { "anonymous-names",
				      "names of anonymous memory in /proc/PID/maps (quire_map_name)",
				      "the kernel was built without CONFIG_ANON_VMA_NAME", "5.17" },
		probe_name, 0 },
	[PROBE_SEAL_EXEC] = { { "seal-exec", "memfds that can never be executed", "the kernel is too old",
				      "6.3" },
		probe_seal_exec, 0 },
	[PROBE_HUGE_2M] = { { "huge-2m", "2 MiB pages from the pool",
				    "the pool is empty: echo 64 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
				    "" },
		probe_huge, 21 },
	[PROBE_HUGE_1G] = { { "huge-1g", "1 GiB pages from the pool",
				    "the pool is empty or the processor has none: hugepagesz=1G hugepages=N on the kernel's "
				    "command line",
				    "" },
		probe_huge, 30 },
	[PROBE_THP] = { { "transparent-huge", "huge pages without a pool",
				"switched off: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
				"" },
		probe_thp, 0 },
	[PROBE_NUMA] = { { "numa", "choosing memory nodes (quire_map_place)",
				 "the kernel was built without NUMA", "" },
		probe_numa, 0 },
	[PROBE_MEMBARRIER] = { { "membarrier", "waking peers without a fence for each message",
				       "the kernel is too old, or a seccomp filter forbids it", "4.14" },
		probe_membarrier, 0 },
	[PROBE_IO_URING] = { { "io-uring", "deep queues of asynchronous reads",
				     "kernel.io_uring_disabled, a seccomp filter or an old kernel forbids it",
				     "5.1" },
		probe_uring, 0 },
};

/* ---- remembering and masking ---- */

static unsigned long version_number(const char *text)
{
	char *end;
	unsigned long major = strtoul(text, &end, 10);

	return major * 1000 + (*end == '.' ? strtoul(end + 1, NULL, 10) : 0);
}

static bool masked(const struct feature *feature)
{
	const char *mask = getenv("QUIRE_MASK");

	if (mask == NULL || *mask == '\0' || *feature->words.since == '\0')
		return false;
	return version_number(feature->words.since) > version_number(mask);
}

struct probe_result sys_probe(enum probe what)
{
	/* error + 1 so that 0 means: not asked yet. Two threads may ask at once; they find the same. */
	static atomic_int known[PROBE_COUNT];
	const struct feature *feature = &table[what];
	struct probe_result result = { .masked = masked(feature) };
	int saved = errno;
	int seen = atomic_load(&known[what]);

	if (seen == 0) {
		seen = 1 - feature->ask(feature->argument);
		if (!error_is_want(1 - seen))
			atomic_store(&known[what], seen);
		errno = saved;
	}
	result.error = result.masked ? -ENOSYS : 1 - seen;
	result.available = result.error == 0;
	return result;
}

const struct probe_words *sys_probe_words(enum probe what)
{
	return &table[what].words;
}
