/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ghosts.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

enum { WAYS = 4 };

static uint16_t *set_of(const struct ghosts *ghosts, uint32_t print)
{
	return &ghosts->prints[(size_t)(print % ghosts->sets) * WAYS];
}

/* The upper half: the lower one has chosen the set. */
static uint16_t mark_of(uint32_t print)
{
	return (uint16_t)((print >> 16) | 1);
}

int ghosts_init(struct ghosts *ghosts, uint32_t count)
{
	*ghosts = (struct ghosts){ .sets = count / WAYS + 1 };
	ghosts->prints = calloc((size_t)ghosts->sets * WAYS, sizeof(uint16_t));
	return ghosts->prints == NULL ? -ENOMEM : 0;
}

void ghosts_done(struct ghosts *ghosts)
{
	free(ghosts->prints);
	ghosts->prints = NULL;
}

void ghosts_add(struct ghosts *ghosts, uint32_t print)
{
	set_of(ghosts, print)[ghosts->clock++ % WAYS] = mark_of(print);
}

bool ghosts_take(struct ghosts *ghosts, uint32_t print)
{
	uint16_t *set = set_of(ghosts, print);

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i] != mark_of(print))
			continue;
		set[i] = 0;
		return true;
	}
	return false;
}
