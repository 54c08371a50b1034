/* SPDX-License-Identifier: Apache-2.0 */
#include "object/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "object/transfer.h"
#include "sys/file.h"
#include "sys/uapi.h"

struct file_object *file_object_of(struct object *object)
{
	return CONTAINER_OF(object, struct file_object, object);
}

/* ---- as an object ---- */

/* Programs close descriptors that they did not open, and the next file they open gets the number: what was meant for ours would
 * be written into it. */
static int stat_ours(const struct file_object *file, struct stat *stat)
{
	int r = sys_fstat(file->window.fd, stat);

	if (r == 0 && (stat->st_dev != file->device || stat->st_ino != file->inode))
		r = -EBADF;
	return r;
}

static int file_size(struct object *object, uint64_t *bytes)
{
	struct stat stat;
	int r;

	if (!file_object_of(object)->regular) {
		*bytes = 0; /* a device has no size to ask for */
		return 0;
	}
	r = stat_ours(file_object_of(object), &stat);
	if (r < 0)
		return r;
	*bytes = (uint64_t)stat.st_size;
	return 0;
}

static int file_grow(struct object *object, uint64_t bytes, bool preallocate)
{
	struct file_object *file = file_object_of(object);
	uint64_t now;
	int r;

	r = file_size(object, &now);
	if (r < 0 || bytes <= now)
		return r;
	if (!file->regular)
		return error_set(-EINVAL, "a device cannot be made longer");

	if (bytes > INT64_MAX - file->block)
		return error_set(-EFBIG, "no file can be %" PRIu64 " bytes long", bytes);
	if (preallocate)
		return file_preallocate(file, now, bytes - now);
	r = sys_truncate(file->window.fd, align_up(bytes, file->block));
	if (r < 0)
		return error_set(r, "cannot make the file %" PRIu64 " bytes long: %s", bytes, strerror(-r));
	return 0;
}

int file_cut(struct file_object *file)
{
	int r = sys_truncate(file->window.fd, 0);

	return r < 0 ? error_set(r, "cannot cut the file: %s", strerror(-r)) : 0;
}

static const struct pmap_window *file_window(struct object *object)
{
	return &file_object_of(object)->window;
}

static void file_close(struct object *object)
{
	struct file_object *file = file_object_of(object);
	struct stat stat;
	bool ours = stat_ours(file, &stat) == 0;

	transfer_close(file->transfer, ours);
	if (ours)
		sys_close(file->window.fd);
	free(file);
}

static void file_start(struct object *object, struct io *io)
{
	transfer_start(file_object_of(object)->transfer, io);
}

static int file_reap(struct object *object, unsigned int want)
{
	return transfer_reap(file_object_of(object)->transfer, want);
}

static const struct object_ops file_ops = {
	.start = file_start,
	.reap = file_reap,
	.size = file_size,
	.grow = file_grow,
	.window = file_window,
	.close = file_close,
};

bool file_is_shared(struct object *a, struct object *b)
{
	return a->ops == &file_ops && b->ops == &file_ops &&
		file_object_of(a)->device == file_object_of(b)->device &&
		file_object_of(a)->inode == file_object_of(b)->inode && ((a->can | b->can) & CAN_WRITE) != 0;
}

/* ---- making one ---- */

static unsigned int abilities(const struct file_object *file, int access_mode)
{
	unsigned int can = CAN_MAP;

	if (access_mode != O_WRONLY)
		can |= CAN_READ;
	if (access_mode != O_RDONLY)
		can |= CAN_WRITE;
	if (file->regular)
		can |= CAN_HOLE | CAN_GROW | CAN_SHRINK;
	return can;
}

