/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/kernel.h"

#include <string.h>

#include "pmap/limits.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/probe.h"
#include "sys/uapi.h"

/* MPOL_MF_MOVE; <numaif.h> is libnuma's, and the number is ABI. */
enum { MOVE_PAGES = 1 << 1 };

static int explain(int r, const struct pmap_span *span)
{
	struct pmap_range range = { .start = span->start, .end = span->end };

	return r < 0 ? limits_explain(r, &range) : r;
}

int kernel_advise(const struct pmap_span *span, int advice)
{
	return explain(sys_madvise(span->start, span->end - span->start, advice), span);
}

int kernel_sync(const struct pmap_span *span, bool wait)
{
	return sys_msync(span->start, span->end - span->start, wait ? MS_SYNC : MS_ASYNC);
}

int kernel_lock(const struct pmap_span *span, bool on_fault)
{
	struct pmap_range range = { .start = span->start, .end = span->end, .flags = PMAP_LOCKED };
	int r = sys_mlock(span->start, span->end - span->start, on_fault ? MLOCK_ONFAULT : 0);

	return r < 0 ? limits_explain(r, &range) : r;
}

int kernel_drop(const struct pmap_span *spans, size_t span_count)
{
	_Static_assert(sizeof(*spans) == 2 * sizeof(uintptr_t), "sys_drop takes pairs");
	int r = 0;

	if (span_count > 1 && sys_has(PROBE_PROCESS_MADVISE) && sys_drop(&spans->start, span_count) == 0)
		return 0;
	for (size_t i = 0; r == 0 && i < span_count; i++)
		r = kernel_advise(&spans[i], MADV_DONTNEED);
	return r;
}

int kernel_unlock(const struct pmap_span *span)
{
	return explain(sys_munlock(span->start, span->end - span->start), span);
}

int kernel_resident(const struct pmap_span *span, unsigned char *pages)
{
	return sys_mincore(span->start, span->end - span->start, pages);
}

int kernel_place(const struct pmap_span *span, const struct pmap_nodes *nodes)
{
	return sys_mbind(span->start, span->end - span->start, nodes->mode,
		nodes->bits == 0 ? NULL : &nodes->bits, MOVE_PAGES);
}

bool kernel_has_transparent(bool file)
{
	char text[128];
	const char *path = file ? "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
				: "/sys/kernel/mm/transparent_hugepage/enabled";

	return sys_read_small(path, text, sizeof(text)) > 0 && strstr(text, "[never]") == NULL &&
		strstr(text, "[deny]") == NULL;
}

int kernel_name(const struct pmap_span *span, const char *name)
{
	return sys_name_anonymous(span->start, span->end - span->start, name);
}

/* mremap to a fixed address clobbers what is there: take the place first, so that an occupied one is an error. */
static int take_place(uintptr_t start, size_t length)
{
	uintptr_t got;

	return sys_mmap(start, length, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0, &got);
}

int kernel_move(
	struct pmap *pmap, struct pmap_range *range, enum pmap_how how, uintptr_t start, size_t length)
{
	size_t now = range->end - range->start;
	/* What a limit is asked about: the growth, or all of it where that was not the trouble. */
	struct pmap_range more = *range;
	bool in_place = start == range->start;
	int flags = in_place ? 0 : MREMAP_MAYMOVE | (how == PMAP_EXACT ? MREMAP_FIXED : 0);
	bool claimed;
	int r = 0;

	more.start = start;
	more.end = start + (length > now ? length - now : length);
	if (how == PMAP_EXACT && !in_place)
		r = take_place(start, length);
	if (r < 0)
		return limits_explain(r, &more);

	claimed = pmap_claim(pmap);
	r = sys_mremap(range->start, range->end - range->start, length, flags, start, &start);
	if (claimed)
		pmap_claim_release(pmap);
	if (r < 0) {
		if (how == PMAP_EXACT && !in_place)
			(void)sys_munmap(start, length);
		return limits_explain(r, &more);
	}
	range->start = start;
	range->end = start + length;
	return 0;
}
