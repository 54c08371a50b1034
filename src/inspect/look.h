/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/look.h - one file's page cache, seen without changing it.
 *
 * Two kernel interfaces tell what of a file is in memory, and each lies in its own places:
 *
 *	cachestat	counts folios, also those whose bytes have not arrived yet; fast (a full file is one call);
 *			refuses (-EPERM) who neither owns nor may write the file; says 0 on overlayfs, whose own
 *			inode has no pages; knows nothing of hugetlbfs; takes DAX entries for evicted pages
 *	mincore		sees only pages whose bytes are there; slow (every page is looked up, also in holes);
 *			says 1 for everything to who neither owns nor may write the file; needs a mapping, and
 *			making one changes the access time unless the descriptor is O_NOATIME
 *
 * A look knows which of the two may be believed for its file.
 */
#ifndef INSPECT_LOOK_H
#define INSPECT_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "sys/uapi.h"

struct statfs;

/* A file as it is looked at. */
struct look {
	int fd;
	uint32_t backing;    /* enum quire_backing */
	uint64_t bytes;      /* of the file, when the look was opened */
	uint64_t held_pages; /* hugetlbfs: pages it holds */
	bool counts;         /* cachestat tells the truth */
	bool bits;           /* mincore tells the truth, and asking changes nothing */
	const char *why;     /* what is missing and why, "" when nothing is */
};

/* Opens a regular file for looking; anything else is not even opened. */
int look_open(int directory, const char *path, int *fd);

/* Decides whom to believe. fd may be closed only after the last use of the look. */
int look_at(int fd, struct look *look);

/* Like look_at() when stat and backing are known already. */
void look_know(int fd, const struct stat *stat, uint32_t backing, bool quiet, struct look *look);

/* What a filesystem stands on: an enum quire_backing. DAX is a matter of each file. */
uint32_t look_backing(const struct statfs *filesystem);

/* Counts of [page, page + pages); pages must not be 0. */
int look_counts(const struct look *look, uint64_t page, uint64_t pages, struct sys_cachestat *counts);

/* One byte a page, bit 0 set where its bytes are in memory. */
int look_bits(const struct look *look, uint64_t page, uint64_t pages, unsigned char *bits);

/* How many of [page, page + pages) are in memory with their bytes, or a negative errno. */
int64_t look_ready(const struct look *look, uint64_t page, uint64_t pages);

extern const char look_why_permission[];

#endif
