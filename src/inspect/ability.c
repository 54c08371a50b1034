/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/ability.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* 0 not looked yet, UINT_MAX no mask, else major << 16 | minor. Looked at once: getenv is no call for hot paths. */
static _Atomic unsigned int mask;

static unsigned int read_mask(void)
{
	const char *text = getenv("QUIRE_MASK");
	unsigned int major, minor;

	if (text == NULL || sscanf(text, "%5u.%5u", &major, &minor) != 2)
		return ~0U;
	return major << 16 | minor;
}

bool ability_hidden(unsigned int major, unsigned int minor)
{
	unsigned int known = atomic_load_explicit(&mask, memory_order_relaxed);

	if (known == 0) {
		known = read_mask();
		atomic_store_explicit(&mask, known, memory_order_relaxed);
	}
	return (major << 16 | minor) > known;
}
