/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front/front.h - the kernel's calls on mappings, over vm: the same arguments, checked in the same order, with the same
 * errors, and where the kernel stops half way, the same half is done.
 *
 *	front_mmap:  arguments -> room -> object -> as_map -> populate
 *
 * This is what paged mappings answer with when a caller says mprotect, msync or mincore, and what the differential oracle
 * (tests/oracle) holds against the kernel, operation by operation. What deliberately differs stands in
 * docs/differences.md. Flag values are the kernel's, from <sys/mman.h>. Order as read in 6.12 and probed on 6.18.
 *
 * A kernel VMA is a run of our segments that could be one: equal object, offset, protection and flags (front_vma()).
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/as.h"

/* A descriptor, as mmap sees it. */
struct front_file {
	struct object *object; /* NULL: something that cannot be mapped: -ENODEV */
	bool readable;
	bool writable;
	bool no_exec; /* its mount, or its kind, has no executables */
	bool sealed;  /* F_SEAL_FUTURE_WRITE or F_SEAL_WRITE */
};

/* front: an address space as a program sees the kernel's */
struct front {
	struct as *as;
	uintptr_t task_bytes; /* addresses end here: 2^47 - 4096 */
	unsigned int maps_max;
	uint64_t lock_bytes_max; /* UINT64_MAX: may lock all */
	uint64_t as_bytes_max;
	/* Memory for a shared anonymous mapping; NULL from it: no memory. */
	struct object *(*shared_memory)(void *user, uint64_t bytes);
	void *user;
};

/* The kernel's VMA at or above `at`; false: none. */
bool front_vma(struct as *as, uintptr_t at, struct seg *vma);

/* file NULL: the descriptor is not open. Returns 0 and the address, or -errno. */
int front_mmap(struct front *front, uintptr_t hint, size_t length, int prot, int flags,
	const struct front_file *file, uint64_t offset, uintptr_t *address);
int front_munmap(struct front *front, uintptr_t start, size_t length);
int front_mprotect(struct front *front, uintptr_t start, size_t length, int prot);
int front_mremap(struct front *front, uintptr_t start, size_t old_length, size_t new_length, int flags,
	uintptr_t new_start, uintptr_t *address);
int front_madvise(struct front *front, uintptr_t start, size_t length, int advice);
int front_msync(struct front *front, uintptr_t start, size_t length, int flags);
int front_mincore(struct front *front, uintptr_t start, size_t length, unsigned char *pages);
int front_mlock(struct front *front, uintptr_t start, size_t length, int flags);
int front_munlock(struct front *front, uintptr_t start, size_t length);

/* pread and pwrite: bytes, or -errno. A write makes the object longer. */
int64_t front_pread(struct object *object, uint64_t offset, void *to, size_t bytes);
int64_t front_pwrite(struct object *object, uint64_t offset, const void *from, size_t bytes);

/* As ftruncate: pages beyond are gone, private copies too. */
int front_truncate(struct object *object, uint64_t bytes);

/* Pages [first, last) read zero from now on; private copies stay. */
int front_punch(struct object *object, uint64_t first, uint64_t last);

/* What a child sees: shared pages shared, private ones copied on write, WIPEONFORK zero, DONTFORK absent, nothing
 * locked. The child's space is empty. -ENOMEM. */
int front_fork(struct as *parent, struct as *child);

/* Is the page that va shows pinned? */
bool front_pinned(struct as *as, uintptr_t va);

/* Bytes of [start, end) in shared segments that are newer than their object, those the kernel alone knows of included. */
uint64_t front_dirty(struct as *as, uintptr_t start, uintptr_t end);

/* ---- between the files of this folder ---- */

/* Pages of [start, end) are faulted in, for writing where that makes private copies and `break_cow`. Stops at the first
 * error, which is fault_handle()'s. */
int front_populate(struct as *as, uintptr_t start, uintptr_t end, bool break_cow);

/* Bytes of [start, start + length) to its page end, or false when they wrap. */
bool front_end(uintptr_t start, size_t length, uintptr_t *end);

#endif
