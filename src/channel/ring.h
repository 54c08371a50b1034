/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/ring.h - the two ends of a ring: pure logic over memory that somebody else has mapped.
 *
 *	writer:  ring_reserve -> the caller writes in place -> ring_publish           (or ring_abandon)
 *	reader:  ring_peek -> the caller reads in place -> ring_release -> ring_tell  (tell: let the writer have the room)
 *
 * Nothing here waits or makes a system call. Everything that comes from the other side is loaded once and checked (C4);
 * what does not pass is -EPROTO, and the connection is over.
 */
#ifndef CHANNEL_RING_H
#define CHANNEL_RING_H

#include <errno.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "base/align.h"
#include "channel/layout.h"
#include "channel/step.h"

/* The room is given back in eighths of the ring: a tail that is stored for each record costs a cache line each time. */
enum { RING_TELL_PARTS = 8 };

/* ring_writer: the writing end of a ring: where the next record goes, and how far it may go */
struct ring_writer {
	unsigned char *data; /* NULL: there is no ring */
	uint64_t capacity;
	uint64_t head;     /* the next header */
	uint64_t limit;    /* head may come up to here: the slowest reader's tail + capacity */
	uint64_t tail;     /* that tail */
	uint64_t reserved; /* bytes a record, of what is reserved */
	uint64_t reserved_count;
	uint64_t records;
	uint64_t bytes;
	uint64_t marked;                /* lossy: head at the last mark */
	bool lossy;                     /* waits for nobody */
	bool intends;                   /* says what it is about to overwrite: lossy, or drops who is slow */
	struct layout_control *control; /* our own */
};

/* ring_reader: the reading end of a ring: what was looked at, what was given back, and what the writer knows of it */
struct ring_reader {
	const unsigned char *data; /* NULL: there is no ring */
	uint64_t capacity;
	uint64_t next; /* the next header to look at */
	uint64_t told; /* the tail the writer can see */
	uint64_t held; /* records looked at and not given back */
	/* Figures: set by figure_set() only. */
	uint64_t tail; /* given back by the caller */
	uint64_t records;
	uint64_t bytes;
	uint64_t lost;
	uint64_t base;                             /* lossy: records that were published before we joined */
	bool checks;                               /* may be overtaken by the writer, so looks after use */
	bool lossy;                                /* and then goes on with what is newer */
	struct layout_control *control;            /* our own */
	const struct layout_control *from_control; /* the writer's */
};

/* A number that one thread changes and looks at as at any other, and that others may ask for at any time. */
static inline void figure_set(uint64_t *figure, uint64_t value)
{
	__atomic_store_n(figure, value, __ATOMIC_RELAXED);
}

static inline uint64_t figure_of(const uint64_t *figure)
{
	return __atomic_load_n(figure, __ATOMIC_RELAXED);
}

/* record: one record in a ring, as it was checked */
struct record {
	const unsigned char *bytes;
	uint64_t length;
};

void ring_writer_init(
	struct ring_writer *w, struct layout_control *own, unsigned char *data, uint64_t capacity);
void ring_reader_init(struct ring_reader *r, struct layout_control *own, const struct layout_control *from,
	const unsigned char *data, uint64_t capacity);

/* Takes note of the slowest tail. -EPROTO when it is not one that a reader could have (C3). */
int ring_writer_tail(struct ring_writer *w, uint64_t tail);

/* The slow parts, for a lossy topic. */
void ring_intend(struct ring_writer *w, uint64_t end);
void ring_mark(struct ring_writer *w);
/* As ring_peek(); check ring_overtaken() after use. -ENOBUFS overtaken, and not lossy. */
int ring_peek_checked(struct ring_reader *r, struct record *record);
bool ring_overtaken(const struct ring_reader *r, uint64_t from);
int ring_resync(struct ring_reader *r); /* to the newest mark; counts what was lost. -EAGAIN, -EPROTO */
bool ring_can_resync(const struct ring_reader *r);

/* Gives back the oldest `count` of what was looked at. -EINVAL when fewer are held, -EPROTO when a header has changed. */
int ring_release(struct ring_reader *r, uint64_t count);

static inline _Atomic uint64_t *ring_header(unsigned char *data, uint64_t capacity, uint64_t at)
{
	return (_Atomic uint64_t *)(void *)(data + (at & (capacity - 1)));
}

