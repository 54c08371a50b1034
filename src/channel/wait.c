/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/wait.c - waiting without losing a wake-up, and without a fence for who need not wait.
 *
 *	the one who waits (S)                    the other one (W)
 *	---------------------                    -----------------
 *	spin for a while
 *	1  b = W.bell                            1  publish: release the header (or the tail)
 *	2  S.armed = a new number                2  compiler fence
 *	3  membarrier                            3  a = S.armed
 *	4  look again: ready?  -> S.armed = 0    4  a is new to me?
 *	5  sleep while W.bell == b                  5  W.bell++, wake who sleeps on it   (or a byte on the socket)
 *	6  S.armed = 0, look again
 *
 * Every word has one writer (C1): S cannot change W.bell, W cannot change S.armed. W answers each number once, so a
 * writer that runs on while the reader is being scheduled pays for one wake-up, not for one a record.
 *
 * Why nothing is lost: membarrier (3) runs a full fence on W's processor at some point of W's program. If W's publish
 * stands before that point, look (4) sees it. If it stands behind, so does W's load of armed, which then finds the new
 * number, and W rings; and as S has read b before it armed, the futex of step 5 sees that the bell has changed. Where
 * membarrier is refused when the two meet, both sides fence by themselves. tests/channel/model.c tries every interleaving
 * of these steps under x86-TSO and under a weaker model, and shows that each of them is needed.
 *
 * A process that shuts itself in after the two have met (seccomp) finds membarrier refused when it is too late to say so.
 * It then waits at (3) until W's stores of before must have become visible (Morrison and Afek, "Temporally bounding TSO
 * for fence-free asymmetric synchronization", ASPLOS 2015), which is slow and safe.
 *
 * The watcher's word (news) is slept on together with the bells, so that a peer that dies wakes us as well.
 *
 * Roads not taken: an eventfd for W to write. Its file description is shared, so a hostile S can clear O_NONBLOCK, fill
 * the counter, and W would hang in write(2); a send on W's own end of the socket cannot be made to block
 * (docs/decisions/0006). Robust futexes tell of the death of a thread, not of a process.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "base/lock.h"
#include "channel/channel.h"
#include "channel/listener.h"
#include "sys/clock.h"
#include "sys/futex.h"
#include "sys/thread.h"

enum {
	/* Longer than a wake-up takes (10-60 us measured), so that two who answer each other never sleep. */
	SPIN_NS_START = 50000,
	SPIN_NS_MAX = 100000,
	SPIN_NS_MIN =
		10000, /* a peer that answers at once is caught even by who has learnt to sleep; 1 % of a wait of 1 ms */
	FUTILE_MAX = 8,          /* spins for nothing, then ... */
	FUTILE_FORGOTTEN = 1000, /* ... so many sleeps without */
	PAUSES_A_CLOCK = 16,     /* about 0.7 us between two looks at the clock */
	FDS_A_LINK = 2,
	LOOKS_A_CHECK = 64,      /* a caller that polls reads the clock each so many empty looks ... */
	CHECK_EVERY_NS = 300000, /* ... and asks the sockets each so many ns: 0.3 % of its time */
	/* A store leaves its processor's buffer in well under 10 us: 64 entries of one miss each. Ten times that. */
	SETTLE_NS = 100000,
	UNHEARD_NS = 1000000,
};

/* waiting: one wait in progress */
struct waiting {
	struct channel *const *set; /* in */
	size_t count;
	enum wait_for what;
	uint64_t deadline_ns;
	int door; /* readable when somebody comes; -1: nobody is expected */
	struct sys_word words[SYS_WORDS_MAX];
	size_t word_count; /* set by hear() */
	bool unheard;      /* set by hear(): there are more bells than one can sleep on */
	bool came;         /* set by sleep_on_sockets(): somebody is at the door */
};

/* ---- ready? ---- */

/* Its tail, or -EPROTO when it is not one that a reader could have (C3). */
static int refresh_tail(const struct channel *c, struct link *link)
{
	uint64_t tail = atomic_load_explicit(&link->control->tail, memory_order_acquire);

	if (tail == 0)
		tail = link->start; /* it has not said anything yet */
	if (tail < link->tail || tail > c->out.head || !is_aligned(tail, RECORD_ALIGN))
		return -EPROTO;
	link->tail = tail;
	return 0;
}

