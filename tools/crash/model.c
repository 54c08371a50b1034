/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void *model_room(void *array, size_t *room, size_t count, size_t size)
{
	if (count <= *room)
		return array;
	while (*room < count)
		*room = *room ? 2 * *room : 16;
	array = realloc(array, *room * size);
	if (!array)
		abort();
	return array;
}

void model_init(struct model *m, const struct crash_log *log, bool entry_with_file)
{
	*m = (struct model){ .log = log, .entry_with_file = entry_with_file };
	m->files = calloc((size_t)log->file_count + 1, sizeof(*m->files));
	m->dirs = calloc((size_t)log->dir_count + 1, sizeof(*m->dirs));
	if (!m->files || !m->dirs)
		abort();
}

void model_done(struct model *m)
{
	for (int i = 0; i < m->log->file_count; i++) {
		struct file *f = &m->files[i];

		free(f->live);
		free(f->base);
		free(f->page_hash);
		free(f->pieces);
		free(f->changes);
		free(f->touched);
		free(f->is_touched);
	}
	for (int i = 0; i < m->log->dir_count; i++)
		free(m->dirs[i].ops);
	free(m->files);
	free(m->dirs);
	free(m->base_names.list);
}

/* --- the base image of one file ------------------------------------------------------------------------------------- */

static void *enlarge(void *old, size_t from, size_t to)
{
	uint8_t *p = realloc(old, to);

	if (!p)
		abort();
	memset(p + from, 0, to - from);
	return p;
}

static void reach(struct file *f, uint64_t end)
{
	size_t room = f->room;

	assert(end <= FILE_MAX);
	if (end <= room)
		return;
	while (room < end)
		room = room ? 2 * room : (size_t)4 * PAGE;
	f->live = enlarge(f->live, f->room, room);
	f->base = enlarge(f->base, f->room, room);
	f->page_hash = enlarge(
		f->page_hash, f->room / PAGE * sizeof(*f->page_hash), room / PAGE * sizeof(*f->page_hash));
	f->is_touched = enlarge(f->is_touched, f->room / PAGE, room / PAGE);
	f->room = room;
}

static struct hash128 hash_page(const uint8_t *page, uint32_t number)
{
	static const uint8_t zeros[PAGE];
	XXH128_hash_t h;

	if (memcmp(page, zeros, PAGE) == 0)
		return (struct hash128){ 0, 0 };
	h = XXH3_128bits_withSeed(page, PAGE, number);
	return (struct hash128){ h.low64, h.high64 };
}

static void base_changed(struct file *f, uint64_t from, uint64_t to)
{
	for (uint64_t page = from / PAGE; page * PAGE < to; page++) {
		struct hash128 h = hash_page(f->base + page * PAGE, (uint32_t)page);

		f->base_sum.low += h.low - f->page_hash[page].low;
		f->base_sum.high += h.high - f->page_hash[page].high;
		f->page_hash[page] = h;
		memcpy(f->live + page * PAGE, f->base + page * PAGE, PAGE);
	}
}

static void fold_piece(struct file *f, const struct piece *p)
{
	uint64_t at = (uint64_t)p->page * PAGE + p->at;

	memcpy(f->base + at, p->data, p->bytes);
	base_changed(f, at, at + p->bytes);
}

static void fold_change(struct file *f, const struct change *c)
{
	uint64_t to = c->to < f->room ? c->to : f->room;

	f->base_size = c->size_after;
	if (!c->zeroes || c->from >= to)
		return;
	memset(f->base + c->from, 0, to - c->from);
	base_changed(f, c->from, to);
}

/* --- sync ----------------------------------------------------------------------------------------------------------- */

/* The kernel writes a page as a whole: what stood in it before goes along, even what an earlier sync failed to write. */
static bool goes_home(const struct file *f, size_t i, uint32_t covers, uint32_t first, uint32_t last)
{
	const struct piece *p = &f->pieces[i];

	if (p->op >= covers || p->page < first || p->page > last)
		return false;
	for (; i < f->piece_count && p->doubtful; i++)
		if (f->pieces[i].page == p->page && f->pieces[i].op < covers && !f->pieces[i].doubtful)
			return true;
	return !p->doubtful;
}

