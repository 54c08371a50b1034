/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/map.h - every kind of mapping behind one handle.
 *
 * A mapping is opened with quire_map() or one of the one-line helpers, used through the pointer that
 * quire_map_address() returns, and given back with quire_unmap(). Everything between - protecting, growing,
 * flushing, locking, advising, sharing, repairing - is a quire_map_<verb>() on the same handle, whatever the
 * memory behind it is.
 *
 * Ranges are given as (offset, length) in bytes from quire_map_address(). An offset need not be a multiple of
 * the page size; the range is widened to whole pages where the kernel works in pages, and the docstring says so.
 * The length QUIRE_TO_END means "to the end of the mapping".
 */
#ifndef QUIRE_MAP_H
#define QUIRE_MAP_H

#include <quire/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The rest of the mapping, from the given offset. */
#define QUIRE_TO_END ((size_t)-1)

struct quire_object;
struct quire_pool;

/**
 * enum quire_kind - what stands behind a mapping
 * @QUIRE_KIND_AUTO: a file when a path, an fd or an object is given, else anonymous memory
 * @QUIRE_ANON: zero-filled memory without a name
 * @QUIRE_FILE: a regular file, by path or by descriptor
 * @QUIRE_MEMFD: an anonymous file in memory that has a descriptor, can be sealed and sent
 * @QUIRE_SECRET: memory that even the kernel's own view of this process does not show (memfd_secret)
 * @QUIRE_SHM: POSIX shared memory, found by any process under its name
 * @QUIRE_DEVICE: a device or special file whose driver allows mapping
 * @QUIRE_RESERVED: addresses only: nothing can be touched until something is placed inside
 *
 * Since: 0.1   See: quire_map(3)
 */
enum quire_kind {
	QUIRE_KIND_AUTO = 0,
	QUIRE_ANON = 1,
	QUIRE_FILE = 2,
	QUIRE_MEMFD = 3,
	QUIRE_SECRET = 4,
	QUIRE_SHM = 5,
	QUIRE_DEVICE = 6,
	QUIRE_RESERVED = 7,
};

/**
 * enum quire_protection - what the program may do with the bytes
 * @QUIRE_PROTECTION_DEFAULT: read and write for memory, read for files
 * @QUIRE_READ: loads are allowed
 * @QUIRE_WRITE: stores are allowed
 * @QUIRE_EXECUTE: instructions may be fetched; never together with QUIRE_WRITE (W^X)
 * @QUIRE_NO_ACCESS: every access faults; not combined with another bit
 *
 * Since: 0.1   See: quire_map(3), quire_map_protect(3)
 */
enum quire_protection {
	QUIRE_PROTECTION_DEFAULT = 0,
	QUIRE_READ = 1,
	QUIRE_WRITE = 2,
	QUIRE_EXECUTE = 4,
	QUIRE_NO_ACCESS = 8,
};

/**
 * enum quire_sharing - who sees a store
 * @QUIRE_SHARING_DEFAULT: private for anonymous memory, shared for everything else
 * @QUIRE_PRIVATE: nobody else: the first store to a page makes a private copy of it
 * @QUIRE_SHARED: every mapping of the same bytes, and the file
 *
 * Since: 0.1   See: quire_map(3)
 */
enum quire_sharing {
	QUIRE_SHARING_DEFAULT = 0,
	QUIRE_PRIVATE = 1,
	QUIRE_SHARED = 2,
};

/**
 * enum quire_map_flag - what else to do when mapping
 * @QUIRE_POPULATE_READ: make every page present and readable before returning
 * @QUIRE_POPULATE_WRITE: make every page present and writable before returning; no store will fault afterwards
 * @QUIRE_LOCKED: keep all pages in memory (mlock); they are brought in now
 * @QUIRE_LOCK_ON_FAULT: keep each page in memory from its first touch on
 * @QUIRE_NO_RESERVE: do not count this memory against the overcommit limit or the huge page pool
 * @QUIRE_STACK: memory for a stack: grows down to its length, guard pages below it
 * @QUIRE_SYNC: MAP_SYNC: stores are durable once flushed from the CPU caches; refused where there is no DAX
 * @QUIRE_CREATE: create the file, shared memory or directory entry when it does not exist
 * @QUIRE_EXCLUSIVE: with QUIRE_CREATE: refuse when it exists already
 * @QUIRE_TRUNCATE: cut an existing file to length 0; last of all that may be refused, so an error leaves it as it was
 * @QUIRE_PREALLOCATE: allocate the blocks of a file now (fallocate), so that a full disk is an error now
 * @QUIRE_SEALABLE: a memfd that accepts seals
 * @QUIRE_NO_DUMP: leave the memory out of core dumps
 * @QUIRE_MAY_MOVE: with quire_map_resize(): the address may change
 * @QUIRE_REPLACE: with .inside: replace what was placed there before
 * @QUIRE_ORDERED: paged and shared: what was stored goes to the file in epochs, each synced before the next begins: with
 *      quire_map_flush(), which then flushes the whole file, or when nothing else can make room. Without it pages leave
 *      one by one in any order, as the kernel's do
 *
 * Since: 0.1   See: quire_map(3)
 */
enum quire_map_flag {
	QUIRE_POPULATE_READ = 1 << 0,
	QUIRE_POPULATE_WRITE = 1 << 1,
	QUIRE_LOCKED = 1 << 2,
	QUIRE_LOCK_ON_FAULT = 1 << 3,
	QUIRE_NO_RESERVE = 1 << 4,
	QUIRE_STACK = 1 << 5,
	QUIRE_SYNC = 1 << 6,
	QUIRE_CREATE = 1 << 7,
	QUIRE_EXCLUSIVE = 1 << 8,
	QUIRE_TRUNCATE = 1 << 9,
	QUIRE_PREALLOCATE = 1 << 10,
	QUIRE_SEALABLE = 1 << 11,
	QUIRE_NO_DUMP = 1 << 12,
	QUIRE_MAY_MOVE = 1 << 13,
	QUIRE_REPLACE = 1 << 14,
	QUIRE_ORDERED = 1 << 15,
};

