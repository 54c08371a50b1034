/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c - every state of a log is shown to the check.
 *
 *	parent ──fork──> worker 0: model, window, image directory     points 0, 2, 4 ...
 *	   │    └─fork──> worker 1                                     points 1, 3, 5 ...
 *	   └── waits; when a check kills its worker, that is a violation of that state, and a new worker goes on behind it
 *
 * What a worker has found stands in shared memory, so its death loses nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"
#include "seen.h"
#include "show.h"

enum {
	INVARIANTS_MAX = 16,
	JOBS_MAX = 8,
	TEXT_BYTES = 240,
	POLL_NS = 1000000,
	THIN = 16,
	SEEN_SLOTS = 1 << 17
};

struct slot {
	_Atomic uint32_t point, index; /* where the worker is */
	_Atomic uint64_t beat;         /* moves with every state */
	char text[TEXT_BYTES];
};

struct share {
	_Atomic uint64_t states, distinct, checked;
	_Atomic uint32_t points, violation_count;
	_Atomic bool stop;
	_Atomic uint32_t by_invariant[INVARIANTS_MAX];
	struct crash_violation violations[INVARIANTS_MAX];
	struct slot slots[JOBS_MAX];
};

/* One replay in progress. */
struct replay {
	const struct crash_log *log;
	crash_check *check;
	void *arg;
	const struct crash_options *options;
	struct crash_seen *seen;
	struct share *share;
	char scratch[64];
};

/* One worker. */
struct worker {
	const struct replay *r;
	struct slot *slot;
	uint32_t me;
	uint32_t from_point, from_index; /* states before this one have been seen to */
	struct model model;
	struct window window;
	struct shown shown;
	struct image *image;
	char dir[128];
	struct crash_note *notes;
	size_t note_count, note_room;
};

static char *explanation; /* of the worker that this process is */

void crash_explain(const char *format, ...)
{
	va_list args;

	if (!explanation)
		return;
	va_start(args, format);
	(void)vsnprintf(explanation, TEXT_BYTES, format, args);
	va_end(args);
}

struct crash_options crash_defaults(void)
{
	return (struct crash_options){ .seed = 1,
		.per_point = 64,
		.exhaust_max = 4096,
		.violations_max = 8,
		.jobs = 2,
		.hang_seconds = 20 };
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void violate(const struct replay *r, const struct slot *slot, int invariant, int signal_number)
{
	uint32_t n = atomic_fetch_add(&r->share->violation_count, 1);
	struct crash_violation *v;

	r->share->by_invariant[(unsigned int)invariant % INVARIANTS_MAX]++;
	if (n + 1 >= r->options->violations_max)
		r->share->stop = true;
	if (n >= sizeof(r->share->violations) / sizeof(*v))
		return;
	v = &r->share->violations[n];
	*v = (struct crash_violation){
		.point = slot->point, .index = slot->index, .invariant = invariant, .signal = signal_number
	};
	memcpy(v->text, slot->text, sizeof(v->text));
}

/* --- a worker ------------------------------------------------------------------------------------------------------- */

/* The same image may have to keep more promises later. */
static struct hash128 with_promises(struct hash128 h, const struct crash_history *history)
{
	uint64_t promises[3] = { history->acked, history->begun, history->note_count };
	XXH128_hash_t p = XXH3_128bits(promises, sizeof(promises));

	return (struct hash128){ h.low ^ p.low64, h.high ^ p.high64 };
}

static void state(struct worker *w, enum point_level level, uint32_t index)
{
	const struct replay *r = w->r;
	struct share *share = r->share;
	struct crash_history history = { .acked = w->model.acked,
		.begun = w->model.begun,
		.notes = w->notes,
		.note_count = w->note_count };
	int broken;

	choice_make(&w->window, level, r->options, index);
	show(&w->model, &w->window, &w->shown);
	share->states++;
	if (seen_add(r->seen, SEEN_IMAGES, w->shown.hash))
		share->distinct++;
	if (seen_add(r->seen, SEEN_CHECKS, with_promises(w->shown.hash, &history)) || r->options->only) {
		share->checked++;
		w->slot->text[0] = '\0';
		w->slot->index = index;
		w->slot->beat++;
		if (image_write(w->image, &w->model, &w->shown) < 0)
			_exit(3);
		broken = r->check(r->arg, w->dir, &history);
		if (broken)
			violate(r, w->slot, broken, 0);
	}
	unshow(&w->model);
}

static void point(struct worker *w, enum point_level level)
{
	const struct crash_options *o = w->r->options;
	uint32_t next = w->model.next, count, i;

	window_take(&w->window);
	w->slot->point = next;
	w->r->share->points++;
	count = choice_count(&w->window, level, o);
	i = next == w->from_point ? w->from_index : 0;
	if (o->only) {
		i = o->only_index > i ? o->only_index : i;
		count = o->only_index < count ? o->only_index + 1 : 0;
	}
	for (; i < count && !w->r->share->stop; i++)
		state(w, level, i);
	if ((o->distinct_max && w->r->share->distinct >= o->distinct_max) || seen_full(w->r->seen))
		w->r->share->stop = true;
}

static bool is_mine(const struct worker *w, uint32_t ordinal)
{
	const struct crash_options *o = w->r->options;

	if (w->model.next < w->from_point)
		return false;
	if (o->only)
		return w->model.next == o->only_point && w->me == 0;
	if (w->model.next < o->from_point)
		return false;
	if (o->thin_after && w->model.next > o->from_point + o->thin_after && ordinal % THIN >= o->jobs)
		return false;
	return ordinal % o->jobs == w->me;
}

static void take_note(struct worker *w, const struct crash_op *op)
{
	if (op->kind != CRASH_NOTE)
		return;
	w->notes = model_room(w->notes, &w->note_room, w->note_count + 1, sizeof(*w->notes));
	w->notes[w->note_count++] = (struct crash_note){ .data = op->data, .bytes = op->data_bytes };
}

static void work(struct worker *w)
{
	const struct crash_log *log = w->r->log;
	uint32_t ordinal = 0;

	while (!w->r->share->stop) {
		enum point_level level = point_level(log, w->model.next);

		if (level != POINT_NONE && is_mine(w, ordinal++))
			point(w, level);
		if (w->model.next == log->op_count)
			break;
		take_note(w, &log->ops[w->model.next]);
		model_advance(&w->model);
	}
}

static void worker_main(struct worker *w)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)snprintf(w->dir, sizeof(w->dir), "%s/state-%u", w->r->scratch, w->me);
	(void)mkdir(w->dir, 0777);
	explanation = w->slot->text;
	w->image = image_new(w->dir);
	model_init(&w->model, w->r->log, w->r->options->entry_with_file);
	window_init(&w->window, &w->model);
	work(w);
	window_done(&w->window);
	model_done(&w->model);
	shown_done(&w->shown);
	image_free(w->image);
	free(w->notes);
	_exit(0);
}

