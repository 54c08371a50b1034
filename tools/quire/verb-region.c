/* SPDX-License-Identifier: Apache-2.0 */
/* verb-region.c - quire region stat|check|recover|dump FILE: looking at a failure-atomic region, and mending it. */
#include <errno.h>
#include <string.h>

#include <quire/quire.h>

#include "json.h"
#include "verbs.h"

enum { PAGE = 4096, LINE = 16 };

struct region_settings {
	uint64_t offset;
	uint64_t length;
	bool last_whole;
};

/** One action on an open region; fills the document for machines, or speaks to people. */
struct action {
	const char *name;
	uint32_t flags; /* to open with */
	enum status (*run)(struct call *call, struct quire_region *region, json_t *document);
};

static struct quire_region_stat stat_of(struct quire_region *region)
{
	struct quire_region_stat stat = { .size = sizeof(stat) };

	(void)quire_region_stat(region, &stat); /* fails on a wrong size only */
	return stat;
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* ---- stat ---- */

static void put_stat(json_t *document, const struct quire_region_stat *stat)
{
	json_put_count(document, "epoch", stat->epoch);
	json_put_count(document, "home_epoch", stat->home_epoch);
	json_put_count(document, "length_bytes", stat->length);
	json_put_count(document, "reserve_bytes", stat->reserve_bytes);
	json_put_count(document, "address", (uintptr_t)stat->address);
	json_put_bool(document, "heap", stat->heap != 0);
	json_put_count(document, "heap_objects", stat->heap_objects);
	json_put_count(document, "heap_used_bytes", stat->heap_used_bytes);
	json_put_count(document, "journal_bytes", stat->journal_bytes);
	json_put_count(document, "journal_used_bytes", stat->journal_used_bytes);
	json_put_count(document, "records", stat->records);
	if (stat->writer < 0)
		json_put_unknown(document, "writer", "the lock file says nothing yet");
	else
		json_put_count(document, "writer", (uint64_t)stat->writer);
	json_put_count(document, "readers", stat->readers);
}

static void say_journal(struct screen *screen, const struct quire_region_stat *stat)
{
	say(screen, INK_PLAIN, "  journal  ");
	draw_gauge(screen, INK_DIRTY, 24, (double)stat->journal_used_bytes / (double)stat->journal_bytes);
	say(screen, INK_PLAIN, "  %s of %s\n", text_bytes(stat->journal_used_bytes).s,
		text_bytes(stat->journal_bytes).s);
	say(screen, INK_FAINT,
		"           %s commit%s that %s not home yet; the file itself holds commit %s\n",
		text_count(stat->records).s, plural(stat->records), stat->records == 1 ? "is" : "are",
		text_count(stat->home_epoch).s);
}

static enum status run_stat(struct call *call, struct quire_region *region, json_t *document)
{
	struct quire_region_stat stat = stat_of(region);
	struct screen *screen = &call->screen;

	put_stat(document, &stat);
	if (call->json)
		return STATUS_OK;
	say_paragraph(screen, INK_STRONG, 0, "%s holds %s, as of commit %s.", text_name(call->operands[1]).s,
		text_bytes(stat.length).s, text_count(stat.epoch).s);
	say(screen, INK_PLAIN, "\n");
	say_journal(screen, &stat);
	if (stat.heap)
		say(screen, INK_PLAIN, "  heap     %s object%s, %s\n", text_count(stat.heap_objects).s,
			plural(stat.heap_objects), text_bytes(stat.heap_used_bytes).s);
	if (stat.writer > 0)
		say(screen, INK_PLAIN, "  writer   process %d\n", stat.writer);
	else
		say(screen, INK_PLAIN, "  writer   none\n");
	say(screen, INK_PLAIN, "  readers  %u besides us\n", stat.readers);
	say(screen, INK_PLAIN, "  growth   up to %s, in place\n\n", text_bytes(stat.reserve_bytes).s);
	say_next(screen, "compare every page with its checksum", QUIRE_PROGRAM " region check FILE");
	return STATUS_OK;
}

/* ---- check ---- */

static void put_check(json_t *document, const struct quire_region_report *report, bool sound)
{
	json_put_bool(document, "sound", sound);
	json_put_count(document, "pages_checked", report->pages_checked);
	json_put_count(document, "pages_damaged", report->pages_damaged);
	json_put_count(document, "images_checked", report->images_checked);
	json_put_count(document, "images_damaged", report->images_damaged);
	json_put_bool(document, "heap_damaged", report->heap_damaged != 0);
	json_put_text(document, "damage", sound ? NULL : quire_error_text());
}

/* region: NULL when it is too damaged to be opened; the error text says why. */
static enum status run_check(struct call *call, struct quire_region *region, json_t *document)
{
	struct quire_region_report report = { .size = sizeof(report) };
	int r = region == NULL ? -EBADMSG : quire_region_check(region, &report);
	bool sound = r == 0;

