/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/pool.h - Quire's own page cache: a hard bound on memory, shared by as many mappings as one likes.
 *
 * A mapping with .engine = QUIRE_ENGINE_PAGED is used through ordinary pointers, like any other; but its pages live in a
 * pool, which holds no more of them than its bound, evicts by its own policy and writes back when it is told to.
 *
 * A child made by fork() has neither: touching a paged mapping of its parent there is SIGSEGV (never zeros), and every call
 * on it or on the pool returns -ECHILD. What the parent maps stays as it is.
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
 * @QUIRE_DELIVERY_PIN: nothing faults: pages are touched between quire_map_pin() and quire_map_unpin() only, and any other
 * touch is an error (SIGBUS, or what the mapping's guard makes of it). Needs no userfaultfd
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
 * @cache_bytes: the most that pages of this pool may use, in bytes, what is kept to find them included where that is 1 MiB or
 *   more; at least 64 KiB
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
 * @unit_bytes: pages of an object come, are shown and go together in aligned units of this many bytes: a power of two from 4096
 * to 65536; 0 means 4096. What was stored, and private copies, stay a matter of each page
 * @publish: a name under which the pool shows its statistics to other processes of this user (quire_pools_open(3),
 * quire-pool(1)); NULL: to none
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
	uint32_t unit_bytes;
	const char *publish;
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
 *   -EPERM   a delivery was asked for that this user may not have; AUTO falls back to PIN, and quire_pool_stats() says why
 *   -ENOSYS  this kernel has no userfaultfd, and a delivery was asked for that needs it
 *   -ENOMEM  no memory
 *   -EMFILE  too many open files
 *   -ENOENT  /proc is not mounted, or the swap file cannot be made
 *   -EEXIST  there is something at .swap_path: it is not touched
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
 *   -ECHILD  it belongs to the process that forked; nothing was done
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

enum { QUIRE_LATENCY_BUCKETS = 32 };

/**
 * struct quire_latency - how long something took, each time
 * @count: how often
 * @p50_ns: half of them took no longer, in nanoseconds; rounded up to the end of a bucket
 * @p99_ns: 99 of 100 took no longer, likewise
 * @max_ns: the longest, exact
 * @buckets: of 2^i to 2^(i+1) - 1 nanoseconds at place i; the last has no end
 *
 * Since: 0.1   See: quire_pool_stats(3), quire_map_stats(3)
 */
struct quire_latency {
	uint64_t count;
	uint64_t p50_ns;
	uint64_t p99_ns;
	uint64_t max_ns;
	uint64_t buckets[QUIRE_LATENCY_BUCKETS];
};

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
 * @ahead_used: of these, touched before they went; neither this nor @ahead_wasted counts pages of read-only files that were
 * entered as they came, whose touch nobody sees
 * @ahead_wasted: of these, gone untouched
 * @evicted: frames given up
 * @put: pages written back
 * @put_errors: writes that failed; their pages are still in memory
 * @fill_errors: reads that failed
 * @waits: faults that had to evict themselves, because nothing was free
 * @by_signal: of @faults, those that the faulting thread answered in its signal handler
 * @by_thread: of @faults, those that a thread of the pool answered, or a call of the library made
 * @by_pin: of @faults, those that quire_map_pin() and quire_map_try_read() made before the touch
 * @maps: open mappings
 * @fault_time: from the arrival of a fault to the end of its handling; what nobody waited for is not in it
 * @fill_time: a transfer from an object, of one page or many
 * @put_time: a transfer to an object
 * @evict_time: a batch of evictions
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
	uint64_t by_signal;
	uint64_t by_thread;
	uint64_t by_pin;
	uint64_t maps;
	struct quire_latency fault_time;
	struct quire_latency fill_time;
	struct quire_latency put_time;
	struct quire_latency evict_time;
};

/**
 * quire_pool_stats - what a pool has done so far
 * @pool: the pool
 * @stats: out: .size is set by the caller
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL  .size is not set
 *   -ECHILD  the pool belongs to the process that forked
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_pool_open(3)
 */
QUIRE_API int quire_pool_stats(struct quire_pool *pool, struct quire_pool_stats *stats);

/**
 * struct quire_map_stats - what a pool has done so far for one mapping
 * @size: sizeof(struct quire_map_stats), set by the caller
 * @mapped_bytes: length of the mapping in whole pages, in bytes
 * @resident_bytes: pages in memory that were brought in for this mapping; those of all mappings add up to the pool's
 * .used_bytes, together with those of mappings that are closed
 * @dirty_bytes: pages that this mapping shows and that are newer than the object: what quire_map_flush() would write
 * @faults: handled, through all doors
 * @minor: of these, whose page was in memory
 * @by_signal: of these, answered in the faulting thread
 * @by_thread: of these, answered by a thread of the pool, or made by a call of the library
 * @by_pin: of these, made by a pin before the touch
 * @fills: pages read from the object
 * @zeros: pages made of nothing
 * @copies: private copies made at a store
 * @ahead: pages read ahead or prefetched
 * @ahead_used: of these, touched before they went; neither this nor @ahead_wasted counts pages of read-only files that were
 * entered as they came, whose touch nobody sees
 * @ahead_wasted: of these, gone untouched
 * @evicted: pages given up
 * @put: pages written back
 * @put_errors: pages whose write failed
 * @fill_errors: pages whose read failed
 * @waits: faults that had to evict themselves
 * @fault_time: from the arrival of a fault to the end of its handling
 * @fill_time: a transfer from the object
 * @put_time: a transfer to the object
 *
 * Since: 0.1   See: quire_map_stats(3)
 */
struct quire_map_stats {
	size_t size;
	uint64_t mapped_bytes;
	uint64_t resident_bytes;
	uint64_t dirty_bytes;
	uint64_t faults;
	uint64_t minor;
	uint64_t by_signal;
	uint64_t by_thread;
	uint64_t by_pin;
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
	struct quire_latency fault_time;
	struct quire_latency fill_time;
	struct quire_latency put_time;
};

struct quire_map;

/**
 * quire_map_stats - what a pool has done so far for one mapping
 * @map: a paged mapping
 * @stats: out: .size is set by the caller
 *
 * Figures are read while others count on: two of them may be of two moments.
 *
 * Threads: any. Blocks: no; asks the kernel which pages were written, 0.4 ms a GiB. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL   .size is not set, or the mapping is not paged
 *   -ECHILD   the mapping belongs to the process that forked
 *   -EMFILE   the pool has more than 16,383 mappings, and this one shares its figures with others
 * Since: 0.1   Example: examples/published-pool.c   Source: docs/faults.md   See: quire_pool_stats(3), quire-pool(1)
 */
QUIRE_API int quire_map_stats(struct quire_map *map, struct quire_map_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