/* Takes fd over, also when it fails. */
static int adopt(int fd, struct file_object **out)
{
	struct file_object *file = calloc(1, sizeof(*file));
	struct stat stat;
	int status;
	int r;

	if (file == NULL) {
		sys_close(fd);
		return error_set(-ENOMEM, "no memory for a handle");
	}
	status = sys_status_flags(fd);
	r = status < 0 ? status : sys_fstat(fd, &stat);
	if (r == 0 && (status & O_PATH) != 0)
		r = -EBADF;
	if (r == 0 && !S_ISREG(stat.st_mode) && !S_ISCHR(stat.st_mode) && !S_ISBLK(stat.st_mode))
		r = -ENODEV;
	if (r < 0) {
		sys_close(fd);
		free(file);
		return error_set(r,
			r == -ENODEV ? "a directory, pipe or socket cannot be mapped: read it instead"
				     : "the descriptor is not open, or was opened with O_PATH");
	}

	file->regular = S_ISREG(stat.st_mode);
	file->block = 1;
	file->device = stat.st_dev;
	file->inode = stat.st_ino;
	object_init(&file->object, &file_ops, abilities(file, status & O_ACCMODE));
	file->window.fd = fd;
	file->window.writable = (file->object.can & CAN_WRITE) != 0;
	file->window.can_shrink = file->regular;
	*out = file;
	return 0;
}

void file_remove(const char *path, bool shared_memory)
{
	if (shared_memory)
		(void)sys_shm_unlink(path);
	else
		(void)sys_unlink(path);
}

/* A file that was created here and cannot be used goes again. */
static int adopt_named(
	int fd, const struct file_request *request, bool shared_memory, struct file_object **out)
{
	int r = adopt(fd, out);

	if (r < 0 && request->create && request->exclusive)
		file_remove(request->path, shared_memory);
	return r;
}

static int open_flags(const struct file_request *request)
{
	int flags = request->write ? O_RDWR : O_RDONLY;

	if (request->create)
		flags |= O_CREAT;
	if (request->exclusive)
		flags |= O_EXCL;
	if (request->truncate)
		flags |= O_TRUNC;
	return flags;
}

static int refuse(int error, const struct file_request *request)
{
	const char *hint = "";

	if (error == -ENOENT && !request->create)
		hint = "; QUIRE_CREATE would create it";
	if (error == -EEXIST)
		hint = "; without QUIRE_EXCLUSIVE it would be opened";
	if (error == -EACCES && request->write)
		hint = "; reading alone may be allowed";
	return error_set(error, "cannot open %s: %s%s", request->path, strerror(-error), hint);
}

int file_open(const struct file_request *request, struct file_object **file)
{
	int flags = open_flags(request);
	int fd;

	/* A FIFO without a writer would block the open for ever; O_NONBLOCK changes nothing for what can be mapped. */
	fd = sys_open(request->path, flags | O_NONBLOCK | O_NOCTTY, request->mode);
	if (fd < 0)
		return refuse(fd, request);
	return adopt_named(fd, request, false, file);
}

int shm_open_object(const struct file_request *request, struct file_object **file)
{
	int fd = sys_shm_open(request->path, open_flags(request), request->mode);

	if (fd < 0)
		return refuse(fd, request);
	return adopt_named(fd, request, true, file);
}

int file_from_fd(int fd, struct file_object **file)
{
	int own = sys_dup(fd);

	if (own < 0)
		return error_set(own, "descriptor %d cannot be duplicated: %s", fd, strerror(-own));
	return adopt(own, file);
}

int memfd_open(
	const char *name, uint64_t bytes, bool sealable, unsigned int huge_shift, struct file_object **file)
{
	unsigned int flags = MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0U);
	struct file_object *made = NULL;
	int fd;
	int r;

	if (huge_shift != 0)
		flags |= MFD_HUGETLB | huge_shift << MFD_HUGE_SHIFT;
	/* NOEXEC_SEAL came with 6.3; where it is refused as unknown, the memfd is made as it always was. */
	fd = sys_memfd_create(name, huge_shift == 0 && sealable ? flags | MFD_NOEXEC_SEAL : flags);
	if (fd == -EINVAL)
		fd = sys_memfd_create(name, flags);
	if (fd < 0)
		return error_set(fd, "cannot make memory file %s: %s", name, strerror(-fd));

	r = adopt(fd, &made);
	if (r < 0 || made == NULL)
		return r;
	made->sealable = true;
	made->block = (uint64_t)1 << huge_shift;
	r = file_grow(&made->object, bytes, false);
	if (r < 0) {
		object_unref(&made->object);
		return r;
	}
	*file = made;
	return 0;
}

