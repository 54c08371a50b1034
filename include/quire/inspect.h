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
#include <quire/pool.h>

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
 * struct quire_filesystem - what mapping a file means on a filesystem
 * @size: sizeof(struct quire_filesystem), set by the caller
 * @backing: an enum quire_backing; never QUIRE_BACKING_DAX, which is a matter of each file
 * @name: "ext4", "NFS", ...; "" for a kind that is not known, which is taken for a disk
 * @meaning: what a program that maps files there should know; "" when nothing is known. Valid for ever, as @name is
 *
 * Since: 0.1   See: quire_filesystem(3)
 */
struct quire_filesystem {
	size_t size;
	uint32_t backing;
	uint32_t reserved;
	const char *name;
	const char *meaning;
};

/**
 * quire_filesystem - what mapping a file means where a path is
 * @path: of a file or directory; it is not opened for reading
 * @filesystem: out: .size is set by the caller
 *
 * Threads: any. Blocks: as statfs does: a lost server may. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no path, or .size is not set
 *   -ENOENT  no such path
 *   -EACCES  a directory on the way cannot be searched
 * Since: 0.1   Example: examples/features.c   Source: statfs(2)   See: quire-doctor(1), quire_features(3)
 */
QUIRE_API int quire_filesystem(const char *path, struct quire_filesystem *filesystem);

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
 * enum quire_touch_flag - how to bring pages in
 * @QUIRE_TOUCH_MISSING: believe that what is cached is ready, and leave it alone: much faster where most is there
 *
 * Since: 0.1   See: quire_presence_touch(3)
 */
enum quire_touch_flag {
	QUIRE_TOUCH_MISSING = 1 << 0,
};

/**
 * quire_presence_touch - bring a part of a file into memory
 * @fd: a regular file, open for reading
 * @offset: of the first byte, in bytes; the range is widened to whole pages
 * @length: in bytes; the part behind the end of the file is ignored
 * @flags: bits of enum quire_touch_flag
 * @brought: out, may be NULL: bytes that were not there before; QUIRE_UNKNOWN when this user may not know
 *
 * Returns when every page of the range is there with its bytes, not when reading was started. A user who neither owns
 * nor may write the file can only ask for reading: then @brought is QUIRE_UNKNOWN. For a display of progress, ask in
 * steps of some MiB.
 *
 * Threads: any. Blocks: reads from the device. Memory: page cache. Signals: none.
 * Returns: 0, or
 *   -EIO     the device could not read
 *   -ENODATA the file was cut meanwhile
 *   -EAGAIN  the pages were thrown out again as fast as they came: memory is short
 *   -ENOMEM  no memory
 *   -EACCES  the descriptor is not open for reading
 *   -ENODEV  the descriptor is no regular file, or its filesystem cannot map
 *   -EINVAL  unknown flags
 * Since: 0.1   Example: examples/presence.c   Source: docs/inspect.md   See: quire_presence_evict(3), quire-touch(1)
 */
QUIRE_API int quire_presence_touch(
	int fd, uint64_t offset, uint64_t length, unsigned int flags, uint64_t *brought);

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
 * enum quire_page_state - what is known of a page
 * @QUIRE_PAGE_CACHED: of a file: in the page cache
 * @QUIRE_PAGE_READY: of a file: its bytes are there
 * @QUIRE_PAGE_DIRTY: of a file: newer than the disk
 * @QUIRE_PAGE_WRITING: of a file: on its way to the disk
 * @QUIRE_PAGE_EVICTED: of a file: it gave way when memory was short
 * @QUIRE_PAGE_PRESENT: of a process: in its page tables: a load does not fault
 * @QUIRE_PAGE_SWAPPED: of a process: in swap, or on its way between two places
 * @QUIRE_PAGE_FILE: of a process: a page of a file or of shared memory, not its private copy
 * @QUIRE_PAGE_ZERO: of a process: the one page of zeros that stands for memory nobody wrote
 * @QUIRE_PAGE_HUGE: of a process: mapped as part of a huge page
 *
 * Since: 0.1   See: quire_runs_open(3), quire_pages_open(3)
 */
enum quire_page_state {
	QUIRE_PAGE_CACHED = 1 << 0,
	QUIRE_PAGE_READY = 1 << 1,
	QUIRE_PAGE_DIRTY = 1 << 2,
	QUIRE_PAGE_WRITING = 1 << 3,
	QUIRE_PAGE_EVICTED = 1 << 4,
	QUIRE_PAGE_PRESENT = 1 << 8,
	QUIRE_PAGE_SWAPPED = 1 << 9,
	QUIRE_PAGE_FILE = 1 << 10,
	QUIRE_PAGE_ZERO = 1 << 11,
	QUIRE_PAGE_HUGE = 1 << 12,
};

