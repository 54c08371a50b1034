/* SPDX-License-Identifier: Apache-2.0 */
/* verb-features.c - quire features: what this kernel, this user and this filesystem allow. */
#include <quire/quire.h>

#include "json.h"
#include "verbs.h"

static bool next_feature(unsigned int index, const char *path, struct quire_feature *feature, int *error)
{
	int r;

	*feature = (struct quire_feature){ .size = sizeof(*feature) };
	r = quire_features(index, path, feature);
	*error = r < 0 ? r : 0;
	return r > 0;
}

static void put_feature(json_t *array, const struct quire_feature *feature)
{
	json_t *object = json_add_object(array);

	json_put_text(object, "name", feature->name);
	if (feature->available < 0)
		json_put_unknown(object, "available", feature->why);
	else
		json_put_bool(object, "available", feature->available != 0);
	json_put_count(object, "errno", (uint64_t)-feature->error);
	json_put_text(object, "what", feature->what);
	json_put_text(object, "why", feature->why[0] != '\0' ? feature->why : NULL);
	json_put_text(object, "since", feature->since[0] != '\0' ? feature->since : NULL);
}

static enum status print_json(struct call *call, const char *path)
{
	json_t *document = json_document("features");
	json_t *array;
	struct quire_feature feature;
	int error = 0;

	if (path != NULL)
		json_put_name(document, "path", path);
	array = json_put_array(document, "features");
	for (unsigned int i = 0; next_feature(i, path, &feature, &error); i++)
		put_feature(array, &feature);
	if (error != 0) {
		json_decref(document);
		return fail(status_of(error), "%s", quire_error_text());
	}
	json_print(call, document);
	return STATUS_OK;
}

struct tally {
	unsigned int all;
	unsigned int yes;
	unsigned int unknown;
};

static int count_features(const char *path, struct tally *tally)
{
	struct quire_feature feature;
	int error = 0;

	for (unsigned int i = 0; next_feature(i, path, &feature, &error); i++) {
		tally->all++;
		tally->yes += feature.available > 0;
		tally->unknown += feature.available < 0;
	}
	return error;
}

static void print_table(struct screen *screen, const char *path)
{
	static const struct column columns[] = {
		{ "FEATURE", COLUMN_LEFT },
		{ "HERE", COLUMN_LEFT },
		{ "SINCE", COLUMN_LEFT },
		{ "WHAT FOR", COLUMN_WRAP },
	};
	struct table *table = table_new(screen, columns, 4);
	struct quire_feature feature;
	int error;

	for (unsigned int i = 0; next_feature(i, path, &feature, &error); i++) {
		table_cell(table, INK_PLAIN, "%s", feature.name);
		if (feature.available > 0)
			table_cell(table, INK_GOOD, "yes");
		else
			table_cell(table, INK_PROBLEM, "%s", feature.available == 0 ? "no" : "?");
		table_cell(table, INK_FAINT, "%s", feature.since);
		table_cell(table, INK_PLAIN, "%s", feature.what);
	}
	table_print(table);
}

static void print_reasons(struct screen *screen, const char *path)
{
	struct quire_feature feature;
	int error;

	for (unsigned int i = 0; next_feature(i, path, &feature, &error); i++) {
		if (feature.available > 0)
			continue;
		say_item(screen, INK_PROBLEM, feature.available == 0 ? "  no  " : "  ?   ", INK_PLAIN,
			"%s: %s", feature.name, feature.why);
	}
}

static enum status run_features(struct call *call)
{
	const char *path = call->operand_count > 0 ? call->operands[0] : NULL;
	struct screen *screen = &call->screen;
	struct tally tally = { 0 };
	int error;

	if (call->json)
		return print_json(call, path);
	error = count_features(path, &tally);
	if (error != 0)
		return fail(status_of(error), "%s", quire_error_text());
	say_paragraph(screen, INK_STRONG, 0, "%u of %u features are available%s%s.", tally.yes, tally.all,
		path != NULL ? " for this user on the filesystem of " : " to this user on this kernel",
		path != NULL ? text_name(path).s : "");
	say(screen, INK_PLAIN, "\n");
	print_table(screen, path);
	if (tally.yes < tally.all) {
		say(screen, INK_STRONG, "\nWhy not, and what to do about it\n");
		print_reasons(screen, path);
	}
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "ask a filesystem too: DAX, holes, direct I/O", QUIRE_PROGRAM " features PATH");
	return STATUS_OK;
}

static const char *const description[] = {
	"Asks the kernel, by harmless real system calls, for everything that Quire can use, and prints what it answered: "
	"what is available to this user here, and for each no the reason and what can be done about it.",
	"With PATH, the filesystem on which that file or directory lies is asked too.",
	"The environment variable QUIRE_MASK=6.1 hides what came after that kernel version.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " features", "what this kernel allows this user" },
	{ QUIRE_PROGRAM " features --json /srv/db",
		"the same for a program, with the filesystem of /srv/db" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FORBIDDEN, "PATH may not be opened" },
	{ STATUS_NOT_FOUND, "there is no PATH" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire(1)", "quire_features(3)", NULL };

const struct verb verb_features = {
	.name = "features",
	.summary = "what this kernel, user and filesystem allow, and why not",
	.usage = "[PATH]",
	.description = description,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_max = 1,
	.run = run_features,
};
