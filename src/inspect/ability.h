/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/ability.h - which of the kernel's newer answers we may ask for. */
#ifndef INSPECT_ABILITY_H
#define INSPECT_ABILITY_H

#include <stdbool.h>

/* True when the environment variable QUIRE_MASK=6.1 hides what came with this kernel version: for tests. */
bool ability_hidden(unsigned int major, unsigned int minor);

#endif