/**
 * struct quire_run - neighbouring pages in the same state
 * @page: index of the first one: in the file, or of its address
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

/** Sizes of folios that struct quire_folios tells apart: 4 KiB, 8 KiB, 16 KiB ... 128 MiB. */
#define QUIRE_FOLIO_ORDERS 16

/** Memory nodes that struct quire_folios tells apart. */
#define QUIRE_FOLIO_NODES 64

/**
 * struct quire_folios - in what pieces a file's cached pages lie in memory, and on which nodes
 * @size: sizeof(struct quire_folios), set by the caller
 * @pages: cached pages that were looked at: those whose bytes are there
 * @folio_pages: of these, in folios (pieces that the kernel keeps as one) of 1, 2, 4, 8 ... pages
 * @node_pages: of these, on memory node 0, 1, 2 ...; the last counts all nodes above, too
 * @folios_why: why each of @folio_pages is QUIRE_UNKNOWN, "" when they are known; valid for ever
 * @nodes_why: why each of @node_pages is QUIRE_UNKNOWN, "" when they are known; valid for ever
 *
 * Since: 0.1   See: quire_folios_read(3)
 */
struct quire_folios {
	size_t size;
	uint64_t pages;
	uint64_t folio_pages[QUIRE_FOLIO_ORDERS];
	uint64_t node_pages[QUIRE_FOLIO_NODES];
	const char *folios_why;
	const char *nodes_why;
};

/**
 * quire_folios_read - in what pieces a file's cached pages lie in memory, and on which nodes
 * @fd: a regular file, from quire_presence_open()
 * @offset: of the first byte, in bytes; the range is widened to whole pages
 * @length: in bytes; QUIRE_UNKNOWN means to the end of the file
 * @folios: out: .size is set by the caller
 *
 * Large folios make everything cheaper: counting, mapping, writing back. Only root may know their sizes. The node is told
 * to the file's owner too, and to everybody where there is only one.
 *
 * For this, what is cached is mapped for a moment, in steps of 16 MiB, by a mapping that does not count as a use. A
 * page that is thrown out in this very moment is read again, and who asks for it to be thrown out is refused.
 *
 * Threads: any. Blocks: no. Memory: 120 KiB during the call. Signals: none.
 * Returns: 0, or
 *   -EBADF   no such descriptor
 *   -ENODEV  the descriptor is no regular file
 *   -ENOMEM  no memory
 *   -EINVAL  .size is too small
 * Since: 0.1   Example: examples/presence.c   Source: docs/inspect.md   See: quire_runs_open(3), quire-presence(1)
 */
QUIRE_API int quire_folios_read(int fd, uint64_t offset, uint64_t length, struct quire_folios *folios);

/* ---- trees ------------------------------------------------------------------------------------------------------ */

/**
 * enum quire_walk_flag - where to go
 * @QUIRE_WALK_ONE_FILESYSTEM: do not go down into other filesystems
 * @QUIRE_WALK_SYSTEM: for the page cache of the whole machine: leave out what has its pages elsewhere (overlayfs) or is
 * memory itself (tmpfs, hugetlbfs), below the start
 *
 * Since: 0.1   See: quire_walk_open(3)
 */
enum quire_walk_flag {
	QUIRE_WALK_ONE_FILESYSTEM = 1 << 0,
	QUIRE_WALK_SYSTEM = 1 << 1,
};

/**
 * struct quire_walk_entry - one file of a tree
 * @size: sizeof(struct quire_walk_entry), set by the caller
 * @path: beginning with what was given to quire_walk_open(); any bytes; valid until the next call
 * @fd: the file, open for looking, closed by the next call; -1 when it could not be opened
 * @error: 0, or the negative errno that says why a file or directory could not be opened
 * @device: of the file, as fstat tells
 * @inode: of the file, as fstat tells
 * @presence: how much of it is in memory; not set when @error is
 *
 * Since: 0.1   See: quire_walk_next(3)
 */
struct quire_walk_entry {
	size_t size;
	const char *path;
	int32_t fd;
	int32_t error;
	uint64_t device;
	uint64_t inode;
	struct quire_presence presence;
};

/**
 * struct quire_walk_tally - what a walk has come across so far
 * @size: sizeof(struct quire_walk_tally), set by the caller
 * @files: regular files looked at
 * @directories: directories read
 * @skipped: names of what is never opened: links, FIFOs, sockets, devices
 * @unreadable: files and directories that could not be opened
 *
 * Since: 0.1   See: quire_walk_tally(3)
 */
struct quire_walk_tally {
	size_t size;
	uint64_t files;
	uint64_t directories;
	uint64_t skipped;
	uint64_t unreadable;
};