/* --- the parent ----------------------------------------------------------------------------------------------------- */

struct watched {
	uint64_t beat;
	double beat_seconds;
	pid_t pid; /* 0: finished */
	bool hung;
};

static int start(
	const struct replay *r, struct watched *p, uint32_t me, uint32_t from_point, uint32_t from_index)
{
	struct worker w = { .r = r,
		.slot = &r->share->slots[me],
		.me = me,
		.from_point = from_point,
		.from_index = from_index };

	(void)fflush(NULL);
	*p = (struct watched){ .pid = fork(), .beat_seconds = now() };
	if (p->pid == 0)
		worker_main(&w);
	return p->pid < 0 ? -errno : 0;
}

static void watch_hang(const struct replay *r, struct watched *p, uint32_t me)
{
	uint64_t beat = r->share->slots[me].beat;

	if (beat != p->beat) {
		p->beat = beat;
		p->beat_seconds = now();
	} else if (now() - p->beat_seconds > r->options->hang_seconds && beat) {
		p->hung = true;
		(void)kill(p->pid, SIGKILL);
	}
}

static int tend(const struct replay *r, struct watched *p, uint32_t me)
{
	struct slot *slot = &r->share->slots[me];
	int status;
	pid_t pid = waitpid(p->pid, &status, WNOHANG);

	if (pid == 0) {
		watch_hang(r, p, me);
		return 0;
	}
	p->pid = 0;
	if (pid < 0)
		return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		return -EIO; /* the image could not be made: no room on the scratch file system? */
	violate(r, slot, 0, p->hung ? SIGALRM : WIFSIGNALED(status) ? WTERMSIG(status) : SIGABRT);
	return r->share->stop ? 0 : start(r, p, me, slot->point, slot->index + 1);
}

static int run_workers(const struct replay *r)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	struct watched workers[JOBS_MAX] = { 0 };
	uint32_t jobs = r->options->jobs, alive = jobs;
	int error = 0;

	for (uint32_t i = 0; i < jobs && error == 0; i++)
		error = start(r, &workers[i], i, 0, 0);
	while (alive > 0) {
		alive = 0;
		for (uint32_t i = 0; i < jobs; i++) {
			int failed = workers[i].pid > 0 ? tend(r, &workers[i], i) : 0;

			if (failed < 0) {
				error = failed;
				r->share->stop = true;
			}
			alive += workers[i].pid > 0;
		}
		(void)nanosleep(&pause, NULL);
	}
	return error;
}

static void conclude(const struct replay *r, struct crash_result *result, double seconds)
{
	*result = (struct crash_result){ .states = r->share->states,
		.distinct = r->share->distinct,
		.checked = r->share->checked,
		.points = r->share->points,
		.violation_count = r->share->violation_count,
		.seconds = seconds };
	for (int i = 0; i < INVARIANTS_MAX; i++)
		result->by_invariant[i] = r->share->by_invariant[i];
	memcpy(result->violations, r->share->violations, sizeof(result->violations));
}

int crash_replay(const struct crash_log *log, crash_check *check, void *arg,
	const struct crash_options *options, struct crash_result *result)
{
	struct crash_options o = *options;
	struct replay r = { .log = log, .check = check, .arg = arg, .options = &o, .seen = o.seen };
	double began = now();
	int error = -ENOMEM, scratch_fd;

	o.jobs = o.jobs == 0 ? 1 : o.jobs > JOBS_MAX ? JOBS_MAX : o.jobs;
	scratch_fd = crash_scratch(r.scratch);
	if (scratch_fd < 0)
		return -ENOSPC;
	if (!r.seen)
		r.seen = crash_seen_new(SEEN_SLOTS);
	r.share = mmap(NULL, sizeof(*r.share), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r.share != MAP_FAILED && r.seen) {
		error = run_workers(&r);
		conclude(&r, result, now() - began);
		(void)munmap(r.share, sizeof(*r.share));
	}
	if (r.seen != o.seen)
		crash_seen_free(r.seen);
	crash_scratch_end(r.scratch, scratch_fd);
	return error;
}
