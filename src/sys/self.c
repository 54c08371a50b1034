/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/self.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* process_madvise takes IOV_MAX ranges a call; they are copied to the stack in parts of this size. */
enum { PART = 512 };

int sys_pidfd_self(void)
{
	long fd = syscall(SYS_pidfd_open, getpid(), 0);

	return fd < 0 ? -errno : (int)fd;
}

static int advise_each(const struct sys_span *spans, size_t count, int advice)
{
	for (size_t i = 0; i < count; i++)
		if (madvise((void *)spans[i].start, spans[i].end - spans[i].start, advice) < 0)
			return -errno;
	return 0;
}

static int advise_part(int pidfd, const struct sys_span *spans, size_t count, int advice)
{
	struct iovec parts[PART];
	size_t bytes = 0;
	ssize_t n;

	for (size_t i = 0; i < count; i++) {
		parts[i].iov_base = (void *)spans[i].start;
		parts[i].iov_len = spans[i].end - spans[i].start;
		bytes += parts[i].iov_len;
	}
	n = syscall(SYS_process_madvise, pidfd, parts, count, advice, 0U);
	return n == (ssize_t)bytes ? 0 : advise_each(spans, count, advice);
}

int sys_advise_many(int pidfd_self, const struct sys_span *spans, size_t count, int advice)
{
	int r = 0;

	if (count == 1)
		return advise_each(spans, 1, advice);
	for (size_t i = 0; r == 0 && i < count; i += PART)
		r = advise_part(pidfd_self, spans + i, count - i < PART ? count - i : PART, advice);
	return r;
}
