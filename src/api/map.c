/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/map.c - opening and giving back a mapping.
 *
 *	map_open:  check -> object -> extent -> place -> guard -> settle -> bring in    what fails undoes all before it
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "object/file.h"
#include "pmap/kernel.h"
#include "sys/uapi.h"

/* opening: one quire_map in progress */
struct opening {
	struct quire *quire;
	struct quire_map_options options; /* a copy with the defaults filled in */
	int fd;                           /* -1: none given */
	struct quire_map *map;            /* what is being made */
	unsigned int prot;
	uint8_t page_shift;
	size_t below; /* guard pages under it, in bytes */
	bool made;    /* its file did not exist before */
	uint64_t end; /* of what is mapped, in its object; set by extent_of_object() */
};

/* ---- check ---- */

static int open_check(struct opening *op, const struct quire_map_options *options)
{
	struct quire_map_options *o = &op->options;
	int r;

	r = options_copy(o, sizeof(*o), options, "quire_map");
	if (r == 0)
		r = map_options_check(o, op->fd, op->quire->guard);
	op->prot = prot_bits(o->protection);
	op->page_shift = o->page_bytes == 0 ? 0 : (uint8_t)__builtin_ctzl(o->page_bytes);
	return r;
}

/* ---- object ---- */

static int open_memfd(struct opening *op)
{
	const struct quire_map_options *o = &op->options;
	const char *name = o->path != NULL ? o->path : "quire";
	bool sealable = (o->flags & QUIRE_SEALABLE) != 0;
	uint64_t bytes;

	if (!add_fits(o->offset, o->length, &bytes))
		return error_set(-EOVERFLOW, ".offset and .length do not fit together");
	return memfd_open(name, bytes, sealable, op->page_shift, &op->map->file);
}

static int open_by_name(struct opening *op, const struct file_request *request)
{
	return op->options.kind == QUIRE_SHM ? shm_open_object(request, &op->map->file)
					     : file_open(request, &op->map->file);
}

static int open_path(struct opening *op)
{
	const struct quire_map_options *o = &op->options;
	bool store = (o->protection & QUIRE_WRITE) != 0 && o->sharing == QUIRE_SHARED;
	bool truncate = (o->flags & QUIRE_TRUNCATE) != 0;
	struct file_request request = {
		.path = o->path,
		/* Making it longer, cutting it and filling it write too, whatever is mapped of it. */
		.write = store || (o->flags & (QUIRE_CREATE | QUIRE_TRUNCATE | QUIRE_PREALLOCATE)) != 0,
		.create = (o->flags & QUIRE_CREATE) != 0,
		.exclusive = (o->flags & QUIRE_EXCLUSIVE) != 0,
		.truncate = op->map->pool != NULL && truncate, /* else when nothing can refuse it any more */
		.mode = o->mode,
	};
	int r;

	r = open_by_name(op, &request);
	if ((r == -EACCES || r == -EROFS) && !store && request.write && !truncate) {
		request.write = false;
		r = open_by_name(op, &request);
	}
	op->made = r == 0 && request.create && request.exclusive;
	return r;
}

static int open_object(struct opening *op)
{
	const struct quire_map_options *o = &op->options;

	switch ((enum quire_kind)o->kind) {
	case QUIRE_FILE:
	case QUIRE_DEVICE:
	case QUIRE_SHM:
		if (o->object != NULL)
			return 0; /* paged_object() takes it */
		return op->fd >= 0 ? file_from_fd(op->fd, &op->map->file) : open_path(op);
	case QUIRE_MEMFD: return open_memfd(op);
	case QUIRE_SECRET: return secret_open(o->length, &op->map->file);
	case QUIRE_KIND_AUTO:
	case QUIRE_ANON:
	case QUIRE_RESERVED:
	default: return 0;
	}
}

static int open_name(struct opening *op)
{
	const char *name = op->options.path;

	if (name == NULL)
		return 0;
	op->map->name = strdup(name);
	return op->map->name == NULL ? error_set(-ENOMEM, "no memory for a handle") : 0;
}

/* ---- extent: which bytes ---- */

/* A file that is to be written is cut where that was asked for, and made long enough; a hole is filled when asked. */
static int make_long_enough(struct opening *op)
{
	struct object *object = map_object(op->map);
	const struct quire_map_options *o = &op->options;
	bool preallocate = (o->flags & QUIRE_PREALLOCATE) != 0;
	uint64_t size;
	int r = 0;

	if ((o->flags & QUIRE_TRUNCATE) != 0 && op->map->pool == NULL && op->map->file != NULL &&
		op->map->file->regular && op->fd < 0)
		r = file_cut(op->map->file);
	if (r < 0 || op->end == o->offset)
		return r;
	if (op->map->file == NULL || op->map->file->secret ||
		(o->flags & (QUIRE_CREATE | QUIRE_PREALLOCATE)) == 0)
		return 0;
	if (preallocate)
		return file_preallocate(op->map->file, o->offset, o->length);
	r = object_size(object, &size);
	return r == 0 && op->end > size && op->map->file->regular ? object->ops->grow(object, op->end, false)
								  : r;
}

