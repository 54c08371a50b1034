/* SPDX-License-Identifier: Apache-2.0 */
/* vm/evict.h - the batch that eviction and write-back share: of pageout.c, evict.c and put.c only. pageout.h draws its steps. */
#ifndef VM_EVICT_H
#define VM_EVICT_H

#include <stdbool.h>
#include <stdint.h>

struct evict;
struct object;
struct pool;

/* One at a time; false: somebody is at it. What it is to take is the caller's to fill in: as it comes it takes nothing. */
bool evict_begin(struct pool *pool, struct evict **evict);
void evict_end(struct pool *pool);

/* One batch through all steps. How many frames were freed. */
uint32_t evict_batch(struct evict *evict);

/* Keeps the first error. */
void evict_failed(struct evict *evict, int error);

/* The put step: pages of the batch that were written, neighbours of one object in one transfer. */
void evict_put(struct evict *evict);

/* Makes durable what was put, and ends the object's epoch. Sticky on the object when it fails. */
void put_sync(struct object *object);

#endif
