/* SPDX-License-Identifier: Apache-2.0 */
#include "support/run.h"

#include "vm/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "vm/check.h"

/* ---- an object over an array ---- */

unsigned char source_byte(uint64_t offset)
{
	return (unsigned char)(1 + (offset / PAGE * 7 + offset % PAGE) % 251);
}

static struct source *of(struct object *object)
{
	return CONTAINER_OF(object, struct source, object);
}

static void complete(struct source *source, struct io *io)
{
	size_t done = 0;

	spin_take(&source->lock);
	source->calls++;
	if (source->log_count < SOURCE_LOG)
		source->log[source->log_count++] = (struct source_event){ io->kind, io->first, io->count };
	io->error = 0;
	if (source->fail_at != 0 && source->calls >= source->fail_at &&
		source->calls < source->fail_at + source->fail_for &&
		(io->kind == IO_PUT || !source->only_puts))
		io->error = source->fail_with;
	spin_give(&source->lock);
	for (uint32_t i = 0; io->error == 0 && io->kind != IO_SYNC && i < io->count && done < io->length;
		i++) {
		size_t now = min_u64(PAGE, io->length - done);
		unsigned char *at = source->bytes + (io->first + i) * PAGE;

		assert_true(io->first + i < SOURCE_PAGES_MAX);
		if (io->kind == IO_GET)
			memcpy(io->memory[i], at, now);
		else
			memcpy(at, io->memory[i], now);
		done += now;
	}
	io->done(io);
}

static void source_start(struct object *object, struct io *io)
{
	struct source *source = of(object);
	void (*meanwhile)(struct source *) = source->meanwhile;

	if (meanwhile != NULL) { /* set by a test of one thread only: several may start transfers */
		source->meanwhile = NULL;
		meanwhile(source);
	}
	if (!source->slow) {
		complete(source, io);
		return;
	}
	io->filter[0] = (uint64_t)(uintptr_t)source->queue;
	source->queue = io;
}

static int source_reap(struct object *object, unsigned int want)
{
	struct source *source = of(object);
	int n = 0;

	(void)want;
	for (; source->queue != NULL; n++) {
		struct io *io = source->queue;

		source->queue = (struct io *)(uintptr_t)io->filter[0];
		complete(source, io);
	}
	return n;
}

static void source_close(struct object *object)
{
	of(object)->closed = true;
}

static int source_size(struct object *object, uint64_t *bytes)
{
	*bytes = object->bytes;
	return 0;
}

/* As ftruncate: what was cut off reads zero when the object grows again. */
static int source_grow(struct object *object, uint64_t bytes, bool preallocate)
{
	(void)preallocate;
	if (bytes > SOURCE_PAGES_MAX * PAGE)
		return -EFBIG;
	if (bytes < object->bytes)
		memset(of(object)->bytes + bytes, 0, object->bytes - bytes);
	object->bytes = bytes;
	return 0;
}

static const struct object_ops source_ops = {
	.size = source_size,
	.grow = source_grow,
	.start = source_start,
	.reap = source_reap,
	.close = source_close,
};

void source_init(struct source *source, uint64_t bytes)
{
	memset(source, 0, sizeof(*source));
	object_init(&source->object, &source_ops, CAN_READ | CAN_WRITE | CAN_MAP | CAN_SIGNAL);
	source->object.bytes = bytes;
	source->fail_with = -EIO;
	source->fail_for = 1;
	source->bytes = calloc(SOURCE_PAGES_MAX, PAGE);
	assert_non_null(source->bytes);
	for (uint64_t i = 0; i < bytes; i++)
		source->bytes[i] = source_byte(i);
}

void source_done(struct source *source)
{
	assert_true(source->closed);
	free(source->bytes);
}

/* ---- the world ---- */

void world_init(struct world *world, const struct world_config *config)
{
	uint64_t frames = config->frames == 0 ? 64 : config->frames;
	uint64_t most = max_u64(frames, config->frames_max);
	struct pool_config pool = {
		.pmap = &world->fake.pmap,
		.bytes = frames * PAGE,
		.bytes_max = most * PAGE,
		.swap_pages = config->swap_pages,
		.unit_pages = config->unit_pages,
		.policy = config->policy,
		.hostile = config->hostile,
	};
	size_t pages = config->pages == 0 ? 1024 : config->pages;

	source_init(&world->swap,
		0); /* what was never put there is never looked at: filling it is most of a test's time */
	world->swap.object.bytes = SOURCE_PAGES_MAX * PAGE;
	if (config->swap_pages > 0)
		pool.swap = &world->swap.object;
	assert_int_equal(fake_memory_init(&world->memory, (uint32_t)most), 0);
	assert_int_equal(fake_init(&world->fake, &world->memory, WORLD_BASE, pages,
				 config->no_harvest ? 0 : PMAP_CAN_HARVEST, as_up, &world->as),
		0);
	assert_int_equal(pool_init(&world->pool, &pool), 0);
	assert_int_equal(as_init(&world->as, &world->fake.pmap), 0);
	assert_int_equal(as_use_pool(&world->as, &world->pool), 0);
	world->as.low = WORLD_BASE;
	world->as.high = WORLD_BASE + pages * PAGE;
}

void world_done(struct world *world)
{
	world_check(world);
	as_done(&world->as);
	pool_done(&world->pool);
	fake_done(&world->fake);
	fake_memory_done(&world->memory);
	object_unref(&world->swap.object);
	source_done(&world->swap);
}

void world_end(struct world *world, struct source *file)
{
	struct seg seg;

	world_check(world);
	while (as_find(&world->as, 0, &seg))
		assert_int_equal(as_unmap(&world->as, seg.range.start, seg.range.end), 0);
	object_unref(&file->object);
	source_done(file);
	assert_int_equal(world->pool.in_use, 0);
	pool_lock(&world->pool);
	assert_int_equal(world->pool.swap_free, world->pool.swap_places.count);
	pool_unlock(&world->pool);
	world_done(world);
}

void world_check(struct world *world)
{
	as_check(&world->as);
	pool_check(&world->pool);
}

uint64_t world_counted(const struct world *world, enum tally_figure what)
{
	struct tally sum;

	ledger_sum(world->pool.ledger, &sum);
	return tally_get(&sum, what);
}

uintptr_t world_map(struct world *world, size_t at, size_t pages, struct object *object, uint64_t first,
	unsigned int prot, uint32_t flags)
{
	uintptr_t start = WORLD_BASE + at * PAGE;
	struct map_request request = {
		.how = PMAP_EXACT,
		.range = {
			.start = start,
			.end = start + pages * PAGE,
			.offset = first * PAGE,
			.prot = (uint8_t)prot,
			.flags = flags,
		},
		.object = object,
	};

	assert_int_equal(as_map(&world->as, &request, &start), 0);
	return start;
}

int world_load(struct world *world, uintptr_t va)
{
	unsigned char byte;
	uintptr_t at;
	int r = fake_load(&world->fake, va, &byte, 1, &at);

	return r < 0 ? r : byte;
}

int world_store(struct world *world, uintptr_t va, unsigned char byte)
{
	uintptr_t at;

	return fake_store(&world->fake, va, &byte, 1, &at);
}
