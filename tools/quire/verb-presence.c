/* SPDX-License-Identifier: Apache-2.0 */
/* verb-presence.c - quire presence: what of a file, a tree, a process or the whole machine is in the page cache. */
#include <string.h>
#include <sys/stat.h>

#include "file-view.h"
#include "presence.h"

enum { PICTURES_MOST = 4 };

/* Label, bars and margins take 12 columns of the screen. */
static unsigned int bins_of(const struct screen *screen, const struct presence_settings *settings)
{
	unsigned int cells = screen->width - 12;

	return cells * (settings->map == MAP_BRAILLE ? 8 : 1);
}

static void look_at(struct file_view *view, const char *path, struct call *call)
{
	const struct presence_settings *settings = call->settings;
	struct view_wish wish = {
		.bins = call->json ? 64 : bins_of(&call->screen, settings),
		.ready = settings->ready,
		.runs = settings->runs,
		.folios = settings->folios,
		.mappers = !settings->no_mappers && (!call->json || settings->mappers),
	};

	view_gather(view, path, &wish);
}

static enum status show_files(struct call *call)
{
	const struct presence_settings *settings = call->settings;
	enum status status = STATUS_OK;
	struct file_view view;

	for (unsigned int i = 0; i < call->operand_count; i++) {
		look_at(&view, call->operands[i], call);
		if (i != 0)
			say(&call->screen, INK_PLAIN, "\n");
		view_show(&call->screen, &view, settings->map == MAP_BRAILLE);
		status = status_worse(status, view_status(&view));
		view_done(&view);
	}
	return status;
}

static enum status put_files(struct call *call)
{
	json_t *document = json_document("presence");
	json_t *files = json_put_array(document, "files");
	enum status status = STATUS_OK;
	struct file_view view;

	for (unsigned int i = 0; i < call->operand_count; i++) {
		look_at(&view, call->operands[i], call);
		view_put(json_add_object(files), &view);
		if (view.error != 0)
			complain("%s", view.error_text);
		status = status_worse(status, view_status(&view));
		view_done(&view);
	}
	json_print(call, document);
	return status;
}

enum status presence_files(struct call *call)
{
	return call->json ? put_files(call) : show_files(call);
}

static const char *first_directory(const struct call *call)
{
	struct stat stat_of;

	for (unsigned int i = 0; i < call->operand_count; i++)
		if (stat(call->operands[i], &stat_of) == 0 && S_ISDIR(stat_of.st_mode))
			return call->operands[i];
	return NULL;
}

/* So many pictures nobody reads; --folios and --map ask for them all the same. */
static bool wants_table(const struct call *call)
{
	const struct presence_settings *settings = call->settings;

	return !call->json && call->operand_count > PICTURES_MOST && !settings->folios &&
		settings->map != MAP_BRAILLE;
}

static enum status run_presence(struct call *call)
{
	const struct presence_settings *settings = call->settings;
	int sources = (call->operand_count != 0) + (settings->pid != 0) + settings->system;

	if (sources != 1)
		return fail(STATUS_USAGE,
			sources == 0 ? "which file? a PATH, --pid PID or --system is needed"
				     : "PATH, --pid and --system exclude each other");
	if (settings->system || settings->pid != 0 || settings->recursive) {
		if (settings->watch || settings->save != NULL || settings->diff != NULL)
			return fail(STATUS_USAGE,
				"--watch, --save and --diff take files by their names, not -r, --pid or --system");
		return presence_list(call);
	}
	if (first_directory(call) != NULL)
		return fail(
			STATUS_USAGE, "%s is a directory: -r takes the files in it", first_directory(call));
	if (settings->diff != NULL)
		return presence_diff(call, settings->diff);
	if (settings->save != NULL)
		return presence_save(call, settings->save);
	if (settings->watch)
		return presence_watch(call);
	return wants_table(call) ? presence_list(call) : presence_files(call);
}

static const char *const maps[] = { "blocks", "braille", NULL };

#define AT(field) offsetof(struct presence_settings, field)

