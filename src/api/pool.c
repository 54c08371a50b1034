/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/pool.c - a page cache put together: engine, address space, frames, threads.
 *
 *	pool_make:  swap -> engine -> space -> frames -> threads        what fails undoes all before it
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quire/pool.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "channel/fork.h"
#include "object/file.h"
#include "object/memory.h"
#include "pmap/ledger.h"
#include "pmap/pin.h"
#include "pmap/uffd.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "vm/fault.h"
#include "vm/pageout.h"

enum { KIB = 1024, CACHE_BYTES_MIN = 64 * KIB, HANDLERS_DEFAULT = 4, SWAP_TIMES_DEFAULT = 16 };

/* Mappings with figures of their own; 24 MiB of addresses, and memory only for those there are. */
enum { TALLIES = 16384 };

/* ---- check ---- */

static int check(struct quire_pool_options *o)
{
	if (o->cache_bytes_max == 0)
		o->cache_bytes_max = o->cache_bytes;
	if (o->cache_bytes < CACHE_BYTES_MIN || o->cache_bytes > o->cache_bytes_max)
		return error_set(-EINVAL, ".cache_bytes is %llu: at least 64 KiB, at most .cache_bytes_max",
			(unsigned long long)o->cache_bytes);
	if (o->cache_bytes_max >> PAGE_SHIFT >= UINT32_MAX / 2)
		return error_set(-EINVAL, ".cache_bytes or .cache_bytes_max is more than 8 TiB");
	if (o->delivery > QUIRE_DELIVERY_PIN || o->policy > QUIRE_POLICY_CLOCK)
		return error_set(-EINVAL, ".delivery is %u, .policy is %u", o->delivery, o->policy);
	if (o->unit_bytes != 0 &&
		(!is_power_of_two(o->unit_bytes) || o->unit_bytes < PAGE_BYTES ||
			o->unit_bytes > UNIT_PAGES_MAX * PAGE_BYTES))
		return error_set(
			-EINVAL, ".unit_bytes is %u: a power of two from 4096 to 65536", o->unit_bytes);
	if (o->handlers > SERVE_HANDLERS_MAX)
		return error_set(-EINVAL, ".handlers is %u: at most %d", o->handlers, SERVE_HANDLERS_MAX);
	if (o->swap_bytes == 0)
		o->swap_bytes = o->cache_bytes_max * SWAP_TIMES_DEFAULT;
	return 0;
}

/* ---- swap ---- */

/* A file without a name: gone when the pool is, however that happens. */
static int open_swap(const struct quire_pool_options *o, struct object **swap)
{
	const struct file_request request = {
		.path = o->swap_path, .write = true, .create = true, .exclusive = true, .mode = 0600
	};
	struct file_object *file;
	int r;

	if (o->swap_path == NULL)
		return 0;
	r = file_open(&request, &file);
	if (r == -EEXIST)
		return error_set(r,
			"the swap file %s exists already: name one that is not there, it is made anew",
			o->swap_path);
	if (r < 0)
		return r;
	(void)sys_unlink(o->swap_path);
	r = file->object.ops->grow(&file->object, o->swap_bytes, false);
	if (r == 0)
		r = file_make_paged(file);
	if (r < 0)
		object_unref(&file->object);
	else
		*swap = &file->object;
	return r;
}

/* ---- engine ---- */

static struct pmap *engine_of(const struct quire_pool *pool)
{
	return pool->uffd != NULL ? uffd_pmap(pool->uffd) : pin_pmap(pool->pin);
}

static void close_engine(struct quire_pool *pool)
{
	if (pool->uffd != NULL)
		uffd_close(pool->uffd);
	pin_close(pool->pin);
}

static int open_inline(struct quire_pool *pool, const struct uffd_options *like)
{
	struct uffd_options options = *like;

	options.inline_faults = true;
	options.user_only = true;
	pool->delivery = QUIRE_DELIVERY_INLINE;
	return uffd_open(&options, serve_up, &pool->serve, &pool->uffd);
}

static int open_threads(struct quire_pool *pool, const struct uffd_options *like)
{
	struct uffd_options options = *like;
	int r;

	pool->delivery = QUIRE_DELIVERY_THREAD;
	r = uffd_open(&options, serve_up, &pool->serve, &pool->uffd);
	if (r != -EPERM && r != -EACCES)
		return r;
	error_clear(); /* an answer, not yet a failure */
	options.user_only = true;
	pool->why = "threads answer faults of user code; this user may not handle faults of system calls "
		    "(vm.unprivileged_userfaultfd): they get EFAULT for pages that are not in memory";
	return uffd_open(&options, serve_up, &pool->serve, &pool->uffd);
}

