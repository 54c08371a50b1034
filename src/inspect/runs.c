/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/runs.c - the exact map of a file's cache, at a cost that follows what is cached.
 *
 * A range whose count is 0 or all is settled by one cachestat. A mixed range is divided, until it is one window:
 *
 *	file     |................................|        one call when it is all in or all out
 *	spans    |..|..|##|#.|..|..|..|..|                 sixteenths of what is sparse, or straight into windows
 *	window         |#|#|:|.|                           128 MiB: chunks of 2 MiB
 *	chunk              |#.#|                           mincore, page by page
 *
 * Where most chunks are mixed, dividing is a loss, so a window that shows it is given to mincore as a whole, and
 * so are the windows after it until one turns out to be simple again.
 *
 * mincore does not see pages whose bytes are still being read. So its sum is compared with the count, and where
 * they differ the window is found by halving with cachestat alone (R1: the sum of a window's pages is its count,
 * unless the cache moved meanwhile). Roads not taken: halving everywhere is 10x slower on a fragmented file, mincore
 * everywhere 700,000x slower on an empty one (docs/inspect.md).
 */
#include <assert.h>
#include <errno.h>
#include <quire/inspect.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "inspect/look.h"
#include "inspect/presence.h"

enum {
	CHUNK_PAGES = 512, /* 2 MiB: a huge folio, hence the grain in which files are usually in or out */
	WINDOW_PAGES =
		32768,  /* 128 MiB: mapping it costs 0.1 % of looking at it, and its bytes fit the L1 cache */
	FAN_OUT = 16,   /* of sparse spans: 2 to 64 are alike, below and above are slower */
	SPANS_MAX = 32, /* a stack of sixteenths of 2^52 pages needs 11 */
	TRIAL_CHUNKS = 16, /* so many of a window are tried before it is called fragmented */
	SIMPLE_RUNS = 64,  /* a fragmented window has more than these */
};

/* Steps of the span that is the whole file: its first window, the rest before that is known, the rest as a whole. They are
 * powers of two above every file. */
#define FIRST (UINT64_C(1) << 62)
#define REST (UINT64_C(1) << 61)
#define WHOLE (UINT64_C(1) << 60)

#define ALL_STATES                                                                                     \
	((unsigned int)(QUIRE_PAGE_CACHED | QUIRE_PAGE_READY | QUIRE_PAGE_DIRTY | QUIRE_PAGE_WRITING | \
		QUIRE_PAGE_EVICTED))

/* Pages that are not looked at yet, to be taken in steps. */
struct span {
	uint64_t page;
	uint64_t end;
	uint64_t step;
};

struct quire_runs {
	struct look look;
	unsigned int states;
	bool fragmented; /* the last window was */
	unsigned int spans_used;
	struct span spans[SPANS_MAX];

	uint64_t window; /* its first page */
	unsigned int window_pages;
	unsigned int window_at; /* pages of it that were handed out */

	struct quire_run pending;              /* grows while its neighbours are alike */
	unsigned char state[WINDOW_PAGES + 8]; /* whoever compares eight need not count */
};

static const struct {
	unsigned int state;
	size_t field;
} classes[] = {
	{ QUIRE_PAGE_CACHED, offsetof(struct sys_cachestat, cached) },
	{ QUIRE_PAGE_DIRTY, offsetof(struct sys_cachestat, dirty) },
	{ QUIRE_PAGE_WRITING, offsetof(struct sys_cachestat, writeback) },
	{ QUIRE_PAGE_EVICTED, offsetof(struct sys_cachestat, evicted) },
};

static uint64_t count_of(const struct sys_cachestat *counts, size_t class)
{
	uint64_t n;

	memcpy(&n, (const char *)counts + classes[class].field, sizeof(n));
	return n;
}

/* The states that all pages of a counted range have; false when some have one and some not. */
static bool uniform(
	const struct sys_cachestat *counts, uint64_t pages, unsigned int states, unsigned int *state)
{
	*state = 0;
	for (size_t i = 0; i < ARRAY_COUNT(classes); i++) {
		uint64_t n = count_of(counts, i);

		if ((classes[i].state & states) == 0 || n == 0)
			continue;
		if (n < pages)
			return false;
		*state |= classes[i].state;
	}
	return true;
}

