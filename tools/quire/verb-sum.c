/* SPDX-License-Identifier: Apache-2.0 */
/* verb-sum.c - quire sum: the same checksum by every way to get at a file's bytes, and what each way costs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <quire/quire.h>

#include "json.h"
#include "progress.h"
#include "sum.h"

struct sum_settings {
	unsigned int by;
	bool populate;
	bool cold;
	unsigned int advice;
	uint64_t random;
	uint64_t seed;
	uint64_t cache_bytes;
};

static const struct sum_method *const methods[] = {
	&sum_by_auto,
	&sum_by_mmap,
	&sum_by_read,
	&sum_by_direct,
	&sum_by_uring,
	&sum_by_paged,
};

/* What quire_pool_open() demands. */
enum { CACHE_BYTES_MIN = 64 << 10 };

enum { METHODS = 6, BY_ALL = METHODS };

static const char *const method_words[] = { "auto", "mmap", "read", "direct", "uring", "paged", "all", NULL };

/* In the order of enum quire_advice. */
static const char *const advice_words[] = { "normal", "random", "sequential", "willneed", NULL };

/** All sums of one command: files times methods. */
struct tally {
	struct sum *sums;
	size_t count;
	size_t failed;
	bool differ; /* two methods disagree about one file */
};

static void sum_one(struct sum *sum, const struct sum_settings *settings, const char *path, unsigned int by)
{
	struct stat st;

	*sum = (struct sum){
		.path = path,
		.method = methods[by],
		.random = settings->random,
		.seed = settings->seed,
		.advice = settings->advice,
		.populate = settings->populate,
		.cold = settings->cold,
		.cache_bytes = settings->cache_bytes,
	};
	progress_begin(path,
		settings->random != 0          ? settings->random * SUM_BLOCK
			: stat(path, &st) == 0 ? (uint64_t)st.st_size
					       : 0,
		true);
	sum_run(sum);
	progress_end();
}

static void compare(struct tally *tally, const struct sum *sum)
{
	for (size_t i = 0; i < tally->count; i++) {
		const struct sum *other = &tally->sums[i];

		if (other->path == sum->path && other->error == 0 && sum->error == 0 &&
			digest_value(&other->digest) != digest_value(&sum->digest))
			tally->differ = true;
	}
}

static void sum_all(struct call *call, struct tally *tally)
{
	const struct sum_settings *settings = call->settings;
	bool all = settings->by == BY_ALL;

	for (unsigned int f = 0; f < call->operand_count; f++) {
		for (unsigned int m = all ? 1 : settings->by;
			m < (all ? (unsigned int)METHODS : settings->by + 1); m++) {
			struct sum *sum = &tally->sums[tally->count];

			sum_one(sum, settings, call->operands[f], m);
			compare(tally, sum);
			tally->count++;
			tally->failed += sum->error != 0;
			if (sum->error != 0)
				complain("%s", sum->text);
		}
	}
}

static double speed(const struct sum *sum)
{
	return sum->seconds > 0 ? (double)sum->digest.bytes / sum->seconds : 0;
}

static void put_sum(json_t *array, const struct sum *sum)
{
	json_t *object = json_add_object(array);
	char hex[20];

	json_put_name(object, "file", sum->path);
	json_put_text(object, "method", sum->method->name);
	json_put_text(object, "chosen_because", sum->why[0] != '\0' ? sum->why : NULL);
	if (sum->error != 0) {
		json_put_unknown(object, "checksum", sum->text);
		json_put_count(object, "errno", (uint64_t)-sum->error);
		return;
	}
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)digest_value(&sum->digest));
	json_put_text(object, "checksum", hex);
	json_put_count(object, "bytes", sum->digest.bytes);
	json_put_real(object, "seconds", sum->seconds);
	json_put_real(object, "gb_per_second", speed(sum) / 1e9);
	json_put_count(object, "minor_faults", sum->minor_faults);
	json_put_count(object, "major_faults", sum->major_faults);
	if (!sum->paged)
		return;
	json_put_count(object, "cache_bytes", sum->cache_bytes);
	json_put_count(object, "faults", sum->faults);
	json_put_count(object, "waits", sum->waits);
	json_put_count(object, "resident_max_bytes", sum->resident_max);
}

