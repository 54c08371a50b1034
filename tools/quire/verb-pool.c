/* SPDX-License-Identifier: Apache-2.0 */
/* verb-pool.c - quire pool PID: what the page caches of a process are doing, read from the figures they publish. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quire/quire.h>

#include "json.h"
#include "process.h"
#include "verbs.h"

struct pool_settings {
	bool watch;
	uint64_t interval_ms;
	uint64_t count;
};

/** One mapping of a pool. */
struct map_row {
	char name[64];
	struct quire_map_stats stats;
};

/** One pool as it was at the moment of looking. */
struct pool_view {
	char name[64];
	char why[256];
	struct quire_pool_stats stats;
	struct map_row *maps;
	size_t map_count;
	char error[256]; /* its figures cannot be read; empty: they can */
};

/** All pools of one process. */
struct view {
	int pid;
	struct pool_view *pools;
	size_t pool_count;
	size_t unreadable;
};

static const char *const delivery_words[] = { "auto", "thread", "inline", "pin" };
static const char *const policy_words[] = { "s3fifo", "clock" };

/* A stranger's number may be anything. */
static const char *word(const char *const *words, uint32_t count, uint32_t number)
{
	return number < count ? words[number] : "?";
}

static const char *delivery(const struct pool_view *pool)
{
	return word(delivery_words, 4, pool->stats.delivery);
}

/* ---- gather ---- */

/* Room for one more; the array is zeros beyond what is used. */
static void *one_more(void *array, size_t count, size_t bytes)
{
	char *more = realloc(array, (count + 1) * bytes);

	if (more == NULL) {
		complain("no memory");
		exit(STATUS_SYSTEM);
	}
	memset(more + count * bytes, 0, bytes);
	return more;
}

static void gather_maps(struct quire_pools *pools, struct pool_view *pool)
{
	struct quire_map_stats stats = { .size = sizeof(stats) };
	const char *name;

	while (quire_pools_next_map(pools, &name, &stats) == 1) {
		struct map_row *row;

		pool->maps = one_more(pool->maps, pool->map_count, sizeof(*pool->maps));
		row = &pool->maps[pool->map_count++];
		row->stats = stats;
		snprintf(row->name, sizeof(row->name), "%s", name);
	}
}

static int gather(struct view *view, int pid)
{
	struct quire_pool_stats stats = { .size = sizeof(stats) };
	struct quire_pools *pools;
	const char *name;
	int r;

	*view = (struct view){ .pid = pid };
	r = quire_pools_open(pid, &pools);
	if (r < 0)
		return r;
	while ((r = quire_pools_next(pools, &name, &stats)) != 0) {
		struct pool_view *pool;

		view->pools = one_more(view->pools, view->pool_count, sizeof(*view->pools));
		pool = &view->pools[view->pool_count++];
		if (r < 0) {
			snprintf(pool->error, sizeof(pool->error), "%s", quire_error_text());
			view->unreadable++;
			continue;
		}
		pool->stats = stats;
		snprintf(pool->name, sizeof(pool->name), "%s", name);
		snprintf(pool->why, sizeof(pool->why), "%s", stats.why);
		gather_maps(pools, pool);
	}
	quire_pools_close(pools);
	return 0;
}

static void drop(struct view *view)
{
	for (size_t i = 0; i < view->pool_count; i++)
		free(view->pools[i].maps);
	free(view->pools);
}

/* ---- for machines ---- */

static void put_latency(json_t *object, const char *name, const struct quire_latency *latency)
{
	json_t *to = json_put_object(object, name);
	json_t *buckets;

	json_put_count(to, "count", latency->count);
	json_put_count(to, "p50_ns", latency->p50_ns);
	json_put_count(to, "p99_ns", latency->p99_ns);
	json_put_count(to, "max_ns", latency->max_ns);
	buckets = json_put_array(to, "buckets");
	for (int i = 0; i < QUIRE_LATENCY_BUCKETS; i++)
		json_array_append_new(buckets, json_integer((json_int_t)latency->buckets[i]));
}

/** A count that pools and mappings have at different places. */
struct count_at {
	const char *name;
	size_t in_pool;
	size_t in_map;
};

#define COUNT(field)                                                                                      \
	{                                                                                                 \
#field, offsetof(struct quire_pool_stats, field), offsetof(struct quire_map_stats, field) \
	}

