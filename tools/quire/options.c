/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - one adapter from the verbs' tables to argp: no verb parses anything by itself. */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const color_words[] = { "auto", "always", "never", NULL };

const struct verb_option verb_options_common[] = {
	{ "json", 0, OPTION_FLAG, offsetof(struct common_settings, json), NULL,
		"print one JSON document; where there is no answer, one that says why", NULL },
	{ "ascii", 0, OPTION_FLAG, offsetof(struct common_settings, ascii), NULL,
		"draw with ASCII characters alone", NULL },
	{ "color", 0, OPTION_CHOICE, offsetof(struct common_settings, color), "WHEN",
		"auto, always or never; auto means on a terminal, unless NO_COLOR is set", color_words },
	{ "no-color", 0, OPTION_FLAG, offsetof(struct common_settings, no_color), NULL,
		"the same as --color=never", NULL },
	{ "progress", 0, OPTION_FLAG, offsetof(struct common_settings, progress), NULL,
		"show progress on stderr even when that is no terminal", NULL },
	{ "no-progress", 0, OPTION_FLAG, offsetof(struct common_settings, no_progress), NULL,
		"never show progress", NULL },
	{ 0 },
};

/** One command line while argp walks it. */
struct parse {
	struct call *call;
	void *settings;
	struct common_settings *common;
	char **operands;
};

/* Keys of argp: COMMON + i and OWN + i; above every letter. */
enum { COMMON = 0x1000, OWN = 0x2000 };

static size_t count_options(const struct verb_option *options)
{
	size_t count = 0;

	while (options != NULL && options[count].name != NULL)
		count++;
	return count;
}

/* argp wants one key for long and short form: the letter where there is one. */
static int key_of(const struct verb_option *option, int base, size_t index)
{
	return option->letter != 0 ? option->letter : base + (int)index;
}

static uint64_t number(const char *text, const char **rest)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	*rest = end;
	if (text[0] < '0' || text[0] > '9' || errno != 0 || value > INT64_MAX) /* what JSON can say of it */
		*rest = "not a number";
	return value;
}

/* K, M, G, T, with or without B or iB behind; 0 when it is none of them. */
static uint64_t unit(const char *text)
{
	static const char letters[] = "KMGT";
	const char *at = text[0] != '\0' ? strchr(letters, text[0] & ~0x20) : NULL;
	const char *tail = at != NULL ? text + 1 : text;

	if (*tail != '\0' && strcmp(tail, "B") != 0 && (at == NULL || strcmp(tail, "iB") != 0))
		return 0;
	return at != NULL ? (uint64_t)1 << (10 * (at - letters + 1)) : 1;
}

static bool read_count(uint64_t *value, const char *text)
{
	const char *rest;

	*value = number(text, &rest);
	return *rest == '\0';
}

static bool read_size(uint64_t *value, const char *text)
{
	const char *rest;
	uint64_t count = number(text, &rest);
	uint64_t factor = unit(rest);

	return factor != 0 && !__builtin_mul_overflow(count, factor, value) && *value <= INT64_MAX;
}

static bool read_choice(unsigned int *value, const struct verb_option *option, const char *text)
{
	for (unsigned int i = 0; option->choices[i] != NULL; i++) {
		if (strcmp(option->choices[i], text) == 0) {
			*value = i;
			return true;
		}
	}
	return false;
}

static bool read_word(struct option_list *list, const char *text)
{
	const char **words = realloc(list->words, (list->count + 1) * sizeof(*words));

	if (words == NULL)
		return false;
	words[list->count] = text;
	*list = (struct option_list){ .words = words, .count = list->count + 1 };
	return true;
}

static bool read_value(const struct verb_option *option, void *settings, const char *text)
{
	void *field = (char *)settings + option->at;

	switch (option->type) {
	case OPTION_FLAG: *(bool *)field = true; return true;
	case OPTION_UNFLAG: *(bool *)field = false; return true;
	case OPTION_TEXT: *(const char **)field = text; return true;
	case OPTION_COUNT: return read_count(field, text);
	case OPTION_SIZE: return read_size(field, text);
	case OPTION_CHOICE: return read_choice(field, option, text);
	case OPTION_LIST: return read_word(field, text);
	default: return false;
	}
}

static void refuse_value(struct argp_state *state, const struct verb_option *option, const char *text)
{
	if (option->type != OPTION_CHOICE) {
		argp_error(state, "--%s: '%s' is no %s", option->name, text_name(text).s,
			option->type == OPTION_SIZE ? "size (a number, then K, M, G or T)" : "number");
		return;
	}
	fprintf(state->err_stream, QUIRE_PROGRAM ": --%s: '%s' is none of:", option->name, text_name(text).s);
	for (size_t i = 0; option->choices[i] != NULL; i++)
		fprintf(state->err_stream, " %s", option->choices[i]);
	fputc('\n', state->err_stream);
	exit(STATUS_USAGE);
}

