/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/track.h - which pages of a private window were written since they were last asked for.
 *
 * Two trackers, chosen by what the kernel has (sys/probe.h):
 *
 *	wp-async   userfaultfd write-protection that the kernel lifts by itself, and PAGEMAP_SCAN, which reads and re-arms in
 *	           one walk: exact, 0.4 ms a GiB
 *	pagemap    every private page, written lately or long ago, from /proc/self/pagemap: a superset, which the caller
 *	           narrows by comparing contents; 6 to 8 ms a GiB
 *
 * Roads not taken: mprotect and SIGSEGV needs a signal handler of the whole process, splits mappings, and costs 8 to 10 us a
 * first store; soft-dirty is compiled out of many kernels and belongs to the whole process; "present and no longer of the
 * file" alone is cumulative (three commits of 16 pages reported 16, 32 and 48).
 *
 * Invariants
 *	T1  a store that happens after its page was harvested is reported by the next harvest
 *	T2  a page that was only read is never reported
 */
#ifndef PMAP_TRACK_H
#define PMAP_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmap/pmap.h"

/* track: the tracker of one private window */
struct track {
	int uffd; /* -1: pages are taken from pagemap */
	int pagemap;
	bool exact; /* what is reported was written since the last harvest; else: at any time */
	bool whole; /* the window is harvested as a whole, so all of it is armed beforehand */
};

/* whole: harvests will be of the whole window, and have to be fast; else of small spans, and first reads stay cheap (the
 * kernel maps 16 pages of a file at a time, but no armed ones). -EACCES, -ENOENT: no /proc. Needs no privilege. */
int track_open(struct track *track, bool whole);
void track_close(struct track *track); /* accepts one that was not opened: all zeros or -1 */
const char *track_name(const struct track *track);

/* Pages of the span are tracked from now on; again after something else was mapped there. */
int track_arm(struct track *track, const struct pmap_span *span);

typedef int track_found_fn(void *user, const struct pmap_span *pages);

/* Calls found for every run of reported pages, in order, and re-arms them before it is called (T1). Stops at the first error.
 * -ENOMEM is found's alone, and what it did not take is reported again; after any other, written pages may be lost. */
int track_harvest(struct track *track, const struct pmap_span *span, track_found_fn *found, void *user);

#endif
