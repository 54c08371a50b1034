/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "pmap/native.h"

static struct quire own;
static pthread_once_t own_once = PTHREAD_ONCE_INIT;
static int own_error;

static int space_init(struct quire *quire, uint32_t guard)
{
	quire->guard = guard;
	atomic_init(&quire->maps, 0);
	native_init(&quire->pmap, as_up, &quire->as);
	return as_init(&quire->as, &quire->pmap);
}

static void own_init(void)
{
	own_error = space_init(&own, QUIRE_GUARD_DEFAULT);
	if (own_error == 0)
		lock_hold_over_fork(&own.as.lock);
}

int quire_get(struct quire **quire)
{
	if (*quire != NULL)
		return 0;
	(void)pthread_once(&own_once, own_init);
	if (own_error < 0)
		return error_set(own_error, "no memory for the process's address space");
	*quire = &own;
	return 0;
}

int options_copy(void *to, size_t to_bytes, const void *from, const char *what)
{
	size_t from_bytes;

	if (from == NULL)
		return error_set(-EINVAL, "%s needs options: use QUIRE_OPTIONS", what);
	memcpy(&from_bytes, from, sizeof(from_bytes));
	if (from_bytes < sizeof(from_bytes))
		return error_set(
			-EINVAL, "%s: options.size is %zu: set it with QUIRE_OPTIONS", what, from_bytes);

	/* The openat2 rule: what this library does not know must be zero. */
	for (size_t i = to_bytes; i < from_bytes; i++)
		if (((const unsigned char *)from)[i] != 0)
			return error_set(-E2BIG,
				"%s: the program uses options this library (%s) does not know", what,
				QUIRE_VERSION);
	if (from_bytes < to_bytes)
		memset((char *)to + from_bytes, 0, to_bytes - from_bytes);
	memcpy(to, from, min_u64(from_bytes, to_bytes));
	return 0;
}

int quire_open(const struct quire_open_options *options, struct quire **out)
{
	struct quire_open_options given = { .size = sizeof(given) };
	struct quire *quire;
	int r = 0;

	if (out == NULL)
		return error_set(-EINVAL, "quire_open: nowhere to put the handle");
	if (options != NULL)
		r = options_copy(&given, sizeof(given), options, "quire_open");
	if (r < 0)
		return r;
	if (given.guard > QUIRE_GUARD_TRY || given.guard == QUIRE_GUARD_CALLBACK || given.reserved != 0)
		return error_set(-EINVAL, "quire_open: .guard is %u; a callback is named by each mapping",
			given.guard);

	quire = calloc(1, sizeof(*quire));
	if (quire == NULL)
		return error_set(-ENOMEM, "no memory for an address space");
	r = space_init(quire, given.guard);
	if (r < 0) {
		free(quire);
		return error_set(r, "no memory for an address space");
	}
	*out = quire;
	return 0;
}

int quire_close(struct quire *quire)
{
	unsigned int open;

	if (quire == NULL)
		return 0;
	open = atomic_load(&quire->maps);
	if (open > 0)
		return error_set(-EBUSY, "%u mappings are still open: quire_unmap them first", open);
	as_done(&quire->as);
	free(quire);
	return 0;
}

const char *quire_error_text(void)
{
	return error_text();
}
