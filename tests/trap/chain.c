/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other handlers of SIGBUS: none, installed before or after, plain or with siginfo, ignoring, passing on or not, on an
 * alternate stack, blocked. Ours is served by us; a stranger's fault reaches who was there before, untouched.
 *
 *	who               what was there before us              ours   stranger's
 *	nobody            SIG_DFL                               zeros  dies of SIGBUS
 *	ignore            SIG_IGN                               zeros  dies of SIGBUS (a fault cannot be ignored)
 *	siginfo, plain    a handler                             zeros  the handler runs, with address and registers
 */
#include "support/run.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <quire/guard.h>
#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "trap/trap.h"

static char *foreign;

static volatile int calls;
static volatile uintptr_t seen_address;
static volatile uintptr_t seen_pc;
static volatile int seen_blocked;
static volatile int seen_stack;
static sigjmp_buf back;

extern const char touch_instruction[];

/* A load whose address in the program is known. */
__attribute__((noinline)) static char touch(const char *address)
{
	char byte;

	__asm__ volatile(
		".globl touch_instruction\n\t.hidden touch_instruction\ntouch_instruction:\n\tmovb (%1), %0"
		: "=r"(byte)
		: "r"(address)
		: "memory");
	return byte;
}

/* Mends the foreign page with memory of its own, so that the load goes on. */
static void mend(void)
{
	void *page = (void *)((uintptr_t)foreign & ~(uintptr_t)4095);
	void *got = mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (got == page)
		memset(got, 'm', PAGE);
	/* cppcheck-suppress memleak ; the page stays for the load that comes back */
}

static void note(void)
{
	sigset_t blocked;

	calls++;
	(void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	seen_blocked = sigismember(&blocked, SIGUSR1) == 1 && sigismember(&blocked, SIGBUS) == 1;
}

static void with_siginfo(int number, siginfo_t *info, void *context)
{
	stack_t stack;

	(void)number;
	note();
	(void)sigaltstack(NULL, &stack);
	seen_stack = (stack.ss_flags & SS_ONSTACK) != 0;
	seen_address = (uintptr_t)info->si_addr;
	seen_pc = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	mend();
}

static void plain(int number)
{
	(void)number;
	note();
	mend();
}

static void jumps(int number)
{
	(void)number;
	calls++;
	siglongjmp(back, 1);
}

static void install(void (*info)(int, siginfo_t *, void *), void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_flags = flags };

	(void)sigemptyset(&action.sa_mask);
	(void)sigaddset(&action.sa_mask, SIGUSR1);
	if (info) {
		action.sa_sigaction = info;
		action.sa_flags |= SA_SIGINFO;
	} else {
		action.sa_handler = handler;
	}
	EXPECT_IS(sigaction(SIGBUS, &action, NULL), 0);
}

static char *foreign_page(void)
{
	int fd = file_of(PAGE);
	char *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	EXPECT(page != MAP_FAILED);
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(close(fd), 0);
	foreign = page + 123;
	return foreign;
}

static struct quire_map *dead_mapping(void)
{
	int fd = file_of(2 * PAGE);
	struct quire_map *map;

	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS), &map), 0);
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(close(fd), 0);
	return map;
}

static void ours_is_served(void)
{
	struct quire_map *map = dead_mapping();

	EXPECT_IS(quire_map_check(map), 0);
	EXPECT_IS(touch(quire_map_address(map)), 0);
	EXPECT_IS(quire_map_error(map, NULL), -ENODATA);
	EXPECT_IS(quire_unmap(map), 0);
}

static void a_handler_with_siginfo_sees_the_original_address_and_instruction_body(void *argument)
{
	(void)argument;
	install(with_siginfo, NULL, 0);
	ours_is_served();
	EXPECT_IS(calls, 0);
	EXPECT_IS(touch(foreign_page()), 'm');
	EXPECT_IS(calls, 1);
	EXPECT_IS(seen_address, (uintptr_t)foreign);
	EXPECT_IS(seen_pc, (uintptr_t)touch_instruction);
	EXPECT(seen_blocked); /* its own mask */
	ours_is_served();
	EXPECT_IS(touch(foreign_page()), 'm');
	EXPECT_IS(calls, 2);
}
CHILD_CASE(a_handler_with_siginfo_sees_the_original_address_and_instruction)

static void a_plain_handler_is_called_body(void *argument)
{
	(void)argument;
	install(NULL, plain, 0);
	ours_is_served();
	EXPECT_IS(touch(foreign_page()), 'm');
	EXPECT_IS(calls, 1);
	EXPECT(seen_blocked);
}
CHILD_CASE(a_plain_handler_is_called)

static void a_handler_may_jump_out_body(void *argument)
{
	(void)argument;
	install(NULL, jumps, 0);
	ours_is_served();
	for (volatile int i = 1; i < 5; i++) {
		if (sigsetjmp(back, 1) == 0) {
			(void)touch(foreign_page());
			expect_failed(__FILE__, __LINE__, "the handler jumped out");
		}
		EXPECT_IS(calls, i);
		ours_is_served();
	}
}
CHILD_CASE(a_handler_may_jump_out)

