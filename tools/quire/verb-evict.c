/* SPDX-License-Identifier: Apache-2.0 */
/* verb-evict.c - quire evict: throw files out of memory, and say what stayed and who keeps it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file-list.h"
#include "file-view.h"
#include "progress.h"

#define PAGE 4096U

struct evict_settings {
	bool sync;
	bool recursive;
};

/** One file that was asked to go. */
struct evicting {
	const char *path;
	uint32_t backing;
	struct quire_eviction result;
	int error;
	char error_text[512];
	struct quire_mapper *mappers; /* looked for when something stayed */
	size_t mapper_count;
	uint64_t hidden;
};

static void find_keepers(struct evicting *e, int fd)
{
	struct quire_mapper mapper = { .size = sizeof(mapper) };
	struct quire_mappers *mappers;

	if (quire_mappers_open(fd, &mappers) < 0)
		return;
	while (quire_mappers_next(mappers, &mapper) == 1) {
		e->mappers = allocate(e->mappers, e->mapper_count + 1, sizeof(mapper));
		e->mappers[e->mapper_count++] = mapper;
	}
	e->hidden = quire_mappers_hidden(mappers);
	quire_mappers_close(mappers);
}

static void evict_file(struct evicting *e, const char *path, bool sync)
{
	struct quire_presence figures = { .size = sizeof(figures) };
	int fd = -1;

	*e = (struct evicting){ .path = path, .result = { .size = sizeof(e->result) } };
	e->error = quire_presence_open(AT_FDCWD, path, &fd);
	if (e->error == 0)
		e->error = quire_presence_read(fd, 0, 0, 0, &figures);
	if (e->error == 0)
		e->error = quire_presence_evict(fd, 0, QUIRE_UNKNOWN, sync, &e->result);
	if (e->error < 0)
		snprintf(e->error_text, sizeof(e->error_text), "%s", quire_error_text());
	e->backing = figures.backing;
	if (e->error == 0 && e->result.kept != 0 && e->result.kept != QUIRE_UNKNOWN)
		find_keepers(e, fd);
	if (fd >= 0)
		close(fd);
}

static enum status status_of_evict(const struct evicting *e)
{
	if (e->error != 0)
		return status_of(e->error);
	if (e->result.wanted == QUIRE_UNKNOWN)
		return STATUS_FORBIDDEN;
	return e->result.kept + e->result.kept_dirty != 0 ? STATUS_PARTLY : STATUS_OK;
}

/* Why clean pages stayed that no process has in its page tables. */
static const char *other_reason(const struct evicting *e)
{
	if (e->backing == QUIRE_BACKING_TMPFS)
		return "memory is their only copy (tmpfs)";
	if (e->backing == QUIRE_BACKING_HUGETLBFS)
		return "memory is their only copy (hugetlbfs)";
	if (e->hidden != 0)
		return "in use by the kernel (a read or write in progress, a loop device, a swap file), or mapped by a process "
		       "that this user may not look into";
	return "in use by the kernel: a read or write in progress, a loop device, or a swap file";
}

/* Bytes of what stayed that processes have in their page tables; two may have the same. */
static uint64_t mapped_of(const struct evicting *e)
{
	uint64_t sum = 0, kept = e->result.kept * PAGE;

	for (size_t i = 0; i < e->mapper_count; i++)
		sum += e->mappers[i].present_bytes == QUIRE_UNKNOWN ? kept : e->mappers[i].present_bytes;
	return sum < kept ? sum : kept;
}

static void show_kept(struct screen *screen, const struct evicting *e)
{
	uint64_t mapped = mapped_of(e), kept = e->result.kept * PAGE;

	if (e->result.kept_dirty != 0)
		say_paragraph(screen, INK_DIRTY, 4, "kept %s: newer than the disk (--sync writes them first)",
			text_pages(e->result.kept_dirty).s);
	for (size_t i = 0; i < e->mapper_count; i++)
		if (e->mappers[i].present_bytes != 0)
			say_paragraph(screen, INK_PRESENT, 4,
				"kept %s: mapped by %d %s (the kernel never drops mapped pages)",
				e->mappers[i].present_bytes == QUIRE_UNKNOWN
					? "?"
					: text_bytes(e->mappers[i].present_bytes).s,
				e->mappers[i].pid, text_name(e->mappers[i].name).s);
	if (kept > mapped)
		say_paragraph(
			screen, INK_PLAIN, 4, "kept %s: %s", text_bytes(kept - mapped).s, other_reason(e));
}

static void show_file(struct screen *screen, const struct evicting *e)
{
	const struct quire_eviction *r = &e->result;

	if (e->error != 0) {
		complain("%s: %s", text_name(e->path).s, e->error_text);
	} else if (r->wanted == QUIRE_UNKNOWN) {
		say_paragraph(screen, INK_PROBLEM, 2,
			"? %s: asked; what was there and what went is not told to this user.",
			text_name(e->path).s);
	} else if (r->kept + r->kept_dirty != 0) {
		say_paragraph(screen, INK_PLAIN, 2, "%s: %s was cached, %s is gone", text_name(e->path).s,
			text_pages(r->wanted).s, text_pages(r->gone).s);
		show_kept(screen, e);
	}
}

