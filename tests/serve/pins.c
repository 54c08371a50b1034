/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools where nothing may fault: pages are reachable while they are pinned, and an error at any other time. No userfaultfd
 * is needed for it; AUTO chooses it where a filter forbids that, and says so.
 */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <quire/quire.h>

#include "support/child.h"

enum { PAGE = 4096, FILE_PAGES = 512, POOL_PAGES = 48, THREADS = 3, PIN_PAGES = 6 };

static unsigned long seed;

static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* ---- ground ---- */

struct ground {
	char path[64];
	int fd;
	struct quire_pool *pool;
	struct quire_map *map;
	unsigned char *bytes;
};

static void make_file(struct ground *g)
{
	unsigned char page[PAGE];

	strcpy(g->path, "/var/tmp/quire-pins-XXXXXX");
	g->fd = mkstemp(g->path);
	EXPECT(g->fd >= 0);
	for (int i = 0; i < FILE_PAGES; i++) {
		memset(page, i % 251, sizeof(page));
		EXPECT_IS(write(g->fd, page, PAGE), PAGE);
	}
}

static void open_pool(struct ground *g, uint32_t delivery)
{
	char swap[80];

	(void)snprintf(swap, sizeof(swap), "%s.swap", g->path);
	EXPECT_IS(quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = POOL_PAGES * PAGE, .delivery = delivery,
					  .swap_path = swap),
			  &g->pool),
		0);
}

static void open_map(struct ground *g, uint32_t sharing, uint32_t guard)
{
	EXPECT_IS(quire_map(NULL,
			  QUIRE_OPTIONS(map, .path = g->path, .engine = QUIRE_ENGINE_PAGED, .pool = g->pool,
				  .sharing = sharing, .guard = guard, .protection = QUIRE_READ | QUIRE_WRITE),
			  &g->map),
		0);
	g->bytes = quire_map_address(g->map);
}

static void set_up(struct ground *g, uint32_t delivery, uint32_t sharing)
{
	make_file(g);
	open_pool(g, delivery);
	open_map(g, sharing, QUIRE_GUARD_ZEROS);
}

static void tear_down(struct ground *g)
{
	EXPECT_IS(quire_unmap(g->map), 0);
	EXPECT_IS(quire_pool_close(g->pool), 0);
	close(g->fd);
	unlink(g->path);
}

static struct quire_pool_stats stats_of(struct ground *g)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };

	EXPECT_IS(quire_pool_stats(g->pool, &stats), 0);
	return stats;
}

/* ---- pins against an array ---- */

static void use_range(struct ground *g, unsigned char *plain, uint64_t *state)
{
	size_t pages = 1 + next(state) % PIN_PAGES;
	size_t at = next(state) % (FILE_PAGES - pages) * PAGE;
	bool store = next(state) % 2 == 0;
	unsigned int wanted = store ? QUIRE_READ | QUIRE_WRITE : QUIRE_READ;

	EXPECT_IS(quire_map_pin(g->map, at, pages * PAGE, wanted), 0);
	EXPECT_IS(memcmp(g->bytes + at, plain + at, pages * PAGE), 0);
	for (size_t i = 0; store && i < pages; i++) {
		size_t byte = at + i * PAGE + next(state) % PAGE;

		g->bytes[byte] = plain[byte] = (unsigned char)next(state);
	}
	EXPECT_IS(quire_map_unpin(g->map, at, pages * PAGE), 0);
}

static void pins_show_what_an_array_holds(struct ground *g, uint32_t sharing)
{
	unsigned char *plain = malloc((size_t)FILE_PAGES * PAGE);
	unsigned char *back = malloc((size_t)FILE_PAGES * PAGE);
	uint64_t state = seed;

	EXPECT_IS(pread(g->fd, plain, (size_t)FILE_PAGES * PAGE, 0), FILE_PAGES * PAGE);
	for (long i = count_of(200, 1500, 50000); i > 0; i--) {
		use_range(g, plain, &state);
		if (i % 100 == 0 && sharing == QUIRE_SHARED)
			EXPECT_IS(quire_map_flush(g->map, 0, QUIRE_TO_END, QUIRE_FLUSH_SYNC), 0);
	}
	EXPECT_IS(quire_map_try_read(g->map, 0, back, (size_t)FILE_PAGES * PAGE), 0);
	EXPECT_IS(memcmp(back, plain, (size_t)FILE_PAGES * PAGE), 0);
	EXPECT(stats_of(g).used_bytes <= POOL_PAGES * PAGE);
	EXPECT(stats_of(g).evicted > 0);
	EXPECT_IS(stats_of(g).by_pin, stats_of(g).faults);
	EXPECT_IS(quire_map_flush(g->map, 0, QUIRE_TO_END, QUIRE_FLUSH_DURABLE), 0);
	EXPECT_IS(pread(g->fd, back, (size_t)FILE_PAGES * PAGE, 0), FILE_PAGES * PAGE);
	if (sharing == QUIRE_SHARED)
		EXPECT_IS(memcmp(back, plain, (size_t)FILE_PAGES * PAGE), 0);
	else /* private: the file is as it was */
		for (size_t i = 0; i < (size_t)FILE_PAGES * PAGE; i++)
			EXPECT_IS(back[i], i / PAGE % 251);
	free(plain);
	free(back);
}

