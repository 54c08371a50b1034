/* SPDX-License-Identifier: Apache-2.0 */
/* oracle/script.c - making scripts, printing them, and making a failing one small. */
#include "oracle/oracle.h"

#include <linux/mman.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* ---- random ---- */

struct random {
	uint64_t state;
};

/* splitmix64: every seed gives an independent sequence. */
static uint64_t next(struct random *random)
{
	uint64_t z = (random->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t below(struct random *random, uint64_t n)
{
	return next(random) % n;
}

static bool once_in(struct random *random, uint64_t n)
{
	return below(random, n) == 0;
}

void child_plan(const struct op *op, struct child_access accesses[CHILD_ACCESSES])
{
	struct random random = { op->value };

	for (size_t i = 0; i < CHILD_ACCESSES; i++)
		accesses[i] = (struct child_access){
			.at = below(&random, ARENA_PAGES) * P + below(&random, 511) * 8,
			.value = next(&random),
			.store = once_in(&random, 2),
		};
}

/* ---- making ---- */

static uint64_t page_at(struct random *random)
{
	uint64_t at = below(random, ARENA_PAGES) * P;

	return once_in(random, 60) ? at + below(random, P) : at;
}

/* Short pieces, mostly; the arena is never left, as what lies beyond is not ours. */
static uint64_t length_from(struct random *random, uint64_t at)
{
	uint64_t room = ARENA_PAGES - (at + P - 1) / P;
	uint64_t pages = once_in(random, 40) ? 0 : 1 + below(random, once_in(random, 4) ? 24 : 6);
	uint64_t length;

	pages = pages > room ? room : pages;
	length = pages * P;
	if (length > 0 && once_in(random, 12))
		length -= below(random, P - 1) + 1;
	return length;
}

static void make_mmap(struct random *random, struct op *op, enum machine_mode mode)
{
	static const int places[] = { MAP_FIXED, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE, 0 };
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
		PROT_READ, PROT_NONE, PROT_WRITE, PROT_WRITE | PROT_EXEC, PROT_READ | PROT_EXEC };
	static const enum which_file fds[] = { FD_RDWR, FD_RDWR, FD_RDWR, FD_RDWR, FD_RDONLY, FD_RDONLY,
		FD_WRONLY };

	op->prot = prots[below(random, 8)];
	op->flags = places[below(random, 5)] | (once_in(random, 2) ? MAP_SHARED : MAP_PRIVATE);
	if (once_in(random, 30))
		op->flags = (op->flags & ~MAP_TYPE) | (int)below(random, 4);
	if (once_in(random, 8) && mode != MODE_HOSTILE)
		op->flags |= MAP_POPULATE;
	if (once_in(random, 20) && mode == MODE_PLAIN)
		op->flags |= MAP_LOCKED;
	if (once_in(random, 3)) {
		op->flags |= MAP_ANONYMOUS;
		op->fd = FD_NONE;
	} else {
		op->fd = once_in(random, 50) ? (once_in(random, 2) ? FD_CLOSED : FD_PIPE)
					     : fds[below(random, 7)];
		op->to = below(random, FILE_PAGES + 4) * P + (once_in(random, 60) ? 512 : 0);
	}
}

static void make_mremap(struct random *random, struct op *op)
{
	op->flags = once_in(random, 3) ? 0 : MREMAP_MAYMOVE;
	if (once_in(random, 3))
		op->flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	if (once_in(random, 12))
		op->flags |= 4; /* MREMAP_DONTUNMAP */
	if (once_in(random, 60))
		op->flags |= 8;
	if (once_in(random, 40))
		op->length = 0;
	op->to = page_at(random);
	op->new_length = once_in(random, 2) ? op->length : length_from(random, op->to);
	/* Growth in place must not leave the arena, and neither may a fixed place. */
	if (op->at + op->new_length > ARENA_PAGES * P || op->to + op->new_length > ARENA_PAGES * P)
		op->new_length = op->length;
	if (op->to + op->new_length > ARENA_PAGES * P)
		op->to = 0;
}

static void make_advice(struct random *random, struct op *op, enum machine_mode mode)
{
	static const int advices[] = { MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_REMOVE,
		MADV_WILLNEED, MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTFORK, MADV_DOFORK,
		MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_DONTDUMP, MADV_DODUMP, MADV_COLD,
		22 /* POPULATE_READ */, 23 /* POPULATE_WRITE */, 999 };

	do
		op->flags = advices[below(random, sizeof(advices) / sizeof(advices[0]))];
	while (mode == MODE_HOSTILE && (op->flags == 22 || op->flags == 23));
}

static void make_op(struct random *random, struct op *op, enum machine_mode mode)
{
	static const enum op_kind kinds[] = { OP_MMAP, OP_MMAP, OP_MMAP, OP_MMAP, OP_MUNMAP, OP_MUNMAP,
		OP_MPROTECT, OP_MPROTECT, OP_MREMAP, OP_MREMAP, OP_MADVISE, OP_MADVISE, OP_MSYNC, OP_MINCORE,
		OP_MLOCK, OP_MUNLOCK, OP_LOAD, OP_LOAD, OP_LOAD, OP_LOAD, OP_LOAD, OP_LOAD, OP_STORE,
		OP_STORE, OP_STORE, OP_STORE, OP_STORE, OP_STORE, OP_TRUNCATE, OP_PWRITE, OP_PWRITE, OP_PREAD,
		OP_PREAD, OP_FORK };
	static const int syncs[] = { MS_SYNC, MS_SYNC, MS_ASYNC, 0, MS_INVALIDATE, MS_SYNC | MS_ASYNC, 64 };

	*op = (struct op){ .kind = kinds[below(random, sizeof(kinds) / sizeof(kinds[0]))] };
	if ((op->kind == OP_MLOCK || op->kind == OP_MUNLOCK) && mode != MODE_PLAIN && mode != MODE_NATIVE)
		op->kind = OP_LOAD;
	if (op->kind == OP_FORK && mode == MODE_PAGED)
		op->kind = OP_STORE;
	op->at = page_at(random);
	op->length = length_from(random, op->at);
	op->value = next(random);
	switch (op->kind) {
	case OP_MMAP: make_mmap(random, op, mode); break;
	case OP_MPROTECT:
		op->prot = once_in(random, 40) ? 64 : (int)below(random, 8);
		if (op->prot == PROT_EXEC) /* differs by CPU: docs/differences.md, execute-only */
			op->prot = PROT_READ;
		break;
	case OP_MREMAP: make_mremap(random, op); break;
	case OP_MADVISE: make_advice(random, op, mode); break;
	case OP_MSYNC: op->flags = syncs[below(random, 7)]; break;
	case OP_MINCORE: op->value = once_in(random, 40); break;
	case OP_MLOCK: op->flags = once_in(random, 3) ? MLOCK_ONFAULT : 0; break;
	case OP_LOAD:
	case OP_STORE: op->at = op->at / P * P + below(random, 511) * 8; break;
	case OP_TRUNCATE:
		op->length = once_in(random, 2) ? below(random, FILE_PAGES + 1) * P
						: below(random, FILE_PAGES * P);
		break;
	case OP_PWRITE:
	case OP_PREAD:
		op->at = below(random, (FILE_PAGES - 1) * P);
		op->length = 1 + below(random, once_in(random, 3) ? 3 * P : 600);
		if (op->at + op->length > FILE_PAGES * P)
			op->length = FILE_PAGES * P - op->at;
		break;
	case OP_MUNMAP:
	case OP_MUNLOCK:
	case OP_FORK:
	case OP_SEAL:
	case OP_CLOSE:
	case OP_UNLINK:
	case OP_KINDS: break;
	}
}

/* A handle is grown, cut or moved as a whole, so most of these name a mapping that the script has made before. */
static void aim(struct random *random, struct script *script, size_t i)
{
	struct op *op = &script->ops[i];
	size_t back = i > 0 ? i - 1 - below(random, i < 24 ? i : 24) : 0;

	if (op->kind != OP_MREMAP || i == 0 || script->ops[back].kind != OP_MMAP || once_in(random, 8))
		return;
	op->at = script->ops[back].at;
	op->length = script->ops[back].length;
	if (once_in(random, 2))
		op->new_length = op->length;
	if (op->at + op->new_length > ARENA_PAGES * P || op->to + op->new_length > ARENA_PAGES * P)
		op->new_length = op->length;
	if (op->to + op->new_length > ARENA_PAGES * P)
		op->to = 0;
}

void generate(struct script *script, uint64_t seed, size_t count, enum machine_mode mode)
{
	struct random random = { seed };

	script->count = count;
	for (size_t i = 0; i < count; i++) {
		make_op(&random, &script->ops[i], mode);
		if (mode == MODE_NATIVE)
			aim(&random, script, i);
	}
	/* The last words of a script: every page is looked at. */
	for (size_t i = 0; i < ARENA_PAGES && i < count / 2; i++)
		script->ops[count - 1 - i] = (struct op){ .kind = OP_LOAD,
			.at = i * P + below(&random, 511) * 8 };
}

/* ---- printing ---- */

static const char *const names[OP_KINDS] = { "mmap", "munmap", "mprotect", "mremap", "madvise", "msync",
	"mincore", "mlock", "munlock", "load", "store", "truncate", "pwrite", "pread", "fork", "seal",
	"close", "unlink" };

static const char *const fd_names[] = { "-1", "rdwr", "rdonly", "wronly", "closed", "pipe", "named" };

static void print_at(uint64_t at)
{
	if (at / P < 1000000 && at % P == 0)
		(void)printf("page %llu", (unsigned long long)(at / P));
	else if (at / P < 1000000)
		(void)printf("page %llu+%llu", (unsigned long long)(at / P), (unsigned long long)(at % P));
	else
		(void)printf("0x%llx", (unsigned long long)(ARENA + at));
}

static void print_length(uint64_t length)
{
	if (length % P == 0)
		(void)printf(", %llu pages", (unsigned long long)(length / P));
	else
		(void)printf(", %llu bytes", (unsigned long long)length);
}

void print_op(const struct op *op)
{
	(void)printf("%s(", names[op->kind]);
	print_at(op->at);
	print_length(op->length);
	if (op->kind == OP_MMAP)
		(void)printf(", prot %u, flags 0x%x, fd %s, file page %llu", (unsigned int)op->prot,
			(unsigned int)op->flags, fd_names[op->fd], (unsigned long long)(op->to / P));
	else if (op->kind == OP_MREMAP) {
		print_length(op->new_length);
		(void)printf(", flags %d, ", op->flags);
		print_at(op->to);
	} else if (op->kind == OP_MPROTECT)
		(void)printf(", prot %d", op->prot);
	else
		(void)printf(", %d, value 0x%llx", op->flags, (unsigned long long)op->value);
	(void)printf(")");
}

static void print_access(const struct access_result *access)
{
	if (access->signal != 0)
		(void)printf(" signal %d code %d at %llu+%llu", access->signal, access->code,
			(unsigned long long)(access->address / P), (unsigned long long)(access->address % P));
	else
		(void)printf(" value 0x%llx", (unsigned long long)access->value);
}

void print_result(const struct op *op, const struct result *result)
{
	if (!result->done) {
		(void)printf(" died\n");
		return;
	}
	if (op->kind == OP_LOAD || op->kind == OP_STORE)
		print_access(&result->access);
	else
		(void)printf(" errno %d value 0x%llx hash %llx", result->error,
			(unsigned long long)result->value, (unsigned long long)result->hash);
	for (size_t i = 0; op->kind == OP_FORK && i < CHILD_ACCESSES; i++)
		print_access(&result->child[i]);
	(void)printf("\n#       ");
	for (unsigned int i = 0; i < result->seg_count; i++)
		(void)printf(" [%llu-%llu %c%c%c%c kind %d from %llu]",
			(unsigned long long)result->segs[i].start, (unsigned long long)result->segs[i].end,
			(result->segs[i].prot & 1) != 0 ? 'r' : '-',
			(result->segs[i].prot & 2) != 0 ? 'w' : '-',
			(result->segs[i].prot & 4) != 0 ? 'x' : '-', result->segs[i].shared ? 's' : 'p',
			result->segs[i].kind, (unsigned long long)result->segs[i].offset);
	(void)printf("\n");
}

/* ---- making small ---- */

static bool fails(const struct script *script, enum machine_mode mode)
{
	uint64_t named[NAMED_COUNT] = { 0 };

	return compare(script->ops, script->count, mode, named) < script->count;
}

static bool without(struct script *script, size_t first, size_t count, enum machine_mode mode)
{
	struct script less = { .count = script->count - count };

	memcpy(less.ops, script->ops, first * sizeof(struct op));
	memcpy(less.ops + first, script->ops + first + count,
		(script->count - first - count) * sizeof(struct op));
	if (!fails(&less, mode))
		return false;
	*script = less;
	return true;
}

/* Simpler arguments that fail as well. */
static void simplify(struct script *script, size_t i, enum machine_mode mode)
{
	struct op *op = &script->ops[i];
	const struct op before = *op;

	if (op->length > P) {
		op->length = P;
		if (!fails(script, mode))
			*op = before;
	}
	if (op->kind == OP_MMAP && (op->flags & (MAP_POPULATE | MAP_LOCKED)) != 0) {
		const struct op now = *op;

		op->flags &= ~(MAP_POPULATE | MAP_LOCKED);
		if (!fails(script, mode))
			*op = now;
	}
}

void shrink(struct script *script, enum machine_mode mode)
{
	uint64_t named[NAMED_COUNT] = { 0 };
	size_t bad = compare(script->ops, script->count, mode, named);

	if (bad < script->count)
		script->count = bad + 1; /* what comes after cannot matter */
	for (size_t piece = script->count / 2; piece > 0; piece = piece > 1 ? piece / 2 : 0) {
		for (size_t first = 0; first + piece <= script->count;) {
			if (!without(script, first, piece, mode))
				first += piece;
		}
	}
	for (size_t i = 0; i < script->count; i++)
		simplify(script, i, mode);
}
