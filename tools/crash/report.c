/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - one state in words. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "crash.h"
#include "show.h"

enum { BEFORE_WINDOW = 6, VERDICT_BYTES = 80 };

/* One state, standing still. */
struct still {
	struct model model;
	struct window window;
	struct shown shown;
};

static int still_make(struct still *s, const struct crash_log *log, const struct crash_options *o,
	uint32_t point, uint32_t index)
{
	enum point_level level;

	*s = (struct still){ .shown = { .name_room = 0 } };
	model_init(&s->model, log, o->entry_with_file);
	window_init(&s->window, &s->model);
	while (s->model.next < point && s->model.next < log->op_count)
		model_advance(&s->model);
	level = point_level(log, s->model.next);
	window_take(&s->window);
	if (s->model.next != point || index >= choice_count(&s->window, level, o))
		return -ENOENT;
	choice_make(&s->window, level, o, index);
	show(&s->model, &s->window, &s->shown);
	return 0;
}

static void still_done(struct still *s)
{
	window_done(&s->window);
	model_done(&s->model);
	shown_done(&s->shown);
}

/* --- operations ----------------------------------------------------------------------------------------------------- */

static const char *file_name(const struct crash_log *log, const struct crash_op *op)
{
	if (op->name)
		return op->name;
	if (op->file >= 0)
		return *log->files[op->file] ? log->files[op->file] : "(unnamed)";
	return op->dir >= 0 ? (*log->dirs[op->dir] ? log->dirs[op->dir] : ".") : "?";
}

static void print_op(const struct crash_log *log, uint32_t index, const char *verdict)
{
	const struct crash_op *op = &log->ops[index];
	char what[200];

	switch ((int)op->kind) {
	case CRASH_WRITE:
	case CRASH_STORE:
		(void)snprintf(what, sizeof(what), "%s +%llu %zu", file_name(log, op),
			(unsigned long long)op->offset, op->data_bytes);
		break;
	case CRASH_ALLOCATE:
	case CRASH_ZERO:
		(void)snprintf(what, sizeof(what), "%s +%llu %llu", file_name(log, op),
			(unsigned long long)op->offset, (unsigned long long)op->length);
		break;
	case CRASH_TRUNCATE:
		(void)snprintf(
			what, sizeof(what), "%s to %llu", file_name(log, op), (unsigned long long)op->length);
		break;
	case CRASH_RENAME: (void)snprintf(what, sizeof(what), "%s -> %s", op->name, op->name2); break;
	case CRASH_BEGUN:
	case CRASH_ACKED: (void)snprintf(what, sizeof(what), "%llu", (unsigned long long)op->length); break;
	case CRASH_SYNC_ALL_BEGIN:
	case CRASH_SYNC_ALL_END:
	case CRASH_END: what[0] = '\0'; break;
	case CRASH_NOTE:
		(void)snprintf(what, sizeof(what), "%.*s", (int)op->data_bytes, (const char *)op->data);
		break;
	default: (void)snprintf(what, sizeof(what), "%s", file_name(log, op)); break;
	}
	printf("#   %5u  %-9s %-40s %s%s\n", index, crash_kind_name(op->kind), what,
		op->result < 0 ? strerror(-op->result) : "", verdict);
}

void crash_print_log(const struct crash_log *log)
{
	for (uint32_t i = 0; i < log->op_count; i++)
		print_op(log, i, "");
}

/* --- what became of a pending operation ------------------------------------------------------------------------------ */

struct tally {
	unsigned int there, total; /* sectors, sizes, names */
};

static void tally_pieces(const struct still *s, uint32_t op, struct tally *t)
{
	int file = s->model.log->ops[op].file;
	const struct file *f = &s->model.files[file];

	for (size_t i = 0; i < f->piece_count; i++) {
		const struct piece *p = &f->pieces[i];
		const struct place *place = &s->window.places[s->window.first_place[file] + i];
		const struct chain *c = &s->window.chains[place->chain];

		if (p->op != op)
			continue;
		for (unsigned int n = p->at / SECTOR; n * SECTOR < p->at + p->bytes; n++) {
			t->total++;
			t->there += place->rank < (c->torn ? c->sector[n] : c->pick);
		}
	}
}

static void tally_links(
	const struct chain *c, const uint32_t *ops, size_t stride, uint32_t op, struct tally *t)
{
	for (size_t i = 0; i < c->length; i++) {
		/* ops are fields of larger structs, stride bytes apart */
		uint32_t this;

		memcpy(&this, (const char *)ops + i * stride, sizeof(this));
		if (this != op)
			continue;
		t->total++;
		t->there += i < c->pick;
	}
}