/**
 * enum quire_placement - where a mapping may stand
 * @QUIRE_PLACE_ANYWHERE: the kernel chooses; .address is not looked at
 * @QUIRE_PLACE_HINT: at .address when that is free, else anywhere
 * @QUIRE_PLACE_EXACT: at .address, or -EEXIST when anything is there already: nothing is ever clobbered
 *
 * Since: 0.1   See: quire_map(3)
 */
enum quire_placement {
	QUIRE_PLACE_ANYWHERE = 0,
	QUIRE_PLACE_HINT = 1,
	QUIRE_PLACE_EXACT = 2,
};

/**
 * enum quire_huge - what to do when the pool of huge pages cannot serve a mapping
 * @QUIRE_HUGE_OR_FAIL: refuse with -ENOMEM
 * @QUIRE_HUGE_OR_TRANSPARENT: take ordinary memory, aligned, and ask for transparent huge pages
 * @QUIRE_HUGE_OR_SMALL: the same, and be content with small pages
 *
 * Since: 0.1   See: quire_map(3)
 */
enum quire_huge {
	QUIRE_HUGE_OR_FAIL = 0,
	QUIRE_HUGE_OR_TRANSPARENT = 1,
	QUIRE_HUGE_OR_SMALL = 2,
};

/**
 * enum quire_guard - what happens when the bytes behind a page are gone
 * @QUIRE_GUARD_DEFAULT: what quire_open() was told; unguarded when it was told nothing
 * @QUIRE_GUARD_OFF: SIGBUS, as with mmap; guarded copies return -EFAULT
 * @QUIRE_GUARD_ZEROS: the page reads as zeros and takes stores; the handle carries the error
 * @QUIRE_GUARD_CALLBACK: .on_fault decides
 * @QUIRE_GUARD_TRY: control returns to the QUIRE_TRY block of the thread; without one, as ZEROS
 *
 * Since: 0.1   See: quire_map(3), quire_map_error(3), quire_map_repair(3)
 */
enum quire_guard {
	QUIRE_GUARD_DEFAULT = 0,
	QUIRE_GUARD_OFF = 1,
	QUIRE_GUARD_ZEROS = 2,
	QUIRE_GUARD_CALLBACK = 3,
	QUIRE_GUARD_TRY = 4,
};

/**
 * enum quire_fork - what a child made by fork sees
 * @QUIRE_FORK_DEFAULT: the mapping, as the kernel does it: shared stays shared, private is copied on write
 * @QUIRE_FORK_NOT: nothing: the addresses are unmapped in the child
 * @QUIRE_FORK_WIPE: zeros; private anonymous memory only
 *
 * Since: 0.1   See: quire_map(3)
 */
enum quire_fork {
	QUIRE_FORK_DEFAULT = 0,
	QUIRE_FORK_NOT = 1,
	QUIRE_FORK_WIPE = 2,
};

/**
 * enum quire_numa - on which memory nodes pages are placed
 * @QUIRE_NUMA_DEFAULT: on the node of the thread that touches first
 * @QUIRE_NUMA_BIND: on the given nodes only
 * @QUIRE_NUMA_INTERLEAVE: in turn over the given nodes
 * @QUIRE_NUMA_PREFERRED: on the given node while it has room
 *
 * Since: 0.1   See: quire_map_place(3)
 */
enum quire_numa {
	QUIRE_NUMA_DEFAULT = 0,
	QUIRE_NUMA_BIND = 1,
	QUIRE_NUMA_INTERLEAVE = 2,
	QUIRE_NUMA_PREFERRED = 3,
};

/**
 * enum quire_advice - what the program is going to do with a range, or wants done with it
 * @QUIRE_NORMAL: no special pattern
 * @QUIRE_RANDOM: single pages in no order: do not read around
 * @QUIRE_SEQUENTIAL: from start to end: read ahead far, forget early
 * @QUIRE_WILLNEED: start reading now
 * @QUIRE_DONTNEED: drop the pages now; private memory loses its content
 * @QUIRE_FREE: the content may be dropped when memory is short (private anonymous memory)
 * @QUIRE_COLD: first candidates when memory is short
 * @QUIRE_PAGEOUT: write out and drop now
 * @QUIRE_HUGEPAGE: use transparent huge pages
 * @QUIRE_NOHUGEPAGE: do not
 * @QUIRE_COLLAPSE: make huge pages of what is there, now
 * @QUIRE_DONTFORK: a child made by fork does not get the range
 * @QUIRE_DOFORK: it does
 * @QUIRE_WIPEONFORK: a child gets zeros
 * @QUIRE_KEEPONFORK: it gets the content
 * @QUIRE_DONTDUMP: leave out of core dumps
 * @QUIRE_DODUMP: put in
 * @QUIRE_POPULATE: make present and readable, reporting errors
 * @QUIRE_POPULATE_FOR_WRITE: make present and writable, reporting errors
 * @QUIRE_REMOVE: free the backing store of the range: a hole in the file
 *
 * Since: 0.1   See: quire_map_advise(3)
 */
enum quire_advice {
	QUIRE_NORMAL = 0,
	QUIRE_RANDOM = 1,
	QUIRE_SEQUENTIAL = 2,
	QUIRE_WILLNEED = 3,
	QUIRE_DONTNEED = 4,
	QUIRE_FREE = 5,
	QUIRE_COLD = 6,
	QUIRE_PAGEOUT = 7,
	QUIRE_HUGEPAGE = 8,
	QUIRE_NOHUGEPAGE = 9,
	QUIRE_COLLAPSE = 10,
	QUIRE_DONTFORK = 11,
	QUIRE_DOFORK = 12,
	QUIRE_WIPEONFORK = 13,
	QUIRE_KEEPONFORK = 14,
	QUIRE_DONTDUMP = 15,
	QUIRE_DODUMP = 16,
	QUIRE_POPULATE = 17,
	QUIRE_POPULATE_FOR_WRITE = 18,
	QUIRE_REMOVE = 19,
};

/**
 * enum quire_flush - how far stores shall get before the call returns
 * @QUIRE_FLUSH_ASYNC: write-back is started; nothing is known when the call returns
 * @QUIRE_FLUSH_SYNC: the bytes were handed to the device
 * @QUIRE_FLUSH_DURABLE: the bytes and the file's size would survive power loss
 *
 * Since: 0.1   See: quire_map_flush(3)
 */