static const struct verb_option options[] = {
	{ "recursive", 'r', OPTION_FLAG, AT(recursive), NULL, "every file of the trees, and their sums",
		NULL },
	{ "pid", 'p', OPTION_COUNT, AT(pid), "PID", "every file that this process maps or has open", NULL },
	{ "system", 0, OPTION_FLAG, AT(system), NULL, "the whole page cache, by file", NULL },
	{ "top", 'n', OPTION_COUNT, AT(top), "N", "show so many files of a list (20)", NULL },
	{ "all", 'a', OPTION_FLAG, AT(all), NULL, "show all files of a list, also those with nothing cached",
		NULL },
	{ "one-file-system", 'x', OPTION_FLAG, AT(one_filesystem), NULL, "with -r: stay on one filesystem",
		NULL },
	{ "ready", 0, OPTION_FLAG, AT(ready), NULL,
		"tell ready pages from those still being read, in files above 1 GiB too", NULL },
	{ "runs", 0, OPTION_FLAG, AT(runs), NULL, "with --json: the exact map, stretch by stretch", NULL },
	{ "folios", 0, OPTION_FLAG, AT(folios), NULL,
		"in what pieces its pages lie in memory, and on which nodes, above 256 MiB and with --json too",
		NULL },
	{ "mappers", 'm', OPTION_FLAG, AT(mappers), NULL, "with --json: which processes map the file", NULL },
	{ "no-mappers", 0, OPTION_FLAG, AT(no_mappers), NULL, "do not look which processes map the file",
		NULL },
	{ "map", 0, OPTION_CHOICE, AT(map), "KIND", "draw blocks, or braille with eight times the detail",
		maps },
	{ "watch", 'w', OPTION_FLAG, AT(watch), NULL, "look again and again", NULL },
	{ "interval", 'i', OPTION_COUNT, AT(interval_ms), "MS",
		"with --watch: milliseconds between looks (1000)", NULL },
	{ "count", 'c', OPTION_COUNT, AT(count), "N", "with --watch: end after N looks", NULL },
	{ "save", 0, OPTION_TEXT, AT(save), "FILE", "write the exact map to FILE, for --diff", NULL },
	{ "diff", 0, OPTION_TEXT, AT(diff), "FILE", "show what came and went since --save FILE", NULL },
	{ 0 },
};

static const struct presence_settings defaults = { .top = 20, .interval_ms = 1000 };

static const char *const description[] = {
	"Says how much of a file is in the page cache, and where: as a sentence, a picture of the file from its first byte "
	"to its last, and figures. A figure that the kernel does not tell this user is a question mark and the reason, "
	"never a guess; the exit status is then 4. Looking changes nothing: no page is brought in or thrown out, no access "
	"time is set, and FIFOs and devices are not opened.",
	"Cached pages are in the page cache. Ready ones have their bytes; the others are in flight, still being read. "
	"Dirty pages are newer than the disk, writing ones on their way there. Evicted ones were cached once and gave "
	"way when memory was short; of these, reading the recently evicted ones again would count as thrashing.",
	"In files above 1 GiB, ready is told with --ready only, for it takes 30 ns a page.",
	"A folio is a piece of several pages that the kernel keeps as one: the larger, the cheaper. Only root is told their "
	"sizes. For this, what is cached is mapped for a moment; up to 256 MiB that is done unasked.",
	"With -r, --pid or --system, or of more than four files, a table, those with the most cached first, and their sums. --system goes "
	"through all filesystems on disks and says how much of the page cache it could name, and what the walk itself cost.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " presence data.mdb", "what of this file is in memory, and where" },
	{ QUIRE_PROGRAM " presence -r /srv/db", "which files of a tree are in memory" },
	{ QUIRE_PROGRAM " presence --system", "which files hold the page cache of this machine" },
	{ QUIRE_PROGRAM " presence --save then.json data.mdb", "remember what is cached" },
	{ QUIRE_PROGRAM " presence --diff then.json data.mdb", "what came and went since" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FORBIDDEN, "a figure is not known to this user, or to anybody on this kernel" },
	{ STATUS_NOT_FOUND, "a file or process does not exist" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-touch(1)", "quire-evict(1)", "quire-maps(1)",
	"quire_presence_read(3)", "quire_runs_open(3)", NULL };

const struct verb verb_presence = {
	.name = "presence",
	.summary = "what of a file is in memory, and where",
	.usage = "PATH... | --pid=PID | --system",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 0,
	.operands_max = 1 << 20,
	.settings_bytes = sizeof(struct presence_settings),
	.defaults = &defaults,
	.run = run_presence,
};
