/* SPDX-License-Identifier: Apache-2.0 */
/* api/check.c - does what the options say make sense, one by one and together? Nothing is opened here. */
#include <errno.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"

enum { KIB = 1024, GUARD_BYTES_DEFAULT = 64 * KIB };

static const uint32_t all_flags = (QUIRE_ORDERED << 1) - 1;

int prot_check(uint32_t protection)
{
	if ((protection & ~(uint32_t)(QUIRE_READ | QUIRE_WRITE | QUIRE_EXECUTE | QUIRE_NO_ACCESS)) != 0)
		return error_set(-EINVAL, "protection 0x%x has unknown bits", protection);
	if ((protection & QUIRE_NO_ACCESS) != 0 && protection != QUIRE_NO_ACCESS)
		return error_set(-EINVAL, "QUIRE_NO_ACCESS goes with no other protection");
	if ((protection & QUIRE_WRITE) != 0 && (protection & QUIRE_EXECUTE) != 0)
		return error_set(-EINVAL,
			"memory is never writable and executable at once: write first, then quire_map_protect it to "
			"QUIRE_READ | QUIRE_EXECUTE");
	return 0;
}

unsigned int prot_bits(uint32_t protection)
{
	_Static_assert((int)QUIRE_READ == (int)PMAP_READ, "the same bits");
	_Static_assert((int)QUIRE_WRITE == (int)PMAP_WRITE, "the same bits");
	_Static_assert((int)QUIRE_EXECUTE == (int)PMAP_EXECUTE, "the same bits");
	return protection & (PMAP_READ | PMAP_WRITE | PMAP_EXECUTE);
}

static int check_enums(const struct quire_map_options *o)
{
	if (o->kind > QUIRE_RESERVED)
		return error_set(-EINVAL, ".kind is %u", o->kind);
	if (o->sharing > QUIRE_SHARED)
		return error_set(-EINVAL, ".sharing is %u", o->sharing);
	if ((o->flags & ~all_flags) != 0 || (o->flags & QUIRE_MAY_MOVE) != 0)
		return error_set(-EINVAL, ".flags 0x%x has bits that mean nothing here", o->flags);
	if (o->placement > QUIRE_PLACE_EXACT)
		return error_set(-EINVAL, ".placement is %u", o->placement);
	if (o->huge > QUIRE_HUGE_OR_SMALL)
		return error_set(-EINVAL, ".huge is %u", o->huge);
	if (o->guard > QUIRE_GUARD_TRY || (o->guard == QUIRE_GUARD_CALLBACK) != (o->on_fault != NULL))
		return error_set(
			-EINVAL, ".guard is %u; QUIRE_GUARD_CALLBACK and .on_fault go together", o->guard);
	if (o->fork > QUIRE_FORK_WIPE)
		return error_set(-EINVAL, ".fork is %u", o->fork);
	if (o->advice > QUIRE_REMOVE || o->advice == QUIRE_REMOVE || o->advice == QUIRE_DONTNEED)
		return error_set(-EINVAL, ".advice is %u", o->advice);
	if (o->numa > QUIRE_NUMA_PREFERRED)
		return error_set(-EINVAL, ".numa is %u", o->numa);
	if ((o->numa == QUIRE_NUMA_DEFAULT) != (o->numa_nodes == 0))
		return error_set(-EINVAL, ".numa and .numa_nodes go together");
	if (o->engine > QUIRE_ENGINE_AUTO)
		return error_set(-EINVAL, ".engine is %u", o->engine);
	return prot_check(o->protection);
}

static int check_place(const struct quire_map_options *o)
{
	uintptr_t address = (uintptr_t)o->address;

	if (o->placement == QUIRE_PLACE_EXACT && (address == 0 || !is_aligned(address, PAGE_BYTES)))
		return error_set(-EINVAL, ".address %p is not a page boundary", o->address);
	if (o->placement != QUIRE_PLACE_ANYWHERE && o->inside != NULL)
		return error_set(-EINVAL, ".inside already says where: leave .placement alone");
	if (o->inside != NULL && o->inside->kind != QUIRE_RESERVED)
		return error_set(-EINVAL, ".inside is not a reservation (quire_reserve)");
	if (o->inside != NULL && o->reserve_bytes != 0)
		return error_set(-EINVAL, "what stands in a reservation cannot keep addresses of its own");
	if (o->inside == NULL && (o->inside_offset != 0 || (o->flags & QUIRE_REPLACE) != 0))
		return error_set(-EINVAL, ".inside_offset and QUIRE_REPLACE need .inside");
	if (!is_aligned(o->inside_offset, PAGE_BYTES))
		return error_set(-EINVAL, ".inside_offset %zu is not a page multiple", o->inside_offset);
	return 0;
}

