/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle/native.c - the third machine: the public calls on handles, over the native engine.
 *
 * A script speaks of addresses; a handle of itself. What an operation names is cut into pieces, each of one handle and
 * without a hole, and each piece is asked of its handle, in the order in which the kernel meets them:
 *
 *	owner   [ 3 3 3 . . 3 3 7 7 . ]      pieces of pages 1 to 8: 3, 3, 7, with a hole after the first
 *
 * What no call of ours says - an unaligned address, writable and executable at once, a move of half a mapping - is left
 * out. Mappings are guarded (QUIRE_GUARD_TRY), so SIGBUS arrives as an error with its address and is reported as the
 * signal it stands for. After each operation what the address space believes is held against /proc/self/maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <quire/quire.h>

#include "api/handle.h"
#include "oracle/real.h"

enum { LEAVE_OUT = 1, NOBODY = -1 };

struct handle {
	struct quire_map *map;
	uint64_t first; /* page of the arena */
	uint64_t end;
};

static struct handle handles[OPS_MAX];
static int handle_count;
static int owner[ARENA_PAGES];

/* ---- whose page is it ---- */

static void own(int who, uint64_t first, uint64_t end)
{
	for (uint64_t page = first; page < end; page++)
		owner[page] = who;
}

static bool occupied(uint64_t first, uint64_t end)
{
	for (uint64_t page = first; page < end; page++)
		if (owner[page] != NOBODY)
			return true;
	return false;
}

static uint64_t run_end(uint64_t page, uint64_t end)
{
	int who = owner[page];

	while (page < end && owner[page] == who)
		page++;
	return page;
}

/* The handle that consists of exactly these pages. */
static struct handle *whole(uint64_t first, uint64_t end)
{
	struct handle *handle = owner[first] == NOBODY ? NULL : &handles[owner[first]];

	if (handle == NULL || handle->first != first || handle->end != end || run_end(first, end) != end)
		return NULL;
	return handle;
}

/* ---- pieces ---- */

struct piece {
	struct quire_map *map;
	uint64_t first; /* pages of the arena */
	uint64_t end;
	size_t offset; /* of the handle */
	size_t length;
};

enum at_hole { STOP_AT_HOLE, SKIP_HOLES, IGNORE_HOLES };

typedef int piece_fn(const struct piece *piece, const struct op *op, void *user);

static int each_piece(
	uint64_t first, uint64_t end, enum at_hole at_hole, const struct op *op, piece_fn *call, void *user)
{
	bool hole = false;
	int r = 0;

	for (uint64_t page = first; r == 0 && page < end;) {
		uint64_t until = run_end(page, end);

		if (owner[page] == NOBODY) {
			if (at_hole == STOP_AT_HOLE)
				return -ENOMEM;
			hole = at_hole == SKIP_HOLES;
		} else {
			const struct handle *handle = &handles[owner[page]];
			struct piece piece = { .map = handle->map, .first = page, .end = until };

			piece.offset = (page - handle->first) * P;
			piece.length = until == handle->end ? QUIRE_TO_END : (until - page) * P;
			r = call(&piece, op, user);
		}
		page = until;
	}
	return r == 0 && hole ? -ENOMEM : r;
}

/* Pages that an operation names; false when they cannot be said to a handle. */
static bool pages_of(const struct op *op, uint64_t *first, uint64_t *end)
{
	*first = op->at / P;
	*end = (op->at + op->length + P - 1) / P;
	return op->at % P == 0 && op->length > 0 && op->length <= ARENA_PAGES * P && *end <= ARENA_PAGES;
}

/* ---- calls on pieces ---- */

static int unmap_piece(const struct piece *piece, const struct op *op, void *user)
{
	struct handle *handle = &handles[owner[piece->first]];
	int r;

	(void)op;
	(void)user;
	own(NOBODY, piece->first, piece->end);
	for (uint64_t page = handle->first; page < handle->end; page++)
		if (owner[page] == handle - handles)
			return quire_map_unmap(piece->map, piece->offset, piece->length);
	r = quire_unmap(handle->map); /* that was the last of it */
	handle->map = NULL;
	return r;
}

