/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/find.h - the channels of other processes, as anybody may see them who may look into those processes.
 *
 * A segment is a memfd with a telling name, and a process that may be traced by us shows its descriptors in
 * /proc/PID/fd. So the statistics of any channel can be read without asking, stopping or slowing those who use it: we
 * map the control page for reading, copy a few words, and go.
 */
#ifndef CHANNEL_FIND_H
#define CHANNEL_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/layout.h"
#include "vm/as.h"

/* sighting: one segment of one process, as it was at one moment */
struct sighting {
	struct layout_header header;
	uint32_t pid; /* as we number it */
	bool stopped; /* by SIGSTOP or a debugger */
	bool closed;
	bool waits_data;
	bool waits_space;
	uint64_t tail;
	uint64_t head;
	uint64_t records;
	uint64_t bytes;
	uint64_t taken_records;
	uint64_t taken_bytes;
	uint64_t lost_records;
	uint64_t data_sleeps;
	uint64_t data_sleep_ns;
	uint64_t space_sleeps;
	uint64_t space_sleep_ns;
	uint64_t bells;
};

/* Returns true to stop. */
typedef bool sighting_fn(const struct sighting *sighting, void *user);

/* name NULL: every channel. hidden: processes we may not look into. Returns how many were seen, or -errno. */
int find_channels(const char *name, sighting_fn *fn, void *user, uint32_t *hidden);

#endif