static int extent_of_object(struct opening *op)
{
	struct quire_map_options *o = &op->options;
	uint64_t size;
	int r;

	r = object_size(map_object(op->map), &size);
	if (r < 0)
		return error_set(r, "cannot ask for the size: %s", strerror(-r));
	if ((o->flags & QUIRE_TRUNCATE) != 0 && op->fd < 0)
		size = 0;
	if (o->length == 0 && op->map->file != NULL && !op->map->file->regular)
		return error_set(-EINVAL, "a device has no size: give .length");
	if (o->length == 0)
		o->length = size > o->offset ? size - o->offset : 0;
	if (!add_fits(o->offset, o->length, &op->end) || op->end > INT64_MAX - PAGE_BYTES)
		return error_set(-EOVERFLOW, ".offset %" PRIu64 " and .length %zu do not fit together",
			o->offset, o->length);
	return op->map->pool != NULL ? make_long_enough(op)
				     : 0; /* a paged one goes by its size from here on */
}

static int open_extent(struct opening *op)
{
	struct quire_map_options *o = &op->options;
	struct quire_map *map = op->map;
	size_t unit = op->page_shift == 0 ? PAGE_BYTES : (size_t)1 << op->page_shift;
	uint64_t span;
	int r = 0;

	if (map_object(map) != NULL)
		r = extent_of_object(op);
	if (r < 0)
		return r;

	map->offset = o->offset;
	map->skew = o->offset & (unit - 1);
	map->length = o->length;
	if (!add_fits(o->length, map->skew + unit - 1, &span) || span > (uint64_t)1 << 62)
		return error_set(-ENOMEM, "%zu bytes are more than an address space holds", o->length);
	map->end = align_down(span, unit); /* as a length, until it is placed */
	if (o->guard_bytes > (uint64_t)1 << 62)
		return error_set(-ENOMEM, "%zu bytes are more than an address space holds", o->guard_bytes);
	op->below = (o->flags & QUIRE_STACK) != 0 ? align_up(o->guard_bytes, PAGE_BYTES) : 0;
	if (o->placement == QUIRE_PLACE_EXACT && op->below >= (uintptr_t)o->address)
		return error_set(-EINVAL, "no room for %zu bytes of guard pages below .address %p", op->below,
			o->address);
	if (o->reserve_bytes > (uint64_t)1 << 62)
		return error_set(-ENOMEM, "%zu bytes are more than an address space holds", o->reserve_bytes);
	return 0;
}

/* ---- place ---- */

static uint32_t pmap_flags(const struct opening *op)
{
	static const struct {
		uint32_t flag;
		uint32_t pmap_flag;
	} table[] = {
		{ QUIRE_NO_RESERVE, PMAP_NORESERVE },
		{ QUIRE_STACK, PMAP_STACK | PMAP_NORESERVE },
		{ QUIRE_SYNC, PMAP_SYNC },
		{ QUIRE_LOCKED, PMAP_LOCKED },
		{ QUIRE_LOCK_ON_FAULT, PMAP_LOCK_ONFAULT },
		{ QUIRE_NO_DUMP, PMAP_DONTDUMP },
	};
	const struct quire_map_options *o = &op->options;
	uint32_t flags = o->sharing == QUIRE_SHARED ? PMAP_SHARED : 0;

	for (size_t i = 0; o->flags != 0 && i < ARRAY_COUNT(table); i++)
		if ((o->flags & table[i].flag) != 0)
			flags |= table[i].pmap_flag;
	if (o->fork == QUIRE_FORK_NOT)
		flags |= PMAP_DONTFORK;
	if (o->fork == QUIRE_FORK_WIPE)
		flags |= PMAP_WIPEONFORK;
	if (op->map->transparent)
		flags |= PMAP_HUGEPAGE;
	if (o->kind == QUIRE_RESERVED)
		flags |= PMAP_RESERVED;
	return flags;
}