/* The option with this key, and where its field is. */
static const struct verb_option *option_find(const struct parse *parse, int key, void **settings)
{
	const struct verb_option *own = parse->call->verb->options;

	*settings = parse->settings;
	for (size_t i = 0; i < count_options(own); i++)
		if (key_of(&own[i], OWN, i) == key)
			return &own[i];
	*settings = parse->common;
	for (size_t i = 0; i < count_options(verb_options_common); i++)
		if (key_of(&verb_options_common[i], COMMON, i) == key)
			return &verb_options_common[i];
	return NULL;
}

static void check_operands(struct argp_state *state, const struct verb *verb, unsigned int count)
{
	bool any = verb->operands_max == 0 && verb->operands_min != 0;

	if (count < verb->operands_min)
		argp_error(state, "%s is missing", verb->usage);
	if (!any && count > verb->operands_max)
		argp_error(state, "'%s' is one argument too many", text_name(state->argv[state->argc - 1]).s);
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;
	const struct verb_option *option;
	void *settings;

	switch (key) {
	case ARGP_KEY_ARG: parse->operands[parse->call->operand_count++] = arg; return 0;
	case ARGP_KEY_END: check_operands(state, parse->call->verb, parse->call->operand_count); return 0;
	default: break;
	}
	option = option_find(parse, key, &settings);
	if (option == NULL)
		return ARGP_ERR_UNKNOWN;
	if (!read_value(option, settings, arg))
		refuse_value(state, option, arg);
	return 0;
}

static size_t append(struct argp_option *to, const struct verb_option *from, int base, int group)
{
	size_t count = count_options(from);

	for (size_t i = 0; i < count; i++) {
		to[i] = (struct argp_option){
			.name = from[i].name,
			.key = key_of(&from[i], base, i),
			.arg = from[i].arg,
			.doc = from[i].help,
			.group = group,
		};
	}
	return count;
}

static struct argp_option *argp_options(const struct verb *verb)
{
	size_t count = count_options(verb->options) + count_options(verb_options_common);
	struct argp_option *options = calloc(count + 1, sizeof(*options));

	if (options != NULL)
		append(options + append(options, verb->options, OWN, 1), verb_options_common, COMMON, 2);
	return options;
}

/* The text around the options: summary and paragraphs before, examples and exit codes behind (after a \v). */
static char *argp_text(const struct verb *verb)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	if (to == NULL)
		return NULL;
	fprintf(to, "%s\n", verb->summary);
	for (size_t i = 0; verb->description != NULL && verb->description[i] != NULL; i++)
		fprintf(to, "\n%s\n", verb->description[i]);
	fputc('\v', to);
	for (size_t i = 0; verb->examples != NULL && verb->examples[i].command != NULL; i++)
		fprintf(to, "%s  %s\n        %s\n", i == 0 ? "Examples:\n" : "", verb->examples[i].command,
			verb->examples[i].what);
	fputs("\nExit status:\n  0 answered in full, 1 system error, 64 usage", to);
	for (size_t i = 0; verb->exits != NULL && verb->exits[i].what != NULL; i++)
		fprintf(to, "\n  %d %s", (int)verb->exits[i].code, verb->exits[i].what);
	fclose(to);
	return text;
}

static void *must(void *memory)
{
	if (memory == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	return memory;
}

static void run_argp(struct parse *parse, int argc, char **argv)
{
	const struct verb *verb = parse->call->verb;
	struct argp_option *options = must(argp_options(verb));
	char *text = must(argp_text(verb));
	struct argp argp = { .options = options, .parser = on_option, .args_doc = verb->usage, .doc = text };
	char name[64];

	snprintf(name, sizeof(name), QUIRE_PROGRAM " %s", verb->name);
	argv[0] = name;
	argp_err_exit_status = STATUS_USAGE;
	if (argp_parse(&argp, argc, argv, 0, NULL, parse) != 0)
		exit(STATUS_USAGE);
	argv[0] = NULL; /* name is about to go */
	free(options);
	free(text);
}

void options_read(struct call *call, struct common_settings *common, int argc, char **argv)
{
	size_t bytes = call->verb->settings_bytes;
	struct parse parse = {
		.call = call,
		.settings = must(calloc(1, bytes + 1)),
		.common = common,
		.operands = must(calloc((size_t)argc + 1, sizeof(char *))),
	};

	if (call->verb->defaults != NULL)
		memcpy(parse.settings, call->verb->defaults, bytes);
	run_argp(&parse, argc, argv);
	call->settings = parse.settings;
	call->operands = parse.operands;
}

void options_free(struct call *call)
{
	const struct verb_option *options = call->verb->options;
	void *settings = (void *)(uintptr_t)call->settings; /* ours to free, the verb's to read */

	for (size_t i = 0; i < count_options(options); i++)
		if (options[i].type == OPTION_LIST)
			free(((struct option_list *)(void *)((char *)settings + options[i].at))->words);
	free(settings);
	free(call->operands);
}

void options_help(const struct verb *verb)
{
	char verb_name[] = "", help[] = "--help";
	char *argv[] = { verb_name, help, NULL };
	struct call call = { .verb = verb };
	struct common_settings common = { 0 };

	options_read(&call, &common, 2, argv); /* prints and ends the program */
}
