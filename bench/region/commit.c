/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A commit of 1, 16 and 256 scattered pages of a region of 1 GiB, against the least that durability costs (the same bytes
 * appended, or a page overwritten, and fdatasync) and against msync of as many pages of a shared mapping, which is neither
 * atomic nor a commit. Then abort, write faults, and what finding the pages without hints costs.
 */
#include "region/common.h"

static size_t region_bytes = (size_t)1 << 30;

static double run_append(void *arg)
{
	struct setup *s = arg;
	uint64_t sum = 0;

	for (int i = 0; i < REPEAT; i++) {
		uint64_t began = bench_ns();

		must(pwrite(s->fd, s->buffer, s->pages * (size_t)PAGE, (off_t)s->appended) < 0 ? -1 : 0,
			"append");
		s->appended += s->pages * (size_t)PAGE;
		must(fdatasync(s->fd), "fdatasync");
		sum += bench_ns() - began;
	}
	return (double)sum / REPEAT;
}

static double run_overwrite(void *arg)
{
	struct setup *s = arg;
	uint64_t sum = 0;

	for (int i = 0; i < REPEAT; i++) {
		uint64_t began = bench_ns();

		must(pwrite(s->fd, s->buffer, PAGE, (off_t)(bench_random() % 1024 * PAGE)) < 0 ? -1 : 0,
			"overwrite");
		must(fdatasync(s->fd), "fdatasync");
		sum += bench_ns() - began;
	}
	return (double)sum / REPEAT;
}

static double run_msync(void *arg)
{
	struct setup *s = arg;
	uint64_t began;

	dirty(s, s->peer, false);
	began = bench_ns();
	must(msync(s->peer, s->length, MS_SYNC), "msync");
	return (double)(bench_ns() - began);
}

static double run_abort(void *arg)
{
	struct setup *s = arg;
	uint64_t began;

	dirty(s, s->bytes, s->hinted);
	began = bench_ns();
	must(quire_region_abort(s->region), "abort");
	return (double)(bench_ns() - began);
}

enum { FAULTS = 2048 };

/* First stores to pages that were only read before. */
static double store_faults(unsigned char *bytes, size_t length)
{
	size_t step = length / FAULTS / PAGE * PAGE;
	uint64_t began = bench_ns();

	for (size_t i = 0; i < FAULTS; i++)
		bytes[i * step] = (unsigned char)i;
	return (double)(bench_ns() - began) / FAULTS;
}

static double run_fault(void *arg)
{
	struct setup *s = arg;
	double ns = store_faults(s->bytes, s->length);

	must(quire_region_abort(s->region), "abort");
	return ns;
}

static double run_private_fault(void *arg)
{
	struct setup *s = arg;
	double ns = store_faults(s->peer, s->length);

	must(madvise(s->peer, s->length, MADV_DONTNEED), "madvise");
	warm(s->peer, s->length);
	warm(s->bytes, s->length);
	return ns;
}

static int peer_file(const char *path, size_t length)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd, path);
	(void)unlink(path);
	if (length > 0)
		must(posix_fallocate(fd, 0, (off_t)length) == 0 ? 0 : -1, "fallocate");
	return fd;
}

static void against_append(struct setup *s, unsigned int pages, const char *goal)
{
	struct bench_pairs p;

	s->pages = pages;
	s->fd = peer_file("bench-append", 0);
	s->appended = 0;
	p = bench_pairs(run_commit, run_append, s);
	bench_goal(goal, p.ratio, &p);
	(void)close(s->fd);
}

static void against_overwrite(struct setup *s)
{
	struct bench_pairs p;

	s->pages = 1;
	s->fd = peer_file("bench-overwrite", 0);
	for (int i = 0; i < 1024; i++) /* written once: an overwrite changes no metadata */
		must(pwrite(s->fd, s->buffer, PAGE, (off_t)i * PAGE) < 0 ? -1 : 0, "write");
	must(fsync(s->fd), "fsync");
	p = bench_pairs(run_commit, run_overwrite, s);
	bench_goal("region.commit.1", 1 / p.ratio, &p);
	(void)close(s->fd);
}