	if (r < 0 && r != -EBADMSG)
		return fail(status_of(r), "%s", quire_error_text());
	put_check(document, &report, sound);
	if (call->json)
		return sound ? STATUS_OK : STATUS_FAILURE;
	if (!sound) {
		say_item(&call->screen, INK_PROBLEM, "  DAMAGED  ", INK_PLAIN, "%s",
			text_name(quire_error_text()).s);
		return STATUS_FAILURE;
	}
	say_item(&call->screen, INK_GOOD, "  sound  ", INK_PLAIN,
		"%s page%s the checksum written with %s, as of commit %s.",
		text_count(report.pages_checked).s, report.pages_checked == 1 ? " has" : "s have",
		report.pages_checked == 1 ? "it" : "them", text_count(stat_of(region).epoch).s);
	return STATUS_OK;
}

/* ---- recover ---- */

/* Opening for writing is the recovery. */
static enum status run_recover(struct call *call, struct quire_region *region, json_t *document)
{
	struct quire_region_stat stat = stat_of(region);

	json_put_count(document, "epoch", stat.epoch);
	json_put_count(document, "recovered_commits", stat.recovered_commits);
	json_put_count(document, "recovered_pages", stat.recovered_pages);
	json_put_count(document, "home_epoch", stat.home_epoch);
	if (call->json)
		return STATUS_OK;
	if (stat.recovered_commits == 0)
		say_paragraph(&call->screen, INK_STRONG, 0, "Nothing to recover: the file holds commit %s.",
			text_count(stat.epoch).s);
	else
		say_paragraph(&call->screen, INK_STRONG, 0,
			"Recovered: %s commit%s with %s page%s read from the journal; the file holds commit %s of %s.",
			text_count(stat.recovered_commits).s, plural(stat.recovered_commits),
			text_count(stat.recovered_pages).s, plural(stat.recovered_pages),
			text_count(stat.home_epoch).s, text_count(stat.epoch).s);
	return STATUS_OK;
}

/* ---- dump ---- */

static void dump_records(struct call *call, struct quire_region *region, json_t *document)
{
	json_t *array = json_put_array(document, "records");
	struct quire_region_record record = { .size = sizeof(record) };

	for (unsigned int i = 0; quire_region_record(region, i, &record) == 1; i++) {
		json_t *object = json_add_object(array);

		json_put_count(object, "epoch", record.epoch);
		json_put_count(object, "pages", record.pages);
		json_put_count(object, "offset", record.offset);
		json_put_count(object, "bytes", record.bytes);
		if (!call->json)
			say(&call->screen, INK_FAINT, "commit %s: %s page%s, journal offset %s, %s\n",
				text_count(record.epoch).s, text_count(record.pages).s, plural(record.pages),
				text_count(record.offset).s, text_bytes(record.bytes).s);
	}
}

/* dump: the bytes that are shown, and what was found to be wrong with them */
struct dump {
	struct quire_region *region;
	const unsigned char *bytes;
	uint64_t from, to;
	char damage[512]; /* the first sentence; empty: none */
};

static bool is_damaged(struct dump *dump, uint64_t at, size_t count)
{
	if (quire_region_check_range(dump->region, dump->bytes + at, count, NULL) == 0)
		return false;
	if (dump->damage[0] == '\0')
		(void)snprintf(dump->damage, sizeof(dump->damage), "%s", quire_error_text());
	return true;
}

/* What of the range lies in the page of `at`. */
static size_t rest_of_page(const struct dump *dump, uint64_t at)
{
	uint64_t end = at / PAGE * PAGE + PAGE;

	return (size_t)((end < dump->to ? end : dump->to) - at);
}

static void dump_line(struct screen *screen, uint64_t at, const unsigned char *bytes, size_t count)
{
	say(screen, INK_FAINT, "%08llx ", (unsigned long long)at);
	for (size_t i = 0; i < LINE; i++)
		if (i < count)
			say(screen, bytes[i] == 0 ? INK_FAINT : INK_PLAIN, " %02x", bytes[i]);
		else
			say(screen, INK_PLAIN, "   ");
	say(screen, INK_PLAIN, "  ");
	for (size_t i = 0; i < count; i++)
		say(screen, INK_PLAIN, "%c", bytes[i] >= ' ' && bytes[i] < 127 ? bytes[i] : '.');
	say(screen, INK_PLAIN, "\n");
}

/* Lines of zeros are left out, as everywhere. */
static void dump_bytes(struct screen *screen, struct dump *dump)
{
	static const unsigned char zeros[LINE];
	bool skipped = false;

	for (uint64_t at = dump->from; at < dump->to; at += LINE) {
		size_t count = dump->to - at < LINE ? (size_t)(dump->to - at) : LINE;
		bool blank = memcmp(dump->bytes + at, zeros, count) == 0;

		if ((at == dump->from || at % PAGE < LINE) && is_damaged(dump, at, 1)) {
			say_item(screen, INK_PROBLEM, "DAMAGED ", INK_PLAIN, "%s", quire_error_text());
			skipped = false;
		}
		if (blank && !skipped)
			say(screen, INK_FAINT, "*\n");
		if (!blank)
			dump_line(screen, at, dump->bytes + at, count);
		skipped = blank;
	}
	say(screen, INK_FAINT, "%08llx\n", (unsigned long long)dump->to);
}

static void put_pages(json_t *document, struct dump *dump)
{
	static const unsigned char zeros[PAGE];
	json_t *array = json_put_array(document, "pages");
	char hex[2 * PAGE + 1];

	for (uint64_t at = dump->from; at < dump->to; at += rest_of_page(dump, at)) {
		size_t count = rest_of_page(dump, at);
		bool damaged = is_damaged(dump, at, count);
		json_t *object;

		if (!damaged && memcmp(dump->bytes + at, zeros, count) == 0)
			continue;
		for (size_t i = 0; i < count; i++)
			(void)snprintf(hex + 2 * i, 3, "%02x", dump->bytes[at + i]);
		object = json_add_object(array);
		json_put_count(object, "offset", at);
		json_put_bool(object, "damaged", damaged);
		json_put_text(object, "hex", hex);
	}
	json_put_text(document, "damage", dump->damage[0] == '\0' ? NULL : dump->damage);
}

static enum status run_dump(struct call *call, struct quire_region *region, json_t *document)
{
	const struct region_settings *settings = call->settings;
	struct dump dump = {
		.region = region,
		.bytes = quire_map_address(quire_region_map(region)),
		.from = settings->offset,
		.to = stat_of(region).length,
	};