static int open_pins(struct quire_pool *pool, uint32_t frames)
{
	pool->delivery = QUIRE_DELIVERY_PIN;
	return pin_open(frames, serve_up, &pool->serve, &pool->pin);
}

static int open_faults(struct quire_pool *pool, const struct quire_pool_options *o, uint32_t frames)
{
	const struct uffd_options options = { .frames = frames };

	if (o->delivery == QUIRE_DELIVERY_INLINE ||
		(o->delivery == QUIRE_DELIVERY_AUTO && o->syscalls_only_pinned)) {
		pool->why =
			"the faulting thread answers: the program promised to pin what it hands to system calls";
		return open_inline(pool, &options);
	}
	pool->why = "threads answer faults, so that system calls may touch paged memory";
	return open_threads(pool, &options);
}

/* Not error_is_want(): then pins would fail too, or hide what is wrong. */
static bool is_refusal(int error)
{
	return error == -EPERM || error == -EACCES || error == -ENOSYS || error == -EINVAL;
}

static int open_engine(struct quire_pool *pool, const struct quire_pool_options *o)
{
	uint32_t frames = (uint32_t)(o->cache_bytes_max >> PAGE_SHIFT);
	int r;

	pool->why = "pages are reachable while they are pinned, as was asked for";
	if (o->delivery == QUIRE_DELIVERY_PIN)
		return open_pins(pool, frames);
	r = open_faults(pool, o, frames);
	if (o->delivery != QUIRE_DELIVERY_AUTO || !is_refusal(r))
		return r;
	(void)snprintf(pool->refusal, sizeof(pool->refusal),
		"nothing may fault here (%s): pages are reachable while they are pinned, and an error at any other time",
		error_text());
	error_clear();
	pool->why = pool->refusal;
	return open_pins(pool, frames);
}

/* ---- statistics ---- */

static int make_ledger(struct quire_pool *pool, const struct quire_pool_options *o)
{
	struct ledger *ledger;
	int r = ledger_open(TALLIES, o->publish != NULL, &ledger, &pool->ledger_fd);

	if (r < 0)
		return error_set(r, "no memory for the statistics of a pool: %s", strerror(-r));
	pool->ledger = ledger;
	tally_name(ledger->name, sizeof(ledger->name), o->publish);
	tally_name(ledger->why, sizeof(ledger->why), pool->why);
	ledger->delivery = pool->delivery;
	ledger->policy = o->policy;
	ledger->pid = (uint32_t)sys_process_id();
	return 0;
}

static void drop_ledger(struct quire_pool *pool)
{
	ledger_close(pool->ledger, TALLIES, pool->ledger_fd);
}

/* ---- the whole ---- */

static struct object *shared_memory(void *user, uint64_t bytes)
{
	struct object *object;

	(void)user;
	return memory_open(bytes, &object) < 0 ? NULL : object;
}

static int make_frames(struct quire_pool *pool, const struct quire_pool_options *o, struct object *swap)
{
	const struct pool_config config = {
		.pmap = engine_of(pool),
		.bytes = o->cache_bytes,
		.bytes_max = o->cache_bytes_max,
		.swap = swap,
		.swap_pages = swap == NULL ? 0 : o->swap_bytes >> PAGE_SHIFT,
		.policy = (enum policy_kind)o->policy,
		.unit_pages = o->unit_bytes >> PAGE_SHIFT,
		.hostile = o->hostile != 0,
		.ledger = pool->ledger,
		.tallies = TALLIES,
		.clock = sys_now_ns,
	};
	int r = pool_init(&pool->pool, &config);

	return r < 0 ? error_set(r, "no memory for %llu frames: %s",
			       (unsigned long long)(o->cache_bytes_max >> PAGE_SHIFT), strerror(-r))
		     : 0;
}

