/* SPDX-License-Identifier: Apache-2.0 */
#include "choose.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SINGLES_MAX = 64, SUBSET_OPS_MAX = 10, LIGHT_TORN = 6 };

static uint64_t next_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15U;
	return crash_mix(*state);
}

static uint32_t below(uint64_t *state, uint64_t limit)
{
	return (uint32_t)(next_random(state) % limit);
}

/* --- the window ----------------------------------------------------------------------------------------------------- */

void window_init(struct window *w, const struct model *m)
{
	size_t files = (size_t)m->log->file_count + 1;

	*w = (struct window){ .model = m };
	w->first_place = calloc(files, sizeof(*w->first_place));
	w->meta_chain = calloc(files, sizeof(*w->meta_chain));
	if (!w->first_place || !w->meta_chain)
		abort();
}

void window_done(struct window *w)
{
	free(w->chains);
	free(w->places);
	free(w->first_place);
	free(w->meta_chain);
	free(w->ops);
	free(w->page_chain);
}

static size_t chain_add(struct window *w, enum chain_kind kind, int owner, uint32_t page, size_t length)
{
	w->chains = model_room(w->chains, &w->chain_room, w->chain_count + 1, sizeof(*w->chains));
	w->chains[w->chain_count] = (struct chain){
		.kind = kind, .owner = owner, .page = page, .length = (uint16_t)length
	};
	return w->chain_count++;
}

static void op_add(struct window *w, uint32_t op)
{
	if (w->op_count && w->ops[w->op_count - 1] == op)
		return;
	w->ops = model_room(w->ops, &w->op_room, w->op_count + 1, sizeof(*w->ops));
	w->ops[w->op_count++] = op;
}

static void take_pieces(struct window *w, int file)
{
	const struct file *f = &w->model->files[file];
	size_t pages = f->room / PAGE, before = w->chain_count;

	w->first_place[file] = w->place_count;
	if (f->piece_count == 0)
		return;
	w->places = model_room(
		w->places, &w->place_room, w->place_count + f->piece_count, sizeof(*w->places));
	w->page_chain = model_room(w->page_chain, &w->page_room, pages, sizeof(*w->page_chain));
	for (size_t i = 0; i < f->piece_count; i++)
		w->page_chain[f->pieces[i].page] = UINT32_MAX;
	for (size_t i = 0; i < f->piece_count; i++) {
		const struct piece *p = &f->pieces[i];
		uint32_t *chain = &w->page_chain[p->page];

		if (*chain == UINT32_MAX || *chain < before)
			*chain = (uint32_t)chain_add(w, CHAIN_PAGE, file, p->page, 0);
		w->places[w->place_count++] = (struct place){ .chain = *chain,
			.rank = w->chains[*chain].length++ };
		op_add(w, p->op);
	}
}

static void take_changes(struct window *w, int file)
{
	const struct file *f = &w->model->files[file];

	w->meta_chain[file] = -1;
	if (f->change_count == 0)
		return;
	w->meta_chain[file] = (int64_t)chain_add(w, CHAIN_META, file, 0, f->change_count);
	for (size_t i = 0; i < f->change_count; i++)
		op_add(w, f->changes[i].op);
}

static void take_names(struct window *w, int dir)
{
	const struct dir *d = &w->model->dirs[dir];

	if (d->count == 0)
		return;
	(void)chain_add(w, CHAIN_NAMES, dir, 0, d->count);
	for (size_t i = 0; i < d->count; i++)
		op_add(w, d->ops[i]);
}

