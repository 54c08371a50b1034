/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of limits that cannot be set for one process: the files of /proc say what a case wants. The linker puts
 * __wrap_sys_read_small in the place of the real one (see meson.build). Limits that can be met for real: api/limits.c.
 */
#include "support/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "pmap/limits.h"
#include "pmap/pmap.h"
#include "support/child.h"
#include "sys/file.h"

enum { MIB = 1 << 20 };

struct file {
	const char *path;
	const char *text;
};

static const struct file *files;

ssize_t __wrap_sys_read_small(const char *path, char *text, size_t text_bytes);
ssize_t __wrap_sys_read_small(const char *path, char *text, size_t text_bytes)
{
	for (const struct file *file = files; file->path; file++)
		if (strcmp(file->path, path) == 0)
			return snprintf(text, text_bytes, "%s", file->text);
	return -ENOENT;
}

static const char *sentence(int error, struct pmap_range range, const struct file *now)
{
	files = now;
	EXPECT_IS(limits_explain(error, &range), error);
	return error_text();
}

static const struct pmap_range eight_mib = { .start = 0, .end = 8 * MIB };

static void overcommit_that_is_strict_is_told_with_its_figures(void **state)
{
	static const struct file now[] = { { "/proc/sys/vm/overcommit_memory", "2\n" },
		{ "/proc/meminfo",
			"MemTotal: 2000000 kB\nCommitLimit:  1000000 kB\nCommitted_AS:  999000 kB\n" },
		{ "/proc/sys/vm/max_map_count", "65530\n" }, { NULL, NULL } };
	const char *text = sentence(-ENOMEM, eight_mib, now);

	(void)state;
	EXPECT(strstr(text, "vm.overcommit_memory is 2"));
	EXPECT(strstr(text, "999000 of 1000000 KiB"));
	EXPECT(strstr(text, "8192 KiB more"));
	EXPECT(strstr(text, "overcommit_ratio"));
}

static void memory_that_is_not_accounted_is_not_blamed_on_overcommit(void **state)
{
	static const struct file now[] = { { "/proc/sys/vm/overcommit_memory", "2\n" }, { NULL, NULL } };
	struct pmap_range range = eight_mib;

	(void)state;
	range.flags = PMAP_NORESERVE;
	EXPECT(strstr(sentence(-ENOMEM, range, now), "no free range of 8192 KiB"));
}

static void an_empty_pool_is_told_with_its_figures(void **state)
{
	static const struct file now[] = { { "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages",
						   "3\n" },
		{ "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n" }, { NULL, NULL } };
	struct pmap_range range = { .end = (uintptr_t)2 << 30, .page_shift = 30 };
	const char *text = sentence(-ENOMEM, range, now);

	(void)state;
	EXPECT(strstr(text, "2 huge pages of 1048576 KiB are needed, the pool has 1 free of 3"));
	EXPECT(strstr(text, "nr_hugepages"));
}

static void every_other_refusal_has_its_words(void **state)
{
	static const struct {
		int error;
		const char *words;
	} rows[] = { { -EACCES, "open mode" }, { -EEXIST, "mapped already" }, { -ENODEV, "cannot be mapped" },
		{ -EOPNOTSUPP, "DAX" }, { -EOVERFLOW, "file offset" }, { -EPERM, "security module" },
		{ -EINVAL, "Invalid argument" } };
	static const struct file nothing[] = { { NULL, NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		error_clear();
		EXPECT(strstr(sentence(rows[i].error, eight_mib, nothing), rows[i].words));
	}
}

static void without_proc_there_is_still_a_sentence(void **state)
{
	static const struct file nothing[] = { { NULL, NULL } };

	(void)state;
	EXPECT(sentence(-ENOMEM, eight_mib, nothing)[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overcommit_that_is_strict_is_told_with_its_figures),
		cmocka_unit_test(memory_that_is_not_accounted_is_not_blamed_on_overcommit),
		cmocka_unit_test(an_empty_pool_is_told_with_its_figures),
		cmocka_unit_test(every_other_refusal_has_its_words),
		cmocka_unit_test(without_proc_there_is_still_a_sentence),
	};

	return RUN(tests);
}
