/* SPDX-License-Identifier: Apache-2.0 */
#include "base/readahead.h"

#include "base/align.h"

/* Two equal strides in a row may be chance; the third fault of a stream is worth a guess. */
enum { RUN_SURE = 2 };

/* Of a window. At each the queue of the disk is filled up again: with one a window it ran dry. */
enum { MARKS = 4 };

/* It is where the stream has fetched to, or before that: not all that was planned could be fetched. */
static bool onward(const struct stream *stream, uint64_t index)
{
	return index > stream->last && index <= stream->end;
}

static bool continues(const struct stream *stream, uint64_t index)
{
	if (stream->used == 0)
		return false;
	if (stream->stride != 0 && index == stream->last + (uint64_t)stream->stride)
		return true;
	/* A few pages on, in a stream that is no far one. */
	return index > stream->last && index - stream->last <= (stream->end - stream->last) + AHEAD_MAX &&
		stream->stride >= 0 && stream->stride <= AHEAD_MAX;
}

static struct stream *find(struct readahead *ahead, uint64_t index)
{
	struct stream *oldest = &ahead->streams[0];

	for (size_t i = 0; i < AHEAD_STREAMS; i++) {
		if (continues(&ahead->streams[i], index))
			return &ahead->streams[i];
		if (ahead->streams[i].used < oldest->used)
			oldest = &ahead->streams[i];
	}
	return oldest;
}

/* A far stride needs two faults to be seen at all: the youngest stream is taken to be its first. */
static struct stream begin_stream(const struct readahead *ahead, uint64_t index)
{
	const struct stream *youngest = &ahead->streams[0];
	int64_t stride;

	for (size_t i = 0; i < AHEAD_STREAMS; i++)
		if (ahead->streams[i].used > youngest->used)
			youngest = &ahead->streams[i];
	stride = youngest->used == 0 ? 0 : (int64_t)(index - youngest->last);
	return (struct stream){ .stride = stride, .run = stride != 0 };
}

static void note(struct readahead *ahead, struct stream *stream, uint64_t index)
{
	int64_t stride = (int64_t)(index - stream->last);

	if (!continues(stream, index))
		*stream = begin_stream(ahead, index);
	else if (onward(stream, index) || (stream->stride != 0 && stride != stream->stride))
		*stream = (struct stream){ .stride = 1, .run = stream->run + 1 }; /* or with holes: as good */
	else
		*stream = (struct stream){ .stride = stride, .run = stream->run + 1 };
	stream->last = index;
	stream->end = index + 1;
	stream->used = ++ahead->clock;
}

static void widen(struct readahead *ahead, uint64_t pages)
{
	ahead->window = (uint32_t)min_u64(AHEAD_FAR, ahead->window + pages);
}

/* Two windows in front of the last fault, less what was fetched of them; none where even a whole transfer is more than is
 * allowed. */
static void plan_windows(
	const struct readahead *ahead, struct stream *stream, uint32_t most, struct ahead_plan *plan)
{
	uint32_t pages = (uint32_t)min_u64(ahead->window, most);
	uint64_t end = stream->last + 2 * (uint64_t)pages;

	plan->from = stream->end;
	plan->each = (uint32_t)min_u64(pages, AHEAD_MAX);
	plan->marks = (uint32_t)max_u64(1, (pages / AHEAD_MAX + MARKS - 1) / MARKS);
	/* Of less than from mark to mark each would be marked, and the next ones as well. */
	if (most < AHEAD_MAX || end < stream->end + (uint64_t)plan->marks * plan->each)
		return;
	plan->apart = (uint32_t)min_u64((end - stream->end) / plan->each, AHEAD_APART_MAX);
	plan->stride = plan->each;
	stream->end += (uint64_t)plan->apart * plan->each;
}

static void plan_stream(
	struct readahead *ahead, struct stream *stream, uint32_t most, struct ahead_plan *plan)
{
	if (ahead->window == 0)
		ahead->window = AHEAD_MIN;
	if (stream->stride == 1) {
		plan->count = (uint32_t)min_u64(ahead->window, AHEAD_MAX);
		stream->end = stream->last + plan->count;
		if (ahead->window >= AHEAD_MAX)
			plan_windows(ahead, stream, most, plan);
	} else {
		plan->apart = (uint32_t)min_u64(ahead->window, AHEAD_APART_MAX);
		plan->each = 1;
		plan->stride = stream->stride;
		plan->from = stream->last + (uint64_t)stream->stride;
		stream->last += (uint64_t)stream->stride * plan->apart;
		stream->end = stream->last + 1;
	}
	widen(ahead, ahead->window);
}

struct ahead_plan readahead_go_on(struct readahead *ahead, uint64_t index, uint32_t most)
{
	struct ahead_plan plan = { .count = 0 };

	for (size_t i = 0; i < AHEAD_STREAMS && plan.apart == 0; i++) {
		struct stream *stream = &ahead->streams[i];

		if (stream->used == 0 || stream->stride != 1 || index < stream->last || index >= stream->end)
			continue;
		widen(ahead, index - stream->last); /* it doubles with each that was read */
		stream->last = index;
		stream->used = ++ahead->clock;
		plan_windows(ahead, stream, most, &plan);
	}
	return plan;
}

/* The caller says that it is a stream: believed of the first transfer, and of more when it was true so far. */
static struct stream advised_stream(struct readahead *ahead, uint64_t index)
{
	const struct stream *known = find(ahead, index);

	ahead->window = (uint32_t)(continues(known, index) ? max_u64(ahead->window, AHEAD_MAX) : AHEAD_MAX);
	return (struct stream){ .last = index, .stride = 1, .run = RUN_SURE, .used = ++ahead->clock };
}

struct ahead_plan readahead_plan(
	struct readahead *ahead, uint64_t index, enum ahead_advice advice, uint32_t most)
{
	struct ahead_plan plan = { .count = 1 };
	struct stream *stream;

	if (advice == AHEAD_RANDOM)
		return plan;
	stream = find(ahead, index);
	if (advice == AHEAD_SEQUENTIAL)
		*stream = advised_stream(ahead, index);
	else
		note(ahead, stream, index);
	if (stream->run >= RUN_SURE)
		plan_stream(ahead, stream, most, &plan);
	return plan;
}

void readahead_cut(struct readahead *ahead, const struct ahead_plan *plan, uint64_t index)
{
	for (size_t i = 0; i < AHEAD_STREAMS; i++)
		if (plan->marks > 0 &&
			ahead->streams[i].end == plan->from + (uint64_t)plan->apart * plan->each)
			ahead->streams[i].end = index;
}

void readahead_wasted(struct readahead *ahead)
{
	ahead->window = (uint32_t)max_u64(AHEAD_MIN, ahead->window / 2);
}