/* Marks the pages of [at, at + n) of the window that have one of the states, by halving. */
static int paint(struct quire_runs *runs, unsigned int at, unsigned int n, unsigned int states)
{
	struct sys_cachestat counts;
	unsigned int state, half = n / 2;
	int r = look_counts(&runs->look, runs->window + at, n, &counts);

	if (r < 0)
		return r;
	if (uniform(&counts, n, states, &state) || n == 1) {
		for (unsigned int i = 0; state != 0 && i < n; i++)
			runs->state[at + i] |= (unsigned char)state;
		return 0;
	}

	r = paint(runs, at, half, states);
	return r < 0 ? r : paint(runs, at + half, n - half, states);
}

/* mincore answers into state[], whose bit 0 is QUIRE_PAGE_CACHED; the other bits of its bytes are not defined. */
static int look_closely(
	struct quire_runs *runs, unsigned int at, unsigned int n, unsigned int mark, uint64_t *ready)
{
	uint64_t sum = 0;
	int r = look_bits(&runs->look, runs->window + at, n, runs->state + at);

	if (r < 0)
		return r;
	for (unsigned int i = at; i < at + n; i++) {
		unsigned int in = runs->state[i] & 1U;

		sum += in;
		runs->state[i] = (unsigned char)(in * mark);
	}
	*ready = sum;
	return 0;
}

/* Settles the chunks of a window one by one, as long as that pays. */
static int look_in_chunks(struct quire_runs *runs, uint64_t *sum)
{
	unsigned int tried = 0, mixed = 0, at = 0;

	while (at < runs->window_pages) {
		unsigned int n = (unsigned int)min_u64(CHUNK_PAGES, runs->window_pages - at);
		struct sys_cachestat counts;
		unsigned int state;
		uint64_t found = 0;
		int r;

		if (tried == TRIAL_CHUNKS && mixed > TRIAL_CHUNKS / 2) {
			n = runs->window_pages - at;
			runs->fragmented = true;
			r = look_closely(runs, at, n, QUIRE_PAGE_CACHED, &found);
		} else {
			r = look_counts(&runs->look, runs->window + at, n, &counts);
			if (r == 0 && uniform(&counts, n, QUIRE_PAGE_CACHED, &state)) {
				memset(runs->state + at, (int)state, n);
				found = counts.cached;
			} else if (r == 0) {
				r = look_closely(runs, at, n, QUIRE_PAGE_CACHED, &found);
				mixed++;
			}
			tried++;
		}
		if (r < 0)
			return r;
		*sum += found;
		at += n;
	}
	return 0;
}

/* A fragmented window; notices when the file stops being so. */
static int look_at_once(struct quire_runs *runs, uint64_t *sum)
{
	unsigned int changes = 0;
	int r = look_closely(runs, 0, runs->window_pages, QUIRE_PAGE_CACHED, sum);

	for (unsigned int i = 1; i < runs->window_pages; i++)
		changes += runs->state[i] != runs->state[i - 1];
	runs->fragmented = changes > SIMPLE_RUNS;
	return r;
}

static int find_cached(struct quire_runs *runs, uint64_t cached)
{
	uint64_t sum = 0;
	int r;

	if (runs->look.bits) {
		r = runs->fragmented ? look_at_once(runs, &sum) : look_in_chunks(runs, &sum);
		if (r < 0 || sum == cached) /* R1 */
			return r;
	}
	memset(runs->state, 0, runs->window_pages);
	return paint(runs, 0, runs->window_pages, QUIRE_PAGE_CACHED);
}

/* Adds QUIRE_PAGE_READY to what is cached; what mincore sees is in the cache, whenever that was counted. */
static int find_ready(struct quire_runs *runs)
{
	unsigned char bits[CHUNK_PAGES];
	int r = 0;

	for (unsigned int at = 0; r == 0 && at < runs->window_pages; at += CHUNK_PAGES) {
		unsigned int n = (unsigned int)min_u64(CHUNK_PAGES, runs->window_pages - at);

		r = look_bits(&runs->look, runs->window + at, n, bits);
		for (unsigned int i = 0; r == 0 && i < n; i++)
			if ((bits[i] & 1U) != 0)
				runs->state[at + i] |= QUIRE_PAGE_READY | QUIRE_PAGE_CACHED;
	}
	return r;
}

