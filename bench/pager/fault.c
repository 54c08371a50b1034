/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fault whose data is in memory already, beside the bare loop that does nothing else, and beside the kernel's own fault
 * on a memfd. Every page is touched once, in order; its first word must be right.
 */
#include "bare.h"
#include "common.h"

struct setup {
	size_t bytes;
	int memfd; /* of the peers: all pages are there */
	uint64_t *master;
	uint32_t delivery;
	uint32_t unit_bytes;
	bool store;
	unsigned int processor;         /* of who faults */
	unsigned int handler_processor; /* of who answers, with threads */
};

enum { CHUNK = 64 };

static uint64_t touch_chunk(unsigned char *bytes, size_t first, bool store)
{
	uint64_t wrong = 0;

	for (size_t at = first; at < first + CHUNK * PAGE; at += PAGE) {
		if (store)
			*(volatile uint64_t *)(void *)(bytes + at + 8) = at;
		else
			wrong += *(volatile uint64_t *)(void *)(bytes + at) != word_of(at / 8);
	}
	return wrong;
}

/* The time of a page, the median of chunks: a millisecond in which somebody else had the processor spoils one of them.
 * A wrong word is no time. */
static double touch(const struct setup *s, unsigned char *bytes, bool store)
{
	size_t count = s->bytes / PAGE / CHUNK;
	double *chunks = malloc(count * sizeof(*chunks));
	uint64_t wrong = 0;
	double ns;

	bench_must(chunks != NULL, "memory");
	for (size_t i = 0; i < count; i++) {
		uint64_t began = bench_ns();

		wrong += touch_chunk(bytes, i * CHUNK * PAGE, store);
		chunks[i] = (double)(bench_ns() - began) / CHUNK;
	}
	bench_must(wrong == 0, "a page was wrong");
	ns = bench_quantile(chunks, (int)count, 0.5);
	free(chunks);
	return ns;
}

/* ---- ours ---- */

static int get(void *user, uint64_t offset, void *memory, size_t length)
{
	memcpy(memory, (const char *)user + offset, length);
	return 0;
}

static int put(void *user, uint64_t offset, const void *memory, size_t length)
{
	(void)user;
	(void)offset;
	(void)memory;
	(void)length;
	return 0;
}

/* A mapping whose pages are all in the pool and entered nowhere: as after a prefetch. */
static void open_prefetched(struct paged *paged, const struct setup *s)
{
	struct quire_object *object;

	bench_pin(s->handler_processor); /* threads inherit it */
	paged_pool(paged, s->bytes * 2, s->unit_bytes, s->delivery);
	bench_pin(s->processor);
	must(quire_object_open(QUIRE_OPTIONS(object, .user = s->master, .get = get, .put = put,
				       .length = s->bytes, .signal_safe = 1),
		&object));
	must(quire_map(NULL,
		QUIRE_OPTIONS(map, .object = object, .engine = QUIRE_ENGINE_PAGED, .pool = paged->pool,
			.sharing = QUIRE_SHARED, .protection = QUIRE_READ | QUIRE_WRITE,
			.advice = QUIRE_RANDOM),
		&paged->map));
	quire_object_close(object);
	paged->bytes = quire_map_address(paged->map);
	for (size_t at = 0; at < s->bytes; at += MIB) {
		const struct quire_range range = { at, MIB };

		bench_must(quire_map_prefetch(paged->map, &range, 1) == MIB / PAGE, "prefetch");
	}
}

static double ours(void *arg)
{
	const struct setup *s = arg;
	struct paged paged;
	double ns;

	open_prefetched(&paged, s);
	ns = touch(s, paged.bytes, s->store);
	bench_must(paged_stats(&paged).waits == 0, "a fault evicted though frames were free");
	paged_close(&paged);
	return ns;
}

/* ---- peers ---- */

static double bare(void *arg)
{
	const struct setup *s = arg;
	bool in_signal = s->delivery == QUIRE_DELIVERY_INLINE;
	struct bare bare;
	double ns;

	bench_pin(s->handler_processor);
	bare_open(&bare, s->memfd, s->bytes, in_signal);
	bench_pin(s->processor);
	ns = touch(s, bare.view, false);
	bare_close(&bare, in_signal);
	return ns;
}

/* A store, so that the kernel maps one page a fault. */
static double kernel(void *arg)
{
	const struct setup *s = arg;
	unsigned char *view = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
	double ns;

	bench_must(view != MAP_FAILED, "mmap");
	bench_pin(s->processor);
	ns = touch(s, view, true);
	munmap(view, s->bytes);
	return ns;
}

/* ---- both at once ---- */

enum { BOOKS_ROUNDS = 9 };

struct books {
	double *difference; /* of chunks, all rounds */
	double *ours;
	double *theirs;
	int count;
};

