/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MAX = 8 };

static char directory[PATH_MAX];
static char files[FILES_MAX][PATH_MAX];
static volatile sig_atomic_t file_count;
static volatile sig_atomic_t open_now;

/* What ends a program from outside, and can be caught. */
static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

/* Also called in a signal handler: system calls alone. */
static void remove_all(void)
{
	open_now = 0;
	for (int i = 0; i < file_count; i++)
		(void)unlink(files[i]);
	(void)rmdir(directory);
}

/* Cleans up, then lets the signal do what it would have done. The children of a fork have nothing to clean. */
static void on_signal(int signal_number)
{
	static const char erase_line[] = "\r\033[K";

	if (isatty(STDERR_FILENO))
		(void)!write(STDERR_FILENO, erase_line, sizeof(erase_line) - 1);
	if (open_now != 0 && open_now == getpid())
		remove_all();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void catch_signals(void)
{
	for (int i = 0; i < SIGNALS; i++) {
		struct sigaction action = { .sa_handler = on_signal }, old;

		sigemptyset(&action.sa_mask);
		/* what nohup ignores shall stay ignored */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

int scratch_open(void)
{
	const char *parent = getenv("TMPDIR");
	int length;

	if (parent == NULL || parent[0] == '\0')
		parent = "/tmp";
	length = snprintf(directory, sizeof(directory), "%s/quire-XXXXXX", parent);
	if (length < 0 || (size_t)length >= sizeof(directory))
		return -ENAMETOOLONG;
	file_count = 0;
	catch_signals();
	if (mkdtemp(directory) == NULL)
		return -errno;
	open_now = getpid();
	return 0;
}

const char *scratch_directory(void)
{
	return directory;
}

const char *scratch_path(const char *name)
{
	char *path = files[file_count];
	int length;

	if (file_count == FILES_MAX)
		return NULL;
	length = snprintf(path, PATH_MAX, "%s/%s", directory, name);
	if (length < 0 || length >= PATH_MAX)
		return NULL;
	file_count = file_count + 1;
	return path;
}

void scratch_close(bool keep)
{
	if (open_now == getpid() && !keep)
		remove_all();
	open_now = 0;
	for (int i = 0; i < SIGNALS; i++)
		signal(signals[i], SIG_DFL);
}
