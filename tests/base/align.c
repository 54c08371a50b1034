/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic at the edges, and the sentence that goes with an error. */
#include "support/run.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "support/child.h"

static void rounding_holds_up_to_the_last_page(void **state)
{
	(void)state;
	EXPECT_IS(align_up(0, PAGE_BYTES), 0);
	EXPECT_IS(align_up(1, PAGE_BYTES), PAGE_BYTES);
	EXPECT_IS(align_up(PAGE_BYTES, PAGE_BYTES), PAGE_BYTES);
	EXPECT(align_up(UINT64_MAX - PAGE_BYTES + 1, PAGE_BYTES) == UINT64_MAX - PAGE_BYTES + 1);
	EXPECT(align_down(UINT64_MAX, PAGE_BYTES) == UINT64_MAX - PAGE_BYTES + 1);
	EXPECT(is_aligned(0, 1 << 21));
	EXPECT(!is_aligned(PAGE_BYTES, 1 << 21));
	EXPECT(is_power_of_two(1) && is_power_of_two((uint64_t)1 << 63));
	EXPECT(!is_power_of_two(0) && !is_power_of_two(3));
}

static void sums_that_do_not_fit_are_told(void **state)
{
	uint64_t sum = 0;

	(void)state;
	EXPECT(add_fits(UINT64_MAX - 1, 1, &sum));
	EXPECT(sum == UINT64_MAX);
	EXPECT(!add_fits(UINT64_MAX, 1, &sum));
	EXPECT(add_fits(0, 0, &sum));
}

static void the_nearest_sentence_wins(void **state)
{
	(void)state;
	error_clear();
	EXPECT_IS(error_set(-EIO, "near %d", 1), -EIO);
	EXPECT_IS(error_default(-EIO, "far"), -EIO);
	EXPECT_IS(strcmp(error_text(), "near 1"), 0);
	error_clear();
	EXPECT_IS(strcmp(error_text(), "near 1"), 0); /* a success does not wipe it */
	EXPECT_IS(error_default(-EIO, "far"), -EIO);
	EXPECT_IS(strcmp(error_text(), "far"), 0);
}

static void a_sentence_that_is_too_long_is_cut(void **state)
{
	char word[2 * ERROR_TEXT_BYTES];

	(void)state;
	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	EXPECT_IS(error_set(-EIO, "%s", word), -EIO);
	EXPECT_IS(strlen(error_text()), ERROR_TEXT_BYTES - 1);
}

static void *fail_elsewhere(void *argument)
{
	EXPECT_IS(error_text()[0], 0);
	EXPECT_IS(error_set(-EIO, "theirs"), -EIO);
	return argument;
}

/* In a child: ThreadSanitizer starts a thread of its own with the first one. */
static void each_thread_has_its_own_sentence_body(void *argument)
{
	pthread_t thread;

	(void)argument;
	EXPECT_IS(error_set(-EIO, "mine"), -EIO);
	EXPECT_IS(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
	EXPECT_IS(pthread_join(thread, NULL), 0);
	EXPECT_IS(strcmp(error_text(), "mine"), 0);
}
CHILD_CASE(each_thread_has_its_own_sentence)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounding_holds_up_to_the_last_page),
		cmocka_unit_test(sums_that_do_not_fit_are_told),
		cmocka_unit_test(the_nearest_sentence_wins),
		cmocka_unit_test(a_sentence_that_is_too_long_is_cut),
		cmocka_unit_test(each_thread_has_its_own_sentence),
	};

	return RUN(tests);
}