static int op_order(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void ops_unique(struct window *w)
{
	size_t n = 0;

	if (w->op_count == 0)
		return;
	qsort(w->ops, w->op_count, sizeof(*w->ops), op_order);
	for (size_t i = 1; i < w->op_count; i++)
		if (w->ops[i] != w->ops[n])
			w->ops[++n] = w->ops[i];
	w->op_count = n + 1;
}

void window_take(struct window *w)
{
	const struct crash_log *log = w->model->log;

	w->chain_count = w->place_count = w->op_count = 0;
	for (int i = 0; i < log->file_count; i++) {
		take_pieces(w, i);
		take_changes(w, i);
	}
	for (int i = 0; i < log->dir_count; i++)
		take_names(w, i);
	ops_unique(w);

	w->product = 1;
	for (size_t i = 0; i < w->chain_count; i++)
		if (w->product < UINT32_MAX)
			w->product *= w->chains[i].length + 1U;
}

/* --- choices -------------------------------------------------------------------------------------------------------- */

static void pick_all(struct window *w, bool all)
{
	for (size_t i = 0; i < w->chain_count; i++) {
		w->chains[i].pick = all ? w->chains[i].length : 0;
		w->chains[i].torn = false;
	}
}

static void pick_number(struct window *w, uint64_t number)
{
	for (size_t i = 0; i < w->chain_count; i++) {
		w->chains[i].pick = (uint16_t)(number % (w->chains[i].length + 1U));
		number /= w->chains[i].length + 1U;
	}
}

static void at_least(uint16_t *pick, size_t least)
{
	if (*pick < least)
		*pick = (uint16_t)least;
}

static void persist_change(const struct file *f, struct chain *c, uint32_t op)
{
	assert(f != NULL);
	for (size_t i = 0; i < f->change_count; i++)
		if (f->changes[i].op == op)
			at_least(&c->pick, i + 1);
}

static void persist_name(const struct dir *d, struct chain *c, uint32_t op)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->ops[i] == op)
			at_least(&c->pick, i + 1);
}

/* This operation persisted, and so did what its chains held before. */
static void persist_op(struct window *w, uint32_t op)
{
	int file = w->model->log->ops[op].file;
	const struct file *f = file >= 0 ? &w->model->files[file] : NULL;

	for (size_t i = 0; f && i < f->piece_count; i++) {
		const struct place *p = &w->places[w->first_place[file] + i];

		if (f->pieces[i].op == op)
			at_least(&w->chains[p->chain].pick, p->rank + 1U);
	}
	for (size_t i = 0; i < w->chain_count; i++) {
		struct chain *c = &w->chains[i];

		if (c->kind == CHAIN_META)
			persist_change(&w->model->files[c->owner], c, op);
		else if (c->kind == CHAIN_NAMES)
			persist_name(&w->model->dirs[c->owner], c, op);
	}
}

/* Operations of the window whose bit is set; only == false turns the set around. */
static void pick_ops(struct window *w, uint64_t bits, bool only)
{
	pick_all(w, false);
	for (size_t i = 0; i < w->op_count; i++)
		if ((i < 64 && (bits >> i & 1)) == only)
			persist_op(w, w->ops[i]);
}

/* Three tempers: anything goes, little is missing, little is there. */
static void pick_random(struct window *w, uint64_t *random)
{
	uint32_t temper = below(random, 3), rare = 2 + below(random, 15);

	for (size_t i = 0; i < w->chain_count; i++) {
		struct chain *c = &w->chains[i];
		bool odd = temper == 0 || below(random, rare) == 0;

		c->torn = false;
		c->pick = temper == 1 ? c->length : 0;
		if (odd)
			c->pick = (uint16_t)below(random, c->length + 1U);
	}
}

static void tear(struct chain *c)
{
	if (c->torn)
		return;
	c->torn = true;
	for (int s = 0; s < SECTORS; s++)
		c->sector[s] = c->pick;
}

/* Of this write only sectors [from, to) have persisted, counted from its first. */
static void tear_op(struct window *w, uint32_t op, uint32_t from, uint32_t to)
{
	int file = w->model->log->ops[op].file;
	const struct file *f = &w->model->files[file];
	uint64_t first = w->model->log->ops[op].offset / SECTOR;

	for (size_t i = 0; i < f->piece_count; i++) {
		const struct piece *p = &f->pieces[i];
		const struct place *place = &w->places[w->first_place[file] + i];
		struct chain *c = &w->chains[place->chain];

		if (p->op != op)
			continue;
		tear(c);
		for (unsigned int s = p->at / SECTOR; s * SECTOR < p->at + p->bytes; s++) {
			uint64_t number = (uint64_t)p->page * SECTORS + s - first;
			bool there = number >= from && number < to;

			if (there)
				at_least(&c->sector[s], place->rank + 1U);
			else if (c->sector[s] > place->rank)
				c->sector[s] = place->rank;
		}
	}
}

static bool is_data(const struct crash_op *op)
{
	return (op->kind == CRASH_WRITE || op->kind == CRASH_STORE) && op->file >= 0;
}

static uint32_t sectors_of(const struct crash_op *op)
{
	return (uint32_t)((op->offset + op->data_bytes + SECTOR - 1) / SECTOR - op->offset / SECTOR);
}

