/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - reads a command line by what a verb declares, through glibc's argp. */
#ifndef QUIRE_TOOL_OPTIONS_H
#define QUIRE_TOOL_OPTIONS_H

#include "verbs.h"

/** What every verb can be told. */
struct common_settings {
	bool json;
	bool ascii;
	unsigned int color; /* enum when */
	bool no_color;
	bool progress;
	bool no_progress;
};

/* Fills call->settings, ->operands and *common; argv[0] is the verb. A command line that makes no sense ends the
 * program with STATUS_USAGE, --help ends it with STATUS_OK. */
void options_read(struct call *call, struct common_settings *common, int argc, char **argv);

/* Gives back what options_read() allocated. */
void options_free(struct call *call);

/* What --help prints. */
void options_help(const struct verb *verb);

#endif
