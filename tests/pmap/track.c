/* SPDX-License-Identifier: Apache-2.0 */
/* A private window of a file: which pages were written, per harvest. T1 and T2 of pmap/track.h. */
#include "support/run.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/align.h"
#include "pmap/track.h"

enum { PAGES = 2048 };

struct setup {
	struct track track;
	unsigned char *window;
	struct pmap_span span;
	unsigned int count;
	unsigned char seen[PAGES];
};

static bool whole;

static int begin(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));
	char path[] = "/var/tmp/quire-track-XXXXXX";
	int fd = mkstemp(path);

	assert_non_null(s);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, PAGES * (off_t)PAGE_BYTES), 0);
	s->window = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(s->window, MAP_FAILED);
	assert_int_equal(close(fd), 0);
	s->span = (struct pmap_span){ (uintptr_t)s->window, (uintptr_t)s->window + PAGES * PAGE_BYTES };
	assert_int_equal(track_open(&s->track, whole), 0);
	assert_int_equal(track_arm(&s->track, &s->span), 0);
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct setup *s = *state;

	track_close(&s->track);
	assert_int_equal(munmap(s->window, PAGES * PAGE_BYTES), 0);
	free(s);
	return 0;
}

static int note(void *user, const struct pmap_span *pages)
{
	struct setup *s = user;

	for (uintptr_t va = pages->start; va < pages->end; va += PAGE_BYTES) {
		s->seen[(va - s->span.start) / PAGE_BYTES]++;
		s->count++;
	}
	return 0;
}

static unsigned int harvest(struct setup *s)
{
	s->count = 0;
	memset(s->seen, 0, sizeof(s->seen));
	assert_int_equal(track_harvest(&s->track, &s->span, note, s), 0);
	return s->count;
}

static void written_pages_are_reported_once_each(void **state)
{
	struct setup *s = *state;

	for (unsigned int i = 0; i < PAGES; i += 128)
		s->window[i * PAGE_BYTES + 7] = 1;
	assert_int_equal(harvest(s), PAGES / 128);
	for (unsigned int i = 0; i < PAGES; i++)
		assert_int_equal(s->seen[i], i % 128 == 0);
}

static void pages_only_read_are_not_reported(void **state)
{
	struct setup *s = *state;
	unsigned int sum = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		sum += s->window[i * PAGE_BYTES];
	assert_int_equal(sum, 0);
	assert_int_equal(harvest(s), 0);
}

/* What the fallback may not promise, it says. */
static void each_harvest_begins_anew_where_the_tracker_is_exact(void **state)
{
	struct setup *s = *state;

	s->window[5 * PAGE_BYTES] = 1;
	assert_int_equal(harvest(s), 1);
	s->window[9 * PAGE_BYTES] = 1;
	assert_int_equal(harvest(s), s->track.exact ? 1 : 2);
	assert_int_equal(s->seen[9], 1);
	s->window[5 * PAGE_BYTES] = 2;
	(void)harvest(s);
	assert_int_equal(s->seen[5], 1);
}

static void a_dropped_page_is_clean_and_tracked_again(void **state)
{
	struct setup *s = *state;

	s->window[5 * PAGE_BYTES] = 1;
	assert_int_equal(harvest(s), 1);
	assert_int_equal(madvise(s->window + 5 * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED), 0);
	assert_int_equal(s->window[5 * PAGE_BYTES], 0);
	assert_int_equal(harvest(s), 0);
	s->window[5 * PAGE_BYTES] = 3;
	assert_int_equal(harvest(s), 1);
}

static int begin_whole(void **state)
{
	whole = true;
	return begin(state);
}

static int begin_small(void **state)
{
	whole = false;
	return begin(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "written_pages_are_reported_once_each_whole", written_pages_are_reported_once_each,
			begin_whole, end, NULL },
		{ "pages_only_read_are_not_reported_whole", pages_only_read_are_not_reported, begin_whole,
			end, NULL },
		{ "each_harvest_begins_anew_where_the_tracker_is_exact_whole",
			each_harvest_begins_anew_where_the_tracker_is_exact, begin_whole, end, NULL },
		{ "a_dropped_page_is_clean_and_tracked_again_whole",
			a_dropped_page_is_clean_and_tracked_again, begin_whole, end, NULL },
		{ "written_pages_are_reported_once_each_small", written_pages_are_reported_once_each,
			begin_small, end, NULL },
		{ "pages_only_read_are_not_reported_small", pages_only_read_are_not_reported, begin_small,
			end, NULL },
		{ "each_harvest_begins_anew_where_the_tracker_is_exact_small",
			each_harvest_begins_anew_where_the_tracker_is_exact, begin_small, end, NULL },
		{ "a_dropped_page_is_clean_and_tracked_again_small",
			a_dropped_page_is_clean_and_tracked_again, begin_small, end, NULL },
	};

	return RUN(tests);
}
