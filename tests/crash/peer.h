/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h - stores of others under the replayer: commit n puts fixed values under fixed keys, so every n has one content. */
#ifndef TESTS_CRASH_PEER_H
#define TESTS_CRASH_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "crash.h"

enum { PEER_COMMITS = 24, PEER_PUTS = 6, PEER_KEYS = 60, PEER_VALUE = 400 };

enum peer_invariant { PEER_OPENS = 1, PEER_ACKED, PEER_UNBEGUN, PEER_CONTENT, PEER_GOES_ON };

enum peer_verdict {
	PEER_KEEPS,    /* everything */
	PEER_LOSES,    /* acknowledged commits, and nothing else */
	PEER_CORRUPTS, /* does not open, shows a mixture, or dies */
};

/* One mode of a peer. */
struct peer_mode {
	const char *name;
	enum peer_verdict verdict; /* what the replayer must find */
	int flags;                 /* the peer's own */
};

/* Key number i of commit n. */
unsigned int peer_key(uint64_t commit, unsigned int i);
/* The commit that wrote this key last, as of commit n; 0: none. */
uint64_t peer_last(unsigned int key, uint64_t commit);
void peer_value(unsigned int key, uint64_t commit, uint8_t value[PEER_VALUE]);

/* Records and replays each mode; one TAP line each. Returns an exit status. */
int peer_main(const char *name, const struct peer_mode *modes, unsigned int count, crash_run *run,
	crash_check *check);

#endif
