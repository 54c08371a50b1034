/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/backing.c - the filesystems we know, by their magic number: what they stand on, and what mapping a file means. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <quire/inspect.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "inspect/look.h"
#include "sys/file.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif
#ifndef CEPH_SUPER_MAGIC
#define CEPH_SUPER_MAGIC 0x00c36400
#endif
#ifndef ZFS_SUPER_MAGIC
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#endif

#define SMB_MEANING                                                                               \
	"a lost server is SIGBUS; caching depends on leases; shared mappings of two machines do " \
	"not see each other's stores"
#define MADE_UP "the kernel makes the text up when it is read: there is nothing to map"

static const struct known {
	uint64_t magic;
	uint32_t backing;
	const char *name;
	const char *meaning;
} known[] = {
	{ NFS_SUPER_MAGIC, QUIRE_BACKING_NETWORK, "NFS",
		"a lost server (soft, or timeo expired) is SIGBUS; shared mappings of two machines do not "
		"see each other's stores" },
	{ SMB_SUPER_MAGIC, QUIRE_BACKING_NETWORK, "SMB", SMB_MEANING },
	{ CIFS_SUPER_MAGIC, QUIRE_BACKING_NETWORK, "SMB", SMB_MEANING },
	{ SMB2_SUPER_MAGIC, QUIRE_BACKING_NETWORK, "SMB", SMB_MEANING },
	{ V9FS_MAGIC, QUIRE_BACKING_NETWORK, "9p",
		"without cache=mmap or better, shared writable mappings are refused; on WSL this is the Windows "
		"side" },
	{ CEPH_SUPER_MAGIC, QUIRE_BACKING_NETWORK, "Ceph",
		"capabilities are revoked by other clients; a lost cluster stalls or faults" },
	{ AFS_SUPER_MAGIC, QUIRE_BACKING_NETWORK, "AFS", "stores become visible when the file is closed" },
	{ FUSE_SUPER_MAGIC, QUIRE_BACKING_FUSE, "FUSE",
		"a program serves each page: if it ends, SIGBUS; with direct_io, shared mappings are "
		"refused" },
	{ OVERLAYFS_SUPER_MAGIC, QUIRE_BACKING_OVERLAY, "overlay",
		"the first open for writing copies the file up: a mapping made before keeps the "
		"old one; the kernel counts no cached pages here" },
	{ TMPFS_MAGIC, QUIRE_BACKING_TMPFS, "tmpfs",
		"memory is the only copy; a full tmpfs is SIGBUS at the first touch" },
	{ RAMFS_MAGIC, QUIRE_BACKING_TMPFS, "ramfs", "memory is the only copy, and there is no limit to it" },
	{ HUGETLBFS_MAGIC, QUIRE_BACKING_HUGETLBFS, "hugetlbfs",
		"an empty pool is SIGBUS at the first touch without reservation" },
	{ EXT4_SUPER_MAGIC, QUIRE_BACKING_DISK, "ext4",
		"a full disk under a store into a hole is SIGBUS: allocate first" },
	{ XFS_SUPER_MAGIC, QUIRE_BACKING_DISK, "xfs",
		"a full disk under a store into a hole is SIGBUS: allocate first" },
	{ BTRFS_SUPER_MAGIC, QUIRE_BACKING_DISK, "btrfs",
		"every store to a page on disk allocates anew: a full disk is SIGBUS also in "
		"preallocated files" },
	{ F2FS_SUPER_MAGIC, QUIRE_BACKING_DISK, "f2fs", "a full disk under a store is SIGBUS" },
	{ ZFS_SUPER_MAGIC, QUIRE_BACKING_DISK, "zfs",
		"mapped files are cached twice, in the ARC and in the page cache; msync may take seconds" },
	{ PROC_SUPER_MAGIC, QUIRE_BACKING_PSEUDO, "proc", MADE_UP },
	{ SYSFS_MAGIC, QUIRE_BACKING_PSEUDO, "sysfs", MADE_UP },
	{ CGROUP_SUPER_MAGIC, QUIRE_BACKING_PSEUDO, "cgroup", MADE_UP },
	{ CGROUP2_SUPER_MAGIC, QUIRE_BACKING_PSEUDO, "cgroup2", MADE_UP },
	{ DEBUGFS_MAGIC, QUIRE_BACKING_PSEUDO, "debugfs", MADE_UP },
	{ TRACEFS_MAGIC, QUIRE_BACKING_PSEUDO, "tracefs", MADE_UP },
	{ SECURITYFS_MAGIC, QUIRE_BACKING_PSEUDO, "securityfs", MADE_UP },
	{ BPF_FS_MAGIC, QUIRE_BACKING_PSEUDO, "bpf", MADE_UP },
};

static const struct known *find(const struct statfs *filesystem)
{
	uint64_t magic = (uint64_t)filesystem->f_type & UINT32_MAX;

	for (size_t i = 0; i < ARRAY_COUNT(known); i++)
		if (known[i].magic == magic)
			return &known[i];
	return NULL;
}

uint32_t look_backing(const struct statfs *filesystem)
{
	const struct known *found = find(filesystem);

	return found == NULL ? (uint32_t)QUIRE_BACKING_DISK : found->backing;
}

int quire_filesystem(const char *path, struct quire_filesystem *out)
{
	struct quire_filesystem answer = { .size = sizeof(answer), .name = "", .meaning = "" };
	const struct known *found;
	struct statfs filesystem;
	size_t room;
	int fd;
	int r;

	error_clear();
	if (path == NULL || out == NULL || out->size < sizeof(out->size))
		return error_set(-EINVAL, "quire_filesystem: no path, or .size is not set");
	fd = sys_open(path, O_PATH, 0);
	if (fd < 0)
		return error_set(fd, "the filesystem of %s cannot be looked at: %s", path, strerror(-fd));
	r = sys_fstatfs(fd, &filesystem);
	sys_close(fd);
	if (r < 0)
		return error_set(r, "the filesystem of %s cannot be looked at: %s", path, strerror(-r));

	found = find(&filesystem);
	answer.backing = look_backing(&filesystem);
	if (found != NULL) {
		answer.name = found->name;
		answer.meaning = found->meaning;
	}
	room = min_u64(out->size, sizeof(answer));
	answer.size = room;
	memcpy(out, &answer, room);
	return 0;
}
