/* SPDX-License-Identifier: Apache-2.0 */
/* oracle/real.h - what the two machines on the real kernel share: its files, its segment list, loads and stores. */
#ifndef ORACLE_REAL_H
#define ORACLE_REAL_H

#include "oracle/oracle.h"

extern int real_files[FD_COUNT];

/* Opens the files, and lets a fault end an access instead of the process. Once, at the start of a machine. */
void real_begin(void);
void real_end(void);

/* The descriptor of an operation, -1 when it is closed. */
int real_file(enum which_file which);

/* As /proc/self/maps will say it. */
uint64_t real_inode(int fd);
bool real_is_the_file(uint64_t inode);

long real_call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);

/* What /proc/self/maps says of the arena. */
void real_list(struct result *result);

/* One load or store, whose fault is a result. */
typedef void access_fn(uint64_t at, bool store, uint64_t value, struct access_result *out);
access_fn real_access;

/* The accesses of a forked child. */
void real_fork(const struct op *op, struct result *result, access_fn *access);

/* Operations on the file itself: truncate, pwrite, pread, close, unlink. */
void real_content(const struct op *op, struct result *result);

/* 0, a count, or -errno. */
void real_outcome(struct result *result, long r);

#endif
