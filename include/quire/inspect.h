/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/inspect.h - what every page of every file and process is doing, told truthfully.
 *
 * Two rules hold for everything here. A figure that the kernel does not tell this user is QUIRE_UNKNOWN, never a guess.
 * And looking changes nothing: no page is brought into or thrown out of memory, no access time is set, no FIFO or
 * device is opened. Only quire_presence_touch() and quire_presence_evict() change what they name.
 *
 * What is looked at goes on living meanwhile: two figures taken one after the other may be of two moments.
 *
 * Sequences (runs, walks, mappings, pages, mappers, segments) are read in one form: open, then next until it returns 0,
 * then close. Memory is taken at open; next takes none, except where its docstring says so.
 */
#ifndef QUIRE_INSPECT_H
#define QUIRE_INSPECT_H

#include <quire/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A figure that the kernel does not tell this user. */
#define QUIRE_UNKNOWN ((uint64_t)-1)

/* ---- files ------------------------------------------------------------------------------------------------------ */

/**
 * enum quire_backing - what a file stands on, as far as mapping and caching differ
 * @QUIRE_BACKING_DISK: a local filesystem with a page cache
 * @QUIRE_BACKING_TMPFS: memory: the cache is the only copy, dropped pages go to swap
 * @QUIRE_BACKING_HUGETLBFS: huge pages from the pool
 * @QUIRE_BACKING_OVERLAY: overlayfs: the pages belong to a file below
 * @QUIRE_BACKING_FUSE: a program serves the pages
 * @QUIRE_BACKING_NETWORK: another machine serves them: NFS, SMB, 9p, Ceph
 * @QUIRE_BACKING_DAX: persistent memory: no cache between file and mapping
 * @QUIRE_BACKING_PSEUDO: the kernel makes the text up: proc, sysfs
 *
 * Since: 0.1   See: quire_presence_read(3)
 */
enum quire_backing {
	QUIRE_BACKING_DISK = 0,
	QUIRE_BACKING_TMPFS = 1,
	QUIRE_BACKING_HUGETLBFS = 2,
	QUIRE_BACKING_OVERLAY = 3,
	QUIRE_BACKING_FUSE = 4,
	QUIRE_BACKING_NETWORK = 5,
	QUIRE_BACKING_DAX = 6,
	QUIRE_BACKING_PSEUDO = 7,
};

/**
 * enum quire_presence_flag - what else to find out
 * @QUIRE_PRESENCE_READY: tell cached pages whose bytes are there from those still being read; 30 ns a page of the range
 *
 * Since: 0.1   See: quire_presence_read(3)
 */
enum quire_presence_flag {
	QUIRE_PRESENCE_READY = 1 << 0,
};

/**
 * struct quire_presence - how much of a file is in memory
 * @size: sizeof(struct quire_presence), set by the caller
 * @backing: an enum quire_backing
 * @moving: 1 when the file's cache changed while it was looked at: the figures are of different moments
 * @file_bytes: size of the file
 * @pages: pages of 4096 bytes in the range that was asked about, the last one counted whole
 * @cached: pages in the page cache, those still being read included
 * @ready: cached pages whose bytes are there
 * @dirty: cached pages that are newer than the disk
 * @writing: cached pages on their way to the disk
 * @evicted: pages that were cached once and gave way when memory was short
 * @evicted_recently: those of @evicted that, if read now, would count as thrashing
 * @why: why a figure is QUIRE_UNKNOWN, "" when none is; valid for ever
 *
 * Each figure may be QUIRE_UNKNOWN. @ready is also unknown when QUIRE_PRESENCE_READY was not given.
 *
 * Since: 0.1   See: quire_presence_read(3)
 */
struct quire_presence {
	size_t size;
	uint32_t backing;
	uint32_t moving;
	uint64_t file_bytes;
	uint64_t pages;
	uint64_t cached;
	uint64_t ready;
	uint64_t dirty;
	uint64_t writing;
	uint64_t evicted;
	uint64_t evicted_recently;
	const char *why;
};

