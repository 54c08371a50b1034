/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "pmap/limits.h"
#include "pmap/shelf.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/uapi.h"

struct pin {
	struct pmap pmap;
	int nothing; /* a memfd of no bytes */
	int frames;  /* a memfd: private pages, by frame */
	size_t bytes;
	uintptr_t memory; /* all of `frames` */
};

static struct pin *of(struct pmap *pmap)
{
	return CONTAINER_OF(pmap, struct pin, pmap);
}

/* Shows `bytes` of a descriptor at va, in place of what is there. Under the claim: a guard may be about to put zeros
 * there. Where the offset follows the address, neighbours become one kernel mapping. */
static int show(struct pmap *pmap, uintptr_t va, size_t bytes, unsigned int prot, int fd, uint64_t offset)
{
	bool claimed = pmap_claim(pmap);
	uintptr_t got;
	int r = sys_mmap(va, bytes, (int)prot, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, offset, &got);

	/* A child would read what has become of the page later: holes. */
	if (r == 0)
		r = sys_madvise(va, bytes, MADV_DONTFORK);
	if (claimed)
		pmap_claim_release(pmap);
	return r;
}

static int hide(struct pmap *pmap, uintptr_t start, uintptr_t end)
{
	return show(pmap, start, end - start, PMAP_READ | PMAP_WRITE, of(pmap)->nothing, start);
}

/* ---- ranges ---- */

static int place_nothing(struct pmap *pmap, struct pmap_range *range, enum pmap_how how)
{
	size_t bytes = range->end - range->start;
	int flags = MAP_SHARED | MAP_NORESERVE;
	int r;

	if (how == PMAP_EXACT)
		flags |= MAP_FIXED_NOREPLACE;
	if (how == PMAP_REPLACE)
		flags |= MAP_FIXED;
	r = sys_mmap(range->start, bytes, PROT_READ | PROT_WRITE, flags, of(pmap)->nothing, 0, &range->start);
	if (r < 0)
		return r;
	range->end = range->start + bytes;
	return hide(pmap, range->start, range->end); /* again, now that the address is known */
}

static int pin_attach(struct pmap *pmap, struct pmap_range *range, enum pmap_how how)
{
	struct shelf *shelf;
	int r = 0;

	if (range->home != NULL)
		r = shelf_of(range->home, range->offset, range->offset + (range->end - range->start), &shelf);
	if (r == 0)
		r = place_nothing(pmap, range, how);
	return r < 0 ? limits_explain(r, range) : 0;
}

static int pin_detach(struct pmap *pmap, const struct pmap_span *span)
{
	const struct pmap_range told = { .start = span->start, .end = span->end };
	bool claimed = pmap_claim(pmap);
	int r = sys_munmap(span->start, span->end - span->start);

	if (claimed)
		pmap_claim_release(pmap);
	return r < 0 ? limits_explain(r, &told) : 0;
}

/* ---- pages ---- */

static uint64_t frame_offset(const struct pmap_page *page)
{
	return (uint64_t)page->frame * PAGE_BYTES;
}

static int stage_one(struct pmap *pmap, const struct pmap_page *page, void **memory)
{
	uint64_t offset = page->at_home ? page->index * PAGE_BYTES : frame_offset(page);

	if (memory == NULL && page->at_home)
		return shelf_free(pmap_engine_of(page), offset, offset + PAGE_BYTES);
	if (memory == NULL)
		return sys_fallocate(
			of(pmap)->frames, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, PAGE_BYTES);
	*memory = page->at_home ? shelf_memory(pmap_engine_of(page), offset)
				: (void *)(of(pmap)->memory + offset);
	return 0;
}

static int pin_stage(struct pmap *pmap, struct pmap_page *const *pages, uint32_t count, void **memory)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = stage_one(pmap, pages[i], memory == NULL ? NULL : &memory[i]);
	return r;
}

static int show_page(struct pmap *pmap, uintptr_t va, const struct pmap_page *page, unsigned int prot)
{
	prot &= PMAP_READ | PMAP_WRITE | PMAP_EXECUTE;
	if (!page->at_home)
		return show(pmap, va, PAGE_BYTES, prot, of(pmap)->frames, frame_offset(page));
	return show(pmap, va, PAGE_BYTES, prot, ((struct shelf *)pmap_engine_of(page))->fd,
		page->index * PAGE_BYTES);
}

static int pin_enter(
	struct pmap *pmap, uintptr_t va, struct pmap_page *const *pages, uint32_t count, unsigned int prot)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = show_page(pmap, va + (uintptr_t)i * PAGE_BYTES, pages[i], prot);
	return r;
}

static int pin_remove(struct pmap *pmap, const struct pmap_span *spans, size_t span_count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < span_count; i++)
		r = hide(pmap, spans[i].start, spans[i].end);
	return r;
}

static int pin_protect(struct pmap *pmap, const struct pmap_range *range)
{
	return hide(pmap, range->start, range->end);
}

static const struct pmap_ops pin_ops = {
	.attach = pin_attach,
	.stage = pin_stage,
	.enter = pin_enter,
	.protect = pin_protect,
	.remove = pin_remove,
	.detach = pin_detach,
};

/* ---- open ---- */

static int open_steps(struct pin *pin)
{
	int r;

	pin->nothing = sys_memfd_create("quire-nothing", MFD_CLOEXEC);
	pin->frames = sys_memfd_create("quire-pages", MFD_CLOEXEC);
	if (pin->nothing < 0 || pin->frames < 0)
		return pin->nothing < 0 ? pin->nothing : pin->frames;
	r = sys_truncate(pin->frames, pin->bytes);
	if (r == 0)
		r = sys_mmap(0, pin->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, pin->frames,
			0, &pin->memory);
	if (r == 0)
		r = sys_madvise(pin->memory, pin->bytes, MADV_DONTFORK);
	return r;
}

int pin_open(uint32_t frames, pmap_up_fn *up, void *above, struct pin **out)
{
	struct pin *pin = calloc(1, sizeof(*pin));
	int r;

	if (pin == NULL)
		return error_set(-ENOMEM, "no memory for a pager");
	pin->nothing = pin->frames = -1;
	pin->bytes = (size_t)frames * PAGE_BYTES;
	pmap_init(&pin->pmap, &pin_ops, PMAP_CAN_PLACE | PMAP_PINS_ONLY, up, above);
	r = open_steps(pin);
	if (r < 0) {
		pin_close(pin);
		return error_set(r, "no memory for %u frames: %s", frames, strerror(-r));
	}
	*out = pin;
	return 0;
}

void pin_close(struct pin *pin)
{
	if (pin == NULL)
		return;
	if (pin->memory != 0)
		(void)sys_munmap(pin->memory, pin->bytes);
	if (pin->nothing >= 0)
		sys_close(pin->nothing);
	if (pin->frames >= 0)
		sys_close(pin->frames);
	free(pin);
}

struct pmap *pin_pmap(struct pin *pin)
{
	return &pin->pmap;
}
