/* SPDX-License-Identifier: Apache-2.0 */
/* maps-data.c - the mappings of a process for machines, and what changed between two looks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file-view.h"
#include "maps.h"
#include "pools-brief.h"

static void put_group(json_t *object, const struct group *g)
{
	json_put_count(object, "mappings", g->count);
	json_put_count(object, "size", g->size);
	json_put_count(object, "resident", g->ram);
	json_put_count(object, "pss", g->share);
	json_put_count(object, "anonymous", g->anonymous);
	json_put_count(object, "dirty", g->dirty);
	json_put_count(object, "reclaimable", g->clean);
	json_put_count(object, "swap", g->swap);
	json_put_count(object, "huge", g->huge);
	json_put_count(object, "pool", g->pool);
	json_put_count(object, "locked", g->locked);
}

static void put_flags(json_t *object, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ QUIRE_MAPPING_READ, "read" },
		{ QUIRE_MAPPING_WRITE, "write" },
		{ QUIRE_MAPPING_EXECUTE, "execute" },
		{ QUIRE_MAPPING_SHARED, "shared" },
		{ QUIRE_MAPPING_LOCKED, "locked" },
		{ QUIRE_MAPPING_HUGETLB, "hugetlb" },
		{ QUIRE_MAPPING_GROWS_DOWN, "grows-down" },
		{ QUIRE_MAPPING_USERFAULT, "userfaultfd" },
		{ QUIRE_MAPPING_NO_DUMP, "no-dump" },
		{ QUIRE_MAPPING_DEVICE, "device" },
		{ QUIRE_MAPPING_GUARDED, "guarded" },
		{ QUIRE_MAPPING_SYNC, "sync" },
	};
	json_t *array = json_put_array(object, "flags");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((flags & names[i].flag) != 0)
			json_add_text(array, names[i].name);
}

static void put_row(json_t *array, const struct maps_view *view, const struct row *row)
{
	json_t *object = json_add_object(array);
	const struct quire_mapping *m = &row->m;

	put_address(object, "start", m->start);
	put_address(object, "end", m->end);
	json_put_count(object, "offset", m->offset);
	json_put_count(object, "inode", m->inode);
	json_put_name(object, "group", view->groups[row->group].name);
	put_flags(object, m->flags);
	json_put_count(object, "resident", m->resident_bytes);
	json_put_count(object, "pss", m->share_bytes);
	json_put_count(object, "anonymous", m->anonymous_bytes);
	json_put_count(object, "dirty", m->dirty_bytes);
	json_put_count(object, "swap", m->swap_bytes);
	json_put_count(object, "huge", m->huge_bytes);
	json_put_count(object, "pool", m->pool_bytes);
	json_put_count(object, "locked", m->locked_bytes);
	json_put_count(object, "page", m->page_bytes);
}

static json_t *document_of(const struct maps_view *view, bool all)
{
	json_t *document = json_document("maps");
	json_t *groups, *warnings;

	json_put_count(document, "pid", (uint64_t)view->process.pid);
	json_put_text(document, "name", view->process.name);
	json_put_count(document, "mappings", view->mappings);
	if (view->limit == QUIRE_UNKNOWN)
		json_put_unknown(document, "mappings_max", "vm.max_map_count cannot be read");
	else
		json_put_count(document, "mappings_max", view->limit);
	put_group(json_put_object(document, "sum"), &view->sum);
	groups = json_put_array(document, "groups");
	for (size_t i = 0; i < view->group_count; i++) {
		json_t *object = json_add_object(groups);

		json_put_name(object, "name", view->groups[i].name);
		json_put_text(object, "kind", view->groups[i].kind[0] == '\0' ? NULL : view->groups[i].kind);
		json_put_bool(object, "deleted", view->groups[i].deleted);
		put_group(object, &view->groups[i]);
	}
	warnings = json_put_array(document, "warnings");
	for (size_t i = 0; i < view->warning_count; i += 2) {
		json_t *object = json_add_object(warnings);

		json_put_name(object, "name", view->warnings[i]);
		json_put_text(object, "what", view->warnings[i + 1]);
	}
	json_put_count(document, "write_execute", view->write_execute);
	json_put_count(document, "answered", view->answered);
	if (all) {
		json_t *rows = json_put_array(document, "list");

		for (size_t i = 0; i < view->row_count; i++)
			put_row(rows, view, &view->rows[i]);
	}
	return document;
}

void maps_put(struct call *call, const struct maps_view *view)
{
	const struct maps_settings *settings = call->settings;

	json_t *document = document_of(view, settings->all);

	pools_put(document, view->process.pid);
	json_print(call, document);
}

enum status maps_save(const struct maps_view *view, const char *to)
{
	json_t *document = document_of(view, false);
	int failed = json_dump_file(document, to, JSON_INDENT(1) | JSON_REAL_PRECISION(9));

	json_decref(document);
	return failed != 0 ? fail(STATUS_SYSTEM, "%s cannot be written: %s", to, strerror(errno)) : STATUS_OK;
}

/** A group then and now. */
struct change {
	const char *name;
	uint64_t ram[2];
	uint64_t count[2];
};

