/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/identity.h - a set of files, by device and inode, so that none is counted twice. */
#ifndef INSPECT_IDENTITY_H
#define INSPECT_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

/* One file. inode 0 is an empty place: no filesystem has such a file. */
struct identity {
	uint64_t device;
	uint64_t inode;
};

/* Open addressing, at most half full; all zeros is an empty set. */
struct identity_set {
	struct identity *places;
	size_t room;
	size_t used;
};

/* 1 when it is new, 0 when it was in the set, or -ENOMEM. */
int identity_add(struct identity_set *set, uint64_t device, uint64_t inode);
void identity_done(struct identity_set *set);

#endif
