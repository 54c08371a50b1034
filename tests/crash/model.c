/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - what the replayer believes of file systems, on logs written by hand. */
#include "support/run.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "log.h"
#include "show.h"

enum { FILE_NUMBER = 7, PAGES = 4 };

static FILE *out;
static char path[64];

static void put(struct crash_record r, const char *name, const void *data)
{
	static const char zeros[8];

	r.name_bytes = name ? (uint32_t)strlen(name) + 1 : 0;
	r.bytes = (uint32_t)(sizeof(r) + r.name_bytes + r.data_bytes + 7) / 8 * 8;
	assert_int_equal(fwrite(&r, sizeof(r), 1, out), 1);
	if (r.name_bytes)
		assert_int_equal(fwrite(name, r.name_bytes, 1, out), 1);
	if (r.data_bytes)
		assert_int_equal(fwrite(data, r.data_bytes, 1, out), 1);
	(void)fwrite(zeros, r.bytes - sizeof(r) - r.name_bytes - r.data_bytes, 1, out);
}

/* A log that begins with one durable file "a" of four pages of zeros. */
static void log_begin(void)
{
	static const char zeros[PAGES * PAGE];

	(void)snprintf(path, sizeof(path), "/tmp/quire-model-XXXXXX");
	out = fdopen(mkstemp(path), "w");
	assert_non_null(out);
	assert_int_equal(fwrite(CRASH_MAGIC, 8, 1, out), 1);
	put((struct crash_record){ .kind = CRASH_INITIAL_DIR, .file = 1 }, "", NULL);
	put((struct crash_record){ .kind = CRASH_INITIAL, .file = FILE_NUMBER, .data_bytes = sizeof(zeros) },
		"a", zeros);
}

static void write_at(uint64_t offset, char fill, uint32_t bytes)
{
	char data[PAGES * PAGE];

	memset(data, fill, sizeof(data));
	put((struct crash_record){ .kind = CRASH_WRITE,
		    .file = FILE_NUMBER,
		    .offset = offset,
		    .length = bytes,
		    .data_bytes = bytes },
		NULL, data);
}

static void sync_with(int result)
{
	put((struct crash_record){ .kind = CRASH_SYNC_BEGIN, .file = FILE_NUMBER }, NULL, NULL);
	put((struct crash_record){ .kind = CRASH_SYNC_END, .file = FILE_NUMBER, .result = result }, NULL,
		NULL);
}

static void cut_to(uint64_t length)
{
	put((struct crash_record){ .kind = CRASH_TRUNCATE, .file = FILE_NUMBER, .length = length }, NULL,
		NULL);
}

/* What every state at the end of the log says of the file: one letter for each page, '-' for zeros, '?' for a mixture;
 * its pages end where it does. Returns how many different images there are. */
static unsigned int all_states(char texts[64][PAGES + 1])
{
	struct crash_options o = crash_defaults();
	struct crash_log log;
	struct model m;
	struct window w;
	struct shown s = { .name_room = 0 };
	unsigned int n = 0;

	o.per_point = 0;
	(void)fclose(out);
	assert_int_equal(crash_log_load(&log, path), 0);
	model_init(&m, &log, false);
	window_init(&w, &m);
	while (m.next < log.op_count)
		model_advance(&m);
	window_take(&w);
	for (uint32_t i = 0; i < choice_count(&w, POINT_FULL, &o); i++) {
		char text[PAGES + 1] = "";
		bool known = false;

		choice_make(&w, POINT_FULL, &o, i);
		show(&m, &w, &s);
		for (uint64_t page = 0; page * PAGE < m.files[0].size && page < PAGES; page++) {
			const uint8_t *p = m.files[0].live + page * PAGE;

			text[page] = memcmp(p, p + 1, PAGE - 1) != 0 ? '?' : *p ? (char)*p : '-';
		}
		unshow(&m);
		for (unsigned int k = 0; k < n; k++)
			known |= strcmp(texts[k], text) == 0;
		if (!known)
			memcpy(texts[n++], text, sizeof(text));
	}
	window_done(&w);
	model_done(&m);
	shown_done(&s);
	crash_log_free(&log);
	(void)unlink(path);
	return n;
}

