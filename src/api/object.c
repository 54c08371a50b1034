/* SPDX-License-Identifier: Apache-2.0 */
/* api/object.c - objects for programs: their own bytes, files, and filters. A handle is the object itself. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <quire/object.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "object/callback.h"
#include "object/file.h"
#include "object/filter.h"

struct object *object_of(struct quire_object *object)
{
	return (struct object *)(void *)object;
}

static struct quire_object *handle_of(struct object *object)
{
	return (struct quire_object *)(void *)object;
}

static int give(int r, struct object *object, struct quire_object **out)
{
	if (r == 0)
		*out = handle_of(object);
	return r;
}

int quire_object_open(const struct quire_object_options *options, struct quire_object **out)
{
	struct quire_object_options o;
	struct object *object = NULL;
	int r;

	error_clear();
	r = options_copy(&o, sizeof(o), options, "quire_object_open");
	if (r < 0)
		return r;
	if (o.get == NULL || out == NULL || o.reserved != 0)
		return error_set(
			-EINVAL, "quire_object_open: .get is needed, and somewhere to put the object");
	const struct callback_plan plan = {
		.user = o.user,
		.get = o.get,
		.put = o.put,
		.sync = o.sync,
		.size = o.bytes,
		.close = o.close,
		.bytes = o.length,
		.signal_safe = o.signal_safe != 0,
	};
	r = callback_open(&plan, &object);
	return give(r, object, out);
}

int quire_object_file(const char *path, int writable, struct quire_object **out)
{
	const struct file_request request = { .path = path, .write = writable != 0 };
	struct file_object *file;
	int r;

	error_clear();
	if (path == NULL || out == NULL)
		return error_set(-EINVAL, "quire_object_file: no path, or nowhere to put the object");
	r = file_open(&request, &file);
	if (r < 0)
		return r;
	r = file_make_paged(file);
	if (r < 0) {
		object_unref(&file->object);
		return r;
	}
	*out = handle_of(&file->object);
	return 0;
}

static int need(const struct quire_object *next, struct quire_object **out)
{
	error_clear();
	if (next == NULL || out == NULL)
		return error_set(-EINVAL, "a filter needs an object behind it, and somewhere to put itself");
	return 0;
}

int quire_object_checksum(struct quire_object *next, const char *path, struct quire_object **out)
{
	struct object *object = NULL;
	int r = need(next, out);

	if (r == 0)
		r = filter_checksum(object_of(next), path, &object);
	return give(r, object, out);
}

int quire_object_delay(struct quire_object *next, uint64_t get_ns, uint64_t put_ns, struct quire_object **out)
{
	struct object *object = NULL;
	int r = need(next, out);

	if (r == 0)
		r = filter_delay(object_of(next), get_ns, put_ns, &object);
	return give(r, object, out);
}

int quire_object_fail(struct quire_object *next, int gets, int puts, uint64_t nth, uint64_t times, int error,
	struct quire_object **out)
{
	const struct filter_fail_plan plan = {
		.gets = gets != 0, .puts = puts != 0, .nth = nth, .times = times, .error = error
	};
	struct object *object = NULL;
	int r = need(next, out);

	if (r == 0)
		r = filter_fail(object_of(next), &plan, &object);
	return give(r, object, out);
}

int quire_object_log(struct quire_object *next,
	void (*log)(void *user, int put, uint64_t first, uint32_t count, int error), void *user,
	struct quire_object **out)
{
	struct object *object = NULL;
	int r = need(next, out);

	if (r == 0 && log == NULL)
		r = error_set(-EINVAL, "quire_object_log: no function to call");
	if (r == 0)
		r = filter_log(object_of(next), log, user, &object);
	return give(r, object, out);
}

/* Its last use writes back through memory that is the parent's: a child leaves that to the parent. */
static bool is_ours(const struct object *object)
{
	return object->pool == NULL || pool_is_ours(CONTAINER_OF(object->pool, struct quire_pool, pool)) == 0;
}

void quire_object_close(struct quire_object *object)
{
	error_clear();
	if (object != NULL && is_ours(object_of(object)))
		object_unref(object_of(object));
}
