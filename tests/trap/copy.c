/* SPDX-License-Identifier: Apache-2.0 */
/* The guarded copy: every length around its steps, every alignment, and a fault at every place. */
#include "support/run.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <quire/guard.h>
#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"

enum { LONGEST = 2200, AROUND = 64 };

static void every_length_and_alignment_copies_exactly_body(void *argument)
{
	static unsigned char from[LONGEST + 2 * AROUND], to[LONGEST + 2 * AROUND],
		wanted[LONGEST + 2 * AROUND];

	(void)argument;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (unsigned char)(i * 7 + i / 256 + 1);
	for (size_t length = 0; length <= LONGEST; length += length < 300 || length > 2000 ? 1 : 13) {
		size_t shift = length % 17;

		memset(to, 0xee, sizeof(to));
		memcpy(wanted, to, sizeof(to));
		memcpy(wanted + AROUND, from + shift, length);
		EXPECT_IS(quire_copy_out(to + AROUND, from + shift, length), 0);
		EXPECT(memcmp(to, wanted, sizeof(to)) == 0);
	}
}
CHILD_CASE(every_length_and_alignment_copies_exactly)

/* The last live byte lies at every distance from the end of the copy. */
static void a_fault_at_any_place_is_an_error_and_writes_nothing_behind_body(void *argument)
{
	static unsigned char to[LONGEST + AROUND];
	int fd = file_of(2 * PAGE);
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)argument;
	EXPECT(pages != MAP_FAILED);
	EXPECT_IS(ftruncate(fd, PAGE), 0);
	for (size_t length = 1; length <= LONGEST; length += length < 300 ? 1 : 37) {
		for (size_t dead = 1; dead <= length; dead += 1 + length / 7) {
			memset(to, 0xee, sizeof(to));
			EXPECT_IS(quire_copy_out(to, pages + PAGE - (length - dead), length), -EFAULT);
			for (size_t i = length - dead; i < sizeof(to); i++)
				EXPECT_IS(to[i], 0xee);
			EXPECT_IS(quire_copy_in(pages + PAGE - (length - dead), to, length), -EFAULT);
		}
		EXPECT_IS(quire_copy_out(to, pages + PAGE - length, length), 0);
	}
}
CHILD_CASE(a_fault_at_any_place_is_an_error_and_writes_nothing_behind)

static void nothing_to_copy_is_no_access_body(void *argument)
{
	(void)argument;
	EXPECT_IS(quire_copy_out(NULL, NULL, 0), 0);
}
CHILD_CASE(nothing_to_copy_is_no_access)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_and_alignment_copies_exactly),
		cmocka_unit_test(a_fault_at_any_place_is_an_error_and_writes_nothing_behind),
		cmocka_unit_test(nothing_to_copy_is_no_access),
	};

	return RUN(tests);
}
