/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "object/file.h"
#include "pmap/kernel.h"
#include "sys/file.h"
#include "sys/uapi.h"
#include "vm/object.h"

/* WINDOW_BYTES: what the kernel enters at a fault unless told otherwise (fault_around_bytes) */
enum { HUGE_SHIFT = 21, BEHIND_PARTS = 8, ZEROS_A_CALL = 256, WINDOW_BYTES = 65536 };

/* Nobody can cut it under us, and nobody but who has it mapped for writing already can change a byte. */
static const unsigned int seals_wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;

/* ---- mapping ---- */

static int show(struct segment *s, uintptr_t at, uint64_t offset, size_t length, unsigned int prot)
{
	struct map_request request = {
		.how = PMAP_REPLACE,
		.over_reserved = true,
		.object = &s->file->object,
		.range = {
			.start = at,
			.end = at + length,
			.owner = s->file, /* as the view of quire_channel_map() names it */
			.offset = offset,
			.flags = PMAP_SHARED | PMAP_DONTFORK,
			.prot = (uint8_t)prot,
			.page_shift = s->page_bytes == PAGE_BYTES ? 0 : HUGE_SHIFT,
		},
	};
	uintptr_t got;

	return as_map(s->as, &request, &got);
}

static int keep_addresses(struct segment *s, size_t length)
{
	size_t outer = length + s->page_bytes - PAGE_BYTES;
	struct map_request request = {
		.how = PMAP_ANYWHERE,
		.range = { .end = outer, .flags = PMAP_RESERVED, .owner = s->file },
	};
	int r = as_map(s->as, &request, &s->outer_start);

	if (r < 0)
		return r;
	s->outer_end = s->outer_start + outer;
	s->start = align_up(s->outer_start, s->page_bytes);
	s->end = s->start + length;
	return 0;
}

/* Header and ring, and the ring once more behind it. */
static int segment_map(struct segment *s, unsigned int prot)
{
	uint64_t ring = s->header.ring_offset;
	uint64_t capacity = s->header.capacity;
	int r;

	r = keep_addresses(s, ring + 2 * capacity);
	if (r < 0)
		return r;
	r = show(s, s->start, 0, ring + capacity, prot);
	if (r == 0 && capacity > 0)
		r = show(s, s->start + ring + capacity, ring, capacity, prot);
	if (r < 0) {
		(void)as_unmap(s->as, s->outer_start, s->outer_end);
		return r;
	}
	s->control = (struct layout_control *)(s->start + LAYOUT_CONTROL);
	s->data = (unsigned char *)(s->start + ring);
	return 0;
}

/* One load a window: the kernel enters what stands around it, as far as the memory is there and the mapping goes. */
static void touch(uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = start; at < end; at = align_down(at + WINDOW_BYTES, WINDOW_BYTES))
		(void)*(const volatile unsigned char *)at;
}

static int bring_in(uintptr_t start, uintptr_t end)
{
	struct pmap_span span = { .start = start, .end = end };
	int r = kernel_advise(&span, MADV_POPULATE_READ);

	/* Before Linux 5.14 there is no such advice: the pages are allocated all the same, and come at the first touch. */
	return r < 0 && r != -EINVAL
		? error_set(r, "the pages of a channel cannot be entered: %s", strerror(-r))
		: 0;
}

/*
 * For reading, also what is ours: only then does the kernel enter more than one page at a fault, and what it enters into a
 * shared mapping without write notification can be stored to. The second view is entered as far as a piece of a stream may
 * reach beyond the end; what a longer record touches behind that comes sixteen pages at a fault.
 *
 * Ours is entered by loads, for its pages are there: 1 MiB in 33 us; the advice looks at each page once more, 77 us. What
 * came from others is entered by the advice: should a page be missing nevertheless, that is an error and no signal.
 */
