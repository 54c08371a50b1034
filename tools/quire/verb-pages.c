/* SPDX-License-Identifier: Apache-2.0 */
/* verb-pages.c - quire pages: each page of a process's mappings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file-view.h"
#include "pages.h"
#include "pools-brief.h"
#include "process.h"

struct pages_settings {
	bool all;
	bool runs;
	uint64_t top;
};

/** Mappings that were asked for, with names of their own. */
struct chosen {
	struct quire_mapping *mappings;
	size_t count;
};

/* "7f12345000" or "0x7f12345000"; false when it is a name. */
static bool read_address(const char *text, uint64_t *address)
{
	char *end;

	errno = 0;
	*address = strtoull(text, &end, 16);
	return text[0] != '\0' && *end == '\0' && errno == 0 && text[0] != '-' && text[0] != '/';
}

static bool wanted(const struct quire_mapping *m, const char *target)
{
	uint64_t address;

	if (target == NULL)
		return true;
	if (read_address(target, &address) && strchr(target, '.') == NULL)
		return m->start <= address && address < m->end;
	return strstr(m->name, target) != NULL;
}

static void keep(struct chosen *chosen, const struct quire_mapping *m)
{
	if ((chosen->count & (chosen->count + 1)) == 0 || chosen->count == 0)
		chosen->mappings = allocate(chosen->mappings, chosen->count * 2 + 2, sizeof(*m));
	chosen->mappings[chosen->count] = *m;
	chosen->mappings[chosen->count].name = strdup(m->name);
	if (chosen->mappings[chosen->count++].name == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
}

static void drop(struct chosen *chosen)
{
	for (size_t i = 0; i < chosen->count; i++) {
		union {
			const char *given;
			char *freed;
		} name = { .given = chosen->mappings[i].name };

		free(name.freed);
	}
	free(chosen->mappings);
}

/* The kernel's own pages stand outside of what the page tables of a process can be asked about. */
static bool of_kernel(const struct quire_mapping *m)
{
	return m->start >= UINT64_C(1) << 63;
}

static int compare(const void *a, const void *b)
{
	const struct quire_mapping *x = a, *y = b;
	uint64_t rx = x->resident_bytes + x->swap_bytes, ry = y->resident_bytes + y->swap_bytes;

	if (rx != ry)
		return rx < ry ? 1 : -1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static enum status choose_mappings(struct chosen *chosen, int pid, const char *target)
{
	struct quire_mapping mapping = { .size = sizeof(mapping) };
	struct quire_maps *maps;
	int r = quire_maps_open(pid, QUIRE_MAPS_FIGURES, &maps);

	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	while (quire_maps_next(maps, &mapping) == 1)
		if (wanted(&mapping, target) && !of_kernel(&mapping))
			keep(chosen, &mapping);
	quire_maps_close(maps);
	if (target == NULL && chosen->count != 0)
		qsort(chosen->mappings, chosen->count, sizeof(mapping), compare);
	if (chosen->count == 0 && target != NULL)
		return fail(STATUS_NOT_FOUND,
			"process %d has no mapping of a file like %s, and none at such an address", pid,
			target);
	return STATUS_OK;
}

static size_t cells_for(const struct call *call, size_t mappings)
{
	size_t row = (call->screen.width < 40 ? 16 : (call->screen.width - 16) / 16 * 16);

	return mappings == 1 ? CELLS_MAX / row * row : row;
}

static enum status show(struct call *call, int pid, const struct chosen *chosen, size_t count)
{
	struct pages_view *view = allocate(NULL, 1, sizeof(*view));
	uint64_t sums[KIND_COUNT] = { 0 };
	bool known = true;

	view->runs = NULL;
	for (size_t i = 0; i < count; i++) {
		pages_look(view, pid, &chosen->mappings[i], cells_for(call, count));
		if (i != 0)
			say(&call->screen, INK_PLAIN, "\n");
		pages_show(&call->screen, view);
		for (int kind = 0; kind < KIND_COUNT; kind++)
			sums[kind] += view->sums[kind];
		known = known && view->sums[KIND_UNKNOWN] == 0;
	}
	say(&call->screen, INK_PLAIN, "\n");
	pages_legend(&call->screen, sums);
	pools_say(&call->screen, pid);
	if (!view->kinds_known && count != 0)
		say_paragraph(&call->screen, INK_FAINT, 2,
			"? Huge pages and the page of zeros cannot be told apart from others "
			"here: this kernel has no PAGEMAP_SCAN (Linux 6.7 has).");
	if (count < chosen->count)
		say(&call->screen, INK_FAINT, "  ... and %s mappings more (--all)\n",
			text_count(chosen->count - count).s);
	free(view);
	return known ? STATUS_OK : STATUS_FORBIDDEN;
}

static enum status put(struct call *call, int pid, const struct chosen *chosen, size_t count)
{
	const struct pages_settings *settings = call->settings;
	struct pages_view *view = allocate(NULL, 1, sizeof(*view));
	json_t *document = json_document("pages");
	json_t *array;
	bool known = true;

	json_put_count(document, "pid", (uint64_t)pid);
	pools_put(document, pid);
	array = json_put_array(document, "mappings");
	for (size_t i = 0; i < count; i++) {
		json_t *object = json_add_object(array);

		view->runs = settings->runs ? json_put_array(object, "runs") : NULL;
		pages_look(view, pid, &chosen->mappings[i], 64);
		pages_put(object, view);
		known = known && view->sums[KIND_UNKNOWN] == 0;
	}
	free(view);
	json_print(call, document);
	return known ? STATUS_OK : STATUS_FORBIDDEN;
}

static void show_answer(struct screen *screen, const struct quire_process *p, const struct chosen *chosen)
{
	uint64_t size = 0, ram = 0;

	for (size_t i = 0; i < chosen->count; i++) {
		size += chosen->mappings[i].end - chosen->mappings[i].start;
		ram += chosen->mappings[i].resident_bytes + chosen->mappings[i].pool_bytes;
	}
	say_paragraph(screen, INK_STRONG, 0,
		"Process %d (%s): %s of %s in %s %s can be reached without a fault.", p->pid,
		text_name(p->name).s, text_bytes(ram).s, text_bytes(size).s, text_count(chosen->count).s,
		chosen->count == 1 ? "mapping" : "mappings");
	say(screen, INK_PLAIN, "\n");
}

static enum status run_pages(struct call *call)
{
	const struct pages_settings *settings = call->settings;
	struct quire_process process = { .size = sizeof(process) };
	struct chosen chosen = { .count = 0 };
	enum status status;
	const char *target = call->operand_count > 1 ? call->operands[1] : NULL;
	int pid = process_number(call->operands[0]), r;
	size_t count;

	if (pid <= 0)
		return fail(STATUS_USAGE, "'%s' is no process number", call->operands[0]);
	r = quire_process_read(pid, 0, &process);
	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	/* What a pool pages has no mapping of its own: it lies in the pool's frames. */
	if (target != NULL && pools_have(pid, target))
		target = POOL_FRAMES;
	status = choose_mappings(&chosen, pid, target);
	if (status == STATUS_OK && chosen.count == 0 && !call->json) {
		say_no_mappings(&call->screen, &process);
	} else if (status == STATUS_OK) {
		count = settings->all || chosen.count < settings->top ? chosen.count : (size_t)settings->top;
		if (!call->json)
			show_answer(&call->screen, &process, &chosen);
		status = call->json ? put(call, pid, &chosen, count) : show(call, pid, &chosen, count);
	}
	drop(&chosen);
	return status;
}

#define AT(field) offsetof(struct pages_settings, field)

static const struct verb_option options[] = {
	{ "all", 'a', OPTION_FLAG, AT(all), NULL, "every mapping, not only those with the most in memory",
		NULL },
	{ "top", 'n', OPTION_COUNT, AT(top), "N", "show so many mappings (10)", NULL },
	{ "runs", 0, OPTION_FLAG, AT(runs), NULL, "with --json: every stretch of equal pages", NULL },
	{ 0 },
};

static const struct pages_settings defaults = { .top = 10 };

static const char *const description[] = {
	"Shows the pages of a process's mappings, each as a letter: the file's own page, the process's own copy, part of a "
	"huge page, swapped, in the cache but not yet faulted in, or absent. With ADDRESS (hexadecimal), the mapping that "
	"holds it; with FILE, the mappings whose name contains it; with neither, those with the most in memory.",
	"A file that a pool of Quire's pages has no mapping of its own: its pool's frames are shown, and how much of the file "
	"they hold, if the pool publishes that.",
	"The page tables say what the process can reach without a fault; the cache says what a fault would cost. Where this "
	"user may not know what is cached, the letter is a question mark and the exit status 4.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " pages 812", "the ten mappings with the most in memory" },
	{ QUIRE_PROGRAM " pages 812 data.mdb", "one file of a database" },
	{ QUIRE_PROGRAM " pages 812 7f3a10000000", "what lies at an address" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FORBIDDEN, "the process, or the cache of a file it maps, is not shown to this user" },
	{ STATUS_NOT_FOUND, "there is no such process or mapping" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-maps(1)", "quire-pool(1)", "quire_pages_open(3)",
	"quire_runs_open(3)", NULL };

const struct verb verb_pages = {
	.name = "pages",
	.summary = "each page of a process's mappings",
	.usage = "PID [ADDRESS|FILE]",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.operands_max = 2,
	.settings_bytes = sizeof(struct pages_settings),
	.defaults = &defaults,
	.run = run_pages,
};
