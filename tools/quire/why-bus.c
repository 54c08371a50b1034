/* SPDX-License-Identifier: Apache-2.0 */
/*
 * why-bus.c - why a page could not be served: SIGBUS says the same for every cause, so each one is tested.
 *
 *	poison		the signal says it itself
 *	huge pool	the mapping is of huge pages, and the pool has none left
 *	truncated	the offset lies behind the last page of the file
 *	I/O error	reading that page fails
 *	full		the page is a hole, and the filesystem has no block left
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <quire/quire.h>

#include "why.h"

#define PAGE 4096U

#ifndef BUS_MCEERR_AR
#define BUS_MCEERR_AR 4
#define BUS_MCEERR_AO 5
#endif

/** What a look at the file told. */
struct evidence {
	int fd;
	uint64_t size;
	bool is_tmpfs;
	bool is_hugetlbfs;
	bool full;      /* no block or page left */
	bool hole;      /* the page is not there */
	int read_errno; /* of reading the page */
	char name[512];
};

/* The file that is mapped, by the kernel's own link while the process lives; else what has its name now. */
static int open_file(const struct crash *crash, const struct why_mapping *m, int flags)
{
	char link[4500];
	int fd = -1;

	if (crash->pid != 0) {
		snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", crash->pid,
			(unsigned long long)m->start, (unsigned long long)m->end);
		fd = open(link, flags | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0) {
			snprintf(link, sizeof(link), "/proc/%d/root%s", crash->pid, m->name);
			fd = open(link, flags | O_CLOEXEC | O_NONBLOCK);
		}
	}
	return fd >= 0 ? fd : open(m->name, flags | O_CLOEXEC | O_NONBLOCK);
}

static void look_at_filesystem(struct evidence *e)
{
	struct statfs fs;

	if (fstatfs(e->fd, &fs) != 0)
		return;
	e->is_tmpfs = fs.f_type == TMPFS_MAGIC;
	e->is_hugetlbfs = fs.f_type == HUGETLBFS_MAGIC;
	/* tmpfs without a limit has no blocks at all; files of disks need a few more than the one page. */
	e->full = fs.f_blocks != 0 && fs.f_bavail * (uint64_t)fs.f_bsize < 16 * PAGE;
}

/* A hole reads as zeros without an error, so only a store can meet a full disk. */
static void look_at_page(struct evidence *e, uint64_t offset)
{
	off_t data = lseek(e->fd, (off_t)offset, SEEK_DATA);
	char byte;

	e->hole = (data < 0 && errno == ENXIO) || data > (off_t)offset;
	if (pread(e->fd, &byte, 1, (off_t)offset) < 0)
		e->read_errno = errno;
}

static bool gather(
	const struct crash *crash, const struct why_mapping *m, uint64_t offset, struct evidence *e)
{
	struct stat about;

	*e = (struct evidence){ .fd = open_file(crash, m, O_RDONLY) };
	snprintf(e->name, sizeof(e->name), "%s", text_name(m->name).s);
	if (e->fd < 0)
		return false;
	if (fstat(e->fd, &about) != 0 || !S_ISREG(about.st_mode) ||
		(m->inode != 0 && about.st_ino != m->inode)) {
		close(e->fd);
		return false;
	}
	e->size = (uint64_t)about.st_size;
	look_at_filesystem(e);
	if (offset < e->size && !e->is_hugetlbfs)
		look_at_page(e, offset / PAGE * PAGE);
	close(e->fd);
	return true;
}

static bool pool_is_empty(void)
{
	struct quire_memory memory = { .size = sizeof(memory) };

	return quire_memory_read(&memory) == 0 && memory.huge_pages_free == 0;
}

static void say_truncated(const struct evidence *e, uint64_t offset, struct why_answer *answer)
{
	answer->cause = WHY_TRUNCATED;
	snprintf(answer->text, sizeof(answer->text),
		"It touched %s at offset %llu, but the file has %llu bytes: it was cut, or "
		"never was that long.",
		e->name, (unsigned long long)offset, (unsigned long long)e->size);
	snprintf(answer->advice, sizeof(answer->advice),
		"replace files by rename instead of truncating them while they are "
		"mapped; a guarded mapping (quire_map(3)) makes this an error code");
}

static void say_full(const struct evidence *e, uint64_t offset, struct why_answer *answer)
{
	answer->cause = e->is_tmpfs ? WHY_TMPFS_FULL : WHY_DISK_FULL;
	snprintf(answer->text, sizeof(answer->text),
		"It touched %s of %s at offset %llu, which needs a new %s, and the %s is full.",
		e->hole || e->is_tmpfs ? "a hole" : "a page with a hole", e->name, (unsigned long long)offset,
		e->is_tmpfs ? "page" : "block", e->is_tmpfs ? "tmpfs" : "filesystem");
	snprintf(answer->advice, sizeof(answer->advice),
		"allocate the file before mapping it (fallocate): a full %s is then an "
		"error code",
		e->is_tmpfs ? "tmpfs" : "disk");
}