static void a_handler_for_one_time_is_called_once(void *argument)
{
	(void)argument;
	install(NULL, plain, (int)SA_RESETHAND);
	ours_is_served();
	EXPECT_IS(touch(foreign_page()), 'm');
	(void)touch(foreign_page());
}

static void one_time_handlers_end_with_the_default(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, a_handler_for_one_time_is_called_once, NULL);
}

static void touch_foreign(void *argument)
{
	if (argument)
		(void)signal(SIGBUS, SIG_IGN);
	ours_is_served();
	(void)touch(foreign_page());
	_exit(3);
}

static void with_the_default_action_a_strangers_fault_kills(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, touch_foreign, NULL);
}

static void a_fault_cannot_be_ignored(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, touch_foreign, "ignored");
}

static void send_to_self(void *argument)
{
	ours_is_served();
	(void)argument;
	EXPECT_IS(raise(SIGBUS), 0);
	_exit(3);
}

static void send_while_ignored_body(void *argument)
{
	(void)argument;
	(void)signal(SIGBUS, SIG_IGN);
	ours_is_served();
	EXPECT_IS(raise(SIGBUS), 0);
	EXPECT_IS(kill(getpid(), SIGBUS), 0);
	ours_is_served();
}

static void a_sent_signal_is_no_fault(void **state)
{
	(void)state;
	child_dies_of(SIGBUS, send_to_self, NULL);
	child_passes(send_while_ignored_body, NULL);
}

/* A signal that was sent may carry any address: it is no access to it. */
static void a_sent_signal_with_an_address_of_ours_is_no_fault_body(void *argument)
{
	struct quire_map *map;
	siginfo_t info = { .si_signo = SIGBUS, .si_code = SI_QUEUE };

	(void)argument;
	(void)signal(SIGBUS, SIG_IGN);
	map = dead_mapping();
	info.si_addr = quire_map_address(map);
	EXPECT_IS(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGBUS, &info), 0);
	EXPECT_IS(quire_map_error(map, NULL), 0);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_sent_signal_with_an_address_of_ours_is_no_fault)

/* ---- installed after ours ---- */

static struct sigaction theirs_before;

static void passes_on(int number, siginfo_t *info, void *context)
{
	calls++;
	theirs_before.sa_sigaction(number, info, context);
}

static void put_over(void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	EXPECT_IS(sigaction(SIGBUS, &action, &theirs_before), 0);
}

static void a_later_handler_that_passes_on_changes_nothing_body(void *argument)
{
	struct quire_map *map;

	(void)argument;
	install(with_siginfo, NULL, 0);
	ours_is_served();
	map = dead_mapping();
	put_over(passes_on);
	EXPECT_IS(touch(quire_map_address(map)), 0);
	EXPECT_IS(calls, 1);
	EXPECT_IS(quire_map_check(NULL), -ENOTSUP); /* it cannot be known whether it passes on */
	EXPECT_IS(touch(foreign_page()), 'm');
	EXPECT_IS(seen_pc, (uintptr_t)touch_instruction);
	EXPECT_IS(calls, 3);
	/* The next guarded mapping goes above it: no circle, and the first handler is still at the end of the chain. */
	calls = 0;
	ours_is_served();
	EXPECT_IS(calls, 0);
	EXPECT_IS(touch(foreign_page()), 'm');
	EXPECT_IS(calls, 2);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_later_handler_that_passes_on_changes_nothing)

static void a_later_handler_that_keeps_signals_is_noticed_and_overtaken_body(void *argument)
{
	struct quire_map *map = dead_mapping();

	(void)argument;
	install(NULL, plain, 0);
	EXPECT_IS(quire_map_check(map), -ENOTSUP);
	EXPECT(strstr(quire_error_text(), "another SIGBUS handler"));
	ours_is_served();
	EXPECT_IS(quire_map_check(map), 0);
	EXPECT_IS(touch(quire_map_address(map)), 0);
	EXPECT_IS(calls, 0);
	EXPECT_IS(touch(foreign_page()), 'm');
	EXPECT_IS(calls, 1);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_later_handler_that_keeps_signals_is_noticed_and_overtaken)

/* What test frameworks do around every case. */
static void saving_and_restoring_actions_may_go_on_for_ever_body(void *argument)
{
	struct sigaction saved;

	(void)argument;
	ours_is_served();
	for (int i = 0; i < 100; i++) {
		EXPECT_IS(sigaction(SIGBUS, NULL, &saved), 0);
		if (i < 10) {
			install(NULL, plain, 0);
			ours_is_served();
		}
		EXPECT_IS(sigaction(SIGBUS, &saved, NULL), 0);
		ours_is_served();
	}
}
CHILD_CASE(saving_and_restoring_actions_may_go_on_for_ever)