	if (dump.from > dump.to)
		return fail(STATUS_USAGE, "the region ends at %llu", (unsigned long long)dump.to);
	if (settings->length != 0 && settings->length < dump.to - dump.from)
		dump.to = dump.from + settings->length;
	json_put_count(document, "epoch", stat_of(region).epoch);
	dump_records(call, region, document);
	if (call->json)
		put_pages(document, &dump);
	else
		dump_bytes(&call->screen, &dump);
	return dump.damage[0] == '\0' ? STATUS_OK : fail(STATUS_FAILURE, "%s", dump.damage);
}

/* ---- the verb ---- */

static const struct action actions[] = {
	{ "stat", QUIRE_REGION_READ_ONLY, run_stat },
	{ "check", QUIRE_REGION_READ_ONLY, run_check },
	{ "recover", 0, run_recover },
	{ "dump", QUIRE_REGION_READ_ONLY, run_dump },
};

static enum status act(struct call *call, const struct action *action)
{
	const struct region_settings *settings = call->settings;
	const char *path = call->operands[1];
	uint32_t flags = action->flags | QUIRE_REGION_ANYWHERE |
		(settings->last_whole ? QUIRE_REGION_LAST_WHOLE : 0);
	struct quire_region *region = NULL;
	json_t *document;
	enum status status;
	int r = quire_region_open(NULL, path, QUIRE_OPTIONS(region, .flags = flags), &region);