static void say_io(const struct evidence *e, uint64_t offset, struct why_answer *answer)
{
	answer->cause = WHY_IO;
	snprintf(answer->text, sizeof(answer->text),
		"It touched %s at offset %llu, and reading that page from the device fails: %s.", e->name,
		(unsigned long long)offset, strerror(e->read_errno));
	snprintf(answer->advice, sizeof(answer->advice),
		"look for the device's messages with dmesg, and restore the file");
}

static void say_pool(const struct why_mapping *m, struct why_answer *answer)
{
	answer->cause = WHY_HUGE_POOL;
	snprintf(answer->text, sizeof(answer->text),
		"It touched huge pages (%s) for the first time, and the pool has none left.",
		m->name[0] == '\0' ? "anonymous" : text_name(m->name).s);
	snprintf(answer->advice, sizeof(answer->advice),
		"sysctl vm.nr_hugepages; or map without MAP_NORESERVE, so that mmap fails "
		"instead");
}

static void say_poison(const struct why_mapping *m, uint64_t offset, struct why_answer *answer)
{
	answer->cause = WHY_POISON;
	snprintf(answer->text, sizeof(answer->text),
		"It touched a page that the kernel has poisoned: %s at offset %llu. The memory "
		"itself is broken, or a program poisoned it on purpose (userfaultfd, MADV_HWPOISON).",
		m->name[0] == '\0' ? "anonymous memory" : text_name(m->name).s, (unsigned long long)offset);
	snprintf(answer->advice, sizeof(answer->advice), "dmesg and mcelog show broken memory");
}

static void say_unknown(
	const struct crash *crash, const struct why_mapping *m, bool seen, struct why_answer *answer)
{
	answer->cause = WHY_UNKNOWN;
	snprintf(answer->text, sizeof(answer->text),
		"It touched %s at offset %llu, and the page could not be served. %s",
		m->name[0] == '\0' ? "anonymous memory" : text_name(m->name).s,
		(unsigned long long)answer->offset,
		m->inode == 0 && m->name[0] != '/'  ? "No test says why."
			: !seen && crash->from_core ? "The file of that time is not there any more."
			: !seen                     ? "The file cannot be looked at by this user."
						    : "The file reads well now: the cause has passed.");
}

/* In anonymous memory a poisoned page has an entry that is neither present nor, without swap, swapped. Kernels without
 * memory-failure handling do not say it in the signal. */
static bool is_marked(const struct crash *crash)
{
	struct quire_memory memory = { .size = sizeof(memory) };
	struct quire_pages *pages;
	struct quire_run run;
	bool marked = false;

	if (crash->from_core || quire_memory_read(&memory) < 0 ||
		memory.swap_bytes != memory.swap_free_bytes ||
		quire_pages_open(crash->pid, crash->address, 1, &pages) < 0)
		return false;
	while (quire_pages_next(pages, &run) == 1)
		marked = (run.state & QUIRE_PAGE_SWAPPED) != 0;
	quire_pages_close(pages);
	return marked;
}

static void say_userfault(const struct why_mapping *m, struct why_answer *answer)
{
	answer->cause = WHY_UNKNOWN;
	snprintf(answer->text, sizeof(answer->text),
		"It touched %s, whose faults a program answers (userfaultfd), and this one was not served.",
		m->name[0] == '\0' ? "anonymous memory" : text_name(m->name).s);
}

void why_explain_bus(const struct crash *crash, const struct why_mapping *m, struct why_answer *answer)
{
	struct evidence e = { .fd = -1 };
	bool huge = (m->flags & QUIRE_MAPPING_HUGETLB) != 0 || strncmp(m->name, "/anon_hugepage", 14) == 0;
	bool seen;

	if (crash->code == BUS_MCEERR_AR || crash->code == BUS_MCEERR_AO) {
		say_poison(m, answer->offset, answer);
		return;
	}
	if (m->inode == 0 && !huge && m->name[0] != '/') {
		if (is_marked(crash))
			say_poison(m, answer->offset, answer);
		else if ((m->flags & QUIRE_MAPPING_USERFAULT) != 0)
			say_userfault(m, answer);
		else
			say_unknown(crash, m, true, answer);
		return;
	}
	seen = gather(crash, m, answer->offset, &e);
	if (seen && answer->offset >= (e.size + PAGE - 1) / PAGE * PAGE)
		say_truncated(&e, answer->offset, answer);
	else if (huge && pool_is_empty())
		say_pool(m, answer);
	else if (seen && e.read_errno != 0)
		say_io(&e, answer->offset, answer);
	/* A page of four blocks may have three and be in the cache, so "no hole" excludes nothing; a store can do this. */
	else if (seen && e.full && (e.hole || e.is_tmpfs || (m->flags & QUIRE_MAPPING_WRITE) != 0))
		say_full(&e, answer->offset, answer);
	else
		say_unknown(crash, m, seen, answer);
}
