/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/ghosts.h - remembers the fingerprints of what is gone, for a while: a set-associative table in which the newest takes
 * the place of an old one. Whoever uses it locks it.
 */
#ifndef BASE_GHOSTS_H
#define BASE_GHOSTS_H

#include <stdbool.h>
#include <stdint.h>

/* ghosts: fingerprints of what was here */
struct ghosts {
	uint16_t *prints; /* half of each; 0: none */
	uint32_t sets;
	uint32_t clock;
};

int ghosts_init(struct ghosts *ghosts, uint32_t count); /* -ENOMEM */
void ghosts_done(struct ghosts *ghosts);

/* Of those with one set, two in 2^15 / 4 may be taken for each other. */
void ghosts_add(struct ghosts *ghosts, uint32_t print);

/* Is it remembered? It is forgotten then. */
bool ghosts_take(struct ghosts *ghosts, uint32_t print);

#endif