int secret_open(uint64_t bytes, struct file_object **file)
{
	struct file_object *made = NULL;
	int fd = sys_memfd_secret(O_CLOEXEC);
	int r;

	if (fd == -ENOSYS)
		return error_set(-ENOTSUP,
			"this kernel has no secret memory: it needs Linux 5.14 with CONFIG_SECRETMEM, and before 6.5 "
			"secretmem.enable=1 on the kernel's command line");
	if (fd < 0)
		return error_set(fd, "cannot make secret memory: %s", strerror(-fd));

	r = adopt(fd, &made);
	if (r < 0 || made == NULL)
		return r;
	made->secret = true;
	made->block = PAGE_BYTES;
	r = file_grow(&made->object, bytes, false);
	if (r < 0) {
		object_unref(&made->object);
		return r;
	}
	*file = made;
	return 0;
}

/* ---- what only files can do ---- */

int file_make_paged(struct file_object *file)
{
	int r;

	if (file->transfer != NULL)
		return 0;
	r = transfer_open(file, &file->transfer);
	if (r < 0)
		return error_set(r, "no memory to page a file");
	file->object.can |= CAN_SIGNAL;
	return 0;
}

/* How much there is and how much is left: on a tmpfs such as /dev/shm the whole is a mount option. */
static int refuse_blocks(const struct file_object *file, int error, uint64_t offset, uint64_t length)
{
	struct statfs statfs;

	if (error != -ENOSPC || sys_fstatfs(file->window.fd, &statfs) < 0 || statfs.f_bsize <= 0)
		return error_set(error, "cannot allocate %" PRIu64 " bytes at offset %" PRIu64 ": %s", length,
			offset, strerror(-error));
	return error_set(error,
		"cannot allocate %" PRIu64 " KiB at offset %" PRIu64 ": the filesystem has %" PRIu64
		" of %" PRIu64
		" KiB free: delete something, or make it larger (a tmpfs: mount -o remount,size=)",
		length >> 10, offset, statfs.f_bavail * (uint64_t)statfs.f_bsize >> 10,
		statfs.f_blocks * (uint64_t)statfs.f_bsize >> 10);
}

int file_preallocate(struct file_object *file, uint64_t offset, uint64_t length)
{
	struct stat before;
	int r;

	if (!file->regular)
		return error_set(-EINVAL, "only files have blocks to allocate");
	r = sys_fstat(file->window.fd, &before);
	if (r == 0)
		r = sys_fallocate(file->window.fd, 0, offset, length);
	if (r < 0) {
		struct stat after;

		/* A refused fallocate may have got half way; what lies behind its end is somebody else's. */
		if (r != -EFBIG && sys_fstat(file->window.fd, &after) == 0 &&
			after.st_size > before.st_size && (uint64_t)after.st_size <= offset + length)
			(void)sys_truncate(file->window.fd, (uint64_t)before.st_size);
		return refuse_blocks(file, r, offset, length);
	}
	return 0;
}

void file_ungrow(struct file_object *file, uint64_t before, uint64_t grown)
{
	uint64_t now;

	if (file_size(&file->object, &now) == 0 && now == align_up(grown, file->block))
		(void)sys_truncate(file->window.fd, before);
}

int file_start_write(struct file_object *file, uint64_t offset, uint64_t length)
{
	return file->regular ? sys_start_write(file->window.fd, offset, length) : 0;
}

int file_sync(struct file_object *file, bool data_only)
{
	return data_only ? sys_fdatasync(file->window.fd) : sys_fsync(file->window.fd);
}

int file_duplicate(const struct file_object *file, int *fd)
{
	int own = sys_dup(file->window.fd);

	if (own < 0)
		return error_set(own, "cannot duplicate the descriptor: %s", strerror(-own));
	*fd = own;
	return 0;
}

int file_add_seals(struct file_object *file, unsigned int seals)
{
	return sys_add_seals(file->window.fd, seals);
}

int file_get_seals(const struct file_object *file, unsigned int *seals)
{
	int r = sys_get_seals(file->window.fd);

	if (r < 0)
		return r;
	*seals = (unsigned int)r;
	return 0;
}

bool file_tells_residency(const struct file_object *file)
{
	return sys_may_know_cache(file->window.fd);
}
