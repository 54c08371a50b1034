/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle/oracle.h - the same operations on three machines, and one comparison.
 *
 *	script --.--> kernel   real mmap, munmap, ... in a forked child
 *	         |--> ours     front + vm + fake engine in a child that a seccomp filter forbids every mapping call;
 *	         |             or, with MODE_PAGED, the real engine: userfaultfd
 *	         '--> native   the public calls on handles over the native engine, in a child; guarded, so that SIGBUS is an
 *	                       error of the handle. What no call of ours says is left out of the script, for the kernel too
 *
 *	result of each operation: errno, value, signal with code and address, bytes, and the segment list of the arena
 *
 * Addresses in a script are offsets from the arena's first byte, modulo 2^64, so that every absolute address can be said.
 * What a machine maps outside of the arena is reported as "elsewhere" and unmapped at once.
 */
#ifndef ORACLE_ORACLE_H
#define ORACLE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Below 2 GiB: there neither the address nor the thread sanitizer keeps its shadow. */
#define ARENA ((uintptr_t)0x20000000)
#define P ((uint64_t)4096)
#define ELSEWHERE UINT64_MAX

enum { ARENA_PAGES = 64, FILE_PAGES = 32, OPS_MAX = 256, SEGS_MAX = 66, CHILD_ACCESSES = 6, VECTOR_MAX = 80 };

enum op_kind {
	OP_MMAP,
	OP_MUNMAP,
	OP_MPROTECT,
	OP_MREMAP,
	OP_MADVISE,
	OP_MSYNC,
	OP_MINCORE,
	OP_MLOCK,
	OP_MUNLOCK,
	OP_LOAD,
	OP_STORE,
	OP_TRUNCATE,
	OP_PWRITE,
	OP_PREAD,
	OP_FORK,
	OP_SEAL,   /* of the file */
	OP_CLOSE,  /* a descriptor */
	OP_UNLINK, /* the file that has a name */
	OP_KINDS,
};

enum which_file { FD_NONE, FD_RDWR, FD_RDONLY, FD_WRONLY, FD_CLOSED, FD_PIPE, FD_NAMED, FD_COUNT };

struct op {
	enum op_kind kind;
	uint64_t at;
	uint64_t length;
	uint64_t new_length; /* mremap */
	uint64_t to;         /* mremap: new address; mmap: file offset */
	int prot;
	int flags; /* or advice */
	enum which_file fd;
	uint64_t value; /* stored, written; seed of what a child does */
};

enum seg_kind {
	SEG_ANON = 0,
	SEG_FILE = 1,
	SEG_SHARED_0 = 2
}; /* shared anonymous objects are numbered as they appear */

struct seg_entry {
	uint64_t start; /* pages from the arena */
	uint64_t end;
	uint64_t offset; /* pages; 0 for anonymous memory */
	int prot;
	int kind;
	bool shared;
};

struct access_result {
	int signal;
	int code;
	uint64_t address; /* from the arena, of a signal */
	uint64_t value;
};

struct result {
	bool done;
	bool left_out; /* the machine has no call for it: nothing was done */
	int error;
	uint64_t value; /* address from the arena, or bytes */
	struct access_result access;
	struct access_result child[CHILD_ACCESSES];
	uint64_t hash; /* of what was read, or of mincore's vector */
	unsigned int seg_count;
	struct seg_entry segs[SEGS_MAX];
};

enum machine_mode {
	MODE_PLAIN,   /* plenty of frames, the file is memory: what is resident agrees too */
	MODE_HOSTILE, /* eight frames, everything is evicted at every fault; nothing is locked */
	MODE_BACKED,  /* the file has a source, and its pages go and come */
	MODE_PAGED, /* the same on the real engine: userfaultfd, plain loads and stores. No second space: nothing forks */
	MODE_BROKEN, /* a planted mistake: private pages can be stored into before they are copied */
	MODE_NATIVE, /* the other machine is the native one */
	MODES,
};

/* Each runs a script in the calling process, which is a child of its own, and leaves a result an operation. The kernel
 * leaves out what `other` has left out. */
void run_kernel(const struct op *ops, size_t count, struct result *results, const struct result *other);
void run_ours(const struct op *ops, size_t count, struct result *results, enum machine_mode mode);
void run_native(const struct op *ops, size_t count, struct result *results);

/* ---- shared by the machines ---- */

/* What a forked child does: deterministic in the operation's value. */
struct child_access {
	uint64_t at;
	uint64_t value;
	bool store;
};
void child_plan(const struct op *op, struct child_access accesses[CHILD_ACCESSES]);

uint64_t hash_bytes(const void *bytes, size_t length);

/* Joins neighbours that are one by what is compared, and numbers shared objects. `ids` are the raw identities. */
void normalise(struct result *result, const uint64_t *ids);
bool equal_segments(const struct result *a, const struct result *b);

/* ---- scripts ---- */

struct script {
	size_t count;
	struct op ops[OPS_MAX];
};

void generate(struct script *script, uint64_t seed, size_t count, enum machine_mode mode);
void print_op(const struct op *op);
void print_result(const struct op *op, const struct result *result);

/* Runs a script on the kernel and on ours or native, as the mode says. Returns the index of the first difference, or
 * count. Differences that have a name in docs/differences.md end the comparison there and are counted in named[]. */
enum named_difference { SAME, REAL_DIFFERENCE, ANON_NEIGHBOURS, UNLOCKED_NEIGHBOURS, MOVE_MANY, NAMED_COUNT };
extern const char *const difference_names[NAMED_COUNT];

size_t compare(const struct op *ops, size_t count, enum machine_mode mode, uint64_t *named);

/* After compare(): did a machine end before its script did? How many operations were left out? */
extern bool machine_died;
extern size_t left_out_count;

/* After compare(): the two results at an index. */
const struct result *kernel_result(size_t i);
const struct result *other_result(size_t i);

/* Makes a failing script small. */
void shrink(struct script *script, enum machine_mode mode);

#endif