/* The slowest reader decides; who is gone does not count. */
static int refresh_room(struct channel *c)
{
	uint64_t slowest = c->out.head;
	bool any = false;

	for (uint32_t i = c->link_count; i-- > 0;) {
		struct link *link = &c->links[i];
		uint64_t tail;

		if (refresh_tail(c, link) < 0) {
			if (c->listener == NULL)
				return channel_broken(c, link);
			link_drop(c, link, false); /* a topic goes on without it */
			continue;
		}
		tail = link->tail;
		if (atomic_load_explicit(&link->gone, memory_order_relaxed) &&
			c->plan.pattern == PATTERN_TOPIC)
			continue;
		slowest = any ? min_u64(slowest, tail) : tail;
		any = true;
	}
	return ring_writer_tail(&c->out, slowest) < 0 ? channel_broken(c, &c->links[0]) : 0;
}

int wait_is_ready(struct channel *c, enum wait_for what)
{
	int r;

	if (what == WAIT_DATA)
		return c->in.data != NULL && ring_has_data(&c->in);
	if (ring_has_room(&c->out, c->want_bytes, c->want_count))
		return 1;
	r = refresh_room(c);
	return r < 0 ? r : ring_has_room(&c->out, c->want_bytes, c->want_count);
}

/* The number of a channel that is ready, -EAGAIN, or what is wrong. */
static int first_ready(const struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++) {
		int r = wait_is_ready(w->set[i], w->what);

		if (r != 0)
			return r < 0 ? r : (int)i;
	}
	return -EAGAIN;
}

/* ---- spinning ---- */

static bool has_news(const struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (wait_has_news(w->set[i], w->what))
			return true;
	return false;
}

static int spin(const struct waiting *w, uint64_t budget_ns)
{
	uint64_t until = 0;
	uint64_t now;
	int r = first_ready(w);

	if (r != -EAGAIN || budget_ns <= 1)
		return r;

	do {
		for (int i = 0; i < PAUSES_A_CLOCK; i++) {
			r = first_ready(w);
			if (r != -EAGAIN)
				return r;
			lock_relax();
		}
		now = sys_now_ns();
		if (until == 0)
			until = min_u64(w->deadline_ns, now + budget_ns);
	} while (now < until && !has_news(w));
	return -EAGAIN;
}

/* Sleeping costs two switches: when the sleep was short, spinning longer would have caught it. Unless it never does: then
 * whoever is to answer waits for this very processor, and spinning only keeps it waiting. */
static void learn(const struct waiting *w, uint64_t slept_ns)
{
	struct waiter *waiter = &w->set[0]->waiters[w->what];
	uint64_t most = waiter->spin_max_ns;

	if (slept_ns >= 2 * (uint64_t)SPIN_NS_MAX) {
		waiter->futile = 0;
		waiter->spin_ns = min_u64(max_u64(waiter->spin_ns / 2, SPIN_NS_MIN), most);
		return;
	}
	if (waiter->spin_ns >= most)
		waiter->futile++;
	waiter->spin_ns = waiter->futile < FUTILE_MAX
		? min_u64(max_u64(waiter->spin_ns, SPIN_NS_MIN) * 2, most)
		: 0;
	if (waiter->futile == FUTILE_FORGOTTEN) {
		waiter->futile = 0; /* things may have changed */
		waiter->spin_ns = min_u64(SPIN_NS_MIN, most);
	}
	waiter->futile += waiter->futile >= FUTILE_MAX;
}

/* ---- sleeping ---- */

static void set_armed(struct channel *c, enum wait_for what, uint32_t armed)
{
	struct layout_control *control = c->own.control;

	STEP();
	atomic_store_explicit(what == WAIT_DATA ? &control->armed_data : &control->armed_space, armed,
		memory_order_relaxed);
}

/* Step 2 and 3. */
static void arm(const struct waiting *w, uint32_t how)
{
	bool barrier = false;

	for (size_t i = 0; i < w->count; i++) {
		struct channel *c = w->set[i];
		uint32_t *armed = &c->waiters[w->what].armed;

		*armed += ARMED_STEP; /* the bits below say how we sleep, so it is never 0 */
		set_armed(c, w->what, *armed | how);
		barrier |= c->barrier;
	}
	atomic_thread_fence(memory_order_seq_cst);
	if (barrier && sys_barrier() < 0)
		sys_sleep(SETTLE_NS);
}

static void disarm(const struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++)
		set_armed(w->set[i], w->what, 0);
}

