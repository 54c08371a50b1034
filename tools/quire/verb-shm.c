/* SPDX-License-Identifier: Apache-2.0 */
/* verb-shm.c - quire shm: shared memory, who owns it, who uses it, and what nobody uses any more. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include <quire/quire.h>

#include "file-view.h"

struct shm_settings {
	bool orphans;
};

/** A piece of shared memory and its users. */
struct shared {
	struct quire_segment s;
	struct quire_segment_user *users;
};

/** All of them. */
struct shared_list {
	struct shared *all;
	size_t count;
	struct quire_segments *segments; /* has their names */
};

static const char *const kinds[] = {
	[QUIRE_SEGMENT_POSIX] = "posix",
	[QUIRE_SEGMENT_MEMFD] = "memfd",
	[QUIRE_SEGMENT_SYSV] = "sysv",
	[QUIRE_SEGMENT_HUGETLBFS] = "hugetlbfs",
	[QUIRE_SEGMENT_ANONYMOUS] = "anon",
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
	const struct quire_segment *x = &((const struct shared *)a)->s, *y = &((const struct shared *)b)->s;
	uint64_t rx = x->resident_bytes == QUIRE_UNKNOWN ? 0 : x->resident_bytes,
		 ry = y->resident_bytes == QUIRE_UNKNOWN ? 0 : y->resident_bytes;

	if (rx != ry)
		return rx < ry ? 1 : -1;
	return strcmp(x->name, y->name);
}

static const char deleted[] = " (deleted)";

/* A POSIX segment that was unlinked while in use. */
static bool is_unlinked(const struct quire_segment *s)
{
	size_t length = strlen(s->name);

	return s->kind == QUIRE_SEGMENT_POSIX && length > strlen(deleted) &&
		strcmp(s->name + length - strlen(deleted), deleted) == 0;
}

/* The columns to the left of the names. */
enum { LEFT_OF_NAME = 40 };

/* For System V what ipcrm wants; the key stands in the JSON. */
static void show_name(const struct screen *screen, struct table *table, const struct quire_segment *s)
{
	struct shown_name name = text_name(s->name);

	if (is_unlinked(s) &&
		strlen(name.s) > strlen(deleted)) /* said among the users, for a cell has little room */
		name.s[strlen(name.s) - strlen(deleted)] = '\0';
	if (screen->terminal)
		(void)text_cut(name.s, screen->width > LEFT_OF_NAME + 20 ? screen->width - LEFT_OF_NAME : 20);
	if (s->kind == QUIRE_SEGMENT_SYSV)
		table_cell(table, INK_PLAIN, "shmid:%llu", (unsigned long long)s->inode);
	else
		table_cell(table, INK_PLAIN, "%s", s->kind == QUIRE_SEGMENT_ANONYMOUS ? "-" : name.s);
}

static void show_users(struct table *table, const struct shared *shared)
{
	const struct quire_segment *s = &shared->s;
	char text[400];
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < s->users && i < 4 && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d %s%s", i == 0 ? "" : ", ",
			shared->users[i].pid, text_name(shared->users[i].name).s,
			shared->users[i].mapped_bytes == 0 ? " (open)" : "");
	if (s->users > 4 && used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, " and %s more", text_count(s->users - 4).s);
	used = strlen(text);
	if (is_unlinked(s))
		snprintf(text + used, sizeof(text) - used, "; unlinked");
	if (s->users == 0)
		snprintf(text, sizeof(text), "%s",
			s->orphan > 0           ? "nobody: orphan"
				: s->orphan < 0 ? "?"
						: "a hidden process");
	table_cell(table, s->orphan > 0 ? INK_PROBLEM : INK_PLAIN, "%s", text);
}

/** What is said about all of them. */
struct shm_sum {
	uint64_t count;
	uint64_t resident;
	uint64_t orphans;
	uint64_t orphaned;
	bool unknown;
};

static struct shm_sum sum_of(const struct shared_list *list)
{
	struct shm_sum sum = { .count = list->count };

	for (size_t i = 0; i < list->count; i++) {
		const struct quire_segment *s = &list->all[i].s;
		uint64_t resident = s->resident_bytes == QUIRE_UNKNOWN ? 0 : s->resident_bytes;

		sum.resident += resident;
		sum.unknown |= s->resident_bytes == QUIRE_UNKNOWN || s->orphan < 0;
		if (s->orphan > 0) {
			sum.orphans++;
			sum.orphaned += resident;
		}
	}
	return sum;
}

