/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/seek.h - the other way to a hub's clients: not they come, we go to everybody who listens in a directory.
 *
 *	jobs/ 417.0 <--lane--  writer 1          each reader listens in the directory with a socket of its own, each
 *	      417.0 <--lane--  writer 2          writer goes to all of them: so many write and many read, by lanes of
 *	      523.0 <--lane--  writer 1          two, with nobody in the middle
 *	      523.0 <--lane--  writer 2
 *
 * inotify tells who comes later. Nothing here waits: who was greeted and has not answered yet is asked again when its
 * socket has something to say.
 */
#ifndef CHANNEL_SEEK_H
#define CHANNEL_SEEK_H

#include "channel/channel.h"
#include "channel/name.h"

enum { FOUND_NAME = 32 };

/* found: one socket in the directory */
struct found {
	char name[FOUND_NAME];
	int socket;           /* -1: it has answered, one way or the other */
	struct channel *lane; /* NULL: it did not want us */
	bool there;           /* during one look at the directory */
};

/* seek: a directory whose listeners are a hub's clients, and how far we are with each */
struct seek {
	struct as *as;
	struct plan plan;
	char directory[NAME_BYTES];
	int changes; /* of inotify */
	int epoll;   /* the changes, and everybody who has not answered yet */
	bool looked;
	atomic_uint *news;
	watch_ticket watch;
	struct found found[LANES_MAX];
	uint32_t found_count;
	uint64_t refused; /* by how many we were */
};

int seek_open(struct as *as, const struct plan *plan, const char *name, struct seek **seek);
void seek_close(struct seek *seek); /* takes NULL; the lanes are the hub's */

/* From now on news of the directory count the word up. */
int seek_watch(struct seek *seek, atomic_uint *word);
void seek_again(struct seek *seek);

/* A listener that has answered: its lane. -EAGAIN: nobody. */
int seek_next(struct seek *seek, struct channel **lane);
void seek_forget(struct seek *seek, const struct channel *lane); /* before it is closed */

/* For who listens there: removes the sockets of the dead; the directory is locked. */
void seek_sweep(const char *directory);

#endif
