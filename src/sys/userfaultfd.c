/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"
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

	if (by_device >= 0 ||
		error_is_want(by_device)) /* who has no descriptor for the device has none for the call */
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

/* ---- the ioctls ---- */

int sys_uffd_register(int fd, uintptr_t start, size_t length, uint64_t mode)
{
	struct uffdio_register call = { .range = { start, length }, .mode = mode };

	return ioctl(fd, UFFDIO_REGISTER, &call) < 0 ? -errno : 0;
}

int sys_uffd_unregister(int fd, uintptr_t start, size_t length)
{
	struct uffdio_range range = { start, length };

	return ioctl(fd, UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

/* What a call left undone: the kernel stops part-way (EAGAIN) when the mapping changes under it, and tells how far it came.
 * True when it is to be called again. */
static bool go_on(uint64_t *start, uint64_t *length, int64_t done)
{
	if (errno != EAGAIN)
		return false;
	if (done > 0) {
		*start += (uint64_t)done;
		*length -= (uint64_t)done;
	}
	return *length > 0;
}

int sys_uffd_continue(int fd, uintptr_t start, size_t length, bool write_protect)
{
	struct uffdio_continue call = { .range = { start, length },
		.mode = write_protect ? UFFDIO_CONTINUE_MODE_WP : 0 };

	while (ioctl(fd, UFFDIO_CONTINUE, &call) < 0)
		if (!go_on((uint64_t *)&call.range.start, (uint64_t *)&call.range.len, call.mapped))
			return -errno;
	return 0;
}

int sys_uffd_copy(int fd, uintptr_t to, uintptr_t from, size_t length, bool write_protect)
{
	struct uffdio_copy call = { to, from, length, write_protect ? UFFDIO_COPY_MODE_WP : 0, 0 };

	while (ioctl(fd, UFFDIO_COPY, &call) < 0) {
		if (!go_on((uint64_t *)&call.dst, (uint64_t *)&call.len, call.copy))
			return -errno;
		call.src = from + (call.dst - to);
	}
	return 0;
}

int sys_uffd_move(int fd, uintptr_t to, uintptr_t from, size_t length)
{
	struct uffdio_move call = { to, from, length, 0, 0 };

	while (ioctl(fd, UFFDIO_MOVE, &call) < 0) {
		if (!go_on((uint64_t *)&call.dst, (uint64_t *)&call.len, call.move))
			return -errno;
		call.src = from + (call.dst - to);
	}
	return 0;
}

int sys_uffd_write_protect(int fd, uintptr_t start, size_t length, bool protect)
{
	struct uffdio_writeprotect call = { { start, length }, protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };

	while (ioctl(fd, UFFDIO_WRITEPROTECT, &call) < 0)
		if (errno != EAGAIN)
			return -errno;
	return 0;
}

int sys_uffd_poison(int fd, uintptr_t start, size_t length)
{
	struct uffdio_poison call = { .range = { start, length } };

	while (ioctl(fd, UFFDIO_POISON, &call) < 0)
		if (!go_on((uint64_t *)&call.range.start, (uint64_t *)&call.range.len, call.updated))
			return -errno;
	return 0;
}

int sys_uffd_wake(int fd, uintptr_t start, size_t length)
{
	struct uffdio_range range = { start, length };

	return ioctl(fd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

int sys_uffd_read(int fd, struct uffd_msg *messages, unsigned int room)
{
	ssize_t n;

	do
		n = read(fd, messages, room * sizeof(*messages));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return (int)((size_t)n / sizeof(*messages));
}
