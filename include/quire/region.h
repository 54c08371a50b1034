/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/region.h - failure-atomic regions: a mapped file whose stores become durable together, or not at all.
 *
 *	quire_region_open(NULL, "counter", QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE, .length = 4096), &region);
 *	counter = quire_map_address(quire_region_map(region));
 *	counter->hits++;
 *	quire_region_commit(region, NULL);
 *
 * A store never reaches the file by itself. Whatever happens - a crash, a kill, a power cut, an abort - the region is what it
 * was at its last commit.
 *
 * Threads. One thread that stores and commits needs nothing more. Several either keep each other away from
 * quire_region_commit() and quire_region_abort() with a lock of their own, or put quire_region_enter() and
 * quire_region_exit() around each change that has to be in one commit: a commit waits until nobody is inside, and commits
 * asked for meanwhile become one. A store that keeps to neither rule may be in the epoch or in the next one.
 *
 * Processes. One writes; any number reads with QUIRE_REGION_READ_ONLY: they see the last commit as it was when they opened or
 * refreshed, whole, while the writer goes on.
 *
 * fork(). A child has no part in its parent's regions: calls are refused with -EPERM, but quire_region_close(), which frees
 * memory and changes nothing. It has no memory where a writer's region stands. What a reader sees it may load as long as the
 * parent neither refreshes nor closes it, and it may open the region itself.
 */
#ifndef QUIRE_REGION_H
#define QUIRE_REGION_H

#include <quire/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire_region;

/**
 * enum quire_region_flag - how to open a region
 * @QUIRE_REGION_CREATE: make it when it does not exist; a crash leaves it whole or absent
 * @QUIRE_REGION_EXCLUSIVE: with QUIRE_REGION_CREATE: refuse when it exists already
 * @QUIRE_REGION_READ_ONLY: see the last commit; needs no permission to write
 * @QUIRE_REGION_HEAP: of a new region: its bytes belong to quire_region_alloc(), and it grows by itself
 * @QUIRE_REGION_HINTED: the program announces every store with quire_region_touch(), before or after it and in each epoch
 * anew; a commit looks nowhere else, and costs nothing for what was not announced. A store that was not announced is not
 * committed, and not undone either
 * @QUIRE_REGION_ANYWHERE: do not insist on the address the region was created for: raw pointers in it are then wrong
 * @QUIRE_REGION_NO_THREAD: no thread in the background: the commit that finds the journal full brings pages home
 * @QUIRE_REGION_LAST_WHOLE: when the journal is damaged in the middle, open at the last commit before the damage; when opened
 * for writing, the commits behind it are given up for good. Where the crash came while commits were brought home, pages of
 * later commits may be among the older ones
 *
 * Since: 0.1   See: quire_region_open(3)
 */
enum quire_region_flag {
	QUIRE_REGION_CREATE = 1 << 0,
	QUIRE_REGION_EXCLUSIVE = 1 << 1,
	QUIRE_REGION_READ_ONLY = 1 << 2,
	QUIRE_REGION_HEAP = 1 << 3,
	QUIRE_REGION_HINTED = 1 << 4,
	QUIRE_REGION_ANYWHERE = 1 << 5,
	QUIRE_REGION_NO_THREAD = 1 << 6,
	QUIRE_REGION_LAST_WHOLE = 1 << 7,
};

/**
 * struct quire_region_options - how to open or create a region
 * @size: sizeof(struct quire_region_options), set by QUIRE_OPTIONS(region, ...)
 * @flags: bits of enum quire_region_flag
 * @mode: permissions of created files, 0 means 0600
 * @length: of a new region, in bytes; not with QUIRE_REGION_HEAP
 * @reserve_bytes: of a new region: how long it may ever become; addresses are kept for all of it; 0 means 16 GiB
 * @journal_bytes: how large the journal may become, and so the largest commit; a new region is born with as much. 0: it is
 * born with 4 MiB, and may become 64 MiB
 * @private_bytes: memory for private copies of committed pages that a commit need not give back; 0 means 64 MiB
 * @address: of a new region: where it stands at every open, so that raw pointers in it stay true; a page boundary
 *
 * Since: 0.1   Example: examples/region-counter.c   See: quire_region_open(3)
 */
struct quire_region_options {
	size_t size;
	uint32_t flags;
	uint32_t mode;
	size_t length;
	size_t reserve_bytes;
	size_t journal_bytes;
	size_t private_bytes;
	void *address;
};

