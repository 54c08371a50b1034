/* SPDX-License-Identifier: Apache-2.0 */
/* doctor-memory.c - memory of the machine: overcommit, huge pages, swap, dirty pages, pressure. */
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

static void check_available(struct doctor *d)
{
	const struct quire_memory *m = &d->memory;
	double share = m->total_bytes == 0 ? 1 : (double)m->available_bytes / (double)m->total_bytes;
	struct finding *f = doctor_find(d, share < 0.05 ? LEVEL_WARN : LEVEL_OK, "available",
		"%s of %s memory can be had", text_bytes(m->available_bytes).s, text_bytes(m->total_bytes).s);

	doctor_meaning(
		f, "free memory, and cache that can be dropped; below 5 %% everybody waits for reclaim");
	if (share < 0.05)
		doctor_fix(f, "see who has it: quire maps PID, quire presence --system, quire shm");
}

static void check_overcommit(struct doctor *d)
{
	uint64_t mode;
	const struct quire_memory *m = &d->memory;
	struct finding *f;

	if (!doctor_sysctl(d, "vm/overcommit_memory", &mode))
		return;
	if (mode == 2) {
		bool near = m->committed_bytes > m->commit_limit_bytes / 10 * 9;

		f = doctor_find(d, near ? LEVEL_FAIL : LEVEL_OK, "overcommit",
			"vm.overcommit_memory = 2, %s of %s promised", text_bytes(m->committed_bytes).s,
			text_bytes(m->commit_limit_bytes).s);
		doctor_meaning(f,
			"memory is only promised as long as it exists; mmap fails with ENOMEM at the limit, though memory "
			"may be free");
		if (near)
			doctor_fix(f,
				"raise vm.overcommit_ratio, add swap, or map with MAP_NORESERVE (QUIRE_NO_RESERVE)");
		return;
	}
	f = doctor_find(d, LEVEL_OK, "overcommit", "vm.overcommit_memory = %llu", (unsigned long long)mode);
	doctor_meaning(f,
		mode == 1
			? "every mapping is promised; who touches too much is killed instead of refused"
			: "a single mapping larger than memory and swap is refused with ENOMEM, unless MAP_NORESERVE");
	if (mode == 1 && doctor_is_for(d, FOR_POSTGRES)) {
		f->level = LEVEL_WARN;
		doctor_fix(f, "postgres asks for 2, so that it is refused memory instead of killed");
		doctor_setting(f, "vm.overcommit_memory = 2");
	}
}

/* The word in brackets: "always [madvise] never". */
static bool chosen_word(const char *text, char *word, size_t bytes)
{
	const char *from = strchr(text, '['), *to = from == NULL ? NULL : strchr(from, ']');

	if (to == NULL)
		return false;
	snprintf(word, bytes, "%.*s", (int)(to - from - 1), from + 1);
	return true;
}

