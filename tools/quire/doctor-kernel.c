/* SPDX-License-Identifier: Apache-2.0 */
/* doctor-kernel.c - what the kernel offers to this user, and what it shows of processes to others. */
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

/* The features that a floor of Quire leans on; without them it works differently, and says so. */
static void check_features(struct doctor *d)
{
	static const struct {
		const char *name;
		const char *check;
		const char *without;
	} wanted[] = {
		{ "cachestat", "cachestat", "presence knows less: neither dirty nor evicted pages" },
		{ "pagemap-scan", "pagemap-scan",
			"pages and the dirty set of regions are read page by page" },
		{ "uffd", "userfaultfd", "the pager cannot answer faults; pin pages before touching them" },
		{ "io-uring", "io-uring", "prefetch and asynchronous reads use threads" },
	};
	struct quire_feature feature;

	for (unsigned int i = 0;; i++) {
		feature = (struct quire_feature){ .size = sizeof(feature) };
		if (quire_features(i, NULL, &feature) <= 0)
			return;
		for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++) {
			struct finding *f;

			if (strcmp(feature.name, wanted[k].name) != 0)
				continue;
			f = doctor_find(d,
				feature.available > 0                 ? LEVEL_OK
					: doctor_is_for(d, FOR_QUIRE) ? LEVEL_WARN
								      : LEVEL_SKIPPED,
				wanted[k].check, "%s: %s", wanted[k].check,
				feature.available > 0 ? "yes" : "no");
			doctor_meaning(f, "%s", feature.available > 0 ? feature.what : wanted[k].without);
			if (feature.available <= 0)
				doctor_fix(f, "%s", feature.why);
		}
	}
}

/* Who may use userfaultfd is a matter of security, too: it lets a program stop the kernel in the middle of a copy. */
static void check_userfaultfd(struct doctor *d)
{
	uint64_t open = 0;
	struct finding *f;

	if (!doctor_number(d, "/proc/sys/vm/unprivileged_userfaultfd", &open)) {
		doctor_find(d, LEVEL_SKIPPED, "unprivileged-userfaultfd", "this kernel has no userfaultfd");
		return;
	}
	f = doctor_find(d, open != 0 && d->profile == FOR_SECURITY ? LEVEL_WARN : LEVEL_OK,
		"unprivileged-userfaultfd", "vm.unprivileged_userfaultfd = %llu", (unsigned long long)open);
	doctor_meaning(f,
		open != 0
			? "every user may also handle faults of the kernel: a classical help for exploits"
			: "ordinary users handle faults of their own code only (UFFD_USER_MODE_ONLY), which is enough for Quire's "
			  "inline delivery");
	if (f->level != LEVEL_OK) {
		doctor_fix(f, "close it");
		doctor_setting(f, "vm.unprivileged_userfaultfd = 0");
	}
}

static void check_io_uring(struct doctor *d)
{
	uint64_t disabled;
	struct finding *f;

	if (!doctor_number(d, "/proc/sys/kernel/io_uring_disabled", &disabled))
		return;
	f = doctor_find(d, disabled != 0 && doctor_is_for(d, FOR_QUIRE) ? LEVEL_WARN : LEVEL_OK,
		"io-uring-disabled", "kernel.io_uring_disabled = %llu", (unsigned long long)disabled);
	doctor_meaning(f,
		disabled == 0           ? "everybody may use io_uring"
			: disabled == 1 ? "only members of kernel.io_uring_group may use io_uring"
					: "nobody may use io_uring");
}

