/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/pool.h - Quire's own page cache: a hard bound on memory, shared by as many mappings as one likes.
 *
 * A mapping with .engine = QUIRE_ENGINE_PAGED is used through ordinary pointers, like any other; but its pages live in a
 * pool, which holds no more of them than its bound, evicts by its own policy and writes back when it is told to.
 */
#ifndef QUIRE_POOL_H
#define QUIRE_POOL_H

#include <quire/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire_pool;

/**
 * enum quire_delivery - how a fault reaches the pool
 * @QUIRE_DELIVERY_AUTO: THREAD, or INLINE when .syscalls_only_pinned is set; PIN where userfaultfd is not to be had
 * @QUIRE_DELIVERY_THREAD: threads of the pool answer; system calls may touch paged memory
 * @QUIRE_DELIVERY_INLINE: the faulting thread answers itself, in a signal handler: the fastest way. A system call that
 * touches a page which is not in memory returns EFAULT, and a thread that blocks SIGBUS dies at a fault
 * @QUIRE_DELIVERY_PIN: nothing faults: pages are touched between quire_map_pin() and quire_map_unpin() only. Needs no
 * userfaultfd
 *
 * Since: 0.1   See: quire_pool_open(3)
 */
enum quire_delivery {
	QUIRE_DELIVERY_AUTO = 0,
	QUIRE_DELIVERY_THREAD = 1,
	QUIRE_DELIVERY_INLINE = 2,
	QUIRE_DELIVERY_PIN = 3,
};

/**
 * enum quire_policy - which pages stay when not all can
 * @QUIRE_POLICY_S3FIFO: pages seen twice outlive pages seen once; a scan does not push out what is in use
 * @QUIRE_POLICY_CLOCK: second chance; for comparison
 *
 * Since: 0.1   See: quire_pool_open(3)
 */
enum quire_policy {
	QUIRE_POLICY_S3FIFO = 0,
	QUIRE_POLICY_CLOCK = 1,
};

/**
 * struct quire_pool_options - bound and ways of a pool
 * @size: sizeof(struct quire_pool_options), set by QUIRE_OPTIONS(pool, ...)
 * @cache_bytes: the most that pages of this pool may use, in bytes; at least 64 KiB
 * @cache_bytes_max: the most quire_pool_resize() may ask for later, in bytes; 0 means @cache_bytes
 * @delivery: an enum quire_delivery
 * @policy: an enum quire_policy
 * @syscalls_only_pinned: 1: the program promises to hand paged memory to system calls only while it is pinned. This is also
 * the permission to install the SIGBUS handler
 * @handlers: threads that answer faults, 1 to 16; 0 means 4
 * @swap_path: a file for private and anonymous pages that do not fit; made anew and unlinked at once. NULL: they stay in
 * memory, and a store that finds no frame is an error
 * @swap_bytes: the most the swap file may hold, in bytes; 0 means 16 times @cache_bytes
 * @hostile: 1: a test instrument: everything that can be evicted is evicted at every fault
 *
 * Since: 0.1   See: quire_pool_open(3)
 */
struct quire_pool_options {
	size_t size;
	uint64_t cache_bytes;
	uint64_t cache_bytes_max;
	uint32_t delivery;
	uint32_t policy;
	uint32_t syscalls_only_pinned;
	uint32_t handlers;
	const char *swap_path;
	uint64_t swap_bytes;
	uint32_t hostile;
	uint32_t reserved;
};

/**
 * quire_pool_open - make a page cache
 * @options: cache_bytes at least
 * @pool: out: for .pool of mappings, to be given back with quire_pool_close()
 *
 * Threads: any. Blocks: no. Memory: 64 bytes a frame now, frames as they are used. Signals: installs the SIGBUS handler with
 * QUIRE_DELIVERY_INLINE.
 * Returns: 0, or
 *   -EINVAL  an option is out of range; the error text names it
 *   -E2BIG   the options struct is newer than this library
 *   -EPERM   a delivery was asked for that this user may not have; AUTO falls back and quire_pool_stats() says to what
 *   -ENOSYS  this kernel has no userfaultfd, and a delivery was asked for that needs it
 *   -ENOMEM  no memory
 *   -EMFILE  too many open files
 *   -ENOENT  /proc is not mounted, or the swap file cannot be made
 *   -EACCES  the swap file cannot be made
 *   -EAGAIN  no more threads
 * Since: 0.1   Example: examples/bounded-cache.c   Source: docs/faults.md   See: quire_map(3), quire_pool_resize(3)
 */
QUIRE_API int quire_pool_open(const struct quire_pool_options *options, struct quire_pool **pool);

/**
 * quire_pool_close - give a page cache back
 * @pool: from quire_pool_open(), or NULL
 *
 * Threads: any, when nobody uses it. Blocks: waits for its threads. Memory: freed. Signals: none.
 * Returns: 0, or
 *   -EBUSY   mappings are still open; nothing was done
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_pool_open(3)
 */
QUIRE_API int quire_pool_close(struct quire_pool *pool);

/**
 * quire_pool_resize - another bound, at run time
 * @pool: the pool
 * @cache_bytes: in bytes
 *
 * Downwards it evicts until the bound is met.
 *
 * Threads: any. Blocks: writes back what has to go. Memory: shrinks before it returns. Signals: none.
 * Returns: 0, or
 *   -EINVAL  more than .cache_bytes_max, or less than 64 KiB
 *   -EBUSY   pinned, locked or unwritable pages are more than that; what could go is gone, and the new bound is in force
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_pool_open(3)
 */
QUIRE_API int quire_pool_resize(struct quire_pool *pool, uint64_t cache_bytes);

/**
 * struct quire_pool_stats - what a pool has done so far
 * @size: sizeof(struct quire_pool_stats), set by the caller
 * @delivery: the enum quire_delivery in force
 * @policy: the enum quire_policy in force
 * @why: why this delivery, valid while the pool is
 * @cache_bytes: the bound, in bytes
 * @used_bytes: in frames now, in bytes
 * @faults: handled, through all doors
 * @minor: found in memory
 * @fills: pages read from an object
 * @zeros: pages made of nothing
 * @copies: private copies made at a store
 * @ahead: pages read ahead or prefetched
 * @ahead_used: of these, touched before they went
 * @ahead_wasted: of these, gone untouched
 * @evicted: frames given up
 * @put: pages written back
 * @put_errors: writes that failed; their pages are still in memory
 * @fill_errors: reads that failed
 * @waits: faults that had to evict themselves, because nothing was free
 *
 * Since: 0.1   See: quire_pool_stats(3)
 */
struct quire_pool_stats {
	size_t size;
	uint32_t delivery;
	uint32_t policy;
	const char *why;
	uint64_t cache_bytes;
	uint64_t used_bytes;
	uint64_t faults;
	uint64_t minor;
	uint64_t fills;
	uint64_t zeros;
	uint64_t copies;
	uint64_t ahead;
	uint64_t ahead_used;
	uint64_t ahead_wasted;
	uint64_t evicted;
	uint64_t put;
	uint64_t put_errors;
	uint64_t fill_errors;
	uint64_t waits;
};

/**
 * quire_pool_stats - what a pool has done so far
 * @pool: the pool
 * @stats: out: .size is set by the caller
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL  .size is not set
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_pool_open(3)
 */
QUIRE_API int quire_pool_stats(struct quire_pool *pool, struct quire_pool_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
