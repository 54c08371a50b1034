/* SPDX-License-Identifier: Apache-2.0 */
/* scratch.c - records one run of a workload, in a child and in a directory of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"
#include "record.h"

enum { RUN_SECONDS = 60 };
enum {
	GAVE_UP = 120
}; /* exit status: run() returned an error, which is its right when a fault was injected */

static uint64_t round_number;

uint64_t crash_round(void)
{
	return round_number;
}

void crash_set_round(uint64_t number);
void crash_set_round(uint64_t number)
{
	round_number = number;
}

static void record_child(
	const struct crash_workload *w, const char *dir, const char *log_path, const char *fault)
{
	int r = rec_begin(dir, log_path, fault);

	/* A run that never ends is found by its log (LOG_BYTES_MAX), or by the clock. */
	(void)alarm(RUN_SECONDS);
	if (r < 0)
		_exit(GAVE_UP + 1);
	r = w->run(w->arg, dir);
	rec_end();
	_exit(r < 0 ? GAVE_UP : r);
}

int crash_record(const struct crash_workload *w, const char *log_path, const char *scratch, const char *fault)
{
	char dir[128];
	int status;
	pid_t pid;

	(void)snprintf(dir, sizeof(dir), "%s/recorded", scratch);
	crash_remove_tree(dir);
	if (mkdir(dir, 0777) < 0)
		return -errno;
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		record_child(w, dir, log_path, fault);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	crash_remove_tree(dir);
	if (!WIFEXITED(status))
		return -EFAULT;
	if (WEXITSTATUS(status) == GAVE_UP)
		return -ECANCELED;
	return WEXITSTATUS(status) > GAVE_UP ? -EIO : WEXITSTATUS(status);
}