static const struct count_at counts[] = {
	COUNT(faults),
	COUNT(minor),
	COUNT(by_signal),
	COUNT(by_thread),
	COUNT(by_pin),
	COUNT(fills),
	COUNT(zeros),
	COUNT(copies),
	COUNT(ahead),
	COUNT(ahead_used),
	COUNT(ahead_wasted),
	COUNT(evicted),
	COUNT(put),
	COUNT(put_errors),
	COUNT(fill_errors),
	COUNT(waits),
};

static void put_counts(json_t *object, const void *stats, bool of_pool)
{
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t value;

		memcpy(&value, (const char *)stats + (of_pool ? counts[i].in_pool : counts[i].in_map),
			sizeof(value));
		json_put_count(object, counts[i].name, value);
	}
}

static void put_map(json_t *object, const struct map_row *row)
{
	json_put_name(object, "name", row->name);
	json_put_count(object, "mapped_bytes", row->stats.mapped_bytes);
	json_put_count(object, "resident_bytes", row->stats.resident_bytes);
	put_counts(object, &row->stats, false);
	put_latency(object, "fault_time", &row->stats.fault_time);
	put_latency(object, "fill_time", &row->stats.fill_time);
	put_latency(object, "put_time", &row->stats.put_time);
}

static void put_pool(json_t *object, const struct pool_view *pool)
{
	json_t *array;

	if (pool->error[0] != '\0') {
		json_put_unknown(object, "name", pool->error);
		return;
	}
	json_put_name(object, "name", pool->name);
	json_put_text(object, "delivery", delivery(pool));
	json_put_name(object, "delivery_why", pool->why);
	json_put_text(object, "policy", word(policy_words, 2, pool->stats.policy));
	json_put_count(object, "cache_bytes", pool->stats.cache_bytes);
	json_put_count(object, "used_bytes", pool->stats.used_bytes);
	put_counts(object, &pool->stats, true);
	put_latency(object, "fault_time", &pool->stats.fault_time);
	put_latency(object, "fill_time", &pool->stats.fill_time);
	put_latency(object, "put_time", &pool->stats.put_time);
	put_latency(object, "evict_time", &pool->stats.evict_time);
	array = json_put_array(object, "mappings");
	for (size_t i = 0; i < pool->map_count; i++)
		put_map(json_add_object(array), &pool->maps[i]);
}

static void put_view(struct call *call, const struct view *view, bool one_line)
{
	json_t *document = json_document("pool");
	json_t *array;

	json_put_count(document, "pid", (uint64_t)view->pid);
	array = json_put_array(document, "pools");
	for (size_t i = 0; i < view->pool_count; i++)
		put_pool(json_add_object(array), &view->pools[i]);
	if (one_line)
		json_print_line(call, document);
	else
		json_print(call, document);
}

/* ---- for people ---- */

static struct text share(uint64_t part, uint64_t whole)
{
	struct text none = { "-" };

	return whole == 0 ? none : text_percent((double)part / (double)whole);
}

static struct text duration(const struct quire_latency *latency, uint64_t ns)
{
	struct text none = { "-" };

	return latency->count == 0 ? none : text_seconds((double)ns / 1e9);
}

static void say_latency(struct screen *screen, const char *name, const struct quire_latency *latency)
{
	double levels[QUIRE_LATENCY_BUCKETS];
	uint64_t most = 1;

	for (int i = 0; i < QUIRE_LATENCY_BUCKETS; i++)
		most = latency->buckets[i] > most ? latency->buckets[i] : most;
	for (int i = 0; i < QUIRE_LATENCY_BUCKETS; i++)
		levels[i] = (double)latency->buckets[i] / (double)most;
	say(screen, INK_PLAIN, "  %-10s%9s %9s %9s  ", name, duration(latency, latency->p50_ns).s,
		duration(latency, latency->p99_ns).s, duration(latency, latency->max_ns).s);
	draw_strip(screen, INK_PRESENT, levels, QUIRE_LATENCY_BUCKETS);
	say(screen, INK_PLAIN, "\n");
}

static void say_times(struct screen *screen, const struct quire_pool_stats *stats)
{
	say(screen, INK_FAINT, "\n  %-10s%9s %9s %9s  %-10s%-10s%-10s%s\n", "took", "half", "99 %", "longest",
		"1 ns", "1 us", "1 ms", "1 s");
	say_latency(screen, "fault", &stats->fault_time);
	say_latency(screen, "read", &stats->fill_time);
	say_latency(screen, "write", &stats->put_time);
	say_latency(screen, "evict", &stats->evict_time);
	say(screen, INK_PLAIN, "\n");
}

