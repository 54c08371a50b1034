/* SPDX-License-Identifier: Apache-2.0 */
/* region/check.h - what is on disk, compared with its checksums; and what is known of a region, in figures. */
#ifndef REGION_CHECK_H
#define REGION_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "pagefile/pagefile.h"

struct region;

struct region_report {
	uint64_t pages_checked;
	uint64_t pages_damaged;
	uint64_t first_damaged;
	uint64_t images_checked;
	uint64_t images_damaged;
	uint64_t heap_objects;
	bool heap_damaged;
};

/* -EBADMSG: damage. The report is written in any case. */
int region_check(struct region *rg, struct region_report *report);

/* 0, or what is wrong with the first page of them that cannot be relied upon. */
int region_check_range(struct region *rg, struct pages_run run, uint64_t *damaged);

struct region_figures {
	uint64_t epoch;
	uint64_t home;
	uint64_t pages;
	uint64_t oldest_pinned;
	uint64_t journal_bytes;
	uint64_t journal_used;
	uint64_t records;
	unsigned int readers;
	int writer; /* 0 none, -1 not to be seen */
	int failed;
	uint64_t commits;
	uint64_t merged;
	uint64_t pages_logged;
	uint64_t pages_home;
	uint64_t checkpoints;
	uint64_t private_pages;
	uint64_t heap_used_bytes;
	uint64_t heap_objects;
};

void region_figures(struct region *rg, struct region_figures *figures);

struct region_record {
	uint64_t epoch;
	uint64_t images;
	uint64_t region_pages;
	uint64_t offset; /* in the journal file */
	uint64_t bytes;
};

bool region_record(struct region *rg, unsigned int index, struct region_record *out);

#endif
