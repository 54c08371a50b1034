/* SPDX-License-Identifier: Apache-2.0 */
#include "carry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quire/quire.h>

#include "clock.h"
#include "json.h"
#include "progress.h"

#define RING_MIN ((uint64_t)4 << 10)
#define RING_MAX ((uint64_t)1 << 40)

enum { SHOW_EVERY_NS = 100000000, PIPE_BYTES = 256 << 10 };

const struct verb_option carry_options[] = {
	{ "lines", 'l', OPTION_FLAG, offsetof(struct carry_settings, lines), NULL,
		"a message for each line, instead of a stream of bytes", NULL },
	{ "records", 'r', OPTION_FLAG, offsetof(struct carry_settings, records), NULL,
		"a message for each record: its length in 8 bytes, little-endian, then its bytes", NULL },
	{ "quiet", 'q', OPTION_FLAG, offsetof(struct carry_settings, quiet), NULL,
		"no live line, not even on a terminal", NULL },
	{ "ring", 0, OPTION_SIZE, offsetof(struct carry_settings, ring), "SIZE",
		"capacity of the ring, a power of two (default 1M); the sender's counts", NULL },
	{ "wait", 'w', OPTION_COUNT, offsetof(struct carry_settings, wait), "SECONDS",
		"give up when the other side has not come by then", NULL },
	{ "size", 's', OPTION_SIZE, offsetof(struct carry_settings, total), "SIZE",
		"how much is to come, for the time that is left", NULL },
	{ 0 },
};

/* ---- finding each other ---- */

static const struct quire_channel_options *options_of(const struct carry *c, uint64_t deadline_ns)
{
	static struct quire_channel_options o;

	o = (struct quire_channel_options){
		.size = sizeof(o),
		.role = c->sends ? QUIRE_CHANNEL_SEND : QUIRE_CHANNEL_RECEIVE,
		.mode = c->unit == CARRY_BYTES ? QUIRE_CHANNEL_STREAM : QUIRE_CHANNEL_MESSAGES,
		.ring_bytes = c->settings->ring != 0 ? c->settings->ring : CARRY_RING,
		.deadline_ns = deadline_ns,
		.spin_ns = 1, /* the programs before and behind us need the processor */
	};
	return &o;
}

/* As with a FIFO: any number may write and read, each message goes to one who reads, and it ends when all writers that had
 * come are gone. Who receives listens, each on a socket of its own in the directory. */
static int meet_many(struct carry *c, uint64_t deadline_ns)
{
	struct quire_channel_options o = *options_of(c, deadline_ns);
	int r;

	if (c->sends)
		return quire_channel_connect(NULL, c->name, &o, &c->channel);
	o.pattern = QUIRE_CHANNEL_QUEUE;
	r = quire_channel_listen(NULL, c->name, &o, &c->listener);
	if (r < 0)
		return r;
	r = quire_channel_gather(c->listener, 1, deadline_ns, &c->channel);
	if (r < 0) {
		quire_channel_close(c->channel);
		quire_channel_unlisten(c->listener);
	}
	return r < 0 ? r : 0;
}

static int listen_for(struct carry *c, uint64_t deadline_ns)
{
	struct quire_listener *listener;
	int r = quire_channel_listen(NULL, c->name, options_of(c, 0), &listener);

	if (r < 0)
		return r;
	r = quire_channel_accept(listener, deadline_ns, &c->channel);
	quire_channel_unlisten(listener); /* one sender, one receiver: the name is free again */
	return r;
}

/* Two who start at once may both find nobody; only one of them gets the name, and the other one connects. */
static int meet(struct carry *c)
{
	uint64_t deadline = c->settings->wait == 0 ? QUIRE_FOREVER
						   : now_ns() + c->settings->wait * NS_A_SECOND;
	int r;

	if (c->many)
		return meet_many(c, deadline);
	do {
		r = quire_channel_connect(NULL, c->name, options_of(c, deadline), &c->channel);
		if (r == -ENOENT || r == -ECONNREFUSED)
			r = listen_for(c, deadline);
	} while (r == -EADDRINUSE && now_ns() < deadline);
	return r;
}

