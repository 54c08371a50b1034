/* SPDX-License-Identifier: Apache-2.0 */
/* The claim of a pmap (P3): one thread at a time, not twice, and not for ever in a child of fork. */
#include "support/run.h"

#include <pthread.h>

#include "pmap/pmap.h"
#include "support/child.h"

static struct pmap pmap;
static pthread_barrier_t barrier;

static int attach(struct pmap *of, struct pmap_range *range, enum pmap_how how)
{
	(void)of;
	(void)range;
	(void)how;
	return 0;
}

static int detach(struct pmap *of, const struct pmap_span *span)
{
	(void)of;
	(void)span;
	return 0;
}

static const struct pmap_ops ops = { .attach = attach, .detach = detach };

static void the_holder_does_not_get_it_twice(void **state)
{
	(void)state;
	pmap_init(&pmap, &ops, 0, NULL, NULL);
	EXPECT(pmap_claim(&pmap));
	EXPECT(!pmap_claim(&pmap));
	pmap_claim_release(&pmap);
	EXPECT(pmap_claim(&pmap));
	pmap_claim_release(&pmap);
}

static void *hold(void *argument)
{
	(void)argument;
	EXPECT(pmap_claim(&pmap));
	(void)pthread_barrier_wait(&barrier);
	(void)pthread_barrier_wait(&barrier);
	pmap_claim_release(&pmap);
	return NULL;
}

static void child_claims(void *argument)
{
	(void)argument;
	EXPECT(pmap_claim(&pmap)); /* the thread that holds it is not here */
	EXPECT(!pmap_claim(&pmap));
	pmap_claim_release(&pmap);
	EXPECT_IS(atomic_load(&pmap.claim), 0);
}

static void a_claim_held_over_fork_is_free_in_the_child(void **state)
{
	pthread_t holder;

	(void)state;
	pmap_init(&pmap, &ops, 0, NULL, NULL);
	EXPECT_IS(pthread_barrier_init(&barrier, NULL, 2), 0);
	EXPECT_IS(pthread_create(&holder, NULL, hold, NULL), 0);
	(void)pthread_barrier_wait(&barrier);
	child_passes(child_claims, NULL);
	(void)pthread_barrier_wait(&barrier);
	EXPECT_IS(pthread_join(holder, NULL), 0);
	EXPECT(pmap_claim(&pmap));
	pmap_claim_release(&pmap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_holder_does_not_get_it_twice),
		cmocka_unit_test(a_claim_held_over_fork_is_free_in_the_child),
	};

	return RUN(tests);
}
