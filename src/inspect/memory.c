/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/memory.c - the memory of the machine, in sums: /proc/meminfo. */
#include <errno.h>
#include <quire/inspect.h>
#include <string.h>

#include "base/error.h"
#include "inspect/lines.h"
#include "sys/file.h"

/* A figure without a unit, such as HugePages_Total. */
static uint64_t field_count(const char *text, const char *key)
{
	uint64_t bytes = field_bytes(text, key);

	return bytes == QUIRE_UNKNOWN ? QUIRE_UNKNOWN : bytes >> 10;
}

int quire_memory_read(struct quire_memory *memory)
{
	char text[8192];
	ssize_t n;

	if (memory == NULL || memory->size < sizeof(*memory))
		return error_set(-EINVAL, "quire_memory_read: memory.size is not set");
	n = sys_read_small("/proc/meminfo", text, sizeof(text));
	if (n < 0)
		return error_set((int)n, "/proc/meminfo cannot be read");

	memory->total_bytes = field_bytes(text, "MemTotal");
	memory->free_bytes = field_bytes(text, "MemFree");
	memory->available_bytes = field_bytes(text, "MemAvailable");
	memory->cached_bytes = field_bytes(text, "Cached");
	memory->buffer_bytes = field_bytes(text, "Buffers");
	memory->shared_bytes = field_bytes(text, "Shmem");
	memory->anonymous_bytes = field_bytes(text, "AnonPages");
	memory->dirty_bytes = field_bytes(text, "Dirty");
	memory->writing_bytes = field_bytes(text, "Writeback");
	memory->reclaimable_bytes = field_bytes(text, "SReclaimable");
	memory->swap_bytes = field_bytes(text, "SwapTotal");
	memory->swap_free_bytes = field_bytes(text, "SwapFree");
	memory->committed_bytes = field_bytes(text, "Committed_AS");
	memory->commit_limit_bytes = field_bytes(text, "CommitLimit");
	memory->huge_page_bytes = field_bytes(text, "Hugepagesize");
	memory->huge_pages = field_count(text, "HugePages_Total");
	memory->huge_pages_free = field_count(text, "HugePages_Free");
	return 0;
}
