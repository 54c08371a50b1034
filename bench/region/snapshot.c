/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against the other way to get back to a consistent file: msync, then a reflink snapshot (as gdbm's crash tolerance and
 * famus_snap do). It needs xfs, btrfs or ocfs2; here xfs in a loop file, and our region stands on the same.
 */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "region/common.h"

static double run_snapshot(void *arg)
{
	struct setup *s = arg;
	uint64_t began;
	int clone;

	dirty(s, s->peer, false);
	began = bench_ns();
	must(msync(s->peer, s->length, MS_SYNC), "msync");
	clone = open(s->clone, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(clone, s->clone);
	must(ioctl(clone, FICLONE, s->fd), "FICLONE");
	must(fsync(clone), "fsync");
	(void)close(clone);
	return (double)(bench_ns() - began);
}

static void compare(struct setup *s, unsigned int pages, const char *goal)
{
	struct bench_pairs p;

	s->pages = pages;
	p = bench_pairs(run_commit, run_snapshot, s);
	bench_goal(goal, p.ratio, &p);
}

static void measure(void)
{
	struct setup s = { .length = bench_quick() ? (size_t)256 << 20 : (size_t)1 << 30, .hinted = true };

	s.clone = "bench-xfs/clone";
	s.region = region_make("bench-xfs/region", s.length, QUIRE_REGION_HINTED);
	s.bytes = quire_map_address(quire_region_map(s.region));
	s.fd = open("bench-xfs/shared", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(s.fd, "bench-xfs/shared");
	must(posix_fallocate(s.fd, 0, (off_t)s.length) == 0 ? 0 : -1, "fallocate");
	s.peer = mmap(NULL, s.length, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
	must(s.peer == MAP_FAILED ? -1 : 0, "mmap");
	warm(s.peer, s.length);
	compare(&s, 16, "region.snapshot.16");
	compare(&s, 256, "region.snapshot.256");
	(void)munmap(s.peer, s.length);
	(void)close(s.fd);
	must(quire_region_check(s.region, NULL), "check");
	must(quire_region_close(s.region), "close");
}

int main(void)
{
	(void)mkdir("bench-xfs", 0700);
	if (system("truncate -s 6G bench-xfs.image && mkfs.xfs -q -f bench-xfs.image && "
		   "mount -o loop bench-xfs.image bench-xfs") != 0) {
		(void)fprintf(stderr, "bench: no xfs on a loop device here (root, xfsprogs)\n");
		return 1;
	}
	measure();
	return system("umount bench-xfs && rmdir bench-xfs && rm bench-xfs.image");
}
