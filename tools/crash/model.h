/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - what a file system may have kept of a run that was cut short.
 *
 *	            durable            |            pending
 *	  base image of each file      |   page 3:   v1 ─ v2        a page holds any version it had, in whole or
 *	  names                        |   page 7:   v1             sector by sector; never a later one without the
 *	                               |   metadata: s1 ─ s2 ─ s3   earlier ones of the same sector
 *	                               |   names of a directory: n1 ─ n2
 *
 * Data of different pages, metadata of a file (its size, its holes), and names of different directories persist
 * independently; the metadata of one file and the names of one directory persist in order. A successful sync moves what
 * was pending before it began into the base. After a failed one the pages count as clean, as Linux has it: they may or
 * may not be there, and no later sync makes them durable, unless they are written again.
 *
 * One state is one choice: how far each chain has got.
 */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#include "log.h"

enum { PAGE = 4096, SECTOR = 512, SECTORS = PAGE / SECTOR, FILE_MAX = 1 << 30 };

/* The part of one write that falls into one page. */
struct piece {
	uint32_t op;
	uint32_t page;
	uint16_t at, bytes;
	bool doubtful; /* a sync of it failed */
	const uint8_t *data;
};

/* One change of a file's metadata. */
struct change {
	uint32_t op;
	bool zeroes;       /* else only the size moves */
	uint64_t from, to; /* bytes that become zero */
	uint64_t size_after;
};

struct hash128 {
	uint64_t low, high;
};

struct file {
	uint8_t *live; /* base, but for touched pages while a state is shown; zero behind its size */
	uint8_t *base;
	struct hash128 *page_hash; /* of base; zero for a page of zeros */
	struct hash128 base_sum;   /* of page_hash */
	size_t room;               /* bytes of live and base */
	uint64_t base_size;
	uint64_t program_size; /* as the program sees it */
	struct piece *pieces;
	size_t piece_count, piece_room;
	struct change *changes;
	size_t change_count, change_room;
	/* the state that is shown */
	uint64_t size;
	uint32_t *touched;
	bool *is_touched; /* of each page */
	size_t touched_count, touched_room;
	struct hash128 sum;
};

enum { FILE_IS_DIR = -2 };

struct name {
	const char *path;
	int file; /* or FILE_IS_DIR */
};

struct names {
	struct name *list;
	size_t count, room;
};

struct dir {
	uint32_t *ops; /* pending, in order */
	size_t count, room;
};

struct model {
	const struct crash_log *log;
	bool entry_with_file;
	uint32_t next; /* operations before this one have happened */
	struct file *files;
	struct dir *dirs;
	struct names base_names;
	uint64_t acked, begun;
};

void model_init(struct model *m, const struct crash_log *log, bool entry_with_file);
void model_done(struct model *m);

/* One more operation happens. */
void model_advance(struct model *m);

/* Makes room for `count` things of `size` bytes; aborts without memory. */
void *model_room(void *array, size_t *room, size_t count, size_t size);

/* names.c */
void names_apply(struct names *n, const struct crash_op *op);
void names_copy(struct names *to, const struct names *from);

#endif