static void replacing_handlers_in_a_loop_is_told_body(void *argument)
{
	struct quire_map *map = NULL;
	int fd = file_of(PAGE);
	int r = 0;

	(void)argument;
	for (int i = 0; i < 100 && r == 0; i++) {
		install(NULL, plain, 0);
		r = quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_ZEROS), &map);
		if (r == 0)
			EXPECT_IS(quire_unmap(map), 0);
	}
	EXPECT_IS(r, -ENOTSUP);
	EXPECT(strstr(quire_error_text(), "replaced"));
}
CHILD_CASE(replacing_handlers_in_a_loop_is_told)

/* ---- stacks and masks ---- */

static void the_alternate_stack_is_used_body(void *argument)
{
	static char memory[64 << 10];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };

	(void)argument;
	EXPECT_IS(sigaltstack(&stack, NULL), 0);
	install(with_siginfo, NULL, SA_ONSTACK);
	ours_is_served();
	EXPECT_IS(touch(foreign_page()), 'm');
	EXPECT_IS(seen_stack, 1);
}
CHILD_CASE(the_alternate_stack_is_used)

static void *check_in_thread(void *argument)
{
	sigset_t mask;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGBUS);
	EXPECT_IS(quire_map_check(argument), 0);
	EXPECT_IS(pthread_sigmask(SIG_BLOCK, &mask, NULL), 0);
	EXPECT_IS(quire_map_check(argument), -EDEADLK);
	EXPECT(strstr(quire_error_text(), "blocks SIGBUS"));
	return NULL;
}

static void a_thread_that_blocks_the_signal_is_found_out_body(void *argument)
{
	struct quire_map *map = dead_mapping();
	pthread_t thread;

	(void)argument;
	EXPECT_IS(pthread_create(&thread, NULL, check_in_thread, map), 0);
	EXPECT_IS(pthread_join(thread, NULL), 0);
	EXPECT_IS(quire_map_check(map), 0);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(a_thread_that_blocks_the_signal_is_found_out)

static void no_handler_is_installed_unasked_body(void *argument)
{
	struct sigaction now;
	struct quire_map *map;

	(void)argument;
	EXPECT_IS(quire_map_anon(NULL, PAGE, &map), 0);
	EXPECT_IS(sigaction(SIGBUS, NULL, &now), 0);
	EXPECT(now.sa_handler == SIG_DFL);
	EXPECT_IS(quire_map_check(NULL), -ENOTSUP);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(no_handler_is_installed_unasked)

static void errno_survives_a_fault_body(void *argument)
{
	struct quire_map *map = dead_mapping();

	(void)argument;
	errno = 42;
	EXPECT_IS(touch(quire_map_address(map)), 0);
	EXPECT_IS(errno, 42);
	EXPECT_IS(quire_unmap(map), 0);
}
CHILD_CASE(errno_survives_a_fault)

static int asked;

static enum trap_verdict refuses(struct trap_range *range, struct trap_fault *fault)
{
	(void)range;
	(void)fault;
	asked++;
	return TRAP_REFUSE;
}

static enum trap_verdict mends(struct trap_range *range, struct trap_fault *fault)
{
	(void)range;
	(void)fault;
	asked++;
	mend();
	return TRAP_RESUME;
}

/* A mapping with a hole, and another in the hole: whose page it is the ranges know, not the table. */
static void each_range_that_holds_the_address_is_asked_body(void *argument)
{
	uintptr_t start = (uintptr_t)foreign_page();
	struct trap_range outer = { .start = start, .end = start + PAGE, .fix = mends };
	struct trap_range inner = { .start = start, .end = start + PAGE, .fix = refuses };

	(void)argument;
	EXPECT_IS(trap_add(&outer), 0);
	EXPECT_IS(trap_add(&inner), 0);
	EXPECT_IS(touch(foreign), 'm');
	EXPECT_IS(asked, 2);
	trap_remove(&inner);
	trap_remove(&outer);
}
CHILD_CASE(each_range_that_holds_the_address_is_asked)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_with_siginfo_sees_the_original_address_and_instruction),
		cmocka_unit_test(a_plain_handler_is_called),
		cmocka_unit_test(a_handler_may_jump_out),
		cmocka_unit_test(one_time_handlers_end_with_the_default),
		cmocka_unit_test(with_the_default_action_a_strangers_fault_kills),
		cmocka_unit_test(a_fault_cannot_be_ignored),
		cmocka_unit_test(a_sent_signal_is_no_fault),
		cmocka_unit_test(a_sent_signal_with_an_address_of_ours_is_no_fault),
		cmocka_unit_test(a_later_handler_that_passes_on_changes_nothing),
		cmocka_unit_test(a_later_handler_that_keeps_signals_is_noticed_and_overtaken),
		cmocka_unit_test(saving_and_restoring_actions_may_go_on_for_ever),
		cmocka_unit_test(replacing_handlers_in_a_loop_is_told),
		cmocka_unit_test(the_alternate_stack_is_used),
		cmocka_unit_test(a_thread_that_blocks_the_signal_is_found_out),
		cmocka_unit_test(no_handler_is_installed_unasked),
		cmocka_unit_test(errno_survives_a_fault),
		cmocka_unit_test(each_range_that_holds_the_address_is_asked),
	};

	return RUN(tests);
}
