/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why did a page fault end in SIGBUS?
 *
 * The signal does not say: truncation, I/O error, full disk and empty huge pool all carry code 2 (BUS_ADRERR); only
 * poison has codes of its own, and not on every kernel. So the cause is looked for afterwards, cheapest question first.
 * Every call here is async-signal-safe.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "base/align.h"
#include "pmap/guard.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/uapi.h"

static int found(uint32_t *cause, enum quire_cause what, int error)
{
	*cause = what;
	return error;
}

/* Does the file have a byte for this page? The page that holds the end is alive. */
static bool behind_end(const struct guard *guard, uint64_t offset)
{
	struct stat stat;

	return guard->fd >= 0 && sys_fstat(guard->fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
		offset >= (uint64_t)stat.st_size;
}

/* A store to a hole allocates; so does a load on tmpfs. Allocating on the program's behalf does no more than its store
 * would have done; a load must not allocate, so there the filesystem is asked how much is left. */
static bool no_space(const struct guard *guard, uint64_t offset, bool store, bool *allocated)
{
	struct statfs statfs;
	int r;

	*allocated = false;
	if (store) {
		r = sys_fallocate(guard->fd, FALLOC_FL_KEEP_SIZE, offset, guard->page_bytes);
		if (r == -ENOSPC || r == -EDQUOT)
			return true;
		*allocated = r == 0;
		if (r == 0)
			return false;
	}
	return sys_fstatfs(guard->fd, &statfs) == 0 && statfs.f_bavail == 0 && statfs.f_blocks != 0;
}

static int ask_file(const struct guard *guard, uintptr_t page, uint64_t offset, bool store, uint32_t *cause)
{
	bool allocated;
	char byte;
	ssize_t n;

	n = sys_pread(guard->fd, &byte, 1, offset);
	if (n < 0 && n != -EINVAL && n != -EISDIR && n != -EBADF && n != -ESPIPE)
		return found(cause, QUIRE_CAUSE_IO, -EIO);
	if (no_space(guard, offset, store, &allocated))
		return found(cause, QUIRE_CAUSE_NO_SPACE, -ENOSPC);
	/* There is room by now, and the page has a block. */
	if (allocated && sys_madvise(page, guard->page_bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	return found(cause, QUIRE_CAUSE_UNKNOWN, -EFAULT);
}

static int ask(const struct guard *guard, uintptr_t page, bool store, uint32_t *cause)
{
	uint64_t offset = guard->offset + (page - guard->trap.start);
	int r;

	if (behind_end(guard, offset))
		return found(cause, QUIRE_CAUSE_TRUNCATED, -ENODATA);

	/* Populating is the same fault without the signal: it tells whether the page is still dead. */
	r = sys_madvise(page, guard->page_bytes, store ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	if (r == 0)
		return 0;
	if (r == -EHWPOISON)
		return found(cause, QUIRE_CAUSE_POISON, -EHWPOISON);
	/* Cut since the first question: then neither the disk nor the pool is to blame. */
	if (behind_end(guard, offset))
		return found(cause, QUIRE_CAUSE_TRUNCATED, -ENODATA);
	if (guard->page_bytes > PAGE_BYTES)
		return found(cause, QUIRE_CAUSE_NO_HUGE_PAGE, -ENOMEM);
	if (guard->fd >= 0)
		return ask_file(guard, page, offset, store, cause);
	return found(cause, QUIRE_CAUSE_UNKNOWN, -EFAULT);
}

/* ASK_MAX: what a file that is cut and grown between two questions answers makes no sense together, and is "unknown" only
 * when it makes none so many times in a row. */
enum { ASK_MAX = 16 };

int guard_classify(const struct guard *guard, uintptr_t va, bool store, int code, uint32_t *cause)
{
	int r;

	if (code == BUS_MCEERR_AR || code == BUS_MCEERR_AO)
		return found(cause, QUIRE_CAUSE_POISON, -EHWPOISON);

	for (int asked = 0; asked < ASK_MAX; asked++) {
		r = ask(guard, align_down(va, guard->page_bytes), store, cause);
		if (r == 0 || *cause != QUIRE_CAUSE_UNKNOWN)
			break;
	}
	return r;
}
