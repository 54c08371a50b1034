/* SPDX-License-Identifier: Apache-2.0 */
/* doctor-places.c - filesystems: what mapping a file means there, and how full it is. */
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include "doctor.h"

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

/** What mapping means on a filesystem. */
struct place {
	uint64_t magic;
	const char *name;
	bool remote; /* no shared mapping between machines is coherent, and a lost server is a fault */
	const char *meaning;
};

static const struct place places[] = {
	{ NFS_SUPER_MAGIC, "NFS", true,
		"a lost server (soft, or timeo expired) is SIGBUS; shared mappings of two machines do not "
		"see each other's stores" },
	{ CIFS_SUPER_MAGIC, "SMB", true,
		"a lost server is SIGBUS; caching depends on leases; shared mappings of two machines do "
		"not see each other's stores" },
	{ SMB2_SUPER_MAGIC, "SMB", true,
		"a lost server is SIGBUS; caching depends on leases; shared mappings of two machines do "
		"not see each other's stores" },
	{ V9FS_MAGIC, "9p", true,
		"without cache=mmap or better, shared writable mappings are refused; on WSL this is the Windows "
		"side" },
	{ CEPH_SUPER_MAGIC, "Ceph", true,
		"capabilities are revoked by other clients; a lost cluster stalls or faults" },
	{ AFS_SUPER_MAGIC, "AFS", true, "stores become visible when the file is closed" },
	{ FUSE_SUPER_MAGIC, "FUSE", true,
		"a program serves each page: if it ends, SIGBUS; with direct_io, shared mappings are "
		"refused" },
	{ OVERLAYFS_SUPER_MAGIC, "overlay", false,
		"the first open for writing copies the file up: a mapping made before keeps the "
		"old one; the kernel counts no cached pages here" },
	{ TMPFS_MAGIC, "tmpfs", false, "memory is the only copy; a full tmpfs is SIGBUS at the first touch" },
	{ HUGETLBFS_MAGIC, "hugetlbfs", false,
		"an empty pool is SIGBUS at the first touch without reservation" },
	{ EXT4_SUPER_MAGIC, "ext4", false,
		"a full disk under a store into a hole is SIGBUS: allocate first" },
	{ XFS_SUPER_MAGIC, "xfs", false, "a full disk under a store into a hole is SIGBUS: allocate first" },
	{ BTRFS_SUPER_MAGIC, "btrfs", false,
		"every store to a page on disk allocates anew: a full disk is SIGBUS also in "
		"preallocated files" },
	{ F2FS_SUPER_MAGIC, "f2fs", false, "a full disk under a store is SIGBUS" },
	{ ZFS_SUPER_MAGIC, "zfs", false,
		"mapped files are cached twice, in the ARC and in the page cache; msync may take seconds" },
};

static const struct place *place_of(uint64_t magic)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i].magic == magic)
			return &places[i];
	return NULL;
}

static bool database(const struct doctor *d)
{
	return d->profile == FOR_LMDB || d->profile == FOR_POSTGRES || d->profile == FOR_ELASTICSEARCH;
}

static void check_kind(struct doctor *d)
{
	struct statfs fs;
	const struct place *place;
	struct finding *f;

	if (d->path == NULL)
		return;
	if (statfs(d->path, &fs) != 0) {
		f = doctor_find(d, LEVEL_UNKNOWN, "filesystem", "the filesystem of %.80s cannot be looked at",
			text_name(d->path).s);
		doctor_meaning(f, "%s", strerror(errno));
		return;
	}
	place = place_of((uint64_t)fs.f_type & UINT32_MAX);
	f = doctor_find(d, LEVEL_OK, "filesystem", "filesystem of %.60s: %s", text_name(d->path).s,
		place == NULL ? "of a kind we know nothing about" : place->name);
	doctor_meaning(f, "%s", place == NULL ? "" : place->meaning);
	if (place != NULL && place->remote) {
		f->level = database(d) ? LEVEL_FAIL : LEVEL_WARN;
		doctor_fix(f, "%s",
			database(d)
				? "keep databases that map their files on a local filesystem"
				: "copy what is mapped to a local disk, or map it guarded (quire_map(3))");
	}
}

static void check_room(struct doctor *d)
{
	const char *path = d->path == NULL ? "/" : d->path;
	struct statfs fs;
	uint64_t room, all;
	struct finding *f;

	if (statfs(path, &fs) != 0 || fs.f_blocks == 0)
		return;
	room = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	all = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	f = doctor_find(d,
		room < all / 100          ? LEVEL_FAIL
			: room < all / 20 ? LEVEL_WARN
					  : LEVEL_OK,
		"room", "%s of %s free on %.60s", text_bytes(room).s, text_bytes(all).s, text_name(path).s);
	doctor_meaning(f, "on a full disk a store into a hole of a mapped file is SIGBUS, not ENOSPC");
	if (f->level != LEVEL_OK)
		doctor_fix(f, "make room, or allocate files before mapping them (QUIRE_PREALLOCATE)");
}

static void check_shm(struct doctor *d)
{
	char path[400];
	struct statfs fs;
	uint64_t room, all;
	struct finding *f;

	snprintf(path, sizeof(path), "%s/dev/shm", d->root);
	if (statfs(path, &fs) != 0) {
		f = doctor_find(d, LEVEL_WARN, "dev-shm", "there is no /dev/shm");
		doctor_meaning(f, "shm_open fails: POSIX shared memory has no place");
		doctor_fix(f, "mount -t tmpfs tmpfs /dev/shm");
		return;
	}
	room = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	all = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	f = doctor_find(
		d, LEVEL_OK, "dev-shm", "/dev/shm: %s of %s free", text_bytes(room).s, text_bytes(all).s);
	doctor_meaning(f, "shared memory beyond it is SIGBUS at the first touch, not an error of mmap");
	/* 64 MiB is what container run-times give unasked. */
	if (all <= UINT64_C(64) << 20 && all != 0)
		f->level = LEVEL_WARN;
	if (room < all / 20)
		f->level = LEVEL_FAIL;
	if (f->level != LEVEL_OK)
		doctor_fix(f,
			"mount -o remount,size=2G /dev/shm (docker run --shm-size=2g); quire shm shows what fills it");
}

static void check_wsl(struct doctor *d)
{
	struct utsname name;
	struct finding *f;

	if (uname(&name) != 0 || strstr(name.release, "icrosoft") == NULL)
		return;
	f = doctor_find(d, LEVEL_WARN, "wsl", "Windows Subsystem for Linux (%.60s)", name.release);
	doctor_meaning(f,
		"/mnt/c is the Windows side over 9p: mappings there are slow and not coherent with Windows programs");
	doctor_fix(f, "keep mapped files on the Linux disk");
}

doctor_check *const doctor_place_checks[] = { check_kind, check_room, check_shm, check_wsl, NULL };