/**
 * quire_presence_open - open a file in order to look at it
 * @directory: descriptor of a directory that @path starts from, or AT_FDCWD
 * @path: of a regular file; any bytes
 * @fd: out: for reading, close-on-exec, to be closed by the caller
 *
 * Neither the access time nor the cache is touched, and what is no regular file is not opened at all: a FIFO's writer
 * is not woken, a tape is not rewound.
 *
 * Threads: any. Blocks: as open(2) does on this filesystem. Memory: one descriptor. Signals: none.
 * Returns: 0, or
 *   -EISDIR  a directory
 *   -ENODEV  a FIFO, socket or device
 *   -EACCES  not readable by this user
 *   -ENOENT  no such file
 *   -EINVAL  no path or no @fd
 * Since: 0.1   Example: examples/presence.c   See: quire_presence_read(3)
 */
QUIRE_API int quire_presence_open(int directory, const char *path, int *fd);

/**
 * quire_presence_read - how much of a file is in memory
 * @fd: a regular file; from quire_presence_open(), so that no access time changes
 * @offset: of the first byte, in bytes; the range is widened to whole pages
 * @length: in bytes; QUIRE_UNKNOWN means to the end of the file
 * @flags: bits of enum quire_presence_flag
 * @presence: out: .size is set by the caller
 *
 * Answers even where the kernel does not: then the figures are QUIRE_UNKNOWN and .why says why. Nobody is told that
 * everything is resident because he may not know (as mincore tells).
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL  unknown flags, or .size is too small
 *   -EBADF   no such descriptor
 *   -ENODEV  the descriptor is no regular file
 * Since: 0.1   Example: examples/presence.c   Source: docs/inspect.md   See: quire_runs_open(3), quire-presence(1)
 */
QUIRE_API int quire_presence_read(
	int fd, uint64_t offset, uint64_t length, unsigned int flags, struct quire_presence *presence);

/**
 * quire_presence_touch - bring a part of a file into memory
 * @fd: a regular file, open for reading
 * @offset: of the first byte, in bytes; the range is widened to whole pages
 * @length: in bytes; the part behind the end of the file is ignored
 * @brought: out, may be NULL: bytes that were not there before; QUIRE_UNKNOWN when this user may not know
 *
 * Returns when every page of the range is there with its bytes, not when reading was started. What is cached already is
 * not touched. For a display of progress, ask in steps of some MiB.
 *
 * Threads: any. Blocks: reads from the device. Memory: page cache. Signals: none.
 * Returns: 0, or
 *   -EIO     the device could not read
 *   -ENODATA the file was cut meanwhile
 *   -EAGAIN  the pages were thrown out again as fast as they came: memory is short
 *   -ENOMEM  no memory
 *   -EACCES  the descriptor is not open for reading
 *   -ENODEV  the descriptor is no regular file, or its filesystem cannot map
 *   -EINVAL  an empty descriptor
 * Since: 0.1   Example: examples/presence.c   Source: docs/inspect.md   See: quire_presence_evict(3), quire-touch(1)
 */
QUIRE_API int quire_presence_touch(int fd, uint64_t offset, uint64_t length, uint64_t *brought);

/**
 * struct quire_eviction - what asking to drop a file's pages has done
 * @size: sizeof(struct quire_eviction), set by the caller
 * @wanted: pages that were cached before
 * @gone: of these, no longer cached afterwards
 * @kept_dirty: still cached, because they are newer than the disk or on their way to it
 * @kept: still cached for another reason: a process maps or locks them, or a read is using them
 *
 * Each may be QUIRE_UNKNOWN when this user may not know.
 *
 * Since: 0.1   See: quire_presence_evict(3)
 */
struct quire_eviction {
	size_t size;
	uint64_t wanted;
	uint64_t gone;
	uint64_t kept_dirty;
	uint64_t kept;
};

/**
 * quire_presence_evict - ask the kernel to drop a part of a file from memory, and look whether it did
 * @fd: a regular file
 * @offset: of the first byte, in bytes; a page that is covered only in part stays
 * @length: in bytes; QUIRE_UNKNOWN means to the end of the file
 * @sync: 1: write dirty pages to the disk first, so that they can be dropped
 * @eviction: out: .size is set by the caller
 *
 * The kernel never drops pages that a process maps, and says nothing about it: hence the second look.
 *
 * Threads: any. Blocks: with @sync, until the device has the pages. Memory: less page cache. Signals: none.
 * Returns: 0, or
 *   -EIO     with @sync: a page could not be written
 *   -ENOSPC  with @sync: no room for a page
 *   -ENODEV  the descriptor is no regular file
 *   -EINVAL  .size is too small
 * Since: 0.1   Example: examples/presence.c   Source: docs/inspect.md   See: quire_mappers_open(3), quire-evict(1)
 */