static void say_maps(struct screen *screen, const struct pool_view *pool)
{
	static const struct column columns[] = {
		{ "mapping", COLUMN_LEFT },
		{ "mapped", COLUMN_RIGHT },
		{ "in memory", COLUMN_RIGHT },
		{ "faults", COLUMN_RIGHT },
		{ "99 %", COLUMN_RIGHT },
		{ "ahead used", COLUMN_RIGHT },
	};
	struct table *table;

	if (pool->map_count == 0)
		return;
	table = table_new(screen, columns, 6);
	for (size_t i = 0; i < pool->map_count; i++) {
		const struct quire_map_stats *s = &pool->maps[i].stats;
		const char *slash = strrchr(pool->maps[i].name, '/');
		const char *name = slash != NULL && slash[1] != '\0' ? slash + 1 : pool->maps[i].name;

		table_cell(table, INK_PLAIN, "%s", name[0] == '\0' ? "(memory)" : text_name(name).s);
		table_cell(table, INK_PLAIN, "%s", text_bytes(s->mapped_bytes).s);
		table_cell(table, INK_PRESENT, "%s", text_bytes(s->resident_bytes).s);
		table_cell(table, INK_PLAIN, "%s", text_count(s->faults).s);
		table_cell(table, INK_PLAIN, "%s", duration(&s->fault_time, s->fault_time.p99_ns).s);
		table_cell(table, INK_PLAIN, "%s", share(s->ahead_used, s->ahead).s);
	}
	table_print(table);
}

static void say_pool(struct screen *screen, const struct pool_view *pool)
{
	const struct quire_pool_stats *s = &pool->stats;
	double full = s->cache_bytes == 0 ? 0 : (double)s->used_bytes / (double)s->cache_bytes;

	if (pool->error[0] != '\0') {
		say_paragraph(screen, INK_PROBLEM, 0, "? A pool that cannot be read: %s.",
			text_name(pool->error).s);
		return;
	}
	say_paragraph(screen, INK_STRONG, 0, "Pool %s holds %s of at most %s, for %s mappings.",
		text_name(pool->name).s, text_bytes(s->used_bytes).s, text_bytes(s->cache_bytes).s,
		text_count(s->maps).s);
	say(screen, INK_PLAIN, "\n  memory    ");
	draw_gauge(screen, full > 1 ? INK_PROBLEM : INK_PRESENT, 32, full > 1 ? 1 : full);
	say(screen, INK_PLAIN, " %s\n", text_percent(full).s);
	say(screen, INK_PLAIN, "  faults    %s, %s of them found their page in memory\n",
		text_count(s->faults).s, share(s->minor, s->faults).s);
	say(screen, INK_PLAIN, "  read      %s pages, %s made of nothing, %s private copies\n",
		text_count(s->fills).s, text_count(s->zeros).s, text_count(s->copies).s);
	say(screen, INK_PLAIN, "  ahead     %s pages: %s used, %s wasted\n", text_count(s->ahead).s,
		share(s->ahead_used, s->ahead).s, share(s->ahead_wasted, s->ahead).s);
	say(screen, INK_PLAIN, "  evicted   %s pages, %s written back; %s faults had to wait for that\n",
		text_count(s->evicted).s, text_count(s->put).s, text_count(s->waits).s);
	if (s->fill_errors + s->put_errors > 0)
		say(screen, INK_PROBLEM, "  errors    %s pages could not be read, %s not written\n",
			text_count(s->fill_errors).s, text_count(s->put_errors).s);
	say_paragraph(screen, INK_FAINT, 2, "%s: %s.", delivery(pool), text_name(pool->why).s);
	say_times(screen, s);
	say_maps(screen, pool);
}

static void say_view(struct call *call, const struct view *view)
{
	struct screen *screen = &call->screen;

	if (view->pool_count == 0) {
		say_paragraph(screen, INK_STRONG, 0, "Process %d publishes no pool.", view->pid);
		say_paragraph(screen, INK_PLAIN, 2,
			"A pool is seen from outside when it was opened with .publish (quire_pool_open(3)).");
	}
	for (size_t i = 0; i < view->pool_count; i++) {
		if (i > 0)
			say(screen, INK_PLAIN, "\n");
		say_pool(screen, &view->pools[i]);
	}
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "all memory of the process", QUIRE_PROGRAM " maps PID");
}