static void request_for(const struct opening *op, struct map_request *request)
{
	const struct quire_map *map = op->map;

	*request = (struct map_request){
		.range = {
			.offset = map->offset - map->skew,
			.flags = pmap_flags(op),
			.owner = map,
			.tally = map->tally,
			.guard = map->pool != NULL && op->options.guard != QUIRE_GUARD_OFF ? &op->map->guard : NULL,
			.prot = op->options.kind == QUIRE_RESERVED ? 0 : (uint8_t)op->prot,
			.page_shift = op->page_shift,
		},
		.object = map_object(map),
	};
}

/* Keeps `length` addresses at the place that was asked for. */
static int keep_addresses(const struct opening *op, size_t length, uintptr_t *start)
{
	const struct quire_map_options *o = &op->options;
	struct map_request request = {
		.how = (enum pmap_how)o->placement,
		.range = { .flags = PMAP_RESERVED, .owner = op->map },
	};

	_Static_assert((int)QUIRE_PLACE_HINT == (int)PMAP_HINT, "the same numbers");
	_Static_assert((int)QUIRE_PLACE_EXACT == (int)PMAP_EXACT, "the same numbers");
	request.range.start = o->placement == QUIRE_PLACE_ANYWHERE ? 0 : (uintptr_t)o->address - op->below;
	request.range.end = request.range.start + length;
	return as_map(map_as(op->map), &request, start);
}

static int map_exactly(const struct opening *op, uintptr_t start, size_t length, bool over_reserved)
{
	struct map_request request;

	request_for(op, &request);
	request.how = PMAP_REPLACE;
	request.over_reserved = over_reserved;
	request.range.start = start;
	request.range.end = start + length;
	return as_map(map_as(op->map), &request, &start);
}

/* What the first page must be aligned to. Who names an address gets that address, also for transparent huge pages. */
static size_t alignment(const struct opening *op)
{
	if (op->page_shift != 0)
		return (size_t)1 << op->page_shift;
	if (op->map->transparent && op->options.placement != QUIRE_PLACE_EXACT)
		return (size_t)1 << 21;
	return PAGE_BYTES;
}

/* Within addresses kept first: for guard pages, room to grow, and alignment. */
static int place_in_kept(struct opening *op, size_t length)
{
	struct quire_map *map = op->map;
	size_t align = alignment(op);
	size_t inner = max_u64(align_up(op->options.reserve_bytes, align), length);
	size_t slack = op->options.placement == QUIRE_PLACE_EXACT ? 0 : align - PAGE_BYTES;
	size_t outer = op->below + max_u64(inner, PAGE_BYTES) + slack;
	uintptr_t outer_start;
	int r;

	r = keep_addresses(op, outer, &outer_start);
	if (r < 0)
		return r;
	map->outer_start = outer_start;

	map->kept = true;
	map->outer_end = map->outer_start + outer;
	map->start = slack == 0 ? map->outer_start + op->below
				: align_up(map->outer_start + op->below, align);
	map->end = map->start + length;
	if (length > 0)
		r = map_exactly(op, map->start, length, true);
	if (r < 0)
		(void)as_unmap(map_as(op->map), map->outer_start, map->outer_end);
	return r;
}

static int place_inside(struct opening *op, size_t length)
{
	const struct quire_map_options *o = &op->options;
	struct quire_map *map = op->map;
	struct quire_map *host = o->inside;
	uint64_t end;
	int r;

	if (host->quire != op->quire)
		return error_set(-EINVAL, ".inside belongs to another address space");
	if (length == 0 || !add_fits(o->inside_offset, length, &end) || end > host->end - host->start)
		return error_set(-EINVAL, "%zu bytes at %zu do not lie in a reservation of %zu bytes", length,
			o->inside_offset, (size_t)(host->end - host->start));

	map->start = map->outer_start = host->start + o->inside_offset;
	map->end = map->outer_end = map->start + length;
	/* Kept addresses are not enough: they could be those of a reservation that stands in this one. */
	if ((o->flags & QUIRE_REPLACE) == 0 && !map_owns(host, &(struct pmap_span){ map->start, map->end }))
		return error_set(-EEXIST,
			"something stands there in the reservation: QUIRE_REPLACE would take its place");
	r = map_exactly(op, map->start, length, (o->flags & QUIRE_REPLACE) == 0);
	if (r < 0)
		return r;
	map->inside = host;
	atomic_fetch_add(&host->tenants, 1);
	return 0;
}

static int place_alone(struct opening *op, size_t length)
{
	const struct quire_map_options *o = &op->options;
	struct quire_map *map = op->map;
	struct map_request request;
	uintptr_t start;
	int r;

	request_for(op, &request);
	request.how = (enum pmap_how)o->placement;
	request.range.start = o->placement == QUIRE_PLACE_ANYWHERE ? 0 : (uintptr_t)o->address;
	request.range.end = request.range.start + length;
	if (request.range.end < request.range.start && o->placement == QUIRE_PLACE_EXACT)
		return error_set(-ENOMEM, ".address and .length go beyond the address space");
	r = as_map(map_as(op->map), &request, &start);
	if (r < 0)
		return r;
	map->start = map->outer_start = start;
	map->end = map->outer_end = start + length;
	return 0;
}

