/* SPDX-License-Identifier: Apache-2.0 */
/* Folios of real files against their frames: tests/quire/kernel. */
#include <errno.h>
#include <quire/inspect.h>

#include "inspect/ground.h"
#include "support/run.h"

static uint64_t sum(const uint64_t *figures, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += figures[i];
	return sum;
}

/* Each page that is there is in one folio and on one node, and looking for it brings nothing in. */
static void every_ready_page_is_in_one_folio_on_one_node(void **state)
{
	struct quire_folios folios = { .size = sizeof(folios) };
	int fd = ground_file(1000);
	unsigned char *bits;
	uint64_t ready = 0, before;

	(void)state;
	assert_true(fd >= 0);
	ground_drop(fd, 200, 600);
	before = ground_count(fd);
	assert_int_equal(quire_folios_read(fd, 0, QUIRE_UNKNOWN, &folios), 0);
	assert_int_equal(ground_count(fd), before);
	bits = ground_truth(fd, 1000);
	for (int i = 0; i < 1000; i++)
		ready += bits[i];
	free(bits);
	assert_true(ready < 1000);
	assert_int_equal(folios.pages, ready);
	if (folios.folios_why[0] == '\0')
		assert_int_equal(sum(folios.folio_pages, QUIRE_FOLIO_ORDERS), ready);
	else
		assert_int_equal(folios.folio_pages[0], QUIRE_UNKNOWN);
	if (folios.nodes_why[0] == '\0')
		assert_int_equal(sum(folios.node_pages, QUIRE_FOLIO_NODES), ready);
	assert_int_equal(folios.folios_why[0] == '\0', geteuid() == 0);

	assert_int_equal(quire_folios_read(fd, UINT64_C(400) << PAGE_SHIFT, 4096, &folios), 0);
	assert_int_equal(folios.pages, 0);
	assert_int_equal(sum(folios.node_pages, QUIRE_FOLIO_NODES), 0);
	close(fd);
}

static void what_is_no_file_has_no_folios(void **state)
{
	struct quire_folios folios = { .size = 0 };
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(quire_folios_read(ends[0], 0, QUIRE_UNKNOWN, &folios), -EINVAL);
	folios.size = sizeof(folios);
	assert_int_equal(quire_folios_read(ends[0], 0, QUIRE_UNKNOWN, &folios), -ENODEV);
	assert_int_equal(quire_folios_read(-1, 0, QUIRE_UNKNOWN, &folios), -EBADF);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ready_page_is_in_one_folio_on_one_node),
		cmocka_unit_test(what_is_no_file_has_no_folios),
	};

	return RUN(tests);
}
