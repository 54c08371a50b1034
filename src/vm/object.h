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
#include <stdint.h>

struct io;
struct object;
struct pmap_window;

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
	/* Begin a transfer; calls io->done, at once if it can only block. NULL: the object is only mapped by windows. */
	void (*start)(struct object *object, struct io *io);
	/* Collect completions, waiting for at least `want`. NULL: start completes everything itself. */
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
	const struct object_ops *ops;
	unsigned int can;
	atomic_uint refs;
	uint64_t bytes; /* with ops->size NULL */
};

void object_init(struct object *object, const struct object_ops *ops, unsigned int can);
struct object *object_ref(struct object *object);
void object_unref(struct object *object); /* takes NULL */

int object_size(struct object *object, uint64_t *bytes);
const struct pmap_window *object_window(struct object *object); /* takes NULL; NULL when there is none */

#endif
