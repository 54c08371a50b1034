/* SPDX-License-Identifier: Apache-2.0 */
/* seen.h - two sets of 128-bit hashes in shared memory: images, and images together with what had been promised. */
#ifndef CRASH_SEEN_H
#define CRASH_SEEN_H

#include <stdbool.h>

#include "crash.h"
#include "model.h"

enum seen_set { SEEN_IMAGES, SEEN_CHECKS, SEEN_SETS };

/* True: it was not there before. */
bool seen_add(struct crash_seen *seen, enum seen_set set, struct hash128 h);
bool seen_full(const struct crash_seen *seen);

#endif
