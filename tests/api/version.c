/* SPDX-License-Identifier: Apache-2.0 */
#include "support/run.h"

#include <quire/quire.h>

static void version_is_three_numbers(void **state)
{
	const char *at = quire_version();
	char *end;

	(void)state;
	for (int i = 0; i < 3; i++) {
		(void)strtoul(at, &end, 10);
		assert_ptr_not_equal(end, at);
		assert_int_equal(*end, i < 2 ? '.' : '\0');
		at = end + 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_is_three_numbers),
	};

	return RUN(tests);
}
