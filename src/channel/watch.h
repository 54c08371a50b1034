/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/watch.h - one thread a process that looks at descriptors for those who sleep on words.
 *
 * A thread asleep on a futex does not hear that a socket was hung up. So the descriptor is given to the watcher, which
 * sleeps in epoll and, when something happens, counts up the word the sleeper has put beside the others it sleeps on.
 * The thread starts with the first descriptor, blocks all signals, and ends with the last one.
 */
#ifndef CHANNEL_WATCH_H
#define CHANNEL_WATCH_H

#include <stdatomic.h>
#include <stdint.h>

/* What the watcher looks for; each is reported once, then again only after watch_again(). */
enum watch_for { WATCH_HANGUP, WATCH_READABLE };

/* Names a watched descriptor; 0 is none. */
typedef uint64_t watch_ticket;

int watch_add(int fd, enum watch_for what, atomic_uint *word, watch_ticket *ticket);
void watch_again(int fd, enum watch_for what, watch_ticket ticket);

/* When it returns, the word is touched no more. Takes ticket 0. */
void watch_remove(int fd, watch_ticket ticket);

#endif
