/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/probe.h"

#include "base/align.h"
#include "sys/memory.h"
#include "sys/uapi.h"

int probe_map(int fd, bool write, bool sync)
{
	int flags = sync ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
	uintptr_t page;
	int r = sys_mmap(0, PAGE_BYTES, write ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, 0, &page);

	if (r == 0)
		(void)sys_munmap(page, PAGE_BYTES);
	return r;
}
