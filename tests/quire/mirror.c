/* SPDX-License-Identifier: Apache-2.0 */
/* mirror.c - the smallest FUSE filesystem that has a page cache: shows the files of one folder, for reading. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *source;

static int look(const char *path, struct stat *about, struct fuse_file_info *info)
{
	char real[4096];

	(void)info;
	snprintf(real, sizeof(real), "%s%s", source, path);
	return lstat(real, about) == 0 ? 0 : -errno;
}

static int open_file(const char *path, struct fuse_file_info *info)
{
	char real[4096];
	int fd;

	snprintf(real, sizeof(real), "%s%s", source, path);
	fd = open(real, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	info->fh = (uint64_t)fd;
	info->keep_cache = 1;
	return 0;
}

static int read_file(const char *path, char *to, size_t bytes, off_t offset, struct fuse_file_info *info)
{
	const char *hold = getenv("MIRROR_HOLD");
	ssize_t n = pread((int)info->fh, to, bytes, offset);

	(void)path;
	/* While this file is there, nothing arrives: what is read is in flight. */
	while (hold != NULL && access(hold, F_OK) == 0)
		usleep(10000);
	return n < 0 ? -errno : (int)n;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations operations = {
		.getattr = look, .open = open_file, .read = read_file
	};

	/* mirror OPTIONS SOURCE WHERE */
	source = argv[argc - 2];
	argv[argc - 2] = argv[argc - 1];
	argv[argc - 1] = NULL;
	return fuse_main(argc - 1, argv, &operations, NULL);
}
