/* SPDX-License-Identifier: Apache-2.0 */
/* custom-object.c - memory whose bytes the program computes when they are touched: the squares, one page at a time. */
#include <stdint.h>
#include <stdio.h>

#include <quire/quire.h>

enum { SQUARES = 1 << 20 };

#define MUST(call)                                                   \
	do {                                                         \
		if ((call) < 0) {                                    \
			fprintf(stderr, "%s\n", quire_error_text()); \
			return 1;                                    \
		}                                                    \
	} while (0)

static int get_squares(void *user, uint64_t offset, void *memory, size_t length)
{
	uint64_t *words = memory;

	(void)user;
	for (uint64_t i = 0; i < length / sizeof(*words); i++) {
		uint64_t n = offset / sizeof(*words) + i;

		words[i] = n * n;
	}
	return 0;
}

static void count_pages(void *user, int put, uint64_t first, uint32_t count, int error)
{
	(void)put;
	(void)first;
	if (error == 0)
		*(uint64_t *)user += count;
}

int main(void)
{
	uint64_t pages = 0, square, wrong = 0;
	struct quire_object *squares, *slow, *failing, *logged;
	struct quire_map *map;

	MUST(quire_object_open(
		QUIRE_OPTIONS(object, .get = get_squares, .length = SQUARES * 8ULL), &squares));
	MUST(quire_object_delay(squares, 1000, 0, &slow)); /* each filter owns what is behind it */
	MUST(quire_object_fail(slow, 1, 0, 3, 1, -5, &failing));
	MUST(quire_object_log(failing, count_pages, &pages, &logged));
	MUST(quire_map(NULL,
		QUIRE_OPTIONS(map, .object = logged, .engine = QUIRE_ENGINE_PAGED, .cache_bytes = 1 << 20,
			.protection = QUIRE_READ, .advice = QUIRE_RANDOM),
		&map));

	const volatile uint64_t *n = quire_map_address(map);
	wrong += n[1000] != 1000ULL * 1000;       /* the first transfer */
	wrong += n[500000] != 500000ULL * 500000; /* the second */
	/* The third fails, on order: an errno where a pointer would raise a signal. */
	if (quire_map_try_read(map, 900000 * 8, &square, sizeof(square)) != -5)
		wrong++;
	MUST(quire_map_try_read(map, 900000 * 8, &square, sizeof(square)));
	wrong += square != 900000ULL * 900000;

	printf("%llu wrong, %llu pages computed of %d\n", (unsigned long long)wrong,
		(unsigned long long)pages, SQUARES * 8 / 4096);
	MUST(quire_unmap(map));
	quire_object_close(logged);
	return wrong != 0 || pages != 3;
}
