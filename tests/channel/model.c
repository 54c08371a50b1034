/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The waiting protocol of src/channel/wait.c, every interleaving of it, under two memory models.
 *
 *	tso    x86-TSO: each thread has a queue of stores that others cannot see yet; loads look into one's own queue first
 *	views  release/acquire by views, weaker than TSO (as on ARM): a load may return any store that the thread does not
 *	       know to be overwritten; relaxed stores carry no knowledge, releases do; a fence joins what is known
 *
 * Two threads: the waker publishes ITEMS items, the sleeper takes them and sleeps in between. A state in which nobody can
 * move and not everything was taken is a lost wake-up. The protocol must have none; and with any one step of it left
 * out, one must be found, or the model would prove nothing.
 */
#include "support/run.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ITEMS = 3, LOCATIONS = 3, WRITES = 20, QUEUE = 6, NOBODY = -1 };
enum { DATA, ARMED, BELL };
enum { SLEEPER, WAKER, THREADS };
enum model { TSO, VIEWS };

/* What is left out. */
enum mutant {
	NOTHING,
	NO_BARRIER,     /* step 3 of the sleeper */
	NO_SECOND_LOOK, /* step 4 */
	BELL_READ_LATE, /* step 1 after step 4 */
	BELL_NOT_RUNG,  /* step 5 of the waker: wake without changing the word */
	SAME_NUMBER,    /* step 2: the number is not new */
	MUTANTS,
};

static const char *const mutant_names[] = { "the protocol", "without the barrier", "without the second look",
	"bell read late", "bell not changed", "number not new" };

struct state {
	/* programs */
	signed char pc[THREADS];
	signed char asleep;
	signed char given_up;          /* too long to follow: not looked at any further */
	signed char seen, number, b;   /* the sleeper's registers */
	signed char item, rung, armed; /* the waker's */
	/* tso */
	signed char memory[LOCATIONS];
	signed char queued[THREADS];
	signed char queue[THREADS][QUEUE][2];
	/* views */
	signed char writes[LOCATIONS];
	signed char value[LOCATIONS][WRITES];
	signed char knows[LOCATIONS][WRITES][LOCATIONS]; /* what a release carries */
	signed char view[THREADS][LOCATIONS];
};

static enum model model;
static enum mutant mutant;

/* ---- memory ---- */

static void join(signed char *into, const signed char *from)
{
	for (int i = 0; i < LOCATIONS; i++)
		if (from[i] > into[i])
			into[i] = from[i];
}

static void drain_one(struct state *s, int thread)
{
	s->memory[(int)s->queue[thread][0][0]] = s->queue[thread][0][1];
	memmove(s->queue[thread][0], s->queue[thread][1], sizeof(s->queue[0]) - sizeof(s->queue[0][0]));
	s->queued[thread]--;
	memset(s->queue[thread][(int)s->queued[thread]], 0, sizeof(s->queue[0][0]));
}

static void drain(struct state *s, int thread)
{
	while (s->queued[thread] > 0)
		drain_one(s, thread);
}

static void store(struct state *s, int thread, int location, int value, bool release)
{
	if (model == TSO) {
		int n;

		if (s->queued[thread] == QUEUE)
			drain_one(s, thread); /* a real queue is not endless either */
		n = s->queued[thread]++;
		s->queue[thread][n][0] = (signed char)location;
		s->queue[thread][n][1] = (signed char)value;
	} else {
		int n = s->writes[location];

		if (n ==
			WRITES) { /* a mutant that turns in circles; the protocol itself does not come here */
			assert_int_not_equal(mutant, NOTHING);
			s->given_up = 1;
			return;
		}
		s->writes[location]++;
		s->value[location][n] = (signed char)value;
		s->view[thread][location] = (signed char)n;
		if (release)
			memcpy(s->knows[location][n], s->view[thread], LOCATIONS);
		s->knows[location][n][location] = (signed char)n;
	}
}

/* How many answers a load may get. */
static int answers(const struct state *s, int thread, int location)
{
	return model == TSO ? 1 : s->writes[location] - s->view[thread][location];
}

static int load(struct state *s, int thread, int location, int answer, bool acquire)
{
	if (model == TSO) {
		for (int i = s->queued[thread] - 1; i >= 0; i--)
			if (s->queue[thread][i][0] == location)
				return s->queue[thread][i][1];
		return s->memory[location];
	}
	answer += s->view[thread][location];
	s->view[thread][location] = (signed char)answer;
	if (acquire)
		join(s->view[thread], s->knows[location][answer]);
	return s->value[location][answer];
}

