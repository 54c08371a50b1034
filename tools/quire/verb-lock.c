/* SPDX-License-Identifier: Apache-2.0 */
/* verb-lock.c - quire lock: keep files in memory for as long as the command runs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file-list.h"
#include "file-view.h"
#include "progress.h"
#include "room.h"

/* Locking reads pages in; in such steps progress can be seen. */
#define STEP (UINT64_C(64) << 20)

struct lock_settings {
	bool recursive;
	uint64_t seconds;
};

/** One file that is held. */
struct held {
	const char *path;
	struct quire_map *map;
	uint64_t bytes;
	uint64_t locked; /* as the kernel counts it, in bytes */
	int error;
	char error_text[512];
};

static void hold_steps(struct held *h, uint64_t before)
{
	for (uint64_t done = 0; done < h->bytes && h->error == 0; done += STEP) {
		uint64_t n = h->bytes - done < STEP ? h->bytes - done : STEP;

		h->error = quire_map_lock(h->map, done, n, 0);
		progress_at(before + done + n);
	}
}

static void hold(struct held *h, const char *path, uint64_t bytes, uint64_t before)
{
	int fd = -1;

	*h = (struct held){ .path = path, .bytes = bytes };
	if (bytes == 0)
		return;
	h->error = quire_presence_open(AT_FDCWD, path, &fd);
	if (h->error == 0)
		h->error = quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .protection = QUIRE_READ), &h->map);
	if (h->error == 0)
		hold_steps(h, before);
	if (h->error < 0)
		snprintf(h->error_text, sizeof(h->error_text), "%s", quire_error_text());
	if (fd >= 0)
		close(fd);
}

/* What the kernel says is locked, not what we asked for. */
static void verify(struct held *all, size_t count)
{
	struct quire_mapping m = { .size = sizeof(m) };
	struct quire_maps *maps;

	if (quire_maps_open(0, QUIRE_MAPS_FIGURES, &maps) < 0)
		return;
	while (quire_maps_next(maps, &m) == 1) {
		for (size_t i = 0; i < count; i++) {
			uint64_t start = all[i].map == NULL
				? 0
				: (uint64_t)(uintptr_t)quire_map_address(all[i].map);

			if (all[i].map != NULL && m.start < start + all[i].bytes && m.end > start &&
				(m.flags & QUIRE_MAPPING_LOCKED) != 0)
				all[i].locked += m.resident_bytes;
		}
	}
	quire_maps_close(maps);
}

static enum status status_of_hold(const struct held *h)
{
	if (h->error != 0)
		return h->error == -ENOMEM || h->error == -EAGAIN ? STATUS_PARTLY : status_of(h->error);
	return h->locked < h->bytes ? STATUS_PARTLY : STATUS_OK;
}

static void show(
	struct screen *screen, const struct held *all, size_t count, const struct lock_settings *settings)
{
	uint64_t bytes = 0, locked = 0;

	for (size_t i = 0; i < count; i++) {
		bytes += all[i].bytes;
		locked += all[i].locked < all[i].bytes ? all[i].locked : all[i].bytes;
		if (all[i].error != 0)
			complain("%s: %s", text_name(all[i].path).s, all[i].error_text);
	}
	if (locked == bytes)
		say(screen, INK_STRONG, "All of %s is locked in memory", text_bytes(bytes).s);
	else
		say(screen, INK_STRONG, "%s of %s is locked in memory", text_bytes(locked).s,
			text_bytes(bytes).s);
	if (settings->seconds != 0)
		say(screen, INK_PLAIN, ", for %llu s.\n", (unsigned long long)settings->seconds);
	else
		say(screen, INK_PLAIN, ", until this command is ended (Ctrl-C).\n");
}