int segment_populate(struct segment *s)
{
	uintptr_t again = s->end - s->header.capacity;
	uintptr_t end = again + align_up(s->header.capacity / BEHIND_PARTS, s->page_bytes);

	if (s->populated)
		return 0;
	s->populated = true;
	if (!s->file->window.writable)
		return bring_in(s->start, end);
	touch(s->start, again);
	touch(again, end); /* a mapping of its own: no window reaches over from the first */
	return 0;
}

void segment_drop(struct segment *s)
{
	if (s->file == NULL)
		return;
	if (s->control != NULL)
		(void)as_unmap(s->as, s->outer_start, s->outer_end);
	object_unref(&s->file->object);
	*s = (struct segment){ .file = NULL };
}

int segment_fd(const struct segment *s)
{
	assert(s->file != NULL);
	return s->file->window.fd;
}

/* ---- our own ---- */

static int seal(struct segment *s)
{
	int r = file_add_seals(s->file, seals_wanted);

	if (r < 0)
		return error_set(r, "cannot seal the memory of the channel: %s", strerror(-r));
	s->file->window.can_shrink = false;
	return 0;
}

/*
 * Full memory is an error now, not a signal later. Written rather than allocated: fallocate leaves each page to be cleared,
 * under its lock, at the first fault on it. Measured, 1 MiB: 116 us to allocate and 307 us to clear and enter; 242 us to
 * write and 55 us to enter.
 */
static int take_pages(struct segment *s, uint64_t bytes)
{
	static unsigned char zeros[PAGE_BYTES]; /* of one page, so that they stay in the near cache */
	struct iovec parts[ZEROS_A_CALL];
	uint64_t done = 0;

	for (int i = 0; i < ZEROS_A_CALL; i++)
		parts[i] = (struct iovec){ .iov_base = zeros, .iov_len = sizeof(zeros) };
	while (done < bytes) {
		uint64_t left = (bytes - done) / PAGE_BYTES;
		ssize_t n = sys_pwritev(
			segment_fd(s), parts, (unsigned int)min_u64(left, ZEROS_A_CALL), done);

		if (n <= 0)
			return file_preallocate(s->file, 0, bytes); /* it says why not */
		done += (uint64_t)n / PAGE_BYTES * PAGE_BYTES;
	}
	return 0;
}

static int open_memory(struct segment *s, bool huge)
{
	char name[LAYOUT_TEXT + 16];
	uint64_t bytes = s->header.ring_offset + s->header.capacity;
	int r;

	/* "ls -l /proc/PID/fd" shows this; quire_channel_find() looks for it. */
	(void)snprintf(name, sizeof(name), "quire-channel:%s", s->header.name);
	r = memfd_open(name, bytes, true, huge ? HUGE_SHIFT : 0, &s->file);
	if (r < 0)
		return r;
	r = huge ? file_preallocate(s->file, 0, bytes) : take_pages(s, bytes);
	if (r == -ENOSPC && huge)
		r = error_set(-ENOMEM,
			"the pool has not enough free huge pages for a channel of %" PRIu64
			" MiB: raise vm.nr_hugepages, or leave .huge off",
			bytes >> 20);
	if (r < 0) {
		object_unref(&s->file->object);
		s->file = NULL;
	}
	return r;
}

int segment_make(struct segment *s, struct as *as, const struct layout_header *header, bool huge)
{
	int r;

	assert(header->capacity == 0 || is_power_of_two(header->capacity));
	*s = (struct segment){ .as = as, .header = *header };
	s->page_bytes = huge ? (size_t)1 << HUGE_SHIFT : PAGE_BYTES;
	s->header.ring_offset = huge ? s->page_bytes : LAYOUT_RING;
	memcpy(s->header.magic, LAYOUT_MAGIC, sizeof(s->header.magic));
	s->header.major = LAYOUT_MAJOR;
	s->header.minor = LAYOUT_MINOR;
	s->header.header_bytes = sizeof(s->header);

	r = open_memory(s, huge);
	if (r < 0)
		return r;
	r = segment_map(s, PMAP_READ | PMAP_WRITE);
	if (r == 0) {
		memcpy((void *)s->start, &s->header, sizeof(s->header));
		r = seal(s); /* after our own mapping was made, which stays writable */
	}
	if (r < 0)
		segment_drop(s);
	return r;
}

