/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm/world.h - a whole Quire in ordinary memory for a test: frames, a pool, a space on the fake engine, and objects whose
 * every transfer is on record and can be made to fail or to wait.
 */
#ifndef TESTS_VM_WORLD_H
#define TESTS_VM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmap/fake.h"
#include "vm/as.h"
#include "vm/io.h"
#include "vm/object.h"
#include "vm/pool.h"

#define WORLD_BASE ((uintptr_t)0x10000000)
#define PAGE ((size_t)4096)

enum { SOURCE_PAGES_MAX = 1024, SOURCE_LOG = 4096 };

struct source_event {
	enum io_kind kind;
	uint64_t first;
	uint32_t count;
};

/* An object over an array of bytes. */
struct source {
	struct object object;
	struct spin lock; /* of what is on record */
	unsigned char *bytes;
	struct io *queue; /* with `slow`: begun and not completed */
	uint64_t calls;
	uint64_t fail_at; /* this call and the next fail_for ones fail; 0: none */
	uint64_t fail_for;
	int fail_with;
	bool only_puts; /* those of them that are */
	bool slow;      /* completes only when reaped */
	bool closed;
	void (*meanwhile)(struct source *source); /* called once, by the start of the next transfer */
	unsigned int log_count;
	struct source_event log[SOURCE_LOG];
};

void source_init(struct source *source, uint64_t bytes);
void source_done(struct source *source); /* after the last object_unref */

/* The byte the source has at an offset before anybody writes. */
unsigned char source_byte(uint64_t offset);

struct world {
	struct fake_memory memory;
	struct fake fake;
	struct pool pool;
	struct as as;
	struct source swap;
};

struct world_config {
	uint64_t frames;     /* 0: 64 */
	uint64_t frames_max; /* 0: frames */
	size_t pages;        /* of addresses; 0: 1024 */
	uint64_t swap_pages; /* 0: no swap */
	uint32_t unit_pages; /* 0: 1 */
	bool no_harvest;
	bool hostile;
	enum policy_kind policy;
};

void world_init(struct world *world, const struct world_config *config);
void world_done(struct world *world);
void world_check(struct world *world);

/* Unmaps everything, gives the file back, and no frame may stay behind; then world_done(). */
void world_end(struct world *world, struct source *file);

/* What the pool has counted, all in all. */
uint64_t world_counted(const struct world *world, enum tally_figure what);

/* Maps `pages` pages of an object (NULL: anonymous) from page `first` on, at page `at` of the world. */
uintptr_t world_map(struct world *world, size_t at, size_t pages, struct object *object, uint64_t first,
	unsigned int prot, uint32_t flags);

/* One byte, or the error as a negative number. */
int world_load(struct world *world, uintptr_t va);
int world_store(struct world *world, uintptr_t va, unsigned char byte);

#endif
