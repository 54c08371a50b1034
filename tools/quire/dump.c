/* SPDX-License-Identifier: Apache-2.0 */
#include "dump.h"

#include "json.h"

static void dump_texts(json_t *object, const char *name, const char *const *texts)
{
	json_t *array = json_put_array(object, name);

	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
		json_add_text(array, texts[i]);
}

static void dump_options(json_t *array, const struct verb_option *options)
{
	for (size_t i = 0; options != NULL && options[i].name != NULL; i++) {
		json_t *object = json_add_object(array);
		char letter[] = { (char)options[i].letter, '\0' };

		json_put_text(object, "long", options[i].name);
		json_put_text(object, "short", options[i].letter != 0 ? letter : NULL);
		json_put_text(object, "arg", options[i].arg);
		json_put_text(object, "help", options[i].help);
		if (options[i].choices != NULL)
			dump_texts(object, "choices", options[i].choices);
	}
}

static void dump_examples(json_t *array, const struct verb_example *examples)
{
	for (size_t i = 0; examples != NULL && examples[i].command != NULL; i++) {
		json_t *object = json_add_object(array);

		json_put_text(object, "cmd", examples[i].command);
		json_put_text(object, "what", examples[i].what);
	}
}

static void dump_exit(json_t *array, enum status code, const char *what)
{
	json_t *object = json_add_object(array);

	json_put_count(object, "code", code);
	json_put_text(object, "what", what);
}

static void dump_exits(json_t *array, const struct verb_exit *exits)
{
	dump_exit(array, STATUS_OK, "answered in full");
	dump_exit(array, STATUS_SYSTEM, "an error of the system, or an internal one");
	for (size_t i = 0; exits != NULL && exits[i].what != NULL; i++)
		dump_exit(array, exits[i].code, exits[i].what);
	dump_exit(array, STATUS_USAGE, "the command line makes no sense");
}

static void dump_verb(json_t *object, const struct verb *verb)
{
	json_t *options;
	char usage[256];

	snprintf(usage, sizeof(usage), QUIRE_PROGRAM " %s [OPTION...]%s%s", verb->name,
		verb->usage[0] != '\0' ? " " : "", verb->usage);
	json_put_text(object, "name", verb->name);
	json_put_text(object, "summary", verb->summary);
	json_put_text(object, "usage", usage);
	dump_texts(object, "description", verb->description);
	options = json_put_array(object, "options");
	dump_options(options, verb->options);
	dump_options(options, verb_options_common);
	dump_examples(json_put_array(object, "examples"), verb->examples);
	dump_exits(json_put_array(object, "exit"), verb->exits);
	dump_texts(object, "see_also", verb->see_also);
}

static const char *const description[] = {
	QUIRE_PROGRAM
	" shows and measures what the library does with memory mappings: each VERB is a tool of its own, with "
	"its own manual page.",
	"Every verb answers people first: a sentence, then a picture, then figures. With --json it answers programs, "
	"with one document whose schema is named in it and kept in docs/schema.",
	NULL,
};

static const struct verb_option options[] = {
	{ "help", 0, OPTION_FLAG, 0, NULL, "list the verbs", NULL },
	{ "version", 0, OPTION_FLAG, 0, NULL, "print the version of the library that is running", NULL },
	{ 0 },
};

void dump_verbs(struct call *call)
{
	json_t *document = json_object();
	json_t *array;
	const struct verb *verb;

	json_put_text(document, "summary", "memory mapping as one complete system");
	dump_texts(document, "description", description);
	dump_options(json_put_array(document, "options"), options);
	array = json_put_array(document, "verbs");
	for (unsigned int i = 0; (verb = verb_at(i)) != NULL; i++)
		if (!verb->hidden)
			dump_verb(json_add_object(array), verb);
	json_print(call, document);
}
