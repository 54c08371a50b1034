/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to give a page up, while another thread of the process runs: a bound that is lowered batch by batch evicts
 * that much each time, from choosing the pages to handing their memory back. The median of the batches counts, in
 * processor time. Beside it what a program would do by hand.
 */
#include <sys/syscall.h>
#include <sys/uio.h>

#include "common.h"

struct setup {
	int fd;
	int read_only; /* the same file */
	uint64_t bytes;
	uint32_t protection;
	bool scattered;
	bool written;
};

/* As many pages as the pool gives up in one go. */
enum { BATCH = 512, BATCHES_MAX = 128 };

static uint64_t stride_of(const struct setup *s)
{
	return s->scattered ? 1000003 % (s->bytes / PAGE) | 1 : 1;
}

/* Every page once, in order or in a fixed random one (a stride that is coprime to their number). */
static void touch_all(const struct setup *s, unsigned char *bytes)
{
	uint64_t pages = s->bytes / PAGE;

	for (uint64_t i = 0, page = 0; i < pages; i++, page = (page + stride_of(s)) % pages) {
		volatile uint64_t *word = (volatile uint64_t *)(void *)(bytes + page * PAGE);

		bench_must(*word == word_of(page * PAGE_WORDS), "a page was wrong");
		if (s->written)
			*word = word_of(page * PAGE_WORDS);
	}
}

/* Lowers the bound batch by batch until half is left; the median time of a page. */
static double lower(struct paged *paged, uint64_t bytes)
{
	double times[BATCHES_MAX];
	int count = 0;

	for (uint64_t bound = bytes - BATCH * PAGE; bound >= bytes / 2 && count < BATCHES_MAX;
		bound -= BATCH * PAGE) {
		uint64_t before = paged_stats(paged).evicted;
		uint64_t began = cpu_ns();
		uint64_t evicted;

		must(quire_pool_resize(paged->pool, bound));
		times[count] = (double)(cpu_ns() - began);
		evicted = paged_stats(paged).evicted - before;
		bench_must(paged_stats(paged).used_bytes <= bound, "pages stayed");
		if (evicted > 0)
			times[count++] /= (double)evicted;
	}
	bench_must(count > 0, "nothing was evicted");
	return bench_quantile(times, count, 0.5);
}

static double ours(void *arg)
{
	const struct setup *s = arg;
	struct company company;
	struct paged paged;
	double ns;

	bench_pin(0);
	/* Room for all, and above the mark at which the pool would begin by itself. */
	paged_pool(&paged, s->bytes + s->bytes / 8, 0, QUIRE_DELIVERY_INLINE);
	paged_file(&paged, s->protection == QUIRE_READ ? s->read_only : s->fd, s->protection,
		s->scattered ? QUIRE_RANDOM : QUIRE_SEQUENTIAL);
	touch_all(s, paged.bytes);
	company_begin(&company, 1);
	ns = lower(&paged, s->bytes);
	company_end(&company);
	paged_close(&paged);
	return ns;
}

/* Scattered pages of plain anonymous memory, one madvise each: what an engine without batches pays. */
static double singly(void *arg)
{
	const struct setup *s = arg;
	uint64_t pages = s->bytes / PAGE / 16;
	unsigned char *at = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double *times = malloc(pages * sizeof(*times));
	struct company company;
	double ns;

	bench_must(at != MAP_FAILED && times != NULL, "memory");
	(void)madvise(at, s->bytes, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < pages; i++)
		at[i * 16 * PAGE] = 1;
	company_begin(&company, 1);
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t began = cpu_ns();

		(void)madvise(at + i * 16 * PAGE, PAGE, MADV_DONTNEED);
		times[i] = (double)(cpu_ns() - began);
	}
	company_end(&company);
	munmap(at, s->bytes);
	ns = bench_quantile(times, (int)pages, 0.5);
	free(times);
	return ns;
}

/* ---- the least it can cost ---- */

static int before(const void *x, const void *y)
{
	const struct iovec *a = x, *b = y;

	return (a->iov_base > b->iov_base) - (a->iov_base < b->iov_base);
}