static void print_json(struct call *call, const struct tally *tally)
{
	const struct sum_settings *settings = call->settings;
	json_t *document = json_document("sum");
	json_t *array;

	json_put_text(
		document, "algorithm", settings->random != 0 ? "xxh3-64 of each block, added" : "xxh3-64");
	if (settings->random != 0) {
		json_put_count(document, "random_blocks", settings->random);
		json_put_count(document, "block_bytes", SUM_BLOCK);
		json_put_count(document, "seed", settings->seed);
	}
	json_put_bool(document, "equal", !tally->differ);
	array = json_put_array(document, "sums");
	for (size_t i = 0; i < tally->count; i++)
		put_sum(array, &tally->sums[i]);
	json_print(call, document);
}

static double fastest(const struct tally *tally, const struct sum **best)
{
	double most = 0;

	for (size_t i = 0; i < tally->count; i++) {
		const struct sum *sum = &tally->sums[i];

		if (sum->error == 0 && speed(sum) > most) {
			most = speed(sum);
			*best = sum;
		}
	}
	return most;
}

static void print_one(struct screen *screen, const struct sum *sum)
{
	say(screen, INK_STRONG, "%016llx", (unsigned long long)digest_value(&sum->digest));
	say(screen, INK_PLAIN, "  %s\n", text_name(sum->path).s);
	say_paragraph(screen, INK_PLAIN, 2, "%s in %s by %s: %s, %s minor and %s major page faults",
		text_bytes(sum->digest.bytes).s, text_seconds(sum->seconds).s, sum->method->name,
		text_speed(speed(sum)).s, text_count(sum->minor_faults).s, text_count(sum->major_faults).s);
	if (sum->paged)
		say_paragraph(screen, INK_PLAIN, 2, "%s faults answered; at most %s resident, %s allowed",
			text_count(sum->faults).s, text_bytes(sum->resident_max).s,
			text_bytes(sum->cache_bytes).s);
	if (sum->why[0] != '\0')
		say_paragraph(screen, INK_FAINT, 2, "%s.", sum->why);
}

static void print_headline(struct screen *screen, const struct tally *tally, const struct sum *best)
{
	if (tally->differ)
		say_paragraph(screen, INK_PROBLEM, 0,
			"The methods DISAGREE: the file changed meanwhile, or one of them is broken.");
	else
		say_paragraph(screen, INK_STRONG, 0,
			"All %zu methods see the same bytes of %s; fastest was %s with %s.",
			tally->count - tally->failed, text_name(best->path).s, best->method->name,
			text_speed(speed(best)).s);
	say(screen, INK_PLAIN, "\n");
}

/* One file, every method: the same checksum, different speeds. */
static void print_comparison(struct screen *screen, const struct tally *tally)
{
	const struct sum *best = NULL;
	double most = fastest(tally, &best);

	if (best == NULL)
		return;
	print_headline(screen, tally, best);
	for (size_t i = 0; i < tally->count; i++) {
		const struct sum *sum = &tally->sums[i];

		if (sum->error != 0)
			continue;
		say(screen, sum == best ? INK_STRONG : INK_PLAIN, "  %-7s", sum->method->name);
		draw_gauge(screen, INK_PRESENT, screen->width < 80 ? 8 : 20, speed(sum) / most);
		say(screen, INK_PLAIN, " %10s  %9s  %016llx\n", text_speed(speed(sum)).s,
			text_seconds(sum->seconds).s, (unsigned long long)digest_value(&sum->digest));
		say(screen, INK_FAINT, "%*s %s minor, %s major faults\n", screen->width < 80 ? 19 : 31, "",
			text_count(sum->minor_faults).s, text_count(sum->major_faults).s);
	}
}

static void print_people(struct call *call, const struct tally *tally)
{
	const struct sum_settings *settings = call->settings;
	struct screen *screen = &call->screen;

	if (settings->by == BY_ALL && call->operand_count == 1) {
		print_comparison(screen, tally);
		if (!settings->cold)
			say_next(screen, "each from the disk, not the cache",
				QUIRE_PROGRAM " sum --by all --cold FILE");
		return;
	}
	for (size_t i = 0; i < tally->count; i++)
		if (tally->sums[i].error == 0)
			print_one(screen, &tally->sums[i]);
}

static enum status outcome(const struct tally *tally)
{
	if (tally->differ)
		return fail(STATUS_FAILURE, "the checksums of one file differ");
	if (tally->failed == 0)
		return STATUS_OK;
	/* a file that was cut was summed in part */
	if (tally->failed < tally->count || tally->sums[0].error == -ENODATA)
		return STATUS_PARTLY;
	return status_of(tally->sums[0].error);
}

