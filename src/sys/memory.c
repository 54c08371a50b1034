/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/uapi.h"

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

/* The kernel itself, which answers with -errno. Not syscall(3): to go through errno and one more return, which is predicted
 * wrongly after the kernel was entered, is 1 % of map + unmap; and the fault handler leaves errno alone. */
static inline long call(long number, uintptr_t a, size_t b, long c, long flags, long fd, uint64_t offset)
{
	register long r10 __asm__("r10") = flags;
	register long r8 __asm__("r8") = fd;
	register uint64_t r9 __asm__("r9") = offset;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

int sys_mmap(uintptr_t hint, size_t length, int prot, int flags, int fd, uint64_t offset, uintptr_t *address)
{
	long r = call(SYS_mmap, hint, length, prot, flags, fd, offset);

	if (r < 0)
		return (int)r; /* addresses of programs are positive */
	*address = (uintptr_t)r;
	return 0;
}

int sys_munmap(uintptr_t address, size_t length)
{
	return (int)call(SYS_munmap, address, length, 0, 0, 0, 0);
}

int sys_mprotect(uintptr_t address, size_t length, int prot)
{
	return (int)call(SYS_mprotect, address, length, prot, 0, 0, 0);
}

int sys_mremap(uintptr_t address, size_t length, size_t new_length, int flags, uintptr_t new_address,
	uintptr_t *result)
{
	long r = syscall(SYS_mremap, address, length, new_length, flags, new_address);

	if (r == -1)
		return -errno;
	*result = (uintptr_t)r;
	return 0;
}

int sys_madvise(uintptr_t address, size_t length, int advice)
{
	return (int)call(SYS_madvise, address, length, advice, 0, 0, 0);
}

int sys_drop(const uintptr_t *start_end, size_t pairs)
{
	enum { AT_MOST = 1024 };
	struct iovec parts[AT_MOST];
	size_t bytes = 0;
	int self;
	long r;

	if (pairs > AT_MOST)
		return -EINVAL;
	for (size_t i = 0; i < pairs; i++) {
		parts[i].iov_base = (void *)start_end[2 * i];
		parts[i].iov_len = start_end[2 * i + 1] - start_end[2 * i];
		bytes += parts[i].iov_len;
	}
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		return -errno;
	r = syscall(SYS_process_madvise, self, parts, pairs, MADV_DONTNEED, 0U);
	r = r < 0 ? -errno : (size_t)r < bytes ? -EAGAIN : 0;
	(void)close(self);
	return (int)r;
}

int sys_msync(uintptr_t address, size_t length, int flags)
{
	return result(syscall(SYS_msync, address, length, flags));
}

int sys_mincore(uintptr_t address, size_t length, unsigned char *pages)
{
	return result(syscall(SYS_mincore, address, length, pages));
}

int sys_mlock(uintptr_t address, size_t length, unsigned int flags)
{
	return result(syscall(SYS_mlock2, address, length, flags));
}

int sys_munlock(uintptr_t address, size_t length)
{
	return result(syscall(SYS_munlock, address, length));
}

int sys_mbind(uintptr_t address, size_t length, int mode, const uint64_t *nodes, unsigned int flags)
{
	/* The kernel reads maxnode - 1 bits. */
	return result(syscall(SYS_mbind, address, length, mode, nodes, nodes == NULL ? 0UL : 65UL, flags));
}

int sys_name_anonymous(uintptr_t address, size_t length, const char *name)
{
	return result(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, address, length, name));
}