enum quire_flush {
	QUIRE_FLUSH_ASYNC = 1,
	QUIRE_FLUSH_SYNC = 2,
	QUIRE_FLUSH_DURABLE = 3,
};

/**
 * enum quire_seal - what nobody may do any more to a memfd
 * @QUIRE_SEAL_SHRINK: make it smaller
 * @QUIRE_SEAL_GROW: make it larger
 * @QUIRE_SEAL_WRITE: change a byte
 * @QUIRE_SEAL_FUTURE_WRITE: change a byte, except through mappings that were writable before
 * @QUIRE_SEAL_EXEC: change the execute permission (Linux 6.3)
 * @QUIRE_SEAL_SEAL: add further seals
 *
 * Since: 0.1   See: quire_map_seal(3)
 */
enum quire_seal {
	QUIRE_SEAL_SHRINK = 1 << 0,
	QUIRE_SEAL_GROW = 1 << 1,
	QUIRE_SEAL_WRITE = 1 << 2,
	QUIRE_SEAL_FUTURE_WRITE = 1 << 3,
	QUIRE_SEAL_EXEC = 1 << 4,
	QUIRE_SEAL_SEAL = 1 << 5,
};

/**
 * enum quire_cause - why a page could not be served
 * @QUIRE_CAUSE_NONE: no error was seen
 * @QUIRE_CAUSE_TRUNCATED: the file was cut: the offset lies behind its end
 * @QUIRE_CAUSE_IO: the device or the filesystem could not read the block
 * @QUIRE_CAUSE_NO_SPACE: a store hit a hole and the filesystem is full
 * @QUIRE_CAUSE_NO_HUGE_PAGE: the pool of huge pages is empty
 * @QUIRE_CAUSE_POISON: the memory itself is broken, or was poisoned
 * @QUIRE_CAUSE_UNKNOWN: the kernel refused the page and no probe says why
 * @QUIRE_CAUSE_CHECKSUM: the bytes that were read are not those that were written (paged mappings)
 * @QUIRE_CAUSE_NO_FRAME: the pool is full of pages that cannot go (paged mappings)
 * @QUIRE_CAUSE_NOT_PINNED: touched outside of a pin, where nothing may fault (QUIRE_DELIVERY_PIN)
 *
 * Since: 0.1   See: quire_map_error(3)
 */
enum quire_cause {
	QUIRE_CAUSE_NONE = 0,
	QUIRE_CAUSE_TRUNCATED = 1,
	QUIRE_CAUSE_IO = 2,
	QUIRE_CAUSE_NO_SPACE = 3,
	QUIRE_CAUSE_NO_HUGE_PAGE = 4,
	QUIRE_CAUSE_POISON = 5,
	QUIRE_CAUSE_UNKNOWN = 6,
	QUIRE_CAUSE_CHECKSUM = 7,
	QUIRE_CAUSE_NO_FRAME = 8,
	QUIRE_CAUSE_NOT_PINNED = 9,
};

/**
 * enum quire_engine - who brings the pages in
 * @QUIRE_ENGINE_NATIVE: the kernel, with its own cache
 * @QUIRE_ENGINE_PAGED: Quire, through a pool with a bound
 * @QUIRE_ENGINE_AUTO: PAGED when a bound, a pool or an object was given, else NATIVE; quire_map_stat() says which
 *
 * Since: 0.1   See: quire_map(3), quire_pool_open(3)
 */
enum quire_engine {
	QUIRE_ENGINE_NATIVE = 0,
	QUIRE_ENGINE_PAGED = 1,
	QUIRE_ENGINE_AUTO = 2,
};

/**
 * struct quire_fault - one page that could not be served
 * @size: sizeof(struct quire_fault)
 * @cause: an enum quire_cause
 * @error: the errno that goes with it, negative: -ENODATA truncated, -EIO, -ENOSPC, -ENOMEM, -EHWPOISON
 * @offset: of the byte that was touched, from the start of the object, in bytes
 * @address: of the byte that was touched
 * @count: faults seen by this mapping so far, this one included
 * @write: 1 when a store hit the page, 0 when a load did
 *
 * Since: 0.1   See: quire_map_error(3)
 */
struct quire_fault {
	size_t size;
	uint32_t cause;
	int32_t error;
	uint64_t offset;
	const void *address;
	uint64_t count;
	uint32_t write;
	uint32_t reserved;
};

/**
 * enum quire_fault_action - what a fault callback wants done
 * @QUIRE_FAULT_ZEROS: zeros in place of the page, and go on
 * @QUIRE_FAULT_RETRY: the callback has mended the file: touch again
 * @QUIRE_FAULT_UNWIND: return to the thread's QUIRE_TRY block
 * @QUIRE_FAULT_SIGNAL: let the program die of SIGBUS, as without a guard
 *
 * Since: 0.1   See: quire_map(3)
 */
enum quire_fault_action {
	QUIRE_FAULT_ZEROS = 0,
	QUIRE_FAULT_RETRY = 1,
	QUIRE_FAULT_UNWIND = 2,
	QUIRE_FAULT_SIGNAL = 3,
};

/* Called inside a signal handler: async-signal-safe functions only. Returns an enum quire_fault_action. */
typedef int quire_fault_fn(const struct quire_fault *fault, void *user);

