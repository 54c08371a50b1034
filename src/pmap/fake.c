/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/fake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"

/* A fault that is answered and found unanswered so often is a mistake in vm, not bad luck. */
enum { FILLS_MAX = 1000 };

static struct fake *of(struct pmap *pmap)
{
	return CONTAINER_OF(pmap, struct fake, pmap);
}

/* Counts a call, and says whether this is the one that shall fail. Holds the memory's lock afterwards. */
static int begin_call(struct fake *fake, enum fake_op op)
{
	spin_take(&fake->memory->lock);
	fake->calls[op]++;
	return fake->calls[op] == fake->fail_at[op] ? fake->fail_with : 0;
}

static void end_call(struct fake *fake)
{
	spin_give(&fake->memory->lock);
}

static struct fake_entry *entry(const struct fake *fake, uintptr_t va)
{
	size_t i = (va - fake->base) >> PAGE_SHIFT;

	return va < fake->base || i >= fake->entry_count ? NULL : &fake->entries[i];
}

/* ---- the operations ---- */

static int fake_attach(struct pmap *pmap, struct pmap_range *range, enum pmap_how how)
{
	struct fake *fake = of(pmap);
	int r = begin_call(fake, FAKE_ATTACH);

	assert(how == PMAP_EXACT || how == PMAP_REPLACE); /* it does not choose */
	if (r == 0 && (entry(fake, range->start) == NULL || entry(fake, range->end - 1) == NULL))
		r = -ENOMEM;
	for (uintptr_t va = range->start; r == 0 && va < range->end; va += PAGE_BYTES) {
		struct fake_entry *e = &fake->entries[(va - fake->base) >> PAGE_SHIFT];

		assert(!e->attached); /* P1 */
		assert(e->frame_plus_1 == 0);
		*e = (struct fake_entry){ .attached = true };
	}
	end_call(fake);
	return r;
}

static int stage_one(struct fake *fake, const struct pmap_page *page, void **memory)
{
	struct fake_memory *own = fake->memory;
	unsigned char *bytes = own->bytes + page->frame * PAGE_BYTES;
	int r;

	assert(page->frame < own->frame_count);
	if (memory == NULL) {
		spin_take(&own->lock);
		own->staged[page->frame] = false;
		memset(bytes, 0xa5, PAGE_BYTES); /* whoever still looks shall see that it is wrong */
		spin_give(&own->lock);
		return 0;
	}
	r = begin_call(fake, FAKE_STAGE);
	if (own->staged[page->frame])
		r = 0;
	if (r == 0) {
		own->staged[page->frame] = true;
		*memory = bytes;
	}
	end_call(fake);
	return r;
}

static int fake_stage(struct pmap *pmap, struct pmap_page *const *pages, uint32_t count, void **memory)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = stage_one(of(pmap), pages[i], memory == NULL ? NULL : &memory[i]);
	return r;
}

static void make_entry(struct fake *fake, uintptr_t va, const struct pmap_page *page, unsigned int prot)
{
	struct fake_entry *e = entry(fake, va);

	assert(e != NULL && e->attached); /* P1 */
	assert(fake->memory->staged[page->frame]);
	/* A note of a store is good until the page is entered anew: asking does not take it away. */
	e->written = (prot & PMAP_WRITTEN) != 0 || (e->written && e->frame_plus_1 == page->frame + 1);
	e->frame_plus_1 = page->frame + 1;
	e->prot = (uint8_t)(fake->broken_copy ? prot | PMAP_WRITE : prot);
	e->poisoned = false;
}

static int fake_enter(
	struct pmap *pmap, uintptr_t va, struct pmap_page *const *pages, uint32_t count, unsigned int prot)
{
	struct fake *fake = of(pmap);
	int r = begin_call(fake, FAKE_ENTER);

	for (uint32_t i = 0; r == 0 && i < count; i++)
		make_entry(fake, va + (uintptr_t)i * PAGE_BYTES, pages[i], prot);
	end_call(fake);
	return r;
}

