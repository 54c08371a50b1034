/* SPDX-License-Identifier: Apache-2.0 */
#include "object/filter.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/align.h"

static struct filter *of(struct object *object)
{
	return CONTAINER_OF(object, struct filter, object);
}

/* ---- a transfer on its way through ---- */

_Static_assert(sizeof(uint64_t) >= sizeof(void *), "io->filter holds pointers");

/* Each filter an io passes takes two words: itself, and the done it stands in front of. */
static void filter_done(struct io *io)
{
	struct filter *filter;
	void (*done)(struct io *);

	assert(io->depth > 0);
	io->depth--;
	filter = (struct filter *)(uintptr_t)io->filter[io->depth * 2];
	done = (void (*)(struct io *))(uintptr_t)io->filter[io->depth * 2 + 1];
	if (filter->kind->after != NULL)
		filter->kind->after(filter, io);
	io->done = done;
	done(io);
}

static void filter_start(struct object *object, struct io *io)
{
	struct filter *filter = of(object);
	int r = 0;

	if ((size_t)io->depth * 2 + 2 > ARRAY_COUNT(io->filter))
		r = -ELOOP; /* more filters than an io has room for */
	else if (filter->kind->before != NULL)
		r = filter->kind->before(filter, io);
	if (r < 0) {
		io->error = r;
		io->done(io);
		return;
	}
	io->filter[io->depth * 2] = (uintptr_t)filter;
	io->filter[io->depth * 2 + 1] = (uintptr_t)io->done;
	io->depth++;
	io->done = filter_done;
	filter->next->ops->start(filter->next, io);
}

/* ---- everything else is asked of the next ---- */

static int filter_reap(struct object *object, unsigned int want)
{
	struct object *next = of(object)->next;

	return next->ops->reap == NULL ? 0 : next->ops->reap(next, want);
}

static int filter_size(struct object *object, uint64_t *bytes)
{
	return object_size(of(object)->next, bytes);
}

static int filter_grow(struct object *object, uint64_t bytes, bool preallocate)
{
	struct object *next = of(object)->next;

	return next->ops->grow == NULL ? -EINVAL : next->ops->grow(next, bytes, preallocate);
}

static void filter_close(struct object *object)
{
	struct filter *filter = of(object);

	object_unref(filter->next);
	if (filter->kind->close != NULL)
		filter->kind->close(filter);
	free(filter);
}

/* No window: what the kernel faults in by itself would pass us by. */
static const struct object_ops filter_ops = {
	.start = filter_start,
	.reap = filter_reap,
	.size = filter_size,
	.grow = filter_grow,
	.close = filter_close,
};

void filter_init(struct filter *filter, const struct filter_kind *kind, struct object *next, bool signal_safe)
{
	unsigned int can = next->can & ~(unsigned int)(signal_safe ? 0 : CAN_SIGNAL);

	object_init(&filter->object, &filter_ops, can);
	filter->next = next;
	filter->kind = kind;
}