/**
 * struct quire_map_options - what to map, where and how
 * @size: sizeof(struct quire_map_options), set by QUIRE_OPTIONS(map, ...)
 * @kind: an enum quire_kind; 0 chooses by @path
 * @protection: bits of enum quire_protection; 0 is read+write for memory, read for files
 * @sharing: an enum quire_sharing
 * @flags: bits of enum quire_map_flag
 * @path: of the file or device; for QUIRE_SHM the name; for QUIRE_MEMFD and QUIRE_ANON the name to show
 * @offset: of the first byte in the file, in bytes; need not be a page multiple
 * @length: of the mapping, in bytes; 0 for a file means "to its end, and grow with quire_map_resize"
 * @mode: permissions of a created file, 0 means 0600
 * @placement: an enum quire_placement
 * @address: for @placement
 * @reserve_bytes: addresses to keep for growth in place, in bytes; 0 means no more than @length
 * @inside: a QUIRE_RESERVED mapping to be placed in; the address is its address + @inside_offset
 * @inside_offset: in bytes, a page multiple
 * @page_bytes: 0, or the size of huge pages wanted: 2 MiB or 1 GiB
 * @huge: an enum quire_huge: what to do without them
 * @guard: an enum quire_guard
 * @on_fault: with QUIRE_GUARD_CALLBACK: called in the signal handler
 * @user: handed to @on_fault
 * @fork: an enum quire_fork
 * @advice: an enum quire_advice for the whole mapping
 * @guard_bytes: size of the inaccessible range below a QUIRE_STACK, 0 means 64 KiB
 * @numa: an enum quire_numa
 * @numa_nodes: bit n is memory node n
 * @engine: an enum quire_engine
 * @pool: with QUIRE_ENGINE_PAGED: the pool its pages live in. Mappings of one file that share a pool show each other's stores, as
 * the kernel's do; a file in two pools, behind a filter, or mapped by the kernel as well is cached in each place apart
 * @cache_bytes: without @pool: the bound of a pool of its own, in bytes
 * @object: where its bytes come from, instead of @path
 *
 * Since: 0.1   Example: examples/six-kinds.c   See: quire_map(3)
 */
struct quire_map_options {
	size_t size;
	uint32_t kind;
	uint32_t protection;
	uint32_t sharing;
	uint32_t flags;
	const char *path;
	uint64_t offset;
	size_t length;
	uint32_t mode;
	uint32_t placement;
	void *address;
	size_t reserve_bytes;
	struct quire_map *inside;
	size_t inside_offset;
	size_t page_bytes;
	uint32_t huge;
	uint32_t guard;
	quire_fault_fn *on_fault;
	void *user;
	uint32_t fork;
	uint32_t advice;
	size_t guard_bytes;
	uint32_t numa;
	uint32_t engine;
	uint64_t numa_nodes;
	struct quire_pool *pool;
	uint64_t cache_bytes;
	struct quire_object *object;
};

/**
 * quire_map - open a mapping of any kind
 * @quire: the address space from quire_open(), or NULL for the process's own
 * @options: what to map; NULL is not allowed
 * @map: out: the handle, to be given back with quire_unmap()
 *
 * Threads: any. Blocks: opens files, and reads or allocates when asked to populate. Memory: a handle of less than
 * 1 KiB and the kernel's page tables. Signals: installs a SIGBUS handler when the first guarded mapping is made.
 * Returns: 0, or
 *   -EINVAL     an option is out of range, or two contradict each other; the error text names them
 *   -E2BIG      the caller's options struct is newer than this library and uses a field it does not know
 *   -ENOENT     no such file, and QUIRE_CREATE was not given
 *   -EEXIST     the address is occupied, or the file exists and QUIRE_EXCLUSIVE was given
 *   -EACCES     the file's permissions or its open mode do not allow this protection
 *   -EPERM      a seal, a limit of 0 on locked memory, or a security module forbids it
 *   -ENODEV     the file cannot be mapped (a directory, a pipe, a filesystem without mmap)
 *   -EOPNOTSUPP QUIRE_SYNC without DAX, or this kernel or user lacks a needed feature; see quire features
 *   -ENOMEM     a limit was reached; the error text says which, the figure, and how to raise it
 *   -EAGAIN     over the limit of locked memory
 *   -ENOSPC     QUIRE_PREALLOCATE on a full filesystem, or NUMA nodes without room
 *   -EOVERFLOW  offset and length do not fit the file's range
 *   -EFAULT     QUIRE_POPULATE_READ or _WRITE of pages that the file does not have
 *   -EMFILE     too many open files
 *   -EIO        the filesystem failed
 * Since: 0.1   Example: examples/six-kinds.c   Source: docs/architecture.md   See: quire_unmap(3), quire-map(7)
 */
QUIRE_API int quire_map(struct quire *quire, const struct quire_map_options *options, struct quire_map **map);

/**
 * quire_map_fd - map an open file
 * @quire: the address space, or NULL
 * @fd: an open descriptor; it is duplicated, the caller may close it at once
 * @options: as quire_map(); NULL means all of the file, shared, as writable as the descriptor
 * @map: out: the handle
 *
 * Threads: any. Blocks: as quire_map(). Memory: as quire_map(). Signals: as quire_map().
 * Returns: 0, or what quire_map() returns, and
 *   -EBADF      the descriptor is not open, or was opened with O_PATH
 *   -EINVAL     .path or .kind contradict a descriptor
 * Since: 0.1   Example: examples/pass-fd.c   See: quire_map(3)
 */
QUIRE_API int quire_map_fd(
	struct quire *quire, int fd, const struct quire_map_options *options, struct quire_map **map);

/**
 * quire_map_file - map a whole file, guarded, in one line
 * @quire: the address space, or NULL
 * @path: of the file
 * @protection: QUIRE_READ, or QUIRE_READ | QUIRE_WRITE (stores reach the file)
 * @map: out: the handle
 *
 * The mapping is shared and guarded with QUIRE_GUARD_ZEROS unless quire_open() chose another policy: calling
 * this helper is asking for the guard.
 *
 * Threads: any. Blocks: opens the file. Memory: as quire_map(). Signals: installs the SIGBUS handler.
 * Returns: 0, or what quire_map() returns
 *   -ENOENT     no such file
 *   -EACCES     no permission to read or write it
 * Since: 0.1   Example: examples/guarded-reader.c   See: quire_map(3)
 */
QUIRE_API int quire_map_file(
	struct quire *quire, const char *path, unsigned int protection, struct quire_map **map);

/**
 * quire_map_anon - private zero-filled memory in one line
 * @quire: the address space, or NULL
 * @length: in bytes
 * @map: out: the handle
 *
 * Threads: any. Blocks: no. Memory: pages as they are touched. Signals: none.
 * Returns: 0, or what quire_map() returns
 *   -EINVAL     a length of 0
 *   -ENOMEM     a limit was reached
 * Since: 0.1   Example: examples/six-kinds.c   See: quire_map(3), quire_map_shared(3)
 */
QUIRE_API int quire_map_anon(struct quire *quire, size_t length, struct quire_map **map);