/**
 * quire_region_open - open a region, create it, recover it
 * @quire: the address space from quire_open(), or NULL for the process's own
 * @path: of the region; beside it lie path.journal and path.lock
 * @options: may be NULL: an existing region, for writing
 * @region: out: to be given back with quire_region_close()
 *
 * After a crash the region is what it was at its last commit: what the journal holds is brought into the file now. The lock
 * of a writer ends with its process.
 *
 * Threads: any. Blocks: reads the journal, and writes what it holds. Memory: about 2 MiB, 2 bytes a page that may ever be,
 * and 32 bytes a page that was written. Signals: installs the SIGBUS handler, see quire-map(7): when the file is cut, lost
 * pages read as zeros and the region is FAILED; a thread for the background, with all signals blocked.
 * Returns: 0, or
 *   -EINVAL     an option is out of range
 *   -E2BIG      the options struct is newer than this library
 *   -ENOENT     no such region (or its journal is gone)
 *   -EEXIST     QUIRE_REGION_EXCLUSIVE and it exists, or the address it stands at is taken
 *   -EBUSY      another process has it open for writing; the error text names it
 *   -EBADMSG    no region, or a damaged one; the error text says where. A damaged record of the journal with a later one
 *               behind it was committed once: it is not skipped in silence. QUIRE_REGION_LAST_WHOLE opens what lies before
 *   -ENODATA    the file is shorter than the region
 *   -EAGAIN     read-only: its writer is just starting, and does not get on; QUIRE_REGION_LAST_WHOLE: somebody reads
 *   -EACCES     the file's permissions do not allow it
 *   -ENOSPC     no room for the files
 *   -ENOMEM     no memory, or no addresses for reserve_bytes
 *   -EIO        the device failed
 *   -EMFILE     too many open files
 * Since: 0.1   Example: examples/region-counter.c   Source: docs/format.md   See: quire_region_close(3)
 */
QUIRE_API int quire_region_open(struct quire *quire, const char *path,
	const struct quire_region_options *options, struct quire_region **region);

/**
 * quire_region_close - give a region back
 * @region: from quire_region_open(), or NULL
 *
 * What was not committed is lost, as with quire_region_abort(). Committed pages are brought home from the journal, as far as
 * readers allow.
 *
 * Threads: any, when no other thread uses it. Blocks: writes and flushes the file. Memory: freed. Signals: none.
 * Returns: 0
 *   -EIO        what was committed is safe in the journal, but could not be brought home
 * Since: 0.1   Example: examples/region-counter.c   See: quire_region_open(3)
 */
QUIRE_API int quire_region_close(struct quire_region *region);

/**
 * quire_region_map - the memory of a region, as a mapping like any other
 * @region: the region
 *
 * Hints, locks, NUMA placement, residency and statistics apply. It ends with the region: quire_unmap(), quire_map_resize(),
 * quire_map_move() and advice that destroys content are refused with -EBUSY.
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: the mapping, or NULL for no region
 * Since: 0.1   Example: examples/region-counter.c   See: quire_map_address(3)
 */
QUIRE_API struct quire_map *quire_region_map(struct quire_region *region);

/**
 * quire_region_commit - make everything written so far durable, all or nothing
 * @region: a region opened for writing
 * @epoch:  out, may be NULL: number of this commit, from 1
 *
 * When nothing was written since the last commit, nothing is done, and its number is returned.
 *
 * Threads: any; concurrent commits are merged. Blocks: one device flush; waits for threads inside. Memory: 16 bytes a page
 * written. Signals: none.
 * Returns: 0, or
 *   -EIO     a write or flush failed; the region is FAILED until reopened, and nothing of this epoch will be visible (when the
 *            device refuses even to make the record unreadable, it may be, whole: the error text then says "perhaps")
 *   -EAGAIN  the journal is full and a reader is in the way; the error text names its process; nothing is lost
 *   -EBADMSG something was stored in the page before the region's first byte; quire_region_abort() puts it right
 *   -EFBIG   more was written than the journal may hold (journal_bytes); nothing is lost
 *   -ENOSPC  no room for a longer journal, and this commit is too large for it as it is; nothing is lost
 *   -ENOMEM  no memory; nothing is lost
 *   -EROFS   opened read-only
 *   -EPERM   in a child made by fork
 *   -EDEADLK this thread is between quire_region_enter() and quire_region_exit()
 * Since: 0.1   Example: examples/region-counter.c   Source: docs/commit.md   See: quire-commit(7), quire_region_abort(3)
 */
QUIRE_API int quire_region_commit(struct quire_region *region, uint64_t *epoch);

