/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/readahead.h"

#include "base/align.h"

/* Two equal strides in a row may be chance; the third fault of a stream is worth a guess. */
enum { RUN_SURE = 2 };

/* A fault continues a stream when it is one stride on, or, as pages in between were read ahead, a few pages on. */
static bool continues(const struct stream *stream, uint64_t index)
{
	uint64_t on = index - stream->last;

	if (stream->used == 0)
		return false;
	if (stream->stride != 0 && index == stream->last + (uint64_t)stream->stride)
		return true;
	return on > 0 && on <= AHEAD_MAX && stream->stride >= 0 && stream->stride <= AHEAD_MAX;
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
static void note(struct readahead *ahead, struct stream *stream, uint64_t index)
{
	int64_t stride = (int64_t)(index - stream->last);
	struct stream *youngest = &ahead->streams[0];

	if (continues(stream, index)) {
		stream->run++;
		if (stream->stride == 0 || stride <= AHEAD_MAX)
			stream->stride = stride;
	} else {
		for (size_t i = 0; i < AHEAD_STREAMS; i++)
			if (ahead->streams[i].used > youngest->used)
				youngest = &ahead->streams[i];
		stride = youngest->used == 0 ? 0 : (int64_t)(index - youngest->last);
		*stream = (struct stream){ .stride = stride };
	}
	stream->last = index;
	stream->used = ++ahead->clock;
}

struct ahead_plan readahead_plan(struct readahead *ahead, uint64_t index, enum ahead_advice advice)
{
	struct ahead_plan plan = { .count = 1, .single = UINT64_MAX };
	struct stream *stream;

	if (advice == AHEAD_RANDOM)
		return plan;
	if (ahead->window == 0)
		ahead->window = AHEAD_MIN;
	stream = find(ahead, index);
	note(ahead, stream, index);
	if (advice == AHEAD_SEQUENTIAL) {
		plan.count = AHEAD_MAX;
	} else if (stream->run >= RUN_SURE && stream->stride > 0 && stream->stride <= AHEAD_MAX) {
		plan.count = ahead->window;
		ahead->window = (uint32_t)min_u64(AHEAD_MAX, 2 * (uint64_t)ahead->window);
	} else if (stream->run >= RUN_SURE) {
		plan.single = index + (uint64_t)stream->stride;
	}
	return plan;
}

void readahead_wasted(struct readahead *ahead)
{
	ahead->window = (uint32_t)max_u64(AHEAD_MIN, ahead->window / 2);
}