/**
 * quire_map_shared - zero-filled memory that fork children share and that can be sent to strangers, in one line
 * @quire: the address space, or NULL
 * @name: shown in /proc/PID/maps, may be NULL
 * @length: in bytes
 * @map: out: the handle of a sealable memfd
 *
 * Threads: any. Blocks: no. Memory: pages as they are touched. Signals: none.
 * Returns: 0, or what quire_map() returns
 *   -EINVAL     a length of 0
 *   -EMFILE     too many open files
 * Since: 0.1   Example: examples/pass-fd.c   See: quire_map_send(3)
 */
QUIRE_API int quire_map_shared(struct quire *quire, const char *name, size_t length, struct quire_map **map);

/**
 * quire_reserve - keep a range of addresses to place mappings in
 * @quire: the address space, or NULL
 * @length: in bytes
 * @map: out: a QUIRE_RESERVED mapping, for .inside of other mappings
 *
 * Threads: any. Blocks: no. Memory: none but addresses. Signals: none.
 * Returns: 0, or what quire_map() returns
 *   -EINVAL     a length of 0
 *   -ENOMEM     no such range of addresses is free
 * Since: 0.1   Example: examples/reserve-and-place.c   See: quire_map(3)
 */
QUIRE_API int quire_reserve(struct quire *quire, size_t length, struct quire_map **map);

/**
 * quire_unmap - give a mapping back
 * @map: the handle, or NULL; not to be used afterwards
 *
 * Shared stores are in the file's cache already and are not lost; they are not durable unless flushed. Mappings
 * placed .inside a reservation must be given back before it.
 *
 * Threads: any, when no other thread uses the handle or its memory. Blocks: no. Memory: freed. Signals: none.
 * Returns: 0, or
 *   -EBUSY      a reservation in which other mappings still stand, or the mapping of a region: nothing was done
 *   -ECHILD     a paged mapping of the process that forked: it is not there in this one, and nothing was done
 * Since: 0.1   Example: examples/six-kinds.c   See: quire_map(3), quire_map_unmap(3)
 */
QUIRE_API int quire_unmap(struct quire_map *map);

/**
 * quire_map_address - where a mapping's first byte is
 * @map: the handle
 *
 * The byte at .offset of the file, also when that offset was not a page multiple. Stable until quire_unmap() or a
 * quire_map_resize() or quire_map_move() that moves.
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: the address
 * Since: 0.1   Example: examples/six-kinds.c   See: quire_map_length(3)
 */
QUIRE_API void *quire_map_address(const struct quire_map *map);

/**
 * quire_map_length - how many bytes a mapping shows
 * @map: the handle
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: the length in bytes, as asked for; the zero tail of the last page is not counted
 * Since: 0.1   Example: examples/six-kinds.c   See: quire_map_stat(3)
 */
QUIRE_API size_t quire_map_length(const struct quire_map *map);

/**
 * quire_map_unmap - give back part of a mapping
 * @map: the handle
 * @offset: of the first byte, in bytes; the address must be a page multiple
 * @length: in bytes, rounded up to pages
 *
 * Threads: any. Blocks: no. Memory: may split a kernel mapping in two. Signals: none.
 * Returns: 0, or
 *   -EINVAL     unaligned, empty, outside of the mapping, or of a mapping placed .inside a reservation, which is given
 *               back whole
 *   -EBUSY      a part of a reservation in which other mappings stand, or the mapping of a region
 *   -ENOMEM     the split would exceed vm.max_map_count
 * Since: 0.1   Example: examples/reserve-and-place.c   See: quire_unmap(3)
 */
QUIRE_API int quire_map_unmap(struct quire_map *map, size_t offset, size_t length);

/**
 * quire_map_protect - change what may be done with a range
 * @map: the handle
 * @offset: of the first byte, in bytes; the address must be a page multiple
 * @length: in bytes, rounded up to pages
 * @protection: bits of enum quire_protection; not 0
 *
 * Unlike mprotect nothing is changed when the range has a hole: the check comes first.
 *
 * Threads: any. Blocks: no. Memory: may split a kernel mapping. Signals: none.
 * Returns: 0, or
 *   -EINVAL     unaligned, outside of the mapping, or write and execute together
 *   -EACCES     a shared mapping of a file that is not open for writing
 *   -ENOMEM     part of the range was unmapped, or the split would exceed vm.max_map_count
 * Since: 0.1   Example: examples/write-then-execute.c   See: quire_map(3)
 */
QUIRE_API int quire_map_protect(struct quire_map *map, size_t offset, size_t length, unsigned int protection);

/**
 * quire_map_resize - grow or shrink a mapping, and the file when it must grow
 * @map: the handle
 * @length: new length in bytes, not 0
 * @flags: 0, or bits of: QUIRE_MAY_MOVE the address may change; QUIRE_PREALLOCATE the new blocks are allocated
 *
 * Within .reserve_bytes the address never changes. When a shared mapping of a writable file grows, the file is made long
 * enough; it is never cut.
 *
 * Threads: any, when no other thread uses memory that goes away. Blocks: may extend a file. Memory: page tables.
 * Signals: none.
 * Returns: 0, or
 *   -EINVAL     a length of 0, or a kind that has no size to change
 *   -EBUSY      the mapping of a region: quire_region_resize
 *   -ENOMEM     no room at this address and QUIRE_MAY_MOVE was not given, or a limit
 *   -ENOSPC     no room on the filesystem
 *   -EFBIG      the filesystem does not allow files of that size
 *   -EPERM      a seal forbids growing
 *   -EBUSY      it belongs to a region or a channel
 * Since: 0.1   Example: examples/grow-in-place.c   See: quire_map_move(3)
 */
QUIRE_API int quire_map_resize(struct quire_map *map, size_t length, unsigned int flags);

/**
 * quire_map_move - show the same memory at another address
 * @map: the handle
 * @address: where to, a page multiple; must be free. NULL: anywhere
 *
 * Threads: any, when no other thread uses the memory. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     unaligned, or no mapping
 *   -EEXIST     something is mapped there
 *   -EFAULT     the mapping is in several pieces
 *   -EBUSY      it stands in a reservation, has addresses kept around it (.reserve_bytes, a stack's guard pages,
 *               alignment for transparent huge pages, a length of 0), or belongs to a region or a channel
 *   -ENOMEM     a limit was reached
 * Since: 0.1   Example: examples/grow-in-place.c   See: quire_map_resize(3)
 */