struct quire_walk;

/**
 * quire_walk_open - look at every file of a tree
 * @path: of a directory
 * @flags: bits of enum quire_walk_flag
 * @walk: out: to be given back with quire_walk_close()
 *
 * Each file comes once, however many names it has. Symbolic links are not followed, filesystems that are made up by the
 * kernel (proc, sysfs) are left out, and a file that vanishes meanwhile is no error.
 *
 * Threads: any; a walk belongs to one at a time. Blocks: as the filesystem does. Memory: 80 KiB, and the paths of
 * directories still to be read. Signals: none.
 * Returns: 0, or
 *   -ENOENT       no such directory
 *   -ENOTDIR      no directory
 *   -EACCES       this user may not read it
 *   -ENAMETOOLONG longer than a path can be
 *   -EINVAL       no path, or unknown flags
 *   -ENOMEM       no memory
 * Since: 0.1   Example: examples/cached-files.c   See: quire_walk_next(3), quire-presence(1)
 */
QUIRE_API int quire_walk_open(const char *path, unsigned int flags, struct quire_walk **walk);

/**
 * quire_walk_next - the next file of a tree
 * @walk: from quire_walk_open()
 * @entry: out: .size is set by the caller
 *
 * A file or directory that cannot be opened is an entry too, with .error set.
 *
 * Threads: one at a time. Blocks: as the filesystem does. Memory: 50 bytes and its path for a directory still to be
 * read, 32 bytes for a directory or a file with several names. Signals: none.
 * Returns: 1, or 0 at the end, or
 *   -EINVAL  .size is too small
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/cached-files.c   See: quire_walk_open(3)
 */
QUIRE_API int quire_walk_next(struct quire_walk *walk, struct quire_walk_entry *entry);

/**
 * quire_walk_share - another hand for the same walk
 * @walk: from quire_walk_open()
 * @other: out: to be given back with quire_walk_close(), as @walk itself
 *
 * Each file comes to one of the hands. A second processor makes a walk of a million files nearly twice as fast. Every hand
 * needs a thread of its own that goes on until the end: quire_walk_next() of one that has nothing to read waits for what the
 * others may still find.
 *
 * Threads: any, before the first quire_walk_next(). Blocks: no. Memory: 80 KiB. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no walk
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/cached-files.c   See: quire_walk_open(3), quire_walk_tally(3)
 */
QUIRE_API int quire_walk_share(struct quire_walk *walk, struct quire_walk **other);

/**
 * quire_walk_tally - what a walk has come across so far
 * @walk: from quire_walk_open(); of quire_walk_share(): what this hand has
 * @tally: out: .size is set by the caller
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL  .size is too small
 * Since: 0.1   Example: examples/cached-files.c   See: quire_walk_open(3)
 */
QUIRE_API int quire_walk_tally(const struct quire_walk *walk, struct quire_walk_tally *tally);

/**
 * quire_walk_close - end of a walk
 * @walk: from quire_walk_open(), or NULL
 *
 * Threads: one at a time. Blocks: no. Memory: freed. Signals: none.
 * Since: 0.1   Example: examples/cached-files.c   See: quire_walk_open(3)
 */
QUIRE_API void quire_walk_close(struct quire_walk *walk);

/* ---- processes -------------------------------------------------------------------------------------------------- */

/**
 * enum quire_process_flag - what else to find out
 * @QUIRE_PROCESS_SHARES: how memory is shared; the kernel walks all page tables for it, 6 ns a page
 *
 * Since: 0.1   See: quire_process_read(3)
 */
enum quire_process_flag {
	QUIRE_PROCESS_SHARES = 1 << 0,
};

/**
 * struct quire_process - the memory of a process, in sums
 * @size: sizeof(struct quire_process), set by the caller
 * @pid: its number
 * @user: whose permissions it has; UINT32_MAX when it is not known
 * @name: of the program, at most 15 bytes, as the kernel escapes it
 * @virtual_bytes: addresses in use
 * @resident_bytes: in memory: the sum of the next three
 * @anonymous_bytes: its own: only swapping or ending frees it
 * @file_bytes: pages of files: clean ones can be dropped at any time
 * @shared_memory_bytes: tmpfs, memfd, shared anonymous memory
 * @swap_bytes: swapped out
 * @locked_bytes: locked into memory
 * @page_table_bytes: page tables
 * @pool_bytes: huge pages from the pool; not part of @resident_bytes
 * @share_bytes: resident, each page divided by how many processes map it (PSS)
 * @private_bytes: resident and mapped by no other process: what ending it would free (USS)
 * @dirty_bytes: resident and written: its own pages, and pages of files not yet on the disk
 * @huge_bytes: resident in transparent huge pages
 * @swap_share_bytes: swapped out, each page divided by how many processes share it
 * @why: why a figure of QUIRE_PROCESS_SHARES is QUIRE_UNKNOWN though it was asked for; valid for ever
 *
 * The figures from @share_bytes on are QUIRE_UNKNOWN without QUIRE_PROCESS_SHARES. A kernel thread has none at all.
 *
 * Since: 0.1   See: quire_process_read(3)
 */
