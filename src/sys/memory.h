/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/memory.h - the system calls about mappings, as -errno.
 *
 * Preconditions are the kernel's: nothing is checked here. Called from pmap (and for throw-away probe mappings from
 * inspect) only; a test greps for that.
 */
#ifndef SYS_MEMORY_H
#define SYS_MEMORY_H

#include <stddef.h>
#include <stdint.h>

int sys_mmap(uintptr_t hint, size_t length, int prot, int flags, int fd, uint64_t offset, uintptr_t *address);
int sys_munmap(uintptr_t address, size_t length);
int sys_mprotect(uintptr_t address, size_t length, int prot);
int sys_mremap(uintptr_t address, size_t length, size_t new_length, int flags, uintptr_t new_address,
	uintptr_t *result);
int sys_madvise(uintptr_t address, size_t length, int advice);
int sys_drop(const uintptr_t *start_end, size_t pairs); /* MADV_DONTNEED of many ranges, 1024 at most */
int sys_msync(uintptr_t address, size_t length, int flags);
int sys_mincore(uintptr_t address, size_t length, unsigned char *pages);
int sys_mlock(uintptr_t address, size_t length, unsigned int flags);
int sys_munlock(uintptr_t address, size_t length);
int sys_mbind(uintptr_t address, size_t length, int mode, const uint64_t *nodes, unsigned int flags);
int sys_name_anonymous(uintptr_t address, size_t length, const char *name);

#endif