static bool settings_make_sense(const struct sum_settings *settings)
{
	const char *by = method_words[settings->by];

	if (settings->populate && settings->by != BY_ALL && methods[settings->by] != &sum_by_mmap) {
		complain("--populate is for --by mmap; '%s' has no pages to populate", by);
		return false;
	}
	if (settings->cache_bytes < CACHE_BYTES_MIN) {
		complain("--cache is at least 64K, as a pool of pages is");
		return false;
	}
	if (settings->advice != QUIRE_NORMAL && settings->by != BY_ALL &&
		methods[settings->by] != &sum_by_mmap && methods[settings->by] != &sum_by_read &&
		methods[settings->by] != &sum_by_paged) {
		complain("--advice is for --by mmap, read and paged; '%s' goes by its own plan", by);
		return false;
	}
	return true;
}

static enum status run_sum(struct call *call)
{
	const struct sum_settings *settings = call->settings;
	struct tally tally = { 0 };
	enum status status;

	if (!settings_make_sense(settings))
		return STATUS_USAGE;
	tally.sums = calloc((size_t)call->operand_count * METHODS, sizeof(struct sum));
	if (tally.sums == NULL)
		return fail(STATUS_SYSTEM, "no memory");
	sum_all(call, &tally);
	if (call->json)
		print_json(call, &tally);
	else
		print_people(call, &tally);
	status = outcome(&tally);
	free(tally.sums);
	return status;
}

static const char *const description[] = {
	"Computes the XXH3 checksum (64 bits) of each FILE, by the way of reading that --by names, and says what it "
	"cost: time, speed and page faults. Every way must find the same checksum. FILE may be - for standard input.",
	"mmap goes through the pointers of a guarded mapping, read through read(2) with small buffers, direct through "
	"read(2) past the page cache, uring through io_uring with many reads in flight, past the page cache where the "
	"filesystem allows it, paged through the pointers of a mapping whose pages Quire itself brings in and throws out, "
	"within the bound of --cache. auto looks which parts of the file are in the page cache and chooses for each; it says "
	"why. all runs every one and compares.",
	"A file is summed up to the size it had at the start. When it is cut while it is read, that is an error with the "
	"offset, by every method: mmap does not die of SIGBUS.",
	"With --random, so many blocks of 4 KiB are read in an order that the seed decides, and the checksums of the "
	"blocks are added: the same blocks and the same sum for every method.",
	NULL,
};

static const struct verb_option options[] = {
	{ "by", 'b', OPTION_CHOICE, offsetof(struct sum_settings, by), "METHOD",
		"mmap, read, direct, uring, paged, auto (the default) or all", method_words },
	{ "populate", 'p', OPTION_FLAG, offsetof(struct sum_settings, populate), NULL,
		"mmap: make all pages of a window present at once, before the first is touched", NULL },
	{ "advice", 'a', OPTION_CHOICE, offsetof(struct sum_settings, advice), "ADVICE",
		"mmap, read and paged: normal, random, sequential or willneed", advice_words },
	{ "cache", 0, OPTION_SIZE, offsetof(struct sum_settings, cache_bytes), "BYTES",
		"paged: hold no more of the file than this (64M)", NULL },
	{ "random", 'r', OPTION_COUNT, offsetof(struct sum_settings, random), "N",
		"read N random blocks of 4 KiB", NULL },
	{ "seed", 's', OPTION_COUNT, offsetof(struct sum_settings, seed), "N",
		"which random blocks (default 1)", NULL },
	{ "cold", 'c', OPTION_FLAG, offsetof(struct sum_settings, cold), NULL,
		"ask the kernel to forget the file's cached pages first, before each method", NULL },
	{ 0 },
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " sum /usr/bin/*", "a checksum a file, by the fastest way" },
	{ QUIRE_PROGRAM " sum --by all --cold data.bin", "which way is fastest when nothing is cached?" },
	{ QUIRE_PROGRAM " sum --by paged --cache 64M data.bin", "through pointers, in 64 MiB of memory" },
	{ QUIRE_PROGRAM " sum --by mmap --random 10000 --advice random data.bin",
		"ten thousand random pages" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FAILURE, "two methods found different checksums" },
	{ STATUS_PARTLY, "some files could not be summed, or a file was cut while it was read" },
	{ STATUS_FORBIDDEN, "no permission to read FILE" },
	{ STATUS_NOT_FOUND, "there is no FILE" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire(1)", "quire_map_fd(3)", "quire_map_error(3)", "io_uring(7)",
	NULL };

static const struct sum_settings defaults = { .seed = 1, .cache_bytes = 64 << 20 };

const struct verb verb_sum = {
	.name = "sum",
	.summary = "checksums of files by mmap, read or io_uring, and their cost",
	.usage = "FILE...",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.settings_bytes = sizeof(struct sum_settings),
	.defaults = &defaults,
	.run = run_sum,
};
