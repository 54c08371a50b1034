/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle/cases.c - every row of the table of kernel semantics that can be said with the oracle's operations, as a named
 * script: run on the kernel, on vm and on handles, every step compared, and the last step's outcome compared with what is
 * written here.
 *
 * Rows that have no case, because nothing of ours answers them: huge pages from the pool, DAX, userfaultfd, hardware
 * poison, limits of the process (pmap/limits.c asks the kernel), secret memory. docs/differences.md lists them.
 */
#include "oracle/oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

enum {
	STEPS_MAX = 10,
	R = PROT_READ,
	W = PROT_WRITE,
	RW = PROT_READ | PROT_WRITE,
	AT = MAP_FIXED,
	PRIVATE_ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	SHARED_ANON = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
	NOREPLACE = 0x100000,
	DONTUNMAP = 4,
	POPULATE_READ = 22,
	POPULATE_WRITE = 23,
	COLLAPSE = 25,
	VALIDATE = 3,
	DROPPABLE = 8,
	BY_KERNEL = 1000, /* an outcome that differs by kernel: compared, and not asserted */
};

#define WRAPS (~(uint64_t)0 - ARENA - P + 1)
#define ABOVE_TASK (((uint64_t)1 << 47) - ARENA)
#define ANON(page, pages) MMAP(page, pages, RW, PRIVATE_ANON, FD_NONE, 0)
#define FILE_SHARED(page, pages, from) MMAP(page, pages, RW, MAP_SHARED | AT, FD_RDWR, from)
#define FILE_PRIVATE(page, pages, from) MMAP(page, pages, RW, MAP_PRIVATE | AT, FD_RDWR, from)
#define MMAP(page, pages, protection, how, file, from)                                                  \
	{                                                                                               \
		.kind = OP_MMAP, .at = (page)*P, .length = (pages)*P, .prot = protection, .flags = how, \
		.fd = file, .to = (from)*P                                                              \
	}
#define RAW_MMAP(address, bytes, protection, how, file, offset)                                    \
	{                                                                                          \
		.kind = OP_MMAP, .at = address, .length = bytes, .prot = protection, .flags = how, \
		.fd = file, .to = offset                                                           \
	}
#define CALL(what, address, bytes, how)                                                 \
	{                                                                               \
		.kind = what, .at = address, .length = bytes, .flags = how, .prot = how \
	}
#define MUNMAP(page, pages) CALL(OP_MUNMAP, (page)*P, (pages)*P, 0)
#define MPROTECT(page, pages, protection) CALL(OP_MPROTECT, (page)*P, (pages)*P, protection)
#define MADVISE(page, pages, advice) CALL(OP_MADVISE, (page)*P, (pages)*P, advice)
#define MSYNC(page, pages, how) CALL(OP_MSYNC, (page)*P, (pages)*P, how)
#define MINCORE(page, pages) CALL(OP_MINCORE, (page)*P, (pages)*P, 0)
#define MLOCK(page, pages) CALL(OP_MLOCK, (page)*P, (pages)*P, 0)
#define MUNLOCK(page, pages) CALL(OP_MUNLOCK, (page)*P, (pages)*P, 0)
#define MREMAP(page, old, new, how, target)                                                                  \
	{                                                                                                    \
		.kind = OP_MREMAP, .at = (page)*P, .length = (old)*P, .new_length = (new) * P, .flags = how, \
		.to = (target)*P                                                                             \
	}
#define LOAD(page) CALL(OP_LOAD, (page)*P + 8, 0, 0)
#define STORE(page)                                                               \
	{                                                                         \
		.kind = OP_STORE, .at = (page)*P + 8, .value = 0x1122334455667788 \
	}
#define STORE_AT(address)                                                    \
	{                                                                    \
		.kind = OP_STORE, .at = address, .value = 0x99aabbccddeeff11 \
	}
#define LOAD_AT(address) CALL(OP_LOAD, address, 0, 0)
#define TRUNCATE(bytes) CALL(OP_TRUNCATE, 0, bytes, 0)
#define PWRITE(offset, bytes)                                                   \
	{                                                                       \
		.kind = OP_PWRITE, .at = offset, .length = bytes, .value = 0x5a \
	}
#define NAMED(page, pages, from) MMAP(page, pages, RW, MAP_SHARED | AT, FD_NAMED, from)
/* A handle to seal the file by, which does not count as a writer. */
#define SHOWN FILE_PRIVATE(60, 1, 0)
#define SEAL(seals) CALL(OP_SEAL, 0, 0, seals)
#define UNLINK CALL(OP_UNLINK, 0, 0, 0)
#define CLOSE(which)                          \
	{                                     \
		.kind = OP_CLOSE, .fd = which \
	}
