/* SPDX-License-Identifier: Apache-2.0 */
/* verb-channel.c - quire channel: who talks with whom on this machine, how fast, and who waits. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quire/quire.h>

#include "json.h"

struct channel_settings {
	uint64_t every;
};

/** One participant, seen twice. */
struct party {
	struct quire_channel_sight first;
	struct quire_channel_sight last;
	char name[64];
	bool seen_again;
};

struct parties {
	struct party *all;
	size_t count;
	size_t room;
	uint32_t hidden;
	bool again; /* the second look */
};

static struct party *known(struct parties *p, const struct quire_channel_sight *sight)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->all[i].first.pid == sight->pid && p->all[i].first.id == sight->id &&
			p->all[i].first.role == sight->role)
			return &p->all[i];
	return NULL;
}

static int remember(const struct quire_channel_sight *sight, void *user)
{
	struct parties *p = user;
	struct party *party = known(p, sight);

	if (p->again) {
		if (party != NULL) {
			party->last = *sight;
			party->seen_again = true;
		}
		return 0;
	}
	if (p->count == p->room) {
		struct party *more = realloc(p->all, (p->room * 2 + 16) * sizeof(*more));

		if (more == NULL)
			return 1;
		p->all = more;
		p->room = p->room * 2 + 16;
	}
	party = &p->all[p->count++];
	*party = (struct party){ .first = *sight, .last = *sight };
	snprintf(party->name, sizeof(party->name), "%s", sight->name);
	return 0;
}

static int look_twice(struct parties *p, const char *name, uint64_t every_ms)
{
	struct timespec pause = {
		.tv_sec = (time_t)(every_ms / 1000),
		.tv_nsec = (long)(every_ms % 1000) * 1000000,
	};
	int r = quire_channel_find(name, remember, p, &p->hidden);

	if (r <= 0)
		return r;
	nanosleep(&pause, NULL);
	p->again = true;
	return quire_channel_find(name, remember, p, NULL);
}

/* The one whose ring this one reads; NULL when it is not seen. */
static const struct party *writer_of(const struct parties *p, const struct party *reader)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct party *w = &p->all[i];
		bool same = reader->first.id == w->first.id || w->first.pattern == QUIRE_CHANNEL_TOPIC;

		if (w != reader && w->first.ring_bytes != 0 && same && strcmp(w->name, reader->name) == 0)
			return w;
	}
	return NULL;
}

static double rate(uint64_t before, uint64_t after, uint64_t every_ms)
{
	return after > before ? (double)(after - before) * 1000.0 / (double)every_ms : 0;
}

static const char *state_of(const struct party *party)
{
	const struct quire_channel_sight *s = &party->last;

	if (!party->seen_again)
		return "gone";
	if (s->stopped)
		return "STOPPED";
	if (s->closed)
		return "closed";
	if (s->waits_data)
		return "waits for messages";
	return s->waits_space ? "waits for room" : "runs";
}

static const char *does(uint32_t role)
{
	return role == QUIRE_CHANNEL_SEND ? "sends" : role == QUIRE_CHANNEL_RECEIVE ? "receives" : "both";
}

static bool lag_of(const struct parties *p, const struct party *reader, uint64_t *lag, double *fill)
{
	const struct party *w = writer_of(p, reader);

	if ((reader->first.role & QUIRE_CHANNEL_RECEIVE) == 0 || w == NULL)
		return false;
	*lag = w->last.head > reader->last.tail ? w->last.head - reader->last.tail : 0;
	*fill = (double)*lag / (double)w->last.ring_bytes;
	return true;
}

static void put_party(json_t *array, const struct parties *p, const struct party *party, uint64_t every_ms)
{
	const struct quire_channel_sight *s = &party->last;
	json_t *object = json_add_object(array);
	uint64_t lag;
	double fill;

	json_put_name(object, "channel", party->name);
	json_put_count(object, "pid", s->pid);
	json_put_count(object, "uid", s->uid);
	json_put_text(object, "role", does(s->role));
	json_put_text(object, "state", state_of(party));
	json_put_count(object, "ring_bytes", s->ring_bytes);
	json_put_count(object, "sent_messages", s->sent_records);
	json_put_count(object, "sent_bytes", s->sent_bytes);
	json_put_real(
		object, "sent_bytes_per_second", rate(party->first.sent_bytes, s->sent_bytes, every_ms));
	json_put_count(object, "received_messages", s->received_records);
	json_put_count(object, "received_bytes", s->received_bytes);
	json_put_count(object, "lost_messages", s->lost_records);
	json_put_count(object, "waits_for_data", s->data_sleeps);
	json_put_count(object, "waits_for_room", s->space_sleeps);
	if (lag_of(p, party, &lag, &fill)) {
		json_put_count(object, "lag_bytes", lag);
		json_put_real(object, "fill", fill);
	}
}

static void print_json(struct call *call, const struct parties *p, uint64_t every_ms)
{
	json_t *document = json_document("channel");
	json_t *array = json_put_array(document, "participants");

	for (size_t i = 0; i < p->count; i++)
		put_party(array, p, &p->all[i], every_ms);
	json_put_count(document, "hidden_processes", p->hidden);
	json_print(call, document);
}