static double chunk_ns(unsigned char *bytes, size_t chunk)
{
	uint64_t began = bench_ns();
	uint64_t wrong = touch_chunk(bytes, chunk * CHUNK * PAGE, false);
	uint64_t took = bench_ns() - began;

	bench_must(wrong == 0, "a page was wrong");
	return (double)took / CHUNK;
}

/* A chunk of the bare loop's, a chunk of ours; each has its handler installed before the clock is read. */
static void books_round(const struct setup *s, struct books *books)
{
	struct sigaction action;
	struct paged paged;
	struct bare bare;

	open_prefetched(&paged, s);
	bare_open(&bare, s->memfd, s->bytes, true);
	bench_must(sigaction(SIGBUS, NULL, &action) == 0, "sigaction");
	for (size_t chunk = 0; chunk < s->bytes / PAGE / CHUNK; chunk++) {
		int i = books->count++;

		bench_must(sigaction(SIGBUS, &action, NULL) == 0, "sigaction");
		books->theirs[i] = chunk_ns(bare.view, chunk);
		bench_must(sigaction(SIGBUS, &bare.before, NULL) == 0, "sigaction");
		books->ours[i] = chunk_ns(paged.bytes, chunk);
		books->difference[i] = books->ours[i] - books->theirs[i];
	}
	bare_close(&bare, true);
	paged_close(&paged);
}

/* The books of a fault are a twentieth of it: two runs of a minute apart differ by more than that, whatever they measure (14 to
 * 536 ns were printed in three runs of one build). Chunks a fifth of a millisecond apart do not, and what is asked for is the
 * median of their differences. */
static void fault_books(const struct setup *s)
{
	size_t room = BOOKS_ROUNDS * s->bytes / PAGE / CHUNK * sizeof(double);
	struct books books = { .difference = malloc(room), .ours = malloc(room), .theirs = malloc(room) };
	struct bench_pairs pairs = { .n = BOOKS_ROUNDS };
	double median;

	bench_must(books.difference != NULL && books.ours != NULL && books.theirs != NULL, "memory");
	for (int i = 0; i < BOOKS_ROUNDS; i++)
		books_round(s, &books);
	median = bench_quantile(books.difference, books.count, 0.5);
	pairs.spread = (bench_quantile(books.difference, books.count, 0.75) -
			       bench_quantile(books.difference, books.count, 0.25)) /
		median;
	pairs.ours_ns = bench_quantile(books.ours, books.count, 0.5);
	pairs.theirs_ns = bench_quantile(books.theirs, books.count, 0.5);
	bench_goal("pager.fault.books", median, &pairs);
	free(books.difference);
	free(books.ours);
	free(books.theirs);
}

/* ---- goals ---- */

/* What the bare loop takes, of the kernel's fault: no engine of ours can take less. */
static void floor_of(const char *name, struct setup *s)
{
	struct bench_pairs pairs = bench_pairs(bare, kernel, s);

	bench_figure(name, pairs.ratio, "x");
}

static void inline_faults(struct setup *s)
{
	struct bench_pairs pairs;

	s->delivery = QUIRE_DELIVERY_INLINE;
	pairs = bench_pairs(ours, bare, s);
	bench_goal("pager.fault.inline", pairs.ratio, &pairs);
	fault_books(s);
	pairs = bench_pairs(ours, kernel, s);
	bench_goal("pager.fault.inline.memfd", pairs.ratio, &pairs);
	floor_of("pager.fault.inline.memfd.floor", s);
	s->unit_bytes = bare_bytes = 64 << 10;
	pairs = bench_pairs(ours, kernel, s);
	bench_goal("pager.fault.64k", pairs.ratio, &pairs);
	floor_of("pager.fault.64k.floor", s);
	s->unit_bytes = 0;
	bare_bytes = PAGE;
}

static void thread_faults(struct setup *s)
{
	struct bench_pairs pairs;

	s->delivery = QUIRE_DELIVERY_THREAD;
	pairs = bench_pairs(ours, bare, s);
	bench_goal("pager.fault.thread", pairs.ratio, &pairs);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	s->handler_processor = 1;
	s->bytes /= 8; /* 60 us a fault where a sleeping thread has to be woken on another processor */
	pairs = bench_pairs(ours, bare, s);
	bench_goal("pager.fault.thread.apart", pairs.ratio, &pairs);
}

int main(void)
{
	struct setup s = { .bytes = bench_quick() ? 8 * MIB : 64 * MIB };

	s.memfd = bare_memfd(s.bytes + PAGE);
	s.master = malloc(s.bytes);
	bench_must(s.master != NULL, "memory");
	fill_words(s.master, 0, s.bytes / 8);
	inline_faults(&s);
	thread_faults(&s);
	return 0;
}
