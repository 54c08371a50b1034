/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagefile/pagefile.h - one file as checked pages, and a private window onto them.
 *
 *	file     | superblock | sums: 8 bytes a page, for as many as there may ever be |  page 0 | page 1 | ...
 *	                                                                               ^ data_offset
 *	window   |------ pages ------|·············· addresses kept for growth ··············|
 *	         ^start              ^start + 4096 * pages                                    ^start + 4096 * pages_max
 *
 * The window is private memory over the file: a store never reaches the file. What reaches it is written by
 * pagefile_put(), page by page with its checksum, in the order the caller says and with pagefile_flush() between. The kernel
 * shows written pages in the window where it holds no private copy of them.
 *
 * Invariants
 *	F1  no store of the program reaches the file: only pagefile_put() and pagefile_grow() change it
 *	F2  a page's sum is written with the page; a torn pair is repaired by whoever logged the page before (the region)
 *	F3  the window's addresses never change
 */
#ifndef PAGEFILE_PAGEFILE_H
#define PAGEFILE_PAGEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/align.h"
#include "pagefile/disk.h"
#include "pmap/track.h"

struct as;
struct file_object;
struct guard;

#define PAGEFILE_MAGIC UINT64_C(0x4e4f494745525551) /* "QUREGION" */

enum { PAGEFILE_VERSION = 1, UUID_BYTES = 16 };

/* Page 0 of the file; never changes. docs/format.md, section 3. */
struct superblock {
	uint64_t magic;
	uint32_t version;
	uint32_t page_bytes;
	uint8_t uuid[UUID_BYTES];
	uint64_t pages_max;
	uint64_t sums_offset;
	uint64_t data_offset;
	uint64_t address; /* where page 0 has to be mapped; 0: anywhere */
	uint32_t flags;
	uint32_t reserved;
	uint8_t zeros[4016];
	uint64_t sum;
};

/* pagefile: one file as checked pages, and a private window onto them */
struct pagefile {
	struct disk disk;
	struct superblock head;
	struct file_object *object;
	struct as *as;
	const void *owner; /* of the window's segments */
	struct track track;
	struct guard *guard; /* of the window: a file that is cut shows zeros, and pagefile_lost() says so */
	uintptr_t start;
	_Atomic uint64_t pages; /* mapped; a heap grows while other threads ask where something lies */
	bool writable;
};

/* A run of pages. */
struct pages_run {
	uint64_t first;
	uint64_t count;
};

/* A file of `pages` pages, the first of them as given; durable when it returns. */
int pagefile_create(
	const char *path, const struct superblock *like, uint64_t pages, const void *page0, uint32_t mode);

/* -EBADMSG: no such file as this, or damaged. */
int pagefile_open(struct pagefile *file, const char *path, bool write);
int pagefile_claim(const struct pagefile *file); /* for its one writer, until it is closed. -EBUSY. */
void pagefile_close(struct pagefile *file);      /* accepts one that was not opened, if it is all zeros */

/* Where a window goes, and whose its segments are. */
struct pagefile_place {
	struct as *as;
	const void *owner;
	struct guard *guard; /* lives as long as the window */
	bool anywhere;
	bool track_whole; /* see pmap/track.h */
};

/* Maps the window. anywhere: not at the address the file asks for. -EEXIST: that address is taken. */
int pagefile_map(struct pagefile *file, const struct pagefile_place *place);

/* Makes the window this many pages long. Pages that go are forgotten. */
int pagefile_show(struct pagefile *file, uint64_t pages);

static inline void *pagefile_page(const struct pagefile *file, uint64_t page)
{
	return (void *)(file->start + page * PAGE_BYTES);
}

/* ---- the file ---- */

/* Blocks for pages [0, pages): no put into them meets a full disk. */
int pagefile_grow(struct pagefile *file, uint64_t pages);
int pagefile_flush(const struct pagefile *file);

/* run.count pages from bytes, and their sums. */
int pagefile_put(const struct pagefile *file, struct pages_run run, const void *bytes, const uint64_t *sums);

/* Does the file hold what its sum says? 0, -EBADMSG with a sentence. bytes: room for a page, which stays there. */
int pagefile_verify(const struct pagefile *file, uint64_t page, void *bytes);

/* ---- the window ---- */

/* 0, or the error, with a sentence, when pages of the window have died: zeros stand where bytes of the file should. */
int pagefile_lost(const struct pagefile *file);

typedef int pagefile_found_fn(void *user, struct pages_run run);

/* Private pages written since the last harvest; with an inexact tracker: at any time. See pmap/track.h. */
int pagefile_harvest(struct pagefile *file, struct pages_run run, pagefile_found_fn *found, void *user);

/* Drops private copies: the window shows the file again. The runs are in order and do not overlap. */
int pagefile_drop(const struct pagefile *file, const struct pages_run *runs, size_t run_count);

/* For a window that is read only: lets pages be put into it, and forbids it again. */
int pagefile_unlock(const struct pagefile *file, bool unlock);

#endif