static void fold(struct file *f, uint32_t covers, uint32_t first, uint32_t last)
{
	size_t kept = 0, c = 0;

	for (size_t i = 0; i < f->piece_count; i++) {
		for (; c < f->change_count && f->changes[c].op < covers && f->changes[c].op < f->pieces[i].op;
			c++)
			fold_change(f, &f->changes[c]);
		if (goes_home(f, i, covers, first, last))
			fold_piece(f, &f->pieces[i]);
		else
			f->pieces[kept++] = f->pieces[i];
	}
	for (; c < f->change_count && f->changes[c].op < covers; c++)
		fold_change(f, &f->changes[c]);
	f->piece_count = kept;
	if (c > 0)
		memmove(f->changes, f->changes + c, (f->change_count - c) * sizeof(*f->changes));
	f->change_count -= c;
}

static void doubt(struct file *f, uint32_t covers)
{
	for (size_t i = 0; i < f->piece_count; i++)
		if (f->pieces[i].op < covers)
			f->pieces[i].doubtful = true;
}

/* Names persist in order, so the first `count` of this directory do, with those of other directories they belong to. */
static void fold_names(struct model *m, int dir, size_t count)
{
	struct dir *d = &m->dirs[dir];

	while (count-- > 0 && d->count > 0) {
		uint32_t index = d->ops[0];
		const struct crash_op *op = &m->log->ops[index];
		int other = op->dir == dir ? op->dir2 : op->dir;

		memmove(d->ops, d->ops + 1, --d->count * sizeof(*d->ops));
		if (other >= 0 && other != dir)
			for (size_t i = 0; i < m->dirs[other].count; i++)
				if (m->dirs[other].ops[i] == index)
					fold_names(m, other, i + 1);
		/* A rename between directories stands in both lists; whoever comes second finds it done. */
		if (other < 0 || other == dir || dir == op->dir2)
			names_apply(&m->base_names, op);
	}
}

static void sync_dir(struct model *m, int dir, uint32_t covers)
{
	size_t n = 0;

	while (n < m->dirs[dir].count && m->dirs[dir].ops[n] < covers)
		n++;
	fold_names(m, dir, n);
}

/* Journalling file systems: what made the file's name is durable with the file. */
static void sync_names_of(struct model *m, int file, uint32_t covers)
{
	for (int d = 0; d < m->log->dir_count; d++) {
		size_t n = 0;

		for (size_t i = 0; i < m->dirs[d].count && m->dirs[d].ops[i] < covers; i++)
			if (m->log->ops[m->dirs[d].ops[i]].file == file)
				n = i + 1;
		fold_names(m, d, n);
	}
}

static void sync_all(struct model *m, uint32_t covers)
{
	for (int i = 0; i < m->log->file_count; i++)
		fold(&m->files[i], covers, 0, UINT32_MAX);
	for (int i = 0; i < m->log->dir_count; i++)
		sync_dir(m, i, covers);
}

static void sync_end(struct model *m, const struct crash_op *op)
{
	uint32_t first = (uint32_t)(op->offset / PAGE);
	uint32_t last = op->length ? (uint32_t)((op->offset + op->length - 1) / PAGE) : UINT32_MAX;

	if (op->file < 0 && op->dir >= 0 && op->result == 0)
		sync_dir(m, op->dir, op->covers);
	if (op->file < 0)
		return;
	if (op->result < 0) {
		doubt(&m->files[op->file], op->covers);
		return;
	}
	fold(&m->files[op->file], op->covers, first, last);
	if (m->entry_with_file)
		sync_names_of(m, op->file, op->covers);
}

/* --- one operation -------------------------------------------------------------------------------------------------- */

static void change_add(struct file *f, struct change c)
{
	f->changes = model_room(f->changes, &f->change_room, f->change_count + 1, sizeof(c));
	f->changes[f->change_count++] = c;
	f->program_size = c.size_after;
}

