/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support/run.h - what every cmocka test begins with. It brings cmocka and the headers that cmocka wants before it.
 *
 *	int main(void)
 *	{
 *		const struct CMUnitTest tests[] = {
 *			cmocka_unit_test(adjacent_windows_become_one),
 *		};
 *
 *		return RUN(tests);
 *	}
 *
 * RUN adds a last case, leaves_the_process_as_found: the same open descriptors, named mappings and threads as before the
 * first case. Unnamed mappings are not compared, because malloc and the thread library keep some of their own.
 */
#ifndef TESTS_SUPPORT_RUN_H
#define TESTS_SUPPORT_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define RUN(tests) run_group(tests, sizeof(tests) / sizeof((tests)[0]))

/* How long threads that are there too many may take to end. */
extern int run_patience_ms;

/* Returns the number of failed cases. */
int run_group(const struct CMUnitTest *tests, size_t count);

#endif
