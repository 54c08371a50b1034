/* SPDX-License-Identifier: Apache-2.0 */
#include "trap/trap.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <quire/guard.h>

#include "base/error.h"
#include "base/lock.h"
#include "sys/signal.h"
#include "trap/copy.h"
#include "trap/machine.h"
#include "trap/table.h"

/*
 * Each installation has an entry of its own, so that chains cannot become circles. When a program installs handler X over
 * ours and X passes signals on, X calls entry 0; installing ourselves again above X takes entry 1:
 *
 *	SIGBUS -> entry 1 -> X -> entry 0 -> what was there before us
 *
 * Any of our entries as the installed action is as good as the newest: its chain leads past X to what was before it. That is
 * what a program leaves that puts a saved action back. Sixteen are enough for a test framework, a sanitizer and a crash
 * reporter; a program that replaces handlers in a loop is told so.
 */
enum { ENTRIES_MAX = 16 };

static struct sigaction previous[ENTRIES_MAX];
static atomic_uint entries_used;
static struct lock install_lock = LOCK_INIT;

static _Thread_local __attribute__((tls_model("initial-exec"))) struct quire_landing *landing_top;

/* ---- the previous action ---- */

/* Back to the default and on: the instruction faults again and the core dump shows it, not us (T3). */
static void die(const siginfo_t *info)
{
	struct sigaction fallback = { .sa_handler = SIG_DFL };

	(void)sys_sigaction(SIGBUS, &fallback, NULL);
	if (info->si_code <= 0)
		sys_raise(SIGBUS); /* it was sent, not caused: no instruction would fault again */
}

/* As the kernel would have called it: with its mask and its flags. */
static void call_previous(struct sigaction *action, int number, siginfo_t *info, void *context)
{
	sigset_t mask = action->sa_mask;
	sigset_t old;

	if ((action->sa_flags & SA_NODEFER) == 0)
		(void)sigaddset(&mask, number);
	(void)sys_thread_block(&mask, &old);
	if ((action->sa_flags & SA_SIGINFO) != 0)
		action->sa_sigaction(number, info, context);
	else
		action->sa_handler(number);
	(void)sys_thread_set_mask(&old);
}

static void chain(unsigned int entry, int number, siginfo_t *info, void *context)
{
	struct sigaction *action = &previous[entry];
	struct sigaction once = *action;

	if ((once.sa_flags & SA_SIGINFO) == 0 && once.sa_handler == SIG_IGN) {
		/* The kernel does not let a fault be ignored; a signal that somebody sent, it does. */
		if (info->si_code > 0)
			die(info);
		return;
	}
	if ((once.sa_flags & SA_SIGINFO) == 0 && once.sa_handler == SIG_DFL) {
		die(info);
		return;
	}
	if (((unsigned int)once.sa_flags & SA_RESETHAND) != 0)
		*action = (struct sigaction){ .sa_handler = SIG_DFL };
	call_previous(&once, number, info, context);
}

/* ---- leaving ---- */

static void land(void *argument)
{
	struct quire_landing *landing = argument;

	/* Not in the handler any more, so words may be found for it; the mapping's handle has the better ones. */
	(void)error_set(landing->error,
		"a page of a guarded mapping could not be served: %s; quire_map_error() says where",
		strerrordesc_np(-landing->error));
	_longjmp(landing->place, 1);
}

static void leave(const struct trap_fault *fault, ucontext_t *context)
{
	struct quire_landing *landing = landing_top;

	assert(fault->error < 0);
	if (fault->copying) {
		machine_replace_call(context, trap_copy_failed, fault->error, fault->va);
		return;
	}
	assert(landing != NULL);
	landing_top = landing->outer;
	landing->error = fault->error;
	landing->entered = 0;
	machine_call(context, land, landing);
}

/* ---- the handler ---- */

static bool in_guarded_copy(uintptr_t pc)
{
	return pc >= (uintptr_t)trap_copy_begin && pc < (uintptr_t)trap_copy_end;
}

/* Each range that holds the address, once: one may have a hole there in which another stands. */
static enum trap_verdict ask_ranges(struct trap_fault *fault)
{
	struct table_at at = table_top(fault->va);
	struct trap_range *range;

	while ((range = table_find(fault->va, &at)) != NULL) {
		enum trap_verdict verdict = range->fix(range, fault);

		table_release(at.slot);
		if (verdict != TRAP_REFUSE)
			return verdict;
	}
	return TRAP_REFUSE;
}

/* True when the fault was dealt with. */
static bool serve(const siginfo_t *info, ucontext_t *context)
{
	struct trap_fault fault = {
		.va = (uintptr_t)info->si_addr,
		.store = machine_is_store(context),
		.code = info->si_code,
		.copying = in_guarded_copy(machine_pc(context)),
		.error = -EFAULT,
	};
	enum trap_verdict verdict;

	if (info->si_code <= 0)
		return false; /* sent by a process: no access, no address */

	fault.can_leave = fault.copying || landing_top != NULL;
	verdict = ask_ranges(&fault);
	if (verdict == TRAP_REFUSE && fault.copying)
		verdict =
			TRAP_LEAVE; /* a guarded copy from memory that is not ours: EFAULT, as the kernel's copies */
	if (verdict == TRAP_LEAVE)
		leave(&fault, context);
	return verdict != TRAP_REFUSE;
}

