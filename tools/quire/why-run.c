/* SPDX-License-Identifier: Apache-2.0 */
/*
 * why-run.c - runs a program under ptrace and stops the clock at its deadly fault.
 *
 * A program may handle SIGSEGV and SIGBUS itself (Java, Go and Quire's guarded mappings do), so a fault is deadly only
 * when nobody catches it: such a fault is explained while the process still stands there with its mappings. When a
 * handler ran and the process dies all the same, the last fault before is what it died of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "why.h"

static const long trace_options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

_Noreturn static void start_child(char **arguments)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) {
		raise(SIGSTOP); /* until the parent has set its options */
		execvp(arguments[0], arguments);
	}
	_exit(errno); /* the parent knows that it never began, and says so */
}

/* The process that a thread belongs to, and what it does with a signal. */
static pid_t read_thread(pid_t thread, int number, bool *caught)
{
	char path[64], line[256];
	pid_t process = thread;
	FILE *file;

	*caught = false;
	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	file = fopen(path, "re");
	if (file == NULL)
		return thread;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "Tgid:", 5) == 0)
			process = (pid_t)strtol(line + 5, NULL, 10);
		else if (strncmp(line, "SigCgt:", 7) == 0)
			*caught = (strtoull(line + 7, NULL, 16) >> (number - 1) & 1) != 0;
	}
	fclose(file);
	return process;
}

static void read_mappings(struct crash *crash)
{
	struct quire_mapping m = { .size = sizeof(m) };
	struct quire_maps *maps;

	why_forget_mappings(crash);
	if (quire_maps_open(crash->pid, QUIRE_MAPS_FIGURES, &maps) < 0)
		return;
	while (quire_maps_next(maps, &m) == 1) {
		struct why_mapping mapping = { .start = m.start,
			.end = m.end,
			.offset = m.offset,
			.inode = m.inode,
			.flags = m.flags,
			.page_bytes = m.page_bytes };

		why_add_mapping(crash, &mapping, m.name);
	}
	quire_maps_close(maps);
}

/* A thread stands before a fault signal. True when the signal will kill. */
static bool look_at_fault(pid_t thread, int number, struct crash *crash, struct why_answer *answer)
{
	struct quire_process process = { .size = sizeof(process) };
	struct user_regs_struct registers = { .rip = 0 };
	siginfo_t info;
	bool caught;
	pid_t pid = read_thread(thread, number, &caught);

	if (ptrace(PTRACE_GETSIGINFO, thread, NULL, &info) != 0)
		return false;
	/* raise() after a handler: the fault that it handled is the cause. */
	if (info.si_code <= 0 && crash->signal == number)
		return !caught;

	ptrace(PTRACE_GETREGS, thread, NULL, &registers);
	crash->pid = pid;
	why_set_signal(crash, &info);
	crash->pc = registers.rip;
	crash->sp = registers.rsp;
	if (quire_process_read(pid, 0, &process) == 0)
		snprintf(crash->program, sizeof(crash->program), "%s", process.name);
	if (caught)
		return false; /* looked into only if it turns out to be deadly */
	read_mappings(crash);
	why_explain(crash, answer);
	return true;
}

/* One stop of one thread: hands on what is the program's own business. */
static int signal_to_deliver(
	pid_t thread, int status, struct crash *crash, struct why_answer *answer, bool *explained)
{
	int number = WSTOPSIG(status);

	if (status >> 16 != 0) /* a new thread or process: it is traced already */
		return 0;
	if (number == SIGSTOP && crash->program[0] == '\0' && crash->signal == 0)
		return 0; /* the first stop of a new thread */
	if (number == SIGSEGV || number == SIGBUS)
		*explained = look_at_fault(thread, number, crash, answer) || *explained;
	else if (number == SIGABRT && crash->signal != 0 && !*explained) {
		/* A handler gave up: the process still stands. */
		read_mappings(crash);
		why_explain(crash, answer);
		*explained = true;
	}
	return number;
}

int why_run(char **arguments, struct crash *crash, struct why_answer *answer, int *status)
{
	pid_t child = fork(), thread;
	bool explained = false, began = false;
	int stop;

	if (child == 0)
		start_child(arguments);
	if (child < 0 || waitpid(child, &stop, 0) != child)
		return -errno;
	if (!WIFSTOPPED(stop))
		return WIFEXITED(stop) ? -WEXITSTATUS(stop) : -ECHILD;
	ptrace(PTRACE_SETOPTIONS, child, NULL, trace_options);
	ptrace(PTRACE_CONT, child, NULL, NULL);
	*status = 0;

	while ((thread = waitpid(-1, &stop, __WALL)) > 0 || errno == EINTR) {
		if (thread <= 0)
			continue;
		if (WIFSTOPPED(stop)) {
			int deliver = signal_to_deliver(thread, stop, crash, answer, &explained);

			began = began || stop >> 16 == PTRACE_EVENT_EXEC;
			ptrace(PTRACE_CONT, thread, NULL, deliver);
		} else if (thread == child) {
			*status = stop;
		}
	}
	if (!began)
		return WIFEXITED(*status) ? -WEXITSTATUS(*status) : -ECHILD;
	/* Another process of a tree may have died; then the answer is about that one. */
	if (!explained && WIFSIGNALED(*status) && crash->signal == WTERMSIG(*status))
		why_explain(crash, answer);
	return explained ||
		(WIFSIGNALED(*status) && (WTERMSIG(*status) == SIGSEGV || WTERMSIG(*status) == SIGBUS));
}
