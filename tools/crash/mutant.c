/* SPDX-License-Identifier: Apache-2.0 */
/* mutant.c - which planted mistake is alive (src/base/mutant.h). */
#include <string.h>

#include "crash.h"

static const char *alive;

int mutant_is(const char *name);

int mutant_is(const char *name)
{
	return alive && strcmp(alive, name) == 0;
}

void crash_mutate(const char *name)
{
	alive = name;
}