static int check_sense(const struct quire_map_options *o, int fd)
{
	bool file_like = o->kind == QUIRE_FILE || o->kind == QUIRE_SHM || o->kind == QUIRE_DEVICE;
	bool anonymous = o->kind == QUIRE_ANON || o->kind == QUIRE_RESERVED;

	if (o->object != NULL)
		return 0; /* it has all there is to know of itself */
	if (file_like && fd < 0 && o->path == NULL)
		return error_set(-EINVAL, "a file needs .path, or quire_map_fd");
	if (!file_like && o->length == 0)
		return error_set(-EINVAL, ".length is 0");
	if (anonymous && o->offset != 0)
		return error_set(-EINVAL, "anonymous memory has no .offset");
	if (o->kind == QUIRE_SECRET && o->sharing == QUIRE_PRIVATE)
		return error_set(-EINVAL, "secret memory is shared only");
	if ((o->flags & QUIRE_SYNC) != 0 && (o->sharing != QUIRE_SHARED || anonymous))
		return error_set(-EINVAL, "QUIRE_SYNC needs a shared file");
	if ((o->flags & QUIRE_STACK) != 0 && (o->kind != QUIRE_ANON || o->sharing != QUIRE_PRIVATE))
		return error_set(-EINVAL, "a stack is private anonymous memory");
	if (o->fork == QUIRE_FORK_WIPE && (!anonymous || o->sharing != QUIRE_PRIVATE))
		return error_set(-EINVAL, "only private anonymous memory can be wiped on fork");
	if (o->page_bytes != 0 && o->page_bytes != (size_t)1 << 21 && o->page_bytes != (size_t)1 << 30)
		return error_set(-EINVAL, ".page_bytes is %zu: 2 MiB and 1 GiB are known", o->page_bytes);
	if (o->page_bytes != 0 && o->kind != QUIRE_ANON && o->kind != QUIRE_MEMFD)
		return error_set(-EINVAL, "huge pages are for anonymous memory and memfds");
	return 0;
}

/* Paged mappings stand in their pool's address space, and the kernel's own kinds of memory have no pages to give. */
static int check_paged(const struct quire_map_options *o)
{
	const uint32_t impossible = QUIRE_SYNC | QUIRE_STACK;

	if (o->engine == QUIRE_ENGINE_NATIVE) {
		if (o->pool != NULL || o->cache_bytes != 0 || o->object != NULL)
			return error_set(
				-EINVAL, ".pool, .cache_bytes and .object need QUIRE_ENGINE_PAGED or AUTO");
		if ((o->flags & QUIRE_ORDERED) != 0)
			return error_set(-EINVAL,
				"QUIRE_ORDERED needs QUIRE_ENGINE_PAGED: the kernel writes back in an order of its own");
		return 0;
	}
	if (o->pool != NULL && o->cache_bytes != 0)
		return error_set(-EINVAL, ".pool has its own bound: leave .cache_bytes alone");
	if (o->pool == NULL && o->cache_bytes == 0)
		return error_set(-EINVAL, "a paged mapping needs .pool or .cache_bytes");
	if (o->object != NULL && o->path != NULL)
		return error_set(-EINVAL, ".object and .path both say where the bytes come from");
	if ((o->flags & impossible) != 0 || o->page_bytes != 0 || o->inside != NULL)
		return error_set(-EINVAL, "paged mappings have no MAP_SYNC, stacks, huge pages or .inside");
	if ((o->flags & QUIRE_ORDERED) != 0 && o->sharing != QUIRE_SHARED)
		return error_set(
			-EINVAL, "QUIRE_ORDERED is for shared mappings: private stores go to no file");
	if (o->kind == QUIRE_SECRET || o->kind == QUIRE_DEVICE || o->kind == QUIRE_RESERVED)
		return error_set(-EINVAL, "this kind of memory cannot be paged");
	return 0;
}

static void fill_defaults(struct quire_map_options *o, int fd)
{
	bool file_like;

	if (o->engine == QUIRE_ENGINE_AUTO && o->pool == NULL && o->cache_bytes == 0 && o->object == NULL)
		o->engine = QUIRE_ENGINE_NATIVE;
	if (o->kind == QUIRE_KIND_AUTO)
		o->kind = o->path != NULL || fd >= 0 || o->object != NULL ? QUIRE_FILE : QUIRE_ANON;
	file_like = o->kind == QUIRE_FILE || o->kind == QUIRE_SHM || o->kind == QUIRE_DEVICE;
	if (o->sharing == QUIRE_SHARING_DEFAULT)
		o->sharing = o->kind == QUIRE_ANON || o->kind == QUIRE_RESERVED ? QUIRE_PRIVATE
										: QUIRE_SHARED;
	if (o->protection == QUIRE_PROTECTION_DEFAULT)
		o->protection = file_like && (o->flags & QUIRE_CREATE) == 0 ? QUIRE_READ
									    : QUIRE_READ | QUIRE_WRITE;
	if (o->mode == 0)
		o->mode = 0600;
	if (o->guard_bytes == 0)
		o->guard_bytes = GUARD_BYTES_DEFAULT;
}

int map_options_check(struct quire_map_options *o, int fd, uint32_t guard_default)
{
	int r;

	r = check_enums(o);
	if (r < 0)
		return r;

	fill_defaults(o, fd);
	r = check_place(o);
	if (r == 0)
		r = check_sense(o, fd);
	if (r == 0)
		r = check_paged(o);
	if (r == 0 && fd >= 0 && (o->kind != QUIRE_FILE || o->path != NULL))
		r = error_set(-EINVAL, "a descriptor was given: .path and .kind do not go with it");
	if (o->guard == QUIRE_GUARD_DEFAULT)
		o->guard = guard_default == QUIRE_GUARD_DEFAULT ? QUIRE_GUARD_OFF : guard_default;
	return r;
}