static uint64_t number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static int compare(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	uint64_t dx = distance(x->ram[0], x->ram[1]), dy = distance(y->ram[0], y->ram[1]);

	return dx == dy ? strcmp(x->name, y->name) : dx < dy ? 1 : -1;
}

/* All groups of both looks; those of now first. */
static size_t changes_of(const struct maps_view *view, const json_t *before, struct change *changes)
{
	size_t n = 0;

	for (size_t i = 0; i < view->group_count; i++)
		changes[n++] = (struct change){ .name = view->groups[i].name,
			.ram = { 0, view->groups[i].ram },
			.count = { 0, view->groups[i].count } };
	for (size_t i = 0; i < json_array_size(before); i++) {
		const json_t *group = json_array_get(before, i);
		const char *name = json_string_value(json_object_get(group, "name"));
		size_t at = 0;

		if (name == NULL)
			continue;
		while (at < n && strcmp(changes[at].name, name) != 0)
			at++;
		if (at == n)
			changes[n++] = (struct change){ .name = name };
		changes[at].ram[0] = number_of(group, "resident");
		changes[at].count[0] = number_of(group, "mappings");
	}
	return n;
}

static void show_changes(struct screen *screen, const struct change *changes, size_t n, size_t top)
{
	static const struct column columns[] = { { "GROUP", COLUMN_NAME }, { "N", COLUMN_RIGHT },
		{ "CHANGE", COLUMN_RIGHT }, { "IN RAM", COLUMN_RIGHT }, { "CHANGE", COLUMN_RIGHT } };
	struct table *table = table_new(screen, columns, 5);

	for (size_t i = 0; i < n && i < top; i++) {
		const struct change *c = &changes[i];

		if (c->ram[0] == c->ram[1] && c->count[0] == c->count[1])
			continue;
		table_cell(table, INK_PLAIN, "%s", text_name(c->name).s);
		table_cell(table, INK_PLAIN, "%s", text_count(c->count[1]).s);
		table_cell(table, INK_PLAIN, "%+lld", (long long)(c->count[1] - c->count[0]));
		table_cell(table, INK_PRESENT, "%s", text_bytes(c->ram[1]).s);
		table_cell(table, INK_DIRTY, "%s%s", c->ram[1] < c->ram[0] ? "-" : "+",
			text_bytes(distance(c->ram[0], c->ram[1])).s);
	}
	table_print(table);
}

static void put_changes(struct call *call, const struct change *changes, size_t n)
{
	json_t *document = json_document("maps");
	json_t *array = json_put_array(document, "changes");

	for (size_t i = 0; i < n; i++) {
		json_t *object = json_add_object(array);

		json_put_name(object, "name", changes[i].name);
		json_put_count(object, "mappings_before", changes[i].count[0]);
		json_put_count(object, "mappings", changes[i].count[1]);
		json_put_count(object, "resident_before", changes[i].ram[0]);
		json_put_count(object, "resident", changes[i].ram[1]);
	}
	json_print(call, document);
}

enum status maps_diff(struct call *call, const struct maps_view *view, const char *from)
{
	const struct maps_settings *settings = call->settings;
	json_error_t error;
	json_t *before = json_load_file(from, 0, &error);
	const json_t *groups = json_object_get(before, "groups");
	struct change *changes;
	uint64_t was, is = view->sum.ram;
	size_t n;

	if (before == NULL || !json_is_array(groups)) {
		json_decref(before);
		return fail(access(from, F_OK) != 0 ? STATUS_NOT_FOUND : STATUS_SYSTEM,
			"%s is no saved look at mappings", from);
	}
	changes = allocate(NULL, view->group_count + json_array_size(groups) + 1, sizeof(*changes));
	n = changes_of(view, groups, changes);
	qsort(changes, n, sizeof(*changes), compare);
	was = number_of(json_object_get(before, "sum"), "resident");
	if (call->json) {
		put_changes(call, changes, n);
	} else {
		say_paragraph(&call->screen, INK_STRONG, 0, "Process %d has %s in memory, %s %s than then.",
			view->process.pid, text_bytes(is).s, text_bytes(distance(was, is)).s,
			is < was ? "less" : "more");
		say(&call->screen, INK_PLAIN, "\n");
		show_changes(&call->screen, changes, n, (size_t)settings->top);
	}
	free(changes);
	json_decref(before);
	return STATUS_OK;
}