/* One write ends early, begins late, or lacks its middle. */
static void tear_one(struct window *w, uint32_t op, uint64_t *random)
{
	uint32_t sectors = sectors_of(&w->model->log->ops[op]), cut = below(random, sectors + 1U);

	switch (below(random, 3)) {
	case 0: tear_op(w, op, 0, cut); break;
	case 1: tear_op(w, op, cut, sectors); break;
	default: tear_op(w, op, cut, cut + 1 + below(random, sectors)); break;
	}
}

static void pick_torn(struct window *w, uint64_t *random)
{
	uint32_t tries = 1 + below(random, 4);

	if (below(random, 2))
		pick_all(w, true);
	else
		pick_random(w, random);
	for (uint32_t i = 0; i < tries && w->op_count; i++) {
		uint32_t op = w->ops[below(random, w->op_count)];

		if (is_data(&w->model->log->ops[op]))
			tear_one(w, op, random);
	}
}

/* --- numbering ------------------------------------------------------------------------------------------------------ */

static bool has_pages(const struct window *w)
{
	for (size_t i = 0; i < w->chain_count; i++)
		if (w->chains[i].kind == CHAIN_PAGE)
			return true;
	return false;
}

struct layout {
	uint32_t every, singles, subsets, samples, torn;
};

static struct layout layout(const struct window *w, const struct crash_options *o)
{
	struct layout l = { 0, 0, 0, 0, 0 };

	if (w->chain_count == 0)
		return l;
	l.torn = has_pages(w) ? o->per_point / 2 : 0;
	if (w->product <= o->exhaust_max) {
		l.every = (uint32_t)w->product;
		return l;
	}
	l.singles = 2 * (uint32_t)(w->op_count < SINGLES_MAX ? w->op_count : SINGLES_MAX);
	l.subsets = w->op_count <= SUBSET_OPS_MAX ? 1U << w->op_count : 0;
	l.samples = o->per_point;
	return l;
}

static const struct crash_op *last_op(const struct window *w)
{
	return &w->model->log->ops[w->model->next - 1]; /* a light point comes after an operation */
}

uint32_t choice_count(const struct window *w, enum point_level level, const struct crash_options *o)
{
	struct layout l = layout(w, o);

	if (level == POINT_NONE || w->model->next == 0)
		return 0;
	if (level == POINT_LIGHT)
		return is_data(last_op(w)) ? 1U + LIGHT_TORN : 1U;
	return (w->chain_count > 0 ? 2U : 1U) + l.every + l.singles + l.subsets + l.samples + l.torn;
}

static void make_full(struct window *w, const struct crash_options *o, uint32_t i, uint64_t *random)
{
	struct layout l = layout(w, o);

	if (i < 2) {
		pick_all(w, i == 0);
		return;
	}
	pick_all(w, false);
	i -= 2;
	if (i < l.every) {
		pick_number(w, i);
		return;
	}
	i -= l.every;
	if (i < l.singles) {
		pick_ops(w, 1ULL << (i / 2), i % 2);
		return;
	}
	i -= l.singles;
	if (i < l.subsets)
		pick_ops(w, i, true);
	else if (i - l.subsets < l.samples)
		pick_random(w, random);
	else
		pick_torn(w, random);
}

void choice_make(struct window *w, enum point_level level, const struct crash_options *o, uint32_t index)
{
	uint64_t random = crash_mix(o->seed ^ crash_mix(((uint64_t)w->model->next << 32) | index));

	if (level == POINT_FULL) {
		make_full(w, o, index, &random);
		return;
	}
	pick_all(w, true);
	if (index > 0)
		tear_one(w, w->model->next - 1, &random);
}

static bool changes_files(enum crash_kind kind)
{
	return kind >= CRASH_CREATE && kind <= CRASH_ZERO;
}

enum point_level point_level(const struct crash_log *log, uint32_t next)
{
	enum crash_kind last = next > 0 ? log->ops[next - 1].kind : CRASH_INITIAL;
	const struct crash_op *op = next < log->op_count ? &log->ops[next] : NULL;

	if (!op || last == CRASH_ACKED || last == CRASH_NOTE)
		return POINT_FULL;
	if ((op->kind == CRASH_SYNC_END || op->kind == CRASH_SYNC_ALL_END) && op->result == 0)
		return POINT_FULL;
	return changes_files(last) ? POINT_LIGHT : POINT_NONE;
}