/* The next BATCH pages in the order of touch_all(), sorted, neighbours joined. How many spans. */
static size_t next_batch(const struct setup *s, unsigned char *bytes, uint64_t *page, struct iovec *spans)
{
	uint64_t pages = s->bytes / PAGE;
	size_t count = 1;

	for (size_t i = 0; i < BATCH; i++) {
		spans[i] = (struct iovec){ bytes + *page * PAGE, PAGE };
		*page = (*page + stride_of(s)) % pages;
	}
	qsort(spans, BATCH, sizeof(*spans), before);
	for (size_t i = 1; i < BATCH; i++) {
		struct iovec *last = &spans[count - 1];

		if ((unsigned char *)last->iov_base + last->iov_len == spans[i].iov_base)
			last->iov_len += PAGE;
		else
			spans[count++] = spans[i];
	}
	return count;
}

/* The kernel alone: pages that are taken out of a page table in the same batches by one call each, and of a memfd are given
 * back, a call a span. It chooses nothing, asks nothing and keeps no books. In ns a page; below 0: refused (before 6.13). */
static double least(const struct setup *s)
{
	int fd = s->protection == QUIRE_READ ? -1 : memfd_create("bench-least", MFD_CLOEXEC);
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	double times[BATCHES_MAX];
	struct iovec spans[BATCH];
	struct company company;
	unsigned char *bytes;
	uint64_t page = 0;
	int count = 0;

	bench_must(fd < 0 || ftruncate(fd, (off_t)s->bytes) == 0, "memfd");
	bytes = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE,
		fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	bench_must(bytes != MAP_FAILED && self >= 0, "memory");
	(void)madvise(bytes, s->bytes, MADV_NOHUGEPAGE);
	for (uint64_t at = 0; at < s->bytes; at += PAGE)
		bytes[at] = 1;
	company_begin(&company, 1);
	for (uint64_t left = s->bytes / PAGE / 2; left >= BATCH && count < BATCHES_MAX; left -= BATCH) {
		size_t n = next_batch(s, bytes, &page, spans);
		uint64_t began = cpu_ns();

		if (syscall(SYS_process_madvise, self, spans, n, MADV_DONTNEED, 0) != (long)BATCH * PAGE)
			break;
		for (size_t i = 0; fd >= 0 && i < n; i++)
			bench_must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					   (unsigned char *)spans[i].iov_base - bytes,
					   (off_t)spans[i].iov_len) == 0,
				"fallocate");
		times[count++] = (double)(cpu_ns() - began) / BATCH;
	}
	company_end(&company);
	munmap(bytes, s->bytes);
	close(self);
	if (fd >= 0)
		close(fd);
	return count == 0 ? -1 : bench_quantile(times, count, 0.5);
}

static struct bench_pairs measure(
	const struct setup *like, const char *floor, uint32_t protection, bool scattered, bool written)
{
	struct setup s = *like;

	s.protection = protection;
	s.scattered = scattered;
	s.written = written;
	if (floor != NULL)
		bench_figure(floor, least(&s) / 1000, "us");
	return bench_pairs(ours, singly, &s);
}

int main(void)
{
	struct setup s = { .bytes = bench_quick() ? 16 * MIB : 128 * MIB };
	uint32_t both = QUIRE_READ | QUIRE_WRITE;
	struct bench_pairs pairs;

	s.fd = known_file(s.bytes);
	s.read_only = reopen(s.fd, 0);
	pairs = measure(&s, "pager.evict.read-only.floor", QUIRE_READ, true, false);
	bench_goal("pager.evict.read-only", pairs.ours_ns / 1000, &pairs);
	bench_figure("pager.evict.singly", pairs.theirs_ns / 1000, "us");
	pairs = measure(&s, "pager.evict.writable.floor", both, false, false);
	bench_goal("pager.evict.writable", pairs.ours_ns / 1000, &pairs);
	pairs = measure(&s, "pager.evict.writable.scattered.floor", both, true, false);
	bench_figure("pager.evict.writable.scattered", pairs.ours_ns / 1000, "us");
	pairs = measure(&s, NULL, both, false, true);
	bench_figure("pager.evict.written", pairs.ours_ns / 1000, "us");
	return 0;
}