/**
 * quire_region_abort - undo everything written since the last commit
 * @region: a region opened for writing
 *
 * Growth since the last commit is undone too: pointers to what came with it are invalid.
 *
 * Threads: any; undoes the stores of all. Blocks: reads pages that lie in the journal; waits for threads inside.
 * Memory: 16 bytes a page written, for the call. Signals: none.
 * Returns: 0, or
 *   -EIO     the device could not read; the region is FAILED until reopened
 *   -EROFS   opened read-only
 *   -EPERM   in a child made by fork
 *   -ENOMEM  no memory; nothing was undone
 *   -EDEADLK this thread is between quire_region_enter() and quire_region_exit()
 * Since: 0.1   Example: examples/region-hashmap.c   See: quire_region_commit(3)
 */
QUIRE_API int quire_region_abort(struct quire_region *region);

/**
 * quire_region_enter - begin a change that has to be in one commit
 * @region: a region opened for writing
 *
 * For programs whose threads store at the same time: commits and aborts wait until every thread has called
 * quire_region_exit(). May be nested. A thread is inside one region at a time.
 *
 * Threads: any. Blocks: while a commit is waiting or going on. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EIO     the region is FAILED
 *   -EROFS   opened read-only
 *   -EPERM   in a child made by fork
 *   -EINVAL  the thread is inside another region
 * Since: 0.1   Example: examples/region-hashmap.c   See: quire_region_exit(3)
 */
QUIRE_API int quire_region_enter(struct quire_region *region);

/**
 * quire_region_exit - the end of such a change
 * @region: the one that was entered
 *
 * Threads: the one that entered. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL  this thread has not entered
 * Since: 0.1   Example: examples/region-hashmap.c   See: quire_region_enter(3)
 */
QUIRE_API int quire_region_exit(struct quire_region *region);

/**
 * quire_region_touch - announce a store
 * @region: opened with QUIRE_REGION_HINTED; elsewhere nothing is done
 * @address: of the first byte
 * @length: in bytes
 *
 * Before or after the store, and in each epoch anew. Up to four pages are taken as written; of a longer range the tracker
 * says which pages were.
 *
 * Threads: any. Blocks: no. Memory: 8 bytes a page. Signals: none.
 * Returns: 0, or
 *   -EINVAL  not in the region
 *   -ENOMEM  no memory
 *   -EPERM   in a child made by fork
 *   -EROFS   opened read-only
 * Since: 0.1   Example: examples/region-counter.c   See: quire_region_commit(3)
 */
QUIRE_API int quire_region_touch(struct quire_region *region, const void *address, size_t length);

/**
 * quire_region_refresh - see the newest commit
 * @region: opened with QUIRE_REGION_READ_ONLY
 * @epoch: out, may be NULL: the epoch that is seen from now on
 *
 * The older epoch is given free, so that the writer can bring newer pages home. Readers that never refresh make the journal
 * grow to its limit, and then the writer's commits fail with -EAGAIN.
 *
 * Threads: any, while no other thread reads the region. Blocks: reads the journal. Memory: a page for each page that changed.
 * Signals: none.
 * Returns: 0, or
 *   -EINVAL  opened for writing
 *   -EPERM   in a child made by fork
 *   -EAGAIN  the writer is just starting; what is seen stays as it was
 *   -EIO     the device could not read; reopen the region
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/region-counter.c   See: quire_region_open(3)
 */
QUIRE_API int quire_region_refresh(struct quire_region *region, uint64_t *epoch);

/**
 * quire_region_resize - make a region longer, in place
 * @region: a region without a heap, opened for writing
 * @length: in bytes; at least what it is
 *
 * New bytes are zero. The region is longer for good with the next commit.
 *
 * Threads: any, one at a time. Blocks: allocates blocks. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL  shorter than it is, or a heap, which grows by itself
 *   -ENOMEM  longer than reserve_bytes allowed at its creation
 *   -ENOSPC  the disk is full
 *   -EPERM   in a child made by fork
 *   -EROFS   opened read-only
 *   -EIO     the region is FAILED
 * Since: 0.1   Example: examples/region-counter.c   See: quire_region_open(3)
 */
QUIRE_API int quire_region_resize(struct quire_region *region, size_t length);

/**
 * quire_region_offset - a pointer into a region, as a number that stays true wherever it is mapped
 * @region: the region
 * @pointer: into it, or NULL
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: the offset, never 0; 0 for NULL and for pointers to elsewhere
 * Since: 0.1   Example: examples/region-hashmap.c   See: quire_region_pointer(3)
 */
QUIRE_API uint64_t quire_region_offset(const struct quire_region *region, const void *pointer);

