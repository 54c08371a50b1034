/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stores.c - stores through shared mappings.
 *
 * No call tells us of a store. So each writable shared mapping has a shadow, the last known image of its pages, and
 * whenever a call is recorded, every page that differs from its shadow is recorded first, as it is now. A version that
 * was overwritten between two calls is not seen; a program under test says crash_note() where it wants one more look.
 *
 * The pages are read with process_vm_readv: behind the end of the file it returns short where a load would kill us.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "record.h"

enum { MAPPINGS = 256, CRASH_PAGE = 4096, LOOK_BYTES = 64 << 10 };

static struct stored {
	uintptr_t address;
	size_t length; /* 0: a free slot */
	uint64_t file, offset;
	bool writable;
	uint8_t *shadow; /* not more than touched is resident */
	size_t shadow_bytes;
} mappings[MAPPINGS];

static uint8_t now[LOOK_BYTES];

/* How much of the mapping from here on has pages of the file behind it: up to what fits. */
static size_t read_pages(const struct stored *m, size_t at)
{
	size_t want = m->length - at < LOOK_BYTES ? m->length - at : LOOK_BYTES;
	struct iovec to = { now, want };
	struct iovec from = { (void *)(m->address + at), want }; /* NOLINT: an address of ours */
	long n = syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0);

	return n < 0 ? 0 : (size_t)n / CRASH_PAGE * CRASH_PAGE;
}

static void look_page(struct stored *m, size_t at, const uint8_t *page, bool say)
{
	struct crash_record r = { .kind = CRASH_STORE,
		.file = m->file,
		.offset = m->offset + at,
		.length = CRASH_PAGE,
		.data_bytes = CRASH_PAGE };

	if (memcmp(page, m->shadow + at, CRASH_PAGE) == 0)
		return;
	memcpy(m->shadow + at, page, CRASH_PAGE);
	if (say)
		rec_append(&r, NULL, page);
}

/* from, to: within the mapping */
static void look(struct stored *m, size_t from, size_t to, bool say)
{
	size_t at = from / CRASH_PAGE * CRASH_PAGE;

	while (at < to) {
		size_t n = read_pages(m, at);

		for (size_t i = 0; i < n; i += CRASH_PAGE)
			look_page(m, at + i, now + i, say);
		if (n == 0)
			break;
		at += n;
	}
}

void stores_look(void)
{
	for (int i = 0; i < MAPPINGS; i++)
		if (mappings[i].length && mappings[i].writable)
			look(&mappings[i], 0, mappings[i].length, true);
}

/* Two mappings of one file: the one that was looked at first has spoken for both. */
void stores_agree(uint64_t file, uint64_t offset, uint64_t length)
{
	for (int i = 0; i < MAPPINGS; i++) {
		struct stored *m = &mappings[i];
		uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;

		if (!m->length || !m->writable || m->file != file)
			continue;
		if (end <= m->offset || offset >= m->offset + m->length)
			continue;
		look(m, offset > m->offset ? (size_t)(offset - m->offset) : 0,
			end - m->offset < m->length ? (size_t)(end - m->offset) : m->length, false);
	}
}

void stores_add(uintptr_t address, size_t length, uint64_t file, uint64_t offset, bool writable)
{
	long p = syscall(SYS_mmap, NULL, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (int i = 0; i < MAPPINGS && p != -1; i++) {
		if (mappings[i].length)
			continue;
		mappings[i] = (struct stored){ .address = address,
			.length = (length + CRASH_PAGE - 1) / CRASH_PAGE * CRASH_PAGE,
			.file = file,
			.offset = offset,
			.writable = writable,
			.shadow = (uint8_t *)p, /* NOLINT: an address of ours */
			.shadow_bytes = length };
		if (writable)
			look(&mappings[i], 0, length, false);
		return;
	}
	if (writable)
		__builtin_trap(); /* more mappings than slots: the log would be a lie */
}

/* A hole in the middle of a mapping takes all of it away from us; nobody under test does that. */
void stores_remove(uintptr_t address, size_t length)
{
	for (int i = 0; i < MAPPINGS; i++) {
		struct stored *m = &mappings[i];

		if (!m->length || address + length <= m->address || address >= m->address + m->length)
			continue;
		if (address > m->address)
			m->length = address - m->address;
		else
			m->length = 0;
		if (m->length == 0)
			(void)syscall(SYS_munmap, m->shadow, m->shadow_bytes);
	}
}

void stores_protect(uintptr_t address, size_t length, bool writable)
{
	for (int i = 0; i < MAPPINGS; i++) {
		struct stored *m = &mappings[i];

		if (!m->length || address + length <= m->address || address >= m->address + m->length)
			continue;
		if (writable && !m->writable)
			look(m, 0, m->length, false);
		m->writable = m->writable || writable; /* what was stored before is still to be found */
	}
}

bool stores_find(uintptr_t address, uint64_t *file, uint64_t *offset)
{
	for (int i = 0; i < MAPPINGS; i++) {
		const struct stored *m = &mappings[i];

		if (m->length && address >= m->address && address < m->address + m->length) {
			*file = m->file;
			*offset = m->offset + (address - m->address);
			return true;
		}
	}
	return false;
}
