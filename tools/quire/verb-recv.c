/* SPDX-License-Identifier: Apache-2.0 */
/* verb-recv.c - quire recv: a channel onto standard output. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "carry.h"

enum { LENGTH_BYTES = 8, BATCH = 64 };

static int write_all(const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		ssize_t n = write(STDOUT_FILENO, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

static int write_record(const struct carry *c, const struct iovec *record)
{
	unsigned char head[LENGTH_BYTES];
	size_t length = record->iov_len;

	if (c->unit == CARRY_BYTES)
		return write_all(record->iov_base, length);
	/* Many small messages: through stdio's buffer; it is flushed when no more are there. */
	for (int i = 0; i < LENGTH_BYTES; i++)
		head[i] = (unsigned char)((uint64_t)length >> 8 * i);
	if (c->unit == CARRY_RECORDS && fwrite(head, 1, sizeof(head), stdout) != sizeof(head))
		return -errno;
	if (fwrite(record->iov_base, 1, length, stdout) != length)
		return -errno;
	return c->unit == CARRY_LINES && putc('\n', stdout) == EOF ? -errno : 0;
}

/* Written from where they lie, then given back. */
static int take(struct carry *c, const struct iovec *records, int64_t count)
{
	for (int64_t i = 0; i < count; i++) {
		int r = write_record(c, &records[i]);

		if (r < 0)
			return r;
		c->bytes += records[i].iov_len;
		c->records += c->unit != CARRY_BYTES;
	}
	return quire_channel_release(c->channel, (size_t)count);
}

/* A queue ends when nobody is at the other end any more. Its descriptor is readable when a message or a sender comes, or one
 * goes. */
static int64_t next_of_many(struct carry *c, struct iovec *records)
{
	struct pollfd p = { .fd = quire_channel_fd(c->channel), .events = POLLIN };

	if (p.fd < 0)
		return p.fd;
	for (;;) {
		struct quire_channel_stat st = { .size = sizeof(st) };
		int64_t n = quire_channel_peek_batch(c->channel, records, BATCH, QUIRE_NOW);

		if (n == -EAGAIN)
			n = quire_channel_stat(c->channel, &st);
		if (n != 0)
			return n;
		if (st.peers == 0)
			return -EPIPE;
		(void)poll(&p, 1, -1);
	}
}

/* What lies in stdio's buffer is shown before we wait: whoever reads on must not wait for the next message. */
static int64_t next(struct carry *c, struct iovec *records)
{
	/* A piece of a stream is large: the writer wants its room back at once. */
	size_t most = c->unit == CARRY_BYTES ? 1 : BATCH;
	int64_t n = quire_channel_peek_batch(c->channel, records, most, QUIRE_NOW);

	if (n != -EAGAIN)
		return n;
	if (fflush(stdout) != 0)
		return -errno;
	return c->many ? next_of_many(c, records)
		       : quire_channel_peek_batch(c->channel, records, most, QUIRE_FOREVER);
}

static int receive_all(struct carry *c, bool *output_failed)
{
	struct iovec records[BATCH];

	for (;;) {
		int64_t n = next(c, records);
		int r;

		if (n < 0)
			return n == -EPIPE ? 0 : (int)n; /* the sender closed: everything has come */
		r = take(c, records, n);
		if (r < 0) {
			*output_failed = true;
			return r;
		}
		carry_show(c);
	}
}

/* The sender is told first; then we end as every filter does when nobody reads it. */
static enum status end_of_output(struct carry *c, int error)
{
	if (error != -EPIPE) {
		complain("cannot write the output: %s", strerror(-error));
		c->told = true;
		return carry_close(c, -EIO);
	}
	quire_channel_close(c->channel);
	quire_channel_unlisten(c->listener);
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
	return STATUS_SYSTEM;
}

static enum status run_recv(struct call *call)
{
	struct carry c;
	enum status status = carry_open(&c, call, false);
	bool output_failed = false;
	int r;

	if (status != STATUS_OK)
		return status;
	signal(SIGPIPE, SIG_IGN);
	r = receive_all(&c, &output_failed);
	if (!output_failed && fflush(stdout) != 0) {
		output_failed = true;
		r = -errno;
	}
	return output_failed ? end_of_output(&c, r) : carry_close(&c, r);
}

static const char *const description[] = {
	"Receives what '" QUIRE_PROGRAM
	" send NAME' sends, and writes it to standard output. Whoever is started first waits "
	"for the other. It ends when the sender has ended, with status 0; when the sender was killed, or could not read its "
	"input to the end, everything it had published is written, that is said, and the exit status is 6.",
	"A NAME that ends in / is a queue (quire-send(1)): several may receive from it at once, and each message goes to one of "
	"them. Each ends when all senders that had come are gone; when one of them was killed, with status 6.",
	"--lines and --records must be given on both sides. With --json the document at the end goes to standard error, as "
	"standard output carries what was received.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " recv backup | zstd > photos.tar.zst", "take what 'send backup' sends" },
	{ QUIRE_PROGRAM " recv --lines log | grep error", "messages as lines" },
	{ QUIRE_PROGRAM " recv --lines jobs/ | xargs -n1 convert-one",
		"one of several that work off a queue" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FORBIDDEN, "the socket or its owner's access list says no" },
	{ STATUS_NOT_FOUND, "nobody came within --wait" },
	{ STATUS_PEER_DIED, "the sender died, or failed, before it had sent everything" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-send(1)", "quire-channel(1)", "quire_channel_connect(3)",
	NULL };

const struct verb verb_recv = {
	.name = "recv",
	.summary = "receive what another process sends, onto standard output",
	.usage = "NAME",
	.description = description,
	.options = carry_options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.operands_max = 1,
	.settings_bytes = sizeof(struct carry_settings),
	.run = run_recv,
};
