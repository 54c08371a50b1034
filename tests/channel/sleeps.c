/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A million sleeps at random moments: no wake-up is lost. Neither side spins.
 * Variants: both on one processor or on two, and with the system calls refused that the fast way needs.
 *
 * 10^6 sleeps in all; 10^4 with QUIRE_TEST_QUICK, and in the passes behind the first. The seed is printed; QUIRE_SEED sets it.
 */
#include "channel/peers.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { FEW_REFUSED = 20, NS_A_MS = 1000000 };

static uint64_t seed;
static atomic_ulong *echo_sleeps;

/* A million once, in the first pass of a test run; the others have their own reasons to run it at all. */
#if defined(__clang__)
enum { FIRST_PASS = 0 };
#else
enum { FIRST_PASS = 1 };
#endif

static uint64_t sleeps_wanted(void)
{
	bool few = getenv("QUIRE_TEST_QUICK") != NULL || getenv("QUIRE_MASK") != NULL || FIRST_PASS == 0;

	return few ? 10000U : 1000000U;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* one processor only: then both are there */
}

static void run_anywhere(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* From now on this system call says EPERM, as under a strict container. */
static void refuse(long number)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { .len = 4, .filter = program };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

/* A random while of doing something else, often none at all. */
static void busy(uint64_t *state)
{
	uint64_t r = random_next(state);

	for (volatile uint64_t i = r % 3 == 0 ? r / 3 % 4000 : 0; i > 0; i--)
		;
}

static uint64_t sleeps_of(struct quire_channel *c)
{
	struct quire_channel_stat st = { .size = sizeof(st) };

	return quire_channel_stat(c, &st) == 0 ? st.data_sleeps + st.space_sleeps : 0;
}

/* The next number; -EPIPE at the end. A wake-up that was lost is made good when the sleeper looks once more at its
 * deadline: who slept through half of the time was not woken. */
static int64_t receive(struct quire_channel *c, uint64_t *number)
{
	uint64_t began = now_ns();
	int64_t n = quire_channel_recv(c, number, sizeof(*number), in_ms(PATIENCE_MS));

	return now_ns() - began < (uint64_t)PATIENCE_MS / 2 * NS_A_MS ? n : -ETIMEDOUT;
}

/* what the child loses, and when: 0 ends each list */
struct loss {
	long before[3]; /* before the two meet, but after the fork */
	long after[2];  /* when it is too late to tell the other side */
};

static void echo(const char *name, int cpu, const struct loss *loss)
{
	uint64_t state = seed + 1;
	struct quire_channel *c;
	uint64_t number = 0;

	stay_on(cpu);
	for (const long *call = loss->before; *call != 0; call++)
		refuse(*call);
	MUST(quire_channel_connect(NULL, name,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_BOTH, .spin_ns = 1,
			     .deadline_ns = in_ms(PATIENCE_MS)),
		     &c) == 0);
	for (const long *call = loss->after; *call != 0; call++)
		refuse(*call);
	for (;;) {
		int64_t n = receive(c, &number);

		if (n == -EPIPE)
			_exit(0);
		MUST(n == sizeof(number));
		busy(&state);
		MUST(quire_channel_send(c, &number, sizeof(number), in_ms(PATIENCE_MS)) == sizeof(number));
		atomic_store(echo_sleeps, sleeps_of(c));
	}
}

static void sleep_and_wake(int cpu, int other, const struct loss *loss, uint64_t wanted)
{
	const char *name = fresh_name();
	struct quire_listener *l = NULL;
	uint64_t state = seed;
	uint64_t slept = 0;
	struct quire_channel *c;
	pid_t pid;

	assert_int_equal(quire_channel_listen(NULL, name,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_BOTH, .spin_ns = 1), &l),
		0);
	pid = spawn();
	if (pid == 0)
		echo(name, other, loss);
	stay_on(cpu);
	atomic_store(echo_sleeps, 0);
	c = accept_from(l);
	for (uint64_t sent = 0; slept < wanted;) {
		uint64_t burst = 1 + random_next(&state) % 3;

		for (uint64_t i = 0; i < burst; i++, sent++)
			assert_int_equal(quire_channel_send(c, &sent, sizeof(sent), in_ms(PATIENCE_MS)), 8);
		for (uint64_t i = 0; i < burst; i++) {
			uint64_t number;

			busy(&state);
			assert_int_equal(receive(c, &number), 8);
			assert_int_equal(number, sent - burst + i);
		}
		slept = sleeps_of(c) + atomic_load(echo_sleeps);
	}
	print_message("# seed %llu: %llu sleeps\n", (unsigned long long)seed, (unsigned long long)slept);
	quire_channel_close(c);
	run_anywhere();
	assert_int_equal(exit_of(pid), 0);
	quire_channel_unlisten(l);
}

static const struct loss nothing;

static void on_one_processor(void **state)
{
	(void)state;
	sleep_and_wake(0, 0, &nothing, sleeps_wanted() * 7 / 10);
}

static void on_two_processors(void **state)
{
	(void)state;
	sleep_and_wake(0, 1, &nothing, sleeps_wanted() * 3 / 10);
}

static void where_waitv_is_refused_the_socket_rings(void **state)
{
	static const struct loss loss = { .before = { SYS_futex_waitv } };

	(void)state;
	sleep_and_wake(0, 1, &loss, sleeps_wanted() / FEW_REFUSED);
}

static void where_membarrier_is_refused_both_sides_fence(void **state)
{
	static const struct loss loss = { .before = { SYS_membarrier } };

	(void)state;
	sleep_and_wake(0, 1, &loss, sleeps_wanted() / FEW_REFUSED);
}

static void where_membarrier_is_lost_on_the_way_the_sleeper_waits_it_out(void **state)
{
	static const struct loss loss = { .after = { SYS_membarrier } };

	(void)state;
	sleep_and_wake(0, 1, &loss, sleeps_wanted() / FEW_REFUSED);
}

static void where_both_are_refused(void **state)
{
	static const struct loss loss = { .before = { SYS_membarrier, SYS_futex_waitv } };

	(void)state;
	sleep_and_wake(0, 0, &loss, sleeps_wanted() / FEW_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_one_processor),
		cmocka_unit_test(on_two_processors),
		cmocka_unit_test(where_waitv_is_refused_the_socket_rings),
		cmocka_unit_test(where_membarrier_is_refused_both_sides_fence),
		cmocka_unit_test(where_membarrier_is_lost_on_the_way_the_sleeper_waits_it_out),
		cmocka_unit_test(where_both_are_refused),
	};
	const char *chosen = getenv("QUIRE_SEED");
	int failed;

	seed = chosen != NULL ? strtoull(chosen, NULL, 10) : now_ns() | 1;
	echo_sleeps = mmap(
		NULL, sizeof(*echo_sleeps), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (echo_sleeps == MAP_FAILED)
		return 1;
	failed = RUN(tests);
	(void)munmap(echo_sleeps, sizeof(*echo_sleeps));
	return failed;
}