QUIRE_API int quire_map_move(struct quire_map *map, void *address);

/**
 * quire_map_advise - say how a range will be used, or have something done with it
 * @map: the handle
 * @offset: of the first byte, in bytes
 * @length: in bytes; the pages that contain the range are meant
 * @advice: an enum quire_advice
 *
 * QUIRE_DONTNEED, QUIRE_FREE and QUIRE_REMOVE destroy content and therefore want whole pages.
 *
 * Threads: any. Blocks: QUIRE_POPULATE, QUIRE_COLLAPSE and QUIRE_PAGEOUT do. Memory: as advised. Signals: none.
 * Returns: 0, or
 *   -EINVAL     unknown (to this kernel too: see quire features), unaligned where content is destroyed, or not for this
 *               kind of memory
 *   -ENOMEM     part of the range is not mapped, or no huge page could be had
 *   -EFAULT     QUIRE_POPULATE behind the end of the file
 *   -EHWPOISON  QUIRE_POPULATE met a poisoned page
 *   -EIO        QUIRE_POPULATE could not read
 *   -ENOSPC     QUIRE_POPULATE met a hole on a full filesystem
 *   -EAGAIN     QUIRE_COLLAPSE: try again
 *   -EBUSY      QUIRE_COLLAPSE: a page is in use; or content of a region's mapping would be destroyed
 *   -EACCES     QUIRE_REMOVE on a mapping without write permission
 *   -EPERM      a seal forbids QUIRE_REMOVE
 * Since: 0.1   Example: examples/six-kinds.c   Source: madvise(2)   See: quire_map(3)
 */
QUIRE_API int quire_map_advise(struct quire_map *map, size_t offset, size_t length, unsigned int advice);

/**
 * quire_map_flush - send stores on their way to the file
 * @map: the handle
 * @offset: of the first byte, in bytes
 * @length: in bytes; whole pages are written
 * @how: an enum quire_flush
 *
 * Private and anonymous memory has nowhere to go: nothing is done and 0 returned, as msync does.
 *
 * Threads: any. Blocks: QUIRE_FLUSH_SYNC and QUIRE_FLUSH_DURABLE wait for the device. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     unknown @how
 *   -ENOMEM     part of the range is not mapped
 *   -EIO        a write failed; the data may be lost
 *   -ENOSPC     no room for a page that had been a hole
 *   -ENODATA    the sticky error: part of the mapping was lost before (quire_map_error)
 * Since: 0.1   Example: examples/two-programs.c   See: quire_map_error(3)
 */
QUIRE_API int quire_map_flush(struct quire_map *map, size_t offset, size_t length, unsigned int how);

/**
 * quire_map_lock - keep a range in memory
 * @map: the handle
 * @offset: of the first byte, in bytes
 * @length: in bytes; whole pages are locked
 * @flags: 0, or QUIRE_LOCK_ON_FAULT
 *
 * Threads: any. Blocks: reads the pages in. Memory: counts against RLIMIT_MEMLOCK. Signals: none.
 * Returns: 0, or
 *   -EINVAL     unknown flags, or outside of the mapping
 *   -ENOMEM     over RLIMIT_MEMLOCK, or part of the range is not mapped; of a paged mapping also: it does not fit into the pool,
 *               and none of the range is locked now
 *   -EPERM      this user may lock nothing
 *   -EAGAIN     some pages could not be read in
 * Since: 0.1   Example: examples/locked-secret.c   Source: mlock2(2)   See: quire_map_unlock(3)
 */
QUIRE_API int quire_map_lock(struct quire_map *map, size_t offset, size_t length, unsigned int flags);

/**
 * quire_map_unlock - let a range be paged out again
 * @map: the handle
 * @offset: of the first byte, in bytes
 * @length: in bytes
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     outside of the mapping
 *   -ENOMEM     part of the range is not mapped
 * Since: 0.1   Example: examples/locked-secret.c   See: quire_map_lock(3)
 */
QUIRE_API int quire_map_unlock(struct quire_map *map, size_t offset, size_t length);

/**
 * quire_map_residency - which pages of a range are in memory
 * @map: the handle
 * @offset: of the first byte, in bytes
 * @length: in bytes
 * @pages: out, may be NULL: one byte a page, bit 0 set when it is resident; room for length / 4096 + 2
 * @resident: out, may be NULL: how many are resident
 *
 * The kernel says "resident" for every page of a file that this user may not write and does not own: then the
 * answer is refused instead of guessed.
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: the number of pages looked at, or
 *   -EINVAL     outside of the mapping
 *   -EACCES     the kernel does not tell this user the truth about this file
 *   -ENOMEM     part of the range is not mapped
 * Since: 0.1   Example: examples/six-kinds.c   Source: mincore(2)   See: quire_map_advise(3)
 */
QUIRE_API int64_t quire_map_residency(
	struct quire_map *map, size_t offset, size_t length, unsigned char *pages, uint64_t *resident);

/**
 * quire_map_preallocate - allocate the blocks of a range now
 * @map: a file or memfd mapping
 * @offset: of the first byte, in bytes
 * @length: in bytes
 *
 * Afterwards no store to the range can meet a full disk.
 *
 * Threads: any. Blocks: allocates. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     outside of the mapping, or memory without a file
 *   -ENOSPC     not enough room; the file is as long as before
 *   -EOPNOTSUPP the filesystem cannot preallocate
 *   -EBADF      the file is not open for writing
 *   -EPERM      a seal forbids it
 *   -EIO        the filesystem failed
 * Since: 0.1   Example: examples/grow-in-place.c   Source: fallocate(2)   See: quire_map(3)
 */
QUIRE_API int quire_map_preallocate(struct quire_map *map, size_t offset, size_t length);

/**
 * quire_map_place - choose memory nodes for a range
 * @map: the handle
 * @offset: of the first byte, in bytes
 * @length: in bytes
 * @numa: an enum quire_numa
 * @nodes: bit n is memory node n; 0 with QUIRE_NUMA_DEFAULT
 *
 * Threads: any. Blocks: moves pages that are elsewhere. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     no such node, or an unknown policy
 *   -EIO        some pages could not be moved
 *   -ENOTSUP    this kernel has no NUMA support
 *   -ENOMEM     no memory for the policy
 *   -EPERM      a security module forbids it
 * Since: 0.1   Example: examples/six-kinds.c   Source: mbind(2)   See: quire_map(3)
 */
