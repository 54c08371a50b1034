/* SPDX-License-Identifier: Apache-2.0 */
/* api/handle.h - what the opaque handles are made of. Known to api only. */
#ifndef API_HANDLE_H
#define API_HANDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <quire/map.h>

#include "front/front.h"
#include "pmap/guard.h"
#include "pmap/pmap.h"
#include "serve/serve.h"
#include "vm/as.h"
#include "vm/pool.h"

struct file_object;

struct quire {
	struct pmap pmap;
	struct as as;
	uint32_t guard;   /* an enum quire_guard */
	atomic_uint maps; /* open handles */
};

/*
 *	outer_start   start                        end         outer_end
 *	    |-- guard --|--------- segments ----------|--- kept ---|
 *	                ^skew: the first page may begin before the byte that was asked for
 *
 * Without guard pages and kept addresses outer and inner are the same.
 */
struct quire_map {
	struct quire *quire;
	struct quire_pool *pool;  /* NULL: the kernel pages it */
	bool own_pool;            /* closed with it: made for .cache_bytes */
	uint16_t tally;           /* in the pool's ledger */
	struct file_object *file; /* NULL: anonymous, or an object of another kind */
	struct object *object;    /* of a paged mapping that is no file's; NULL: none */
	const void *owner;        /* of its segments, where another floor has attached them; NULL: itself */
	/* Changed by a resize while other threads ask, flush or advise; the length, which they check against, last. */
	_Atomic uintptr_t start;
	_Atomic uintptr_t end;
	_Atomic uintptr_t outer_start;
	_Atomic uintptr_t outer_end;
	_Atomic size_t length; /* of what the caller sees, in bytes */
	size_t skew;
	uint64_t offset; /* of the byte at start + skew in the object */
	uint32_t kind;
	uint32_t sharing;
	uint32_t flags;      /* bits of enum quire_map_flag */
	uint32_t pmap_flags; /* for what is attached later, when it grows */
	struct pmap_nodes nodes;
	size_t page_bytes;
	bool transparent;
	bool kept; /* outer_start to outer_end stays taken, whatever its size */
	char *name;
	struct quire_map *inside; /* the reservation it stands in */
	atomic_uint tenants;      /* mappings that stand in it */
	struct guard guard;       /* guard.policy 0: unguarded */
	const char
		*held; /* by a region or channel: why its layout is not the caller's to change; NULL: it is */
};

/* A page cache with everything that makes it run. */
struct quire_pool {
	struct pool pool;
	struct as as;
	struct front front;
	struct uffd *uffd; /* NULL: pages are pinned only */
	struct pin *pin;   /* the other one is NULL */
	struct serve serve;
	uint32_t delivery; /* an enum quire_delivery, never AUTO */
	uint32_t policy;
	const char *why;
	char refusal[256]; /* what `why` may point to */
	struct ledger *ledger;
	int ledger_fd;    /* -1: not published */
	atomic_uint maps; /* open handles */
	uint32_t mark;    /* of the process that opened it (channel/fork.h) */
};

/* -ECHILD in a child made by fork: its threads are not here, and its descriptors answer for the parent's memory. */
int pool_is_ours(const struct quire_pool *pool); /* 0 for NULL */

/* The space a mapping stands in: the native one, or its pool's. */
static inline struct as *map_as(const struct quire_map *map)
{
	return map->pool != NULL ? &map->pool->as : &map->quire->as;
}

/* Where its bytes come from; NULL: private anonymous memory. */
struct object *map_object(const struct quire_map *map);

/* What .object of a mapping is; as large as struct object, and never looked into. */
struct object *object_of(struct quire_object *object);

/* The process's own address space for NULL. */
int quire_get(struct quire **quire);

/* Copies an options struct of any version: a shorter one is filled up with zeros; a longer one must end in zeros. */
int options_copy(void *to, size_t to_bytes, const void *from, const char *what);

/* Checks options and fills in the defaults; guard_default: what the address space was opened with. */
int map_options_check(struct quire_map_options *options, int fd, uint32_t guard_default);

/* Opens what the options say; fd -1: none. */
int map_open(struct quire *quire, int fd, const struct quire_map_options *options, struct quire_map **map);

/* .pool, or one of its own for .cache_bytes; the mapping counts as open in it. */
int paged_join(struct quire_map *map, const struct quire_map_options *options);
void paged_leave(struct quire_map *map);

/* Tells the pool's readers how long the mapping is; takes one that is not paged. */
void paged_tell_length(const struct quire_map *map);

/* Makes the mapping's object one that the pool can page. */
int paged_object(struct quire_map *map, const struct quire_map_options *options);
int paged_advise(struct quire_map *map, const struct pmap_span *span, int advice);
int paged_flush(struct quire_map *map, const struct pmap_span *span, unsigned int how);
int paged_lock(struct quire_map *map, const struct pmap_span *span, int flags);
int paged_unlock(struct quire_map *map, const struct pmap_span *span);
int paged_resident(struct quire_map *map, const struct pmap_span *span, unsigned char *pages);
int paged_repair(struct quire_map *map);

/* [offset, offset + length) of the handle as addresses, widened to pages. -EINVAL when it leaves the mapping. */
int map_span(const struct quire_map *map, size_t offset, size_t length, struct pmap_span *span);

/* The same where content or layout changes: the start must be a page boundary already. */
int map_span_exact(const struct quire_map *map, size_t offset, size_t length, struct pmap_span *span);

/* The next run of segments of the mapping's own in [from, end); false when there is none. What stands in its holes, or was
 * placed over it, is somebody else's. */
bool map_run(const struct quire_map *map, uintptr_t from, uintptr_t end, struct pmap_span *run);

/* Is all of the span the mapping's own? */
bool map_owns(const struct quire_map *map, const struct pmap_span *span);

/* Gives back what of [start, end) is its own: to the system, or to the reservation it stands in. */
int map_give_back(struct quire_map *map, uintptr_t start, uintptr_t end);

/* Guards it when that was asked for; a mapping without a page waits until it has grown. */
int map_guard(struct quire_map *map);

/* The sticky error, with its sentence; 0 when there is none. */
int map_error(const struct quire_map *map);
int fault_explain(const struct quire_map *map, const struct quire_fault *fault);
void copy_explain(struct guard *guard, const struct quire_fault *fault); /* of the guard of a mapping */

/* -EBUSY when the mapping belongs to a region or a channel. */
int map_not_held(const struct quire_map *map);

/* -EINVAL with a sentence, for bits that have no meaning. */
int prot_check(uint32_t protection);
unsigned int prot_bits(uint32_t protection);

/* Has /proc/PID/maps show a name; where the kernel cannot, that is an error only if demanded. */
int map_show_name(struct quire_map *map, const char *name, bool demanded);

/* The kernel's words for an enum quire_numa. */
struct pmap_nodes numa_nodes(unsigned int numa, uint64_t bits);

/* What a segment remembers of an advice: bits of enum pmap_flag. */
uint32_t advice_flags(unsigned int advice);
/* Whom its segments name as their owner. */
static inline const void *map_owner(const struct quire_map *map)
{
	return map->owner != NULL ? map->owner : map;
}

int advise_span(struct quire_map *map, const struct pmap_span *span, unsigned int advice);

#endif