#define PREAD(offset, bytes) CALL(OP_PREAD, offset, bytes, 0)
/* A seed whose first accesses fall on the first pages is not needed: the whole arena is mapped where a child looks. */
#define FORK(seed)                             \
	{                                      \
		.kind = OP_FORK, .value = seed \
	}

struct named_case {
	const char *name;
	int outcome; /* of the last step: errno, or the negative number of a signal */
	struct op steps[STEPS_MAX];
};

/* A step of kind OP_MMAP with length 0 at the arena's first byte and no descriptor would be the end mark: OP_KINDS is. */
#define END                      \
	{                        \
		.kind = OP_KINDS \
	}

static const struct named_case cases[] = {
	/* ---- 1.1: what can be reached ---- */
	{ "a load beyond the last page of a shared file", -SIGBUS, { FILE_SHARED(0, 4, 30), LOAD(2), END } },
	{ "a store beyond the last page of a shared file", -SIGBUS,
		{ FILE_SHARED(0, 4, 30), STORE(3), END } },
	{ "a load beyond the last page of a private file", -SIGBUS,
		{ FILE_PRIVATE(0, 4, 30), LOAD(2), END } },
	{ "a store beyond the last page of a private file", -SIGBUS,
		{ FILE_PRIVATE(0, 4, 30), STORE(2), END } },
	{ "the exact address of a fault is told", -SIGBUS,
		{ FILE_SHARED(0, 4, 30), LOAD_AT(2 * P + 1232), END } },
	{ "the rest of the last page reads zero", 0,
		{ TRUNCATE(3 * P + 100), FILE_SHARED(0, 4, 0), LOAD_AT(3 * P + 96), LOAD_AT(3 * P + 104),
			END } },
	{ "a store behind the end is seen by shared mappers", 0,
		{ TRUNCATE(P / 2), FILE_SHARED(0, 1, 0), FILE_SHARED(4, 1, 0), STORE_AT(3000),
			LOAD_AT(4 * P + 3000), END } },
	{ "a store behind the end is not read", 0,
		{ TRUNCATE(P / 2), FILE_SHARED(0, 1, 0), STORE_AT(3000), PREAD(0, P), END } },
	{ "a store behind the end is gone when the file was cut and grew", 0,
		{ TRUNCATE(P / 2), FILE_SHARED(0, 1, 0), STORE_AT(3000), TRUNCATE(P / 4), TRUNCATE(P),
			LOAD_AT(3000), END } },
	{ "a cut discards private copies too", -SIGBUS,
		{ FILE_PRIVATE(0, 4, 0), STORE(2), TRUNCATE(2 * P), LOAD(2), END } },
	{ "a private copy of the page with the new end stays whole", 0,
		{ FILE_PRIVATE(0, 4, 0), STORE_AT(P + 3000), TRUNCATE(P + 100), LOAD_AT(P + 3000), END } },
	{ "a file that has grown again is zeros, shared", 0,
		{ FILE_SHARED(0, 4, 0), STORE(2), TRUNCATE(P), TRUNCATE(4 * P), LOAD(2), END } },
	{ "a file that has grown again is zeros, private", 0,
		{ FILE_PRIVATE(0, 4, 0), STORE(2), TRUNCATE(P), TRUNCATE(4 * P), LOAD(2), END } },
	{ "a punched hole reads zero", 0,
		{ FILE_SHARED(0, 4, 0), STORE(1), MADVISE(1, 1, MADV_REMOVE), LOAD(1), END } },
	{ "a punched hole leaves a private copy alone", 0,
		{ FILE_SHARED(0, 4, 0), FILE_PRIVATE(8, 4, 0), STORE(9), MADVISE(0, 4, MADV_REMOVE), LOAD(9),
			END } },
	{ "populate beyond the end", EFAULT, { FILE_SHARED(0, 4, 30), MADVISE(2, 1, POPULATE_READ), END } },
	{ "populate of a range of which a part is beyond the end fills what is there", 0,
		{ FILE_SHARED(0, 4, 30), MADVISE(0, 4, POPULATE_READ), MINCORE(0, 4), END } },
	{ "willneed beyond the end", 0, { FILE_SHARED(0, 4, 30), MADVISE(2, 2, MADV_WILLNEED), END } },
	{ "mlock beyond the end", ENOMEM, { FILE_SHARED(0, 4, 30), MLOCK(2, 2), END } },
	{ "msync beyond the end", 0, { FILE_SHARED(0, 4, 30), MSYNC(2, 2, MS_SYNC), END } },
	{ "mincore beyond the end", 0, { FILE_SHARED(0, 4, 30), MINCORE(0, 4), END } },

	/* ---- 2: mmap, and the order of its checks ---- */
	{ "length 0 and a closed descriptor", EBADF, { RAW_MMAP(0, 0, R, MAP_SHARED, FD_CLOSED, 0), END } },
	{ "a misaligned offset and a closed descriptor", EINVAL,
		{ RAW_MMAP(0, P, R, MAP_SHARED, FD_CLOSED, 100), END } },
	{ "length 0", EINVAL, { RAW_MMAP(0, 0, R, MAP_PRIVATE | MAP_ANONYMOUS, FD_NONE, 0), END } },
	{ "anonymous memory with a garbage descriptor", 0,
		{ MMAP(0, 1, R, PRIVATE_ANON, FD_CLOSED, 0), END } },
	{ "no type, anonymous", EINVAL, { MMAP(0, 1, R, MAP_ANONYMOUS | AT, FD_NONE, 0), END } },
	{ "no type, a file", EINVAL, { MMAP(0, 1, R, AT, FD_RDWR, 0), END } },
	{ "length SIZE_MAX", ENOMEM,
		{ RAW_MMAP(ELSEWHERE, SIZE_MAX, R, MAP_PRIVATE | MAP_ANONYMOUS, FD_NONE, 0), END } },
	{ "length 2^47", ENOMEM,
		{ RAW_MMAP(ELSEWHERE, (uint64_t)1 << 47, R, MAP_PRIVATE | MAP_ANONYMOUS, FD_NONE, 0), END } },
	{ "a fixed place that is not aligned", EINVAL,
		{ RAW_MMAP(100, P, R, PRIVATE_ANON, FD_NONE, 0), END } },
	{ "a fixed place above all addresses", ENOMEM,
		{ RAW_MMAP(ABOVE_TASK, P, R, PRIVATE_ANON, FD_NONE, 0), END } },
	{ "an offset and a length that wrap", EOVERFLOW,
		{ RAW_MMAP(0, P * 2, R, MAP_SHARED | AT, FD_RDWR, 0xfffffffffffff000), END } },
	{ "an occupied place, not to be replaced", EEXIST,
		{ ANON(0, 4), MMAP(3, 4, R, MAP_PRIVATE | MAP_ANONYMOUS | NOREPLACE, FD_NONE, 0), END } },
	{ "a free place, not to be replaced", 0,
		{ ANON(0, 4), MMAP(4, 4, R, MAP_PRIVATE | MAP_ANONYMOUS | NOREPLACE, FD_NONE, 0), END } },
	{ "a file wholly beyond its end", 0, { FILE_SHARED(0, 4, 4000), END } },
	{ "shared and writable through a read-only descriptor", EACCES,
		{ MMAP(0, 1, RW, MAP_SHARED | AT, FD_RDONLY, 0), END } },
	{ "shared and readable through a read-only descriptor", 0,
		{ MMAP(0, 1, R, MAP_SHARED | AT, FD_RDONLY, 0), LOAD(0), END } },
	{ "private and writable through a read-only descriptor", 0,
		{ MMAP(0, 1, RW, MAP_PRIVATE | AT, FD_RDONLY, 0), STORE(0), END } },
	{ "a write-only descriptor, shared", EACCES, { MMAP(0, 1, W, MAP_SHARED | AT, FD_WRONLY, 0), END } },
	{ "a write-only descriptor, private", EACCES,
		{ MMAP(0, 1, R, MAP_PRIVATE | AT, FD_WRONLY, 0), END } },
	{ "a write-only descriptor, no access", EACCES,
		{ MMAP(0, 1, PROT_NONE, MAP_SHARED | AT, FD_WRONLY, 0), END } },
	{ "a pipe", ENODEV, { MMAP(0, 1, R, MAP_SHARED | AT, FD_PIPE, 0), END } },
	{ "validated and not to be replaced", EOPNOTSUPP,
		{ MMAP(0, 1, R, VALIDATE | NOREPLACE, FD_RDWR, 0), END } },
	{ "validated with an unknown flag", EOPNOTSUPP,
		{ MMAP(0, 1, R, VALIDATE | AT | 1 << 22, FD_RDWR, 0), END } },
	{ "shared with an unknown flag", 0, { MMAP(0, 1, R, MAP_SHARED | AT | 1 << 22, FD_RDWR, 0), END } },
	{ "validated and anonymous", EINVAL,
		{ MMAP(0, 1, R, VALIDATE | AT | MAP_ANONYMOUS, FD_NONE, 0), END } },
	{ "validated", 0, { MMAP(0, 1, R, VALIDATE | AT, FD_RDWR, 0), END } },
	{ "grows down with a file", EINVAL,
		{ MMAP(0, 1, R, MAP_PRIVATE | AT | MAP_GROWSDOWN, FD_RDWR, 0), END } },
	{ "grows down, shared", EINVAL, { MMAP(0, 1, R, SHARED_ANON | MAP_GROWSDOWN, FD_NONE, 0), END } },
	{ "unknown protection bits in mmap", 0, { MMAP(0, 1, RW | 64, PRIVATE_ANON, FD_NONE, 0), END } },
	{ "unknown protection bits in mprotect", EINVAL, { ANON(0, 1), MPROTECT(0, 1, RW | 64), END } },
	{ "an occupied hint is ignored", 0,
		{ ANON(0, 4), MMAP(2, 1, R, MAP_PRIVATE | MAP_ANONYMOUS, FD_NONE, 0), END } },
	{ "a free hint is rounded down and taken", 0,
		{ RAW_MMAP(5 * P + 77, P, R, MAP_PRIVATE | MAP_ANONYMOUS, FD_NONE, 0), END } },
	{ "what may only be written may be read", 0,
		{ MMAP(0, 1, W, PRIVATE_ANON, FD_NONE, 0), LOAD(0), END } },

	/* ---- munmap, mprotect, split ---- */
	{ "munmap of nothing", EINVAL, { MUNMAP(0, 0), END } },
	{ "munmap at an unaligned address", EINVAL, { ANON(0, 1), CALL(OP_MUNMAP, 100, P, 0), END } },
	{ "munmap that wraps", EINVAL, { CALL(OP_MUNMAP, WRAPS, 2 * P, 0), END } },
	{ "munmap above all addresses", EINVAL, { CALL(OP_MUNMAP, ABOVE_TASK, P, 0), END } },
	{ "munmap of a hole", 0, { MUNMAP(3, 2), END } },
	{ "munmap over holes", 0, { ANON(0, 1), ANON(3, 1), MUNMAP(0, 5), END } },
	{ "munmap rounds the length up", 0, { ANON(0, 2), CALL(OP_MUNMAP, 0, P + 1, 0), END } },
	{ "mprotect at an unaligned address, of nothing", EINVAL, { CALL(OP_MPROTECT, 100, 0, R), END } },
	{ "mprotect of nothing", 0, { MPROTECT(0, 0, R), END } },
	{ "mprotect that wraps", ENOMEM, { CALL(OP_MPROTECT, WRAPS, 2 * P, R), END } },
	{ "mprotect of what is not mapped", ENOMEM, { MPROTECT(0, 1, R), END } },
	{ "mprotect over a hole has changed what is before it", ENOMEM,
		{ ANON(0, 2), ANON(3, 2), MPROTECT(0, 5, R), END } },
	{ "a shared map of a read-only descriptor never becomes writable", EACCES,
		{ MMAP(0, 1, R, MAP_SHARED | AT, FD_RDONLY, 0), MPROTECT(0, 1, RW), END } },
	{ "PROT_GROWSDOWN on what does not grow", EINVAL,
		{ ANON(0, 1), MPROTECT(0, 1, R | PROT_GROWSDOWN), END } },
	{ "both ways to grow", EINVAL,
		{ ANON(0, 1), MPROTECT(0, 1, R | PROT_GROWSDOWN | PROT_GROWSUP), END } },
	{ "the middle page protected makes three", 0, { ANON(0, 3), STORE(1), MPROTECT(1, 1, R), END } },
	{ "and restored makes one", 0, { ANON(0, 3), STORE(1), MPROTECT(1, 1, R), MPROTECT(1, 1, RW), END } },
	{ "fixed memory over the middle makes one", 0, { ANON(0, 3), STORE(1), ANON(1, 1), LOAD(1), END } },
	{ "neighbours that follow each other in the file are one", 0,
		{ FILE_SHARED(0, 1, 3), FILE_SHARED(1, 1, 4), END } },
	{ "neighbours that do not are two", 0, { FILE_SHARED(0, 1, 3), FILE_SHARED(1, 1, 5), END } },
	{ "two shared memories are two", 0,
		{ MMAP(0, 1, RW, SHARED_ANON, FD_NONE, 0), MMAP(1, 1, RW, SHARED_ANON, FD_NONE, 0), END } },
	{ "a store to what was protected", -SIGSEGV,
		{ ANON(0, 3), STORE(1), MPROTECT(1, 1, R), STORE(1), END } },

	/* ---- mremap ---- */
	{ "mremap at an unaligned address", EINVAL,
		{ ANON(0, 2), { .kind = OP_MREMAP, .at = 100, .length = P, .new_length = P }, END } },
	{ "mremap to nothing", EINVAL, { ANON(0, 2), MREMAP(0, 2, 0, 0, 0), END } },
	{ "mremap with an unknown flag", EINVAL, { ANON(0, 2), MREMAP(0, 2, 1, 8, 0), END } },
	{ "fixed without may-move", EINVAL, { ANON(0, 2), MREMAP(0, 2, 2, MREMAP_FIXED, 8), END } },
	{ "places that overlap", EINVAL,
		{ ANON(0, 4), MREMAP(0, 4, 4, MREMAP_FIXED | MREMAP_MAYMOVE, 2), END } },
	{ "dontunmap with another length", EINVAL,
		{ ANON(0, 4), MREMAP(0, 4, 2, MREMAP_MAYMOVE | DONTUNMAP, 10), END } },
	{ "mremap of what is not mapped", EFAULT, { MREMAP(0, 1, 1, 0, 0), END } },
	{ "grow across two", EFAULT,
		{ ANON(0, 2), FILE_SHARED(2, 2, 0), MREMAP(0, 4, 6, MREMAP_MAYMOVE, 0), END } },
	{ "grow past the end of one", EFAULT, { ANON(0, 2), MREMAP(0, 4, 6, MREMAP_MAYMOVE, 0), END } },
	{ "grow where it is blocked", ENOMEM,
		{ ANON(0, 2), FILE_SHARED(2, 2, 0), MREMAP(0, 2, 3, 0, 0), END } },
	{ "grow in place", 0, { ANON(0, 2), STORE(1), MREMAP(0, 2, 5, 0, 0), STORE(4), LOAD(1), END } },
	{ "old length 0, private", EINVAL, { ANON(0, 2), MREMAP(0, 0, 2, MREMAP_MAYMOVE, 0), END } },
	{ "old length 0, shared, is a second mapping", 0,
		{ FILE_SHARED(0, 2, 3), STORE(1), MREMAP(0, 0, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 10),
			LOAD(11), END } },
	{ "old length 0 without may-move", ENOMEM, { FILE_SHARED(0, 2, 3), MREMAP(0, 0, 2, 0, 0), END } },
	{ "dontunmap leaves zeros behind", 0,
		{ ANON(0, 2), STORE(1), MREMAP(0, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, 10),
			LOAD(11), LOAD(1), END } },
	{ "dontunmap of a shared file", 0,
		{ FILE_SHARED(0, 2, 0), STORE(1),
			MREMAP(0, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, 10), LOAD(11), LOAD(1),
			END } },
	{ "dontunmap of a part takes the lock from all of it", 0,
		{ MMAP(0, 6, RW, PRIVATE_ANON | MAP_LOCKED, FD_NONE, 0),
			MREMAP(1, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, 10),
			MADVISE(5, 1, MADV_DONTNEED), END } },
	{ "and what was moved keeps it", EINVAL,
		{ MMAP(0, 6, RW, PRIVATE_ANON | MAP_LOCKED, FD_NONE, 0),
			MREMAP(1, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, 10),
			MADVISE(10, 1, MADV_DONTNEED), END } },
	{ "dontunmap across a lock's end: what follows stays behind it", BY_KERNEL,
		{ FILE_SHARED(0, 6, 2), MLOCK(1, 3),
			MREMAP(3, 3, 3, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, 10), LOAD(12), END } },
	{ "shrink over a hole", 0, { ANON(0, 2), ANON(4, 2), MREMAP(0, 6, 1, 0, 0), END } },
	{ "a pure move across two", 0,
		{ ANON(0, 2), FILE_SHARED(2, 2, 5), STORE(0),
			MREMAP(0, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 10), LOAD(10), END } },
	{ "shared memory grown past its object", -SIGBUS,
		{ MMAP(0, 2, RW, SHARED_ANON, FD_NONE, 0), MREMAP(0, 2, 4, 0, 0), LOAD(2), END } },

	/* ---- msync ---- */
	{ "msync without flags", 0, { FILE_SHARED(0, 2, 0), MSYNC(0, 2, 0), END } },
	{ "msync both ways", EINVAL, { FILE_SHARED(0, 2, 0), MSYNC(0, 2, MS_SYNC | MS_ASYNC), END } },
	{ "msync with unknown bits", EINVAL, { FILE_SHARED(0, 2, 0), MSYNC(0, 2, 64), END } },
	{ "msync at an unaligned address", EINVAL,
		{ FILE_SHARED(0, 2, 0), CALL(OP_MSYNC, 100, P, MS_SYNC), END } },
	{ "msync that wraps", ENOMEM, { CALL(OP_MSYNC, WRAPS, 2 * P, MS_SYNC), END } },
	{ "msync of nothing, unmapped", 0, { MSYNC(0, 0, MS_SYNC), END } },
	{ "msync over a hole, waiting", ENOMEM,
		{ FILE_SHARED(0, 1, 0), FILE_SHARED(2, 1, 2), MSYNC(0, 3, MS_SYNC), END } },
	{ "msync over a hole, not waiting", ENOMEM,
		{ FILE_SHARED(0, 1, 0), FILE_SHARED(2, 1, 2), MSYNC(0, 3, MS_ASYNC), END } },
	{ "invalidate on what is locked", EBUSY,
		{ FILE_SHARED(0, 1, 0), MLOCK(0, 1), MSYNC(0, 1, MS_INVALIDATE), END } },
	{ "msync of private memory", 0, { ANON(0, 1), STORE(0), MSYNC(0, 1, MS_SYNC), END } },

	/* ---- madvise ---- */
	{ "unknown advice", EINVAL, { ANON(0, 1), MADVISE(0, 1, 999), END } },
	{ "advice at an unaligned address", EINVAL,
		{ ANON(0, 1), CALL(OP_MADVISE, 100, P, MADV_NORMAL), END } },
	{ "advice on nothing, unmapped", 0, { MADVISE(0, 0, MADV_DONTNEED), END } },
	{ "advice on what is not mapped", ENOMEM, { MADVISE(0, 1, MADV_NORMAL), END } },
	{ "dontneed over a hole is done on both sides", ENOMEM,
		{ ANON(0, 1), ANON(2, 1), STORE(0), STORE(2), MADVISE(0, 3, MADV_DONTNEED), END } },
	{ "and both sides read zero", 0,
		{ ANON(0, 1), ANON(2, 1), STORE(0), STORE(2), MADVISE(0, 3, MADV_DONTNEED), LOAD(0), LOAD(2),
			END } },
	{ "dontneed on what is locked", EINVAL,
		{ ANON(0, 1), MLOCK(0, 1), MADVISE(0, 1, MADV_DONTNEED), END } },
	{ "remove on private memory", EINVAL, { ANON(0, 1), MADVISE(0, 1, MADV_REMOVE), END } },
	{ "remove on what is locked", EINVAL,
		{ FILE_SHARED(0, 1, 0), MLOCK(0, 1), MADVISE(0, 1, MADV_REMOVE), END } },
	{ "remove on a private file", EACCES, { FILE_PRIVATE(0, 1, 0), MADVISE(0, 1, MADV_REMOVE), END } },
	{ "free on a file", EINVAL, { FILE_PRIVATE(0, 1, 0), MADVISE(0, 1, MADV_FREE), END } },
	{ "free on private memory", 0, { ANON(0, 1), MADVISE(0, 1, MADV_FREE), END } },
	{ "wipeonfork on what is shared", EINVAL,
		{ FILE_SHARED(0, 1, 0), MADVISE(0, 1, MADV_WIPEONFORK), END } },
	{ "collapse of one page", EINVAL, { ANON(0, 1), MADVISE(0, 1, COLLAPSE), END } },
	{ "populate for writing what is read-only", EINVAL,
		{ MMAP(0, 1, R, PRIVATE_ANON, FD_NONE, 0), MADVISE(0, 1, POPULATE_WRITE), END } },
	{ "populate of what has no access", EINVAL,
		{ MMAP(0, 1, PROT_NONE, PRIVATE_ANON, FD_NONE, 0), MADVISE(0, 1, POPULATE_READ), END } },
	{ "populate over a hole", ENOMEM, { ANON(0, 1), ANON(2, 1), MADVISE(0, 3, POPULATE_READ), END } },

	/* ---- mincore, mlock ---- */
	{ "mincore at an unaligned address", EINVAL, { ANON(0, 1), CALL(OP_MINCORE, 100, P, 0), END } },
	{ "mincore of what is not mapped", ENOMEM, { MINCORE(0, 1), END } },
	{ "mincore with a bad vector", EFAULT,
		{ ANON(0, 1), { .kind = OP_MINCORE, .length = P, .value = 1 }, END } },
	{ "mincore of nothing", 0, { MINCORE(0, 0), END } },
	{ "mincore of private memory that was read", 0,
		{ ANON(0, 4), LOAD(1), STORE(2), MINCORE(0, 4), END } },
	{ "mlock rounds its address down", 0, { ANON(0, 2), CALL(OP_MLOCK, 100, P, 0), END } },
	{ "mlock over a hole", ENOMEM, { ANON(0, 1), ANON(2, 1), MLOCK(0, 3), END } },
	{ "mlock over a hole has locked what is before it", EINVAL,
		{ ANON(0, 1), ANON(2, 1), MLOCK(0, 3), MADVISE(0, 1, MADV_DONTNEED), END } },
	{ "munlock of what is not mapped", ENOMEM, { MUNLOCK(0, 1), END } },
	{ "mlock that wraps", EINVAL, { CALL(OP_MLOCK, WRAPS, 4 * P, 0), END } },
	{ "mlock makes private copies at once", 0,
		{ FILE_PRIVATE(0, 1, 0), MLOCK(0, 1), PWRITE(0, 100), LOAD(0), END } },

	/* ---- private, fork ---- */
	{ "a private page that was only read sees a later write", 0,
		{ FILE_PRIVATE(0, 2, 0), LOAD(0), PWRITE(0, 100), LOAD(0), END } },
	{ "a private page that was stored into does not", 0,
		{ FILE_PRIVATE(0, 2, 0), STORE(0), PWRITE(0, 100), LOAD(0), END } },
	{ "dontneed brings the file back", 0,
		{ FILE_PRIVATE(0, 2, 0), STORE(0), PWRITE(0, 100), MADVISE(0, 1, MADV_DONTNEED), LOAD(0),
			END } },
	{ "fork: shared memory is shared", 0,
		{ MMAP(0, 64, RW, SHARED_ANON, FD_NONE, 0), FORK(5), FORK(5), END } },
	{ "fork: private memory is copied", 0, { ANON(0, 64), FORK(5), FORK(5), END } },
	{ "fork: wiped memory is zero", 0,
		{ ANON(0, 64), FORK(5), MADVISE(0, 64, MADV_WIPEONFORK), STORE(9), FORK(6), END } },
	{ "fork: what is left out is absent", 0,
		{ ANON(0, 64), MADVISE(0, 32, MADV_DONTFORK), FORK(5), END } },

	/* ---- a descriptor that is closed, a file that is sealed ---- */
	{ "what is mapped outlives its descriptor", 0,
		{ FILE_SHARED(0, 2, 0), CLOSE(FD_RDWR), STORE(1), LOAD(1), END } },
	{ "a private copy dropped after the descriptor was closed shows the file", 0,
		{ FILE_PRIVATE(0, 2, 0), PWRITE(P, 100), STORE(1), CLOSE(FD_RDWR),
			MADVISE(1, 1, MADV_DONTNEED), LOAD(1), END } },
	{ "a closed descriptor maps nothing more", EBADF,
		{ FILE_SHARED(0, 2, 0), CLOSE(FD_RDWR), FILE_SHARED(4, 2, 0), END } },
	{ "sealed against future writes: shared and writable", EPERM,
		{ SHOWN, SEAL(F_SEAL_FUTURE_WRITE), FILE_SHARED(0, 1, 0), END } },
	{ "sealed against future writes: shared and readable", 0,
		{ SHOWN, SEAL(F_SEAL_FUTURE_WRITE), MMAP(0, 1, R, MAP_SHARED | AT, FD_RDWR, 0), LOAD(0),
			END } },
	{ "sealed against future writes: what is readable never becomes writable", EACCES,
		{ SHOWN, SEAL(F_SEAL_FUTURE_WRITE), MMAP(0, 1, R, MAP_SHARED | AT, FD_RDWR, 0),
			MPROTECT(0, 1, RW), END } },
	{ "sealed against future writes: private and writable", 0,
		{ SHOWN, SEAL(F_SEAL_FUTURE_WRITE), FILE_PRIVATE(0, 1, 0), STORE(0), LOAD(0), END } },
	{ "sealed against future writes: who could store before still can", 0,
		{ FILE_SHARED(0, 1, 0), SEAL(F_SEAL_FUTURE_WRITE), STORE(0), PREAD(0, P), END } },
};