struct quire_process {
	size_t size;
	int32_t pid;
	uint32_t user;
	char name[64];
	uint64_t virtual_bytes;
	uint64_t resident_bytes;
	uint64_t anonymous_bytes;
	uint64_t file_bytes;
	uint64_t shared_memory_bytes;
	uint64_t swap_bytes;
	uint64_t locked_bytes;
	uint64_t page_table_bytes;
	uint64_t pool_bytes;
	uint64_t share_bytes;
	uint64_t private_bytes;
	uint64_t dirty_bytes;
	uint64_t huge_bytes;
	uint64_t swap_share_bytes;
	const char *why;
};

/**
 * quire_process_read - the memory of a process, in sums
 * @pid: its number
 * @flags: bits of enum quire_process_flag
 * @process: out: .size is set by the caller
 *
 * Threads: any. Blocks: with QUIRE_PROCESS_SHARES the process waits while it is walked. Memory: none. Signals: none.
 * Returns: 0, or
 *   -ESRCH   no such process
 *   -EINVAL  .size is too small, or unknown flags
 * Since: 0.1   Example: examples/process-memory.c   Source: proc(5)   See: quire_maps_open(3), quire-maps(1)
 */
QUIRE_API int quire_process_read(int pid, unsigned int flags, struct quire_process *process);

/**
 * enum quire_mapping_flag - what a mapping is
 * @QUIRE_MAPPING_READ: loads are allowed
 * @QUIRE_MAPPING_WRITE: stores are allowed
 * @QUIRE_MAPPING_EXECUTE: instructions may be fetched
 * @QUIRE_MAPPING_SHARED: stores are seen by others
 * @QUIRE_MAPPING_LOCKED: its pages stay in memory
 * @QUIRE_MAPPING_HUGETLB: huge pages from the pool
 * @QUIRE_MAPPING_GROWS_DOWN: a stack
 * @QUIRE_MAPPING_USERFAULT: a program answers its faults
 * @QUIRE_MAPPING_NO_DUMP: not in core dumps
 * @QUIRE_MAPPING_DEVICE: memory of a device
 * @QUIRE_MAPPING_GUARDED: has guard pages inside (Linux 6.15 tells)
 * @QUIRE_MAPPING_SYNC: persistent memory, MAP_SYNC
 *
 * Those from QUIRE_MAPPING_LOCKED on are told with QUIRE_MAPS_FIGURES only.
 *
 * Since: 0.1   See: quire_maps_next(3)
 */
enum quire_mapping_flag {
	QUIRE_MAPPING_READ = 1 << 0,
	QUIRE_MAPPING_WRITE = 1 << 1,
	QUIRE_MAPPING_EXECUTE = 1 << 2,
	QUIRE_MAPPING_SHARED = 1 << 3,
	QUIRE_MAPPING_LOCKED = 1 << 4,
	QUIRE_MAPPING_HUGETLB = 1 << 5,
	QUIRE_MAPPING_GROWS_DOWN = 1 << 6,
	QUIRE_MAPPING_USERFAULT = 1 << 7,
	QUIRE_MAPPING_NO_DUMP = 1 << 8,
	QUIRE_MAPPING_DEVICE = 1 << 9,
	QUIRE_MAPPING_GUARDED = 1 << 10,
	QUIRE_MAPPING_SYNC = 1 << 11,
};

/**
 * struct quire_mapping - one mapping of a process
 * @size: sizeof(struct quire_mapping), set by the caller
 * @start: address of its first byte
 * @end: address behind its last byte
 * @offset: of the first byte in the file, in bytes
 * @inode: of the file; 0 for memory without a file
 * @device_major: of the file's filesystem
 * @device_minor: of the file's filesystem
 * @flags: bits of enum quire_mapping_flag
 * @reserved: 0
 * @name: as the kernel writes it: a path, "[heap]", "[stack]", "[anon:NAME]", or ""; valid until the next call
 * @resident_bytes: in memory, without huge pages of the pool
 * @share_bytes: the same, each page divided by how many processes map it (PSS)
 * @anonymous_bytes: in memory and the process's own
 * @dirty_bytes: in memory and written
 * @shared_clean_bytes: in memory, not written, mapped by others too
 * @private_clean_bytes: in memory, not written, mapped by no other process
 * @huge_bytes: in memory in transparent huge pages
 * @pool_bytes: huge pages of the pool
 * @swap_bytes: swapped out
 * @swap_share_bytes: the same, divided by how many processes share it
 * @locked_bytes: locked into memory
 * @page_bytes: size of its pages
 *
 * The figures from @resident_bytes on are QUIRE_UNKNOWN without QUIRE_MAPS_FIGURES.
 *
 * Since: 0.1   See: quire_maps_next(3)
 */