static int open_place(struct opening *op)
{
	size_t length = op->map->end;

	if (op->options.inside != NULL)
		return place_inside(op, length);
	if (op->below > 0 || op->options.reserve_bytes > length || op->map->transparent || length == 0)
		return place_in_kept(op, length);
	return place_alone(op, length);
}

/* ---- guard ---- */

int map_guard(struct quire_map *map)
{
	struct guard *guard = &map->guard;

	if (guard->policy == QUIRE_GUARD_DEFAULT || map->start == map->end)
		return 0;
	guard->trap.start = map->start;
	guard->trap.end = map->end;
	guard->pmap = map_as(map)->pmap;
	if (map->pool != NULL && (guard->pmap->can & PMAP_PINS_ONLY) == 0)
		return 0; /* the engine hears of faults, and asks the guard by itself */
	return guard_open(guard);
}

static int open_guard(struct opening *op)
{
	struct quire_map *map = op->map;
	struct guard *guard = &map->guard;

	if (op->options.guard == QUIRE_GUARD_OFF || map->kind == QUIRE_RESERVED)
		return 0;
	guard->owner = map;
	guard->fd = map->file == NULL ? -1 : map->file->window.fd;
	guard->offset = map->offset - map->skew;
	guard->page_bytes = map->page_bytes;
	guard->policy = op->options.guard;
	guard->on_fault = op->options.on_fault;
	guard->user = op->options.user;
	guard->explain = copy_explain;
	return map_guard(map);
}

/* ---- settle ---- */

/* Last of all that may be refused for what was asked, the file itself is changed: who gets an error finds it as it was. */
static int open_settle(struct opening *op)
{
	const struct quire_map_options *o = &op->options;
	struct quire_map *map = op->map;
	int r = 0;

	if (o->kind == QUIRE_ANON && o->path != NULL)
		r = map_show_name(map, o->path, false);
	if (r == 0 && o->numa != QUIRE_NUMA_DEFAULT)
		r = quire_map_place(map, 0, map->length, o->numa, o->numa_nodes);
	if (r == 0 && map->pool == NULL && map->file != NULL)
		r = make_long_enough(op);
	return r;
}

/* ---- bring in ---- */

static int populate(struct quire_map *map, unsigned int advice)
{
	size_t length = map->length;

	return length == 0 ? 0 : quire_map_advise(map, 0, length, advice);
}

static int open_bring_in(struct opening *op)
{
	const struct quire_map_options *o = &op->options;
	struct quire_map *map = op->map;
	int r = 0;

	if (o->advice != QUIRE_NORMAL)
		r = quire_map_advise(map, 0, map->length, o->advice);
	if (r == 0 && (o->flags & QUIRE_POPULATE_READ) != 0)
		r = populate(map, QUIRE_POPULATE);
	if (r == 0 && (o->flags & QUIRE_POPULATE_WRITE) != 0)
		r = populate(map, QUIRE_POPULATE_FOR_WRITE);
	return r;
}

/* ---- the whole ---- */

static void map_free(struct quire_map *map)
{
	if (map->file != NULL)
		object_unref(&map->file->object);
	object_unref(map->object);
	paged_leave(map);
	free(map->name);
	free(map);
}

static int open_memory(struct opening *op)
{
	int r;

	r = open_object(op);
	if (r == 0 && op->map->pool != NULL)
		r = paged_object(op->map, &op->options);
	if (r == 0)
		r = open_extent(op);
	if (r == 0)
		r = open_place(op);
	return r;
}

/* The pool of huge pages cannot serve it: ordinary memory, as the caller allowed, and the handle says so. */
static int open_without_pool(struct opening *op)
{
	bool file = op->options.kind == QUIRE_MEMFD;
	bool transparent = kernel_has_transparent(file);

	if (!transparent && op->options.huge == QUIRE_HUGE_OR_TRANSPARENT)
		return error_set(-EOPNOTSUPP,
			"the pool of huge pages cannot serve it, and transparent huge pages are switched off: see "
			"/sys/kernel/mm/transparent_hugepage/%s, or take QUIRE_HUGE_OR_SMALL",
			file ? "shmem_enabled" : "enabled");
	if (op->map->file != NULL)
		object_unref(&op->map->file->object);
	op->map->file = NULL;
	op->map->transparent = transparent;
	op->map->kept = false;
	op->page_shift = 0;
	return open_memory(op);
}

