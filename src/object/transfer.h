/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object/transfer.h - pages of a file come and go.
 *
 * Who waits gets a plain preadv or pwritev: two system calls less than a ring. What nobody waits for goes into an io_uring of
 * the file's own, and is collected by whoever needs a completion next.
 *
 * Reads pass the page cache by (O_DIRECT) where the filesystem lets them, so that nothing is cached twice; where it does
 * not, the kernel is told after each transfer to forget what was read.
 */
#ifndef OBJECT_TRANSFER_H
#define OBJECT_TRANSFER_H

#include <stdbool.h>

struct file_object;
struct io;
struct object;
struct transfer;

/* Makes a file ready for paging. A second descriptor and a ring; without either it works more slowly. -ENOMEM. */
int transfer_open(struct file_object *file, struct transfer **transfer);
/* Takes NULL. Ours: the numbers of its descriptors are; otherwise they may be a stranger's by now, and are left alone. */
void transfer_close(struct transfer *transfer, bool ours);

void transfer_start(struct transfer *transfer, struct io *io);
int transfer_reap(struct transfer *transfer, unsigned int want);

/* "direct", or why reads go through the page cache. */
bool transfer_is_direct(const struct transfer *transfer);

#endif
