/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

int process_number(const char *text)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (text[0] < '1' || text[0] > '9' || *end != '\0' || errno != 0 || n > INT_MAX)
		return 0;
	return (int)n;
}

void say_no_mappings(struct screen *screen, const struct quire_process *process)
{
	say_paragraph(screen, INK_STRONG, 0,
		"Process %d (%s) has no mappings: it is a kernel thread, or ending.", process->pid,
		text_name(process->name).s);
}