static int fake_protect(struct pmap *pmap, const struct pmap_range *range)
{
	struct fake *fake = of(pmap);
	int r = begin_call(fake, FAKE_PROTECT);

	for (uintptr_t va = range->start; r == 0 && va < range->end; va += PAGE_BYTES) {
		struct fake_entry *e = entry(fake, va);

		assert(e != NULL && e->attached); /* P1 */
		e->prot &= range->prot;
	}
	end_call(fake);
	return r;
}

static int fake_remove(struct pmap *pmap, const struct pmap_span *spans, size_t span_count)
{
	struct fake *fake = of(pmap);
	uintptr_t before = 0;
	int r = begin_call(fake, FAKE_REMOVE);

	/* Half of it is done, as by an engine that stops where it fails. */
	if (r < 0)
		span_count /= 2;
	for (size_t i = 0; i < span_count; i++) {
		assert(spans[i].start >= before); /* sorted */
		before = spans[i].end;
		for (uintptr_t va = spans[i].start; va < spans[i].end; va += PAGE_BYTES) {
			struct fake_entry *e = entry(fake, va);

			if (e == NULL || !e->attached) {
				r = r < 0
					? r
					: -ENOENT; /* as an engine that would meet a stranger's memory there */
				continue;
			}
			e->frame_plus_1 = 0;
			e->prot = 0;
			e->poisoned = false;
		}
	}
	end_call(fake);
	return r;
}

static bool was_written(struct fake *fake, uintptr_t va, bool anew)
{
	struct fake_entry *e;
	bool written;

	spin_take(&fake->memory->lock);
	e = entry(fake, va);
	written = e != NULL && e->written;
	assert(!anew || e == NULL || e->frame_plus_1 == 0); /* out of reach */
	if (written && anew)
		e->written = false;
	spin_give(&fake->memory->lock);
	return written;
}

/* vm's answer takes locks of its own, so it is called without ours. */
static int fake_harvest(
	struct pmap *pmap, const struct pmap_span *span, bool anew, pmap_written_fn *written, void *user)
{
	struct fake *fake = of(pmap);
	int r = begin_call(fake, FAKE_HARVEST);

	end_call(fake);
	for (uintptr_t va = span->start; r == 0 && va < span->end; va += PAGE_BYTES) {
		const struct pmap_span page = { va, va + PAGE_BYTES };

		if (was_written(fake, va, anew))
			written(user, &page);
	}
	return r;
}

static int fake_poison(struct pmap *pmap, uintptr_t va)
{
	struct fake *fake = of(pmap);
	struct fake_entry *e = entry(fake, va);
	int r = begin_call(fake, FAKE_POISON);

	if (r == 0 && e != NULL && e->attached)
		e->poisoned = true;
	end_call(fake);
	return r;
}

static int fake_detach(struct pmap *pmap, const struct pmap_span *span)
{
	struct fake *fake = of(pmap);
	int r = begin_call(fake, FAKE_DETACH);

	for (uintptr_t va = span->start; r == 0 && va < span->end; va += PAGE_BYTES) {
		struct fake_entry *e = entry(fake, va);

		/* Holes are allowed, as munmap's are. */
		if (e != NULL)
			*e = (struct fake_entry){ .attached = false };
	}
	end_call(fake);
	return r;
}

static const struct pmap_ops fake_ops = {
	.attach = fake_attach,
	.stage = fake_stage,
	.enter = fake_enter,
	.protect = fake_protect,
	.remove = fake_remove,
	.harvest = fake_harvest,
	.poison = fake_poison,
	.detach = fake_detach,
};

/* ---- the MMU ---- */

static bool allows(const struct fake_entry *e, unsigned int access)
{
	if (e == NULL || e->frame_plus_1 == 0)
		return false;
	return access == PMAP_WRITE ? (e->prot & PMAP_WRITE) != 0 : e->prot != 0;
}

/* One access within a page, when it is entered: 1; 0: it is not; -EIO: it is poisoned. */
static int access_page(
	struct fake *fake, uintptr_t va, unsigned char *to, const unsigned char *from, size_t bytes)
{
	struct fake_memory *memory = fake->memory;
	struct fake_entry *e = entry(fake, va);
	int r = 0;

