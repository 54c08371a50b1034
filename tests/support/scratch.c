/* SPDX-License-Identifier: Apache-2.0 */
#include "support/scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TURNS = 8 };

static char directory[64];

const char *scratch_make(void)
{
	(void)strcpy(directory, "scratch-XXXXXX");
	if (mkdtemp(directory) == NULL)
		(void)strcpy(directory, "/tmp/scratch-XXXXXX"), (void)mkdtemp(directory);
	return directory;
}

const char *scratch_path(const char *name)
{
	static char paths[TURNS][256];
	static unsigned int turn;
	char *path = paths[turn++ % TURNS];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

void scratch_remove(void)
{
	DIR *open = opendir(directory);
	const struct dirent *entry;

	while (open != NULL && (entry = readdir(open)) != NULL)
		if (entry->d_name[0] != '.')
			(void)unlink(scratch_path(entry->d_name));
	if (open != NULL)
		(void)closedir(open);
	(void)rmdir(directory);
}

int scratch_setup(void **state)
{
	(void)state;
	return scratch_make() == NULL;
}

int scratch_teardown(void **state)
{
	(void)state;
	scratch_remove();
	return 0;
}
