/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs.h - what a verb of the command declares, and what it is handed when it runs.
 *
 * A verb is one file verb-NAME.c with one constant, verb_NAME, that says everything there is to know of it once: help,
 * manual page, completion and option parsing all come from there. An option names the field of the verb's own settings
 * struct in which its value shall lie, so no verb parses anything:
 *
 *	struct nap_settings { uint64_t seconds; bool snore; };
 *
 *	static const struct verb_option options[] = {
 *		{ "seconds", 's', OPTION_COUNT, offsetof(struct nap_settings, seconds), "N", "sleep for N seconds" },
 *		{ "snore", 0, OPTION_FLAG, offsetof(struct nap_settings, snore), NULL, "make a noise" },
 *		{ 0 },
 *	};
 *
 * The table of all verbs is in verbs.c.
 */
#ifndef QUIRE_TOOL_VERBS_H
#define QUIRE_TOOL_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "screen.h"

/** How the command ends; the same for every verb. */
enum status {
	STATUS_OK = 0,        /* answered in full */
	STATUS_SYSTEM = 1,    /* an internal error, or one of the system's */
	STATUS_FAILURE = 2,   /* a check found a failure */
	STATUS_PARTLY = 3,    /* partly done */
	STATUS_FORBIDDEN = 4, /* not permitted to know */
	STATUS_NOT_FOUND = 5, /* no such file or process */
	STATUS_PEER_DIED = 6, /* the process at the other end died */
	STATUS_USAGE = 64,    /* the command line makes no sense */
};

/** What kind of value an option takes, and so the type of its field. */
enum option_type {
	OPTION_FLAG,   /* bool: set to true */
	OPTION_UNFLAG, /* bool: set to false */
	OPTION_TEXT,   /* const char *: as written */
	OPTION_COUNT,  /* uint64_t: a decimal number */
	OPTION_SIZE,   /* uint64_t: a number of bytes; K, M, G and T are powers of 1024 */
	OPTION_CHOICE, /* unsigned int: index in choices */
	OPTION_LIST,   /* struct option_list: may be given again */
};

/** The words of an OPTION_LIST, in the order given; valid while the verb runs. */
struct option_list {
	const char **words;
	size_t count;
};

struct verb_option {
	const char *name; /* without the dashes; NULL ends the array */
	int letter;       /* its short form, or 0 */
	enum option_type type;
	size_t at;       /* offset of the field in the settings struct */
	const char *arg; /* what its value is called, NULL for flags */
	const char *help;
	const char *const *choices; /* OPTION_CHOICE: the words, ended by NULL */
};

struct verb_example {
	const char *command; /* NULL ends the array */
	const char *what;
};

struct verb_exit {
	enum status code;
	const char *what; /* NULL ends the array */
};

struct call;

/** One verb of the command. */
struct verb {
	const char *name;
	const char *summary;            /* one line, no full stop */
	const char *usage;              /* what comes after the options, e.g. "FILE..." */
	const char *const *description; /* paragraphs, ended by NULL */
	const struct verb_option *options;
	const struct verb_example *examples;
	const struct verb_exit *exits; /* besides 0, 1 and 64, which every verb has */
	const char *const *see_also;   /* e.g. "quire_map(3)", ended by NULL */
	unsigned int operands_min;
	unsigned int operands_max; /* 0: as many as there are, when operands_min is not 0; else none */
	bool hidden;               /* in no list of verbs */
	size_t settings_bytes;     /* size of its settings struct */
	const void *defaults;      /* what the settings are before the options are read; NULL: zeros */
	enum status (*run)(struct call *call);
};

/** What the command line said. */
struct call {
	const struct verb *verb;
	const void *settings; /* the verb's own struct */
	char **operands;
	unsigned int operand_count;
	bool json;
	bool answered;        /* a JSON document was printed */
	struct screen screen; /* stdout; of recv --json stderr, for stdout is what it receives */
};

const struct verb *verb_find(const char *name);

/* The verb whose name is nearest to a misspelt one; NULL when none is near. */
const struct verb *verb_guess(const char *name);

/* 0 for the first; NULL behind the last. */
const struct verb *verb_at(unsigned int index);

/* The options every verb has. */
extern const struct verb_option verb_options_common[];

/* "quire: ..." on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What the first of them said; NULL when there was none. */
const char *first_complaint(void);

/* The same, and hands the status through: return fail(STATUS_NOT_FOUND, "no such file: %s", path); */
enum status fail(enum status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The status that goes with a negative errno: not found, not permitted, or the system's. */
enum status status_of(int error);

#endif
