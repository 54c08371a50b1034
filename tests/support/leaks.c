/* SPDX-License-Identifier: Apache-2.0 */
/* Leaks what its argument says; tests/lint/leaks expects RUN to notice, or no other test's last case means anything. */
#include "support/run.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *what;

static void *idle(void *arg)
{
	(void)pause();
	return arg;
}

static void leak_mapping(void)
{
	int fd = memfd_create("leak", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_ptr_not_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(close(fd), 0);
}

static void does_as_told(void **state)
{
	pthread_t thread;

	(void)state;
	if (strcmp(what, "descriptor") == 0)
		assert_true(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	else if (strcmp(what, "mapping") == 0)
		leak_mapping();
	else if (strcmp(what, "thread") == 0)
		assert_int_equal(pthread_create(&thread, NULL, idle, NULL), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(does_as_told),
	};

	what = argc > 1 ? argv[1] : "nothing";
	run_patience_ms = 200; /* what is left on purpose stays */
	return RUN(tests);
}
