/* SPDX-License-Identifier: Apache-2.0 */
#include "support/run.h"

#include "oracle/oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "front/front.h"
#include "oracle/real.h"
#include "pmap/uffd.h"
#include "vm/check.h"
#include "vm/world.h"

/* Addresses above the arena, for what is placed elsewhere. */
enum { ROOM_PAGES = 512, FRAMES = 1024, FRAMES_SMALL = 24, FRAMES_HOSTILE = 8 };

static struct world world;
static struct front front;
static struct object memory_file;
static struct source backed_file;
static struct object *file;
static struct uffd *uffd; /* NULL: the fake engine */

static struct front_file files[FD_COUNT];
static bool closed[FD_COUNT];

/* ---- objects that are memory ---- */

static void memory_close(struct object *object)
{
	if (object != &memory_file)
		free(object);
}

static const struct object_ops memory_ops = { .close = memory_close };

static struct object *shared_memory(void *user, uint64_t bytes)
{
	struct object *object = malloc(sizeof(*object));

	(void)user;
	if (object == NULL)
		return NULL;
	object_init(object, &memory_ops, CAN_READ | CAN_WRITE | CAN_MAP | CAN_SIGNAL);
	object->bytes = bytes;
	return object;
}

/* ---- no mapping call, from here on ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static void forbid_mapping_calls(void)
{
#ifndef SANITIZED /* their allocators map memory themselves */
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]) };

	program.filter = (struct sock_filter *)(uintptr_t)code;
	(void)mallopt(M_MMAP_MAX, 0);
	(void)mallopt(M_ARENA_MAX, 1);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		(void)fprintf(stderr, "oracle: seccomp: %s\n", strerror(errno));
		_exit(3);
	}
#endif
}

/* ---- begin ---- */

static struct pmap *open_engine(enum machine_mode mode, uint32_t frames)
{
	const struct uffd_options options = { .frames = frames, .inline_faults = true, .user_only = true };

	if (mode == MODE_PAGED) {
		assert_int_equal(uffd_open(&options, as_up, &world.as, &uffd), 0);
		return uffd_pmap(uffd);
	}
	assert_int_equal(fake_memory_init(&world.memory, frames), 0);
	assert_int_equal(fake_init(&world.fake, &world.memory, ARENA, ARENA_PAGES + ROOM_PAGES,
				 PMAP_CAN_HARVEST, as_up, &world.as),
		0);
	world.fake.broken_copy = mode == MODE_BROKEN;
	return &world.fake.pmap;
}

/* Contents are read and written through memory that the engine keeps from an object's first mapping on. */
static void map_untouched(void)
{
	const struct map_request request = {
		.how = PMAP_ANYWHERE,
		.range = { .end = FILE_PAGES * P, .flags = PMAP_SHARED, .prot = PMAP_READ },
		.object = file,
	};
	uintptr_t start;

	assert_int_equal(as_map(&world.as, &request, &start), 0);
}

static void begin_world(enum machine_mode mode)
{
	bool small = mode == MODE_HOSTILE || mode == MODE_BACKED || mode == MODE_PAGED;
	uint32_t frames = mode == MODE_HOSTILE ? FRAMES_HOSTILE : small ? FRAMES_SMALL : FRAMES;
	struct pool_config pool = {
		.pmap = open_engine(mode, frames),
		.bytes = frames * P,
		.hostile = mode == MODE_HOSTILE,
	};

	source_init(&world.swap, SOURCE_PAGES_MAX * P);
	if (small) {
		pool.swap = &world.swap.object;
		pool.swap_pages = SOURCE_PAGES_MAX;
	}
	assert_int_equal(pool_init(&world.pool, &pool), 0);
	assert_int_equal(as_init(&world.as, pool.pmap), 0);
	assert_int_equal(as_use_pool(&world.as, &world.pool), 0);
	world.as.low = ARENA + (ARENA_PAGES + 1) * P; /* elsewhere is above the arena */
	world.as.high = ARENA + (ARENA_PAGES + ROOM_PAGES) * P;
	front = (struct front){
		.as = &world.as,
		.task_bytes = ((uintptr_t)1 << 47) - P,
		.maps_max = 65530,
		.lock_bytes_max = UINT64_MAX,
		.shared_memory = shared_memory,
	};
	if (small) {
		source_init(&backed_file, 0);
		backed_file.object.bytes = FILE_PAGES * P;
		file = &backed_file.object;
	} else {
		object_init(&memory_file, &memory_ops, CAN_READ | CAN_WRITE | CAN_MAP | CAN_SIGNAL);
		memory_file.bytes = FILE_PAGES * P;
		file = &memory_file;
	}
	assert_int_equal(object_join(file, &world.pool), 0);
	if (mode == MODE_PAGED)
		map_untouched();
	files[FD_RDWR] = (struct front_file){ .object = file, .readable = true, .writable = true };
	files[FD_RDONLY] = (struct front_file){ .object = file, .readable = true };
	files[FD_WRONLY] = (struct front_file){ .object = file, .writable = true };
	files[FD_PIPE] = (struct front_file){ .readable = true, .no_exec = true };
}

