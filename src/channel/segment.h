/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/segment.h - the memory of one participant: a sealed memfd, mapped so that its ring stands there twice.
 */
#ifndef CHANNEL_SEGMENT_H
#define CHANNEL_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/layout.h"
#include "vm/as.h"

struct file_object;

/* segment: the memory that one participant of a channel writes: header, control, ring */
struct segment {
	struct as *as;
	struct file_object *file; /* NULL: there is none */
	uintptr_t outer_start;    /* with what was kept for alignment */
	uintptr_t outer_end;
	uintptr_t start;
	uintptr_t end; /* of the second showing of the ring */
	size_t page_bytes;
	bool populated;
	struct layout_header header; /* a private copy, checked: the shared one is never read again (C4) */
	struct layout_control *control;
	unsigned char *data;
};

/* Makes our own: allocated, and sealed against everything but our own stores. header says what it shall be. */
int segment_make(struct segment *segment, struct as *as, const struct layout_header *header, bool huge);

/* Whose conversation it is: for a segment that was made before anybody had come, and that nobody else has seen. */
void segment_identify(struct segment *segment, uint64_t id);

/* Takes somebody else's, for reading. The descriptor is duplicated. -EPERM seals are missing, -EBADMSG it is no segment,
 * -EPROTONOSUPPORT its layout is of another version. */
int segment_take(struct segment *segment, struct as *as, int fd);

/* The part of segment_take() that believes nothing: a header of so many bytes of memory. */
int segment_check(const struct layout_header *header, uint64_t bytes);

/* So that no store or load faults later. Not part of the above: who waits for the descriptor need not wait for this. */
int segment_populate(struct segment *segment);

void segment_drop(struct segment *segment);
int segment_fd(const struct segment *segment);

#endif