struct quire_mapping {
	size_t size;
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	uint32_t device_major;
	uint32_t device_minor;
	uint32_t flags;
	uint32_t reserved;
	const char *name;
	uint64_t resident_bytes;
	uint64_t share_bytes;
	uint64_t anonymous_bytes;
	uint64_t dirty_bytes;
	uint64_t shared_clean_bytes;
	uint64_t private_clean_bytes;
	uint64_t huge_bytes;
	uint64_t pool_bytes;
	uint64_t swap_bytes;
	uint64_t swap_share_bytes;
	uint64_t locked_bytes;
	uint64_t page_bytes;
};

/**
 * enum quire_maps_detail - how much to find out of each mapping
 * @QUIRE_MAPS_FIGURES: what of it is in memory, and how; ten times the time, and the process waits for parts of it
 *
 * Since: 0.1   See: quire_maps_open(3)
 */
enum quire_maps_detail {
	QUIRE_MAPS_FIGURES = 1 << 0,
};

struct quire_maps;

/**
 * quire_maps_open - the mappings of a process
 * @pid: its number; 0 is the caller
 * @detail: 0, or QUIRE_MAPS_FIGURES
 * @maps: out: to be given back with quire_maps_close()
 *
 * Threads: any; a sequence belongs to one at a time. Blocks: no. Memory: 100 KiB. Signals: none.
 * Returns: 0, or
 *   -ESRCH   no such process, or it has just ended
 *   -EACCES  it belongs to somebody else
 *   -EINVAL  unknown detail
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/process-memory.c   Source: proc(5)   See: quire_maps_next(3), quire-maps(1)
 */
QUIRE_API int quire_maps_open(int pid, unsigned int detail, struct quire_maps **maps);

/**
 * quire_maps_next - the next mapping
 * @maps: from quire_maps_open()
 * @mapping: out: .size is set by the caller; in order of addresses
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: 1, or 0 at the end, which comes early when the process ends, or
 *   -EINVAL  .size is too small
 * Since: 0.1   Example: examples/process-memory.c   See: quire_maps_open(3)
 */
QUIRE_API int quire_maps_next(struct quire_maps *maps, struct quire_mapping *mapping);

/**
 * quire_maps_close - end of a list of mappings
 * @maps: from quire_maps_open(), or NULL
 *
 * Threads: one at a time. Blocks: no. Memory: freed. Signals: none.
 * Since: 0.1   Example: examples/process-memory.c   See: quire_maps_open(3)
 */
QUIRE_API void quire_maps_close(struct quire_maps *maps);

struct quire_pages;

/**
 * quire_pages_open - the page tables of a process
 * @pid: its number; 0 is the caller
 * @address: of the first byte; the range is widened to whole pages
 * @length: in bytes
 * @pages: out: to be given back with quire_pages_close()
 *
 * This is what the process can reach without a fault. A page can be in the cache and not here: see quire_runs_open(3).
 *
 * Threads: any; a sequence belongs to one at a time. Blocks: no. Memory: 64 KiB. Signals: none.
 * Returns: 0, or
 *   -ESRCH   no such process
 *   -EACCES  it belongs to somebody else
 *   -EINVAL  the range wraps around
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/process-memory.c   Source: proc(5)   See: quire_pages_next(3), quire-pages(1)
 */
QUIRE_API int quire_pages_open(int pid, uint64_t address, uint64_t length, struct quire_pages **pages);

/**
 * quire_pages_next - the next run of equal pages
 * @pages: from quire_pages_open()
 * @run: out: .page is the address divided by 4096; runs follow each other without gaps, those of state 0 are empty
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: 1, or 0 at the end, or
 *   -EINVAL  no handle
 *   -ESRCH   the process has ended
 *   -ENOMEM  no memory in the kernel
 * Since: 0.1   Example: examples/process-memory.c   See: quire_pages_open(3)
 */
QUIRE_API int quire_pages_next(struct quire_pages *pages, struct quire_run *run);

/**
 * quire_pages_known - which states this kernel tells of page tables
 * @pages: from quire_pages_open()
 *
 * QUIRE_PAGE_ZERO and QUIRE_PAGE_HUGE need Linux 6.7. A state that is not known is never set.
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: bits of enum quire_page_state
 * Since: 0.1   Example: examples/process-memory.c   See: quire_pages_open(3)
 */
