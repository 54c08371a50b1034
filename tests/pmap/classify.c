/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a page is dead, asked of a file that another process cuts and grows between two questions. The linker puts
 * __wrap_sys_madvise in the place of the real one (see meson.build): it is the other process. Causes that stay while they
 * are looked for: pmap/causes.c.
 */
#include "support/run.h"

#include <errno.h>
#include <sys/mman.h>

#include <quire/guard.h>

#include "pmap/guard.h"
#include "support/child.h"
#include "support/files.h"
#include "sys/memory.h"

static int fd;
static int cuts;  /* of the next so many questions, each meets a file that is cut */
static bool grow; /* and is as long as before right after it */
static int asked;

int __real_sys_madvise(uintptr_t address, size_t length, int advice);
int __wrap_sys_madvise(uintptr_t address, size_t length, int advice);
int __wrap_sys_madvise(uintptr_t address, size_t length, int advice)
{
	bool cut = asked++ < cuts;
	int r;

	if (cut)
		EXPECT_IS(ftruncate(fd, 0), 0);
	r = __real_sys_madvise(address, length, advice);
	if (cut && grow)
		EXPECT_IS(ftruncate(fd, PAGE), 0);
	return r;
}

/* What is said of the one page of a file of one page. */
static int classify(uint32_t *cause)
{
	struct guard guard = { .page_bytes = PAGE };
	void *page;
	int r;

	fd = file_of(PAGE);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(page != MAP_FAILED);
	guard.fd = fd;
	guard.trap.start = (uintptr_t)page;
	guard.trap.end = guard.trap.start + PAGE;
	asked = 0;
	*cause = QUIRE_CAUSE_NONE;
	r = guard_classify(&guard, guard.trap.start, false, 0, cause);
	EXPECT_IS(munmap(page, PAGE), 0);
	EXPECT_IS(close(fd), 0);
	return r;
}

static void a_file_cut_and_grown_between_two_questions_is_well(void **state)
{
	uint32_t cause;

	(void)state;
	grow = true;
	for (cuts = 1; cuts <= 8; cuts++)
		EXPECT_IS(classify(&cause), 0);
}

static void a_file_cut_after_the_first_question_is_truncated(void **state)
{
	uint32_t cause;

	(void)state;
	grow = false;
	cuts = 1;
	EXPECT_IS(classify(&cause), -ENODATA);
	EXPECT_IS(cause, QUIRE_CAUSE_TRUNCATED);
	EXPECT_IS(asked, 1);
}

static void what_makes_no_sense_for_ever_is_unknown(void **state)
{
	uint32_t cause;

	(void)state;
	grow = true;
	cuts = 1000;
	EXPECT_IS(classify(&cause), -EFAULT);
	EXPECT_IS(cause, QUIRE_CAUSE_UNKNOWN);
	EXPECT(asked < cuts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_cut_and_grown_between_two_questions_is_well),
		cmocka_unit_test(a_file_cut_after_the_first_question_is_truncated),
		cmocka_unit_test(what_makes_no_sense_for_ever_is_unknown),
	};

	return RUN(tests);
}