	spin_take(&memory->lock);
	if (allows(e, from != NULL ? PMAP_WRITE : PMAP_READ)) {
		uint32_t frame = e->frame_plus_1 - 1;
		unsigned char *at = memory->bytes + frame * PAGE_BYTES + va % PAGE_BYTES;

		assert(memory->staged[frame]);
		e->written = e->written || from != NULL;
		memcpy(from != NULL ? at : to, from != NULL ? from : at, bytes);
		r = 1;
	} else if (e != NULL && e->poisoned) {
		r = -EIO;
	}
	spin_give(&memory->lock);
	return r;
}

/* The same, faulted in if need be. */
static int access_faulting(
	struct fake *fake, uintptr_t va, unsigned char *to, const unsigned char *from, size_t bytes)
{
	for (int i = 0; i < FILLS_MAX; i++) {
		struct pmap_question question = {
			.kind = PMAP_FILL,
			.va = va,
			.access = from != NULL ? PMAP_WRITE : PMAP_READ,
			.allocate = true,
		};
		int r = access_page(fake, va, to, from, bytes);

		if (r != 0)
			return r < 0 ? r : 0;
		atomic_fetch_add(&fake->fills, 1);
		r = fake->pmap.up(fake->pmap.above, &question);
		if (r < 0)
			return r;
	}
	return -ELOOP;
}

static int access_bytes(struct fake *fake, uintptr_t va, unsigned char *to, const unsigned char *from,
	size_t bytes, uintptr_t *at)
{
	assert((from == NULL) != (to == NULL));
	while (bytes > 0) {
		size_t now = (size_t)min_u64(bytes, PAGE_BYTES - va % PAGE_BYTES);
		int r;

		*at = va;
		r = access_faulting(fake, va, to, from, now);
		if (r < 0)
			return r;
		from = from != NULL ? from + now : NULL;
		to = to != NULL ? to + now : NULL;
		va += now;
		bytes -= now;
	}
	return 0;
}

int fake_load(struct fake *fake, uintptr_t va, void *to, size_t bytes, uintptr_t *at)
{
	return access_bytes(fake, va, to, NULL, bytes, at);
}

int fake_store(struct fake *fake, uintptr_t va, const void *from, size_t bytes, uintptr_t *at)
{
	return access_bytes(fake, va, NULL, from, bytes, at);
}

bool fake_present(const struct fake *fake, uintptr_t va)
{
	const struct fake_entry *e = entry(fake, va);

	return e != NULL && e->frame_plus_1 != 0;
}

/* ---- begin and end ---- */

int fake_memory_init(struct fake_memory *memory, uint32_t frame_count)
{
	*memory = (struct fake_memory){ .frame_count = frame_count };
	memory->bytes = malloc((size_t)frame_count * PAGE_BYTES);
	memory->staged = calloc(frame_count, sizeof(bool));
	if (memory->bytes != NULL && memory->staged != NULL)
		return 0;
	fake_memory_done(memory);
	return -ENOMEM;
}

void fake_memory_done(struct fake_memory *memory)
{
	free(memory->bytes);
	free(memory->staged);
	*memory = (struct fake_memory){ .bytes = NULL };
}

int fake_init(struct fake *fake, struct fake_memory *memory, uintptr_t base, size_t page_count,
	unsigned int can, pmap_up_fn *up, void *above)
{
	memset(fake, 0, sizeof(*fake));
	pmap_init(&fake->pmap, &fake_ops, can | PMAP_CAN_POISON, up, above);
	fake->memory = memory;
	fake->base = base;
	fake->entry_count = page_count;
	fake->fail_with = -ENOMEM;
	fake->entries = calloc(page_count, sizeof(struct fake_entry));
	return fake->entries == NULL ? -ENOMEM : 0;
}

void fake_done(struct fake *fake)
{
	free(fake->entries);
	fake->entries = NULL;
}
