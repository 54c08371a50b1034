/* SPDX-License-Identifier: Apache-2.0 */
#include "resident.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quire/quire.h>

/* What Quire calls the memory in which pages of objects lie (docs/faults.md). */
static const char pages_file[] = "/memfd:quire-pages";

enum { BLOCK_BYTES = 512 }; /* of st_blocks, by definition */

static uint64_t in_memfds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t bytes = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		char target[64];
		struct stat st;
		ssize_t n = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);

		if (n < (ssize_t)strlen(pages_file) || strncmp(target, pages_file, strlen(pages_file)) != 0)
			continue;
		if (fstatat(dirfd(directory), entry->d_name, &st, 0) == 0)
			bytes += (uint64_t)st.st_blocks * BLOCK_BYTES;
	}
	if (directory != NULL)
		closedir(directory);
	return bytes;
}

uint64_t resident_now(void)
{
	struct quire_process process = { .size = sizeof(process) };

	if (quire_process_read(getpid(), 0, &process) < 0 || process.anonymous_bytes == QUIRE_UNKNOWN)
		return in_memfds();
	return process.anonymous_bytes + in_memfds();
}

uint64_t resident_beyond(uint64_t before, uint64_t *most)
{
	uint64_t now = resident_now();
	uint64_t beyond = now > before ? now - before : 0;

	*most = beyond > *most ? beyond : *most;
	return beyond;
}
