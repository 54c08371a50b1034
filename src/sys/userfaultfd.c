/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/uapi.h"

enum { FLAGS = O_CLOEXEC | O_NONBLOCK };

static int open_device(int flags)
{
	int device = sys_open("/dev/userfaultfd", O_RDWR, 0);
	int fd;

	if (device < 0)
		return device;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, flags);
	if (fd < 0)
		fd = -errno;
	sys_close(device);
	return fd;
}

static int open_syscall(int flags)
{
	long fd = syscall(SYS_userfaultfd, flags);

	return fd < 0 ? -errno : (int)fd;
}

static int open_any(bool user_only)
{
	int flags = user_only ? FLAGS | UFFD_USER_MODE_ONLY : FLAGS;
	int by_device = open_device(flags);
	int by_syscall;

	if (by_device >= 0)
		return by_device;
	by_syscall = open_syscall(flags);
	if (by_syscall == -ENOSYS && (by_device == -EPERM || by_device == -EACCES))
		return by_device;
	return by_syscall;
}

/* The kernel tells its features only to a handshake that asks for none, and a descriptor shakes hands once. */
static int ask_features(bool user_only, uint64_t *features)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = open_any(user_only);
	int r;

	if (fd < 0)
		return fd;
	r = ioctl(fd, UFFDIO_API, &api) < 0 ? -errno : 0;
	sys_close(fd);
	*features = api.features;
	return r;
}

int sys_userfaultfd(bool user_only, uint64_t want, uint64_t *features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = want };
	int fd;
	int r;

	r = ask_features(user_only, features);
	if (r < 0)
		return r;
	if ((want & ~*features) != 0)
		return -EINVAL;
	fd = open_any(user_only);
	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api) < 0) {
		r = -errno;
		sys_close(fd);
		return r;
	}
	return fd;
}
