/* SPDX-License-Identifier: Apache-2.0 */
/* verb-maps.c - quire maps: the mappings of a process, by file, and what of its memory is really its own. */
#include <stdlib.h>

#include "file-view.h"
#include "maps.h"
#include "process.h"

static void put_summary(struct call *call, const struct quire_process *p)
{
	json_t *document = json_document("maps");
	json_t *sum = json_put_object(document, "process");
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{ "resident", p->resident_bytes },
		{ "anonymous", p->anonymous_bytes },
		{ "file", p->file_bytes },
		{ "shared_memory", p->shared_memory_bytes },
		{ "swap", p->swap_bytes },
		{ "locked", p->locked_bytes },
		{ "page_tables", p->page_table_bytes },
		{ "pool", p->pool_bytes },
		{ "pss", p->share_bytes },
		{ "private", p->private_bytes },
		{ "dirty", p->dirty_bytes },
		{ "huge", p->huge_bytes },
		{ "swap_pss", p->swap_share_bytes },
	};

	json_put_count(document, "pid", (uint64_t)p->pid);
	json_put_text(document, "name", p->name);
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		if (figures[i].value == QUIRE_UNKNOWN)
			json_put_unknown(sum, figures[i].name,
				p->why[0] != '\0' ? p->why : "this process has no such memory");
		else
			json_put_count(sum, figures[i].name, figures[i].value);
	}
	json_print(call, document);
}

static struct text known(uint64_t bytes)
{
	struct text unknown = { "?" };

	return bytes == QUIRE_UNKNOWN ? unknown : text_bytes(bytes);
}

enum status maps_summary(struct call *call, int pid)
{
	struct quire_process p = { .size = sizeof(p) };
	int r = quire_process_read(pid, QUIRE_PROCESS_SHARES, &p);

	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	if (call->json) {
		put_summary(call, &p);
	} else if (p.resident_bytes == QUIRE_UNKNOWN) {
		say_no_mappings(&call->screen, &p);
	} else {
		say_paragraph(&call->screen, INK_STRONG, 0,
			"Process %d (%s) has %s in memory: %s its own, %s of files, %s "
			"shared memory.",
			p.pid, text_name(p.name).s, known(p.resident_bytes).s, known(p.anonymous_bytes).s,
			known(p.file_bytes).s, known(p.shared_memory_bytes).s);
		say_paragraph(&call->screen, INK_PLAIN, 2,
			"Its share (PSS) %s, ending it frees %s, dirty %s, huge %s, swap %s, locked %s, page tables %s, "
			"pool %s.",
			known(p.share_bytes).s, known(p.private_bytes).s, known(p.dirty_bytes).s,
			known(p.huge_bytes).s, known(p.swap_bytes).s, known(p.locked_bytes).s,
			known(p.page_table_bytes).s, known(p.pool_bytes).s);
		if (p.why[0] != '\0')
			say_paragraph(&call->screen, INK_FAINT, 2, "? %s.", p.why);
	}
	return p.share_bytes == QUIRE_UNKNOWN && p.resident_bytes != QUIRE_UNKNOWN ? STATUS_FORBIDDEN
										   : STATUS_OK;
}

static enum status show_view(struct call *call, struct maps_view *view)
{
	const struct maps_settings *settings = call->settings;

	if (settings->diff != NULL)
		return maps_diff(call, view, settings->diff);
	if (settings->save != NULL)
		return maps_save(view, settings->save);
	maps_find_warnings(view);
	if (call->json)
		maps_put(call, view);
	else
		maps_show(call, view);
	return STATUS_OK;
}

static enum status run_maps(struct call *call)
{
	const struct maps_settings *settings = call->settings;
	struct maps_view view;
	enum status status;
	int pid = process_number(call->operands[0]);

	if (pid <= 0)
		return fail(STATUS_USAGE, "'%s' is no process number", call->operands[0]);
	if (settings->summary && (settings->all || settings->filter || settings->save || settings->diff))
		return fail(STATUS_USAGE,
			"--summary is of the whole process: it goes with no --all, --filter, --save or --diff");
	if (settings->summary)
		return maps_summary(call, pid);
	status = maps_gather(&view, pid, settings);
	if (status == STATUS_OK && view.mappings == 0) {
		if (call->json)
			maps_put(call, &view);
		else
			say_no_mappings(&call->screen, &view.process);
	} else if (status == STATUS_OK) {
		status = show_view(call, &view);
	}
	maps_done(&view);
	return status;
}

static const char *const sorts[] = { "ram", "size", "pss", "dirty", "swap", "count", "name", "address",
	NULL };

#define AT(field) offsetof(struct maps_settings, field)

static const struct verb_option options[] = {
	{ "all", 'a', OPTION_FLAG, AT(all), NULL, "every mapping on a line of its own, in order of addresses",
		NULL },
	{ "summary", 's', OPTION_FLAG, AT(summary), NULL, "the sums alone", NULL },
	{ "sort", 0, OPTION_CHOICE, AT(sort), "KEY", "ram, size, pss, dirty, swap, count, name or address",
		sorts },
	{ "filter", 'f', OPTION_TEXT, AT(filter), "TEXT", "only mappings whose name contains TEXT", NULL },
	{ "top", 'n', OPTION_COUNT, AT(top), "N", "show so many groups (20)", NULL },
	{ "no-map", 0, OPTION_FLAG, AT(no_map), NULL, "leave out the picture of each group", NULL },
	{ "save", 0, OPTION_TEXT, AT(save), "FILE", "write what is seen to FILE, for --diff", NULL },
	{ "diff", 0, OPTION_TEXT, AT(diff), "FILE", "show what changed since --save FILE", NULL },
	{ 0 },
};

static const struct maps_settings defaults = { .top = 20 };

static const char *const description[] = {
	"Says what the memory of a process consists of. Mappings of one file are one line; where a process maps more than "
	"40 files, eight or more of one folder and one ending are one, too. A number of resident bytes (RSS) alone says little: the clean "
	"pages of files can be dropped at any time and cost nothing but reading them again; only its own (anonymous) pages "
	"have no other home than swap.",
	"PSS is the process's fair share: a page that three processes map counts a third. The picture of each group shows "
	"its addresses from low to high, and how much of each part is in memory.",
	"The gauge is the number of mappings against vm.max_map_count. Warnings are about memory that is writable and "
	"executable at once, and about executed files that somebody else may change.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " maps 812", "what the memory of process 812 consists of" },
	{ QUIRE_PROGRAM " maps --filter .so --sort pss 812", "its libraries, by fair share" },
	{ QUIRE_PROGRAM " maps --save then.json 812", "remember what it has" },
	{ QUIRE_PROGRAM " maps --diff then.json 812", "what grew since" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FORBIDDEN, "the process belongs to somebody else" },
	{ STATUS_NOT_FOUND, "there is no such process" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-pages(1)", "quire-pool(1)", "quire-presence(1)",
	"quire_maps_open(3)", "quire_process_read(3)", NULL };

const struct verb verb_maps = {
	.name = "maps",
	.summary = "what the memory of a process consists of",
	.usage = "PID",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.operands_max = 1,
	.settings_bytes = sizeof(struct maps_settings),
	.defaults = &defaults,
	.run = run_maps,
};
