/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/mappers.c - which processes map a file.
 *
 * /proc/PID/maps names a file by device and inode. On btrfs and overlayfs these are not the ones that fstat tells, so
 * the file is mapped for a moment, without any permission, and we read how the kernel names it in our own maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "base/align.h"
#include "base/error.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/pids.h"
#include "sys/proc.h"

/* How the kernel's maps name a file. */
struct map_identity {
	uint32_t major;
	uint32_t minor;
	uint64_t inode;
};

struct quire_mappers {
	uint64_t hidden;
	struct map_identity file;
	struct pids pids;
};

static int find_in_own_maps(uintptr_t address, struct map_identity *file)
{
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps;
	int r = quire_maps_open(0, 0, &maps);

	if (r < 0)
		return r;
	while ((r = quire_maps_next(maps, &mapping)) == 1)
		if (mapping.start <= address && address < mapping.end)
			break;
	quire_maps_close(maps);
	if (r != 1)
		return -ENOENT;
	*file = (struct map_identity){ mapping.device_major, mapping.device_minor, mapping.inode };
	return 0;
}

/* Mapping sets the access time unless the descriptor forbids it; then what fstat says must do. */
static int identify(int fd, struct map_identity *file)
{
	struct stat stat;
	uintptr_t at;
	int r = sys_fstat(fd, &stat);

	if (r < 0)
		return r;
	*file = (struct map_identity){ major(stat.st_dev), minor(stat.st_dev), stat.st_ino };
	r = sys_status_flags(fd);
	if (r < 0 || (r & O_NOATIME) == 0)
		return r < 0 ? r : 0;
	/* A probe mapping. */
	if (sys_mmap(0, PAGE_BYTES, PROT_NONE, MAP_SHARED, fd, 0, &at) < 0)
		return 0; /* what cannot be mapped is mapped by nobody, or (huge pages) named as fstat names it */

	(void)find_in_own_maps(at, file);
	(void)sys_munmap(at, PAGE_BYTES); /* a probe mapping of our own can be unmapped */
	return 0;
}

int quire_mappers_open(int fd, struct quire_mappers **mappers)
{
	struct map_identity file;
	struct quire_mappers *new;
	int r;

	if (mappers == NULL)
		return error_set(-EINVAL, "quire_mappers_open: no place for the handle");
	error_clear();
	r = identify(fd, &file);
	if (r < 0)
		return error_default(r, "the descriptor cannot be looked at");

	new = malloc(sizeof(*new));
	if (new == NULL)
		return error_set(-ENOMEM, "no memory for a list of processes");
	r = pids_open(&new->pids);
	if (r < 0) {
		free(new);
		return error_set(r, "/proc is not there: nobody can say which process maps what");
	}
	new->hidden = 0;
	new->file = file;
	*mappers = new;
	return 0;
}

/* Pages of the file, not private copies of them. */
static uint64_t count_present(int pid, const struct quire_mapping *mapping)
{
	const uint32_t both = QUIRE_PAGE_PRESENT | QUIRE_PAGE_FILE;
	struct quire_pages *pages;
	struct quire_run run;
	uint64_t sum = 0;

	if (quire_pages_open(pid, mapping->start, mapping->end - mapping->start, &pages) < 0)
		return QUIRE_UNKNOWN;
	while (quire_pages_next(pages, &run) == 1)
		sum += (run.state & both) == both ? run.pages : 0;
	quire_pages_close(pages);
	return sum << PAGE_SHIFT;
}

static void add_mapping(const struct quire_mapping *mapping, struct quire_mapper *mapper)
{
	uint64_t present = count_present(mapper->pid, mapping);

	if (present == QUIRE_UNKNOWN || mapper->present_bytes == QUIRE_UNKNOWN)
		mapper->present_bytes = QUIRE_UNKNOWN;
	else
		mapper->present_bytes += present;
	mapper->mappings++;
	mapper->mapped_bytes += mapping->end - mapping->start;
	mapper->flags |= mapping->flags &
		(QUIRE_MAPPING_READ | QUIRE_MAPPING_WRITE | QUIRE_MAPPING_EXECUTE | QUIRE_MAPPING_SHARED);
	/* A private mapping's stores never reach the file. */
	if ((mapping->flags & (QUIRE_MAPPING_SHARED | QUIRE_MAPPING_WRITE)) ==
		(QUIRE_MAPPING_SHARED | QUIRE_MAPPING_WRITE))
		mapper->writes = 1;
}

/* Fills in what one process maps of the file; 0 when nothing. */
static int look_into(struct quire_mappers *mappers, int pid, struct quire_mapper *mapper)
{
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps;
	int r = quire_maps_open(pid, 0, &maps);

	if (r == -EACCES || r == -EPERM)
		mappers->hidden++;
	if (r < 0)
		return 0;
	mapper->pid = pid;
	mapper->mappings = 0;
	mapper->mapped_bytes = 0;
	mapper->present_bytes = 0;
	mapper->flags = 0;
	mapper->writes = 0;
	while (quire_maps_next(maps, &mapping) == 1)
		if (mapping.inode == mappers->file.inode && mapping.device_major == mappers->file.major &&
			mapping.device_minor == mappers->file.minor && mapping.inode != 0)
			add_mapping(&mapping, mapper);
	quire_maps_close(maps);
	return mapper->mappings != 0;
}

int quire_mappers_next(struct quire_mappers *mappers, struct quire_mapper *mapper)
{
	struct quire_process process = { .size = sizeof(process) };
	struct quire_mapper found = { .size = 0 };
	int pid;

	if (mappers == NULL || mapper == NULL || mapper->size < sizeof(*mapper))
		return error_set(-EINVAL, "quire_mappers_next: mapper.size is not set");

	while ((pid = pids_next(&mappers->pids)) > 0) {
		if (look_into(mappers, pid, &found) == 0)
			continue;
		found.size = mapper->size;
		found.user = UINT32_MAX;
		found.name[0] = '\0';
		if (quire_process_read(pid, 0, &process) == 0) {
			found.user = process.user;
			(void)snprintf(found.name, sizeof(found.name), "%s", process.name);
		}
		*mapper = found;
		return 1;
	}
	return 0;
}

uint64_t quire_mappers_hidden(const struct quire_mappers *mappers)
{
	return mappers == NULL ? 0 : mappers->hidden;
}

void quire_mappers_close(struct quire_mappers *mappers)
{
	if (mappers == NULL)
		return;
	pids_close(&mappers->pids);
	free(mappers);
}
