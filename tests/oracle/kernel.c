/* SPDX-License-Identifier: Apache-2.0 */
/* oracle/kernel.c - the first machine: the calls themselves. */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "oracle/real.h"

/* An address that a call returned; what lies elsewhere is given back. */
static void place(struct result *result, long r, uint64_t length)
{
	uint64_t at = (uint64_t)r - ARENA;

	if (r < 0 && r > -4096) {
		result->error = (int)-r;
		return;
	}
	result->value = at;
	if (at < ARENA_PAGES * P)
		return;
	result->value = ELSEWHERE;
	if (real_call(SYS_munmap, (uint64_t)r, length, 0, 0, 0, 0) != 0)
		result->error = -1;
}

static void mincore_one(const struct op *op, struct result *result)
{
	static unsigned char vector[VECTOR_MAX];
	uint64_t where = op->value == 1 ? 8 : (uint64_t)(uintptr_t)vector;

	memset(vector, 0, sizeof(vector));
	real_outcome(result, real_call(SYS_mincore, ARENA + op->at, op->length, where, 0, 0, 0));
	for (size_t i = 0; i < sizeof(vector); i++)
		vector[i] &= 1;
	result->hash = result->error == 0 ? hash_bytes(vector, sizeof(vector)) : 0;
}

/* Calls of the form (address, length, something). */
static void range_one(long number, const struct op *op, uint64_t how, struct result *result)
{
	real_outcome(result, real_call(number, ARENA + op->at, op->length, how, 0, 0, 0));
}

static void run_one(const struct op *op, struct result *result)
{
	uint64_t flags = (uint64_t)op->flags;
	uint64_t at = ARENA + op->at;

	switch (op->kind) {
	case OP_MMAP:
		place(result,
			real_call(SYS_mmap, op->at == ELSEWHERE ? 0 : at, op->length, (uint64_t)op->prot,
				flags, (uint64_t)real_file(op->fd), op->to),
			op->length);
		break;
	case OP_MREMAP:
		place(result, real_call(SYS_mremap, at, op->length, op->new_length, flags, ARENA + op->to, 0),
			op->new_length);
		break;
	case OP_MUNMAP: range_one(SYS_munmap, op, 0, result); break;
	case OP_MPROTECT: range_one(SYS_mprotect, op, (uint64_t)op->prot, result); break;
	case OP_MADVISE: range_one(SYS_madvise, op, flags, result); break;
	case OP_MSYNC: range_one(SYS_msync, op, flags, result); break;
	case OP_MLOCK: range_one(SYS_mlock2, op, flags, result); break;
	case OP_MUNLOCK: range_one(SYS_munlock, op, 0, result); break;
	case OP_MINCORE: mincore_one(op, result); break;
	case OP_LOAD: real_access(op->at, false, 0, &result->access); break;
	case OP_STORE: real_access(op->at, true, op->value, &result->access); break;
	case OP_FORK: real_fork(op, result, real_access); break;
	case OP_SEAL:
		real_outcome(result,
			real_call(SYS_fcntl, (uint64_t)real_file(FD_RDWR), F_ADD_SEALS, flags, 0, 0, 0));
		break;
	case OP_TRUNCATE:
	case OP_PWRITE:
	case OP_PREAD:
	case OP_CLOSE:
	case OP_UNLINK: real_content(op, result); break;
	case OP_KINDS: break;
	}
}

void run_kernel(const struct op *ops, size_t count, struct result *results, const struct result *other)
{
	real_begin();
	for (size_t i = 0; i < count; i++) {
		if (other == NULL || !other[i].left_out)
			run_one(&ops[i], &results[i]);
		real_list(&results[i]);
		results[i].done = true;
	}
	real_end();
}
