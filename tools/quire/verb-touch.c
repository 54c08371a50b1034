/* SPDX-License-Identifier: Apache-2.0 */
/* verb-touch.c - quire touch: bring files into memory, and end when they are there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "file-list.h"
#include "file-view.h"
#include "progress.h"
#include "room.h"

/* Large enough that the calls do not count, small enough that progress moves twice a second on a slow disk. */
#define STEP (UINT64_C(64) << 20)
/* What is there is only counted: then a larger step is as smooth. */
#define STEP_COUNTED (UINT64_C(4) << 30)

struct touch_settings {
	bool missing;
	bool recursive;
	bool force;
};

/** One file that is being touched. */
struct touching {
	const char *path;
	uint64_t bytes;
	uint64_t brought; /* QUIRE_UNKNOWN when this user may not know */
	uint64_t done;    /* of bytes */
	uint64_t cached;  /* at the end, in bytes */
	int error;
	char error_text[512];
};

static void touch_steps(struct touching *t, int fd, bool missing, uint64_t before)
{
	uint64_t step = missing ? STEP_COUNTED : STEP;

	while (t->done < t->bytes && t->error == 0) {
		uint64_t n = t->bytes - t->done < step ? t->bytes - t->done : step;

		/* One count tells whether a large step may be taken as a whole. */
		if (missing && n > STEP) {
			struct quire_presence part = { .size = sizeof(part) };

			if (quire_presence_read(fd, t->done, n, 0, &part) != 0 || part.cached != part.pages)
				n = STEP;
		}
		t->error = quire_presence_touch(fd, t->done, n, missing ? QUIRE_TOUCH_MISSING : 0, NULL);
		if (t->error < 0)
			snprintf(t->error_text, sizeof(t->error_text), "%s", quire_error_text());
		t->done += t->error == 0 ? n : 0;
		progress_at(before + t->done);
	}
}

/* What was there when its part was touched may have been thrown out since: the end is what counts. */
static void look_again(struct touching *t, int fd)
{
	struct quire_presence figures = { .size = sizeof(figures) };

	t->cached = QUIRE_UNKNOWN;
	if (t->error != 0 || quire_presence_read(fd, 0, QUIRE_UNKNOWN, 0, &figures) != 0)
		return;
	if (figures.cached != QUIRE_UNKNOWN)
		t->cached = bytes_of_pages(figures.cached, figures.file_bytes);
	else if (figures.ready != QUIRE_UNKNOWN)
		t->cached = bytes_of_pages(figures.ready, figures.file_bytes);
}

static uint64_t bytes_missing(const struct quire_presence *figures)
{
	uint64_t there = sure_pages(figures);

	return there == QUIRE_UNKNOWN ? QUIRE_UNKNOWN
				      : figures->file_bytes - bytes_of_pages(there, figures->file_bytes);
}

/** Whether there is room for all files: asked when the first page is missing, for all of it may be there. */
struct room_check {
	uint64_t bytes;
	bool passed;
	bool refused;
};

/* What would not fit is not begun: it would push out everything else, and then itself. */
static bool may_begin(struct room_check *check)
{
	struct room room;

	if (check->passed)
		return true;
	room_read(&room);
	check->passed = check->bytes <= room.bytes;
	check->refused = !check->passed;
	if (check->refused)
		(void)room_refuse(&room, check->bytes,
			"what is read first would be thrown out for what comes last. Touch less, or --force");
	return check->passed;
}

/* More than the machine has cannot all be there, and need not be counted: without cachestat that takes minutes. */
static bool surely_missing(const struct room_check *check)
{
	struct quire_memory memory = { .size = sizeof(memory) };

	return quire_memory_read(&memory) == 0 && check->bytes > memory.total_bytes;
}

static void touch_file(
	struct touching *t, const char *path, bool missing, uint64_t before, struct room_check *check)
{
	struct quire_presence figures = { .size = sizeof(figures) };
	int fd = -1;