static void pins_in_shared_and_private_mappings_larger_than_the_pool_body(void *none)
{
	static const uint32_t sharings[] = { QUIRE_SHARED, QUIRE_PRIVATE };

	(void)none;
	for (int i = 0; i < 2; i++) {
		struct ground g;

		set_up(&g, QUIRE_DELIVERY_PIN, sharings[i]);
		EXPECT_IS(stats_of(&g).delivery, QUIRE_DELIVERY_PIN);
		pins_show_what_an_array_holds(&g, sharings[i]);
		tear_down(&g);
	}
}
CHILD_CASE(pins_in_shared_and_private_mappings_larger_than_the_pool)

/* ---- outside of pins ---- */

static void touching_what_is_not_pinned_is_an_error_body(void *none)
{
	struct quire_fault fault = { .size = sizeof(fault) };
	struct ground g;
	int ends[2];
	char byte;

	(void)none;
	set_up(&g, QUIRE_DELIVERY_PIN, QUIRE_SHARED);
	EXPECT_IS(pipe(ends), 0);

	EXPECT_IS(quire_map_pin(g.map, 0, PAGE, QUIRE_READ), 0);
	EXPECT_IS(quire_map_pin(g.map, 5 * PAGE, PAGE, QUIRE_READ), 0);
	EXPECT_IS(quire_map_pin(g.map, 5 * PAGE, PAGE, QUIRE_READ | QUIRE_WRITE), 0);
	EXPECT_IS(
		write(ends[1], g.bytes + 5 * PAGE, 1), 1); /* what is pinned may be handed to a system call */
	EXPECT_IS(read(ends[0], &byte, 1), 1);
	EXPECT_IS(byte, 5);
	EXPECT_IS(quire_map_unpin(g.map, 5 * PAGE, PAGE), 0);
	EXPECT_IS(g.bytes[5 * PAGE], 5); /* the other pin holds it */
	EXPECT_IS(quire_map_unpin(g.map, 5 * PAGE, PAGE), 0);

	/* It is in the pool still, and out of reach at once: for copies, system calls, blocks, and plain loads. */
	EXPECT_IS(quire_copy_out(&byte, g.bytes + 5 * PAGE, 1), -EFAULT);
	EXPECT_IS(write(ends[1], g.bytes + 5 * PAGE, 1), -1);
	EXPECT_IS(errno, EFAULT);
	EXPECT_IS(quire_map_error(g.map, &fault), -EFAULT); /* what the copy met */
	EXPECT_IS(quire_map_repair(g.map), 0);
	EXPECT_IS(g.bytes[7 * PAGE + 3], 0); /* zeros, since that was asked for; and not silently: */
	EXPECT_IS(quire_map_error(g.map, &fault), -EFAULT);
	EXPECT_IS(fault.cause, QUIRE_CAUSE_NOT_PINNED);
	EXPECT_IS(fault.offset, 7 * PAGE + 3);
	EXPECT(strstr(quire_error_text(), "quire_map_pin") != NULL);
	EXPECT_IS(quire_map_repair(g.map), 0);
	EXPECT_IS(quire_map_error(g.map, NULL), 0);
	EXPECT_IS(g.bytes[3], 0); /* page 0 is pinned: its byte is 0 too, and no error */
	EXPECT_IS(quire_map_error(g.map, NULL), 0);
	EXPECT_IS(quire_map_pin(g.map, 7 * PAGE, PAGE, QUIRE_READ), 0);
	EXPECT_IS(g.bytes[7 * PAGE + 3], 7);
	EXPECT_IS(quire_map_unpin(g.map, 7 * PAGE, PAGE), 0);
	EXPECT_IS(quire_map_unpin(g.map, 0, PAGE), 0);
	close(ends[0]);
	close(ends[1]);
	tear_down(&g);
}
CHILD_CASE(touching_what_is_not_pinned_is_an_error)

static void touch_unguarded(void *none)
{
	struct ground g;

	(void)none;
	make_file(&g);
	open_pool(&g, QUIRE_DELIVERY_PIN);
	unlink(g.path);
	EXPECT_IS(
		quire_map_fd(NULL, g.fd,
			QUIRE_OPTIONS(map, .engine = QUIRE_ENGINE_PAGED, .pool = g.pool,
				.sharing = QUIRE_SHARED, .guard = QUIRE_GUARD_OFF, .protection = QUIRE_READ),
			&g.map),
		0);
	_exit(((volatile char *)quire_map_address(g.map))[0]);
}

