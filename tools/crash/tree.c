/* SPDX-License-Identifier: Apache-2.0 */
/* tree.c - directories that come and go. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "crash.h"

bool crash_scratch(char path[64])
{
	static const char *const places[] = { "/dev/shm", "/tmp" };
	const char *chosen = getenv("CRASH_SCRATCH");

	for (size_t i = 0; i < 3; i++) {
		const char *place = i == 0 ? chosen : places[i - 1];

		if (place && snprintf(path, 64, "%s/crash-XXXXXX", place) < 64 && mkdtemp(path))
			return true;
	}
	return false;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *walk)
{
	(void)s;
	(void)type;
	(void)walk;
	return remove(path);
}

void crash_remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
