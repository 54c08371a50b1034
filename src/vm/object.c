/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/object.h"

#include <assert.h>
#include <stddef.h>

void object_init(struct object *object, const struct object_ops *ops, unsigned int can)
{
	object->ops = ops;
	object->can = can;
	object->bytes = 0;
	atomic_init(&object->refs, 1);
}

struct object *object_ref(struct object *object)
{
	unsigned int before = atomic_fetch_add(&object->refs, 1);

	assert(before > 0);
	(void)before;
	return object;
}

void object_unref(struct object *object)
{
	if (object == NULL || atomic_fetch_sub(&object->refs, 1) != 1)
		return;
	if (object->ops->close != NULL)
		object->ops->close(object);
}

int object_size(struct object *object, uint64_t *bytes)
{
	if (object->ops->size != NULL)
		return object->ops->size(object, bytes);
	*bytes = object->bytes;
	return 0;
}

const struct pmap_window *object_window(struct object *object)
{
	if (object == NULL || object->ops->window == NULL)
		return NULL;
	return object->ops->window(object);
}
