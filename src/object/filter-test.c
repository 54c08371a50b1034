/* SPDX-License-Identifier: Apache-2.0 */
/* object/filter-test.c - delay, fail, log: the instruments with which paging is tested, by us and by users. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/align.h"
#include "base/error.h"
#include "object/filter.h"
#include "sys/thread.h"

static int made(struct filter *filter, const struct filter_kind *kind, struct object *next, bool signal_safe,
	struct object **object)
{
	filter_init(filter, kind, next, signal_safe);
	*object = &filter->object;
	return 0;
}

/* ---- delay ---- */

struct delay {
	struct filter filter;
	uint64_t get_ns;
	uint64_t put_ns;
};

static int delay_before(struct filter *filter, struct io *io)
{
	const struct delay *delay = CONTAINER_OF(filter, struct delay, filter);

	sys_sleep(io->kind == IO_GET ? delay->get_ns : delay->put_ns);
	return 0;
}

static const struct filter_kind delay_kind = { .before = delay_before };

int filter_delay(struct object *next, uint64_t get_ns, uint64_t put_ns, struct object **object)
{
	struct delay *delay = calloc(1, sizeof(*delay));

	if (delay == NULL)
		return error_set(-ENOMEM, "no memory for a filter");
	delay->get_ns = get_ns;
	delay->put_ns = put_ns;
	return made(&delay->filter, &delay_kind, next, true, object);
}

/* ---- fail ---- */

struct fail {
	struct filter filter;
	struct filter_fail_plan plan;
	atomic_uint_fast64_t seen;
};

static int fail_before(struct filter *filter, struct io *io)
{
	struct fail *fail = CONTAINER_OF(filter, struct fail, filter);
	bool meant = (io->kind == IO_GET && fail->plan.gets) || (io->kind == IO_PUT && fail->plan.puts) ||
		(io->kind == IO_SYNC && fail->plan.syncs);
	uint64_t number;

	if (!meant)
		return 0;
	number = atomic_fetch_add(&fail->seen, 1) + 1;
	return number >= fail->plan.nth && number - fail->plan.nth < fail->plan.times ? fail->plan.error : 0;
}

static const struct filter_kind fail_kind = { .before = fail_before };

int filter_fail(struct object *next, const struct filter_fail_plan *plan, struct object **object)
{
	struct fail *fail;

	if (plan->error >= 0 || plan->nth == 0)
		return error_set(-EINVAL, "a failing filter needs a negative error and counts from 1");
	fail = calloc(1, sizeof(*fail));
	if (fail == NULL)
		return error_set(-ENOMEM, "no memory for a filter");
	fail->plan = *plan;
	return made(&fail->filter, &fail_kind, next, true, object);
}

/* ---- log ---- */

struct logger {
	struct filter filter;
	filter_log_fn *log;
	void *user;
};

static void log_after(struct filter *filter, struct io *io)
{
	const struct logger *logger = CONTAINER_OF(filter, struct logger, filter);

	if (io->kind != IO_SYNC)
		logger->log(logger->user, io->kind == IO_PUT, io->first, io->count, io->error);
}

static const struct filter_kind log_kind = { .after = log_after };

int filter_log(struct object *next, filter_log_fn *log, void *user, struct object **object)
{
	struct logger *logger = calloc(1, sizeof(*logger));

	if (logger == NULL)
		return error_set(-ENOMEM, "no memory for a filter");
	logger->log = log;
	logger->user = user;
	return made(&logger->filter, &log_kind, next, false, object);
}