static int fill_window(
	struct quire_runs *runs, uint64_t page, uint64_t pages, const struct sys_cachestat *counts)
{
	unsigned int others = runs->states & (QUIRE_PAGE_DIRTY | QUIRE_PAGE_WRITING | QUIRE_PAGE_EVICTED);
	unsigned int state;
	int r = 0;

	assert(pages <= WINDOW_PAGES);
	runs->window = page;
	runs->window_pages = (unsigned int)pages;
	runs->window_at = 0;

	if (uniform(counts, pages, QUIRE_PAGE_CACHED, &state))
		memset(runs->state, (int)state, pages);
	else
		r = find_cached(runs, counts->cached);
	if (r == 0 && counts->dirty + counts->writeback + counts->evicted != 0 && others != 0)
		r = paint(runs, 0, runs->window_pages, others);
	if (r == 0 && counts->cached != 0 && (runs->states & QUIRE_PAGE_READY) != 0)
		r = find_ready(runs);
	return r;
}

/* Where cachestat cannot be believed, pages that are ready are all we can see: they are cached. */
static int fill_uncounted(struct quire_runs *runs, uint64_t page, uint64_t pages)
{
	uint64_t sum;

	runs->window = page;
	runs->window_pages = (unsigned int)pages;
	runs->window_at = 0;
	return look_closely(
		runs, 0, runs->window_pages, (QUIRE_PAGE_CACHED | QUIRE_PAGE_READY) & runs->states, &sum);
}

static void push(struct quire_runs *runs, uint64_t page, uint64_t end, uint64_t step)
{
	if (page == end)
		return;
	assert(runs->spans_used < SPANS_MAX);
	runs->spans[runs->spans_used++] = (struct span){ .page = page, .end = end, .step = step };
}

/* Takes the next piece of the topmost span; the rest of it goes back. */
static struct span pop(struct quire_runs *runs)
{
	struct span span = runs->spans[--runs->spans_used];
	uint64_t end = min_u64(span.end, align_down(span.page, span.step) + span.step);

	push(runs, end, span.end, span.step);
	span.end = end;
	return span;
}

/* The span of a whole file begins with one window, and goes on in windows where that one is fragmented. */
static struct span pop_after_first(struct quire_runs *runs)
{
	struct span *top = &runs->spans[runs->spans_used - 1];

	if (top->step == FIRST) {
		uint64_t end = align_down(top->page, WINDOW_PAGES) + WINDOW_PAGES;
		struct span first = {
			.page = top->page, .end = min_u64(end, top->end), .step = WINDOW_PAGES
		};

		top->page = first.end;
		top->step = REST;
		if (top->page == top->end)
			runs->spans_used--;
		return first;
	}
	if (top->step == REST)
		top->step = runs->fragmented ? WINDOW_PAGES : WHOLE;
	return pop(runs);
}

/* Cost of a count follows what is cached, so dividing a dense span again and again would count it again and again. */
static uint64_t step_of(uint64_t pages, uint64_t cached)
{
	uint64_t step = WINDOW_PAGES;

	if (cached >= pages / FAN_OUT)
		return step;
	while (step * FAN_OUT < pages)
		step *= FAN_OUT;
	return step;
}

/* Finds the next piece: a run of its own (1), or a filled window (0). */
static int advance(struct quire_runs *runs, struct quire_run *run)
{
	struct sys_cachestat counts;
	struct span span = pop_after_first(runs);
	uint64_t pages = span.end - span.page;
	unsigned int state;
	bool settled;
	int r;

	if (!runs->look.counts)
		return fill_uncounted(runs, span.page, pages);

	r = look_counts(&runs->look, span.page, pages, &counts);
	if (r < 0)
		return r;

	settled = uniform(&counts, pages, runs->states, &state);
	if (settled && ((runs->states & QUIRE_PAGE_READY) == 0 || counts.cached == 0)) {
		*run = (struct quire_run){ .page = span.page, .pages = pages, .state = state };
		return 1;
	}
	if (pages <= WINDOW_PAGES)
		return fill_window(runs, span.page, pages, &counts);
	push(runs, span.page, span.end, step_of(pages, counts.cached));
	return 0;
}

/* The next stretch of equal pages of the window, eight at a time: where its end is guessed page by page, the processor
 * guesses wrong at every run of a fragmented file. */
