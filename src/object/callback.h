/* SPDX-License-Identifier: Apache-2.0 */
/* object/callback.h - bytes that the program supplies: blocking get and put of its own, wrapped as an object. */
#ifndef OBJECT_CALLBACK_H
#define OBJECT_CALLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct object;

/* 0 or -errno each; see include/quire/object.h. */
struct callback_plan {
	void *user;
	int (*get)(void *user, uint64_t offset, void *memory, size_t length);
	int (*put)(void *user, uint64_t offset, const void *memory, size_t length); /* NULL: read-only */
	int (*sync)(void *user);                  /* NULL: a put is durable */
	int (*size)(void *user, uint64_t *bytes); /* NULL: bytes */
	void (*close)(void *user);                /* NULL: nothing to do */
	uint64_t bytes;
	bool signal_safe; /* get and put may run in a signal handler */
};

int callback_open(const struct callback_plan *plan, struct object **object);

#endif