	*t = (struct touching){ .path = path };
	t->error = quire_presence_open(AT_FDCWD, path, &fd);
	if (t->error == 0)
		t->error = quire_presence_read(fd, 0, QUIRE_UNKNOWN, 0, &figures);
	if (t->error < 0)
		snprintf(t->error_text, sizeof(t->error_text), "%s", quire_error_text());
	t->bytes = figures.file_bytes;
	/* Counted once, before anything is read: the kernel reads ahead beyond each step, and the next would find that there. */
	t->brought = bytes_missing(&figures);
	/* One count of the whole file: where nothing is missing, that was all. */
	if (t->error == 0 && missing && figures.cached == figures.pages) {
		t->done = t->cached = t->bytes;
	} else if (t->error == 0 && (t->brought == 0 || may_begin(check))) {
		touch_steps(t, fd, missing, before);
		look_again(t, fd);
	}
	if (fd >= 0)
		close(fd);
}

static enum status status_of_touch(const struct touching *t)
{
	if (t->error == -EAGAIN)
		return STATUS_PARTLY;
	if (t->error != 0)
		return t->done != 0 ? STATUS_PARTLY : status_of(t->error);
	if (t->cached == QUIRE_UNKNOWN)
		return STATUS_FORBIDDEN;
	return t->cached < t->bytes ? STATUS_PARTLY : STATUS_OK;
}

/** Sums over all files, and the files of which there is more to say. */
struct touch_sum {
	uint64_t files;
	uint64_t bytes;
	uint64_t cached;
	uint64_t brought;
	uint64_t unknown;
	double seconds;
	struct touching *told;
	size_t told_count;
};

static void add(struct touch_sum *sum, const struct touching *t)
{
	sum->files++;
	sum->bytes += t->bytes;
	if (t->cached == QUIRE_UNKNOWN || t->brought == QUIRE_UNKNOWN || t->error != 0) {
		sum->unknown++;
	} else {
		sum->cached += t->cached;
		sum->brought += t->brought;
	}
	/* The answer comes before the files, so those that are told of wait for it. */
	if (status_of_touch(t) == STATUS_OK)
		return;
	if ((sum->told_count & (sum->told_count - 1)) == 0)
		sum->told = allocate(sum->told, sum->told_count == 0 ? 1 : sum->told_count * 2, sizeof(*t));
	sum->told[sum->told_count++] = *t;
}

static void show_file(struct screen *screen, const struct touching *t)
{
	if (t->error != 0)
		complain("%s: %s", text_name(t->path).s, t->error_text);
	else if (t->cached == QUIRE_UNKNOWN)
		say_paragraph(screen, INK_PROBLEM, 2,
			"? %s: reading was started; whether it is in memory is not told to this "
			"user, who neither owns nor may write it.",
			text_name(t->path).s);
	else if (t->cached < t->bytes)
		say_paragraph(screen, INK_PROBLEM, 2, "! %s: only %s of %s stayed: memory is short.",
			text_name(t->path).s, text_bytes(t->cached).s, text_bytes(t->bytes).s);
}

static void show_sum(struct screen *screen, const struct touch_sum *sum, bool missing)
{
	uint64_t there = sum->cached > sum->brought ? sum->cached - sum->brought : 0;

	if (sum->bytes == 0 && sum->unknown == 0)
		say_paragraph(screen, INK_STRONG, 0, "There was nothing to bring in: %s.",
			sum->files == 0           ? "no file"
				: sum->files == 1 ? "the file is empty"
						  : "the files are empty");
	else if (sum->cached >= sum->bytes && sum->unknown == 0 && sum->brought == 0)
		say_paragraph(screen, INK_STRONG, 0, "All of %s was in memory already%s.",
			text_bytes(sum->bytes).s, missing ? ", and was not touched" : "");
	else if (sum->cached >= sum->bytes && sum->unknown == 0)
		say_paragraph(screen, INK_STRONG, 0,
			"All of %s is in memory: %s was brought in (%s, %s), %s was there%s.",
			text_bytes(sum->bytes).s, text_bytes(sum->brought).s, text_seconds(sum->seconds).s,
			text_speed((double)sum->brought / sum->seconds).s, text_bytes(there).s,
			missing ? " and was not touched" : "");
	else
		say_paragraph(screen, INK_STRONG, 0,
			"%s of %s is known to be in memory: %s was brought in (%s).",
			text_bytes(sum->cached).s, text_bytes(sum->bytes).s, text_bytes(sum->brought).s,
			text_seconds(sum->seconds).s);
}

