/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - finds the verb, reads its options, runs it, and makes sure that what it printed arrived. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "dump.h"
#include "json.h"
#include "options.h"
#include "overview.h"
#include "progress.h"

/* A reader that went away (quire tour | head) ends us as it ends every filter: by SIGPIPE, silently. */
static void die_of_pipe(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
	_exit(STATUS_SYSTEM);
}

/* Runs at exit: output that did not arrive is an error, however well everything else went. */
static void close_output(void)
{
	bool failed = ferror(stdout) != 0;

	errno = 0;
	if (fclose(stdout) == 0 && !failed)
		return;
	if (errno == EPIPE)
		die_of_pipe();
	fprintf(stderr, QUIRE_PROGRAM ": cannot write the output: %s\n",
		errno != 0 ? strerror(errno) : "write error");
	_exit(STATUS_SYSTEM);
}

/* Started with stdout closed, the first file we open would become it, and be written to. What is closed is an error to use,
 * and stays one: descriptor 0 cannot be read then, nor the others be written to. */
static void occupy_standard_files(void)
{
	int fd = STDIN_FILENO;

	if (fcntl(STDIN_FILENO, F_GETFD) < 0)
		fd = open("/dev/null", O_WRONLY);
	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDONLY);
	if (fd >= 0)
		close(fd);
}

static enum status run_verb(const struct verb *verb, int argc, char **argv)
{
	struct common_settings common = { 0 };
	struct call call = { .verb = verb };
	enum status status;

	options_read(&call, &common, argc, argv);
	call.json = common.json;
	screen_open(
		&call.screen, stdout, common.no_color ? WHEN_NEVER : (enum when)common.color, common.ascii);
	progress_choose(common.no_progress ? -1 : common.progress ? 1 : 0, call.screen.unicode);
	status = verb->run(&call);
	if (call.json && !call.answered && status != STATUS_OK)
		json_print_error(&call, status);
	options_free(&call);
	return status;
}

/* What is no verb: --help, --version, nothing at all. */
static enum status run_bare(const char *word)
{
	struct call call = { .verb = NULL };

	screen_open(&call.screen, stdout, WHEN_AUTO, false);
	if (word == NULL) {
		screen_open(&call.screen, stderr, WHEN_AUTO, false);
		overview(&call.screen);
		return STATUS_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "-?") == 0)
		overview(&call.screen);
	else if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		printf(QUIRE_PROGRAM " %s\n", quire_version());
	else if (strcmp(word, "--dump-verbs") == 0)
		dump_verbs(&call);
	else
		return fail(STATUS_USAGE, "there is no option '%s' without a verb", text_name(word).s);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	const struct verb *verb;

	occupy_standard_files();
	setlocale(LC_CTYPE, ""); /* characters, yes; commas in numbers that scripts read, no */
	signal(SIGPIPE, SIG_DFL);
	atexit(close_output);
	if (argc < 2 || argv[1][0] == '-')
		return (int)run_bare(argv[1]);
	verb = verb_find(argv[1]);
	if (verb == NULL)
		return (int)unknown_verb(argv[1]);
	return (int)run_verb(verb, argc - 1, argv + 1);
}
