/* SPDX-License-Identifier: Apache-2.0 */
#include <liburing.h>

#include "cgroup.h"
#include "cold.h"

struct cold_result *cold_shared;

/* ---- a way in a process of its own ---- */

double cold_run(cold_way *way, struct cold *cold, const char *group)
{
	int status;
	pid_t child;

	cold->seed = cold->seed * 6364136223846793005U + 1442695040888963407U;
	*cold_shared = (struct cold_result){ .speed = 0 };
	bench_must(posix_fadvise(cold->fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise");
	child = fork();
	bench_must(child >= 0, "fork");
	if (child == 0) {
		bench_must(group == NULL || cgroup_enter(group) == 0, "cannot enter the cgroup");
		cold_shared->speed = way(cold);
		_exit(0);
	}
	bench_must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
		"a way has failed");
	return cold_shared->speed;
}

/* ---- readers ---- */

struct reader {
	const struct cold *cold;
	const unsigned char *bytes;
	uint64_t state;
	uint64_t reads;
	pthread_t thread;
};

static void check(uint64_t page, uint64_t word)
{
	bench_must(word == word_of(page * PAGE_WORDS), "a page was wrong");
}

static void *load_pages(void *user)
{
	struct reader *r = user;
	uint64_t pages = r->cold->bytes / PAGE;
	uint64_t end = bench_ns() + r->cold->run_ns;

	do {
		uint64_t page = next_random(&r->state) % pages;

		check(page, *(const volatile uint64_t *)(const void *)(r->bytes + page * PAGE));
		r->reads++;
	} while (bench_ns() < end);
	return NULL;
}

static double with_readers(const struct cold *cold, const unsigned char *bytes, void *(*run)(void *))
{
	struct reader readers[READERS_MAX];
	uint64_t began = bench_ns();
	uint64_t reads = 0;

	for (unsigned int i = 0; i < cold->readers; i++) {
		readers[i] = (struct reader){
			.cold = cold, .bytes = bytes, .state = (cold->seed + i * 77777) | 1
		};
		if (cold->readers == 1)
			(void)run(&readers[i]);
		else
			bench_must(pthread_create(&readers[i].thread, NULL, run, &readers[i]) == 0, "thread");
	}
	for (unsigned int i = 0; i < cold->readers; i++) {
		if (cold->readers > 1)
			pthread_join(readers[i].thread, NULL);
		reads += readers[i].reads;
	}
	return (double)reads * 1e9 / (double)(bench_ns() - began);
}

double cold_read_pages(const struct cold *cold, const unsigned char *bytes)
{
	return with_readers(cold, bytes, load_pages);
}

/* ---- ours ---- */

static int64_t memory_before;

static void open_ours(const struct cold *cold, struct paged *paged, uint32_t advice)
{
	memory_before = memory_of_process();
	paged_pool(paged, cold->bound, 0, QUIRE_DELIVERY_INLINE);
	paged_file(paged, cold->fd, QUIRE_READ, advice);
}

static void note_memory(const struct cold *cold, struct paged *paged)
{
	struct quire_pool_stats stats = paged_stats(paged);

	/* Frames, books, rings: all that is there now and was not before the pool. */
	cold_shared->over = (double)(memory_of_process() - memory_before) / (double)cold->bound;
	cold_shared->waits = stats.waits;
}

double cold_ours(const struct cold *cold)
{
	struct paged paged;
	double speed;

	open_ours(cold, &paged, QUIRE_RANDOM);
	speed = with_readers(cold, paged.bytes, load_pages);
	note_memory(cold, &paged);
	paged_close(&paged);
	return speed;
}

/* ---- the list known AHEAD pages before ---- */

typedef void ask_fn(void *user, const uint64_t *pages, unsigned int count);

enum { ASK_AT_ONCE = 8 };

/* Reads the pages of a list of which `ask` hears AHEAD pages before they are read. */
static double read_list(const struct cold *cold, const unsigned char *bytes, ask_fn *ask, void *user)
{
	uint64_t pages = cold->bytes / PAGE;
	uint64_t state = cold->seed | 1;
	uint64_t list[AHEAD];
	uint64_t began = bench_ns();
	uint64_t end = began + cold->run_ns;
	uint64_t reads = 0;

	for (unsigned int i = 0; i < AHEAD; i++)
		list[i] = next_random(&state) % pages;
	ask(user, list, AHEAD);
	do {
		unsigned int first = (unsigned int)(reads % AHEAD);

		for (unsigned int i = first; i < first + ASK_AT_ONCE; i++) {
			uint64_t page = list[i];

			check(page, *(const volatile uint64_t *)(const void *)(bytes + page * PAGE));
			list[i] = next_random(&state) % pages;
		}
		ask(user, list + first, ASK_AT_ONCE);
		reads += ASK_AT_ONCE;
	} while (bench_ns() < end);
	return (double)reads * 1e9 / (double)(bench_ns() - began);
}

static void prefetch(void *user, const uint64_t *pages, unsigned int count)
{
	struct paged *paged = user;
	struct quire_range ranges[AHEAD];

	for (unsigned int i = 0; i < count; i++)
		ranges[i] = (struct quire_range){ pages[i] * PAGE, PAGE };
	bench_must(quire_map_prefetch(paged->map, ranges, count) >= 0, quire_error_text());
}

double cold_ours_listed(const struct cold *cold)
{
	struct paged paged;
	double speed;

	open_ours(cold, &paged, QUIRE_RANDOM);
	speed = read_list(cold, paged.bytes, prefetch, &paged);
	note_memory(cold, &paged);
	paged_close(&paged);
	return speed;
}

/* ---- the kernel's mapping ---- */

static unsigned char *map_file(const struct cold *cold, int advice)
{
	unsigned char *bytes = mmap(NULL, cold->bytes, PROT_READ, MAP_SHARED, cold->fd, 0);

	bench_must(bytes != MAP_FAILED && madvise(bytes, cold->bytes, advice) == 0, "mmap");
	return bytes;
}

double cold_mmap(const struct cold *cold)
{
	return with_readers(cold, map_file(cold, MADV_NORMAL), load_pages);
}

double cold_mmap_random(const struct cold *cold)
{
	return with_readers(cold, map_file(cold, MADV_RANDOM), load_pages);
}

static void willneed(void *user, const uint64_t *pages, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		bench_must(madvise((unsigned char *)user + pages[i] * PAGE, PAGE, MADV_WILLNEED) == 0,
			"madvise");
}

double cold_mmap_willneed(const struct cold *cold)
{
	unsigned char *bytes = map_file(cold, MADV_RANDOM);

	return read_list(cold, bytes, willneed, bytes);
}

/* ---- reads ---- */

static void *pread_pages(void *user)
{
	struct reader *r = user;
	uint64_t pages = r->cold->bytes / PAGE;
	uint64_t end = bench_ns() + r->cold->run_ns;
	uint64_t *buffer = aligned_alloc(PAGE, PAGE);

	bench_must(buffer != NULL, "memory");
	do {
		uint64_t page = next_random(&r->state) % pages;

		bench_must(pread(r->cold->direct, buffer, PAGE, (off_t)(page * PAGE)) == PAGE, "pread");
		check(page, buffer[0]);
		r->reads++;
	} while (bench_ns() < end);
	free(buffer);
	return NULL;
}

double cold_pread(const struct cold *cold)
{
	return with_readers(cold, NULL, pread_pages);
}

/* AHEAD reads in flight, past the page cache, registered buffers and file; submitted and collected in eights. */
struct flood {
	const struct cold *cold;
	struct io_uring ring;
	unsigned char *buffer;
	uint64_t asked[AHEAD];
	uint64_t state;
};

static void flood_ask(struct flood *f, uint64_t slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&f->ring);

	bench_must(sqe != NULL, "the ring is full");
	if (sqe == NULL)
		return;
	f->asked[slot] = next_random(&f->state) % (f->cold->bytes / PAGE);
	io_uring_prep_read_fixed(sqe, 0, f->buffer + slot * PAGE, PAGE, f->asked[slot] * PAGE, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, slot);
}