static void put(struct call *call, const struct held *all, size_t count)
{
	json_t *document = json_document("lock");
	json_t *array = json_put_array(document, "files");

	for (size_t i = 0; i < count; i++) {
		json_t *object = json_add_object(array);

		json_put_name(object, "path", all[i].path);
		json_put_count(object, "size", all[i].bytes);
		json_put_count(object, "locked", all[i].locked < all[i].bytes ? all[i].locked : all[i].bytes);
		if (all[i].error != 0) {
			json_put_count(object, "errno", (uint64_t)-all[i].error);
			json_put_text(object, "error", all[i].error_text);
		}
	}
	json_put_count(document, "pid", (uint64_t)getpid());
	json_print(call, document);
}

/* Blocked before the first page is locked, so that a signal that comes early still ends us in order. */
static void block_ends(sigset_t *ends)
{
	sigemptyset(ends);
	sigaddset(ends, SIGINT);
	sigaddset(ends, SIGTERM);
	sigaddset(ends, SIGHUP);
	sigprocmask(SIG_BLOCK, ends, NULL);
}

static void wait_for_end(const sigset_t *ends, uint64_t seconds)
{
	const struct timespec limit = { .tv_sec = (time_t)seconds };

	while (seconds == 0 ? sigwaitinfo(ends, NULL) < 0 : sigtimedwait(ends, NULL, &limit) < 0)
		if (errno != EINTR)
			return;
}

static enum status run_lock(struct call *call)
{
	const struct lock_settings *settings = call->settings;
	struct file_list list;
	enum status status = file_list_fill(&list, call, settings->recursive);
	struct held *all = calloc(list.count + 1, sizeof(*all));
	uint64_t before = 0;
	struct room room;
	bool any = false;
	sigset_t ends;

	if (all == NULL)
		return fail(STATUS_SYSTEM, "no memory");
	room_read(&room);
	/* The kernel would rather kill processes than give locked pages back. */
	if (list.bytes_all > room.bytes) {
		status = room_refuse(
			&room, list.bytes_all, "locked, they would leave none for anybody else. Lock less");
		goto done;
	}
	block_ends(&ends);
	progress_begin("lock", list.bytes_all, true);
	for (size_t i = 0; i < list.count; i++) {
		hold(&all[i], list.paths[i], list.bytes[i], before);
		before += list.bytes[i];
	}
	progress_end();
	verify(all, list.count);
	for (size_t i = 0; i < list.count; i++) {
		status = status_worse(status, status_of_hold(&all[i]));
		any = any || all[i].locked != 0;
	}
	if (call->json)
		put(call, all, list.count);
	else if (list.count != 0)
		show(&call->screen, all, list.count, settings);
	fflush(call->screen.out);
	if (any)
		wait_for_end(&ends, settings->seconds);
	for (size_t i = 0; i < list.count; i++)
		if (all[i].map != NULL)
			quire_unmap(all[i].map);
done:
	free(all);
	file_list_done(&list);
	return status;
}

static const struct verb_option options[] = {
	{ "seconds", 't', OPTION_COUNT, offsetof(struct lock_settings, seconds), "N", "end after N seconds",
		NULL },
	{ "recursive", 'r', OPTION_FLAG, offsetof(struct lock_settings, recursive), NULL,
		"all files of the trees", NULL },
	{ 0 },
};

static const char *const description[] = {
	"Brings files into memory and locks their pages there, until the command is ended. What is reported is what the "
	"kernel counts as locked. The limit of locked memory (ulimit -l) applies to ordinary users.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " lock index.bin", "keep a file in memory until Ctrl-C" },
	{ QUIRE_PROGRAM " lock -t 3600 -r /srv/index &", "a tree, for an hour, in the background" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_PARTLY, "not all of it could be locked" },
	{ STATUS_FORBIDDEN, "a file may not be read" },
	{ STATUS_NOT_FOUND, "no such file" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-touch(1)", "quire-presence(1)", "quire_map_lock(3)", NULL };

const struct verb verb_lock = {
	.name = "lock",
	.summary = "keep files in memory for as long as the command runs",
	.usage = "FILE...",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.settings_bytes = sizeof(struct lock_settings),
	.run = run_lock,
};
