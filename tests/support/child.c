/* SPDX-License-Identifier: Apache-2.0 */
#include "support/child.h"
#include "support/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <quire/quire.h>

enum { CHILD_FAILED = 1, CHILD_SKIPPED = 77, CHILD_SECONDS = 240 };

static bool in_child;

__attribute__((noreturn)) static void give_up(void)
{
	if (in_child)
		_exit(CHILD_FAILED);
	fail();
	abort(); /* fail() jumps */
}

void expect_failed(const char *file, int line, const char *what)
{
	(void)fprintf(stderr, "# %s:%d: not so: %s\n#   errno: %s; Quire: %s\n", file, line, what,
		strerror(errno), quire_error_text());
	(void)fflush(stderr);
	give_up();
}

void expect_differs(const char *file, int line, const char *what, long long got, long long wanted)
{
	(void)fprintf(stderr, "# %s:%d: %s is %lld, wanted %lld\n#   Quire: %s\n", file, line, what, got,
		wanted, quire_error_text());
	(void)fflush(stderr);
	give_up();
}

void child_skips(const char *why)
{
	(void)fprintf(stderr, "# skipped: %s\n", why);
	(void)fflush(stderr);
	_exit(CHILD_SKIPPED);
}

static void be_child(void (*body)(void *), void *argument)
{
	static const int signals[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGSYS };
	static const struct rlimit nothing = { 0 };

	in_child = true;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setrlimit(RLIMIT_CORE, &nothing); /* cases that die on purpose leave no core files ... */
	if (geteuid() == 0)
		(void)prctl(PR_SET_DUMPABLE,
			0); /* ... not in a pipe either; others would no longer see their own /proc */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_DFL);
	(void)alarm(CHILD_SECONDS * (unsigned int)count_of(1, 1, 60));
	body(argument);
	(void)fflush(NULL);
	_exit(0);
}

int child_status(void (*body)(void *), void *argument)
{
	int status = 0;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	EXPECT(pid >= 0);
	if (pid == 0)
		be_child(body, argument);
	while (waitpid(pid, &status, 0) < 0)
		EXPECT(errno == EINTR);
	return status;
}

void child_passes(void (*body)(void *), void *argument)
{
	int status = child_status(body, argument);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPPED)
		skip();
	if (WIFSIGNALED(status))
		(void)fprintf(stderr, "# the child died of signal %d\n", WTERMSIG(status));
	EXPECT_IS(status, 0);
}

void child_dies_of(int signal, void (*body)(void *), void *argument)
{
	int status = child_status(body, argument);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPPED)
		skip();
	EXPECT(WIFSIGNALED(status));
	EXPECT_IS(WTERMSIG(status), signal);
}

long count_of(long quick, long normal, long hunt)
{
	if (getenv("QUIRE_HUNT"))
		return hunt;
	return getenv("QUIRE_TEST_QUICK") ? quick : normal;
}

unsigned long seed_of(const char *test)
{
	const char *given = getenv("QUIRE_SEED");
	unsigned long seed = given ? strtoul(given, NULL, 0)
				   : (unsigned long)time(NULL) ^ (unsigned long)getpid() << 16;

	(void)fprintf(stderr, "# %s: QUIRE_SEED=%lu\n", test, seed);
	return seed;
}