/* For a pipe: nothing is redrawn, so each look is one line a pool. */
static void say_moment(struct call *call, const struct view *view, uint64_t look)
{
	for (size_t i = 0; i < view->pool_count; i++) {
		const struct quire_pool_stats *s = &view->pools[i].stats;

		say(&call->screen, INK_PLAIN,
			"%llu  %s of %s  faults %s  read %s  evicted %s  written %s  %s\n",
			(unsigned long long)look, text_bytes(s->used_bytes).s, text_bytes(s->cache_bytes).s,
			text_count(s->faults).s, text_count(s->fills).s, text_count(s->evicted).s,
			text_count(s->put).s, text_name(view->pools[i].name).s);
	}
}

/* ---- the verb ---- */

static enum status look_once(struct call *call, int pid, uint64_t look)
{
	const struct pool_settings *settings = call->settings;
	struct view view;
	enum status status;
	int r = gather(&view, pid);

	if (r < 0)
		return fail(r == -ESRCH ? STATUS_NOT_FOUND : status_of(r), "%s", quire_error_text());
	if (settings->watch && !call->json && call->screen.terminal)
		fputs("\033[H\033[2J", call->screen.out);
	if (call->json)
		put_view(call, &view, settings->watch);
	else if (settings->watch && !call->screen.terminal)
		say_moment(call, &view, look);
	else
		say_view(call, &view);
	status = view.unreadable > 0 ? STATUS_PARTLY : STATUS_OK;
	drop(&view);
	return status;
}

static enum status run_pool(struct call *call)
{
	const struct pool_settings *settings = call->settings;
	const struct timespec pause = { .tv_sec = (time_t)(settings->interval_ms / 1000),
		.tv_nsec = (long)(settings->interval_ms % 1000) * 1000000 };
	int pid = process_number(call->operands[0]);

	if (pid <= 0)
		return fail(STATUS_USAGE, "'%s' is no process number", call->operands[0]);
	for (uint64_t look = 1;; look++) {
		enum status status = look_once(call, pid, look);

		/* Nobody listens any more, or there is nothing left to look at. */
		if (fflush(call->screen.out) != 0)
			return STATUS_SYSTEM;
		if (!settings->watch || look == settings->count || status == STATUS_NOT_FOUND ||
			status == STATUS_FORBIDDEN)
			return status;
		nanosleep(&pause, NULL);
	}
}

static const char *const description[] = {
	"Shows what the page caches (pools) of a process hold and have done: how full they are, where faults were answered, "
	"what was read ahead and whether that was of use, what was evicted and written back, how long it took, and all that "
	"for each mapping.",
	"A pool is seen when its program opened it with .publish. The figures lie in shared memory; looking neither stops nor "
	"asks the process. A page counts for the mapping that brought it into memory, until it goes.",
	"How long something took is shown as half of the times, 99 of 100, and the longest; the first two are rounded up to a "
	"power of two. The strip beside has a cell for each power of two nanoseconds.",
	NULL,
};

static const struct verb_option options[] = {
	{ "watch", 'w', OPTION_FLAG, offsetof(struct pool_settings, watch), NULL,
		"look again and again; with --json a document a line", NULL },
	{ "interval", 0, OPTION_COUNT, offsetof(struct pool_settings, interval_ms), "MS",
		"between two looks, in milliseconds (1000)", NULL },
	{ "count", 0, OPTION_COUNT, offsetof(struct pool_settings, count), "N", "end after N looks", NULL },
	{ 0 },
};

static const struct pool_settings defaults = { .interval_ms = 1000 };

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " pool 812", "is the cache of process 812 large enough?" },
	{ QUIRE_PROGRAM " pool --watch --json 812", "its figures once a second, for a program" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_PARTLY, "the figures of a pool could not be read" },
	{ STATUS_FORBIDDEN, "the process belongs to somebody else" },
	{ STATUS_NOT_FOUND, "there is no such process" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-maps(1)", "quire_pool_open(3)", "quire_pool_stats(3)",
	"quire_map_stats(3)", "quire_pools_open(3)", NULL };

const struct verb verb_pool = {
	.name = "pool",
	.summary = "what the page caches of a process are doing",
	.usage = "PID",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.operands_max = 1,
	.settings_bytes = sizeof(struct pool_settings),
	.defaults = &defaults,
	.run = run_pool,
};