static void trap_signal(unsigned int entry, int number, siginfo_t *info, void *context)
{
	int saved = sys_errno_save();

	if (!serve(info, context))
		chain(entry, number, info, context);
	sys_errno_restore(saved);
}

#define ENTRY(n)                                                          \
	static void entry_##n(int number, siginfo_t *info, void *context) \
	{                                                                 \
		trap_signal(n, number, info, context);                    \
	}
ENTRY(0)
ENTRY(1)
ENTRY(2)
ENTRY(3)
ENTRY(4)
ENTRY(5)
ENTRY(6)
ENTRY(7)
ENTRY(8)
ENTRY(9)
ENTRY(10)
ENTRY(11)
ENTRY(12)
ENTRY(13)
ENTRY(14)
ENTRY(15)

static void (*const entries[ENTRIES_MAX])(int, siginfo_t *, void *) = { entry_0, entry_1, entry_2, entry_3,
	entry_4, entry_5, entry_6, entry_7, entry_8, entry_9, entry_10, entry_11, entry_12, entry_13,
	entry_14, entry_15 };

/* ---- installing ---- */

/* Is one of our entries the installed action? */
static bool installed(const struct sigaction *now)
{
	unsigned int used = atomic_load(&entries_used);

	for (unsigned int i = 0; i < used && (now->sa_flags & SA_SIGINFO) != 0; i++)
		if (now->sa_sigaction == entries[i])
			return true;
	return false;
}

static int install(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	unsigned int used = atomic_load(&entries_used);
	struct sigaction now;
	int r;

	if (used == ENTRIES_MAX)
		return error_set(-ENOTSUP,
			"the program has replaced Quire's SIGBUS handler %d times: let the other handler "
			"call the previous one instead",
			ENTRIES_MAX);

	/* previous[] is complete before the entry can run. */
	r = sys_sigaction(SIGBUS, NULL, &previous[used]);
	if (r < 0)
		return r;
	atomic_store(&entries_used, used + 1);
	(void)sigemptyset(&action.sa_mask);
	action.sa_sigaction = entries[used];
	r = sys_sigaction(SIGBUS, &action, NULL);
	if (r < 0) {
		atomic_store(&entries_used, used);
		return r;
	}

	/* A sanitizer with handle_sigbus=2 swallows the call and says 0. */
	r = sys_sigaction(SIGBUS, NULL, &now);
	if (r == 0 && !installed(&now)) {
		atomic_store(&entries_used, used);
		r = error_set(-ENOTSUP,
			"something in this process keeps SIGBUS to itself (a sanitizer with handle_sigbus=2?): "
			"guarded mappings cannot work");
	}
	return r;
}

int trap_install(void)
{
	struct sigaction now;
	int r;

	r = sys_sigaction(SIGBUS, NULL, &now);
	if (r < 0 || installed(&now))
		return r;

	lock_take(&install_lock);
	r = sys_sigaction(SIGBUS, NULL, &now);
	if (r == 0 && !installed(&now))
		r = install();
	lock_give(&install_lock);
	return r;
}

int trap_check(void)
{
	struct sigaction now;
	sigset_t blocked;
	int r;

	r = sys_sigaction(SIGBUS, NULL, &now);
	if (r < 0)
		return r;
	if (!installed(&now))
		return error_set(-ENOTSUP,
			"another SIGBUS handler was installed over Quire's: if it does not pass signals on, "
			"a dead page will reach it; open a guarded mapping again to go above it");

	r = sys_thread_mask(&blocked);
	if (r < 0)
		return r;
	if (sigismember(&blocked, SIGBUS) == 1)
		return error_set(-EDEADLK,
			"this thread blocks SIGBUS: the kernel would kill the process at a dead page instead of "
			"telling us; unblock it with pthread_sigmask");
	return 0;
}

int trap_add(struct trap_range *range)
{
	int r;

	r = trap_install();
	if (r == 0)
		r = table_add(range);
	return r;
}

void trap_stretch(struct trap_range *range, uintptr_t end)
{
	table_stretch(range, end);
}

void trap_remove(struct trap_range *range)
{
	table_remove(range);
}

bool trap_explain(uintptr_t va, int error)
{
	struct table_at at = table_top(va);
	struct trap_range *range;
	bool said = false;

	while (!said && (range = table_find(va, &at)) != NULL) {
		said = range->explain(range, va, error);
		table_release(at.slot);
	}
	return said;
}

/* ---- QUIRE_TRY ---- */

void trap_land_push(struct quire_landing *landing)
{
	landing->outer = landing_top;
	landing->entered = 1;
	landing_top = landing;
}

void trap_land_pop(struct quire_landing *landing)
{
	assert(landing_top == landing);
	landing_top = landing->outer;
	landing->entered = 0;
}