static void print_table(struct call *call, const struct parties *p, uint64_t every_ms)
{
	static const struct column columns[] = { { "CHANNEL", COLUMN_LEFT }, { "PID", COLUMN_RIGHT },
		{ "DOES", COLUMN_LEFT }, { "RATE", COLUMN_RIGHT }, { "MESSAGES", COLUMN_RIGHT },
		{ "LAG", COLUMN_RIGHT }, { "FILL", COLUMN_RIGHT }, { "LOST", COLUMN_RIGHT },
		{ "STATE", COLUMN_LEFT } };
	struct table *t = table_new(&call->screen, columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; i < p->count; i++) {
		const struct party *party = &p->all[i];
		const struct quire_channel_sight *s = &party->last;
		bool sends = (s->role & QUIRE_CHANNEL_SEND) != 0;
		uint64_t lag = 0;
		double fill = 0;
		bool lags = lag_of(p, party, &lag, &fill);

		table_cell(t, INK_STRONG, "%s", text_name(party->name).s);
		table_cell(t, INK_PLAIN, "%u", s->pid);
		table_cell(t, INK_PLAIN, "%s", does(s->role));
		table_cell(t, INK_PLAIN, "%s",
			text_speed(sends ? rate(party->first.sent_bytes, s->sent_bytes, every_ms)
					 : rate(party->first.received_bytes, s->received_bytes, every_ms))
				.s);
		table_cell(t, INK_PLAIN, "%s", text_count(sends ? s->sent_records : s->received_records).s);
		table_cell(t, INK_PLAIN, "%s", lags ? text_bytes(lag).s : "-");
		table_cell(t, INK_PLAIN, "%s", lags ? text_percent(fill).s : "-");
		table_cell(t, s->lost_records > 0 ? INK_PROBLEM : INK_PLAIN, "%s",
			text_count(s->lost_records).s);
		table_cell(t, s->stopped ? INK_PROBLEM : INK_PLAIN, "%s", state_of(party));
	}
	table_print(t);
}

/* Who waits for whom, in a sentence. */
static void print_verdict(struct call *call, const struct parties *p)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct party *reader = &p->all[i];
		const struct party *w = writer_of(p, reader);
		uint64_t lag;
		double fill;

		if (w == NULL || !lag_of(p, reader, &lag, &fill))
			continue;
		if (reader->last.stopped || w->last.stopped)
			say_paragraph(&call->screen, INK_PROBLEM, 0,
				"Process %u is stopped, and %u waits for it: kill -CONT %u lets it go on.",
				reader->last.stopped ? reader->last.pid : w->last.pid,
				reader->last.stopped ? w->last.pid : reader->last.pid,
				reader->last.stopped ? reader->last.pid : w->last.pid);
		else if (fill > 0.75)
			say_paragraph(&call->screen, INK_STRONG, 0,
				"'%s': the reader %u is the bottleneck: the ring is %s full.", reader->name,
				reader->last.pid, text_percent(fill).s);
		else
			say_paragraph(&call->screen, INK_STRONG, 0, "'%s': %s.", reader->name,
				fill < 0.25 ? "the reader keeps up; the writer sets the pace"
					    : "reader and writer keep pace");
	}
}

static enum status run_channel(struct call *call)
{
	const struct channel_settings *settings = call->settings;
	bool ls = strcmp(call->operands[0], "ls") == 0;
	const char *name = call->operand_count > 1 ? call->operands[1] : NULL;
	struct parties p = { 0 };
	int r;

	if (!ls && strcmp(call->operands[0], "stat") != 0)
		return fail(STATUS_USAGE, "'%s' is neither ls nor stat", text_name(call->operands[0]).s);
	if (!ls && name == NULL)
		return fail(STATUS_USAGE, "channel stat needs the NAME of a channel");
	r = look_twice(&p, name, settings->every);
	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	if (call->json)
		print_json(call, &p, settings->every);
	else if (p.count > 0) {
		if (!ls)
			print_verdict(call, &p);
		print_table(call, &p, settings->every);
	}
	free(p.all);
	if (p.count > 0)
		return STATUS_OK;
	if (p.hidden > 0)
		return fail(STATUS_FORBIDDEN,
			"no channel is seen%s%s, but %u processes of other users hide theirs from this one",
			name != NULL ? " under the name " : "", name != NULL ? name : "", p.hidden);
	if (name != NULL)
		return fail(STATUS_NOT_FOUND,
			"no process uses a channel '%s': '" QUIRE_PROGRAM " channel ls' shows those in use",
			name);
	if (!call->json)
		say(&call->screen, INK_PLAIN, "No process uses a channel.\n");
	return STATUS_OK;
}

static const char *const description[] = {
	"ls shows every participant of every channel on this machine, stat those of the channel NAME and who waits for whom. "
	"The figures lie in the shared memory of the participants and are read from there: nobody has to answer, not even a "
	"process that is stopped, and nobody is slowed.",
	"RATE is measured between two looks. LAG is what the writer has published and this reader has not given back yet, "
	"FILL the same as a part of the ring. A full ring waits for its reader, an empty one for its writer.",
	"Channels of other users' processes are seen by root only.",
	NULL,
};

static const struct verb_option options[] = {
	{ "every", 'e', OPTION_COUNT, offsetof(struct channel_settings, every), "MS",
		"milliseconds between the two looks (default 200)", NULL },
	{ 0 },
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " channel ls", "who talks with whom" },
	{ QUIRE_PROGRAM " channel stat backup", "who is the bottleneck?" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FORBIDDEN, "none was seen, and there are processes this user may not look into" },
	{ STATUS_NOT_FOUND, "no process uses a channel of this name" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-send(1)", "quire-recv(1)", "quire_channel_find(3)", NULL };

static const struct channel_settings defaults = { .every = 200 };

const struct verb verb_channel = {
	.name = "channel",
	.summary = "who talks with whom, how fast, and who waits",
	.usage = "ls | stat NAME",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.operands_max = 2,
	.settings_bytes = sizeof(struct channel_settings),
	.defaults = &defaults,
	.run = run_channel,
};
