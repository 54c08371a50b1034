/* SPDX-License-Identifier: Apache-2.0 */
/* verb-help.c - quire help: all verbs, or one. */
#include <quire/quire.h>

#include "options.h"
#include "overview.h"

void overview(struct screen *screen)
{
	const struct verb *verb;

	char title[64], mark[64];

	snprintf(title, sizeof(title), QUIRE_PROGRAM " %s - ", quire_version());
	say_item(screen, INK_STRONG, title, INK_PLAIN, "memory-mapped files you can trust in production");
	say(screen, INK_PLAIN, "\n");
	for (unsigned int i = 0; (verb = verb_at(i)) != NULL; i++) {
		if (verb->hidden)
			continue;
		snprintf(mark, sizeof(mark), "  " QUIRE_PROGRAM " %-10s ", verb->name);
		say_item(screen, INK_STRONG, mark, INK_PLAIN, "%s", verb->summary);
	}
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "options and examples of one verb", QUIRE_PROGRAM " help VERB");
	say_next(screen, "see it work on the files of this machine", QUIRE_PROGRAM " tour");
}

enum status unknown_verb(const char *name)
{
	const struct verb *guess = verb_guess(name);

	if (guess != NULL)
		return fail(STATUS_USAGE, "there is no verb '%s'; did you mean '%s'?", text_name(name).s,
			guess->name);
	return fail(STATUS_USAGE, "there is no verb '%s'; '" QUIRE_PROGRAM " help' lists them",
		text_name(name).s);
}

static enum status run_help(struct call *call)
{
	const struct verb *verb;

	if (call->operand_count == 0) {
		overview(&call->screen);
		return STATUS_OK;
	}
	verb = verb_find(call->operands[0]);
	if (verb == NULL)
		return unknown_verb(call->operands[0]);
	options_help(verb);
	return STATUS_OK;
}

static const char *const description[] = {
	"Without VERB, lists all verbs with one line each. With VERB, says what it does, its options, examples and exit "
	"codes: the same text as '" QUIRE_PROGRAM " VERB --help'.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " help sum", "what the verb sum can do" },
	{ NULL, NULL },
};

static const char *const see_also[] = { "quire(1)", NULL };

const struct verb verb_help = {
	.name = "help",
	.summary = "say what the verbs do",
	.usage = "[VERB]",
	.description = description,
	.examples = examples,
	.see_also = see_also,
	.operands_max = 1,
	.run = run_help,
};