static bool all_watched(const struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (!w->set[i]->watched)
			return false;
	return true;
}

/* Step 1: the words to sleep on, with their values of now. */
static void hear(struct waiting *w)
{
	const atomic_uint *last = NULL;

	w->word_count = 0;
	for (size_t i = 0; i < w->count; i++) {
		struct channel *c = w->set[i];

		if (c->news != last) /* the lanes of a hub share one */
			w->words[w->word_count++] = (struct sys_word){ .word = c->news,
				.value = c->waiters[w->what].news_seen };
		last = c->news;
		w->unheard = c->link_count + 1 > SYS_WORDS_MAX;
		for (uint32_t l = 0; l < c->link_count && w->word_count < SYS_WORDS_MAX; l++) {
			const atomic_uint *bell = &c->links[l].control->bell;

			w->words[w->word_count++] = (struct sys_word){
				.word = bell,
				.value = atomic_load_explicit(bell, memory_order_acquire),
				.shared = true,
			};
		}
	}
}

/* A topic may have more readers than words can be slept on: then the others are looked at now and then. */
static uint64_t sleep_until(const struct waiting *w)
{
	return w->unheard ? min_u64(w->deadline_ns, sys_now_ns() + UNHEARD_NS) : w->deadline_ns;
}

/* A statistic for people; what one thread adds no other does. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
	STEP();
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static void count_sleep(const struct waiting *w, uint64_t slept_ns)
{
	struct layout_control *control = w->set[0]->own.control;

	add(w->what == WAIT_DATA ? &control->data_sleeps : &control->space_sleeps, 1);
	add(w->what == WAIT_DATA ? &control->data_sleep_ns : &control->space_sleep_ns, slept_ns);
}

static size_t list_descriptors(const struct waiting *w, int *fds)
{
	size_t n = 0;

	for (size_t i = 0; i < w->count; i++) {
		struct channel *c = w->set[i];

		for (uint32_t l = 0; l < c->link_count && n + FDS_A_LINK < LANES_MAX * FDS_A_LINK; l++) {
			if (atomic_load(&c->links[l].gone))
				continue;
			fds[n++] = c->links[l].socket;
			if (c->links[l].pidfd >= 0)
				fds[n++] = c->links[l].pidfd;
		}
	}
	if (w->door >= 0)
		fds[n++] = w->door;
	return n;
}

static void look_for_dead(const struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++)
		links_check(w->set[i]);
}

/* Where words cannot be slept on: the bell is a byte on the socket. */
static int sleep_on_sockets(struct waiting *w)
{
	int fds[LANES_MAX * FDS_A_LINK + 1];
	bool ready[LANES_MAX * FDS_A_LINK + 1];
	size_t n = list_descriptors(w, fds);
	int r;

	w->unheard = w->set[0]->link_count > LANES_MAX - 1;
	arm(w, ARMED_SOCKET);
	r = first_ready(w);
	if (r == -EAGAIN && !has_news(w))
		w->came = sys_wait_readable(fds, n, sleep_until(w), ready) > 0 && w->door >= 0 &&
			ready[n - 1];
	disarm(w);
	look_for_dead(w); /* takes the bytes as well */
	return r;
}

static int sleep_on_words(struct waiting *w)
{
	int r;
	int slept = 0;

	hear(w);
	arm(w, ARMED_FUTEX);
	r = first_ready(w);
	if (r == -EAGAIN && !has_news(w))
		slept = sys_futex_wait_any(w->words, w->word_count, sleep_until(w));
	disarm(w);
	return slept < 0 && slept != -ETIMEDOUT ? -ENOSYS : r;
}

static bool words_refused; /* seccomp, or Linux before 5.16: asked once a process */

static int sleep_once(struct waiting *w)
{
	uint64_t began = sys_now_ns();
	uint64_t slept;
	int r = -ENOSYS;

	if (!__atomic_load_n(&words_refused, __ATOMIC_RELAXED) && all_watched(w)) {
		r = sleep_on_words(w);
		if (r == -ENOSYS)
			__atomic_store_n(&words_refused, true, __ATOMIC_RELAXED);
	}
	if (r == -ENOSYS)
		r = sleep_on_sockets(w);
	slept = sys_now_ns() - began;
	count_sleep(w, slept);
	learn(w, slept);
	return r;
}

/* ---- news ---- */