static void without_a_guard_it_is_the_signal(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, touch_unguarded, NULL);
}

static void a_child_sees_no_page_of_its_parent_body(void *none)
{
	struct ground g;
	pid_t child;
	int status;

	(void)none;
	set_up(&g, QUIRE_DELIVERY_PIN, QUIRE_SHARED);
	EXPECT_IS(quire_map_pin(g.map, 3 * PAGE, PAGE, QUIRE_READ), 0);
	child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(((volatile unsigned char *)g.bytes)[3 * PAGE]);
	}
	EXPECT_IS(waitpid(child, &status, 0), child);
	EXPECT(WIFSIGNALED(status));
	EXPECT_IS(g.bytes[3 * PAGE], 3);
	EXPECT_IS(quire_map_unpin(g.map, 3 * PAGE, PAGE), 0);
	tear_down(&g);
}
CHILD_CASE(a_child_sees_no_page_of_its_parent)

/* ---- several threads ---- */

struct worker {
	pthread_t thread;
	struct ground *ground;
	unsigned int number;
	uint32_t wrong;
};

/* Each adds to counters of its own, on pages that all pin and unpin: a pin that another's unpin takes away is a signal, and
 * a page that is shown too late or dropped too early a counter that is short. */
static void *count_up(void *user)
{
	struct worker *w = user;
	uint64_t state = seed ^ w->number;
	uint32_t mine[16] = { 0 };

	for (long i = count_of(500, 4000, 200000); i > 0; i--) {
		size_t page = next(&state) % 16;
		uint32_t *counter = (uint32_t *)(void *)(w->ground->bytes + page * PAGE) + 1 + w->number;

		if (quire_map_pin(w->ground->map, page * PAGE, PAGE, QUIRE_READ | QUIRE_WRITE) < 0) {
			w->wrong++;
			continue;
		}
		w->wrong += *counter != 0x01010101u * (uint32_t)page + mine[page];
		++*counter;
		mine[page]++;
		if (quire_map_unpin(w->ground->map, page * PAGE, PAGE) < 0)
			w->wrong++;
	}
	return NULL;
}

static void threads_pin_the_same_pages_body(void *none)
{
	struct worker workers[THREADS];
	struct ground g;
	unsigned int wrong = 0;

	(void)none;
	set_up(&g, QUIRE_DELIVERY_PIN, QUIRE_SHARED);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .ground = &g, .number = i };
		EXPECT_IS(pthread_create(&workers[i].thread, NULL, count_up, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		wrong += workers[i].wrong;
	}
	EXPECT_IS(wrong, 0);
	EXPECT_IS(quire_map_error(g.map, NULL), 0);
	tear_down(&g);
}
CHILD_CASE(threads_pin_the_same_pages)

/* ---- where userfaultfd is forbidden ---- */

/* The call, and the device's way to the same. */
static void forbid_userfaultfd(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)_IO(0xAA, 0), 0, 1), /* USERFAULTFD_IOC_NEW */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { .len = sizeof(program) / sizeof(program[0]), .filter = program };

	EXPECT_IS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
		child_skips("no seccomp filters here");
}

static void under_a_filter_auto_pins_and_says_why_body(void *none)
{
	struct ground g;
	struct quire_pool *pool;

	(void)none;
	forbid_userfaultfd();
	set_up(&g, QUIRE_DELIVERY_AUTO, QUIRE_SHARED);
	EXPECT_IS(stats_of(&g).delivery, QUIRE_DELIVERY_PIN);
	EXPECT(strstr(stats_of(&g).why, "nothing may fault here") != NULL);
	EXPECT(strstr(stats_of(&g).why, "userfaultfd") != NULL);
	pins_show_what_an_array_holds(&g, QUIRE_SHARED);
	tear_down(&g);

	/* Who asked for something else does not get this silently. */
	EXPECT(quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = 1 << 20, .delivery = QUIRE_DELIVERY_THREAD),
		       &pool) < 0);
	EXPECT(quire_pool_open(QUIRE_OPTIONS(pool, .cache_bytes = 1 << 20, .delivery = QUIRE_DELIVERY_INLINE,
				       .syscalls_only_pinned = 1),
		       &pool) < 0);
	EXPECT(strstr(quire_error_text(), "userfaultfd") != NULL);
}
CHILD_CASE(under_a_filter_auto_pins_and_says_why)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pins_in_shared_and_private_mappings_larger_than_the_pool),
		cmocka_unit_test(touching_what_is_not_pinned_is_an_error),
		cmocka_unit_test(without_a_guard_it_is_the_signal),
		cmocka_unit_test(a_child_sees_no_page_of_its_parent),
		cmocka_unit_test(threads_pin_the_same_pages),
		cmocka_unit_test(under_a_filter_auto_pins_and_says_why),
	};

	seed = seed_of("serve/pins");
	return RUN(tests);
}
