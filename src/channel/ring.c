/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/ring.h"

#include <assert.h>

void ring_writer_init(
	struct ring_writer *w, struct layout_control *own, unsigned char *data, uint64_t capacity)
{
	*w = (struct ring_writer){
		.data = capacity == 0 ? NULL : data,
		.capacity = capacity,
		.limit = capacity,
		.control = own,
	};
}

void ring_reader_init(struct ring_reader *r, struct layout_control *own, const struct layout_control *from,
	const unsigned char *data, uint64_t capacity)
{
	*r = (struct ring_reader){
		.data = capacity == 0 ? NULL : data,
		.capacity = capacity,
		.control = own,
		.from_control = from,
	};
}

int ring_writer_tail(struct ring_writer *w, uint64_t tail)
{
	if (tail < w->tail || tail > w->head || !is_aligned(tail, RECORD_ALIGN)) /* C3 */
		return -EPROTO;
	w->tail = tail;
	w->limit = tail + w->capacity;
	return 0;
}

/*
 * A batch that stands behind a header of 0 cannot be seen: so the headers of all but the first are stored in any order,
 * and the first one publishes all.
 */
void ring_publish_batch(struct ring_writer *w, uint64_t count)
{
	unsigned char *data =
		w->data; /* copies: our stores might change the originals, for all the compiler knows */
	uint64_t capacity = w->capacity;
	uint64_t header = w->reserved + 1;
	uint64_t first = w->head;
	uint64_t step = record_step(w->reserved);
	uint64_t next = first + step * count;

	assert(count <= w->reserved_count);
	w->reserved_count = 0;
	if (count == 0)
		return;
	STEP();
	atomic_store_explicit(ring_header(data, capacity, next), 0, memory_order_relaxed);
	for (uint64_t at = next - step; at != first; at -= step) {
		STEP();
		atomic_store_explicit(ring_header(data, capacity, at), header, memory_order_relaxed);
	}
	STEP();
	atomic_store_explicit(ring_header(data, capacity, first), header, memory_order_release);
	w->head = next;
	w->records += count;
	w->bytes += w->reserved * count;
	STEP();
	atomic_store_explicit(&w->control->head, next, memory_order_release);
	STEP();
	atomic_store_explicit(&w->control->records, w->records, memory_order_relaxed);
	STEP();
	atomic_store_explicit(&w->control->bytes, w->bytes, memory_order_relaxed);
	if (w->lossy)
		ring_mark(w);
}

/*
 * Where a record stands is only known when the header before it has been loaded. Most are as long as the one before: then
 * the processor guesses the branch and goes on to the next header meanwhile (8 B, from process to process: 4.0 ns a record,
 * 4.6 without, 9.9 with cursors that are loaded and stored for each).
 */
int64_t ring_peek_batch(struct ring_reader *r, struct iovec *records, size_t count)
{
	uint64_t room = r->capacity - (r->next - r->tail);
	uint64_t next = r->next;
	uint64_t bytes = 0;
	uint64_t known = 0; /* a header, of step bytes */
	uint64_t step = 0;
	size_t n = 0;

	for (; n < count; n++) {
		uint64_t word = ring_header_load(r->data, r->capacity, next);

		if (word == 0)
			break;
		if (word != known) {
			if (word - 1 > record_max(r->capacity))
				return -EPROTO;
			known = word;
			step = record_step(word - 1);
		}
		if (step > room)
			return -EPROTO;
		records[n].iov_base = (void *)(uintptr_t)(r->data + (next & (r->capacity - 1)) + RECORD_HEAD);
		records[n].iov_len = known - 1;
		room -= step;
		next += step;
		bytes += known - 1;
	}
	r->next = next;
	r->held += n;
	figure_set(&r->bytes, r->bytes + bytes);
	return (int64_t)n;
}