QUIRE_API unsigned int quire_pages_known(const struct quire_pages *pages);

/**
 * quire_pages_close - end of a look at page tables
 * @pages: from quire_pages_open(), or NULL
 *
 * Threads: one at a time. Blocks: no. Memory: freed. Signals: none.
 * Since: 0.1   Example: examples/process-memory.c   See: quire_pages_open(3)
 */
QUIRE_API void quire_pages_close(struct quire_pages *pages);

/**
 * struct quire_mapper - a process that maps a file
 * @size: sizeof(struct quire_mapper), set by the caller
 * @pid: its number
 * @user: whose permissions it has; UINT32_MAX when it has just ended
 * @name: of the program, "" when it has just ended
 * @mappings: how many of its mappings show the file
 * @mapped_bytes: addresses of these
 * @present_bytes: of these, in its page tables: what keeps the pages in memory; QUIRE_UNKNOWN when it is not told
 * @flags: bits of enum quire_mapping_flag that at least one of them has
 * @writes: 1 when stores reach the file
 *
 * Since: 0.1   See: quire_mappers_next(3)
 */
struct quire_mapper {
	size_t size;
	int32_t pid;
	uint32_t user;
	char name[64];
	uint64_t mappings;
	uint64_t mapped_bytes;
	uint64_t present_bytes;
	uint32_t flags;
	uint32_t writes;
};

struct quire_mappers;

/**
 * quire_mappers_open - which processes map a file
 * @fd: the file; from quire_presence_open(), so that btrfs and overlayfs are understood too
 * @mappers: out: to be given back with quire_mappers_close()
 *
 * Threads: any; a sequence belongs to one at a time. Blocks: no. Memory: 17 KiB. Signals: none.
 * Returns: 0, or
 *   -EBADF   no such descriptor
 *   -ENOENT  /proc is not there
 *   -EINVAL  no place for the handle
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/process-memory.c   See: quire_mappers_next(3)
 */
QUIRE_API int quire_mappers_open(int fd, struct quire_mappers **mappers);

/**
 * quire_mappers_next - the next process that maps the file
 * @mappers: from quire_mappers_open()
 * @mapper: out: .size is set by the caller
 *
 * Threads: one at a time. Blocks: no. Memory: 100 KiB during the call. Signals: none.
 * Returns: 1, or 0 at the end, or
 *   -EINVAL  .size is too small
 *   -ENOMEM  no memory in the kernel
 * Since: 0.1   Example: examples/process-memory.c   See: quire_mappers_hidden(3)
 */
QUIRE_API int quire_mappers_next(struct quire_mappers *mappers, struct quire_mapper *mapper);

/**
 * quire_mappers_hidden - of how many processes this user may not know
 * @mappers: from quire_mappers_open(), read to its end
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: their number: each of them may map the file
 * Since: 0.1   Example: examples/process-memory.c   See: quire_mappers_next(3)
 */
QUIRE_API uint64_t quire_mappers_hidden(const struct quire_mappers *mappers);

/**
 * quire_mappers_close - end of a list of processes
 * @mappers: from quire_mappers_open(), or NULL
 *
 * Threads: one at a time. Blocks: no. Memory: freed. Signals: none.
 * Since: 0.1   Example: examples/process-memory.c   See: quire_mappers_open(3)
 */
QUIRE_API void quire_mappers_close(struct quire_mappers *mappers);

/* ---- shared memory ---------------------------------------------------------------------------------------------- */

/**
 * enum quire_segment_kind - how a piece of shared memory came to be
 * @QUIRE_SEGMENT_POSIX: a file of /dev/shm: shm_open(); one that was unlinked while in use has " (deleted)" behind its name
 * @QUIRE_SEGMENT_MEMFD: memfd_create(): it has no name, and lives as long as a descriptor or a mapping of it
 * @QUIRE_SEGMENT_SYSV: shmget(): it lives until somebody removes it
 * @QUIRE_SEGMENT_HUGETLBFS: a file of huge pages of the pool
 * @QUIRE_SEGMENT_ANONYMOUS: mmap() of shared memory without a file, which children inherit; all are named "/dev/zero (deleted)"
 *
 * Since: 0.1   See: quire_segments_next(3)
 */
enum quire_segment_kind {
	QUIRE_SEGMENT_POSIX = 0,
	QUIRE_SEGMENT_MEMFD = 1,
	QUIRE_SEGMENT_SYSV = 2,
	QUIRE_SEGMENT_HUGETLBFS = 3,
	QUIRE_SEGMENT_ANONYMOUS = 4,
};