void wait_hear_news(struct channel *c, enum wait_for what)
{
	c->waiters[what].news_seen = atomic_load(c->news);
	links_check(c);
	if (c->listener != NULL)
		listener_admit(c->listener, c);
}

static void hear_news(const struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (wait_has_news(w->set[i], w->what))
			wait_hear_news(w->set[i], w->what);
}

/* Why it is of no use to go on; 0 when it is. A hub goes on: others may come. */
static int state(const struct waiting *w)
{
	return w->door >= 0 ? 0 : channel_state(w->set[0], w->what);
}

/* ---- not waiting ---- */

/* For who polls in a loop of its own and has no watcher: the sockets are asked now and then. */
static void look_now_and_then(const struct waiting *w)
{
	struct waiter *waiter = &w->set[0]->waiters[w->what];
	uint64_t now;

	if (all_watched(w) || ++waiter->looks % LOOKS_A_CHECK != 0)
		return;
	now = sys_now_ns();
	if (now - waiter->looked_ns < CHECK_EVERY_NS)
		return;
	waiter->looked_ns = now;
	look_for_dead(w);
}

/* For who sleeps in its own epoll: takes the old bytes, then arms, then looks again. */
static int arm_for_poll(const struct waiting *w)
{
	int r;

	look_for_dead(w);
	arm(w, ARMED_SOCKET);
	r = first_ready(w);
	if (r != -EAGAIN)
		disarm(w);
	return r;
}

void wait_arm(struct channel *c, enum wait_for what)
{
	const struct waiting w = { .set = &c, .count = 1, .what = what };

	if (c->polled)
		arm(&w, ARMED_SOCKET);
}

static int look_once(struct waiting *w)
{
	int r = first_ready(w);
	int gone;

	if (r != -EAGAIN)
		return r;
	if (w->set[0]->polled)
		r = arm_for_poll(w);
	else
		look_now_and_then(w);
	hear_news(w);
	gone = state(w);
	if (r != -EAGAIN || gone == 0)
		return r;
	r = first_ready(w); /* what it published before it went is still ours */
	return r != -EAGAIN ? r : gone;
}

/* ---- the whole ---- */

int wait_ready(struct channel *const *set, size_t count, enum wait_for what, uint64_t deadline_ns, int door)
{
	struct waiting w = {
		.set = set,
		.count = count,
		.what = what,
		.deadline_ns = deadline_ns,
		.door = door,
	};
	int r;

	if (deadline_ns == CHANNEL_NOW)
		return look_once(&w);
	for (;;) {
		int gone = state(&w);

		r = spin(&w, gone != 0 ? 0 : set[0]->waiters[what].spin_ns);
		if (r != -EAGAIN || gone != 0)
			return r != -EAGAIN ? r : gone;
		if (!has_news(&w))
			r = sleep_once(&w);
		if (door >= 0 && (w.came || has_news(&w)))
			return -EINTR; /* the hub takes new clients in and dead ones out, and comes back */
		hear_news(&w);
		if (r != -EAGAIN)
			return r;
		if (deadline_ns != CHANNEL_FOREVER && sys_now_ns() >= deadline_ns) {
			r = first_ready(&w);
			return r != -EAGAIN ? r : error_set(-ETIMEDOUT, "nothing came before the deadline");
		}
	}
}

static unsigned int processors;

static void count_processors(void)
{
	processors = sys_cpu_online();
}

void wait_init(struct channel *c)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT; /* it is a file to read */
	uint64_t most = c->plan.spin_ns == 0 ? SPIN_NS_MAX : c->plan.spin_ns;

	(void)pthread_once(&once, count_processors);
	if (processors == 1)
		most = 0;
	for (int i = 0; i < WAIT_KINDS; i++) {
		c->waiters[i].spin_max_ns = most;
		c->waiters[i].spin_ns = min_u64(SPIN_NS_START, most);
	}
}

void wait_ring(struct channel *c, struct link *link, enum wait_for what, uint32_t armed)
{
	struct layout_control *control = c->own.control;

	link->rung[what] = armed;
	if (armed == 0)
		return;
	add(&control->bells, 1);
	if ((armed & ARMED_SOCKET) != 0)
		(void)sys_unix_send_now(link->socket, "b", 1); /* full: then it has bytes to wake up by */
	if ((armed & ARMED_FUTEX) == 0)
		return;
	STEP();
	atomic_fetch_add_explicit(&control->bell, 1, memory_order_release);
	STEP();
	sys_futex_wake(&control->bell, true);
}