QUIRE_API int quire_presence_evict(
	int fd, uint64_t offset, uint64_t length, int sync, struct quire_eviction *eviction);

/**
 * enum quire_page_state - what is known of a page in the cache
 * @QUIRE_PAGE_CACHED: in the page cache
 * @QUIRE_PAGE_READY: its bytes are there
 * @QUIRE_PAGE_DIRTY: newer than the disk
 * @QUIRE_PAGE_WRITING: on its way to the disk
 * @QUIRE_PAGE_EVICTED: it gave way when memory was short
 *
 * Since: 0.1   See: quire_runs_open(3)
 */
enum quire_page_state {
	QUIRE_PAGE_CACHED = 1 << 0,
	QUIRE_PAGE_READY = 1 << 1,
	QUIRE_PAGE_DIRTY = 1 << 2,
	QUIRE_PAGE_WRITING = 1 << 3,
	QUIRE_PAGE_EVICTED = 1 << 4,
};

/**
 * struct quire_run - neighbouring pages in the same state
 * @page: index of the first one in the file
 * @pages: how many
 * @state: bits of enum quire_page_state, of those that were asked for
 * @reserved: 0
 *
 * Since: 0.1   See: quire_runs_next(3)
 */
struct quire_run {
	uint64_t page;
	uint64_t pages;
	uint32_t state;
	uint32_t reserved;
};

struct quire_runs;

/**
 * quire_runs_open - the exact map of a file's cache
 * @fd: a regular file, from quire_presence_open(); stays open until quire_runs_close()
 * @offset: of the first byte, in bytes; the range is widened to whole pages
 * @length: in bytes; QUIRE_UNKNOWN means to the end of the file
 * @states: bits of enum quire_page_state to tell apart; QUIRE_PAGE_CACHED is always among them
 * @runs: out: to be given back with quire_runs_close()
 *
 * Costs follow what is cached, not the size of the file: an empty sparse file of 1 TiB is one system call.
 * QUIRE_PAGE_DIRTY, _WRITING and _EVICTED cost more where they are scattered.
 *
 * Threads: any; a sequence belongs to one at a time. Blocks: no. Memory: 40 KiB. Signals: none.
 * Returns: 0, or
 *   -EPERM      the kernel does not tell this user about this file
 *   -EOPNOTSUPP it tells nobody (huge pages, DAX), or not the states that were asked for; the error text says which
 *   -ENODEV     the descriptor is no regular file
 *   -EINVAL     unknown states
 *   -ENOMEM     no memory
 * Since: 0.1   Example: examples/presence.c   Source: docs/inspect.md   See: quire_runs_next(3)
 */
QUIRE_API int quire_runs_open(
	int fd, uint64_t offset, uint64_t length, unsigned int states, struct quire_runs **runs);

/**
 * quire_runs_next - the next run of the map
 * @runs: from quire_runs_open()
 * @run: out: runs follow each other without gaps; pages that are not cached are runs too, of state 0
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: 1, or 0 at the end, or
 *   -EINVAL  no handle
 *   -EPERM   the file changed hands meanwhile
 *   -ENOMEM  no address space for the question
 * Since: 0.1   Example: examples/presence.c   See: quire_runs_open(3)
 */
QUIRE_API int quire_runs_next(struct quire_runs *runs, struct quire_run *run);

/**
 * quire_runs_close - end of a map
 * @runs: from quire_runs_open(), or NULL
 *
 * Threads: one at a time. Blocks: no. Memory: freed. Signals: none.
 * Since: 0.1   Example: examples/presence.c   See: quire_runs_open(3)
 */
QUIRE_API void quire_runs_close(struct quire_runs *runs);

#ifdef __cplusplus
}
#endif

#endif
