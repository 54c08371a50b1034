/* SPDX-License-Identifier: Apache-2.0 */
#include "region/pages.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

int pages_init(struct pages *pages, uint64_t pages_max)
{
	pages->leaf_count = (pages_max + NOTES_A_LEAF - 1) / NOTES_A_LEAF;
	pages->leaves = calloc(pages->leaf_count, sizeof(*pages->leaves));
	return pages->leaves == NULL ? error_set(-ENOMEM, "no memory for the notes of a region") : 0;
}

void pages_done(struct pages *pages)
{
	for (uint64_t i = 0; pages->leaves != NULL && i < pages->leaf_count; i++)
		free(pages->leaves[i]);
	free(pages->leaves);
	pages->leaves = NULL;
}

struct note *pages_make(struct pages *pages, uint64_t page)
{
	struct note **leaf = &pages->leaves[page / NOTES_A_LEAF];

	assert(page / NOTES_A_LEAF < pages->leaf_count);
	if (*leaf == NULL)
		*leaf = calloc(NOTES_A_LEAF, sizeof(**leaf));
	return *leaf == NULL ? NULL : &(*leaf)[page % NOTES_A_LEAF];
}