void segment_identify(struct segment *s, uint64_t id)
{
	struct layout_header *header = (struct layout_header *)s->start;

	s->header.id = header->id = id;
}

/* ---- somebody else's ---- */

int segment_check(const struct layout_header *h, uint64_t bytes)
{
	if (memcmp(h->magic, LAYOUT_MAGIC, sizeof(h->magic)) != 0)
		return error_set(-EBADMSG, "the descriptor that came is no segment of a channel");
	if (h->major != LAYOUT_MAJOR)
		return error_set(-EPROTONOSUPPORT,
			"the other side's channel layout is version %u, this library knows version %d: both "
			"programs need the same major version of Quire",
			h->major, LAYOUT_MAJOR);
	if (h->header_bytes < sizeof(*h) || h->header_bytes > LAYOUT_CONTROL)
		return error_set(-EBADMSG, "the segment's header says it has %u bytes", h->header_bytes);
	if (h->ring_offset != LAYOUT_RING && h->ring_offset != (uint64_t)1 << HUGE_SHIFT)
		return error_set(-EBADMSG, "the segment's ring stands at %" PRIu64, h->ring_offset);
	if (h->capacity != 0 &&
		(!is_power_of_two(h->capacity) || h->capacity < LAYOUT_CAPACITY_MIN ||
			h->capacity > LAYOUT_CAPACITY_MAX))
		return error_set(-EBADMSG, "the segment's ring has %" PRIu64 " bytes", h->capacity);
	if (bytes != h->ring_offset + h->capacity)
		return error_set(-EBADMSG, "the segment has %" PRIu64 " bytes, its header says %" PRIu64,
			bytes, h->ring_offset + h->capacity);
	return 0;
}

/* What has no page yet would get one of ours at our first look: a peer could make us pay for all the memory there is. It
 * cannot take pages away again, the seal forbids that. */
static int check_allocated(int fd, uint64_t bytes)
{
	struct stat stat;
	int r = sys_fstat(fd, &stat);

	if (r < 0)
		return r;
	if ((uint64_t)stat.st_blocks * 512 < bytes)
		return error_set(-EBADMSG,
			"the segment has memory for %" PRIu64 " of its %" PRIu64
			" bytes: its owner must allocate all",
			(uint64_t)stat.st_blocks * 512, bytes);
	return 0;
}

/* pread, not a mapping: what is read cannot change while it is checked, and a short file is an error. */
static int read_header(struct segment *s, int fd)
{
	uint64_t bytes;
	ssize_t n = sys_pread(fd, &s->header, sizeof(s->header), 0);
	int r;

	if (n != sizeof(s->header))
		return error_set(-EBADMSG, "the descriptor that came is no segment of a channel");
	r = object_size(&s->file->object, &bytes);
	if (r < 0)
		return r;
	s->header.name[LAYOUT_TEXT - 1] = '\0';
	s->header.schema[LAYOUT_TEXT - 1] = '\0';
	r = segment_check(&s->header, bytes);
	return r < 0 ? r : check_allocated(fd, bytes);
}

int segment_take(struct segment *s, struct as *as, int fd)
{
	int seals = sys_get_seals(fd);
	int r;

	if (seals < 0 || ((unsigned int)seals & seals_wanted) != seals_wanted)
		return error_set(-EPERM,
			"the segment that came is not sealed (0x%x): its owner could cut it or others change it",
			seals < 0 ? 0U : (unsigned int)seals);
	*s = (struct segment){ .as = as };
	r = file_from_fd(fd, &s->file);
	if (r < 0)
		return r;
	r = read_header(s, fd);
	s->page_bytes = s->header.ring_offset == LAYOUT_RING ? PAGE_BYTES : (size_t)1 << HUGE_SHIFT;
	s->file->window.can_shrink = false;
	s->file->window.writable = false;
	if (r == 0)
		r = segment_map(s, PMAP_READ);
	if (r < 0)
		segment_drop(s);
	return r;
}