static int protect_piece(const struct piece *piece, const struct op *op, void *user)
{
	(void)user;
	return quire_map_protect(piece->map, piece->offset, piece->length,
		op->prot == 0 ? (unsigned int)QUIRE_NO_ACCESS : (unsigned int)op->prot);
}

static int advise_piece(const struct piece *piece, const struct op *op, void *advice)
{
	(void)op;
	return quire_map_advise(piece->map, piece->offset, piece->length, *(const unsigned int *)advice);
}

static int flush_piece(const struct piece *piece, const struct op *op, void *user)
{
	(void)user;
	return quire_map_flush(piece->map, piece->offset, piece->length,
		op->flags == MS_SYNC ? QUIRE_FLUSH_SYNC : QUIRE_FLUSH_ASYNC);
}

static int lock_piece(const struct piece *piece, const struct op *op, void *user)
{
	(void)user;
	return quire_map_lock(piece->map, piece->offset, piece->length,
		op->flags == MLOCK_ONFAULT ? QUIRE_LOCK_ON_FAULT : 0U);
}

static int unlock_piece(const struct piece *piece, const struct op *op, void *user)
{
	(void)op;
	(void)user;
	return quire_map_unlock(piece->map, piece->offset, piece->length);
}

static int residency_piece(const struct piece *piece, const struct op *op, void *vector)
{
	int64_t n = quire_map_residency(piece->map, piece->offset, piece->length,
		(unsigned char *)vector + (piece->first - op->at / P), NULL);

	return n < 0 ? (int)n : 0;
}

/* ---- mapping ---- */

static bool can_be_said(const struct op *op)
{
	const int known = MAP_TYPE | MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE |
		MAP_LOCKED;
	int type = op->flags & MAP_TYPE;
	uint64_t first;
	uint64_t end;

	/* A populated or locked page that cannot be served is an error of ours and not of mmap's. */
	if ((op->flags & MAP_LOCKED) != 0 && ((op->flags & MAP_ANONYMOUS) == 0 || op->prot == 0))
		return false;
	if (!pages_of(op, &first, &end))
		return false;
	/* The kernel brings in what may be written only; we refuse to populate for reading what cannot be read. */
	if ((op->flags & MAP_POPULATE) != 0 && op->prot == PROT_WRITE)
		return false;
	/* What cannot be mapped at all we say first; the kernel looks at the place and the rights before. */
	if (op->fd == FD_PIPE && (op->prot != PROT_READ || occupied(first, end)))
		return false;
	return (op->flags & ~known) == 0 && (type == MAP_SHARED || type == MAP_PRIVATE) &&
		(op->prot & ~7) == 0 && (op->prot & (PROT_WRITE | PROT_EXEC)) != (PROT_WRITE | PROT_EXEC) &&
		op->to % P == 0;
}

static int map_now(const struct op *op, uint32_t placement, struct quire_map **map)
{
	struct quire_map_options options = {
		.size = sizeof(options),
		.protection = op->prot == 0 ? (uint32_t)QUIRE_NO_ACCESS : (uint32_t)op->prot,
		.sharing = (op->flags & MAP_TYPE) == MAP_SHARED ? QUIRE_SHARED : QUIRE_PRIVATE,
		.flags = (op->flags & MAP_LOCKED) != 0 ? QUIRE_LOCKED : 0,
		.length = op->length,
		.placement = placement,
		.address = placement == QUIRE_PLACE_ANYWHERE ? NULL : (void *)(ARENA + op->at),
		.guard = QUIRE_GUARD_TRY,
	};

	if ((op->flags & MAP_ANONYMOUS) != 0)
		return quire_map(NULL, &options, map);
	options.offset = op->to;
	return quire_map_fd(NULL, real_file(op->fd), &options, map);
}

/* MAP_FIXED replaces what is there, which we do for reservations only: room is made first, when it is known that the
 * mapping can be had. */
static int make_room(const struct op *op, uint64_t first, uint64_t end)
{
	struct quire_map *rehearsal;
	int r;

	if (!occupied(first, end))
		return 0;
	r = map_now(op, QUIRE_PLACE_ANYWHERE, &rehearsal);
	if (r == 0)
		r = quire_unmap(rehearsal);
	return r < 0 ? r : each_piece(first, end, IGNORE_HOLES, op, unmap_piece, NULL);
}