static int make_running(struct quire_pool *pool, const struct quire_pool_options *o)
{
	unsigned int handlers = o->handlers == 0 ? HANDLERS_DEFAULT : o->handlers;
	int r;

	pool->serve.as = &pool->as;
	pool->serve.pool = &pool->pool;
	pool->serve.uffd = pool->uffd;
	r = as_init(&pool->as, engine_of(pool));
	if (r < 0)
		return r;
	r = as_use_pool(&pool->as, &pool->pool);
	if (r == 0)
		r = pool_refill(&pool->pool);
	if (r == 0)
		r = serve_open(&pool->serve, pool->delivery == QUIRE_DELIVERY_THREAD ? handlers : 0);
	if (r < 0) {
		as_done(&pool->as);
		return error_default(r, "the threads of a pool cannot be started: %s", strerror(-r));
	}
	pool->front = (struct front){
		.as = &pool->as,
		.task_bytes = ((uintptr_t)1 << 47) - PAGE_BYTES,
		.maps_max = UINT32_MAX,
		.lock_bytes_max = UINT64_MAX,
		.as_bytes_max = UINT64_MAX,
		.shared_memory = shared_memory,
	};
	return 0;
}

static int pool_make(struct quire_pool *pool, const struct quire_pool_options *o)
{
	struct object *swap = NULL;
	int r;

	r = open_swap(o, &swap);
	if (r < 0)
		return r;
	r = open_engine(pool, o);
	if (r < 0)
		goto drop_swap;
	r = make_ledger(pool, o);
	if (r == 0)
		r = make_frames(pool, o, swap);
	if (r == 0) {
		r = make_running(pool, o);
		if (r < 0)
			pool_done(&pool->pool);
	}
	if (r < 0) {
		drop_ledger(pool);
		close_engine(pool);
	}
drop_swap:
	object_unref(swap); /* the pool holds its own reference */
	return r;
}

int quire_pool_open(const struct quire_pool_options *options, struct quire_pool **out)
{
	struct quire_pool_options o;
	struct quire_pool *pool;
	int r;

	error_clear();
	if (out == NULL)
		return error_set(-EINVAL, "nowhere to put the pool");
	r = options_copy(&o, sizeof(o), options, "quire_pool_open");
	if (r == 0)
		r = check(&o);
	if (r < 0)
		return r;

	pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return error_set(-ENOMEM, "no memory for a pool");
	pool->policy = o.policy;
	r = fork_mark(&pool->mark);
	if (r == 0)
		r = pool_make(pool, &o);
	if (r < 0) {
		free(pool);
		return error_default(r, "a pool cannot be opened: %s", strerror(-r));
	}
	*out = pool;
	return 0;
}

int pool_is_ours(const struct quire_pool *pool)
{
	return pool == NULL || fork_is_mine(pool->mark)
		? 0
		: error_set(-ECHILD,
			  "the pool belongs to the process that forked: open files anew in this one");
}

int quire_pool_close(struct quire_pool *pool)
{
	unsigned int open;

	if (pool == NULL)
		return 0;
	if (pool_is_ours(pool) < 0)
		return -ECHILD;
	open = atomic_load(&pool->maps);
	if (open > 0)
		return error_set(-EBUSY, "mappings still use the pool (%u): quire_unmap them first", open);
	serve_close(&pool->serve);
	if (atomic_load(&pool->serve.lost)) {
		uffd_forget_descriptors(pool->uffd);
		pool->ledger_fd = -1;
	}
	as_done(&pool->as);
	while (!atomic_load(&pool->serve.lost) && fault_collect(&pool->pool))
		;                      /* from swap, for mappings that are gone */
	object_leave_all(&pool->pool); /* programs may hold objects longer than their pool */
	pool_done(&pool->pool);
	close_engine(pool);
	drop_ledger(pool);
	free(pool);
	return 0;
}

int quire_pool_resize(struct quire_pool *pool, uint64_t cache_bytes)
{
	int r;

	error_clear();
	if (pool == NULL || cache_bytes < CACHE_BYTES_MIN)
		return error_set(-EINVAL, "quire_pool_resize: no pool, or less than 64 KiB");
	if (pool_is_ours(pool) < 0)
		return -ECHILD;
	r = pool_resize(&pool->pool, cache_bytes);
	if (r < 0)
		return error_set(
			r, "%llu bytes are more than .cache_bytes_max", (unsigned long long)cache_bytes);
	/* The pageout thread may be at it; what it leaves is ours. */
	while (pool_over(&pool->pool) > 0)
		if (pageout_evict(&pool->pool, EVICT_MAX) == 0 && !pageout_wait(&pool->pool))
			break;
	if (pool_over(&pool->pool) > 0)
		return error_set(-EBUSY,
			"%u pages more than that are pinned, locked, or could not be written back",
			pool_over(&pool->pool));
	return 0;
}
