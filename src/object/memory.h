/* SPDX-License-Identifier: Apache-2.0 */
/* object/memory.h - an object that is memory: zeros at first, then what is stored; in a pool, and in its swap. */
#ifndef OBJECT_MEMORY_H
#define OBJECT_MEMORY_H

#include <stdint.h>

struct object;

int memory_open(uint64_t bytes, struct object **object);

#endif
