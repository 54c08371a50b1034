/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIRE_ORDERED: what a program stores goes to the file by its flushes alone, and in their order. A child stores epoch after
 * epoch under a pool that is smaller than the file, and dies of SIGKILL at some moment; then the file is read.
 *
 * Each store to a page writes its epoch to the first word and then to the last; pages and order come from the epoch's number,
 * so that the reader knows which page was stored in which.
 */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"

enum { PAGES = 256, FRAMES = 96, STORES = 16, LOADS = 160, WORDS = 512 };

static unsigned long seed;

/* How far the child is; in shared memory, so that it outlives it. */
struct progress {
	atomic_uint lives;    /* of the file: writers that have begun */
	atomic_uint acked;    /* epochs that were flushed; without QUIRE_ORDERED those that were stored */
	atomic_uint flushing; /* acked, or the one behind it while it is flushed */
};

static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static uint64_t begin_epoch(unsigned int epoch)
{
	return seed * 2654435761u + epoch;
}

static struct quire_map *open_map(
	const char *path, uint32_t delivery, uint32_t flags, struct quire_pool **pool)
{
	struct quire_map *map;

	assert_int_equal(
		quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = FRAMES * PAGE, .delivery = delivery,
					.syscalls_only_pinned = delivery == QUIRE_DELIVERY_INLINE),
			pool),
		0);
	assert_int_equal(quire_map(NULL,
				 QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .pool = *pool,
					 .protection = QUIRE_READ | QUIRE_WRITE, .flags = flags),
				 &map),
		0);
	return map;
}

static void write_for_ever(
	const char *path, uint32_t delivery, uint32_t flags, struct progress *progress, unsigned int from)
{
	struct quire_pool *pool;
	struct quire_map *map = open_map(path, delivery, flags, &pool);
	volatile uint64_t *words = quire_map_address(map);
	uint64_t other = seed;

	atomic_fetch_add(&progress->lives, 1);
	for (unsigned int epoch = from;; epoch++) {
		uint64_t state = begin_epoch(epoch);

		for (unsigned int i = 0; i < STORES; i++) {
			volatile uint64_t *page = words + next(&state) % PAGES * WORDS;

			page[0] = epoch;
			page[WORDS - 1] = epoch;
			for (unsigned int n = 0; n < LOADS / STORES; n++)
				(void)words[next(&other) % PAGES * WORDS]; /* so that frames are wanted */
		}
		if (flags !=
			QUIRE_ORDERED) { /* no flush: whatever is in the file, eviction alone has written */
			atomic_store(&progress->acked, epoch);
			continue;
		}
		atomic_store(&progress->flushing, epoch);
		if (quire_map_flush(map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE) < 0)
			_exit(1);
		atomic_store(&progress->acked, epoch);
	}
}

/* The last epoch up to `limit` that stored into each page. */
static void expect(unsigned int limit, unsigned int expected[PAGES])
{
	memset(expected, 0, PAGES * sizeof(expected[0]));
	for (unsigned int epoch = 1; epoch <= limit; epoch++) {
		uint64_t state = begin_epoch(epoch);

		for (unsigned int i = 0; i < STORES; i++)
			expected[next(&state) % PAGES] = epoch;
	}
}

struct found {
	unsigned int torn;
	unsigned int lost;
	unsigned int early; /* stores that no flush had begun to write */
	unsigned int epochs;
};

static void read_file(int fd, const struct progress *progress, struct found *found)
{
	unsigned int least[PAGES];
	uint64_t words[WORDS];

	expect(atomic_load(&progress->acked), least);
	for (unsigned int page = 0; page < PAGES; page++) {
		assert_int_equal(pread(fd, words, sizeof(words), (off_t)page * (off_t)PAGE), PAGE);
		found->torn += words[0] < words[WORDS - 1];
		found->lost += words[WORDS - 1] < least[page];
		found->early += words[0] > atomic_load(&progress->flushing);
	}
}

/* However long it takes: a busy disk flushes some epochs a second. */
static void wait_until(const atomic_uint *number, unsigned int least, pid_t child)
{
	while (atomic_load(number) < least) {
		assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
		(void)usleep(1000);
	}
}

/* A writer lives for `us` microseconds, and until so many epochs are acknowledged. */
static void kill_one(const char *path, int fd, uint32_t delivery, uint32_t flags, struct progress *progress,
	unsigned int us, unsigned int epochs, struct found *found)
{
	unsigned int from = atomic_load(&progress->acked) + 1;
	unsigned int lives = atomic_load(&progress->lives);
	pid_t child = fork();
	int status;

	if (child == 0)
		write_for_ever(path, delivery, flags, progress, from);
	wait_until(&progress->lives, lives + 1, child);
	(void)usleep(us);
	wait_until(&progress->acked, epochs, child);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	read_file(fd, progress, found);
}

/* Lives of one file, each begun where the last was acknowledged; the first has so many epochs at least. */
static void use_one_file(
	uint32_t delivery, uint32_t flags, unsigned int kills, unsigned int epochs, struct found *all)
{
	struct progress *progress = mmap(
		NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t state = seed + all->epochs;
	char path[64];
	int fd = named_file_of((size_t)PAGES * PAGE, path);

	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, (off_t)PAGES * (off_t)PAGE), 0);
	while (kills-- > 0)
		kill_one(path, fd, delivery, flags, progress, 2000 + (unsigned int)(next(&state) % 30000),
			epochs, all);
	all->epochs += atomic_load(&progress->acked);
	close(fd);
	unlink(path);
	assert_int_equal(munmap(progress, PAGE), 0);
}

static void killed_at_any_moment_the_file_holds_whole_epochs_in_order(void **state)
{
	static const uint32_t deliveries[] = { QUIRE_DELIVERY_THREAD, QUIRE_DELIVERY_INLINE };

	(void)state;
	for (int d = 0; d < 2; d++) {
		struct found found = { 0 };

		for (long file = count_of(1, 3, 250); file > 0; file--)
			use_one_file(deliveries[d], QUIRE_ORDERED, 8, 1, &found);
		assert_int_equal(found.torn, 0);
		assert_int_equal(found.lost, 0);
		assert_int_equal(found.early, 0);
		assert_true(found.epochs > 0);
	}
}

/* The flag is what keeps them: eviction alone writes when it wants, and these epochs are more than the pool can hold. */
static void without_the_flag_pages_leave_as_eviction_wants(void **state)
{
	struct found found = { 0 };

	(void)state;
	use_one_file(QUIRE_DELIVERY_THREAD, 0, 1, 10 * PAGES / STORES, &found);
	assert_true(found.early > 0);
}

static void it_is_for_shared_paged_mappings(void **state)
{
	struct quire_map *map;
	char path[64];
	int fd = named_file_of(4 * PAGE, path);

	(void)state;
	assert_int_equal(
		quire_map(NULL, QUIRE_OPTIONS(map, .path = path, .flags = QUIRE_ORDERED), &map), -EINVAL);
	assert_int_equal(
		quire_map(NULL,
			QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED,
				.cache_bytes = 4 * PAGE, .sharing = QUIRE_PRIVATE, .flags = QUIRE_ORDERED),
			&map),
		-EINVAL);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_any_moment_the_file_holds_whole_epochs_in_order),
		cmocka_unit_test(without_the_flag_pages_leave_as_eviction_wants),
		cmocka_unit_test(it_is_for_shared_paged_mappings),
	};

	seed = seed_of("serve/ordered");
	return RUN(tests);
}
