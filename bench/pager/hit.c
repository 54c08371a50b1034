/* SPDX-License-Identifier: Apache-2.0 */
/* Loads of resident pages: through a paged mapping's pointer, and guarded, beside the same loads through raw mmap's. */
#include "common.h"

/* `bytes` much larger than the second-level cache for plain hits, so that loads go through page tables; 256 KiB for guarded
 * ones, where nothing hides what they cost. */
enum { LOADS = 1 << 14, ROUNDS = 25, PLAIN_BYTES = 32 * MIB, GUARDED_BYTES = 256 << 10, BLOCK_LOADS = 64 };

struct hit {
	struct quire_map *map;
	const uint64_t *ours;
	const uint64_t *theirs;
	uint64_t words;
	uint64_t expected;
	uint64_t (*how)(const struct hit *hit);
};

static uint64_t plain(const uint64_t *words, uint64_t count)
{
	uint64_t state = 88172645463325252U;
	uint64_t sum = 0;

	for (int i = 0; i < LOADS; i++)
		sum += words[next_random(&state) & (count - 1)];
	return sum;
}

static uint64_t plain_ours(const struct hit *hit)
{
	return plain(hit->ours, hit->words);
}

/* A block for what a program does between two looks at errors. */
static uint64_t in_blocks(const struct hit *hit)
{
	volatile uint64_t state = 88172645463325252U;
	volatile uint64_t total = 0;

	for (int i = 0; i < LOADS; i += BLOCK_LOADS) {
		QUIRE_TRY(error)
		{
			uint64_t inside = state;
			uint64_t sum = 0;

			for (int j = 0; j < BLOCK_LOADS; j++)
				sum += hit->ours[next_random(&inside) & (hit->words - 1)];
			total += sum;
			state = inside;
		}
		QUIRE_CATCH(error)
		bench_die(__FILE__, __LINE__, "error == 0", quire_error_text());
	}
	return total;
}

static uint64_t one_call_each(const struct hit *hit)
{
	uint64_t state = 88172645463325252U;
	uint64_t sum = 0;

	for (int i = 0; i < LOADS; i++) {
		uint64_t at = next_random(&state) & (hit->words - 1);
		uint64_t word = 0;

		must(quire_map_try_read(hit->map, at * 8, &word, 8));
		sum += word;
	}
	return sum;
}

/* The quickest of a few rounds, per load. */
static double best_of(const struct hit *hit, bool mine)
{
	double best = 1e18;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t began = bench_ns();
		uint64_t sum = mine ? hit->how(hit) : plain(hit->theirs, hit->words);
		double ns = (double)(bench_ns() - began) / LOADS;

		bench_must(sum == hit->expected, "a load was wrong");
		best = ns < best ? ns : best;
	}
	return best;
}

static double ours(void *arg)
{
	return best_of(arg, true);
}

static double theirs(void *arg)
{
	return best_of(arg, false);
}

/* The page cache as it is after random reads, which are what a pager is for: pages of 4 KiB, anywhere. Or after a read from
 * end to end, which leaves folios of up to 2 MiB that one entry of the page table maps. */
static void fill_cache(int fd, unsigned char *peer, uint64_t bytes, bool huge)
{
	uint64_t pages = bytes / PAGE;
	uint64_t sum = 0;

	bench_must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise");
	bench_must(madvise(peer, bytes, huge ? MADV_SEQUENTIAL : MADV_RANDOM) == 0, "madvise");
	for (uint64_t i = 0, page = 0; i < pages; i++, page = (page + (huge ? 1 : 1000003)) % pages)
		sum += peer[page * PAGE];
	bench_must(madvise(peer, bytes, MADV_POPULATE_READ) == 0 && sum > 0, "madvise");
}

static void measure(
	int fd, uint64_t bytes, uint64_t (*how)(const struct hit *), const char *goal, bool speed, bool huge)
{
	void *peer;
	struct hit hit = { .words = bytes / 8, .how = how };
	struct bench_pairs pairs;
	struct paged paged;

	paged_pool(&paged, bytes * 2, 0, QUIRE_DELIVERY_INLINE);
	must(quire_map_fd(NULL, fd,
		QUIRE_OPTIONS(map, .engine = QUIRE_ENGINE_PAGED, .pool = paged.pool, .protection = QUIRE_READ,
			.length = bytes, .guard = QUIRE_GUARD_TRY),
		&paged.map));
	hit.map = paged.map;
	hit.ours = quire_map_address(paged.map);
	peer = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	bench_must(peer != MAP_FAILED, "mmap");
	fill_cache(fd, peer, bytes, huge);
	hit.theirs = peer;
	hit.expected = plain(hit.theirs, hit.words);
	for (uint64_t i = 0, page = 0; i < hit.words;
		i += PAGE_WORDS, page = (page + 1000003) % (bytes / PAGE))
		bench_must(hit.ours[page * PAGE_WORDS] == word_of(page * PAGE_WORDS), "a page was wrong");
	pairs = bench_pairs(ours, theirs, &hit);
	if (goal[0] == '~')
		bench_figure(goal + 1, pairs.ratio, "x");
	else
		bench_goal(goal, speed ? 1 / pairs.ratio : pairs.ratio, &pairs);
	munmap(peer, bytes);
	paged_close(&paged);
}

int main(void)
{
	int fd = known_file(PLAIN_BYTES);

	bench_pin(1);
	measure(fd, PLAIN_BYTES, plain_ours, "pager.hit", true, false);
	measure(fd, PLAIN_BYTES, plain_ours, "pager.hit.huge", true, true);
	measure(fd, GUARDED_BYTES, in_blocks, "pager.guarded", false, false);
	measure(fd, GUARDED_BYTES, one_call_each, "~pager.guarded.call", false, false);
	return 0;
}
