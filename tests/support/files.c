/* SPDX-License-Identifier: Apache-2.0 */
#include "support/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/child.h"

void fill_pages(int fd, size_t bytes)
{
	char page[PAGE];

	for (size_t at = 0; at < bytes; at += PAGE) {
		size_t part = bytes - at < PAGE ? bytes - at : PAGE;

		memset(page, 'a' + (int)(at / PAGE % 26), sizeof(page));
		EXPECT_IS(pwrite(fd, page, part, (off_t)at), part);
	}
}

int named_file_of(size_t bytes, char *path)
{
	int fd;

	/* Not /tmp, which is memory on many machines: its files can be sealed, and are never read from a disk. */
	(void)snprintf(path, 64, "/var/tmp/quire-test.XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	EXPECT(fd >= 0);
	fill_pages(fd, bytes);
	return fd;
}

int file_of(size_t bytes)
{
	char path[64];
	int fd = named_file_of(bytes, path);

	EXPECT_IS(unlink(path), 0);
	return fd;
}

/* sbin is not on everybody's path. */
void run_command(const char *what, const char *first, const char *second)
{
	char command[512];

	(void)snprintf(command, sizeof(command), "PATH=$PATH:/usr/sbin:/sbin %s%s %s >/dev/null 2>&1", what,
		first, second);
	if (system(command) != 0) /* NOLINT(cert-env33-c): mkfs and mount have no library */
		child_skips(command);
}

/* The image has no name once it is mounted: nothing of it stays behind. */
static void mount_image(const char *kind, size_t bytes, const char *path)
{
	char image[96];
	int fd;

	(void)snprintf(image, sizeof(image), "%s/image", path);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(fd >= 0);
	EXPECT_IS(ftruncate(fd, (off_t)bytes), 0);
	EXPECT_IS(close(fd), 0);
	run_command("mkfs.", kind, image);
	/* mount -o loop asks for a device that frees itself with the last unmount. */
	run_command("mount -o loop ", image, path);
}

void small_filesystem(const char *kind, size_t bytes, char *path)
{
	char options[64];

	(void)snprintf(path, 64, "/tmp/quire-mount.XXXXXX");
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		child_skips("this user may not mount");
	/* One more tmpfs under /tmp's own name keeps even the directory out of the world. */
	if (mount("none", "/tmp", "tmpfs", 0, NULL) < 0)
		child_skips("this user may not mount");
	EXPECT(mkdtemp(path));
	(void)snprintf(options, sizeof(options), "size=%zu", bytes);
	if (strcmp(kind, "tmpfs") == 0) {
		EXPECT_IS(mount("none", path, "tmpfs", 0, options), 0);
		return;
	}
	mount_image(kind, bytes, path);
}

void fill_filesystem(const char *path)
{
	static char block[1 << 16];
	char name[96];
	int fd;

	(void)snprintf(name, sizeof(name), "%s/filler", path);
	fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	EXPECT(fd >= 0);
	for (size_t part = sizeof(block); part >= 512; part /= 2)
		while (write(fd, block, part) > 0)
			;
	(void)fsync(fd);
	for (size_t part = sizeof(block); part >= 512; part /= 2)
		while (write(fd, block, part) > 0)
			;
	EXPECT_IS(close(fd), 0);
}
