/* SPDX-License-Identifier: Apache-2.0 */
/* api/describe.c - what a handle knows, as figures and as a line of words. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "object/file.h"

static const char *const kind_names[] = { "?", "anonymous memory", "file", "memfd", "secret memory",
	"shared memory", "device", "reserved addresses" };

static void stat_object(struct quire_map *map, struct quire_map_stat *stat)
{
	uint64_t size;
	uint64_t shown_end = map->offset + map->length;

	if (map_object(map) == NULL || object_size(map_object(map), &size) < 0)
		return;
	stat->object_bytes = size;
	/* Only the page that holds the end of the file has a tail; pages behind it are dead. */
	if (shown_end >= size && size > 0)
		stat->zero_tail_bytes = align_up(size, PAGE_BYTES) - size;
}

static void stat_fill(struct quire_map *map, struct quire_map_stat *stat)
{
	struct quire_fault fault;
	uint64_t pages;
	struct seg seg;

	stat->kind = map->kind;
	stat->sharing = map->sharing;
	stat->guard = map->guard.policy == QUIRE_GUARD_DEFAULT ? QUIRE_GUARD_OFF : map->guard.policy;
	stat->engine = map->pool != NULL ? "paged" : "native";
	stat->name = map->name;
	stat->address = quire_map_address(map);
	stat->length = map->length;
	stat->reserved_bytes = map->outer_end - map->start;
	stat->offset = map->offset;
	stat->page_bytes = map->page_bytes;
	stat->transparent = map->transparent;
	stat->segments = as_count(map_as(map), map->start, map->end);
	if (as_find(map_as(map), map->start, &seg) && seg.range.start < map->end)
		stat->protection = seg.range.prot == 0 ? QUIRE_NO_ACCESS : seg.range.prot;
	if (guard_error(&map->guard, &fault) < 0)
		stat->faults = fault.count;
	stat->resident_bytes = UINT64_MAX;
	if (map->kind != QUIRE_RESERVED && quire_map_residency(map, 0, QUIRE_TO_END, NULL, &pages) >= 0)
		stat->resident_bytes = pages * PAGE_BYTES;
	stat_object(map, stat);
}

int quire_map_stat(struct quire_map *map, struct quire_map_stat *out)
{
	struct quire_map_stat stat;
	size_t room;

	error_clear();
	if (map == NULL || out == NULL || out->size < sizeof(out->size))
		return error_set(-EINVAL, "quire_map_stat: no mapping, or stat.size is not set");
	memset(&stat, 0, sizeof(stat));
	room = min_u64(out->size, sizeof(stat));
	stat_fill(map, &stat);
	stat.size = room;
	memcpy(out, &stat, room);
	return 0;
}

static const char *size_text(uint64_t bytes, char *text, size_t text_bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_COUNT(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(text, text_bytes, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return text;
}

static const char *protection_text(uint32_t protection)
{
	static const char *const names[] = { "no access", "read", "write", "read+write", "execute",
		"read+execute" };

	return protection < ARRAY_COUNT(names) ? names[protection] : "no access";
}

static const char *resident_text(const struct quire_map_stat *stat, char *text, size_t text_bytes)
{
	if (stat->kind == QUIRE_RESERVED)
		return "nothing placed";
	if (stat->resident_bytes == UINT64_MAX)
		return "residency not told to this user";
	(void)snprintf(text, text_bytes, "%" PRIu64 " of %" PRIu64 " pages resident",
		stat->resident_bytes / PAGE_BYTES, (stat->length + PAGE_BYTES - 1) / PAGE_BYTES);
	return text;
}

int quire_map_describe(struct quire_map *map, char *text, size_t text_bytes)
{
	struct quire_map_stat stat = { .size = sizeof(stat) };
	char size[32];
	char resident[64];
	char faults[64];
	int r;

	if (map == NULL || (text == NULL && text_bytes > 0))
		return error_set(-EINVAL, "quire_map_describe: no mapping, or no room");
	r = quire_map_stat(map, &stat);
	if (r < 0)
		return r;
	if (stat.faults == 0)
		(void)snprintf(faults, sizeof(faults), "no errors");
	else
		(void)snprintf(faults, sizeof(faults), "%" PRIu64 " pages could not be served", stat.faults);

	return snprintf(text, text_bytes, "%s of %s%s%s, %s, %s, at %p, %s engine, %s, %s",
		size_text(stat.length, size, sizeof(size)), kind_names[stat.kind],
		stat.name == NULL ? "" : " ", stat.name == NULL ? "" : stat.name,
		stat.sharing == QUIRE_SHARED ? "shared" : "private", protection_text(stat.protection),
		stat.address, stat.engine, resident_text(&stat, resident, sizeof(resident)), faults);
}