static int open_steps(struct opening *op)
{
	struct quire_map *map = op->map;
	int r;

	r = open_name(op);
	if (r == 0)
		r = open_memory(op);
	/* -EINVAL, -ENODEV: this processor has no pages of that size, or the kernel no pools. */
	if ((r == -ENOMEM || r == -EINVAL || r == -ENODEV) && op->page_shift != 0 &&
		op->options.huge != QUIRE_HUGE_OR_FAIL)
		r = open_without_pool(op);
	if (r < 0) {
		map_free(map);
		return r;
	}

	map->page_bytes = op->page_shift == 0 ? PAGE_BYTES : (size_t)1 << op->page_shift;
	map->pmap_flags = pmap_flags(op) | advice_flags(op->options.advice);
	map->nodes = numa_nodes(op->options.numa, op->options.numa_nodes);
	atomic_fetch_add(&op->quire->maps, 1);
	paged_tell_length(map);
	r = open_guard(op);
	if (r == 0)
		r = open_settle(op);
	if (r == 0)
		r = open_bring_in(op);
	if (r < 0)
		(void)quire_unmap(map); /* complete enough to be given back in the ordinary way */
	return r;
}

int map_open(struct quire *quire, int fd, const struct quire_map_options *options, struct quire_map **out)
{
	struct opening op = { .quire = quire, .fd = fd };
	int r;

	error_clear();
	if (out == NULL)
		return error_set(-EINVAL, "nowhere to put the handle");
	r = quire_get(&op.quire);
	if (r == 0)
		r = open_check(&op, options);
	if (r < 0)
		return r;

	/* Not calloc: what was freed last is at hand for malloc alone (0.1 us a handle). */
	op.map = malloc(sizeof(*op.map));
	if (op.map == NULL)
		return error_set(-ENOMEM, "no memory for a handle");
	*op.map = (struct quire_map){
		.quire = op.quire,
		.kind = op.options.kind,
		.sharing = op.options.sharing,
		.flags = op.options.flags,
	};
	if (op.options.engine != QUIRE_ENGINE_NATIVE)
		r = paged_join(op.map, &op.options);
	if (r < 0) {
		map_free(op.map);
		return r;
	}
	r = open_steps(&op);
	if (r < 0 && op.made)
		file_remove(op.options.path, op.options.kind == QUIRE_SHM);
	if (r < 0)
		return error_default(r, "cannot map %s: %s",
			op.options.path == NULL ? "memory" : op.options.path, strerror(-r));
	*out = op.map;
	return 0;
}

int quire_map(struct quire *quire, const struct quire_map_options *options, struct quire_map **map)
{
	return map_open(quire, -1, options, map);
}

/* [start, end) as the reservation it stood in had it before. */
static int keep_again(struct quire_map *map, uintptr_t start, uintptr_t end)
{
	struct map_request request = {
		.how = PMAP_REPLACE,
		.range = { .start = start, .end = end, .flags = PMAP_RESERVED, .owner = map->inside },
	};

	return as_map(map_as(map), &request, &start);
}

int map_give_back(struct quire_map *map, uintptr_t start, uintptr_t end)
{
	struct pmap_span run;
	int r = 0;

	for (uintptr_t at = start; r == 0 && map_run(map, at, end, &run); at = run.end)
		r = map->inside == NULL ? as_unmap(map_as(map), run.start, run.end)
					: keep_again(map, run.start, run.end);
	return r;
}

int quire_unmap(struct quire_map *map)
{
	unsigned int tenants;
	int r;

	if (map == NULL)
		return 0;
	if (pool_is_ours(map->pool) < 0)
		return -ECHILD;
	if (map->held != NULL)
		return map_not_held(map);
	tenants = atomic_load(&map->tenants);
	if (tenants > 0)
		return error_set(
			-EBUSY, "%u mappings stand in this reservation: quire_unmap them first", tenants);

	guard_close(&map->guard); /* first: the addresses may be somebody else's a moment later */
	r = -ESRCH;
	if (map->inside == NULL) /* nearly always it is one segment still */
		r = as_unmap_segment(map_as(map), map->outer_start, map->outer_end, map);
	if (r == -ESRCH)
		r = map_give_back(map, map->outer_start, map->outer_end);
	if (r < 0)
		return r;
	if (map->inside != NULL)
		atomic_fetch_sub(&map->inside->tenants, 1);
	atomic_fetch_sub(&map->quire->maps, 1);
	map_free(map);
	return 0;
}
