/* SPDX-License-Identifier: Apache-2.0 */
#include "object/memory.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "vm/object.h"

static int memory_grow(struct object *object, uint64_t bytes, bool preallocate)
{
	(void)preallocate; /* its frames come from the pool as they are touched */
	if (bytes > object->bytes)
		object->bytes = bytes;
	return 0;
}

static void memory_close(struct object *object)
{
	free(object);
}

/* No start: vm makes zeros of what is nowhere. */
static const struct object_ops memory_ops = { .grow = memory_grow, .close = memory_close };

int memory_open(uint64_t bytes, struct object **out)
{
	struct object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return error_set(-ENOMEM, "no memory for an object");
	object_init(object, &memory_ops, CAN_READ | CAN_WRITE | CAN_MAP | CAN_HOLE | CAN_GROW | CAN_SIGNAL);
	object->bytes = bytes;
	*out = object;
	return 0;
}