/**
 * struct quire_segment - a piece of memory that processes can share
 * @size: sizeof(struct quire_segment), set by the caller
 * @kind: an enum quire_segment_kind
 * @mode: permission bits
 * @owner: user to whom it belongs
 * @orphan: 1 no process maps it or holds it open, 0 one does, -1 this user may not know
 * @name: path, "/memfd:NAME", or "shmid N, key 0x..."; any bytes; valid until quire_segments_close()
 * @length_bytes: how long it is; to an ordinary user, of a memfd that is mapped and not open: how far it is mapped
 * @resident_bytes: of this in memory, QUIRE_UNKNOWN when it is not told
 * @device: of its file, as fstat tells; 0 for System V
 * @inode: of its file; the shmid for System V
 * @users: how many processes map it or hold it open, of those that this user may look into
 * @why: why @resident_bytes is QUIRE_UNKNOWN, "" when it is not; valid for ever
 *
 * Since: 0.1   See: quire_segments_next(3)
 */
struct quire_segment {
	size_t size;
	uint32_t kind;
	uint32_t mode;
	uint32_t owner;
	int32_t orphan;
	const char *name;
	uint64_t length_bytes;
	uint64_t resident_bytes;
	uint64_t device;
	uint64_t inode;
	uint64_t users;
	const char *why;
};

/**
 * struct quire_segment_user - a process that uses a piece of shared memory
 * @size: sizeof(struct quire_segment_user), set by the caller
 * @pid: its number
 * @reserved: 0
 * @name: of its program, as the kernel escapes it
 * @mapped_bytes: addresses at which it maps the segment; 0: it only holds it open
 *
 * Since: 0.1   See: quire_segments_user(3)
 */
struct quire_segment_user {
	size_t size;
	int32_t pid;
	uint32_t reserved;
	char name[64];
	uint64_t mapped_bytes;
};

struct quire_segments;

/**
 * quire_segments_open - all shared memory of the machine, and who uses it
 * @segments: out: to be given back with quire_segments_close()
 *
 * All of it is looked at here, once: the files of /dev/shm and of hugetlbfs, System V's table, and the mappings and
 * descriptors of every process that this user may look into.
 *
 * Threads: any; a sequence belongs to one at a time. Blocks: no. Memory: 300 bytes a segment, and as much a user of it.
 * Signals: none.
 * Returns: 0, or
 *   -ENOENT  /proc is not there
 *   -ENOMEM  no memory
 *   -EINVAL  no place for the handle
 * Since: 0.1   Example: examples/shared-memory.c   Source: proc(5)   See: quire_segments_next(3), quire-shm(1)
 */
QUIRE_API int quire_segments_open(struct quire_segments **segments);

/**
 * quire_segments_next - the next piece of shared memory
 * @segments: from quire_segments_open()
 * @segment: out: .size is set by the caller
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: 1, or 0 at the end, or
 *   -EINVAL  .size is too small
 * Since: 0.1   Example: examples/shared-memory.c   See: quire_segments_user(3)
 */
QUIRE_API int quire_segments_next(struct quire_segments *segments, struct quire_segment *segment);

/**
 * quire_segments_user - the next process that uses the segment that quire_segments_next() gave last
 * @segments: from quire_segments_open()
 * @user: out: .size is set by the caller
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: 1, or 0 at the end, or
 *   -EINVAL  .size is too small
 * Since: 0.1   Example: examples/shared-memory.c   See: quire_segments_next(3)
 */
QUIRE_API int quire_segments_user(struct quire_segments *segments, struct quire_segment_user *user);

/**
 * quire_segments_hidden - how many processes this user may not look into
 * @segments: from quire_segments_open()
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: their number: each of them may use any segment, and memfds that they alone use are not listed
 * Since: 0.1   Example: examples/shared-memory.c   See: quire_segments_next(3)
 */
QUIRE_API uint64_t quire_segments_hidden(const struct quire_segments *segments);

/**
 * quire_segments_close - end of a list of shared memory
 * @segments: from quire_segments_open(), or NULL
 *
 * Threads: one at a time. Blocks: no. Memory: freed. Signals: none.
 * Since: 0.1   Example: examples/shared-memory.c   See: quire_segments_open(3)
 */
QUIRE_API void quire_segments_close(struct quire_segments *segments);

/* ---- the machine ------------------------------------------------------------------------------------------------ */

