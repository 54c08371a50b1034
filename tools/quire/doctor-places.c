/* SPDX-License-Identifier: Apache-2.0 */
/* doctor-places.c - filesystems: what mapping a file means there, and how full it is. */
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include "doctor.h"

static bool database(const struct doctor *d)
{
	return d->profile == FOR_LMDB || d->profile == FOR_POSTGRES || d->profile == FOR_ELASTICSEARCH;
}

static void check_kind(struct doctor *d)
{
	struct quire_filesystem fs = { .size = sizeof(fs) };
	struct finding *f;

	if (d->path == NULL)
		return;
	if (quire_filesystem(d->path, &fs) < 0) {
		f = doctor_find(d, LEVEL_UNKNOWN, "filesystem", "the filesystem of %.80s cannot be looked at",
			text_name(d->path).s);
		doctor_meaning(f, "%s", quire_error_text());
		return;
	}
	f = doctor_find(d, LEVEL_OK, "filesystem", "filesystem of %.60s: %s", text_name(d->path).s,
		fs.name[0] == '\0' ? "of a kind we know nothing about" : fs.name);
	doctor_meaning(f, "%s", fs.meaning);
	/* No shared mapping between machines is coherent, and a lost server, or program, is a fault. */
	if (fs.backing == QUIRE_BACKING_NETWORK || fs.backing == QUIRE_BACKING_FUSE) {
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