/* Seals are the kernel's to keep, and objects of vm have no names: these are asked of handles alone. */
static const struct named_case handle_cases[] = {
	{ "sealed against future writes: pwrite", EPERM,
		{ SHOWN, SEAL(F_SEAL_FUTURE_WRITE), PWRITE(0, 100), END } },
	{ "sealed against future writes: a hole", EPERM,
		{ FILE_SHARED(0, 2, 0), STORE(0), SEAL(F_SEAL_FUTURE_WRITE), MADVISE(0, 1, MADV_REMOVE),
			END } },
	{ "sealed against writes while somebody may write", EBUSY,
		{ FILE_SHARED(0, 1, 0), SEAL(F_SEAL_WRITE), END } },
	{ "sealed against writes: pwrite", EPERM, { SHOWN, SEAL(F_SEAL_WRITE), PWRITE(0, 100), END } },
	{ "sealed against writes: private copies are nobody's business", 0,
		{ SHOWN, SEAL(F_SEAL_WRITE), STORE(60), LOAD(60), PREAD(0, P), END } },
	{ "sealed against writes: shared and readable", BY_KERNEL, /* from Linux 6.7 on */
		{ SHOWN, SEAL(F_SEAL_WRITE), MMAP(0, 1, R, MAP_SHARED | AT, FD_RDWR, 0), END } },
	{ "sealed against shrinking: ftruncate", EPERM, { SHOWN, SEAL(F_SEAL_SHRINK), TRUNCATE(P), END } },
	{ "sealed against shrinking: it may grow", 0,
		{ SHOWN, SEAL(F_SEAL_SHRINK), TRUNCATE((FILE_PAGES + 1) * P), END } },
	{ "sealed against growing: ftruncate", EPERM,
		{ SHOWN, SEAL(F_SEAL_GROW), TRUNCATE((FILE_PAGES + 1) * P), END } },
	{ "sealed against growing: a write behind the end", EPERM,
		{ SHOWN, SEAL(F_SEAL_GROW), PWRITE(FILE_PAGES *P, 100), END } },
	{ "sealed against growing: it may shrink, and the page is dead", -SIGBUS,
		{ SHOWN, SEAL(F_SEAL_GROW), TRUNCATE(0), LOAD(60), END } },
	{ "sealed against seals", EPERM, { SHOWN, SEAL(F_SEAL_SEAL), SEAL(F_SEAL_SHRINK), END } },
	{ "what is mapped outlives its name", 0,
		{ NAMED(0, 2, 0), STORE(1), UNLINK, STORE(0), LOAD(1), END } },
	{ "a file without a name is mapped again by its descriptor", 0,
		{ NAMED(0, 2, 0), STORE(1), UNLINK, NAMED(4, 2, 0), LOAD(5), END } },
	{ "what is mapped outlives its name and its descriptor", 0,
		{ NAMED(0, 2, 0), STORE(1), UNLINK, CLOSE(FD_NAMED), STORE(0), MSYNC(0, 2, MS_SYNC), FORK(5),
			LOAD(1), END } },
};

