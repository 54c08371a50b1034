/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagefile/disk.h - one file by its descriptor: whole transfers, growth with real blocks, and a birth that a crash leaves
 * either whole or absent. Everything that changes the file goes through sys/file.h, where tests record it.
 *
 *	create:  path.new, truncated -> contents -> fsync -> rename to path -> fsync of the directory
 *
 * Errors leave a sentence that names the path and the offset.
 */
#ifndef PAGEFILE_DISK_H
#define PAGEFILE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* disk: one open file and its name */
struct disk {
	int fd;
	char *path; /* NULL: not open */
};

enum disk_flag { DISK_WRITE = 1 << 0, DISK_CREATE = 1 << 1 };

int disk_open(struct disk *disk, const char *path, const char *suffix, unsigned int flags, uint32_t mode);
void disk_close(struct disk *disk); /* accepts one that is not open, if it is all zeros */

/* 0 or an error, never a part. Reading behind the end is -ENODATA. */
int disk_read(const struct disk *disk, void *bytes, size_t length, uint64_t offset);
int disk_write(const struct disk *disk, const void *bytes, size_t length, uint64_t offset);

/* Gives back what lies behind `bytes`, if it can. */
void disk_cut(const struct disk *disk, uint64_t bytes);
bool disk_is_full(int error); /* or somebody's share of it */

/* Blocks for [from, to): -ENOSPC is met here and not later. Reads as zeros where nothing was written. */
int disk_allocate(const struct disk *disk, uint64_t from, uint64_t to);

/* Writes zeros, so that later writes there change no metadata. */
int disk_zero(const struct disk *disk, uint64_t from, uint64_t to);

int disk_flush(const struct disk *disk);      /* fdatasync */
int disk_flush_name(const struct disk *disk); /* whoever created the file may have died before it did */
int disk_size(const struct disk *disk, uint64_t *bytes);

/* The new file is written under path.new; finish gives it its name, durably. replace: over an older one. */
int disk_create_begin(struct disk *disk, const char *path, const char *suffix, uint32_t mode);
int disk_create_finish(struct disk *disk, bool replace);
void disk_create_undo(struct disk *disk);

/* Removes path+suffix, unless there is a path: then it belongs to that. */
void disk_remove_orphan(const char *path, const char *suffix);

int disk_random(void *bytes, size_t length);
int disk_process(void); /* the number of this process */

#endif
