/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry.h - what send and recv share: finding each other, the live line, and what is said at the end.
 */
#ifndef QUIRE_TOOL_CARRY_H
#define QUIRE_TOOL_CARRY_H

#include <stdbool.h>
#include <stdint.h>

#include <quire/channel.h>

#include "verbs.h"

/** What bytes are cut into. */
enum carry_unit {
	CARRY_BYTES,   /* a stream */
	CARRY_LINES,   /* a message for each line, without its newline */
	CARRY_RECORDS, /* a message for each record: 8 bytes of length, little-endian, then so many bytes */
};

enum { CARRY_RING = 1 << 20 }; /* capacity of the ring, unless --ring says otherwise */

struct carry_settings {
	bool lines;
	bool records;
	bool quiet;
	uint64_t ring;
	uint64_t wait; /* seconds; 0: as long as it takes */
	uint64_t total;
};

/** One end of a pipeline. */
struct carry {
	struct call *call;
	const struct carry_settings *settings;
	const char *name;
	enum carry_unit unit;
	struct quire_channel *channel;
	struct quire_listener *listener; /* of a queue; NULL: none */
	uint64_t bytes;
	uint64_t records;
	uint64_t began_ns;
	uint64_t shown_ns;
	uint64_t shown_bytes;
	bool sends;
	bool many; /* the name is a queue's */
	bool told; /* why it ended was said where it happened */
	int end;   /* 0, or the error that ended it */
};

extern const struct verb_option carry_options[];

/* Connects, or listens until the other one comes: whoever is started first waits. */
enum status carry_open(struct carry *carry, struct call *call, bool sends);

/* The live line; cheap. */
void carry_show(struct carry *carry);

/* The end: JSON, or nothing when all is well; the sentence and the status when not. Closes the channel. */
enum status carry_close(struct carry *carry, int end);

#endif
