/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/identity.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_ROOM = 1024 }; /* 16 KiB: most trees have fewer directories */

/* Inodes of one directory follow each other; the multiplier (2^64 / golden ratio) spreads them. */
static size_t place_of(const struct identity_set *set, uint64_t device, uint64_t inode)
{
	uint64_t hash = (inode + (device << 40)) * 0x9E3779B97F4A7C15U;
	size_t at = (size_t)(hash >> 20) & (set->room - 1);

	while (set->places[at].inode != 0 &&
		(set->places[at].inode != inode || set->places[at].device != device))
		at = (at + 1) & (set->room - 1);
	return at;
}

static int grow(struct identity_set *set)
{
	struct identity_set larger = { .room = set->room == 0 ? FIRST_ROOM : set->room * 2 };

	larger.places = calloc(larger.room, sizeof(*larger.places));
	if (larger.places == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < set->room; i++)
		if (set->places[i].inode != 0)
			larger.places[place_of(&larger, set->places[i].device, set->places[i].inode)] =
				set->places[i];
	larger.used = set->used;
	free(set->places);
	*set = larger;
	return 0;
}

int identity_add(struct identity_set *set, uint64_t device, uint64_t inode)
{
	size_t at;

	if (set->used * 2 >= set->room) {
		int r = grow(set);

		if (r < 0)
			return r;
	}
	at = place_of(set, device, inode);
	if (set->places[at].inode != 0)
		return 0;
	set->places[at] = (struct identity){ device, inode };
	set->used++;
	return 1;
}

void identity_done(struct identity_set *set)
{
	free(set->places);
	set->places = NULL;
	set->room = set->used = 0;
}