static void show(struct call *call, const struct shared_list *list, const struct shm_sum *sum)
{
	static const struct column columns[] = { { "KIND", COLUMN_LEFT }, { "SIZE", COLUMN_RIGHT },
		{ "IN RAM", COLUMN_RIGHT }, { "OWNER", COLUMN_LEFT }, { "NAME", COLUMN_NAME },
		{ "USED BY", COLUMN_WRAP } };
	const struct shm_settings *settings = call->settings;
	uint64_t hidden = quire_segments_hidden(list->segments);
	struct screen *screen = &call->screen;
	struct table *table;

	say_paragraph(screen, INK_STRONG, 0, "%s shared %s %s of memory; %s of them (%s) %s used by nobody.",
		text_count(sum->count).s, sum->count == 1 ? "segment holds" : "segments hold",
		text_bytes(sum->resident).s, text_count(sum->orphans).s, text_bytes(sum->orphaned).s,
		sum->orphans == 1 ? "is" : "are");
	say(screen, INK_PLAIN, "\n");
	table = table_new(screen, columns, 6);
	for (size_t i = 0; i < list->count; i++) {
		const struct quire_segment *s = &list->all[i].s;

		if (settings->orphans && s->orphan == 0)
			continue;
		table_cell(table, INK_PLAIN, "%s", kinds[s->kind]);
		table_cell(table, INK_PLAIN, "%s", text_bytes(s->length_bytes).s);
		table_cell(table, INK_PRESENT, "%s",
			s->resident_bytes == QUIRE_UNKNOWN ? "?" : text_bytes(s->resident_bytes).s);
		table_cell(table, INK_PLAIN, "%s", owner_of(s->owner).s);
		show_name(screen, table, s);
		show_users(table, &list->all[i]);
	}
	table_print(table);
	if (hidden != 0)
		say_paragraph(screen, INK_FAINT, 2,
			"? %s %s cannot be looked into by this user: segments without a name may be missing here, "
			"and those that seem unused may be in use.",
			text_count(hidden).s, hidden == 1 ? "process" : "processes");
	say(screen, INK_PLAIN, "\n");
	if (sum->orphans != 0)
		say_next(screen, "gives an orphan's memory back, for good",
			"rm /dev/shm/NAME, or ipcrm -m SHMID");
	else
		say_next(screen, "the memory of one of the users", QUIRE_PROGRAM " maps PID");
}

static void put_segment(json_t *array, const struct shared *shared)
{
	const struct quire_segment *s = &shared->s;
	json_t *object = json_add_object(array), *users;

	json_put_text(object, "kind", kinds[s->kind]);
	json_put_name(object, "name", s->name);
	json_put_count(object, "size", s->length_bytes);
	if (s->resident_bytes == QUIRE_UNKNOWN)
		json_put_unknown(object, "resident", s->why);
	else
		json_put_count(object, "resident", s->resident_bytes);
	json_put_count(object, "owner", s->owner);
	json_put_count(object, "mode", s->mode);
	if (s->orphan < 0)
		json_put_unknown(object, "orphan", "some processes cannot be looked into by this user");
	else
		json_put_bool(object, "orphan", s->orphan > 0);
	users = json_put_array(object, "users");
	for (size_t i = 0; i < s->users; i++) {
		json_t *user = json_add_object(users);

		json_put_count(user, "pid", (uint64_t)shared->users[i].pid);
		json_put_text(user, "name", shared->users[i].name);
		json_put_count(user, "mapped", shared->users[i].mapped_bytes);
	}
}

static void put(struct call *call, const struct shared_list *list, const struct shm_sum *sum)
{
	const struct shm_settings *settings = call->settings;
	json_t *document = json_document("shm");
	json_t *array = json_put_array(document, "segments");

	for (size_t i = 0; i < list->count; i++)
		if (!settings->orphans || list->all[i].s.orphan != 0)
			put_segment(array, &list->all[i]);
	json_put_count(document, "resident", sum->resident);
	json_put_count(document, "orphans", sum->orphans);
	json_put_count(document, "orphaned", sum->orphaned);
	json_put_count(document, "processes_hidden", quire_segments_hidden(list->segments));
	json_print(call, document);
}

/* 0, or a negative errno. */
static int gather(struct shared_list *list)
{
	struct quire_segment segment = { .size = sizeof(segment) };
	int r = quire_segments_open(&list->segments);

	while (r == 0 && quire_segments_next(list->segments, &segment) == 1) {
		struct quire_segment_user user = { .size = sizeof(user) };
		struct shared *new;
		size_t n = 0;

		if ((list->count & (list->count - 1)) == 0)
			list->all = allocate(
				list->all, list->count == 0 ? 1 : list->count * 2, sizeof(*list->all));
		new = &list->all[list->count++];
		*new = (struct shared){ .s = segment,
			.users = allocate(NULL, segment.users + 1, sizeof(user)) };
		while (quire_segments_user(list->segments, &user) == 1)
			new->users[n++] = user;
	}
	if (list->count != 0)
		qsort(list->all, list->count, sizeof(*list->all), compare);
	return r;
}

static void done(struct shared_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->all[i].users);
	free(list->all);
	quire_segments_close(list->segments);
}

static enum status run_shm(struct call *call)
{
	struct shared_list list = { .count = 0 };
	struct shm_sum sum;
	enum status status;
	int r = gather(&list);

	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	sum = sum_of(&list);
	if (call->json)
		put(call, &list, &sum);
	else
		show(call, &list, &sum);
	status = sum.unknown || quire_segments_hidden(list.segments) != 0 ? STATUS_FORBIDDEN : STATUS_OK;
	done(&list);
	return status;
}

static const struct verb_option options[] = {
	{ "orphans", 'o', OPTION_FLAG, offsetof(struct shm_settings, orphans), NULL, "only what nobody uses",
		NULL },
	{ 0 },
};

static const char *const description[] = {
	"Lists the memory that processes can share: POSIX segments (/dev/shm), memfds, System V segments, files of "
	"hugetlbfs, and shared memory without a file (anon); how large each is and how much of it is in memory, its owner, and which processes map it or hold it "
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

static const char *const see_also[] = { "quire-maps(1)", "quire_segments_open(3)", "shm_overview(7)",
	"memfd_create(2)", "sysvipc(7)", NULL };

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
