/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <stdlib.h>
#include <string.h>

/* --- one file ------------------------------------------------------------------------------------------------------- */

static void touch(struct file *f, uint32_t page)
{
	if (f->is_touched[page])
		return;
	f->is_touched[page] = true;
	f->touched = model_room(f->touched, &f->touched_room, f->touched_count + 1, sizeof(*f->touched));
	f->touched[f->touched_count++] = page;
}

static void put(struct file *f, uint64_t at, const uint8_t *data, size_t bytes)
{
	touch(f, (uint32_t)(at / PAGE));
	memcpy(f->live + at, data, bytes);
}

static void zero(struct file *f, uint64_t from, uint64_t to)
{
	if (to > f->room)
		to = f->room;
	while (from < to) {
		uint64_t end = (from / PAGE + 1) * PAGE;

		if (end > to)
			end = to;
		touch(f, (uint32_t)(from / PAGE));
		memset(f->live + from, 0, end - from);
		from = end;
	}
}

static void put_piece(struct file *f, const struct piece *p, const struct chain *c, unsigned int rank)
{
	uint64_t base = (uint64_t)p->page * PAGE;

	if (!c->torn) {
		if (rank < c->pick)
			put(f, base + p->at, p->data, p->bytes);
		return;
	}
	for (unsigned int s = p->at / SECTOR; s * SECTOR < p->at + p->bytes; s++) {
		unsigned int from = s * SECTOR < p->at ? p->at : s * SECTOR;
		unsigned int to = (s + 1) * SECTOR < p->at + p->bytes ? (s + 1) * SECTOR : p->at + p->bytes;

		if (rank < c->sector[s])
			put(f, base + from, p->data + (from - p->at), to - from);
	}
}

/* A page that was cut off or punched, in metadata that did not persist: what was written there later is nowhere. */
static bool blocked(const struct file *f, size_t from, size_t to, uint32_t page)
{
	for (size_t i = from; i < to; i++) {
		const struct change *c = &f->changes[i];

		if (c->zeroes && (uint64_t)page * PAGE >= c->from && (uint64_t)page * PAGE < c->to)
			return true;
	}
	return false;
}

static void show_file(const struct window *w, struct file *f, int file)
{
	int64_t meta = w->meta_chain[file];
	size_t pick = meta >= 0 ? w->chains[meta].pick : 0, c = 0;
	uint64_t reach = f->base_size;

	f->size = f->base_size;
	for (size_t i = 0; i <= f->piece_count; i++) {
		const struct piece *p = i < f->piece_count ? &f->pieces[i] : NULL;
		const struct place *place = p ? &w->places[w->first_place[file] + i] : NULL;

		for (; c < f->change_count && (!p || f->changes[c].op < p->op); c++) {
			if (c >= pick)
				continue;
			f->size = f->changes[c].size_after;
			if (f->changes[c].zeroes)
				zero(f, f->changes[c].from,
					f->changes[c].to < reach ? f->changes[c].to : reach);
		}
		if (!p || blocked(f, pick, c, p->page))
			continue;
		put_piece(f, p, &w->chains[place->chain], place->rank);
		if ((uint64_t)p->page * PAGE + PAGE > reach)
			reach = (uint64_t)p->page * PAGE + PAGE;
	}
	zero(f, f->size, reach);
}

static void hash_file(struct file *f)
{
	static const uint8_t zeros[PAGE];

	f->sum = f->base_sum;
	for (size_t i = 0; i < f->touched_count; i++) {
		uint32_t page = f->touched[i];
		const uint8_t *p = f->live + (size_t)page * PAGE;

		f->sum.low -= f->page_hash[page].low;
		f->sum.high -= f->page_hash[page].high;
		if (memcmp(p, zeros, PAGE) != 0) {
			XXH128_hash_t h = XXH3_128bits_withSeed(p, PAGE, page);

			f->sum.low += h.low64;
			f->sum.high += h.high64;
		}
	}
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

static struct chain *chain_of_dir(const struct window *w, int dir)
{
	for (size_t i = 0; i < w->chain_count; i++)
		if (w->chains[i].kind == CHAIN_NAMES && w->chains[i].owner == dir)
			return &w->chains[i];
	return NULL;
}

static size_t rank_in(const struct dir *d, uint32_t op)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->ops[i] == op)
			return i;
	return d->count;
}

/* A rename between directories happens in both or in neither. */
static bool agree(const struct window *w, struct chain *c)
{
	const struct dir *d = &w->model->dirs[c->owner];

	for (uint16_t i = 0; i < c->pick; i++) {
		const struct crash_op *op = &w->model->log->ops[d->ops[i]];
		int other = op->dir == c->owner ? op->dir2 : op->dir;
		const struct chain *o = other >= 0 && other != c->owner ? chain_of_dir(w, other) : NULL;

		if (!o || o->pick > rank_in(&w->model->dirs[other], d->ops[i]))
			continue;
		c->pick = i;
		return false;
	}
	return true;
}

static int op_order(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void show_names(const struct window *w, struct shown *s)
{
	bool settled = false;
	size_t count = 0;

	while (!settled) {
		settled = true;
		for (size_t i = 0; i < w->chain_count; i++)
			if (w->chains[i].kind == CHAIN_NAMES && !agree(w, &w->chains[i]))
				settled = false;
	}
	for (size_t i = 0; i < w->chain_count; i++) {
		const struct chain *c = &w->chains[i];

		if (c->kind != CHAIN_NAMES || c->pick == 0)
			continue;
		s->name_ops = model_room(s->name_ops, &s->name_room, count + c->pick, sizeof(*s->name_ops));
		memcpy(s->name_ops + count, w->model->dirs[c->owner].ops, c->pick * sizeof(*s->name_ops));
		count += c->pick;
	}
	names_copy(&s->names, &w->model->base_names);
	if (count == 0)
		return;
	qsort(s->name_ops, count, sizeof(*s->name_ops), op_order);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || s->name_ops[i] != s->name_ops[i - 1])
			names_apply(&s->names, &w->model->log->ops[s->name_ops[i]]);
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

static void hash_all(const struct model *m, struct shown *s)
{
	s->hash = (struct hash128){ 0, 0 };
	for (size_t i = 0; i < s->names.count; i++) {
		const struct name *n = &s->names.list[i];
		struct {
			uint64_t size;
			struct hash128 sum;
		} about = { UINT64_MAX, { 0, 0 } };
		XXH128_hash_t h;

		if (n->file >= 0) {
			about.size = m->files[n->file].size;
			about.sum = m->files[n->file].sum;
		}
		h = XXH3_128bits_withSeed(&about, sizeof(about), XXH3_64bits(n->path, strlen(n->path)));
		s->hash.low += h.low64;
		s->hash.high += h.high64;
	}
}

void show(struct model *m, struct window *w, struct shown *s)
{
	for (int i = 0; i < m->log->file_count; i++) {
		struct file *f = &m->files[i];

		f->size = f->base_size;
		f->touched_count = 0;
		if (f->piece_count || f->change_count)
			show_file(w, f, i);
		hash_file(f);
	}
	show_names(w, s);
	hash_all(m, s);
}

void unshow(struct model *m)
{
	for (int i = 0; i < m->log->file_count; i++) {
		struct file *f = &m->files[i];

		for (size_t t = 0; t < f->touched_count; t++) {
			size_t at = (size_t)f->touched[t] * PAGE;

			memcpy(f->live + at, f->base + at, PAGE);
			f->is_touched[f->touched[t]] = false;
		}
		f->touched_count = 0;
	}
}

void shown_done(struct shown *s)
{
	free(s->names.list);
	free(s->name_ops);
}