static void against_msync(struct setup *s, unsigned int pages, const char *goal)
{
	struct bench_pairs p;

	s->pages = pages;
	p = bench_pairs(run_commit, run_msync, s);
	bench_goal(goal, p.ratio, &p);
}

/* Many commits in a row, checkpoints included: the ring is filled several times. No goal; it says what a flood costs. */
static void sustained(struct setup *s)
{
	unsigned int commits = bench_quick() ? 100 : 400;
	uint64_t began = bench_ns();

	s->pages = 256;
	for (unsigned int i = 0; i < commits; i++) {
		dirty(s, s->bytes, s->hinted);
		must(quire_region_commit(s->region, NULL), "commit");
	}
	bench_goal("region.sustained.256.ms", (double)(bench_ns() - began) / commits / 1e6, NULL);
}

static void hinted(struct setup *s)
{
	int fd = peer_file("bench-shared", s->length);

	s->region = region_make("bench-region", s->length, QUIRE_REGION_HINTED);
	s->bytes = quire_map_address(quire_region_map(s->region));
	s->hinted = true;
	/* A store to a page that must be read first (with so many MiB read ahead as the disk is set to) leaves the disk idle for
	 * milliseconds, and what it takes to wake up would be counted as ours alone: the peer writes without a pause. */
	warm(s->bytes, s->length);
	against_overwrite(s);
	against_append(s, 16, "region.commit.16");
	against_append(s, 256, "region.commit.256");
	s->peer = mmap(NULL, s->length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(s->peer == MAP_FAILED ? -1 : 0, "mmap");
	warm(s->peer, s->length);
	against_msync(s, 16, "region.msync.16");
	against_msync(s, 256, "region.msync.256");
	(void)munmap(s->peer, s->length);
	(void)close(fd);
	sustained(s);
}

/* Two regions, one told where to look and one not: what is between them is the scan. */
static struct setup with_hints, without;

static double run_without(void *arg)
{
	(void)arg;
	return run_commit(&without);
}

static double run_with(void *arg)
{
	(void)arg;
	return run_commit(&with_hints);
}

static void unhinted(struct setup *s)
{
	struct bench_pairs p;
	int fd = peer_file("bench-private", s->length);

	without.region = region_make("bench-region2", s->length, 0);
	without.bytes = quire_map_address(quire_region_map(without.region));
	warm(without.bytes, s->length);
	warm(s->bytes, s->length);
	without.length = s->length;
	without.pages = s->pages = 16;
	with_hints = *s;
	p = bench_pairs(run_without, run_with, NULL);
	bench_goal(
		"region.scan", (p.ours_ns - p.theirs_ns) / 1e6 * ((double)(1 << 30) / (double)s->length), &p);

	without.pages = 256;
	p = bench_pairs(run_abort, run_abort, &without);
	bench_goal("region.abort.256", p.ours_ns / 1e6, &p);

	without.peer = mmap(NULL, s->length, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	must(without.peer == MAP_FAILED ? -1 : 0, "mmap");
	warm(without.peer, s->length);
	p = bench_pairs(run_fault, run_private_fault, &without);
	bench_goal("region.fault", p.ratio, &p);
	(void)munmap(without.peer, s->length);
	(void)close(fd);
	must(quire_region_check(without.region, NULL), "check");
	must(quire_region_close(without.region), "close");
}

int main(void)
{
	struct setup s = { .length = region_bytes, .buffer = aligned_alloc(PAGE, 256 * PAGE) };

	if (s.buffer == NULL)
		return 1;
	memset(s.buffer, 7, 256 * PAGE);
	hinted(&s);
	unhinted(&s);
	must(quire_region_check(s.region, NULL), "check"); /* a wrong answer is fast */
	must(quire_region_close(s.region), "close");
	free(s.buffer);
	return system(
		"rm -f bench-region bench-region.journal bench-region.lock bench-region2 bench-region2.journal "
		"bench-region2.lock");
}