static inline void take_from_window(struct quire_runs *runs, struct quire_run *run)
{
	unsigned int from = runs->window_at, at = from, end = runs->window_pages;
	unsigned char state = runs->state[from];
	uint64_t eight, others;

	do {
		memcpy(&eight, runs->state + at, 8); /* the last may reach behind the window */
		others = eight ^ 0x0101010101010101U * state;
		at += others == 0 ? 8U : (unsigned int)__builtin_ctzll(others) / 8;
	} while (others == 0 && at < end);
	at = at < end ? at : end;
	runs->window_at = at;
	run->page = runs->window + from;
	run->pages = at - from;
	run->state = state;
	run->reserved = 0;
}

/* 1 and a piece, 0 at the end. Pieces follow each other; neighbours may be alike. */
static int next_piece(struct quire_runs *runs, struct quire_run *run)
{
	while (runs->window_at == runs->window_pages) {
		int r;

		if (runs->spans_used == 0)
			return 0;
		r = advance(runs, run);
		if (r != 0)
			return r;
	}
	take_from_window(runs, run);
	return 1;
}

int quire_runs_next(struct quire_runs *runs, struct quire_run *run)
{
	struct quire_run piece = { .pages = 0 };
	int r;

	if (runs == NULL || run == NULL)
		return error_set(-EINVAL, "quire_runs_next: no handle");

	for (;;) {
		r = next_piece(runs, &piece);
		if (r < 0)
			return error_set(r, "the kernel stopped telling about this file");
		if (r == 1 && runs->pending.pages != 0 && runs->pending.state == piece.state) {
			runs->pending.pages += piece.pages;
			continue;
		}
		if (r == 0 || runs->pending.pages != 0)
			break;
		runs->pending = piece;
	}
	if (runs->pending.pages == 0)
		return 0;
	*run = runs->pending;
	runs->pending = r == 1 ? piece : (struct quire_run){ .pages = 0 };
	return 1;
}

static int refuse(const struct look *look, unsigned int states)
{
	unsigned int counted = QUIRE_PAGE_DIRTY | QUIRE_PAGE_WRITING | QUIRE_PAGE_EVICTED;

	if (look->backing == QUIRE_BACKING_HUGETLBFS)
		return error_set(-EOPNOTSUPP, "hugetlbfs tells how much a file holds, but not where");
	if (!look->counts && !look->bits)
		return error_set(look->why == look_why_permission ? -EPERM : -EOPNOTSUPP, "%s", look->why);
	if (!look->counts && (states & counted) != 0)
		return error_set(-EOPNOTSUPP, "%s", look->why);
	if (!look->bits && (states & QUIRE_PAGE_READY) != 0)
		return error_set(
			-EOPNOTSUPP, "asking which pages are ready would change the file's access time");
	return 0;
}

int quire_runs_open(int fd, uint64_t offset, uint64_t length, unsigned int states, struct quire_runs **runs)
{
	struct quire_runs *new;
	struct page_range range;
	struct look look;
	int r;

	if (runs == NULL || (states & ~ALL_STATES) != 0)
		return error_set(-EINVAL, "quire_runs_open: unknown states %#x", states);

	error_clear();
	r = look_at(fd, &look);
	if (r < 0)
		return error_default(r, "the descriptor cannot be looked at");
	range = look_range(&look, offset, length);
	r = range.pages == 0 ? 0 : refuse(&look, states);
	if (r < 0)
		return r;

	new = malloc(sizeof(*new));
	if (new == NULL)
		return error_set(-ENOMEM, "no memory for the map of a file");
	/* Everything but the states of the window, which are written before they are read; what lies behind them is not. */
	memset(new, 0, offsetof(struct quire_runs, state));
	memset(new->state + WINDOW_PAGES, 0, sizeof(new->state) - WINDOW_PAGES);
	new->look = look;
	new->states = states | QUIRE_PAGE_CACHED;
	/* The first window alone, then the rest as a whole: where the first is fragmented, counting the rest beforehand would
	 * be one pass more over what is going to be looked at page by page. */
	push(new, range.first, range.first + range.pages, look.counts ? FIRST : WINDOW_PAGES);
	*runs = new;
	return 0;
}

void quire_runs_close(struct quire_runs *runs)
{
	free(runs);
}
