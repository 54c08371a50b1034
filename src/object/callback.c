/* SPDX-License-Identifier: Apache-2.0 */
#include "object/callback.h"

#include <errno.h>
#include <stdlib.h>

#include "base/align.h"
#include "base/error.h"
#include "vm/io.h"
#include "vm/object.h"

/* No errno of Linux is larger (EHWPOISON), and a page keeps it in a byte. */
enum { ERRNO_MAX = 133 };

struct callback {
	struct object object;
	struct callback_plan plan;
};

static struct callback *of(struct object *object)
{
	return CONTAINER_OF(object, struct callback, object);
}

static int call(
	const struct callback_plan *plan, const struct io *io, uint64_t at, void *memory, size_t bytes)
{
	uint64_t offset = (io->first << PAGE_SHIFT) + at;

	return io->kind == IO_GET ? plan->get(plan->user, offset, memory, bytes)
				  : plan->put(plan->user, offset, memory, bytes);
}

/* One call for each run of pages that lie together in memory. */
static int each_run(const struct callback_plan *plan, const struct io *io)
{
	uint32_t first = 0;
	int r = 0;

	while (r == 0 && first < io->count && (uint64_t)first << PAGE_SHIFT < io->length) {
		uint64_t at = (uint64_t)first << PAGE_SHIFT;
		uint32_t next = first + 1;

		while (next < io->count && (char *)io->memory[next - 1] + PAGE_BYTES == io->memory[next])
			next++;
		r = call(plan, io, at, io->memory[first],
			min_u64(io->length, (uint64_t)next << PAGE_SHIFT) - at);
		first = next;
	}
	return r;
}

static void callback_start(struct object *object, struct io *io)
{
	const struct callback_plan *plan = &of(object)->plan;
	int r = 0;

	if (io->kind == IO_SYNC)
		r = plan->sync == NULL ? 0 : plan->sync(plan->user);
	else
		r = each_run(plan, io);
	/* A callback that returns a count, or what is no errno, has misread its contract; do not guess. */
	io->error = r > 0 || r < -ERRNO_MAX ? -EIO : r;
	io->done(io);
}

static int callback_size(struct object *object, uint64_t *bytes)
{
	const struct callback_plan *plan = &of(object)->plan;

	if (plan->size != NULL)
		return plan->size(plan->user, bytes);
	*bytes = plan->bytes;
	return 0;
}

static void callback_close(struct object *object)
{
	struct callback *callback = of(object);

	if (callback->plan.close != NULL)
		callback->plan.close(callback->plan.user);
	free(callback);
}

static const struct object_ops callback_ops = {
	.start = callback_start,
	.size = callback_size,
	.close = callback_close,
};

int callback_open(const struct callback_plan *plan, struct object **object)
{
	struct callback *callback = calloc(1, sizeof(*callback));
	unsigned int can = CAN_READ | CAN_MAP;

	if (callback == NULL)
		return error_set(-ENOMEM, "no memory for an object");
	callback->plan = *plan;
	if (plan->put != NULL)
		can |= CAN_WRITE;
	if (plan->signal_safe)
		can |= CAN_SIGNAL;
	object_init(&callback->object, &callback_ops, can);
	*object = &callback->object;
	return 0;
}