static void put_file(json_t *array, const struct touching *t)
{
	static const char why[] = "the kernel only tells the owner, or who may write the file";
	json_t *object = json_add_object(array);

	json_put_name(object, "path", t->path);
	if (t->error != 0) {
		json_put_count(object, "errno", (uint64_t)-t->error);
		json_put_text(object, "error", t->error_text);
		return;
	}
	json_put_count(object, "size", t->bytes);
	if (t->brought == QUIRE_UNKNOWN)
		json_put_unknown(object, "brought", why);
	else
		json_put_count(object, "brought", t->brought);
	if (t->cached == QUIRE_UNKNOWN)
		json_put_unknown(object, "cached", why);
	else
		json_put_count(object, "cached", t->cached);
}

static enum status run_touch(struct call *call)
{
	const struct touch_settings *settings = call->settings;
	json_t *document = json_document("touch");
	json_t *array = json_put_array(document, "files");
	struct touch_sum sum = { .files = 0 };
	struct file_list list;
	enum status status = file_list_fill(&list, call, settings->recursive);
	struct room_check check = { .bytes = list.bytes_all, .passed = settings->force };
	double began = now_seconds();

	progress_begin("touch", list.bytes_all, true);
	if (surely_missing(&check))
		(void)may_begin(&check);
	for (size_t i = 0; i < list.count && !check.refused; i++) {
		struct touching t;

		touch_file(&t, list.paths[i], settings->missing, sum.bytes, &check);
		if (check.refused)
			break;
		if (settings->recursive && t.error == -ENOENT)
			continue; /* it vanished meanwhile */
		add(&sum, &t);
		if (call->json)
			put_file(array, &t);
		status = status_worse(status, status_of_touch(&t));
	}
	progress_end();
	sum.seconds = now_seconds() - began;
	if (check.refused) {
		status = STATUS_PARTLY;
		json_decref(document);
	} else if (call->json) {
		json_put_real(document, "seconds", sum.seconds);
		json_print(call, document);
	} else {
		json_decref(document);
		if (sum.files != 0 || status == STATUS_OK)
			show_sum(&call->screen, &sum, settings->missing);
		for (size_t i = 0; i < sum.told_count; i++)
			show_file(&call->screen, &sum.told[i]);
	}
	free(sum.told);
	file_list_done(&list);
	return status;
}

static const struct verb_option options[] = {
	{ "missing", 'm', OPTION_FLAG, offsetof(struct touch_settings, missing), NULL,
		"leave alone what is cached already: much faster where most is there", NULL },
	{ "recursive", 'r', OPTION_FLAG, offsetof(struct touch_settings, recursive), NULL,
		"all files of the trees", NULL },
	{ "force", 0, OPTION_FLAG, offsetof(struct touch_settings, force), NULL,
		"bring in even what does not fit into memory", NULL },
	{ 0 },
};

static const char *const description[] = {
	"Brings files into the page cache. Without --missing, every page is faulted in and looked at, so the command ends "
	"when all bytes are there, not when reading has been started; a page that cannot be read is an error. With "
	"--missing, pages that the kernel counts as cached are believed to be ready (one may still be on its way from the "
	"disk for another reader).",
	"What does not fit into the memory that can be had, of the machine or under the limit of the control group, is not "
	"begun: nothing is read, and the message has the figures.",
	"No file is created, and no time of a file is changed. A user who neither owns a file nor may write it can only ask "
	"for reading; whether the pages came is not told to him, and the exit status is 4.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " touch --missing data.mdb", "bring in what is not there yet" },
	{ QUIRE_PROGRAM " touch -r /srv/db", "a whole tree" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_PARTLY,
		"the files do not fit into memory and nothing was read; or pages were thrown out as fast as they came, or could not be "
		"read" },
	{ STATUS_FORBIDDEN, "whether the pages came is not told to this user" },
	{ STATUS_NOT_FOUND, "no such file" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-presence(1)", "quire-evict(1)", "quire-lock(1)",
	"quire_presence_touch(3)", NULL };

const struct verb verb_touch = {
	.name = "touch",
	.summary = "bring files into memory, and say when they are there",
	.usage = "FILE...",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.settings_bytes = sizeof(struct touch_settings),
	.run = run_touch,
};