static void list_segments(struct result *result)
{
	uint64_t ids[SEGS_MAX];
	struct seg seg;

	result->seg_count = 0;
	for (uintptr_t va = ARENA; as_find(&world.as, va, &seg) && seg.range.start < ARENA + ARENA_PAGES * P;
		va = seg.range.end) {
		struct seg_entry *entry = &result->segs[result->seg_count];

		assert_true(result->seg_count < SEGS_MAX);
		entry->start = (seg.range.start - ARENA) / P;
		entry->end = (seg.range.end - ARENA) / P;
		entry->prot = seg.range.prot;
		entry->shared = (seg.range.flags & PMAP_SHARED) != 0;
		entry->kind = seg.object == NULL ? SEG_ANON : seg.object == file ? SEG_FILE : SEG_SHARED_0;
		entry->offset = seg.object == NULL ? 0 : seg.range.offset / P;
		ids[result->seg_count++] = (uint64_t)(uintptr_t)seg.object;
	}
	normalise(result, ids);
}

/* ---- operations ---- */

static void access_one(struct fake *fake, uint64_t at, bool store, uint64_t value, struct access_result *out)
{
	uintptr_t where = 0;
	int r;

	if (uffd != NULL) {
		real_access(at, store, value, out);
		return;
	}
	*out = (struct access_result){ .signal = 0 };
	if (store)
		r = fake_store(fake, ARENA + at, &value, sizeof(value), &where);
	else
		r = fake_load(fake, ARENA + at, &out->value, sizeof(out->value), &where);
	if (r == 0)
		return;
	out->value = 0;
	out->address = where - ARENA;
	out->signal = r == -EFAULT || r == -EACCES ? SIGSEGV : SIGBUS;
	out->code = r == -EFAULT ? SEGV_MAPERR : SEGV_ACCERR;
	_Static_assert((int)SEGV_ACCERR == (int)BUS_ADRERR, "one number for both");
}

static void fork_one(const struct op *op, struct result *result)
{
	struct child_access accesses[CHILD_ACCESSES];
	static struct fake fake;
	static struct as child;

	child_plan(op, accesses);
	assert_int_equal(fake_init(&fake, &world.memory, ARENA, ARENA_PAGES + ROOM_PAGES, PMAP_CAN_HARVEST,
				 as_up, &child),
		0);
	fake.broken_copy = world.fake.broken_copy;
	assert_int_equal(as_init(&child, &fake.pmap), 0);
	assert_int_equal(as_use_pool(&child, &world.pool), 0);
	child.low = world.as.low;
	child.high = world.as.high;
	assert_int_equal(front_fork(&world.as, &child), 0);
	for (size_t i = 0; i < CHILD_ACCESSES; i++)
		access_one(&fake, accesses[i].at, accesses[i].store, accesses[i].value, &result->child[i]);
	as_check(&child);
	as_done(&child);
	fake_done(&fake);
}

static void place(struct result *result, int r, uintptr_t address, uint64_t length)
{
	result->error = -r;
	if (r < 0)
		return;
	result->value = address - ARENA;
	if (result->value < ARENA_PAGES * P)
		return;
	result->value = ELSEWHERE;
	assert_int_equal(front_munmap(&front, address, length), 0);
}