QUIRE_API int quire_map_place(
	struct quire_map *map, size_t offset, size_t length, unsigned int numa, uint64_t nodes);

/**
 * quire_map_name - give memory a name that /proc/PID/maps shows
 * @map: anonymous memory
 * @name: printable, at most 79 bytes, without any of: [ ] \ $ `
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     too long, or a character the kernel refuses, or not anonymous
 *   -ENOTSUP    this kernel cannot name memory
 *   -ENOMEM     no memory for the name
 * Since: 0.1   Example: examples/six-kinds.c   Source: PR_SET_VMA_ANON_NAME   See: quire_map_stat(3)
 */
QUIRE_API int quire_map_name(struct quire_map *map, const char *name);

/**
 * quire_map_export - a descriptor of what is mapped
 * @map: a mapping of a file, memfd or shared memory
 * @fd: out: a new descriptor, close-on-exec, to be closed by the caller
 *
 * Threads: any. Blocks: no. Memory: one descriptor. Signals: none.
 * Returns: 0, or
 *   -EINVAL     memory without a descriptor
 *   -EMFILE     too many open files
 * Since: 0.1   Example: examples/pass-fd.c   See: quire_map_send(3)
 */
QUIRE_API int quire_map_export(const struct quire_map *map, int *fd);

/**
 * quire_map_send - hand a mapping to another process
 * @map: a mapping with a descriptor
 * @socket: a connected Unix socket
 *
 * Threads: any, one at a time on a socket. Blocks: as the socket does. Memory: none. Signals: none (no SIGPIPE).
 * Returns: 0, or
 *   -EINVAL     memory without a descriptor, or not a Unix socket
 *   -EPIPE      nobody is there
 *   -ECONNRESET the peer went away
 *   -EAGAIN     the socket does not block and is full
 * Since: 0.1   Example: examples/pass-fd.c   See: quire_map_receive(3)
 */
QUIRE_API int quire_map_send(const struct quire_map *map, int socket);

/**
 * quire_map_receive - take a mapping from another process
 * @quire: the address space, or NULL
 * @socket: a connected Unix socket
 * @seals: bits of enum quire_seal the descriptor must carry, else it is refused; 0 asks for none
 * @options: as quire_map_fd(), or NULL
 * @map: out: the handle
 *
 * Size and seals are asked of the kernel, not believed from the message. A descriptor that can still shrink is
 * mapped guarded.
 *
 * Threads: any, one at a time on a socket. Blocks: as the socket does. Memory: as quire_map(). Signals: as
 * quire_map().
 * Returns: 0, or what quire_map() returns, and
 *   -EPIPE      the sender closed the socket without sending
 *   -EBADMSG    the message is not one of quire_map_send()
 *   -EPERM      a demanded seal is missing
 *   -ERANGE     the file is shorter than the sender said
 *   -EAGAIN     the socket does not block and is empty
 * Since: 0.1   Example: examples/pass-fd.c   See: quire_map_send(3)
 */
QUIRE_API int quire_map_receive(struct quire *quire, int socket, unsigned int seals,
	const struct quire_map_options *options, struct quire_map **map);

/**
 * quire_map_seal - forbid changes to a memfd, for everybody, for ever
 * @map: a QUIRE_MEMFD mapping made with QUIRE_SEALABLE
 * @seals: bits of enum quire_seal
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     unknown bits, or not a memfd
 *   -EPERM      not sealable, or QUIRE_SEAL_SEAL is set already
 *   -EBUSY      QUIRE_SEAL_WRITE while a writable shared mapping exists, this one included
 *   -ENOTSUP    this kernel does not know the seal
 * Since: 0.1   Example: examples/pass-fd.c   Source: fcntl(2), F_ADD_SEALS   See: quire_map_seals(3)
 */
QUIRE_API int quire_map_seal(struct quire_map *map, unsigned int seals);

/**
 * quire_map_seals - which seals a memfd carries
 * @map: a mapping with a descriptor
 * @seals: out: bits of enum quire_seal
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     no memfd
 * Since: 0.1   Example: examples/pass-fd.c   See: quire_map_seal(3)
 */
QUIRE_API int quire_map_seals(const struct quire_map *map, unsigned int *seals);

/**
 * struct quire_map_stat - what a handle knows of its mapping
 * @size: sizeof(struct quire_map_stat), set by the caller
 * @kind: an enum quire_kind
 * @sharing: an enum quire_sharing
 * @protection: bits of enum quire_protection of the first page
 * @guard: an enum quire_guard
 * @engine: "native": the kernel faults the pages in
 * @name: path or name of what is mapped, valid while the handle is; NULL when there is none
 * @address: of the first byte
 * @length: in bytes
 * @reserved_bytes: how far it can grow in place, in bytes
 * @offset: of the first byte in the object, in bytes
 * @object_bytes: size of the object now, in bytes; 0 for private anonymous memory
 * @zero_tail_bytes: bytes behind the end of the file in the last page: zeros, not part of the file
 * @page_bytes: size of the pages it got, 4096 when small
 * @transparent: 1 when transparent huge pages stand in for the huge pool
 * @resident_bytes: how much of it is in memory; (uint64_t)-1 when the kernel does not tell this user
 * @faults: pages that could not be served so far
 * @segments: pieces of one protection it consists of
 *
 * Since: 0.1   See: quire_map_stat(3)
 */
struct quire_map_stat {
	size_t size;
	uint32_t kind;
	uint32_t sharing;
	uint32_t protection;
	uint32_t guard;
	const char *engine;
	const char *name;
	void *address;
	uint64_t length;
	uint64_t reserved_bytes;
	uint64_t offset;
	uint64_t object_bytes;
	uint64_t zero_tail_bytes;
	uint64_t page_bytes;
	uint32_t transparent;
	uint32_t segments;
	uint64_t resident_bytes;
	uint64_t faults;
};

/**
 * quire_map_stat - what is known of a mapping
 * @map: the handle
 * @stat: out: .size is set by the caller; fields it does not know are not written
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     .size is too small
 * Since: 0.1   Example: examples/six-kinds.c   See: quire_map_describe(3)
 */
