/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that cold reads of ours can cost: memory registered with userfaultfd, direct reads, and UFFDIO_COPY. No books, and
 * nothing is evicted but what lies the bound behind a stream.
 */
#include <liburing.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "cold.h"

static struct {
	int uffd;
	int direct;
	unsigned char *bytes;
} bare;

static void bare_copy(unsigned char *to, const unsigned char *from, size_t bytes)
{
	struct uffdio_copy call = { .dst = (uintptr_t)to, .src = (uintptr_t)from, .len = bytes };

	if (ioctl(bare.uffd, UFFDIO_COPY, &call) < 0 && errno != EEXIST)
		abort();
}

static void bare_signal(int number, siginfo_t *info, void *context)
{
	_Alignas(PAGE) unsigned char page[PAGE];
	uintptr_t va = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);

	(void)number;
	(void)context;
	if (pread(bare.direct, page, PAGE, (off_t)(va - (uintptr_t)bare.bytes)) != PAGE)
		abort();
	bare_copy((unsigned char *)va, page, PAGE);
}

static void bare_open(const struct cold *cold)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };
	struct sigaction action = { .sa_sigaction = bare_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct uffdio_register call = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	bare.direct = cold->direct;
	bare.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	bench_must(bare.uffd >= 0 && ioctl(bare.uffd, UFFDIO_API, &api) == 0, "userfaultfd");
	bare.bytes = mmap(NULL, cold->bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bench_must(
		bare.bytes != MAP_FAILED && madvise(bare.bytes, cold->bytes, MADV_NOHUGEPAGE) == 0, "mmap");
	call.range.start = (uintptr_t)bare.bytes;
	call.range.len = cold->bytes;
	bench_must(ioctl(bare.uffd, UFFDIO_REGISTER, &call) == 0, "UFFDIO_REGISTER");
	bench_must(sigaction(SIGBUS, &action, NULL) == 0, "sigaction");
}

double cold_floor(const struct cold *cold)
{
	bare_open(cold);
	return cold_read_pages(cold, bare.bytes);
}

/* ---- in order: STEPS reads in flight, each copied when its turn comes ---- */

enum { STEP = 128 << 10, STEPS = 32 };

struct steps {
	struct io_uring ring;
	unsigned char *slots;
	bool there[STEPS];
};

static void steps_open(struct steps *s)
{
	s->slots = aligned_alloc(2 * MIB, STEPS * STEP); /* in huge pages: a device fills them faster */
	bench_must(s->slots != NULL && io_uring_queue_init(STEPS, &s->ring, 0) == 0, "io_uring");
	(void)madvise(s->slots, STEPS * STEP, MADV_HUGEPAGE);
	memset(s->slots, 0, STEPS * STEP);
}

static void steps_ask(struct steps *s, uint64_t step)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	bench_must(sqe != NULL, "the ring is full");
	if (sqe == NULL)
		return;
	s->there[step % STEPS] = false;
	io_uring_prep_read(sqe, bare.direct, s->slots + step % STEPS * STEP, STEP, step * STEP);
	io_uring_sqe_set_data64(sqe, step);
	bench_must(io_uring_submit(&s->ring) == 1, "submit");
}

static void steps_wait(struct steps *s, uint64_t step)
{
	struct io_uring_cqe *done;

	while (!s->there[step % STEPS]) {
		bench_must(io_uring_wait_cqe(&s->ring, &done) == 0 && done->res == STEP, "a read");
		s->there[io_uring_cqe_get_data64(done) % STEPS] = true;
		io_uring_cqe_seen(&s->ring, done);
	}
}

double cold_floor_sequential(const struct cold *cold)
{
	struct steps s;
	uint64_t count = cold->bytes / STEP;
	uint64_t behind = cold->bound / STEP;
	uint64_t began;
	uint64_t sum = 0;

	bare_open(cold);
	steps_open(&s);
	began = bench_ns();
	for (uint64_t step = 0; step < STEPS && step < count; step++)
		steps_ask(&s, step);
	for (uint64_t step = 0; step < count; step++) {
		const uint64_t *words = (const void *)(bare.bytes + step * STEP);

		steps_wait(&s, step);
		bare_copy(bare.bytes + step * STEP, s.slots + step % STEPS * STEP, STEP);
		if (step + STEPS < count)
			steps_ask(&s, step + STEPS);
		for (unsigned int i = 0; i < STEP / 8; i++)
			sum += words[i];
		if (step % 16 == 15 && step > behind)
			(void)madvise(bare.bytes + (step - 15 - behind / 16 * 16) * STEP, (size_t)16 * STEP,
				MADV_DONTNEED);
	}
	bench_must(sum == sum_of_file(cold->bytes), "the sum is wrong");
	return (double)cold->bytes * 1e9 / (double)(bench_ns() - began);
}