static uint64_t size_of_input(const struct carry *c)
{
	struct stat st;

	if (c->settings->total != 0)
		return c->settings->total;
	if (c->sends && fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		return (uint64_t)st.st_size;
	return 0;
}

/*
 * A pipe holds 64 KiB; with 256 there are fewer switches between the programs of a pipeline, and more is no faster (against
 * cat through a FIFO: 1.4 times its speed with 64 KiB, 2.0 with 256, 1.7 with 512). Where the user's limit for pipes is reached, it stays as it is; what is no pipe says no.
 *
 * Not splice(2) or vmsplice(2): they would put the ring's own pages into the pipe, and whoever passes them on (tee, pv)
 * would see what the sender writes there next.
 */
static void widen(int fd)
{
	if (fcntl(fd, F_GETPIPE_SZ) < PIPE_BYTES)
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
}

/* As the library says as well, but it does not know what the option is called. */
static bool is_capacity(uint64_t bytes)
{
	return bytes >= RING_MIN && bytes <= RING_MAX && (bytes & (bytes - 1)) == 0;
}

enum status carry_open(struct carry *c, struct call *call, bool sends)
{
	const struct carry_settings *settings = call->settings;
	int r;

	*c = (struct carry){
		.call = call,
		.settings = settings,
		.name = call->operands[0],
		.unit = settings->lines     ? CARRY_LINES
			: settings->records ? CARRY_RECORDS
					    : CARRY_BYTES,
		.sends = sends,
	};
	if (call->json && !sends)
		call->screen.out = stderr; /* what recv receives goes to stdout, so its document does not */
	if (settings->lines && settings->records)
		return fail(STATUS_USAGE, "--lines and --records exclude each other");
	if (settings->ring != 0 && !is_capacity(settings->ring))
		return fail(STATUS_USAGE, "--ring must be a power of two from 4K to 1T");
	c->many = c->name[0] != '\0' && c->name[strlen(c->name) - 1] == '/';
	if (c->many && c->unit == CARRY_BYTES)
		return fail(STATUS_USAGE,
			"'%s' is the name of a queue, which carries messages: add --lines or --records, here and at "
			"the other end",
			text_name(c->name).s);
	r = meet(c);
	if (r == -ETIMEDOUT)
		return fail(STATUS_NOT_FOUND,
			"nobody came to channel '%s' within %llu s: start '" QUIRE_PROGRAM
			" %s %s' as the same user, with the same $XDG_RUNTIME_DIR",
			text_name(c->name).s, (unsigned long long)settings->wait, sends ? "recv" : "send",
			text_name(c->name).s);
	if (r == -EPROTOTYPE)
		return fail(STATUS_USAGE,
			"channel '%s': the other end is no '" QUIRE_PROGRAM
			" %s' with the same of --lines and --records",
			text_name(c->name).s, sends ? "recv" : "send");
	if (r < 0)
		return fail(r == -EINVAL ? STATUS_USAGE : status_of(r), "%s", quire_error_text());
	c->began_ns = c->shown_ns = now_ns();
	widen(sends ? STDIN_FILENO : STDOUT_FILENO);
	if (!settings->quiet)
		progress_begin(sends ? "sent" : "received", size_of_input(c), true);
	return STATUS_OK;
}

/* ---- the live line ---- */

/* Who waits for whom: a full ring waits for its reader, an empty one for its writer. And the rate since the last line,
 * beside the mean. */
static void describe(const struct carry *c, uint64_t since_ns, char *text, size_t room)
{
	struct quire_channel_stat st = { .size = sizeof(st) };
	double fill, rate = (double)(c->bytes - c->shown_bytes) * NS_A_SECOND / (double)since_ns;

	text[0] = '\0';
	if (quire_channel_stat(c->channel, &st) < 0 || st.ring_bytes == 0)
		return;
	fill = (double)st.fill_bytes / (double)st.ring_bytes;
	snprintf(text, room, "now %s/s  ring %s: %s", text_bytes((uint64_t)rate).s, text_percent(fill).s,
		fill > 0.75           ? "reader is slow"
			: fill < 0.25 ? "writer is slow"
				      : "both keep pace");
}

void carry_show(struct carry *c)
{
	uint64_t now;
	char note[160];

	if (c->settings->quiet)
		return;
	now = now_ns();
	if (now - c->shown_ns < SHOW_EVERY_NS)
		return;
	describe(c, now - c->shown_ns, note, sizeof(note));
	c->shown_ns = now;
	c->shown_bytes = c->bytes;
	progress_note(note);
	progress_at(c->bytes);
}

/* ---- the end ---- */

static const char *end_word(int end, uint64_t lost)
{
	switch (end) {
	case 0: return lost > 0 ? "died" : "complete";
	case -EPIPE: return "closed";
	case -EOWNERDEAD: return "died";
	default: return "error";
	}
}

static void put_json(struct carry *c, const struct quire_channel_stat *st, double seconds)
{
	json_t *document = json_document(c->sends ? "send" : "recv");

	json_put_name(document, "channel", c->name);
	json_put_text(document, "end", end_word(c->end, st->lost_peers));
	json_put_count(document, "bytes", c->bytes);
	json_put_count(document, "messages", c->records);
	json_put_real(document, "seconds", seconds);
	json_put_real(document, "bytes_per_second", seconds > 0 ? (double)c->bytes / seconds : 0);
	json_put_count(document, "peer_pid", (uint64_t)st->peer_pid);
	json_put_count(document, "lost_peers", st->lost_peers);
	json_put_count(document, "ring_bytes", st->ring_bytes);
	json_put_count(document, "waits_for_data", st->data_sleeps);
	json_put_real(document, "waited_for_data_seconds", (double)st->data_sleep_ns / 1e9);
	json_put_count(document, "waits_for_room", st->space_sleeps);
	json_put_real(document, "waited_for_room_seconds", (double)st->space_sleep_ns / 1e9);
	json_print(c->call, document);
}

static enum status verdict(const struct carry *c, uint64_t lost, const char *why)
{
	if (c->end == 0 && lost > 0)
		return fail(STATUS_PEER_DIED,
			c->sends
				? "channel '%s': %llu of the receivers died or went away before they had read "
				  "all that was sent to them"
				: "channel '%s': %llu of the senders died; everything they had published was "
				  "received",
			text_name(c->name).s, (unsigned long long)lost);
	if (c->end == 0)
		return STATUS_OK;
	if (c->told)
		return status_of(c->end);
	return fail(c->end == -EOWNERDEAD || c->end == -EPIPE ? STATUS_PEER_DIED : status_of(c->end),
		"channel '%s' ended after %s: %s", c->name, text_bytes(c->bytes).s, why);
}

enum status carry_close(struct carry *c, int end)
{
	struct quire_channel_stat st = { .size = sizeof(st) };
	double seconds = (double)(now_ns() - c->began_ns) / 1e9;
	char why[256];

	snprintf(why, sizeof(why), "%s", quire_error_text());
	progress_end();
	c->end = end;
	(void)quire_channel_stat(c->channel, &st); /* zeros when it cannot tell */
	/* Who has not sent everything leaves without a word: to close would say "that was all" to the receiver. */
	if (!c->sends || end == 0) {
		quire_channel_close(c->channel);
		quire_channel_unlisten(c->listener);
	}
	if (c->call->json)
		put_json(c, &st, seconds);
	return verdict(c, st.lost_peers, why);
}