QUIRE_API int quire_map_stat(struct quire_map *map, struct quire_map_stat *stat);

/**
 * quire_map_describe - a mapping in one line of words
 * @map: the handle
 * @text: out: e.g. "8.0 MiB of file a.bin, shared, read, at 0x7f.., native engine, 512 of 2048 pages resident, no errors"
 * @text_bytes: room in @text; longer descriptions are cut
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: the length the whole description needs, without its NUL, as snprintf does
 *   -EINVAL     no handle
 * Since: 0.1   Example: examples/six-kinds.c   See: quire_map_stat(3)
 */
QUIRE_API int quire_map_describe(struct quire_map *map, char *text, size_t text_bytes);

/**
 * quire_map_error - the first error a mapping met
 * @map: a guarded mapping
 * @fault: out, may be NULL: .size is set by the caller: file offset, cause and errno of the first fault
 *
 * The error is sticky: every later flush, lock or resize of the handle returns it too, until quire_map_repair() has put
 * all bytes back.
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0 when no error was met, or
 *   -ENODATA    the file was truncated
 *   -EIO        the device could not read
 *   -ENOSPC     the filesystem was full under a store
 *   -ENOMEM     the pool of huge pages was empty
 *   -EHWPOISON  the memory is broken
 *   -EFAULT     no probe says why
 * Since: 0.1   Example: examples/guarded-reader.c   See: quire_map_repair(3)
 */
QUIRE_API int quire_map_error(struct quire_map *map, struct quire_fault *fault);

/**
 * quire_map_repair - show file data again where zeros stand in for it
 * @map: a guarded mapping
 *
 * Pages whose bytes exist again show them, at the same addresses; stores made to their stand-ins are dropped. What a paged
 * mapping could not write back is written once more; when all of it is, later flushes do well again. The error of a sync
 * stays: nobody knows what of the file is lost.
 *
 * Threads: any; stores to stand-in pages by other threads during the call may be dropped. Blocks: a paged mapping writes.
 * Memory: none. Signals: none.
 * Returns: 0 when nothing is missing any more and the error is cleared, or
 *   -ENODATA    the file is still too short for some pages
 *   -EIO        some pages still cannot be read or written, or a sync has failed
 *   -ENOSPC     some pages still have no room
 *   -ENOMEM     the pool of huge pages is still empty, or a limit
 *   -EHWPOISON  some pages are still poisoned
 * Since: 0.1   Example: examples/guarded-reader.c   See: quire_map_error(3)
 */
QUIRE_API int quire_map_repair(struct quire_map *map);

/**
 * struct quire_range - a part of a mapping
 * @offset: of the first byte, in bytes
 * @length: in bytes
 *
 * Since: 0.1   See: quire_map_prefetch(3)
 */
struct quire_range {
	uint64_t offset;
	uint64_t length;
};

/**
 * quire_map_prefetch - begin to read what will be wanted
 * @map: a paged mapping
 * @ranges: in any order
 * @range_count: how many
 *
 * A fault that nobody waits for: the pages are on their way when the call returns. With a full queue or under pressure the
 * rest of the list is left out.
 *
 * Threads: any. Blocks: no. Memory: frames of the pool. Signals: none.
 * Returns: the number of pages that were asked for, or
 *   -EINVAL     outside of the mapping, or not paged
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_map_pin(3)
 */
QUIRE_API int64_t quire_map_prefetch(
	struct quire_map *map, const struct quire_range *ranges, size_t range_count);

/**
 * quire_map_pin - bring a range in and keep it
 * @map: a paged mapping
 * @offset: of the first byte, in bytes
 * @length: in bytes
 * @protection: QUIRE_READ, or QUIRE_READ | QUIRE_WRITE: what will be done with it
 *
 * Until quire_map_unpin() no page of the range faults or is evicted, so it may be handed to any system call.
 *
 * Threads: any. Blocks: reads the pages. Memory: frames of the pool that cannot go meanwhile. Signals: none.
 * Returns: 0, or
 *   -EINVAL     outside of the mapping, or not paged
 *   -ENOMEM     the pool has no room for so many pinned pages; nothing is pinned
 *   -ENODATA    behind the end of the object
 *   -EIO        a page could not be read
 *   -EBADMSG    a page is not what was written
 *   -EACCES     the mapping does not allow it
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_map_unpin(3), quire_map_try_read(3)
 */
QUIRE_API int quire_map_pin(struct quire_map *map, size_t offset, size_t length, unsigned int protection);

/**
 * quire_map_unpin - let a range go again
 * @map: a paged mapping
 * @offset: as given to quire_map_pin()
 * @length: as given to quire_map_pin()
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL     outside of the mapping, or not paged
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_map_pin(3)
 */
QUIRE_API int quire_map_unpin(struct quire_map *map, size_t offset, size_t length);

/**
 * quire_map_try_read - copy bytes out, with an errno for what cannot be read
 * @map: any mapping
 * @offset: of the first byte, in bytes
 * @to: room for length bytes
 * @length: in bytes
 *
 * Threads: any. Blocks: reads the pages. Memory: none. Signals: as quire_copy_out(), on mappings that are not paged.
 * Returns: 0, or
 *   -EINVAL     outside of the mapping
 *   -ENODATA    behind the end of the file
 *   -EIO        a page could not be read
 *   -EBADMSG    a page is not what was written
 *   -ENOMEM     no frame could be had
 * Since: 0.1   Example: examples/custom-object.c   See: quire_map_pin(3)
 */
QUIRE_API int quire_map_try_read(struct quire_map *map, size_t offset, void *to, size_t length);

/**
 * quire_map_check - would a fault of this thread be caught?
 * @map: a guarded mapping, or NULL for the process as a whole
 *
 * Looks whether our handler is still the installed one and whether this thread blocks SIGBUS.
 *
 * Threads: any; the answer is about the calling thread. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -ENOTSUP    another handler was installed over ours, and does not pass signals on
 *   -EDEADLK    this thread blocks SIGBUS: the kernel would kill the process
 *   -EINVAL     the mapping is not guarded
 * Since: 0.1   Example: examples/guarded-reader.c   See: quire_map(3)
 */
QUIRE_API int quire_map_check(const struct quire_map *map);

#ifdef __cplusplus
}
#endif

#endif