static void check_transparent(struct doctor *d)
{
	char text[100], word[40];
	bool database = d->profile == FOR_LMDB || d->profile == FOR_POSTGRES ||
		d->profile == FOR_ELASTICSEARCH;
	struct finding *f;

	if (!doctor_line(d, "/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text)) ||
		!chosen_word(text, word, sizeof(word))) {
		doctor_find(d, LEVEL_SKIPPED, "transparent-huge-pages",
			"this kernel has no transparent huge pages");
		return;
	}
	f = doctor_find(d, LEVEL_OK, "transparent-huge-pages", "transparent huge pages: %s", word);
	if (strcmp(word, "always") == 0 && database) {
		f->level = LEVEL_WARN;
		doctor_meaning(f,
			"a store to a mapping may wait while the kernel makes room for 2 MiB at once, and private memory "
			"grows by what nobody asked for");
		doctor_fix(f, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
	} else {
		doctor_meaning(f,
			strcmp(word, "madvise") == 0 ? "who wants them asks for them (QUIRE_HUGEPAGE)"
				: strcmp(word, "always") == 0
				? "every large mapping may get them, asked or not"
				: "nobody gets them");
	}
}

static void check_huge_pool(struct doctor *d)
{
	const struct quire_memory *m = &d->memory;
	struct finding *f;

	if (m->huge_pages == QUIRE_UNKNOWN || m->huge_pages == 0) {
		f = doctor_find(d, d->profile == FOR_POSTGRES ? LEVEL_WARN : LEVEL_SKIPPED, "huge-pool",
			"no pool of huge pages");
		doctor_meaning(f,
			"mappings of huge pages are refused, or fault with SIGBUS when they were not reserved");
		if (d->profile == FOR_POSTGRES)
			doctor_fix(
				f, "vm.nr_hugepages for shared_buffers saves page tables in every backend");
		return;
	}
	f = doctor_find(d, m->huge_pages_free == 0 ? LEVEL_WARN : LEVEL_OK, "huge-pool",
		"%s of %s huge pages of %s are free", text_count(m->huge_pages_free).s,
		text_count(m->huge_pages).s, text_bytes(m->huge_page_bytes).s);
	doctor_meaning(
		f, "a mapping with MAP_NORESERVE dies of SIGBUS at the first touch when the pool is empty");
	if (m->huge_pages_free == 0)
		doctor_fix(f, "raise vm.nr_hugepages, or map without MAP_NORESERVE to be refused instead");
}

static void check_swap(struct doctor *d)
{
	const struct quire_memory *m = &d->memory;
	uint64_t swappiness = 0;
	bool known = doctor_sysctl(d, "vm/swappiness", &swappiness);
	struct finding *f = doctor_find(d, LEVEL_OK, "swap", "swap %s, %s used, swappiness %llu",
		text_bytes(m->swap_bytes).s, text_bytes(m->swap_bytes - m->swap_free_bytes).s,
		(unsigned long long)swappiness);

	if (m->swap_bytes == 0)
		doctor_meaning(f,
			"anonymous memory cannot be paged out: when it fills up, only the cache of files can give way, then "
			"processes are killed");
	else
		doctor_meaning(f,
			"anonymous memory can be paged out; swappiness weighs it against the cache of files");
	if (doctor_is_for(d, FOR_ELASTICSEARCH) && m->swap_bytes != 0 && known && swappiness > 1) {
		f->level = LEVEL_WARN;
		doctor_fix(f,
			"a heap that is swapped out stalls in garbage collection: swapoff -a, or vm.swappiness = 1");
		doctor_setting(f, "vm.swappiness = 1");
	}
	if (m->swap_bytes != 0 && m->swap_free_bytes < m->swap_bytes / 20) {
		f->level = LEVEL_WARN;
		doctor_fix(f, "swap is full: the next shortage kills a process");
	}
}

static void check_dirty(struct doctor *d)
{
	const struct quire_memory *m = &d->memory;
	uint64_t ratio, bytes = 0, limit;
	struct finding *f;

	if (!doctor_sysctl(d, "vm/dirty_ratio", &ratio) || !doctor_sysctl(d, "vm/dirty_bytes", &bytes))
		return;
	limit = bytes != 0 ? bytes : m->available_bytes / 100 * ratio;
	f = doctor_find(d, LEVEL_OK, "dirty-limit", "writers are stopped at %s of dirty pages (%s now)",
		text_bytes(limit).s, text_bytes(m->dirty_bytes).s);
	doctor_meaning(f,
		"at 350 MB/s it takes %s to write that out; a store into a mapping can wait as long",
		text_seconds((double)limit / 350e6).s);
	/* Half a minute is where timeouts of clients begin. */
	if (limit > UINT64_C(350000000) * 30) {
		f->level = d->profile == FOR_ANY ? LEVEL_OK : LEVEL_WARN;
		doctor_fix(f, "bound it in bytes, e.g. 1 GiB");
		doctor_setting(f, "vm.dirty_bytes = 1073741824");
	}
}

static void check_corrupted(struct doctor *d)
{
	char text[200];
	char path[] = "/proc/meminfo";
	struct finding *f;
	FILE *file;
	unsigned long long kib = 0;
	char full[400];

	snprintf(full, sizeof(full), "%s%s", d->root, path);
	file = fopen(full, "re");
	while (file != NULL && fgets(text, sizeof(text), file) != NULL)
		if (strncmp(text, "HardwareCorrupted:", 18) == 0)
			kib = strtoull(text + 18, NULL, 10);
	if (file != NULL)
		fclose(file);
	f = doctor_find(d, kib != 0 ? LEVEL_FAIL : LEVEL_OK, "broken-memory", "%s of broken memory",
		text_bytes(kib * 1024).s);
	doctor_meaning(f, "pages that the hardware reported as broken; who touches one dies of SIGBUS");
	if (kib != 0)
		doctor_fix(f, "replace the memory module; dmesg names it");
}

static void check_pressure(struct doctor *d)
{
	char line[200];
	const char *at;
	double minute;
	struct finding *f;

	at = doctor_line(d, "/proc/pressure/memory", line, sizeof(line)) ? strstr(line, "avg60=") : NULL;
	if (at == NULL) {
		doctor_find(
			d, LEVEL_SKIPPED, "pressure", "this kernel does not measure memory pressure (PSI)");
		return;
	}
	minute = strtod(at + 6, NULL);
	f = doctor_find(d, minute > 10 ? LEVEL_WARN : LEVEL_OK, "pressure",
		"memory pressure %.1f %% of the last minute", minute);
	doctor_meaning(f, "the share of time in which somebody waited for memory");
	if (minute > 10)
		doctor_fix(f,
			"what is in use does not fit: quire presence FILE shows what was evicted and came back");
}

static void check_numa(struct doctor *d)
{
	char online[64];
	uint64_t reclaim = 0;
	struct finding *f;

	if (!doctor_line(d, "/sys/devices/system/node/online", online, sizeof(online)) ||
		strcmp(online, "0") == 0) {
		doctor_find(d, LEVEL_SKIPPED, "numa", "one memory node");
		return;
	}
	(void)doctor_number(d, "/proc/sys/vm/zone_reclaim_mode", &reclaim);
	f = doctor_find(d, reclaim != 0 ? LEVEL_WARN : LEVEL_OK, "numa",
		"memory nodes %s, vm.zone_reclaim_mode = %llu", online, (unsigned long long)reclaim);
	doctor_meaning(
		f, "with zone reclaim, a node drops its cache rather than use free memory of another node");
	if (reclaim != 0) {
		doctor_fix(f, "switch it off for everything that lives from the page cache");
		doctor_setting(f, "vm.zone_reclaim_mode = 0");
	}
}

doctor_check *const doctor_memory_checks[] = { check_available, check_overcommit, check_transparent,
	check_huge_pool, check_swap, check_dirty, check_corrupted, check_pressure, check_numa, NULL };
