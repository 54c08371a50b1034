/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/layout.h - the shared memory of a channel, byte by byte; docs/format.md, "Channel segment", is the same for
 * people who write another implementation.
 *
 * Every participant owns one segment, and is the only one who writes to it: the others hold it sealed
 * (F_SEAL_FUTURE_WRITE) and mapped for reading. So no word has two writers, and a hostile peer can damage nothing but
 * what it says itself.
 *
 *	   0 +---------------------+
 *	     | header              |  written once, before the descriptor is handed out
 *	4096 +---------------------+
 *	     | control             |  cursors, bells, statistics; each line (128 bytes: two cache lines, because the
 *	     |                     |  processor fetches pairs) has one kind of reader
 *	ring_offset ---------------+
 *	     | ring                |  capacity bytes, a power of two; 0 for who only reads
 *	     +---------------------+
 *	     | the same ring again |  addresses only: a record that passes the end goes on here, so none is ever cut
 *	     +---------------------+
 *
 * A ring is a row of records: a header of 8 bytes, the payload, zeros up to a multiple of 8:
 *
 *	... | length + 1 | payload ...... | length + 1 | payload .. | 0 |  free
 *	                                                              ^ the next record will stand here
 *
 * Publication is in the band: the writer puts 0 into the header behind the record, and then releases the record's own
 * header. A reader looks at one word, which travels in the same cache line as a small payload.
 *
 * Invariants
 *	C1  a word of shared memory has one writer
 *	C2  the header behind the last published record is 0 (queue and pair: always; lossy topic: until it is overtaken)
 *	C3  tail <= head <= tail + capacity, seen from either side (not in a lossy topic)
 *	C4  a byte of the peer is loaded once, checked, and then the checked copy is used
 *	C5  what is not released by a header is never delivered, whatever the writer had stored
 */
#ifndef CHANNEL_LAYOUT_H
#define CHANNEL_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_MAGIC "QUIRECHN"

enum {
	LAYOUT_MAJOR = 1, /* must be equal */
	LAYOUT_MINOR = 0, /* newer ones only add */
	LAYOUT_CONTROL = 4096,
	LAYOUT_RING = 8192, /* without huge pages */
	LAYOUT_TEXT = 64,
	RECORD_HEAD = 8,
	RECORD_ALIGN = 8,
};

#define LAYOUT_NOBODY ((uint64_t)0) /* id of a segment that was made before its peer had come */

#define LAYOUT_CAPACITY_MIN ((uint64_t)4096)
#define LAYOUT_CAPACITY_MAX ((uint64_t)1 << 40)

/* Written once. */
struct layout_header {
	char magic[8];
	uint16_t major;
	uint16_t minor;
	uint32_t header_bytes; /* of this struct, as its writer knew it */
	uint64_t id;           /* of the conversation: the same in all its segments */
	uint64_t ring_offset;
	uint64_t capacity;
	uint32_t pid; /* of the owner, in its own namespace */
	uint32_t uid;
	uint64_t created_ns; /* CLOCK_MONOTONIC */
	uint32_t role;       /* an enum quire_channel_role */
	uint32_t mode;       /* an enum quire_channel_mode */
	uint32_t pattern;    /* an enum quire_channel_pattern */
	uint32_t policy;     /* an enum quire_channel_policy */
	char name[LAYOUT_TEXT];
	char schema[LAYOUT_TEXT];
};

_Static_assert(sizeof(struct layout_header) == 200, "docs/format.md, Channel segment");
_Static_assert(offsetof(struct layout_header, ring_offset) == 24, "docs/format.md, Channel segment");
_Static_assert(offsetof(struct layout_header, name) == 72, "docs/format.md, Channel segment");

enum layout_state {
	LAYOUT_OPEN = 0,
	LAYOUT_CLOSED = 1, /* the owner has said that nothing more will come */
};

/* What a side that waits stores into its armed word: a number that is new each time, and how it sleeps. */
enum layout_armed {
	ARMED_FUTEX = 1,  /* on the other side's bell */
	ARMED_SOCKET = 2, /* in poll or epoll: one byte on the socket wakes it */
	ARMED_STEP = 4,
};

struct layout_control {
	_Alignas(128) atomic_uint bell;        /* rung by the owner: others sleep on it */
	_Alignas(128) atomic_uint armed_data;  /* the owner waits for data */
	_Alignas(128) atomic_uint armed_space; /* the owner waits for room */
	_Alignas(128) _Atomic uint64_t tail;   /* the owner, as reader: up to here the ring is free again */
	_Alignas(128) atomic_uint state;       /* an enum layout_state */

	/* the owner as writer; statistics, and for a lossy topic: */
	_Alignas(128) _Atomic uint64_t head;
	_Atomic uint64_t records;
	_Atomic uint64_t bytes;
	_Atomic uint64_t intent; /* up to here bytes may be overwritten at any moment */

	_Alignas(128) _Atomic uint64_t mark_version; /* odd while the two below change */
	_Atomic uint64_t mark_at;                    /* a record begins here ... */
	_Atomic uint64_t mark_records;               /* ... and so many stood before it */

	/* the owner as reader; statistics */
	_Alignas(128) _Atomic uint64_t taken_records;
	_Atomic uint64_t taken_bytes;
	_Atomic uint64_t lost_records;
	_Atomic uint64_t taken_at;

	/* the owner asleep; statistics */
	_Alignas(128) _Atomic uint64_t data_sleeps;
	_Atomic uint64_t data_sleep_ns;
	_Atomic uint64_t space_sleeps;
	_Atomic uint64_t space_sleep_ns;
	_Atomic uint64_t bells; /* rung by the owner */
};

_Static_assert(sizeof(struct layout_control) == 1152, "docs/format.md, Channel segment");
_Static_assert(offsetof(struct layout_control, tail) == 384, "docs/format.md, Channel segment");
_Static_assert(offsetof(struct layout_control, head) == 640, "docs/format.md, Channel segment");
_Static_assert(offsetof(struct layout_control, data_sleeps) == 1024, "docs/format.md, Channel segment");

/* How far one record moves the cursor. */
static inline uint64_t record_step(uint64_t bytes)
{
	return (bytes + RECORD_HEAD + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

/* The largest record of a ring: behind it must be room for the next header. */
static inline uint64_t record_max(uint64_t capacity)
{
	return capacity < 2 * RECORD_HEAD ? 0 : capacity - 2 * RECORD_HEAD;
}

#endif
