/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region/journal.h - the log of a region: a preallocated ring of records, each the pages of one commit.
 *
 *	file   | header A | header B |                    the ring                          |
 *	ring        free      |-- record 41 --|-- record 42 --|-- record 43 --|      free
 *	                      ^tail                                           ^head
 *	record | head: epoch, place, region length, (page, sum) of each image, checksum | image | image | ...
 *
 * A position counts bytes from the journal's birth and only grows; where it lies in the ring follows from the tail's. The
 * tail moves only after what it passes is home and durable, and the header that says so is durable before the space is
 * used again. Two headers are written in turn, so one is always whole.
 *
 * Invariants
 *	J1  the records from the tail on have consecutive epochs; the first whose checksum fails, or that has another epoch,
 *	    was never sealed, nor was any behind it
 *	J2  space from the tail to the head is never written
 *	J3  a record that failed is made unreadable before anything else is written
 *	J4  what recovery read is durable before it is relied upon: after a failed flush the page cache holds, as clean pages,
 *	    what the disk never got, and no later flush writes them. Of the records this can be so of the last alone (J5)
 *	J5  a record is begun only when the one before it is sealed: the first sector of a later one, where it belongs, proves
 *	    that what cannot be read before it was committed, and is damaged
 */
#ifndef REGION_JOURNAL_H
#define REGION_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagefile/disk.h"
#include "pagefile/pagefile.h"

#define JOURNAL_MAGIC UINT64_C(0x4c4e4a4552495551) /* "QUIREJNL" */
#define RECORD_MAGIC UINT64_C(0x4345524552495551)  /* "QUIREREC" */

enum { JOURNAL_VERSION = 1, JOURNAL_RING_AT = 2 * 4096, JOURNAL_LEAST = 64 << 10 };

/* Pages 0 and 1 of the journal. docs/format.md, section 4. */
struct journal_header {
	uint64_t magic;
	uint32_t version;
	uint32_t page_bytes;
	uint8_t uuid[UUID_BYTES];
	uint64_t sequence; /* the higher of the two counts */
	uint64_t ring_bytes;
	uint64_t tail_position;
	uint64_t tail_offset; /* in the ring */
	uint64_t tail_epoch;  /* the newest epoch that needs no record: the file has it */
	uint8_t zeros[4016];
	uint64_t sum;
};

struct entry {
	uint64_t page;
	uint64_t sum;
};

/* The first bytes of a record. docs/format.md, section 5. */
struct record_head {
	uint64_t magic;
	uint64_t epoch;
	uint64_t position;
	uint8_t uuid[UUID_BYTES];
	uint64_t region_pages;
	uint32_t head_pages;
	uint32_t image_count;
	uint64_t sum; /* of all head pages, taken with this field 0 */
	struct entry entries[];
};

/* A record that is in the ring, as we remember it. */
struct record {
	struct record *next;
	uint64_t epoch;
	uint64_t position;
	uint64_t offset; /* of its first byte in the ring */
	uint64_t region_pages;
	uint32_t head_pages;
	uint32_t image_count;
	struct entry entries[];
};

/* journal: the log of a region */
struct journal {
	struct disk disk;
	struct journal_header header; /* the newest written */
	uint64_t ring_bytes;          /* as in the header; changes in journal_extended() alone */
	uint64_t limit_bytes;
	uint64_t head; /* position where the next record goes */
	struct record *first;
	struct record *last;
};

int journal_create(const char *path, const uint8_t *uuid, uint64_t ring_bytes, uint32_t mode);
void journal_uncreate(const char *path); /* when its region was not born after all */

/* -EBADMSG: damaged, or another region's. Reads no records yet. */
int journal_open(struct journal *journal, const char *path, const uint8_t *uuid, bool write);
void journal_close(struct journal *journal);

/* Reads the header again: another process may have moved the tail. */
int journal_reread(struct journal *journal);

/* Reads records from the head on, up to epoch `last`, until one was never sealed (J1). Images are verified. */
int journal_scan(struct journal *journal, uint64_t last);
void journal_forget(struct journal *journal); /* the records; the head is the tail again */

enum journal_end { JOURNAL_ENDS, JOURNAL_RECORD_DAMAGED, JOURNAL_HEADER_DAMAGED };

/* After the scan: does the journal end here, torn or not, or is it damaged (J5)? An enum journal_end, and when it is damaged a
 * sentence in the error text; or what the disk says. */
int journal_end(const struct journal *journal, void *stage, size_t stage_bytes);

/* The records behind the damage shall never count again. Only with no record left; durable on return. */
int journal_skip(struct journal *journal);

/* J4: after the scan of recovery. The header and the last record are written again as they were read, and flushed; with them
 * the page behind, which was read as none. */
int journal_rewrite(struct journal *journal, void *stage, size_t stage_bytes);

/* ---- writing ---- */

struct record *journal_record_new(uint32_t image_count);
struct record_head *journal_head_new(const struct record *record); /* zeros; free() */
uint64_t journal_bytes(uint32_t image_count);                      /* of a record */
uint64_t journal_free(const struct journal *journal);

/* The ring grows to at least `bytes` of free space. -EAGAIN it cannot while its records lie where they lie, -EFBIG its limit,
 * else what the disk said; *broken: and nothing more may be written. No other transfer may be going on. extend() makes it
 * durable, extended() is short, for whoever looks at the journal's figures meanwhile. */
int journal_extend(const struct journal *journal, uint64_t bytes, struct journal_header *next, bool *broken);
void journal_extended(struct journal *journal, const struct journal_header *next);

/* Gives a record the place behind the newest one. */
void journal_place(const struct journal *journal, struct record *record);

/* Images first .. first + count of a placed record. */
int journal_put_images(const struct journal *journal, const struct record *record, uint32_t first,
	uint32_t count, const void *bytes);
/* head: from journal_head_new(), made before anything is written, for what fails then makes the region FAILED. */
int journal_put_head(const struct journal *journal, const struct record *record, struct record_head *head);
int journal_flush(const struct journal *journal);

/* J3: a placed record that failed can never be read as one. */
int journal_void(const struct journal *journal, const struct record *record);
void journal_append(struct journal *journal, struct record *record); /* it was sealed */

/* The file has everything up to record `last`. tail() prepares the header, put_tail() makes it durable, trim() frees the
 * records and their space. */
void journal_tail(const struct journal *journal, const struct record *last, struct journal_header *next);
int journal_put_tail(const struct journal *journal, struct journal_header *next);
void journal_trim(struct journal *journal, const struct journal_header *next);

/* ---- reading ---- */

/* Where an image of a record lies in the ring. */
uint64_t journal_image_offset(const struct journal *journal, const struct record *record, uint32_t image);
int journal_get_image(const struct journal *journal, uint64_t offset, void *page);

#endif
