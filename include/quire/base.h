/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/base.h - what every other header of Quire needs: the address space, errors, options, version.
 *
 * Every function that can fail returns 0 (or a count) or a negative errno, writes its outputs only on success, and
 * leaves a sentence for quire_error_text().
 */
#ifndef QUIRE_BASE_H
#define QUIRE_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUIRE_API __attribute__((visibility("default")))

struct quire;
struct quire_map;

#ifndef __cplusplus
/*
 * Options on the spot: quire_map(q, QUIRE_OPTIONS(map, .length = 4096), &map). Sets .size; what is not named is 0,
 * which means the default. Lives until the end of the enclosing block.
 */
#define QUIRE_OPTIONS(noun, ...) \
	(&(struct quire_##noun##_options){ .size = sizeof(struct quire_##noun##_options), __VA_ARGS__ })
#endif

/**
 * quire_version - the version of the library that is running
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: a string such as "0.1.0", valid for ever
 * Since: 0.1   Example: examples/six-kinds.c
 */
QUIRE_API const char *quire_version(void);

/**
 * quire_error_text - what the last failed call of this thread was about
 *
 * A sentence for people: what failed, on which file, at which offset, and what to do about it. It belongs to the most
 * recent failed Quire call of the calling thread; a successful call does not clear it.
 *
 * Threads: any; each has its own. Blocks: no. Memory: 512 bytes a thread. Signals: none.
 * Returns: the sentence, "" when nothing failed yet; valid until the thread's next failed call
 * Since: 0.1   Example: examples/guarded-reader.c
 */
QUIRE_API const char *quire_error_text(void);

/**
 * struct quire_open_options - properties of an address space
 * @size: sizeof(struct quire_open_options), set by QUIRE_OPTIONS(open, ...)
 * @guard: an enum quire_guard that mappings take when they do not name one; 0 leaves them unguarded
 *
 * Since: 0.1   See: quire_open(3)
 */
struct quire_open_options {
	size_t size;
	uint32_t guard;
	uint32_t reserved;
};

/**
 * quire_open - an address space of one's own
 * @options: may be NULL
 * @quire: out: to be given back with quire_close()
 *
 * Most programs need none: every function takes NULL for the process's own. A library opens one, so that its
 * mappings have their own defaults.
 *
 * Threads: any. Blocks: no. Memory: less than 4 KiB. Signals: none.
 * Returns: 0, or
 *   -EINVAL  an option is out of range
 *   -E2BIG   the options struct is newer than this library
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/guarded-reader.c   See: quire_close(3)
 */
QUIRE_API int quire_open(const struct quire_open_options *options, struct quire **quire);

/**
 * quire_close - give an address space back
 * @quire: from quire_open(), or NULL
 *
 * Threads: any, when no other thread uses it. Blocks: no. Memory: freed. Signals: none.
 * Returns: 0, or
 *   -EBUSY   mappings are still open; nothing was done
 * Since: 0.1   Example: examples/guarded-reader.c   See: quire_open(3)
 */
QUIRE_API int quire_close(struct quire *quire);

#ifdef __cplusplus
}
#endif

#endif
