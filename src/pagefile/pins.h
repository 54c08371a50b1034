/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagefile/pins.h - one writer, many readers: who is there, and which epochs are being read.
 *
 * The lock file FILE.lock holds nothing durable: it may be deleted whenever nobody has the file open. Everything that has to
 * end with a process is a byte-range lock, which the kernel drops at death; so there is no table of readers to sweep, and a
 * reader needs no permission to write.
 *
 *	byte 0           exclusive: the writer, once what it publishes is true
 *	byte 1           exclusive: the writer, from its first moment on
 *	byte 4096 + E    shared: a reader sees epoch E
 *	               exclusive, [0, X): the writer has begun to change the file to what it is at epoch X
 *
 * So "no reader sees an epoch below X" and "from now on nobody may" are one system call, and the kernel decides the race
 * between a reader that pins and a checkpoint that passes.
 *
 * The first 40 bytes are what the writer publishes, believed only while byte 0 is locked.
 *
 * Invariants
 *	N1  while an epoch is pinned, no page of the file is changed to a later one
 *	N2  an epoch below the published floor is pinned by nobody whose pin succeeded after the floor was published
 */
#ifndef PAGEFILE_PINS_H
#define PAGEFILE_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagefile/disk.h"

enum pins_writer { PINS_NO_WRITER, PINS_STARTING, PINS_WRITER };

/* pins: who has one file open, and which epochs are being read */
struct pins {
	struct disk disk;
	uint64_t closed; /* a writer's: epochs below it cannot be pinned any more */
	uint64_t pinned; /* a reader's */
	bool has_pin;
	bool published;
};

/* What a writer says of itself; 40 bytes. */
struct pins_live {
	uint64_t magic;
	uint64_t sealed; /* the newest committed epoch */
	uint64_t floor;  /* the file may hold pages of epochs up to here */
	uint64_t pid;
	uint64_t sum;
};

/* A reader's lock file may be missing: on a read-only filesystem it then does without (nobody can write there). */
int pins_open(struct pins *pins, const char *path, bool write, uint32_t mode);
void pins_close(struct pins *pins);

/* -EBUSY: there is a writer; the sentence names its process. */
int pins_become_writer(struct pins *pins);
int pins_publish(struct pins *pins, uint64_t sealed, uint64_t floor);

/* Closes as many epochs below `want` as no reader stands in the way of; *got: the first that may still be pinned. */
int pins_close_below(struct pins *pins, uint64_t want, uint64_t *got);

/* The process that pins this epoch; negative when it cannot be seen. */
int pins_holder(const struct pins *pins, uint64_t epoch);

/* How many epochs of [from, to] are pinned by others, and the oldest of them. */
unsigned int pins_count(const struct pins *pins, uint64_t from, uint64_t to, uint64_t *oldest);

/* Is there a writer? *live is true with PINS_WRITER only. -EAGAIN: it is publishing this moment. */
int pins_look(const struct pins *pins, struct pins_live *live);

/* -ESTALE: the file has begun to change to a later epoch. */
int pins_take(struct pins *pins, uint64_t epoch);
void pins_give(struct pins *pins, uint64_t epoch);

#endif