static void flood_open(struct flood *f)
{
	struct iovec whole;

	f->buffer = aligned_alloc(PAGE, AHEAD * PAGE);
	whole = (struct iovec){ f->buffer, AHEAD * PAGE };
	bench_must(f->buffer != NULL && io_uring_queue_init(AHEAD, &f->ring, 0) == 0, "io_uring");
	bench_must(io_uring_register_buffers(&f->ring, &whole, 1) == 0, "register");
	bench_must(io_uring_register_files(&f->ring, &f->cold->direct, 1) == 0, "register");
}

double cold_ring(const struct cold *cold)
{
	struct flood f = { .cold = cold, .state = cold->seed | 1 };
	uint64_t began = bench_ns();
	uint64_t end = began + cold->run_ns;
	uint64_t reads = 0;

	flood_open(&f);
	for (unsigned int i = 0; i < AHEAD; i++)
		flood_ask(&f, i);
	do {
		struct io_uring_cqe *done[AHEAD];
		unsigned int n;

		bench_must(io_uring_submit_and_wait(&f.ring, ASK_AT_ONCE) >= 0, "submit");
		n = io_uring_peek_batch_cqe(&f.ring, done, AHEAD);
		for (unsigned int k = 0; k < n; k++) {
			uint64_t slot = io_uring_cqe_get_data64(done[k]);

			bench_must(done[k]->res == PAGE, "a read came short");
			check(f.asked[slot], *(uint64_t *)(void *)(f.buffer + slot * PAGE));
			flood_ask(&f, slot);
		}
		io_uring_cq_advance(&f.ring, n);
		reads += n;
	} while (bench_ns() < end);
	return (double)reads * 1e9 / (double)(bench_ns() - began);
}

