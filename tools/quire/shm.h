/* SPDX-License-Identifier: Apache-2.0 */
/* shm.h - what the parts of quire shm share. */
#ifndef QUIRE_TOOL_SHM_H
#define QUIRE_TOOL_SHM_H

#include <quire/quire.h>
#include <sys/types.h>

#include "json.h"
#include "verbs.h"

enum segment_kind { SEGMENT_POSIX, SEGMENT_MEMFD, SEGMENT_SYSV, SEGMENT_HUGETLB };

/** A process that maps a segment, or holds it open. */
struct user {
	int pid;
	char name[64];
	uint64_t mapped; /* bytes of addresses; 0: it is open only */
};

/** One piece of memory that processes can share. */
struct segment {
	enum segment_kind kind;
	char name[300];
	dev_t device;
	uint64_t inode; /* System V: its shmid */
	uint64_t size;
	uint64_t resident; /* bytes; QUIRE_UNKNOWN when it is not told */
	const char *why;
	uid_t owner;
	unsigned int mode;
	uint64_t attached; /* System V: what the kernel counts */
	struct user *users;
	size_t user_count;
};

/** All of them. */
struct segments {
	struct segment *all;
	size_t count;
	uint64_t hidden;     /* processes that this user may not look into */
	uint64_t unreadable; /* files */
};

void shm_gather(struct segments *segments);
void shm_done(struct segments *segments);

/* 1 nobody maps it, holds it open or will come back for it by a process; 0 somebody does; -1 not known. */
int shm_orphan(const struct segments *segments, const struct segment *segment);

#endif