/* What the kernel sees under its lock: the newest. */
static int newest(const struct state *s, int location)
{
	return model == TSO ? s->memory[location] : s->value[location][s->writes[location] - 1];
}

/* membarrier: a full fence here, and one on the processor of the other thread. */
static void barrier(struct state *s)
{
	for (int t = 0; t < THREADS; t++)
		drain(s, t);
	join(s->view[SLEEPER], s->view[WAKER]);
	memcpy(s->view[WAKER], s->view[SLEEPER], LOCATIONS);
}

/* ---- the programs ---- */

enum { LOOK, READ_BELL, ARM, FENCE, LOOK_AGAIN, READ_BELL_LATE, SLEEP, SLEEPING, DISARM, DONE };
enum { PUBLISH, READ_ARMED, RING, WAKE, FINISHED };

/* Which location the next step loads; NOBODY when it loads none. */
static int loads(const struct state *s, int thread)
{
	if (thread == SLEEPER)
		return s->pc[SLEEPER] == LOOK || s->pc[SLEEPER] == LOOK_AGAIN             ? DATA
			: s->pc[SLEEPER] == READ_BELL || s->pc[SLEEPER] == READ_BELL_LATE ? BELL
											  : NOBODY;
	return s->pc[WAKER] == READ_ARMED ? ARMED : NOBODY;
}

static void look(struct state *s, int answer, int nothing)
{
	int data = load(s, SLEEPER, DATA, answer, true);
	bool news = data > s->seen;

	if (news)
		s->seen = (signed char)data;
	if (s->seen == ITEMS)
		s->pc[SLEEPER] = DONE;
	else if (news)
		s->pc[SLEEPER] = nothing == READ_BELL ? LOOK : DISARM;
	else
		s->pc[SLEEPER] = (signed char)nothing;
}

static void step_sleeper(struct state *s, int answer)
{
	bool late = mutant == BELL_READ_LATE;

	switch (s->pc[SLEEPER]) {
	case LOOK: look(s, answer, READ_BELL); break;
	case READ_BELL: /* 1 */
		if (!late)
			s->b = (signed char)load(s, SLEEPER, BELL, answer, true);
		s->pc[SLEEPER] = ARM;
		break;
	case ARM: /* 2 */
		s->number = mutant == SAME_NUMBER ? 1 : (signed char)(s->number + 1);
		store(s, SLEEPER, ARMED, s->number, false);
		s->pc[SLEEPER] = FENCE;
		break;
	case FENCE: /* 3 */
		if (mutant != NO_BARRIER)
			barrier(s);
		s->pc[SLEEPER] = mutant == NO_SECOND_LOOK ? SLEEP : LOOK_AGAIN;
		break;
	case LOOK_AGAIN: look(s, answer, late ? READ_BELL_LATE : SLEEP); break; /* 4 */
	case READ_BELL_LATE:
		s->b = (signed char)load(s, SLEEPER, BELL, answer, true);
		s->pc[SLEEPER] = SLEEP;
		break;
	case SLEEP: /* 5: the system call is a fence for its own thread, and compares under a lock */
		drain(s, SLEEPER);
		s->asleep = newest(s, BELL) == s->b;
		s->pc[SLEEPER] = s->asleep ? SLEEPING : DISARM;
		break;
	case DISARM: /* 6 */
		store(s, SLEEPER, ARMED, 0, false);
		s->pc[SLEEPER] = LOOK;
		break;
	default: break;
	}
}

static void step_waker(struct state *s, int answer)
{
	switch (s->pc[WAKER]) {
	case PUBLISH: /* 1 */
		store(s, WAKER, DATA, ++s->item, true);
		s->pc[WAKER] = READ_ARMED;
		break;
	case READ_ARMED: /* 3, 4 */
		s->armed = (signed char)load(s, WAKER, ARMED, answer, false);
		s->pc[WAKER] = s->armed != 0 && s->armed != s->rung ? RING
			: s->item == ITEMS                          ? FINISHED
								    : PUBLISH;
		s->rung = s->armed;
		break;
	case RING: /* 5: a read-modify-write */
		if (mutant != BELL_NOT_RUNG) {
			store(s, WAKER, BELL, newest(s, BELL) + 1, true);
			drain(s, WAKER);
		}
		s->pc[WAKER] = WAKE;
		break;
	case WAKE:
		drain(s, WAKER);
		if (s->asleep) {
			s->asleep = 0;
			s->pc[SLEEPER] = DISARM;
		}
		s->pc[WAKER] = s->item == ITEMS ? FINISHED : PUBLISH;
		break;
	default: break;
	}
}