int ring_release(struct ring_reader *r, uint64_t count)
{
	if (count > r->held)
		return -EINVAL;
	if (count == r->held) {
		ring_release_all(r);
		return 0;
	}
	/* The headers are read a second time here, so they are checked a second time: they may have changed. */
	for (; count > 0; count--) {
		uint64_t length = ring_header_load(r->data, r->capacity, r->tail) - 1;

		if (length > record_max(r->capacity) || record_step(length) > r->next - r->tail)
			return -EPROTO;
		figure_set(&r->tail, r->tail + record_step(length));
		figure_set(&r->records, r->records + 1);
		r->held--;
	}
	return 0;
}

/* ---- a lossy topic: the writer waits for nobody, readers find out ---- */

/*
 *	writer:  intent = end    fence    stores of the record    header
 *	reader:  loads of the record    fence    intent > at + capacity ?  then what was loaded may be newer bytes
 */
void ring_intend(struct ring_writer *w, uint64_t end)
{
	STEP();
	atomic_store_explicit(&w->control->intent, end, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

bool ring_overtaken(const struct ring_reader *r, uint64_t from)
{
	uint64_t intent;

	atomic_thread_fence(memory_order_acquire);
	intent = atomic_load_explicit(&r->from_control->intent, memory_order_relaxed);
	return intent > from && intent - from > r->capacity;
}

void ring_mark(struct ring_writer *w)
{
	struct layout_control *c = w->control;
	uint64_t version;

	if (w->head - w->marked < w->capacity / RING_TELL_PARTS)
		return;
	w->marked = w->head;
	version = atomic_load_explicit(&c->mark_version, memory_order_relaxed);
	STEP();
	atomic_store_explicit(&c->mark_version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	STEP();
	atomic_store_explicit(&c->mark_at, w->head, memory_order_relaxed);
	STEP();
	atomic_store_explicit(&c->mark_records, w->records, memory_order_relaxed);
	STEP();
	atomic_store_explicit(&c->mark_version, version + 2, memory_order_release);
}

bool ring_can_resync(const struct ring_reader *r)
{
	const struct layout_control *c = r->from_control;

	return (atomic_load_explicit(&c->mark_version, memory_order_acquire) & 1) == 0 &&
		atomic_load_explicit(&c->mark_at, memory_order_relaxed) > r->next;
}

int ring_resync(struct ring_reader *r)
{
	const struct layout_control *c = r->from_control;
	uint64_t version = atomic_load_explicit(&c->mark_version, memory_order_acquire);
	uint64_t at = atomic_load_explicit(&c->mark_at, memory_order_relaxed);
	uint64_t records = atomic_load_explicit(&c->mark_records, memory_order_relaxed);
	uint64_t seen = r->base + r->records + r->held + r->lost;

	atomic_thread_fence(memory_order_acquire);
	if ((version & 1) != 0 || atomic_load_explicit(&c->mark_version, memory_order_relaxed) != version)
		return -EAGAIN;
	/* The writer marks each eighth of the ring, so whoever was overtaken finds a mark in front of it: at once, or, when
	 * the writer is busy with a record of nearly the whole ring, behind that. */
	if (at <= r->next || records < seen || !is_aligned(at, RECORD_ALIGN))
		return ring_overtaken(r, r->next) && at > r->next ? -EPROTO : -EAGAIN;
	figure_set(&r->lost, r->lost + records - seen);
	figure_set(&r->records, r->records + r->held);
	figure_set(&r->tail, at);
	r->held = 0;
	r->next = at;
	return 0;
}

void ring_put_back(struct ring_reader *r, const struct record *record)
{
	r->next -= record_step(record->length);
	r->held--;
	figure_set(&r->bytes, r->bytes - record->length);
}

/* Each turn either ends or goes forward to a newer mark. */
int ring_peek_checked(struct ring_reader *r, struct record *record)
{
	for (;;) {
		uint64_t at = r->next;
		int found = ring_peek(r, record);
		int moved;

		if (!ring_overtaken(r, at))
			return found;
		if (found > 0)
			ring_put_back(r, record);
		if (!r->lossy)
			return -ENOBUFS;
		moved = ring_resync(r);
		if (moved < 0)
			return moved == -EAGAIN ? 0 : moved;
	}
}
