/* SPDX-License-Identifier: Apache-2.0 */
/* presence-watch.c - quire presence --watch: the same screen again and again, or a line a look where nobody redraws. */
#include <stdlib.h>
#include <time.h>

#include "file-view.h"
#include "presence.h"

static void wait_ms(uint64_t ms)
{
	struct timespec pause = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&pause, NULL);
}

static enum status put_moment(struct call *call, uint64_t look)
{
	const struct view_wish wish = { .bins = 0, .ready = false };
	enum status status = STATUS_OK;

	for (unsigned int i = 0; i < call->operand_count; i++) {
		struct file_view view;
		json_t *line = json_document("presence");
		json_t *files = json_put_array(line, "files");

		view_gather(&view, call->operands[i], &wish);
		view_put(json_add_object(files), &view);
		json_put_count(line, "look", look);
		json_print_line(call, line);
		status = status_worse(status, view_status(&view));
		view_done(&view);
	}
	return status;
}

/* For a pipe: nothing is redrawn, so each look is one line. */
static enum status say_moment(struct call *call, uint64_t look)
{
	const struct view_wish wish = { .bins = 0, .ready = false };
	enum status status = STATUS_OK;

	for (unsigned int i = 0; i < call->operand_count; i++) {
		struct file_view view;

		view_gather(&view, call->operands[i], &wish);
		if (view.error != 0)
			complain("%s", view.error_text);
		else
			say(&call->screen, INK_PLAIN,
				"%llu  cached %s  dirty %s  writing %s  evicted %s  %s\n",
				(unsigned long long)look, text_pages(view.figures.cached).s,
				text_pages(view.figures.dirty).s, text_pages(view.figures.writing).s,
				text_pages(view.figures.evicted).s, text_name(view.path).s);
		status = status_worse(status, view_status(&view));
		view_done(&view);
	}
	return status;
}

enum status presence_watch(struct call *call)
{
	const struct presence_settings *settings = call->settings;
	enum status status = STATUS_OK;

	for (uint64_t look = 1;; look++) {
		if (call->json) {
			status = put_moment(call, look);
		} else if (call->screen.terminal) {
			fputs("\033[H\033[2J", call->screen.out);
			status = presence_files(call);
		} else {
			status = say_moment(call, look);
		}
		if (fflush(call->screen.out) != 0)
			return STATUS_SYSTEM; /* nobody listens any more */
		if (look == settings->count)
			return status;
		wait_ms(settings->interval_ms);
	}
}
