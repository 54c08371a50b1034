/* SPDX-License-Identifier: Apache-2.0 */
/* api/guard.c - errors instead of signals: what happened, repair, QUIRE_TRY. Guarded copies are in trap/copy.S. */
#include "pmap/guard.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <quire/guard.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "trap/trap.h"

static const char *cause_text(uint32_t cause)
{
	switch ((enum quire_cause)cause) {
	case QUIRE_CAUSE_TRUNCATED:
		return "the file was truncated: the offset lies behind its end; when it has grown back, quire_map_repair "
		       "shows it again";
	case QUIRE_CAUSE_IO: return "the device or the filesystem could not read the block (see dmesg)";
	case QUIRE_CAUSE_NO_SPACE:
		return "the filesystem is full and the page was a hole: free space and quire_map_repair, or preallocate";
	case QUIRE_CAUSE_NO_HUGE_PAGE:
		return "the pool of huge pages is empty: raise nr_hugepages and quire_map_repair";
	case QUIRE_CAUSE_CHECKSUM:
		return "the bytes that were read are not those that were written: the checksum differs";
	case QUIRE_CAUSE_NO_FRAME:
		return "the pool is full of pages that cannot go (pinned, locked, private without room in a swap file, or "
		       "not to be written: quire_map_flush says why)";
	case QUIRE_CAUSE_NOT_PINNED:
		return "the pool answers no faults (QUIRE_DELIVERY_PIN): quire_map_pin() it before, or quire_map_try_read()";
	case QUIRE_CAUSE_POISON: return "the memory is broken or was poisoned";
	case QUIRE_CAUSE_NONE:
	case QUIRE_CAUSE_UNKNOWN:
	default: return "the kernel refused the page, and neither size, reads nor free space say why";
	}
}

static int explain(const struct quire_map *map, const char *doing, const struct quire_fault *fault)
{
	return error_set(fault->error, "%s: %s at offset %" PRIu64 ": %s",
		map->name == NULL ? "mapping" : map->name, doing, fault->offset, cause_text(fault->cause));
}

int fault_explain(const struct quire_map *map, const struct quire_fault *fault)
{
	return explain(map, fault->write ? "store" : "load", fault);
}

void copy_explain(struct guard *guard, const struct quire_fault *fault)
{
	(void)explain(CONTAINER_OF(guard, struct quire_map, guard), "guarded copy", fault);
}

int map_error(const struct quire_map *map)
{
	struct quire_fault fault;
	int r = guard_error(&map->guard, &fault);

	return r < 0 ? fault_explain(map, &fault) : 0;
}

int quire_map_error(struct quire_map *map, struct quire_fault *out)
{
	struct quire_fault fault;
	size_t room;
	int r;

	error_clear();
	if (map == NULL)
		return error_set(-EINVAL, "no mapping was given");
	if (out != NULL && out->size < sizeof(out->size))
		return error_set(-EINVAL, "fault.size is %zu", out->size);
	r = guard_error(&map->guard, &fault);
	if (r == 0)
		return 0;
	if (out != NULL) {
		room = min_u64(out->size, sizeof(fault));
		fault.size = room;
		memcpy(out, &fault, room);
	}
	return fault_explain(map, &fault);
}

int quire_map_repair(struct quire_map *map)
{
	int r;

	error_clear();
	if (map == NULL)
		return error_set(-EINVAL, "no mapping was given");
	if (pool_is_ours(map->pool) < 0)
		return -ECHILD;
	r = map_not_held(map);
	if (r == 0)
		r = map->pool != NULL ? paged_repair(map) : guard_repair(&map->guard);
	if (r < 0 && map_error(map) == 0)
		return error_default(r, "not all pages could be shown again: %s", strerror(-r));
	return r;
}

int quire_map_check(const struct quire_map *map)
{
	error_clear();
	if (map != NULL && map->guard.policy == QUIRE_GUARD_DEFAULT)
		return error_set(-EINVAL, "the mapping is not guarded: open it with .guard");
	return trap_check();
}

/* ---- QUIRE_TRY ---- */

int quire_try_enter(struct quire_landing *landing)
{
	if (landing == NULL)
		return error_set(-EINVAL, "no landing place");
	trap_land_push(landing);
	return 1;
}

void quire_try_leave(struct quire_landing *landing)
{
	trap_land_pop(landing);
}