static void check_aslr(struct doctor *d)
{
	uint64_t mode, bits = 0;
	char places[24] = "?";
	bool told, secure = doctor_is_for(d, FOR_SECURITY);
	struct finding *f;

	if (!doctor_sysctl(d, "kernel/randomize_va_space", &mode))
		return;
	/* Only root may read how many. */
	told = doctor_number(d, "/proc/sys/vm/mmap_rnd_bits", &bits);
	if (told)
		snprintf(places, sizeof(places), "%llu", (unsigned long long)bits);
	f = doctor_find(d,
		mode == 2        ? LEVEL_OK
			: secure ? LEVEL_FAIL
				 : LEVEL_WARN,
		"aslr", "kernel.randomize_va_space = %llu, vm.mmap_rnd_bits = %s", (unsigned long long)mode,
		places);
	if (mode == 0)
		doctor_meaning(
			f, "every run has its mappings at the same addresses, and an attacker knows them");
	else
		doctor_meaning(f,
			"addresses of mappings are chosen among 2^%s places%s; without that an attacker knows them",
			places, told ? "" : " (only root may read how many)");
	if (mode != 2) {
		doctor_fix(f, "switch it on again");
		doctor_setting(f, "kernel.randomize_va_space = 2");
	} else if (secure && bits != 0 && bits < 32) {
		f->level = LEVEL_WARN;
		doctor_fix(f, "32 bits are the most on x86-64 (sanitizers of clang before 17 need 28)");
		doctor_setting(f, "vm.mmap_rnd_bits = 32");
	}
}

static void check_null_page(struct doctor *d)
{
	uint64_t lowest;
	struct finding *f;

	if (!doctor_sysctl(d, "vm/mmap_min_addr", &lowest))
		return;
	/* A page is enough against ordinary bugs; distributions give 64 KiB, which also covers large structs. */
	f = doctor_find(d,
		lowest < 4096                                              ? LEVEL_FAIL
			: lowest < 65536 && doctor_is_for(d, FOR_SECURITY) ? LEVEL_WARN
									   : LEVEL_OK,
		"mmap-min-addr", "vm.mmap_min_addr = %llu", (unsigned long long)lowest);
	doctor_meaning(f,
		"nothing can be mapped below it, so a NULL pointer faults instead of reading somebody's bytes");
	if (f->level != LEVEL_OK) {
		doctor_fix(f, "keep 64 KiB free");
		doctor_setting(f, "vm.mmap_min_addr = 65536");
	}
}

static bool proc_hides(void)
{
	char line[4200];
	FILE *mounts = fopen("/proc/self/mounts", "re");
	bool hides = false;

	while (mounts != NULL && fgets(line, sizeof(line), mounts) != NULL)
		if (strncmp(line, "proc /proc ", 11) == 0)
			hides = strstr(line, "hidepid=") != NULL && strstr(line, "hidepid=0") == NULL;
	if (mounts != NULL)
		fclose(mounts);
	return hides;
}

/* What other processes of the same user may read: with maps and pagemap, addresses are no secret. */
static void check_exposure(struct doctor *d)
{
	uint64_t scope = 0;
	bool yama = doctor_number(d, "/proc/sys/kernel/yama/ptrace_scope", &scope), hides = proc_hides();
	bool secure = doctor_is_for(d, FOR_SECURITY);
	struct finding *f = doctor_find(d, secure && (!yama || scope == 0) ? LEVEL_WARN : LEVEL_OK,
		"exposure", "mappings are shown to %s%s",
		yama && scope != 0 ? "parents and root" : "every process of the same user",
		hides ? "; other users' processes are hidden" : "");

	doctor_meaning(f, "who may trace a process may read its maps, memory and pages");
	if (f->level != LEVEL_OK) {
		doctor_fix(f, "load the Yama security module");
		doctor_setting(f, "kernel.yama.ptrace_scope = 1");
	}
}

static void check_core(struct doctor *d)
{
	char pattern[200];
	struct finding *f;

	if (!doctor_line(d, "/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)))
		return;
	f = doctor_find(
		d, LEVEL_OK, "core", "core dumps go to %.100s", pattern[0] == '\0' ? "nowhere" : pattern);
	doctor_meaning(f,
		"quire why CORE explains one; shared mappings of files are left out unless coredump_filter says otherwise");
}

static void check_kernel(struct doctor *d)
{
	struct utsname name;
	struct finding *f;

	if (uname(&name) != 0)
		return;
	f = doctor_find(d, LEVEL_OK, "kernel", "Linux %.60s", name.release);
	doctor_meaning(f, "quire features says what it offers to this user");
}

doctor_check *const doctor_kernel_checks[] = { check_kernel, check_features, check_userfaultfd,
	check_io_uring, check_aslr, check_null_page, check_exposure, check_core, NULL };