/**
 * struct quire_memory - the memory of the machine, in sums
 * @size: sizeof(struct quire_memory), set by the caller
 * @total_bytes: all that the kernel manages
 * @free_bytes: used for nothing
 * @available_bytes: could be had without swapping
 * @cached_bytes: page cache of files, tmpfs and shared memory included
 * @buffer_bytes: page cache of block devices: directories, inodes
 * @shared_bytes: tmpfs, memfd, shared anonymous memory
 * @anonymous_bytes: processes' own
 * @dirty_bytes: newer than the disk
 * @writing_bytes: on its way to the disk
 * @reclaimable_bytes: the kernel's own caches of names and inodes
 * @swap_bytes: size of swap
 * @swap_free_bytes: unused swap
 * @committed_bytes: promised to processes
 * @commit_limit_bytes: what may be promised when overcommit is forbidden
 * @huge_page_bytes: size of a page of the default pool
 * @huge_pages: pages of this pool
 * @huge_pages_free: of these, unused
 *
 * Since: 0.1   See: quire_memory_read(3)
 */
struct quire_memory {
	size_t size;
	uint64_t total_bytes;
	uint64_t free_bytes;
	uint64_t available_bytes;
	uint64_t cached_bytes;
	uint64_t buffer_bytes;
	uint64_t shared_bytes;
	uint64_t anonymous_bytes;
	uint64_t dirty_bytes;
	uint64_t writing_bytes;
	uint64_t reclaimable_bytes;
	uint64_t swap_bytes;
	uint64_t swap_free_bytes;
	uint64_t committed_bytes;
	uint64_t commit_limit_bytes;
	uint64_t huge_page_bytes;
	uint64_t huge_pages;
	uint64_t huge_pages_free;
};

/**
 * quire_memory_read - the memory of the machine, in sums
 * @memory: out: .size is set by the caller; a figure that this kernel does not have is QUIRE_UNKNOWN
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL  .size is too small
 *   -ENOENT  /proc is not there
 * Since: 0.1   Example: examples/cached-files.c   Source: proc(5)   See: quire_walk_open(3)
 */
QUIRE_API int quire_memory_read(struct quire_memory *memory);

/* ---- page caches of ours, in any process ------------------------------------------------------------------------- */

struct quire_pools;

/**
 * quire_pools_open - the page caches that a process publishes
 * @pid: of the process
 * @pools: out: for quire_pools_next(), to be given back with quire_pools_close()
 *
 * A pool that was opened with .publish keeps its figures in shared memory. They are read there; the process is neither
 * stopped nor asked, and cannot be disturbed.
 *
 * Threads: any. Blocks: no. Memory: 20 KiB. Signals: none.
 * Returns: 0, or
 *   -EINVAL  pid is not positive, or nowhere to put the handle
 *   -ESRCH   there is no such process
 *   -EACCES  this user may not look at the descriptors of that process
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/published-pool.c   Source: docs/faults.md   See: quire-pool(1), quire_pool_open(3)
 */
QUIRE_API int quire_pools_open(int pid, struct quire_pools **pools);

/**
 * quire_pools_next - the next page cache of a process
 * @pools: from quire_pools_open()
 * @name: out: its .publish, valid until the next call
 * @stats: out: .size is set by the caller; .why is valid until the next call
 *
 * Nothing that stands in the other process's memory is trusted: it is checked, then used.
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: 1, 0 when there is none left, or
 *   -EINVAL   .size is not set
 *   -EBADMSG  what is published is no figures of a pool, or of another version of Quire; the next call goes on behind it
 *   -EAGAIN   it changed each time while it was read; the next call goes on behind it
 * Since: 0.1   Example: examples/published-pool.c   See: quire_pools_next_map(3)
 */
QUIRE_API int quire_pools_next(struct quire_pools *pools, const char **name, struct quire_pool_stats *stats);

/**
 * quire_pools_next_map - the next mapping of the page cache that quire_pools_next() has told of last
 * @pools: from quire_pools_open()
 * @name: out: path of what is mapped, "" when it has none; valid until the next call
 * @stats: out: .size is set by the caller; .dirty_bytes is QUIRE_UNKNOWN: only its own process can ask for that
 *
 * Threads: one at a time. Blocks: no. Memory: none. Signals: none.
 * Returns: 1, 0 when there is none left, or
 *   -EINVAL   .size is not set
 *   -EBADMSG  what is published is no figures of a mapping
 * Since: 0.1   Example: examples/published-pool.c   See: quire_map_stats(3)
 */
QUIRE_API int quire_pools_next_map(
	struct quire_pools *pools, const char **name, struct quire_map_stats *stats);

/**
 * quire_pools_close - stop looking at a process's page caches
 * @pools: from quire_pools_open(), or NULL
 *
 * Threads: any, when nobody uses it. Blocks: no. Memory: freed. Signals: none.
 * Since: 0.1   Example: examples/published-pool.c   See: quire_pools_open(3)
 */
QUIRE_API void quire_pools_close(struct quire_pools *pools);

#ifdef __cplusplus
}
#endif

#endif