	if (r < 0 && !(r == -EBADMSG && action->run == run_check))
		return fail(r == -EBADMSG || r == -ENODATA ? STATUS_FAILURE : status_of(r), "%s",
			quire_error_text());
	document = json_document("region");
	json_put_text(document, "action", action->name);
	json_put_name(document, "path", path);
	status = action->run(call, region, document);
	r = quire_region_close(region);
	if (r < 0)
		status = fail(STATUS_SYSTEM, "%s", quire_error_text());
	if (call->json && (status == STATUS_OK || status == STATUS_FAILURE))
		json_print(call, document);
	else
		json_decref(document);
	return status;
}

static enum status run_region(struct call *call)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(call->operands[0], actions[i].name) == 0)
			return act(call, &actions[i]);
	return fail(STATUS_USAGE, "'%s' is none of stat, check, recover, dump", call->operands[0]);
}

static const struct verb_option options[] = {
	{ "offset", 'o', OPTION_SIZE, offsetof(struct region_settings, offset), "BYTES", "dump: begin there",
		NULL },
	{ "length", 'n', OPTION_SIZE, offsetof(struct region_settings, length), "BYTES",
		"dump: so many bytes", NULL },
	{ "last-whole", 0, OPTION_FLAG, offsetof(struct region_settings, last_whole), NULL,
		"of a journal damaged in the middle: the last commit before the damage", NULL },
	{ 0 },
};

static const char *const description[] = {
	"Looks at a failure-atomic region (quire_region_open(3)): FILE with FILE.journal and FILE.lock beside it.",
	"stat says what it holds, how much of the journal is in use, and who has it open. check compares every page with the "
	"checksum it was written with, and walks the heap. recover brings home what a crash left in the journal, as the next "
	"program that opens it for writing would. dump shows the commits that are still in the journal, and the bytes; a "
	"page that is not what was committed is shown too, with a word before it, and the exit status is 2.",
	"A journal that is damaged in the middle is refused: commits behind the damage were made, and would be lost in silence. "
	"With --last-whole, stat, check and dump look at the last commit before the damage, and recover goes back to it for good. "
	"Pages of later commits may be among the older ones, if they were being brought home when the writer ended: look with "
	"dump first, and keep a copy of the three files.",
	"All but recover open the region read-only: they see the last commit, also while a writer is at work.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " region stat /srv/db/counters", "what it holds, and who has it open" },
	{ QUIRE_PROGRAM " region check --json /srv/db/counters", "is every page what it was written as?" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FAILURE, "the region is damaged" },
	{ STATUS_FORBIDDEN, "FILE may not be opened" },
	{ STATUS_NOT_FOUND, "there is no FILE" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire(1)", "quire_region_open(3)", "quire_region_check(3)", NULL };

const struct verb verb_region = {
	.name = "region",
	.summary = "a failure-atomic region: stat, check, recover, dump",
	.usage = "stat|check|recover|dump FILE",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 2,
	.operands_max = 2,
	.settings_bytes = sizeof(struct region_settings),
	.run = run_region,
};