static inline uint64_t ring_header_load(const unsigned char *data, uint64_t capacity, uint64_t at)
{
	const _Atomic uint64_t *header = (const _Atomic uint64_t *)(const void *)(data +
		(at & (capacity - 1)));

	return atomic_load_explicit(header, memory_order_acquire);
}

static inline bool ring_has_room(const struct ring_writer *w, uint64_t bytes, uint64_t count)
{
	return w->lossy || w->head + record_step(bytes) * count + RECORD_HEAD <= w->limit;
}

/* The caller has seen that there is room. Returns where the first payload goes; the next stands record_step() behind. */
static inline unsigned char *ring_reserve(struct ring_writer *w, uint64_t bytes, uint64_t count)
{
	if (w->intends)
		ring_intend(w, w->head + record_step(bytes) * count + RECORD_HEAD);
	w->reserved = bytes;
	w->reserved_count = count;
	return w->data + (w->head & (w->capacity - 1)) + RECORD_HEAD;
}

/* One record of at most the reserved size. */
static inline void ring_publish(struct ring_writer *w, uint64_t bytes)
{
	uint64_t at = w->head;
	uint64_t next = at + record_step(bytes);

	STEP();
	atomic_store_explicit(ring_header(w->data, w->capacity, next), 0, memory_order_relaxed); /* C2 */
	STEP();
	atomic_store_explicit(ring_header(w->data, w->capacity, at), bytes + 1, memory_order_release);
	w->head = next;
	w->reserved_count = 0;
	w->records++;
	w->bytes += bytes;
	STEP();
	atomic_store_explicit(&w->control->head, next, memory_order_release);
	STEP();
	atomic_store_explicit(&w->control->records, w->records, memory_order_relaxed);
	STEP();
	atomic_store_explicit(&w->control->bytes, w->bytes, memory_order_relaxed);
	if (w->lossy)
		ring_mark(w);
}

/* The first `count` of what was reserved: one store makes all of them visible. */
void ring_publish_batch(struct ring_writer *w, uint64_t count);

/* The next record: 1; 0 when there is none yet; -EPROTO. */
static inline int ring_peek(struct ring_reader *r, struct record *record)
{
	uint64_t word = ring_header_load(r->data, r->capacity, r->next);
	uint64_t length = word - 1;

	if (word == 0)
		return 0;
	if (length > record_max(r->capacity) || r->next + record_step(length) - r->tail > r->capacity)
		return -EPROTO;
	record->bytes = r->data + (r->next & (r->capacity - 1)) + RECORD_HEAD;
	record->length = length;
	r->next += record_step(length);
	r->held++;
	figure_set(&r->bytes, r->bytes + length);
	return 1;
}

/* As if the last record had not been looked at. */
void ring_put_back(struct ring_reader *r, const struct record *record);

/* As many as are there, at most count: how many, or -EPROTO. Not for who may be overtaken. */
int64_t ring_peek_batch(struct ring_reader *r, struct iovec *records, size_t count);

/* Is there something to look at? A lossy reader that was overtaken has nothing before there is a newer mark to go on from:
 * the writer makes it when it publishes, which may be late, or never. */
static inline bool ring_has_data(const struct ring_reader *r)
{
	bool there = ring_header_load(r->data, r->capacity, r->next) != 0;

	if (r->checks && ring_overtaken(r, r->next))
		return !r->lossy || ring_can_resync(r);
	return there;
}

/* Everything that was looked at is given back: what nearly every caller does. */
static inline void ring_release_all(struct ring_reader *r)
{
	figure_set(&r->tail, r->next);
	figure_set(&r->records, r->records + r->held);
	r->held = 0;
}

static inline bool ring_must_tell(const struct ring_reader *r)
{
	return r->tail - r->told >= r->capacity / RING_TELL_PARTS;
}

/* Lets the writer have the room. */
static inline void ring_tell(struct ring_reader *r)
{
	r->told = r->tail;
	STEP();
	atomic_store_explicit(&r->control->taken_records, r->records, memory_order_relaxed);
	STEP();
	atomic_store_explicit(&r->control->taken_bytes, r->bytes, memory_order_relaxed);
	STEP();
	atomic_store_explicit(&r->control->lost_records, r->lost, memory_order_relaxed);
	STEP();
	atomic_store_explicit(&r->control->tail, r->tail, memory_order_release);
}

#endif
