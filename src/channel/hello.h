/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/hello.h - the two messages with which a channel begins.
 *
 *	client                                    listener
 *	connect  ------------------------------>  (backlog)
 *	hello + descriptor of its segment  ---->  checks credentials, version, plan, segment
 *	                                   <----  hello + descriptor of its own; or a refusal, with a reason
 *
 * After that the socket is silent, but for bells (bytes), and its end is the news that the peer is gone.
 */
#ifndef CHANNEL_HELLO_H
#define CHANNEL_HELLO_H

#include <stdint.h>
#include <sys/types.h>

#include "channel/channel.h"

enum {
	HELLO_BARRIER = 1, /* I have registered, and may fence you */
};

/* hello: what each side says of itself when they meet; docs/format.md, "Channel hello" */
struct hello {
	char magic[8];
	uint16_t major;
	uint16_t minor;
	uint32_t flags;
	int32_t status; /* of the listener: 0, or why it refuses, a negative errno */
	uint32_t role;  /* of who sends this */
	uint32_t mode;
	uint32_t pattern;
	uint32_t policy;
	uint32_t zero;
	uint64_t start; /* topic: where the reader begins */
	uint64_t start_records;
	char schema[LAYOUT_TEXT];
};

_Static_assert(sizeof(struct hello) == 120, "docs/format.md, Channel hello");

void hello_fill(struct hello *hello, const struct plan *plan, bool barrier);

/* -EAGAIN nothing there yet, -EPIPE hung up, -EBADMSG, -EMFILE. *fd: the segment's, -1 when none came. *sender: the pid of
 * who sent it, after sys_learn_sender(); 0: it is not known. */
int hello_receive(int socket, struct hello *hello, int *fd, pid_t *sender);
int hello_send(int socket, const struct hello *hello, int fd); /* fd -1: none */

/* Does what the other one says fit to what we are? 0, -EPROTONOSUPPORT, -EPROTOTYPE, -EBADMSG, with a sentence. */
int hello_fits(const struct hello *theirs, const struct plan *ours);

/* Registers this process for membarrier, once. May it fence others now? A fork child may have been shut in since. */
bool hello_barrier(void);

#endif