static void put_file(json_t *array, const struct evicting *e)
{
	static const char why[] = "the kernel only tells the owner, or who may write the file";
	const struct quire_eviction *r = &e->result;
	json_t *object = json_add_object(array), *keepers;
	uint64_t mapped = mapped_of(e);

	json_put_name(object, "path", e->path);
	if (e->error != 0) {
		json_put_count(object, "errno", (uint64_t)-e->error);
		json_put_text(object, "error", e->error_text);
		return;
	}
	put_pages(object, "wanted", r->wanted, why);
	put_pages(object, "gone", r->gone, why);
	put_pages(object, "kept_dirty", r->kept_dirty, why);
	put_pages(object, "kept", r->kept, why);
	keepers = json_put_array(object, "keepers");
	for (size_t i = 0; i < e->mapper_count; i++) {
		json_t *keeper = json_add_object(keepers);

		json_put_count(keeper, "pid", (uint64_t)e->mappers[i].pid);
		json_put_text(keeper, "name", e->mappers[i].name);
		if (e->mappers[i].present_bytes == QUIRE_UNKNOWN)
			json_put_unknown(
				keeper, "present", "the kernel does not show its page tables to this user");
		else
			json_put_count(keeper, "present", e->mappers[i].present_bytes);
	}
	if (r->kept != QUIRE_UNKNOWN && r->kept * PAGE > mapped)
		json_put_text(object, "other_reason", other_reason(e));
}

/** Sums over all files, in pages, and the files of which there is more to say. */
struct evict_sum {
	uint64_t files; /* that could be opened */
	uint64_t wanted;
	uint64_t gone;
	uint64_t kept;
	uint64_t unknown; /* files of which nothing is told */
	struct evicting *told;
	size_t told_count;
};

static void add_figures(struct evict_sum *sum, const struct evicting *e)
{
	sum->files++;
	if (e->result.wanted == QUIRE_UNKNOWN) {
		sum->unknown++;
		return;
	}
	sum->wanted += e->result.wanted;
	sum->gone += e->result.gone;
	sum->kept += e->result.kept + e->result.kept_dirty;
}

/* The answer comes before the files, so those that are told of wait for it. */
static bool add(struct evict_sum *sum, const struct evicting *e)
{
	size_t n = sum->told_count;

	if (e->error == 0)
		add_figures(sum, e);
	if (status_of_evict(e) == STATUS_OK)
		return false;
	if ((n & (n - 1)) == 0)
		sum->told = allocate(sum->told, n == 0 ? 1 : n * 2, sizeof(*e));
	sum->told[sum->told_count++] = *e;
	return true;
}

static void show_sum(struct screen *screen, const struct evict_sum *sum)
{
	const char *limit = sum->unknown == 0 ? "" : ", as far as this user may know";

	if (sum->wanted == 0)
		say_paragraph(screen, INK_STRONG, 0, "Nothing was cached%s.", limit);
	else if (sum->kept == 0)
		say_paragraph(screen, INK_STRONG, 0, "All of %s that was cached is gone%s.",
			text_pages(sum->wanted).s, limit);
	else
		say_paragraph(screen, INK_STRONG, 0, "Of %s that was cached, %s is gone and %s stayed%s.",
			text_pages(sum->wanted).s, text_pages(sum->gone).s, text_pages(sum->kept).s, limit);
}

static void show(struct screen *screen, const struct evict_sum *sum)
{
	if (sum->files == 0 && sum->told_count == 0)
		say_paragraph(screen, INK_STRONG, 0, "There was no file to throw out.");
	else if (sum->files != 0 && sum->unknown < sum->files)
		show_sum(screen, sum);
	for (size_t i = 0; i < sum->told_count; i++)
		show_file(screen, &sum->told[i]);
}

static void forget(struct evict_sum *sum)
{
	for (size_t i = 0; i < sum->told_count; i++)
		free(sum->told[i].mappers);
	free(sum->told);
}

static enum status run_evict(struct call *call)
{
	const struct evict_settings *settings = call->settings;
	json_t *document = json_document("evict");
	json_t *array = json_put_array(document, "files");
	struct evict_sum sum = { .files = 0 };
	struct file_list list;
	enum status status = file_list_fill(&list, call, settings->recursive);

	progress_begin("evict", list.count, false);
	for (size_t i = 0; i < list.count; i++) {
		struct evicting e;
		bool told = false;

		evict_file(&e, list.paths[i], settings->sync);
		if (!settings->recursive || e.error != -ENOENT) {
			if (call->json)
				put_file(array, &e);
			status = status_worse(status, status_of_evict(&e));
			told = add(&sum, &e);
		}
		if (!told)
			free(e.mappers);
		progress_at(i + 1);
	}
	progress_end();
	if (call->json) {
		json_print(call, document);
	} else {
		json_decref(document);
		if (list.count != 0 || status == STATUS_OK)
			show(&call->screen, &sum);
	}
	forget(&sum);
	file_list_done(&list);
	return status;
}

static const struct verb_option options[] = {
	{ "sync", 's', OPTION_FLAG, offsetof(struct evict_settings, sync), NULL,
		"write dirty pages to the disk first, so that they can go too", NULL },
	{ "recursive", 'r', OPTION_FLAG, offsetof(struct evict_settings, recursive), NULL,
		"all files of the trees", NULL },
	{ 0 },
};

static const char *const description[] = {
	"Asks the kernel to drop the pages of files from the page cache, and then looks what went. The kernel drops neither "
	"pages that a process maps nor pages that are newer than the disk, and reports success all the same; here each part "
	"that stayed is named, with its reason and the number of the process that keeps it.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " evict data.mdb", "throw a file out of memory" },
	{ QUIRE_PROGRAM " evict --sync -r /srv/db", "a tree, dirty pages too" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_PARTLY, "something stayed" },
	{ STATUS_FORBIDDEN, "what was there is not told to this user" },
	{ STATUS_NOT_FOUND, "no such file" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-presence(1)", "quire-touch(1)", "quire_presence_evict(3)",
	NULL };

const struct verb verb_evict = {
	.name = "evict",
	.summary = "throw files out of memory; say what stayed and who keeps it",
	.usage = "FILE...",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.settings_bytes = sizeof(struct evict_settings),
	.run = run_evict,
};