/**
 * quire_region_pointer - the pointer that goes with an offset
 * @region: the region
 * @offset: from quire_region_offset(), or 0
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: the pointer, valid until the region is closed; NULL for 0 and for offsets behind the end
 * Since: 0.1   Example: examples/region-hashmap.c   See: quire_region_offset(3)
 */
QUIRE_API void *quire_region_pointer(const struct quire_region *region, uint64_t offset);

/**
 * quire_region_alloc - memory inside a region
 * @region: created with QUIRE_REGION_HEAP, opened for writing
 * @bytes: how much
 * @memory: out: zeroed, aligned to 16 bytes
 *
 * The allocation is part of the epoch: it commits and is undone with the stores around it, so nothing leaks in a crash.
 *
 * Threads: any. Blocks: when the region has to grow. Memory: of the region. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no heap, or 0 bytes
 *   -ENOMEM  longer than reserve_bytes allowed at its creation
 *   -ENOSPC  the disk is full
 *   -EBADMSG the heap is damaged, by the disk or by stores that went astray; quire_region_abort() undoes what was half done
 *   -EPERM   in a child made by fork
 *   -EROFS   opened read-only
 *   -EIO     the region is FAILED
 * Since: 0.1   Example: examples/region-hashmap.c   See: quire_region_free(3)
 */
QUIRE_API int quire_region_alloc(struct quire_region *region, size_t bytes, void **memory);

/**
 * quire_region_free - give memory inside a region back
 * @region: the region
 * @memory: from quire_region_alloc(), or NULL
 *
 * Threads: any. Blocks: no. Memory: for later allocations. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no memory of this heap, or freed already
 *   -EBADMSG the heap is damaged, by the disk or by stores that went astray; quire_region_abort() undoes what was half done
 *   -EPERM   in a child made by fork
 *   -EROFS   opened read-only
 *   -EIO     the region is FAILED
 * Since: 0.1   Example: examples/region-hashmap.c   See: quire_region_alloc(3)
 */
QUIRE_API int quire_region_free(struct quire_region *region, void *memory);

/**
 * quire_region_root - the object from which all others are found
 * @region: created with QUIRE_REGION_HEAP
 * @bytes: how large it is; allocated, zeroed, at the first call
 * @root: out
 *
 * Threads: any. Blocks: as quire_region_alloc(). Memory: of the region. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no heap, or the root has another size
 *   -EBADMSG the heap is damaged, by the disk or by stores that went astray; quire_region_abort() undoes what was half done
 *   -ENOENT  opened read-only, and there is none
 *   -ENOMEM  as quire_region_alloc()
 *   -ENOSPC  the disk is full
 *   -EPERM   in a child made by fork
 *   -EIO     the region is FAILED
 * Since: 0.1   Example: examples/region-hashmap.c   See: quire_region_alloc(3)
 */
QUIRE_API int quire_region_root(struct quire_region *region, size_t bytes, void **root);

/**
 * struct quire_region_stat - what is known of a region
 * @size: sizeof(struct quire_region_stat), set by the caller
 * @epoch: number of the last commit; of a reader: the one it sees
 * @home_epoch: the file itself holds everything up to this one
 * @length: in bytes
 * @reserve_bytes: how long it may become
 * @address: where it was created to stand; NULL: anywhere
 * @tracker: "wp-async", "pagemap" or, read-only, "none": how written pages are found
 * @heap: 1 when it has one
 * @hinted: 1 when opened with QUIRE_REGION_HINTED
 * @read_only: 1 when opened so
 * @failed: 0, or the negative errno that made it FAILED
 * @writer: process that has it open for writing; 0 when there is none, -1 when it cannot be seen
 * @readers: epochs that other openings have pinned
 * @oldest_pinned: the oldest of them, 0 when there is none
 * @journal_bytes: size of the ring
 * @journal_used_bytes: of it, records that are not home yet
 * @journal_limit_bytes: how far it may grow
 * @records: commits in the journal
 * @commits: since it was opened
 * @merged: calls of commit that another call answered
 * @pages_logged: images written since it was opened
 * @pages_home: pages brought home
 * @checkpoints: passes that did so
 * @private_pages: committed pages of which the window holds a private copy
 * @recovered_commits: commits that opening found in the journal
 * @recovered_pages: their images
 * @heap_used_bytes: allocated
 * @heap_objects: allocated
 *
 * Since: 0.1   See: quire_region_stat(3)
 */
