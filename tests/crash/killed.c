/* SPDX-License-Identifier: Apache-2.0 */
#include "crash/killed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One write: a line cut in half would be a promise nobody can read. */
void say(const char *what, uint64_t commit)
{
	char line[48];
	int n = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", what, commit);

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(1);
}

int main(int argc, char **argv)
{
	struct crash_history h = { .note_count = 0 };

	if (argc == 3 && strcmp(argv[1], "run") == 0)
		return victim_run(argv[2]) < 0;
	if (argc == 5 && strcmp(argv[1], "check") == 0) {
		h.acked = strtoull(argv[3], NULL, 10);
		h.begun = strtoull(argv[4], NULL, 10);
		return victim_check(argv[2], &h);
	}
	(void)fprintf(stderr, "usage: %s run DIR | check DIR ACKED BEGUN\n", argv[0]);
	return 64;
}