static void verdict_of(const struct still *s, uint32_t op, char verdict[VERDICT_BYTES])
{
	struct tally data = { 0, 0 }, meta = { 0, 0 };

	if (s->model.log->ops[op].file >= 0)
		tally_pieces(s, op, &data);
	for (size_t i = 0; i < s->window.chain_count; i++) {
		const struct chain *c = &s->window.chains[i];
		const struct file *f = c->kind == CHAIN_META ? &s->model.files[c->owner] : NULL;

		if (f)
			tally_links(c, &f->changes->op, sizeof(*f->changes), op, &meta);
		else if (c->kind == CHAIN_NAMES)
			tally_links(c, s->model.dirs[c->owner].ops, sizeof(uint32_t), op, &meta);
	}
	if (data.total + meta.total == 0)
		(void)snprintf(verdict, VERDICT_BYTES, "durable");
	else if (data.there + meta.there == 0)
		(void)snprintf(verdict, VERDICT_BYTES, "lost");
	else if (data.there + meta.there == data.total + meta.total)
		(void)snprintf(verdict, VERDICT_BYTES, "persisted");
	else if (data.there == data.total || data.there == 0)
		(void)snprintf(verdict, VERDICT_BYTES, "data %s, size %s", data.there ? "persisted" : "lost",
			meta.there ? "persisted" : "lost");
	else
		(void)snprintf(
			verdict, VERDICT_BYTES, "torn: %u of %u sectors persisted", data.there, data.total);
}

static bool is_change(enum crash_kind kind)
{
	return kind >= CRASH_CREATE && kind <= CRASH_ZERO;
}

static void print_window(const struct still *s)
{
	const struct crash_log *log = s->model.log;
	uint32_t first = s->window.op_count ? s->window.ops[0] : s->model.next;

	for (uint32_t i = first > BEFORE_WINDOW ? first - BEFORE_WINDOW : 0; i < s->model.next; i++) {
		char verdict[VERDICT_BYTES] = "";

		if (is_change(log->ops[i].kind))
			verdict_of(s, i, verdict);
		print_op(log, i, verdict);
	}
	printf("#          ~~~~~~~~~ the power goes; this would have come next:\n");
	if (s->model.next < log->op_count)
		print_op(log, s->model.next, "");
}

const char *crash_words(const char *const *invariants, int number)
{
	if (number == 0)
		return "the check died";
	for (int i = 0; invariants && invariants[i]; i++)
		if (i == number)
			return invariants[i];
	return "not described";
}

static void print_what(const struct crash_violation *v, const char *const *invariants)
{
	if (v->invariant == 0 && v->signal == SIGALRM)
		printf("# violation: the check hung\n");
	else if (v->invariant == 0)
		printf("# violation: the check died of %s\n", strsignal(v->signal));
	else
		printf("# violation: invariant %d (%s)\n", v->invariant,
			crash_words(invariants, v->invariant));
	if (v->text[0])
		printf("#   %s\n", v->text);
}

int crash_show(const struct crash_log *log, const struct crash_options *options, uint32_t point,
	uint32_t index, const char *dir)
{
	struct still s;
	int error = still_make(&s, log, options, point, index);

	if (error == 0) {
		struct image *image = image_new(dir);

		error = image_write(image, &s.model, &s.shown);
		image_free(image);
	}
	still_done(&s);
	return error;
}

void crash_report(const struct crash_log *log, const struct crash_violation *v,
	const struct crash_options *options, const char *const *invariants, const char *again)
{
	struct still s;
	char kept[256];

	print_what(v, invariants);
	if (still_make(&s, log, options, v->point, v->index) == 0) {
		printf("#   state %u.%u with seed %llu; acknowledged: commit %llu, begun: %llu\n", v->point,
			v->index, (unsigned long long)options->seed, (unsigned long long)s.model.acked,
			(unsigned long long)s.model.begun);
		print_window(&s);
	}
	still_done(&s);
	if (options->keep) {
		(void)snprintf(kept, sizeof(kept), "%s/%u.%u", options->keep, v->point, v->index);
		(void)mkdir(options->keep, 0777);
		(void)mkdir(kept, 0777);
		if (crash_show(log, options, v->point, v->index, kept) == 0)
			printf("#   the image is in %s\n", kept);
	}
	printf("#   again: %s\n", again);
}