static void write_add(struct model *m, const struct crash_op *op)
{
	struct file *f = &m->files[op->file];
	uint64_t end = op->offset + op->data_bytes;

	/* What is stored behind the end of the file goes nowhere. */
	if (op->kind == CRASH_STORE && end > f->program_size)
		end = f->program_size;
	reach(f, end);
	for (uint64_t at = op->offset; at < end;) {
		uint64_t room = PAGE - at % PAGE, n = end - at < room ? end - at : room;

		f->pieces = model_room(f->pieces, &f->piece_room, f->piece_count + 1, sizeof(*f->pieces));
		f->pieces[f->piece_count++] = (struct piece){ .op = m->next,
			.page = (uint32_t)(at / PAGE),
			.at = (uint16_t)(at % PAGE),
			.bytes = (uint16_t)n,
			.data = op->data + (at - op->offset) };
		at += n;
	}
	if (op->kind == CRASH_WRITE && end > f->program_size)
		change_add(f, (struct change){ .op = m->next, .size_after = end });
}

static void size_add(struct model *m, const struct crash_op *op)
{
	struct file *f = &m->files[op->file];
	struct change c = { .op = m->next, .size_after = f->program_size };
	uint64_t end = op->offset + op->length;

	if (op->kind == CRASH_TRUNCATE) {
		c.size_after = op->length;
		c.zeroes = op->length < f->program_size;
		c.from = op->length;
		c.to = UINT64_MAX;
	} else if (op->kind == CRASH_ZERO) {
		c.zeroes = true;
		c.from = op->offset;
		c.to = end;
	} else if (!(op->flags & CRASH_F_KEEP_SIZE) && end > f->program_size) {
		c.size_after = end;
	}
	reach(f, c.size_after);
	if (c.zeroes || c.size_after != f->program_size)
		change_add(f, c);
}

static void name_add(struct model *m, int dir)
{
	struct dir *d = &m->dirs[dir];

	d->ops = model_room(d->ops, &d->room, d->count + 1, sizeof(*d->ops));
	d->ops[d->count++] = m->next;
}

static void initial(struct model *m, const struct crash_op *op)
{
	struct file *f = &m->files[op->file];

	reach(f, op->data_bytes);
	if (op->data_bytes)
		memcpy(f->base, op->data, op->data_bytes);
	f->base_size = f->program_size = op->data_bytes;
	base_changed(f, 0, op->data_bytes);
	names_apply(&m->base_names, op);
}

static void names_add(struct model *m, const struct crash_op *op)
{
	if (op->dir >= 0)
		name_add(m, op->dir);
	if (op->dir2 >= 0 && op->dir2 != op->dir)
		name_add(m, op->dir2);
}

void model_advance(struct model *m)
{
	const struct crash_op *op = &m->log->ops[m->next];

	switch (op->kind) {
	case CRASH_INITIAL: initial(m, op); break;
	case CRASH_INITIAL_DIR:
		if (*op->name)
			names_apply(&m->base_names, op);
		break;
	case CRASH_CREATE:
	case CRASH_LINK:
	case CRASH_UNLINK:
	case CRASH_RENAME:
	case CRASH_MKDIR:
	case CRASH_RMDIR: names_add(m, op); break;
	case CRASH_WRITE:
	case CRASH_STORE:
		if (op->file >= 0)
			write_add(m, op);
		break;
	case CRASH_TRUNCATE:
	case CRASH_ALLOCATE:
	case CRASH_ZERO:
		if (op->file >= 0)
			size_add(m, op);
		break;
	case CRASH_SYNC_END: sync_end(m, op); break;
	case CRASH_SYNC_ALL_END:
		if (op->result == 0)
			sync_all(m, op->covers);
		break;
	case CRASH_BEGUN: m->begun = op->length > m->begun ? op->length : m->begun; break;
	case CRASH_ACKED: m->acked = op->length > m->acked ? op->length : m->acked; break;
	case CRASH_SYNC_BEGIN:
	case CRASH_SYNC_ALL_BEGIN:
	case CRASH_NOTE:
	case CRASH_FAULT:
	case CRASH_END:
	case CRASH_KINDS: break;
	}
	m->next++;
}
