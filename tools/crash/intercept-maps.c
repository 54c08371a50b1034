/* SPDX-License-Identifier: Apache-2.0 */
/* intercept-maps.c - the calls about mappings: stores through shared ones change files too (stores.c). */
#include "intercept.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "record.h"
#include <unistd.h>

static void *map_real(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	/* The kernel's result is an address or -errno; syscall() has made -1 of the latter, which is MAP_FAILED. */
	return (void *)syscall(SYS_mmap, address, length, prot, flags, fd, offset); /* NOLINT */
}

void *mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	bool shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
	uint64_t file;
	void *p;

	if (!rec_enter())
		return map_real(address, length, prot, flags, fd, offset);
	p = map_real(address, length, prot, flags, fd, offset);
	if (p != MAP_FAILED) {
		if (flags & MAP_FIXED)
			stores_remove((uintptr_t)p, length);
		if (shared && !(flags & MAP_ANONYMOUS) && rec_inside_fd(fd, &file))
			stores_add((uintptr_t)p, length, file, (uint64_t)offset, prot & PROT_WRITE);
	}
	rec_leave();
	return p;
}

int munmap(void *address, size_t length)
{
	bool seen = rec_enter(); /* which looks at every mapping: the last chance for this one */
	int error = (int)syscall(SYS_munmap, address, length);

	if (seen) {
		if (error == 0)
			stores_remove((uintptr_t)address, length);
		rec_leave();
	}
	return error;
}

int mprotect(void *address, size_t length, int prot)
{
	bool seen = rec_enter();
	int error = (int)syscall(SYS_mprotect, address, length, prot);

	if (seen) {
		if (error == 0)
			stores_protect((uintptr_t)address, length, prot & PROT_WRITE);
		rec_leave();
	}
	return error;
}

void *mremap(void *address, size_t length, size_t new_length, int flags, ...)
{
	void *fixed = NULL, *p;
	uint64_t file, offset;
	va_list more;
	bool seen, ours;

	va_start(more, flags);
	if (flags & MREMAP_FIXED)
		fixed = va_arg(more, void *);
	va_end(more);

	seen = rec_enter();
	p = (void *)syscall(
		SYS_mremap, address, length, new_length, flags, fixed); /* NOLINT: as in map_real */
	if (seen) {
		ours = p != MAP_FAILED && stores_find((uintptr_t)address, &file, &offset);
		if (ours) {
			stores_remove((uintptr_t)address, length);
			stores_add((uintptr_t)p, new_length, file, offset, true);
		}
		rec_leave();
	}
	return p;
}

ALIAS(void *, mmap64, (void *, size_t, int, int, int, off_t), "mmap");