struct quire_region_stat {
	size_t size;
	uint64_t epoch;
	uint64_t home_epoch;
	uint64_t length;
	uint64_t reserve_bytes;
	void *address;
	const char *tracker;
	uint32_t heap;
	uint32_t hinted;
	uint32_t read_only;
	int32_t failed;
	int32_t writer;
	uint32_t readers;
	uint64_t oldest_pinned;
	uint64_t journal_bytes;
	uint64_t journal_used_bytes;
	uint64_t journal_limit_bytes;
	uint64_t records;
	uint64_t commits;
	uint64_t merged;
	uint64_t pages_logged;
	uint64_t pages_home;
	uint64_t checkpoints;
	uint64_t private_pages;
	uint64_t recovered_commits;
	uint64_t recovered_pages;
	uint64_t heap_used_bytes;
	uint64_t heap_objects;
};

/**
 * quire_region_stat - what is known of a region
 * @region: the region
 * @stat: out: .size is set by the caller
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EPERM   in a child made by fork
 *   -EINVAL  .size is too small
 * Since: 0.1   Example: examples/region-counter.c   See: quire_region_check(3)
 */
QUIRE_API int quire_region_stat(struct quire_region *region, struct quire_region_stat *stat);

/**
 * struct quire_region_report - what a check found
 * @size: sizeof(struct quire_region_report), set by the caller
 * @pages_checked: pages of the file whose checksum was compared
 * @pages_damaged: of them, wrong ones
 * @first_damaged: number of the first of them, from the start of the file's pages
 * @images_checked: images in the journal whose checksum was compared
 * @images_damaged: of them, wrong ones
 * @heap_objects: allocations that a walk through the heap counted
 * @heap_damaged: 1 when that walk met a contradiction
 *
 * Since: 0.1   See: quire_region_check(3)
 */
struct quire_region_report {
	size_t size;
	uint64_t pages_checked;
	uint64_t pages_damaged;
	uint64_t first_damaged;
	uint64_t images_checked;
	uint64_t images_damaged;
	uint64_t heap_objects;
	uint32_t heap_damaged;
	uint32_t reserved;
};

/**
 * quire_region_check - compare everything on disk with its checksums
 * @region: the region; best opened read-only, by nobody else
 * @report: out, may be NULL: .size is set by the caller; written also when damage was found
 *
 * Threads: any. Blocks: reads the whole file. Memory: none. Signals: none.
 * Returns: 0 when all is well, or
 *   -EBADMSG  damage: the report and the error text say where
 *   -EPERM    in a child made by fork
 *   -EINVAL   .size is too small
 *   -EIO      the device could not read
 *   -ENODATA  a file is too short
 *   -ENOMEM   no memory
 * Since: 0.1   Example: examples/region-hashmap.c   Source: docs/format.md   See: quire_region_stat(3)
 */
QUIRE_API int quire_region_check(struct quire_region *region, struct quire_region_report *report);

/**
 * quire_region_check_range - compare pages on disk with their checksums before they are relied upon
 * @region: the region
 * @address: of the first byte
 * @length: in bytes
 * @damaged: out, may be NULL: the first page that is not what was committed; written when that is the answer
 *
 * Loads from a region are loads from a mapped file: nobody compares a checksum before them. This does, for the pages that
 * hold the bytes, as they were committed; stores since then play no part.
 *
 * Threads: any. Blocks: reads the pages. Memory: none. Signals: none.
 * Returns: 0 when all is well, or
 *   -EBADMSG  damage: the error text says where
 *   -EPERM    in a child made by fork
 *   -EINVAL   not in the region
 *   -EIO      the device could not read
 *   -ENODATA  the file is too short
 * Since: 0.1   Example: examples/region-counter.c   Source: docs/format.md   See: quire_region_check(3)
 */
QUIRE_API int quire_region_check_range(
	struct quire_region *region, const void *address, size_t length, const void **damaged);

/**
 * struct quire_region_record - one commit that is still in the journal
 * @size: sizeof(struct quire_region_record), set by the caller
 * @epoch: its number
 * @pages: images it holds
 * @length: of the region after it, in bytes
 * @offset: of the record in the journal file, in bytes
 * @bytes: of the record
 *
 * Since: 0.1   See: quire_region_record(3)
 */
struct quire_region_record {
	size_t size;
	uint64_t epoch;
	uint64_t pages;
	uint64_t length;
	uint64_t offset;
	uint64_t bytes;
};

/**
 * quire_region_record - the commits that are still in the journal, one after the other
 * @region: the region
 * @index: 0 for the oldest
 * @record: out: .size is set by the caller
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 1, or 0 when there are no more, or
 *   -EINVAL  .size is too small
 * Since: 0.1   Example: examples/region-counter.c   See: quire_region_stat(3)
 */
QUIRE_API int quire_region_record(
	struct quire_region *region, unsigned int index, struct quire_region_record *record);

#ifdef __cplusplus
}
#endif

#endif