/* ---- all of them ---- */

enum { TABLE_BITS = 20, STATES_MAX = 1 << 19 };

static struct state *states;
static unsigned int *table;
static unsigned int state_count;

static bool is_new(const struct state *s)
{
	const unsigned char *bytes = (const unsigned char *)s;
	uint64_t hash = 14695981039346656037U;

	for (size_t i = 0; i < sizeof(*s); i++)
		hash = (hash ^ bytes[i]) * 1099511628211U;
	for (uint64_t at = hash >> 7;; at++) {
		unsigned int *slot = &table[at & ((1U << TABLE_BITS) - 1)];

		if (*slot == 0) {
			assert_true(state_count < STATES_MAX);
			states[state_count] = *s;
			*slot = ++state_count;
			return true;
		}
		if (memcmp(&states[*slot - 1], s, sizeof(*s)) == 0)
			return false;
	}
}

static bool can_step(const struct state *s, int thread)
{
	return thread == SLEEPER ? s->pc[SLEEPER] != DONE && s->pc[SLEEPER] != SLEEPING
				 : s->pc[WAKER] != FINISHED;
}

/* Adds every state that one step leads to; returns how many steps were possible. */
static int expand(const struct state *from)
{
	int steps = 0;

	for (int t = 0; t < THREADS; t++) {
		int location = loads(from, t);
		int n = location == NOBODY ? 1 : answers(from, t, location);

		for (int i = 0; i < n && can_step(from, t); i++) {
			struct state s = *from;

			if (t == SLEEPER)
				step_sleeper(&s, i);
			else
				step_waker(&s, i);
			(void)is_new(&s);
			steps++;
		}
		if (from->queued[t] > 0) {
			struct state s = *from;

			drain_one(&s, t);
			(void)is_new(&s);
			steps++;
		}
	}
	return steps;
}

/* Returns how many states are lost wake-ups. Stale loads for ever are no progress and no loss: stores arrive in the end,
 * which is why a state counts only when nobody can move. */
static unsigned int explore(enum model m, enum mutant what)
{
	struct state first;
	unsigned int lost = 0;

	model = m;
	mutant = what;
	memset(&first, 0, sizeof(first));
	for (int i = 0; i < LOCATIONS; i++)
		first.writes[i] = 1;
	memset(table, 0, sizeof(*table) << TABLE_BITS);
	state_count = 0;
	(void)is_new(&first);
	for (unsigned int i = 0; i < state_count; i++)
		if (!states[i].given_up && expand(&states[i]) == 0 && states[i].pc[SLEEPER] != DONE)
			lost++;
	print_message("# %s, %s: %u states, %u lost wake-ups\n", m == TSO ? "tso" : "views",
		mutant_names[what], state_count, lost);
	return lost;
}

static void no_wakeup_is_lost_under_tso(void **state)
{
	(void)state;
	assert_int_equal(explore(TSO, NOTHING), 0);
}

static void no_wakeup_is_lost_under_views(void **state)
{
	(void)state;
	assert_int_equal(explore(VIEWS, NOTHING), 0);
}

static void every_step_is_needed(void **state)
{
	(void)state;
	for (int m = NOTHING + 1; m < MUTANTS; m++) {
		assert_int_not_equal(explore(TSO, (enum mutant)m), 0);
		assert_int_not_equal(explore(VIEWS, (enum mutant)m), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wakeup_is_lost_under_tso),
		cmocka_unit_test(no_wakeup_is_lost_under_views),
		cmocka_unit_test(every_step_is_needed),
	};
	int failed;

	states = calloc(STATES_MAX, sizeof(*states));
	table = calloc((size_t)1 << TABLE_BITS, sizeof(*table));
	if (states == NULL || table == NULL)
		return 1;
	failed = RUN(tests);
	free(states);
	free(table);
	return failed;
}
