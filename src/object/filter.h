/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object/filter.h - objects with a `next`: what passes through is looked at, changed, delayed or refused.
 *
 *	vm --start--> [log] --start--> [checksum] --start--> [file]
 *	vm <--done--- [log] <--done--- [checksum] <--done----'
 *
 * A test instrument is a filter, and ships.
 */
#ifndef OBJECT_FILTER_H
#define OBJECT_FILTER_H

#include "vm/io.h"
#include "vm/object.h"

struct filter;

struct filter_kind {
	/* Before the transfer: -errno refuses it. NULL: nothing to do. */
	int (*before)(struct filter *filter, struct io *io);
	/* After it: may set io->error. NULL: nothing to do. */
	void (*after)(struct filter *filter, struct io *io);
	/* Frees what the kind has of its own. NULL: nothing. */
	void (*close)(struct filter *filter);
};

/* First member of each kind's struct. */
struct filter {
	struct object object;
	struct object *next;
	const struct filter_kind *kind;
};

/* Takes over the caller's reference to next. signal_safe: before and after may run in a signal handler. */
void filter_init(
	struct filter *filter, const struct filter_kind *kind, struct object *next, bool signal_safe);

/* Each takes over the reference to next when it succeeds. */

/* One checksum (XXH3, 64 bits) a page, verified at each get: a page that comes back other than it was put, or other than it
 * was when it was first seen, is -EBADMSG. path: where checksums are kept between runs; NULL: for this run only. */
int filter_checksum(struct object *next, const char *path, struct object **object);

/* Each transfer takes this much longer. */
int filter_delay(struct object *next, uint64_t get_ns, uint64_t put_ns, struct object **object);

/* Transfers number nth, nth + 1 ... nth + times - 1 of the given kinds fail with error (negative). */
struct filter_fail_plan {
	bool gets;
	bool puts;
	bool syncs;
	uint64_t nth; /* from 1 */
	uint64_t times;
	int error;
};

int filter_fail(struct object *next, const struct filter_fail_plan *plan, struct object **object);

/* Calls back for every finished get and put. */
typedef void filter_log_fn(void *user, int put, uint64_t first, uint32_t count, int error);

int filter_log(struct object *next, filter_log_fn *log, void *user, struct object **object);

#endif