static bool among(char texts[64][PAGES + 1], unsigned int n, const char *text)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(texts[i], text) == 0)
			return true;
	return false;
}

static void pages_persist_independently(void **state)
{
	char texts[64][PAGES + 1];

	(void)state;
	log_begin();
	write_at(0, 'A', PAGE);
	write_at(PAGE, 'B', PAGE);
	write_at(2 * PAGE, 'C', PAGE);
	assert_int_equal(all_states(texts), 8);
}

static void what_was_synced_is_there(void **state)
{
	char texts[64][PAGES + 1];
	unsigned int n;

	(void)state;
	log_begin();
	write_at(0, 'A', PAGE);
	sync_with(0);
	write_at(PAGE, 'B', PAGE);
	n = all_states(texts);
	assert_int_equal(n, 2);
	assert_true(among(texts, n, "A---"));
	assert_true(among(texts, n, "AB--"));
}

/* Half a page, then the other half: the second never without the first, for the page goes as a whole. */
static void a_page_holds_a_version_it_had(void **state)
{
	char texts[64][PAGES + 1];
	unsigned int n;

	(void)state;
	log_begin();
	write_at(0, 'A', PAGE);
	write_at(0, 'B', PAGE);
	n = all_states(texts);
	assert_int_equal(n, 3);
	assert_true(among(texts, n, "----"));
	assert_true(among(texts, n, "A---"));
	assert_true(among(texts, n, "B---"));
}

static void a_failed_sync_is_not_mended_by_the_next(void **state)
{
	char texts[64][PAGES + 1];

	(void)state;
	log_begin();
	write_at(0, 'A', PAGE);
	sync_with(-5);
	sync_with(0);
	assert_int_equal(all_states(texts), 2);
}

static void a_page_written_again_is_synced_as_a_whole(void **state)
{
	char texts[64][PAGES + 1];
	unsigned int n;

	(void)state;
	log_begin();
	write_at(0, 'A', PAGE);
	sync_with(-5);
	write_at(0, 'A', 1);
	sync_with(0);
	n = all_states(texts);
	assert_int_equal(n, 1);
	assert_true(among(texts, n, "A---"));
}

/* Cut off and written again: the old bytes do not come back, and the new are nowhere without the cut. */
static void a_cut_stands_between_old_and_new(void **state)
{
	char texts[64][PAGES + 1];
	unsigned int n;

	(void)state;
	log_begin();
	write_at(PAGE, 'O', PAGE);
	sync_with(0);
	cut_to(PAGE);
	write_at(PAGE, 'N', PAGE);
	n = all_states(texts);
	assert_true(among(texts, n, "-O--")); /* nothing happened */
	assert_true(among(texts, n, "-"));    /* the cut */
	assert_true(among(texts, n, "--"));   /* the size, not the data */
	assert_true(among(texts, n, "-N"));
	assert_false(among(texts, n, "-O"));
	assert_false(among(texts, n, "-N--"));
}

static void a_sync_covers_what_came_before_it_began(void **state)
{
	char texts[64][PAGES + 1];

	(void)state;
	log_begin();
	put((struct crash_record){ .kind = CRASH_SYNC_BEGIN, .file = FILE_NUMBER }, NULL, NULL);
	write_at(0, 'A', PAGE);
	put((struct crash_record){ .kind = CRASH_SYNC_END, .file = FILE_NUMBER }, NULL, NULL);
	assert_int_equal(all_states(texts), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_persist_independently),
		cmocka_unit_test(what_was_synced_is_there),
		cmocka_unit_test(a_page_holds_a_version_it_had),
		cmocka_unit_test(a_failed_sync_is_not_mended_by_the_next),
		cmocka_unit_test(a_page_written_again_is_synced_as_a_whole),
		cmocka_unit_test(a_cut_stands_between_old_and_new),
		cmocka_unit_test(a_sync_covers_what_came_before_it_began),
	};

	return RUN(tests);
}