/* MAP_POPULATE brings in what can be had and says nothing of the rest. */
static void populate(const struct op *op, struct quire_map *map)
{
	bool copies = (op->prot & PROT_WRITE) != 0 && (op->flags & MAP_TYPE) == MAP_PRIVATE;

	if ((op->flags & MAP_POPULATE) != 0 && op->prot != 0)
		(void)quire_map_advise(
			map, 0, QUIRE_TO_END, copies ? QUIRE_POPULATE_FOR_WRITE : QUIRE_POPULATE);
}

static int place(struct quire_map *map, uint64_t *value)
{
	uint64_t at = (uint64_t)(uintptr_t)quire_map_address(map) - ARENA;

	if (at >= ARENA_PAGES * P) {
		*value = ELSEWHERE;
		return quire_unmap(map);
	}
	handles[handle_count] = (struct handle){ map, at / P, (at + quire_map_length(map) + P - 1) / P };
	own(handle_count, handles[handle_count].first, handles[handle_count].end);
	handle_count++;
	*value = at;
	return 0;
}

static int map_one(const struct op *op, uint64_t *value)
{
	uint32_t placement = QUIRE_PLACE_HINT;
	struct quire_map *map = NULL;
	uint64_t first;
	uint64_t end;
	int r = 0;

	if (!can_be_said(op))
		return LEAVE_OUT;
	(void)pages_of(op, &first, &end);
	if ((op->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0)
		placement = QUIRE_PLACE_EXACT;
	if ((op->flags & MAP_FIXED) != 0)
		r = make_room(op, first, end);
	if (r == 0)
		r = map_now(op, placement, &map);
	if (r < 0)
		return r;
	populate(op, map);
	return place(map, value);
}

static int resize_one(const struct op *op, struct handle *handle, uint64_t *value)
{
	bool shared = handle->map->sharing == QUIRE_SHARED;
	struct quire_map *map = handle->map;
	int r;

	/* Growing a shared file makes the file longer, and shared memory grows in addresses kept for it only. */
	if (op->new_length == 0 || (shared && op->new_length > quire_map_length(map)))
		return LEAVE_OUT;
	r = quire_map_resize(map, op->new_length, (op->flags & MREMAP_MAYMOVE) != 0 ? QUIRE_MAY_MOVE : 0);
	if (r < 0)
		return r;
	own(NOBODY, handle->first, handle->end);
	handle->map = NULL;
	return place(map, value);
}

static int move_one(const struct op *op, struct handle *handle, uint64_t *value)
{
	struct quire_map *map = handle->map;
	uint64_t first = op->to / P;
	uint64_t end = first + (handle->end - handle->first);
	int r;

	if (op->to % P != 0 || op->new_length != op->length || (first < handle->end && handle->first < end))
		return LEAVE_OUT;
	r = each_piece(first, end, IGNORE_HOLES, op, unmap_piece, NULL);
	if (r == 0)
		r = quire_map_move(map, (void *)(ARENA + op->to));
	if (r < 0)
		return r;
	own(NOBODY, handle->first, handle->end);
	handle->map = NULL;
	return place(map, value);
}

static int remap_one(const struct op *op, uint64_t *value)
{
	struct quire_map_stat stat = { .size = sizeof(stat) };
	struct handle *handle;
	uint64_t first;
	uint64_t end;

	if (!pages_of(op, &first, &end))
		return LEAVE_OUT;
	handle = whole(first, end);
	if (handle == NULL || quire_map_stat(handle->map, &stat) < 0 || stat.segments != 1)
		return LEAVE_OUT;
	if (op->flags == (MREMAP_MAYMOVE | MREMAP_FIXED))
		return move_one(op, handle, value);
	if ((op->flags & ~MREMAP_MAYMOVE) == 0)
		return resize_one(op, handle, value);
	return LEAVE_OUT;
}

/* ---- the other calls ---- */

static int protect_one(const struct op *op, uint64_t first, uint64_t end)
{
	if ((op->prot & ~7) != 0 || (op->prot & (PROT_WRITE | PROT_EXEC)) == (PROT_WRITE | PROT_EXEC))
		return LEAVE_OUT;
	return each_piece(first, end, STOP_AT_HOLE, op, protect_piece, NULL);
}

static int advise_one(const struct op *op, uint64_t first, uint64_t end)
{
	static const struct {
		int kernel;
		unsigned int ours;
	} table[] = {
		{ MADV_NORMAL, QUIRE_NORMAL },
		{ MADV_RANDOM, QUIRE_RANDOM },
		{ MADV_SEQUENTIAL, QUIRE_SEQUENTIAL },
		{ MADV_WILLNEED, QUIRE_WILLNEED },
		{ MADV_DONTNEED, QUIRE_DONTNEED },
		{ MADV_FREE, QUIRE_FREE },
		{ MADV_COLD, QUIRE_COLD },
		{ MADV_DONTFORK, QUIRE_DONTFORK },
		{ MADV_DOFORK, QUIRE_DOFORK },
		{ MADV_WIPEONFORK, QUIRE_WIPEONFORK },
		{ MADV_KEEPONFORK, QUIRE_KEEPONFORK },
		{ MADV_DONTDUMP, QUIRE_DONTDUMP },
		{ MADV_DODUMP, QUIRE_DODUMP },
		{ MADV_REMOVE, QUIRE_REMOVE },
		{ 22, QUIRE_POPULATE },
		{ 23, QUIRE_POPULATE_FOR_WRITE },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		unsigned int advice = table[i].ours;
		bool populate = advice == QUIRE_POPULATE || advice == QUIRE_POPULATE_FOR_WRITE;

		if (table[i].kernel == op->flags)
			return each_piece(
				first, end, populate ? STOP_AT_HOLE : SKIP_HOLES, op, advise_piece, &advice);
	}
	return LEAVE_OUT;
}

/* Over several pieces the kernel marks all before it brings any in. */
static int lock_one(const struct op *op, uint64_t first, uint64_t end)
{
	if (owner[first] == NOBODY || run_end(first, end) != end)
		return LEAVE_OUT;
	return each_piece(first, end, STOP_AT_HOLE, op, lock_piece, NULL);
}

static int residency_one(const struct op *op, uint64_t first, uint64_t end, uint64_t *hash)
{
	unsigned char vector[VECTOR_MAX] = { 0 };
	int r;

	if (op->value == 1)
		return LEAVE_OUT; /* a vector that cannot be written */
	r = each_piece(first, end, STOP_AT_HOLE, op, residency_piece, vector);
	for (size_t i = 0; i < sizeof(vector); i++)
		vector[i] &= 1;
	*hash = r == 0 ? hash_bytes(vector, sizeof(vector)) : 0;
	return r;
}

static int seal_one(const struct op *op)
{
	static const struct {
		int kernel;
		unsigned int ours;
	} table[] = {
		{ F_SEAL_SEAL, QUIRE_SEAL_SEAL },
		{ F_SEAL_SHRINK, QUIRE_SEAL_SHRINK },
		{ F_SEAL_GROW, QUIRE_SEAL_GROW },
		{ F_SEAL_WRITE, QUIRE_SEAL_WRITE },
		{ F_SEAL_FUTURE_WRITE, QUIRE_SEAL_FUTURE_WRITE },
	};
	unsigned int seals = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		seals |= (op->flags & table[i].kernel) != 0 ? table[i].ours : 0;
	for (int i = 0; i < handle_count; i++)
		if (handles[i].map != NULL && handles[i].map->file != NULL)
			return quire_map_seal(handles[i].map, seals);
	return LEAVE_OUT;
}

static int range_one(const struct op *op, struct result *result)
{
	uint64_t first;
	uint64_t end;

	if (!pages_of(op, &first, &end))
		return LEAVE_OUT;
	if (op->kind == OP_MUNMAP)
		return each_piece(first, end, IGNORE_HOLES, op, unmap_piece, NULL);
	if (op->kind == OP_MPROTECT)
		return protect_one(op, first, end);
	if (op->kind == OP_MADVISE)
		return advise_one(op, first, end);
	if (op->kind == OP_MLOCK)
		return lock_one(op, first, end);
	if (op->kind == OP_MUNLOCK)
		return each_piece(first, end, STOP_AT_HOLE, op, unlock_piece, NULL);
	if (op->kind == OP_MINCORE)
		return residency_one(op, first, end, &result->hash);
	if (op->flags != MS_SYNC && op->flags != MS_ASYNC)
		return LEAVE_OUT;
	return each_piece(first, end, SKIP_HOLES, op, flush_piece, NULL);
}

/* ---- loads and stores ---- */

/* A page that cannot be served is an error of the handle, with its address; said as the signal it stands for. The error is
 * sticky, and nothing stands in for the page, so repair has nothing to do but to forget it. */
static void guarded_access(uint64_t at, bool store, uint64_t value, struct access_result *out)
{
	int who = owner[at / P];

	QUIRE_TRY(error)
	{
		real_access(at, store, value, out);
	}
	QUIRE_CATCH(error)
	{
		struct quire_fault fault = { .size = sizeof(fault) };

		*out = (struct access_result){ .signal = SIGBUS, .code = BUS_ADRERR };
		if (who == NOBODY || quire_map_error(handles[who].map, &fault) != error ||
			(fault.write != 0) != store || quire_map_repair(handles[who].map) != 0)
			out->code = -1; /* the handle does not know of it, or of something else */
		out->address = (uint64_t)(uintptr_t)fault.address - ARENA;
	}
}

/* ---- what the address space believes ---- */

static bool believed(const struct result *seen)
{
	static struct result thought;
	uint64_t ids[SEGS_MAX];
	struct quire *quire = NULL;
	struct seg seg;

	if (quire_get(&quire) < 0)
		return false;
	thought.seg_count = 0;
	for (uintptr_t va = ARENA; as_find(&quire->as, va, &seg) && seg.range.start < ARENA + ARENA_PAGES * P;
		va = seg.range.end) {
		struct seg_entry *entry = &thought.segs[thought.seg_count];
		uint64_t inode = seg.object == NULL ? 0 : real_inode(seg.range.window->fd);

		entry->start = (seg.range.start - ARENA) / P;
		entry->end = (seg.range.end - ARENA) / P;
		entry->prot = seg.range.prot;
		entry->shared = (seg.range.flags & PMAP_SHARED) != 0;
		entry->kind = real_is_the_file(inode)          ? SEG_FILE
			: seg.object == NULL && !entry->shared ? SEG_ANON
							       : SEG_SHARED_0;
		entry->offset = entry->kind == SEG_ANON ? 0 : seg.range.offset / P;
		ids[thought.seg_count++] = inode != 0 || !entry->shared
			? inode
			: (uint64_t)(uintptr_t)seg.range.owner;
	}
	normalise(&thought, ids);
	return equal_segments(&thought, seen);
}

static void run_one(const struct op *op, struct result *result)
{
	int r = 0;

	switch (op->kind) {
	case OP_MMAP: r = map_one(op, &result->value); break;
	case OP_MREMAP: r = remap_one(op, &result->value); break;
	case OP_LOAD: guarded_access(op->at, false, 0, &result->access); break;
	case OP_STORE: guarded_access(op->at, true, op->value, &result->access); break;
	case OP_FORK: real_fork(op, result, guarded_access); break;
	case OP_SEAL: r = seal_one(op); break;
	case OP_TRUNCATE:
	case OP_PWRITE:
	case OP_PREAD:
	case OP_CLOSE:
	case OP_UNLINK: real_content(op, result); return;
	case OP_MUNMAP:
	case OP_MPROTECT:
	case OP_MADVISE:
	case OP_MSYNC:
	case OP_MINCORE:
	case OP_MLOCK:
	case OP_MUNLOCK: r = range_one(op, result); break;
	case OP_KINDS: break;
	}
	result->left_out = r == LEAVE_OUT;
	result->error = r < 0 ? -r : 0;
}

void run_native(const struct op *ops, size_t count, struct result *results)
{
	real_begin();
	own(NOBODY, 0, ARENA_PAGES);
	for (size_t i = 0; i < count; i++) {
		run_one(&ops[i], &results[i]);
		real_list(&results[i]);
		results[i].done = believed(&results[i]);
		if (!results[i].done)
			(void)printf("# the address space believes otherwise than /proc/self/maps says\n");
	}
	real_end();
}