/* ---- sequential: every word, once; bytes a second ---- */

static double add_up(const struct cold *cold, const unsigned char *bytes)
{
	const uint64_t *words = (const void *)bytes;
	uint64_t began = bench_ns();
	uint64_t sum = 0;

	for (uint64_t i = 0; i < cold->bytes / 8; i++)
		sum += words[i];
	bench_must(sum == sum_of_file(cold->bytes), "the sum is wrong");
	return (double)cold->bytes * 1e9 / (double)(bench_ns() - began);
}

double cold_ours_sequential(const struct cold *cold)
{
	struct paged paged;
	double speed;

	open_ours(cold, &paged, QUIRE_SEQUENTIAL);
	speed = add_up(cold, paged.bytes);
	note_memory(cold, &paged);
	paged_close(&paged);
	return speed;
}

double cold_mmap_sequential(const struct cold *cold)
{
	return add_up(cold, map_file(cold, MADV_NORMAL));
}

double cold_mmap_sequential_hinted(const struct cold *cold)
{
	return add_up(cold, map_file(cold, MADV_SEQUENTIAL));
}

double cold_pread_sequential(const struct cold *cold)
{
	uint64_t *buffer = aligned_alloc(PAGE, MIB);
	uint64_t began = bench_ns();
	uint64_t sum = 0;

	bench_must(buffer != NULL, "memory");
	for (uint64_t at = 0; at < cold->bytes; at += MIB) {
		bench_must(pread(cold->direct, buffer, MIB, (off_t)at) == MIB, "pread");
		for (unsigned int i = 0; i < MIB / 8; i++)
			sum += buffer[i];
	}
	bench_must(sum == sum_of_file(cold->bytes), "the sum is wrong");
	return (double)cold->bytes * 1e9 / (double)(bench_ns() - began);
}
