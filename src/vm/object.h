/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/object.h - a sequence of pages that knows where its bytes come from and go to.
 *
 * vm knows objects by this table only. What an object can do is asked of `can`; nobody compares ops pointers.
 */
#ifndef VM_OBJECT_H
#define VM_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/readahead.h"
#include "base/sparse.h"
#include "pmap/pmap.h"

struct io;
struct object;
struct page;
struct pmap_window;
struct pool;

enum object_can {
	CAN_READ = 1 << 0,  /* get */
	CAN_WRITE = 1 << 1, /* put: shared writable mappings */
	CAN_MAP = 1 << 2,   /* may be mapped at all */
	CAN_HOLE = 1 << 3,  /* ranges can be freed */
	CAN_GROW = 1 << 4,
	CAN_SIGNAL = 1 << 5, /* start may be called in a signal handler */
	CAN_SHRINK = 1 << 6, /* somebody else may make it smaller */
};

/* At most eight. NULL: as the comment says. */
struct object_ops {
	/* Begin a transfer; calls io->done, at once if it can only block. NULL: its pages are all there is of it: zeros at
	 * first, then in the pool or its swap; or it is only mapped by windows. */
	void (*start)(struct object *object, struct io *io);
	/* Begin what start has queued; collect completions, waiting for at least `want`. NULL: start completes everything
	 * itself. */
	int (*reap)(struct object *object, unsigned int want);
	/* Size now, in bytes; asked again each time, as it may change behind our back. NULL: object->bytes. */
	int (*size)(struct object *object, uint64_t *bytes);
	/* Make it `bytes` long; preallocate: with real blocks. NULL: -EINVAL. */
	int (*grow)(struct object *object, uint64_t bytes, bool preallocate);
	/* How the kernel can map it by itself. NULL: it cannot. */
	const struct pmap_window *(*window)(struct object *object);
	/* Last reference is gone: free everything. NULL: nothing to free. */
	void (*close)(struct object *object);
};

/* object: a sequence of pages that knows where its bytes come from and go to */
struct object {
	struct pmap_home home; /* the engine's; first, so that a page's owner leads to it */
	const struct object_ops *ops;
	unsigned int can;
	atomic_uint refs;
	uint64_t bytes; /* with ops->size NULL */

	/* Of a paged object. Pages are in one pool only, so that all who map it see the same ones. */
	struct pool *pool;
	struct object *joined guarded_by(lock_pool); /* the next one of the pool */
	struct sparse pages guarded_by(
		lock_pool); /* dirty ones are marked; a marked one may be clean by now */
	struct readahead ahead guarded_by(lock_pool);
	uint32_t epoch guarded_by(lock_pool); /* number of the write-back that will be next */
	bool again; /* nobody can write it, and one mapping shows it: its pages are read again rather than kept */
	atomic_bool epochs;   /* dirty pages leave in a whole epoch only, never by eviction alone (E2) */
	atomic_int put_error; /* sticky until object_mend(): the first write that failed, -errno */
	_Atomic uint64_t put_failed_at; /* of that one, in bytes; set before put_error */
	_Atomic uint64_t put_failed_bytes;
	bool wanted guarded_by(lock_pool); /* a flush was begun for whoever looks after the pool to finish */
	atomic_int sync_error;             /* sticky for good: what was put may be lost */
};

_Static_assert(offsetof(struct object, home) == 0, "pmap_engine_of() counts on it");

void object_init(struct object *object, const struct object_ops *ops, unsigned int can);
struct object *object_ref(struct object *object);
bool object_hold(struct object *object)
	must_hold(lock_pool); /* a reference to one that may be closing: false, then. With the pool's lock */
void object_unref(struct object *object); /* takes NULL */

/* From now on its pages are in this pool. -EBUSY: they are in another. */
int object_join(struct object *object, struct pool *pool);

/* Do two objects stand for the same bytes? */
typedef bool object_same_fn(struct object *a, struct object *b);

/* The same, unless one for the same bytes is there already: other is a reference to that, or NULL. */
int object_join_once(struct object *object, struct pool *pool, object_same_fn *same, struct object **other);

/* Its pages are written back and gone; it may join another. Nothing maps it. */
void object_leave(struct object *object);

/* The same for all that are in a pool, which is closing. */
void object_leave_all(struct pool *pool);

/* Its pages are in memory or swap and nowhere else. */
bool object_is_memory(const struct object *object);

/* Takes what has come of its transfers, up to `want` of them waited for; lets others run where nothing came. */
void object_reap(struct object *object, unsigned int want);

int object_size(struct object *object, uint64_t *bytes);
const struct pmap_window *object_window(struct object *object); /* takes NULL; NULL when there is none */

/* ---- content, by others than a mapping's user: what every mapping shows stays one with it ---- */

/* A page to be read or changed outside of all mappings. It stays where it is until it is put back. -errno as
 * fault_handle(). */
int object_get_page(struct object *object, uint64_t index, struct page **page, char **memory);
void object_put_page(struct object *object, struct page *page, bool changed);

/* Is it in memory or swap? */
bool object_has_page(struct object *object, uint64_t index);

/* Pages [first, last) are forgotten and shown nowhere; with `cut`, neither are private copies of them. */
void object_drop(struct object *object, uint64_t first, uint64_t last, bool cut);

/* The object became this long: what is cached and shown follows. The rest of the last page reads zero. */
void object_follow(struct object *object, uint64_t bytes);

#endif
