/* SPDX-License-Identifier: Apache-2.0 */
/* verb-shm.c - quire shm: shared memory, who owns it, who uses it, and what nobody uses any more. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "shm.h"

struct shm_settings {
	bool orphans;
};

static const char *const kinds[] = {
	[SEGMENT_POSIX] = "posix",
	[SEGMENT_MEMFD] = "memfd",
	[SEGMENT_SYSV] = "sysv",
	[SEGMENT_HUGETLB] = "hugetlbfs",
};

static struct text owner_of(uid_t uid)
{
	struct passwd entry, *who = NULL;
	char strings[1024]; /* an entry that does not fit is shown by its number */
	struct text text;

	if (getpwuid_r(uid, &entry, strings, sizeof(strings), &who) == 0 && who != NULL)
		snprintf(text.s, sizeof(text.s), "%.31s", who->pw_name);
	else
		snprintf(text.s, sizeof(text.s), "%u", uid);
	return text;
}

static int compare(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;
	uint64_t rx = x->resident == QUIRE_UNKNOWN ? 0 : x->resident,
		 ry = y->resident == QUIRE_UNKNOWN ? 0 : y->resident;

	if (rx != ry)
		return rx < ry ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void show_users(struct table *table, const struct segments *segments, const struct segment *s)
{
	char text[400];
	size_t used = 0;
	int orphan = shm_orphan(segments, s);

	text[0] = '\0';
	for (size_t i = 0; i < s->user_count && i < 4 && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d %s%s", i == 0 ? "" : ", ",
			s->users[i].pid, text_name(s->users[i].name).s,
			s->users[i].mapped == 0 ? " (open)" : "");
	if (s->user_count > 4 && used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, " and %zu more", s->user_count - 4);
	if (s->user_count == 0)
		snprintf(text, sizeof(text), "%s",
			orphan > 0           ? "nobody: orphan"
				: orphan < 0 ? "? (some processes are hidden)"
					     : "a hidden process");
	table_cell(table, orphan > 0 ? INK_PROBLEM : INK_PLAIN, "%s", text);
}

/** What is said about all of them. */
struct shm_sum {
	uint64_t count;
	uint64_t resident;
	uint64_t orphans;
	uint64_t orphaned;
	bool unknown;
};

static struct shm_sum sum_of(const struct segments *segments)
{
	struct shm_sum sum = { .count = segments->count };

	for (size_t i = 0; i < segments->count; i++) {
		const struct segment *s = &segments->all[i];
		uint64_t resident = s->resident == QUIRE_UNKNOWN ? 0 : s->resident;

		sum.resident += resident;
		sum.unknown |= s->resident == QUIRE_UNKNOWN || shm_orphan(segments, s) < 0;
		if (shm_orphan(segments, s) > 0) {
			sum.orphans++;
			sum.orphaned += resident;
		}
	}
	return sum;
}

static void show(struct call *call, const struct segments *segments, const struct shm_sum *sum)
{
	static const struct column columns[] = { { "KIND", COLUMN_LEFT }, { "SIZE", COLUMN_RIGHT },
		{ "IN RAM", COLUMN_RIGHT }, { "OWNER", COLUMN_LEFT }, { "NAME", COLUMN_WRAP },
		{ "USED BY", COLUMN_WRAP } };
	const struct shm_settings *settings = call->settings;
	struct screen *screen = &call->screen;
	struct table *table;

	say_paragraph(screen, INK_STRONG, 0, "%s shared %s %s of memory; %s of them (%s) %s used by nobody.",
		text_count(sum->count).s, sum->count == 1 ? "segment holds" : "segments hold",
		text_bytes(sum->resident).s, text_count(sum->orphans).s, text_bytes(sum->orphaned).s,
		sum->orphans == 1 ? "is" : "are");
	say(screen, INK_PLAIN, "\n");
	table = table_new(screen, columns, 6);
	for (size_t i = 0; i < segments->count; i++) {
		const struct segment *s = &segments->all[i];

		if (settings->orphans && shm_orphan(segments, s) == 0)
			continue;
		table_cell(table, INK_PLAIN, "%s", kinds[s->kind]);
		table_cell(table, INK_PLAIN, "%s", text_bytes(s->size).s);
		table_cell(table, INK_PRESENT, "%s",
			s->resident == QUIRE_UNKNOWN ? "?" : text_bytes(s->resident).s);
		table_cell(table, INK_PLAIN, "%s", owner_of(s->owner).s);
		table_cell(table, INK_PLAIN, "%s", text_name(s->name).s);
		show_users(table, segments, s);
	}
	table_print(table);
	if (segments->hidden != 0)
		say_paragraph(screen, INK_FAINT, 2,
			"? %s %s cannot be looked into by this user: memfds may be missing here, "
			"and segments that seem unused may be in use.",
			text_count(segments->hidden).s, segments->hidden == 1 ? "process" : "processes");
	say(screen, INK_PLAIN, "\n");
	if (sum->orphans != 0)
		say_next(screen, "rm /dev/shm/NAME | ipcrm -m SHMID",
			"gives an orphan's memory back, for good");
	else
		say_next(screen, QUIRE_PROGRAM " maps PID", "the memory of one of the users");
}

static void put_segment(json_t *array, const struct segments *segments, const struct segment *s)
{
	json_t *object = json_add_object(array), *users;
	int orphan = shm_orphan(segments, s);

	json_put_text(object, "kind", kinds[s->kind]);
	json_put_name(object, "name", s->name);
	json_put_count(object, "size", s->size);
	if (s->resident == QUIRE_UNKNOWN)
		json_put_unknown(object, "resident", s->why);
	else
		json_put_count(object, "resident", s->resident);
	json_put_count(object, "owner", s->owner);
	json_put_count(object, "mode", s->mode);
	if (orphan < 0)
		json_put_unknown(object, "orphan", "some processes cannot be looked into by this user");
	else
		json_put_bool(object, "orphan", orphan > 0);
	users = json_put_array(object, "users");
	for (size_t i = 0; i < s->user_count; i++) {
		json_t *user = json_add_object(users);

		json_put_count(user, "pid", (uint64_t)s->users[i].pid);
		json_put_text(user, "name", s->users[i].name);
		json_put_count(user, "mapped", s->users[i].mapped);
	}
}

static void put(struct call *call, const struct segments *segments, const struct shm_sum *sum)
{
	const struct shm_settings *settings = call->settings;
	json_t *document = json_document("shm");
	json_t *array = json_put_array(document, "segments");

	for (size_t i = 0; i < segments->count; i++)
		if (!settings->orphans || shm_orphan(segments, &segments->all[i]) != 0)
			put_segment(array, segments, &segments->all[i]);
	json_put_count(document, "resident", sum->resident);
	json_put_count(document, "orphans", sum->orphans);
	json_put_count(document, "orphaned", sum->orphaned);
	json_put_count(document, "processes_hidden", segments->hidden);
	json_print(call, document);
}

static enum status run_shm(struct call *call)
{
	struct segments segments;
	struct shm_sum sum;

	shm_gather(&segments);
	if (segments.count != 0)
		qsort(segments.all, segments.count, sizeof(*segments.all), compare);
	sum = sum_of(&segments);
	if (call->json)
		put(call, &segments, &sum);
	else
		show(call, &segments, &sum);
	shm_done(&segments);
	return sum.unknown || segments.hidden != 0 ? STATUS_FORBIDDEN : STATUS_OK;
}

static const struct verb_option options[] = {
	{ "orphans", 'o', OPTION_FLAG, offsetof(struct shm_settings, orphans), NULL, "only what nobody uses",
		NULL },
	{ 0 },
};

static const char *const description[] = {
	"Lists the memory that processes can share: POSIX segments (/dev/shm), memfds, System V segments and files of "
	"hugetlbfs; how large each is and how much of it is in memory, its owner, and which processes map it or hold it "
	"open. What nobody uses any more is an orphan: its memory is gone until somebody removes it.",
	"Processes of other users are hidden from an ordinary user; then it is not known who is an orphan, and the exit "
	"status is 4.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " shm", "all shared memory and its users" },
	{ QUIRE_PROGRAM " shm --orphans", "what nobody uses" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FORBIDDEN, "some processes cannot be looked into by this user" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-maps(1)", "shm_overview(7)", "memfd_create(2)", "sysvipc(7)",
	NULL };

const struct verb verb_shm = {
	.name = "shm",
	.summary = "shared memory, who uses it, and what nobody uses any more",
	.usage = "",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.settings_bytes = sizeof(struct shm_settings),
	.run = run_shm,
};