static int outcome_of(const struct op *op, const struct result *result)
{
	if (op->kind == OP_LOAD || op->kind == OP_STORE)
		return result->access.signal == 0 ? 0 : -result->access.signal;
	return result->error;
}

/* True: well; else a sentence was printed. */
static bool run_case(const struct named_case *test, enum machine_mode mode)
{
	uint64_t named[NAMED_COUNT] = { 0 };
	size_t count = 0;
	size_t bad;
	int outcome;

	while (test->steps[count].kind != OP_KINDS)
		count++;
	bad = compare(test->steps, count, mode, named);
	if (bad < count) {
		(void)printf("# step %zu: ", bad);
		print_op(&test->steps[bad]);
		(void)printf("\n# kernel");
		print_result(&test->steps[bad], kernel_result(bad));
		(void)printf("# ours  ");
		print_result(&test->steps[bad], other_result(bad));
		return false;
	}
	outcome = outcome_of(&test->steps[count - 1], other_result(count - 1));
	if (outcome == test->outcome || test->outcome == BY_KERNEL || named[SAME] < count ||
		left_out_count > 0)
		return true;
	(void)printf("# kernel and ours agree on %d, the table says %d\n", outcome, test->outcome);
	return false;
}

/* A case that handles cannot say would prove nothing. */
static bool run_handle_case(const struct named_case *test)
{
	bool well = run_case(test, MODE_NATIVE);

	if (left_out_count > 0)
		(void)printf("# %zu steps were left out\n", left_out_count);
	return well && left_out_count == 0;
}

int main(void)
{
	const size_t count = sizeof(cases) / sizeof(cases[0]);
	const size_t handle_count = sizeof(handle_cases) / sizeof(handle_cases[0]);
	size_t said = 0;

	(void)printf("1..%zu\n", count + handle_count);
	for (size_t i = 0; i < count; i++) {
		bool well = run_case(&cases[i], MODE_PLAIN) && run_case(&cases[i], MODE_NATIVE);

		said += left_out_count == 0;
		(void)printf("%sok %zu - %s\n", well ? "" : "not ", i + 1, cases[i].name);
	}
	for (size_t i = 0; i < handle_count; i++)
		(void)printf("%sok %zu - %s\n", run_handle_case(&handle_cases[i]) ? "" : "not ",
			count + i + 1, handle_cases[i].name);
	(void)printf("# %zu of %zu cases were said by handles too\n", said, count);
	return 0;
}
