/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - the recorder behind the intercepted calls.
 *
 * A call that changes files runs between rec_enter() and rec_leave(): the order in the log is the order in which things
 * happened. A sync does not hold the lock while the kernel works; it leaves two records instead, so that what another
 * thread wrote meanwhile does not count as covered.
 *
 * Files are known by inode number alone: duplicates of descriptors, inherited and received ones need no bookkeeping.
 */
#ifndef CRASH_RECORD_H
#define CRASH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "log.h"

enum { REC_PATH_MAX = 1024 };

/* What an injected fault does to a call. */
enum rec_fault {
	FAULT_NONE,
	FAULT_EIO,
	FAULT_ENOSPC,
	FAULT_EINTR,
	FAULT_SHORT, /* a write does half */
	FAULT_TWICE, /* EIO, and the next call that could fail does so too */
	FAULT_KINDS,
};

enum rec_class { REC_WRITE, REC_SPACE, REC_NAME, REC_SYNC };

/* Starts recording below root into a new log; what is there already is durable. Returns 0 or -errno. */
int rec_begin(const char *root, const char *log_path, const char *fault);
/* Continues in another process, from CRASH_ROOT, CRASH_LOG and CRASH_FAULT of the environment. */
void rec_join(void);
void rec_end(void);

/* False: nobody records, or the recorder itself is calling; then just do it. */
bool rec_enter(void);
void rec_leave(void);

/* The calls below need rec_enter(). */
bool rec_inside_fd(int fd, uint64_t *file);
bool rec_inside_path(int dir_fd, const char *path, char relative[REC_PATH_MAX]);
void rec_forget(uint64_t file);
void rec_know(uint64_t file, bool inside);
enum rec_fault rec_fault(enum rec_class class);
int rec_errno(enum rec_fault fault);

void rec_append(struct crash_record *r, const char *name, const void *data);
void rec_heard(const uint8_t *data, size_t bytes); /* written to the standard output */
void rec_append2(struct crash_record *r, const char *name, const char *name2);

/* stores.c: shared mappings. */
void stores_add(uintptr_t address, size_t length, uint64_t file, uint64_t offset, bool writable);
void stores_remove(uintptr_t address, size_t length);
void stores_protect(uintptr_t address, size_t length, bool writable);
bool stores_find(uintptr_t address, uint64_t *file, uint64_t *offset);
void stores_look(void); /* records every page that changed */
void stores_agree(
	uint64_t file, uint64_t offset, uint64_t length); /* this changed by a write: known already */

#endif
