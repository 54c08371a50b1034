/* SPDX-License-Identifier: Apache-2.0 */
/* oracle/compare.c - running a script on two machines in children of their own, and finding the first difference. */
#include "oracle/oracle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const difference_names[NAMED_COUNT] = { "same", "different", "anon-neighbours",
	"unlocked-neighbours", "move-many" };

/* A script takes some milliseconds; under a sanitizer and load, hundreds. */
enum { PATIENCE_S = 60 };

bool machine_died;
size_t left_out_count;

static struct result *shared; /* of the kernel, then of the other */

static struct result *results_of(int machine)
{
	if (shared == NULL) {
		shared = mmap(NULL, 2 * OPS_MAX * sizeof(struct result), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED)
			abort();
	}
	return shared + (size_t)machine * OPS_MAX;
}

const struct result *kernel_result(size_t i)
{
	return &results_of(0)[i];
}

const struct result *other_result(size_t i)
{
	return &results_of(1)[i];
}

uint64_t hash_bytes(const void *bytes, size_t length)
{
	const unsigned char *at = bytes;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < length; i++)
		h = (h ^ at[i]) * 0x100000001b3u;
	return h;
}

static bool one(const struct seg_entry *a, uint64_t a_id, const struct seg_entry *b, uint64_t b_id)
{
	return a->end == b->start && a->prot == b->prot && a->kind == b->kind && a->shared == b->shared &&
		a_id == b_id && (a->kind == SEG_ANON || a->offset + (a->end - a->start) == b->offset);
}

void normalise(struct result *result, const uint64_t *ids)
{
	uint64_t known[SEGS_MAX];
	uint64_t joined[SEGS_MAX];
	unsigned int known_count = 0;
	unsigned int n = 0;

	for (unsigned int i = 0; i < result->seg_count; i++) {
		struct seg_entry seg = result->segs[i];

		if (n > 0 && one(&result->segs[n - 1], joined[n - 1], &seg, ids[i])) {
			result->segs[n - 1].end = seg.end;
			continue;
		}
		joined[n] = ids[i];
		result->segs[n++] = seg;
	}
	result->seg_count = n;
	for (unsigned int i = 0; i < n; i++) {
		unsigned int k = 0;

		if (result->segs[i].kind != SEG_SHARED_0)
			continue;
		while (k < known_count && known[k] != joined[i])
			k++;
		if (k == known_count)
			known[known_count++] = joined[i];
		result->segs[i].kind = SEG_SHARED_0 + (int)k;
	}
}

static bool equal_access(const struct access_result *a, const struct access_result *b)
{
	return a->signal == b->signal && a->code == b->code && a->address == b->address &&
		a->value == b->value;
}

bool equal_segments(const struct result *a, const struct result *b)
{
	if (a->seg_count != b->seg_count)
		return false;
	for (unsigned int i = 0; i < a->seg_count; i++) {
		const struct seg_entry *x = &a->segs[i];
		const struct seg_entry *y = &b->segs[i];

		if (x->start != y->start || x->end != y->end || x->offset != y->offset ||
			x->prot != y->prot || x->kind != y->kind || x->shared != y->shared)
			return false;
	}
	return true;
}

static bool equal(const struct op *op, const struct result *a, const struct result *b, enum machine_mode mode)
{
	bool residency = op->kind == OP_MINCORE &&
		(mode == MODE_HOSTILE || mode == MODE_BACKED || mode == MODE_PAGED);

	if (!a->done || !b->done || a->error != b->error || a->value != b->value ||
		!equal_access(&a->access, &b->access))
		return false;
	for (size_t i = 0; i < CHILD_ACCESSES; i++)
		if (!equal_access(&a->child[i], &b->child[i]))
			return false;
	return (residency || a->hash == b->hash) && equal_segments(a, b);
}

/* Before 6.17 a move took one mapping only. */
static bool moves_one_only(void)
{
	struct utsname name;
	unsigned long major;
	char *rest;

	if (uname(&name) != 0)
		return false;
	major = strtoul(name.release, &rest, 10);
	return major < 6 || (major == 6 && strtoul(rest + 1, NULL, 10) < 17);
}

static bool stands_in(const struct seg_entry *seg, uint64_t at)
{
	return seg->start * P <= at && at < seg->end * P;
}

/* Where an operation begins, after neighbours were joined. NULL: in a hole */
static const struct seg_entry *segment_of(const struct op *op, const struct result *before)
{
	for (unsigned int i = 0; i < before->seg_count; i++)
		if (stands_in(&before->segs[i], op->at))
			return &before->segs[i];
	return NULL;
}

/* Was something moved out of it earlier that left its place behind? */
static bool left_behind_in(const struct seg_entry *seg, const struct op *ops, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ops[i].kind == OP_MREMAP && (ops[i].flags & MREMAP_DONTUNMAP) != 0 &&
			kernel_result(i)->error == 0 && stands_in(seg, ops[i].at))
			return true;
	return false;
}

/* An mremap over two VMAs of the kernel that are one for us: why are they two? */
static enum named_difference across_neighbours(const struct op *ops, size_t i)
{
	const struct seg_entry *seg = segment_of(&ops[i], kernel_result(i - 1));

	if (seg == NULL)
		return REAL_DIFFERENCE;
	/* Private memory whose pages have moved keeps the page numbers of its old place. */
	if (seg->kind == SEG_ANON)
		return ANON_NEIGHBOURS;
	/* What lost its lock to a move is not joined with a neighbour that had none. */
	return left_behind_in(seg, ops, i) ? UNLOCKED_NEIGHBOURS : REAL_DIFFERENCE;
}

static enum named_difference judge(const struct op *ops, size_t i, enum machine_mode mode)
{
	const struct result *a = kernel_result(i);
	const struct result *b = other_result(i);

	if (equal(&ops[i], a, b, mode))
		return SAME;
	if (ops[i].kind == OP_MREMAP && a->done && b->done && a->error == EFAULT && b->error == 0 &&
		(ops[i].flags & MREMAP_FIXED) != 0 && moves_one_only())
		return MOVE_MANY;
	if (ops[i].kind == OP_MREMAP && i > 0 && a->done && b->done && a->error == EFAULT &&
		b->error != EFAULT)
		return across_neighbours(ops, i);
	return REAL_DIFFERENCE;
}

static void run_child(const struct op *ops, size_t count, int machine, enum machine_mode mode)
{
	struct result *results = results_of(machine);
	pid_t pid;
	int status;

	memset(results, 0, count * sizeof(struct result));
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)alarm(PATIENCE_S); /* an endless loop is a difference like any other */
		if (machine == 0)
			run_kernel(ops, count, results, mode == MODE_NATIVE ? results_of(1) : NULL);
		else if (mode == MODE_NATIVE)
			run_native(ops, count, results);
		else
			run_ours(ops, count, results, mode);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	machine_died = machine_died || status != 0;
	if (status != 0)
		(void)printf("# machine %d ended with status 0x%x\n", machine, (unsigned int)status);
}

size_t compare(const struct op *ops, size_t count, enum machine_mode mode, uint64_t *named)
{
	machine_died = false;
	left_out_count = 0;
	run_child(ops, count, 1, mode);
	run_child(ops, count, 0, mode);
	for (size_t i = 0; i < count; i++)
		left_out_count += other_result(i)->left_out;
	for (size_t i = 0; i < count; i++) {
		enum named_difference what = judge(ops, i, mode);

		named[what]++;
		if (what == REAL_DIFFERENCE)
			return i;
		if (what != SAME)
			return count; /* from here on the two have different histories */
	}
	return count;
}