static void plain(struct result *result, int64_t r)
{
	result->error = r < 0 ? (int)-r : 0;
	result->value = r < 0 ? 0 : (uint64_t)r;
}

static void content(const struct op *op, struct result *result)
{
	static unsigned char bytes[64 * 4096];
	int64_t r;

	if (op->kind == OP_TRUNCATE) {
		plain(result, op->length > INT64_MAX ? -EINVAL : front_truncate(file, op->length));
	} else if (op->kind == OP_PWRITE) {
		memset(bytes, (int)op->value, op->length);
		plain(result, front_pwrite(file, op->at, bytes, op->length));
	} else {
		r = front_pread(file, op->at, bytes, op->length);
		plain(result, r);
		result->hash = r > 0 ? hash_bytes(bytes, (size_t)r) : 0;
	}
}

/* A descriptor that is open; NULL: none. */
static const struct front_file *file_of(enum which_file which)
{
	return which == FD_NONE || which == FD_CLOSED || closed[which] ? NULL : &files[which];
}

/* What the seals of a file mean to its descriptors. */
static void seal(const struct op *op)
{
	bool sealed = (op->flags & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;

	files[FD_RDWR].sealed = files[FD_RDONLY].sealed = files[FD_WRONLY].sealed = sealed;
}

static void close_file(const struct op *op)
{
	closed[op->fd] = true;
	object_unref(file); /* what is mapped has references of its own */
}

static void run_one(const struct op *op, struct result *result)
{
	static unsigned char vector[VECTOR_MAX];
	uintptr_t at = ARENA + op->at;
	uintptr_t got = 0;
	int r;

	switch (op->kind) {
	case OP_MMAP:
		r = front_mmap(&front, op->at == ELSEWHERE ? 0 : at, op->length, op->prot, op->flags,
			file_of(op->fd), op->to, &got);
		place(result, r, got, op->length);
		break;
	case OP_MUNMAP: plain(result, front_munmap(&front, at, op->length)); break;
	case OP_MPROTECT: plain(result, front_mprotect(&front, at, op->length, op->prot)); break;
	case OP_MREMAP:
		r = front_mremap(&front, at, op->length, op->new_length, op->flags, ARENA + op->to, &got);
		place(result, r, got, op->new_length);
		break;
	case OP_MADVISE: plain(result, front_madvise(&front, at, op->length, op->flags)); break;
	case OP_MSYNC: plain(result, front_msync(&front, at, op->length, op->flags)); break;
	case OP_MINCORE:
		memset(vector, 0, sizeof(vector));
		plain(result, front_mincore(&front, at, op->length, op->value == 1 ? NULL : vector));
		result->hash = result->error == 0 ? hash_bytes(vector, sizeof(vector)) : 0;
		break;
	case OP_MLOCK: plain(result, front_mlock(&front, at, op->length, op->flags)); break;
	case OP_MUNLOCK: plain(result, front_munlock(&front, at, op->length)); break;
	case OP_LOAD: access_one(&world.fake, op->at, false, 0, &result->access); break;
	case OP_STORE: access_one(&world.fake, op->at, true, op->value, &result->access); break;
	case OP_FORK: fork_one(op, result); break;
	case OP_TRUNCATE:
	case OP_PWRITE:
	case OP_PREAD: content(op, result); break;
	case OP_SEAL: seal(op); break;
	case OP_CLOSE: close_file(op); break;
	case OP_UNLINK: /* objects have no names */
	case OP_KINDS: break;
	}
}

void run_ours(const struct op *ops, size_t count, struct result *results, enum machine_mode mode)
{
	/* Before the first range: what is no fault of paging goes on to the action that is there then. */
	if (mode == MODE_PAGED)
		real_begin();
	begin_world(mode);
	if (mode != MODE_PAGED)
		forbid_mapping_calls();
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(pool_refill(&world.pool), 0); /* there is no thread that does it */
		run_one(&ops[i], &results[i]);
		list_segments(&results[i]);
		world_check(&world);
		results[i].done = true;
	}
}
