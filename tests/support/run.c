/* SPDX-License-Identifier: Apache-2.0 */
#include "support/run.h"

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LEDGER_BYTES = 1 << 16 };

int run_patience_ms = 60000;

/* What the process has open, as text: a difference is then a sentence. */
struct ledger {
	char text[LEDGER_BYTES];
	size_t used;
};

static struct ledger before, after;
static int threads_before;

static void note(struct ledger *l, const char *what, const char *name)
{
	int n = snprintf(l->text + l->used, sizeof(l->text) - l->used, "%s %s\n", what, name);

	assert_true(n > 0 && (size_t)n < sizeof(l->text) - l->used);
	l->used += (size_t)n;
}

static void note_descriptors(struct ledger *l)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		char path[64], target[512], line[800];
		ssize_t n;

		if (entry->d_name[0] == '.' || strtol(entry->d_name, NULL, 10) == dirfd(directory))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%.16s", entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		(void)snprintf(line, sizeof(line), "%s -> %s", entry->d_name, target);
		note(l, "descriptor", line);
	}
	(void)closedir(directory);
}

/* Libraries may be loaded late (iconv, the sanitizers), and the heap and the stack grow: none of them is a leak. */
static int grows_by_itself(const char *name)
{
	return strstr(name, ".so") || strstr(name, "/tsan.rodata") || strncmp(name, "[heap]", 6) == 0 ||
		strncmp(name, "[stack]", 7) == 0 || strstr(name, "/locale/") || strstr(name, "gconv");
}

static void note_mappings(struct ledger *l)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		char range[64], permissions[8];
		int name = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%63s %7s %*s %*s %*s %n", range, permissions, &name) != 2 || name == 0)
			continue;
		if (line[name] != '\0' && !grows_by_itself(line + name))
			note(l, "mapping", line);
	}
	(void)fclose(maps);
}

/* A thread that was joined stays listed for as long as it waits for a processor to end on; the kernel marks it before it
 * lets the joiner go on. */
static bool thread_ends(const char *id)
{
	enum { PF_EXITING = 4, FLAGS = 7 }; /* include/linux/sched.h; and the word behind the name */
	unsigned long flags = PF_EXITING;   /* gone meanwhile */
	char path[64], line[1024];
	const char *word;
	FILE *stat;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%.16s/stat", id);
	stat = fopen(path, "re");
	if (!stat)
		return true;
	word = fgets(line, sizeof(line), stat) ? strrchr(line, ')') : NULL;
	for (int i = 0; word && i < FLAGS; i++)
		word = strchr(word + 1, ' ');
	if (word)
		flags = strtoul(word, NULL, 10);
	(void)fclose(stat);
	return flags & PF_EXITING;
}

static int thread_count(void)
{
	DIR *directory = opendir("/proc/self/task");
	int n = 0;

	assert_non_null(directory);
	for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
		n += entry->d_name[0] != '.' && !thread_ends(entry->d_name);
	(void)closedir(directory);
	return n;
}

static void take(struct ledger *l)
{
	char threads[32];

	l->used = 0;
	(void)snprintf(threads, sizeof(threads), "%d", thread_count());
	note(l, "threads", threads);
	note_descriptors(l);
	note_mappings(l);
}

/* Prints each line of one ledger that the other lacks; returns how many. */
static int missing_from(const struct ledger *other, const struct ledger *l, const char *verdict)
{
	int n = 0;

	for (const char *line = l->text; line < l->text + l->used; line = strchr(line, '\n') + 1) {
		char whole[1100];
		size_t length = strcspn(line, "\n") + 1;

		(void)snprintf(whole, sizeof(whole), "%.*s", (int)length, line);
		if (strstr(other->text, whole))
			continue;
		print_message("# %s: %s", verdict, whole);
		n++;
	}
	return n;
}

static void leaves_the_process_as_found(void **state)
{
	const struct timespec millisecond = { .tv_nsec = 1000000 };

	(void)state;
	/* The kernel's own, that worked for io_uring, go when they come to it. */
	for (int i = 0; i < run_patience_ms && thread_count() > threads_before; i++)
		(void)nanosleep(&millisecond, NULL);
	take(&after);
	assert_int_equal(
		missing_from(&before, &after, "left behind") + missing_from(&after, &before, "lost"), 0);
}

static void *nothing(void *arg)
{
	return arg;
}

/* ThreadSanitizer starts a thread of its own with the program's first: let it be there before we look. */
static void start_first_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, nothing, NULL) == 0)
		(void)pthread_join(thread, NULL);
}

int run_group(const struct CMUnitTest *tests, size_t count)
{
	struct CMUnitTest *all = calloc(count + 1, sizeof(*all));
	int failed;

	if (!all)
		return 1;
	memcpy(all, tests, count * sizeof(*all));
	all[count] = (struct CMUnitTest)cmocka_unit_test(leaves_the_process_as_found);
	(void)printf("# the first output takes its buffer before we look\n");
	(void)umask(022); /* a test must not depend on who runs it */
	start_first_thread();
	threads_before = thread_count();
	take(&before);
	failed = _cmocka_run_group_tests("tests", all, count + 1, NULL, NULL);
	free(all);
	return failed;
}
